//! Frames on their way to the terminal: whole ones, inside a synchronized update, and none that
//! changes nothing.

use ratatui::backend::{Backend, ClearType, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Rect, Size};
use ratatui::style::{Color, Modifier};
use ratatui::{Frame, Terminal};
use std::fmt::{self, Write as _};
use std::fs::File;
use std::io::{self, Write};

/// DEC private mode 2026: the terminal shows what comes between these at once.
const BEGIN_UPDATE: &str = "\x1b[?2026h";
pub const END_UPDATE: &str = "\x1b[?2026l";

/// The size where the terminal does not know its own.
const USUAL_SIZE: Size = Size {
    width: 80,
    height: 24,
};

/// What is drawn on.
pub type Screen = Terminal<Tty>;

/// A frame as escape sequences.
///
/// Not ratatui's backend over crossterm: that one asks the terminal for its size and its cursor,
/// which can stall when it is gone; under NO_COLOR it sends resets that wipe reverse video; and it
/// sends the 16 colours in the form of the 256.
#[derive(Debug)]
pub struct Tty {
    /// What is to be sent.
    frame: String,
    /// Where in the frame the cells end and the cursor begins.
    cells_end: usize,
    /// Whose size counts; the usual size without one.
    file: Option<File>,
}

/// The modifiers in the order of their codes 1 to 9.
const MODIFIERS: [Modifier; 9] = [
    Modifier::BOLD,
    Modifier::DIM,
    Modifier::ITALIC,
    Modifier::UNDERLINED,
    Modifier::SLOW_BLINK,
    Modifier::RAPID_BLINK,
    Modifier::REVERSED,
    Modifier::HIDDEN,
    Modifier::CROSSED_OUT,
];

impl Tty {
    fn push(&mut self, text: fmt::Arguments) {
        // writing to a string cannot fail
        let _ = self.frame.write_fmt(text);
    }

    /// Changes colours and attributes from those of one cell to those of the next.
    fn style(&mut self, from: &Cell, to: &Cell) {
        let mut codes: Vec<String> = Vec::new();
        let anew = from.modifier != to.modifier;
        if anew {
            codes.push("0".into());
            codes.extend(
                (1..)
                    .zip(MODIFIERS)
                    .filter(|(_, m)| to.modifier.contains(*m))
                    .map(|(code, _)| code.to_string()),
            );
        }
        for (before, after, base) in [(from.fg, to.fg, 30), (from.bg, to.bg, 40)] {
            if if anew {
                after != Color::Reset
            } else {
                after != before
            } {
                codes.push(colour_code(after, base));
            }
        }
        if !codes.is_empty() {
            self.push(format_args!("\x1b[{}m", codes.join(";")));
        }
    }
}

/// The code of a colour; `base` is 30 for the text and 40 for what is behind it.
fn colour_code(colour: Color, base: u8) -> String {
    let dark = |n: u8| (base + n).to_string();
    let light = |n: u8| (base + 60 + n).to_string();
    match colour {
        Color::Reset => dark(9),
        Color::Black => dark(0),
        Color::Red => dark(1),
        Color::Green => dark(2),
        Color::Yellow => dark(3),
        Color::Blue => dark(4),
        Color::Magenta => dark(5),
        Color::Cyan => dark(6),
        Color::Gray => dark(7),
        Color::DarkGray => light(0),
        Color::LightRed => light(1),
        Color::LightGreen => light(2),
        Color::LightYellow => light(3),
        Color::LightBlue => light(4),
        Color::LightMagenta => light(5),
        Color::LightCyan => light(6),
        Color::White => light(7),
        Color::Indexed(n) => format!("{};5;{n}", base + 8),
        Color::Rgb(r, g, b) => format!("{};2;{r};{g};{b}", base + 8),
    }
}

/// Draws frames and sends them.
pub struct Painter<W> {
    screen: Screen,
    to: W,
    /// What the last frame did with the cursor.
    cursor: String,
    stale: bool,
    written: u64,
}

impl<W: Write> Painter<W> {
    /// Sends to `to`; `file` is asked for the size.
    pub fn new(to: W, file: Option<File>) -> io::Result<Self> {
        let screen = Terminal::new(Tty {
            frame: String::new(),
            cells_end: 0,
            file,
        })?;
        Ok(Self {
            screen,
            to,
            cursor: String::new(),
            stale: true,
            written: 0,
        })
    }

    /// Draws a frame and sends what changed since the last one; nothing if nothing did.
    pub fn draw(&mut self, view: impl FnOnce(&mut Frame)) -> io::Result<()> {
        self.screen.backend_mut().frame.clear();
        if self.stale {
            let size = self.screen.size()?;
            self.screen.resize(Rect::from((Position::ORIGIN, size)))?;
        }
        self.screen.draw(view)?;
        let tty = self.screen.backend_mut();
        let frame = std::mem::take(&mut tty.frame);
        let (cells, cursor) = frame.split_at(tty.cells_end);
        if !self.stale && cells.is_empty() && cursor == self.cursor {
            return Ok(());
        }
        self.cursor = cursor.to_string();
        self.send(&[BEGIN_UPDATE, &frame, END_UPDATE].concat())?;
        self.stale = false;
        Ok(())
    }

    fn send(&mut self, frame: &str) -> io::Result<()> {
        self.to.write_all(frame.as_bytes())?;
        self.to.flush()?;
        self.written += frame.len() as u64;
        Ok(())
    }

    /// Makes the next frame clear the screen and send every cell.
    pub fn repaint(&mut self) {
        self.stale = true;
    }

    pub fn size(&self) -> io::Result<Size> {
        self.screen.size()
    }

    pub fn written(&self) -> u64 {
        self.written
    }
}

impl Backend for Tty {
    type Error = io::Error;

    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> io::Result<()> {
        let plain = Cell::default();
        let (mut last, mut next) = (&plain, None);
        for (x, y, cell) in content {
            if next != Some((x, y)) {
                self.push(format_args!("\x1b[{};{}H", y + 1, x + 1));
            }
            self.style(last, cell);
            self.frame.push_str(cell.symbol());
            (last, next) = (cell, Some((x + 1, y)));
        }
        self.style(last, &plain);
        self.cells_end = self.frame.len();
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.push(format_args!("\x1b[?25l"));
        Ok(())
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.push(format_args!("\x1b[?25h"));
        Ok(())
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        let Position { x, y } = position.into();
        self.push(format_args!("\x1b[{};{}H", y + 1, x + 1));
        Ok(())
    }

    fn clear(&mut self) -> io::Result<()> {
        self.clear_region(ClearType::All)
    }

    fn clear_region(&mut self, clear_type: ClearType) -> io::Result<()> {
        let code = match clear_type {
            ClearType::All => "2J",
            ClearType::AfterCursor => "0J",
            ClearType::BeforeCursor => "1J",
            ClearType::CurrentLine => "2K",
            ClearType::UntilNewLine => "0K",
        };
        self.push(format_args!("\x1b[{code}"));
        Ok(())
    }

    fn size(&self) -> io::Result<Size> {
        let Some(file) = &self.file else {
            return Ok(USUAL_SIZE);
        };
        let size = rustix::termios::tcgetwinsize(file)?;
        // a serial line, say, has no size
        let known = size.ws_col > 0 && size.ws_row > 0;
        Ok(if known {
            Size {
                width: size.ws_col,
                height: size.ws_row,
            }
        } else {
            USUAL_SIZE
        })
    }

    fn window_size(&mut self) -> io::Result<WindowSize> {
        Ok(WindowSize {
            columns_rows: self.size()?,
            pixels: Size::ZERO,
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::{Style, Styled, Stylize};
    use ratatui::text::Line;
    use std::sync::{Arc, Mutex};

    type Sent = Arc<Mutex<Vec<u8>>>;

    #[derive(Clone, Default)]
    struct Wire(Sent);

    impl Write for Wire {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0
                .lock()
                .expect("not poisoned")
                .extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn painter() -> (Painter<Wire>, impl Fn() -> String) {
        let wire = Wire::default();
        let sent = wire.0.clone();
        let take = move || {
            String::from_utf8(std::mem::take(&mut *sent.lock().expect("not poisoned")))
                .expect("text")
        };
        (Painter::new(wire, None).expect("a screen"), take)
    }

    #[test]
    fn a_frame_is_one_synchronized_update() {
        let (mut painter, sent) = painter();
        painter
            .draw(|f| f.render_widget("hello", f.area()))
            .expect("drawn");
        let bytes = sent();
        assert!(
            bytes.starts_with("\x1b[?2026h")
                && bytes.ends_with("\x1b[?2026l")
                && bytes.contains("hello"),
            "{bytes:?}"
        );
        assert_eq!(bytes.len() as u64, painter.written());
    }

    #[test]
    fn an_unchanged_frame_sends_nothing() {
        let (mut painter, sent) = painter();
        let view = |f: &mut Frame| f.render_widget("hello".reversed(), f.area());
        painter.draw(view).expect("drawn");
        sent();
        painter.draw(view).expect("drawn");
        assert_eq!(sent(), "");
        painter
            .draw(|f| f.render_widget("hallo".reversed(), f.area()))
            .expect("drawn");
        let change = sent();
        assert!(
            change.contains('a') && !change.contains("ll") && change.len() < 80,
            "{change:?}"
        );
    }

    #[test]
    fn the_cursor_of_an_input_field_is_moved_without_a_change_of_cells() {
        let (mut painter, sent) = painter();
        painter
            .draw(|f| f.set_cursor_position((3, 1)))
            .expect("drawn");
        sent();
        painter
            .draw(|f| f.set_cursor_position((3, 1)))
            .expect("drawn");
        assert_eq!(sent(), "");
        painter
            .draw(|f| f.set_cursor_position((4, 1)))
            .expect("drawn");
        assert!(sent().contains("\x1b[2;5H"));
    }

    #[test]
    fn a_repaint_clears_and_sends_all() {
        let (mut painter, sent) = painter();
        painter
            .draw(|f| f.render_widget("hello", f.area()))
            .expect("drawn");
        sent();
        painter.repaint();
        painter
            .draw(|f| f.render_widget("hello", f.area()))
            .expect("drawn");
        let bytes = sent();
        assert!(
            bytes.contains("\x1b[2J") && bytes.contains("hello"),
            "{bytes:?}"
        );
    }

    #[test]
    fn every_attribute_is_sent_in_its_oldest_form() {
        let (mut painter, sent) = painter();
        let styles = [
            ("one", Style::new().reversed()),
            ("two", Style::new().fg(Color::Red).bg(Color::White).bold()),
            (
                "three",
                Style::new().fg(Color::Red).bg(Color::Indexed(200)).bold(),
            ),
            ("four", Style::new().fg(Color::Rgb(1, 2, 3))),
            ("five", Style::new()),
            ("six", Style::new().fg(Color::LightBlue)),
        ];
        let line = Line::from_iter(styles.map(|(text, style)| text.set_style(style)));
        painter
            .draw(|f| f.render_widget(line, f.area()))
            .expect("drawn");
        let expected = "\x1b[1;1H\x1b[0;7mone\x1b[0;1;31;107mtwo\x1b[48;5;200mthree\x1b[0;38;2;1;2;3mfour\x1b[39mfive\x1b[94msix\x1b[39m";
        let bytes = sent();
        assert!(bytes.contains(expected), "{bytes:?}");
    }

    #[test]
    fn wide_characters_keep_what_follows_in_its_column() {
        let (mut painter, sent) = painter();
        painter
            .draw(|f| f.render_widget("\u{4e2d}a", f.area()))
            .expect("drawn");
        assert!(sent().contains("\u{4e2d}\x1b[1;3Ha"));
    }
}
