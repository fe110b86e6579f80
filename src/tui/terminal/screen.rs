//! Frames on their way to the terminal: each inside a synchronized update, and none that changes
//! nothing.

use crate::tui::picture::sixel::{self, SixelImage};
use crossterm::style::force_color_output;
use ratatui::backend::{Backend, ClearType, CrosstermBackend, WindowSize};
use ratatui::buffer::Cell;
use ratatui::layout::{Position, Rect, Size};
use ratatui::{Frame, Terminal};
use std::collections::BTreeSet;
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
/// The pixels of a cell where the terminal does not know them: those of the VT340, which had sixels
/// first.
const USUAL_CELL: Size = Size {
    width: 10,
    height: 20,
};

/// A frame as escape sequences: ratatui's backend over crossterm, except for what follows.
///
/// - It never asks the terminal itself for its size or its cursor, which can stall when the
///   terminal is gone.
/// - A frame without changes is empty, and one without colours does not even reset them.
/// - The 16 colours are sent in their own form, which terminals without 256 colours understand.
/// - Pictures in sixels come after the cells, which they are drawn over.
#[derive(Debug, Default)]
pub struct FrameEncoder {
    /// What is to be sent.
    frame: Vec<u8>,
    /// Where in the frame the cells end and the cursor begins.
    cells_end: usize,
    /// The numbers of pictures in sixels of which a cell has changed.
    changed_images: BTreeSet<u32>,
    /// Whose size counts; the usual size without one.
    file: Option<File>,
}

impl FrameEncoder {
    fn new(file: Option<File>) -> Self {
        // colours are resolved before they come here; crossterm itself would drop them under
        // NO_COLOR even where --color asks for them, and send resets that wipe reverse video
        force_color_output(true);
        Self {
            file,
            ..Self::default()
        }
    }

    /// The pixels of a cell.
    fn cell(&self) -> Size {
        let size = self.file.as_ref().map(rustix::termios::tcgetwinsize);
        let Some(Ok(size)) = size else {
            return USUAL_CELL;
        };
        let width = size.ws_xpixel.checked_div(size.ws_col).unwrap_or(0);
        let height = size.ws_ypixel.checked_div(size.ws_row).unwrap_or(0);
        match (width, height) {
            (1.., 1..) => Size { width, height },
            _ => USUAL_CELL,
        }
    }

    /// Draws those pictures over their cells of which one has changed.
    fn draw_images(&mut self, images: &[SixelImage]) {
        let cell = self.cell();
        let changed = std::mem::take(&mut self.changed_images);
        for image in images.iter().filter(|i| changed.contains(&i.number)) {
            // one that cannot be drawn in so little room
            let Ok(sequence) = image.sequence(cell).map(String::into_bytes) else {
                continue;
            };
            let end = self.cells_end + sequence.len();
            self.frame.splice(self.cells_end..self.cells_end, sequence);
            self.cells_end = end;
        }
    }

    fn crossterm(&mut self) -> CrosstermBackend<&mut Vec<u8>> {
        CrosstermBackend::new(&mut self.frame)
    }
}

/// What crossterm sends after the cells: every colour back, then every attribute with them.
const RESETS: [&str; 2] = ["\x1b[39m\x1b[49m\x1b[59m\x1b[0m", "\x1b[39m\x1b[49m\x1b[0m"];
const RESET: &str = "\x1b[0m";

/// crossterm's sequences for cells, with the 16 colours in their own form and one reset at the end.
fn shortened(cells: &str) -> String {
    let resets = RESETS.iter().find_map(|r| cells.strip_suffix(r));
    let mut parts = resets.unwrap_or(cells).split("\x1b[");
    let mut out = String::from(parts.next().unwrap_or_default());
    for part in parts {
        out.push_str("\x1b[");
        match part.split_once('m') {
            Some((codes, text)) if codes.bytes().all(|b| b.is_ascii_digit() || b == b';') => {
                let codes: Vec<&str> = codes.split(';').collect();
                out += &format!("{}m{text}", own_form(&codes));
            }
            // not of colours or attributes, but a move
            _ => out.push_str(part),
        }
    }
    if resets.is_some() {
        out.push_str(RESET);
    }
    out
}

/// "38;5;1;49" as "31;49".
fn own_form(codes: &[&str]) -> String {
    let (length, code) = match codes {
        [] => return String::new(),
        [ground @ ("38" | "48"), "5", number, ..] => match number.parse::<u8>() {
            Ok(dark @ 0..8) => (3, format!("{}{dark}", &ground[..1])),
            Ok(light @ 8..16) => (
                3,
                format!("{}{}", if *ground == "38" { 9 } else { 10 }, light - 8),
            ),
            _ => (3, codes[..3].join(";")),
        },
        ["38" | "48", "2", _, _, _, ..] => (5, codes[..5].join(";")),
        [code, ..] => (1, code.to_string()),
    };
    match own_form(&codes[length..]) {
        rest if rest.is_empty() => code,
        rest => format!("{code};{rest}"),
    }
}

/// Draws frames and sends them.
pub struct Painter<W> {
    terminal: Terminal<FrameEncoder>,
    to: W,
    /// What the last frame did with the cursor.
    cursor: Vec<u8>,
    stale: bool,
    written: u64,
}

impl<W: Write> Painter<W> {
    /// Sends to `to`; `file` is the terminal whose size counts.
    pub fn new(to: W, file: Option<File>) -> io::Result<Self> {
        Ok(Self {
            terminal: Terminal::new(FrameEncoder::new(file))?,
            to,
            cursor: Vec::new(),
            stale: true,
            written: 0,
        })
    }

    /// Draws a frame and sends what changed since the last one; nothing if nothing did.
    pub fn draw(&mut self, view: impl FnOnce(&mut Frame)) -> io::Result<()> {
        let encoder = self.terminal.backend_mut();
        encoder.frame.clear();
        encoder.cells_end = 0;
        if self.stale {
            let size = self.terminal.size()?;
            self.terminal.resize(Rect::from((Position::ORIGIN, size)))?;
        }
        let mut images = Vec::new();
        self.terminal.draw(|frame| {
            view(frame);
            images = sixel::whole_images(frame.buffer_mut());
        })?;
        let encoder = self.terminal.backend_mut();
        encoder.draw_images(&images);
        let frame = std::mem::take(&mut encoder.frame);
        let (cells, cursor) = frame.split_at(encoder.cells_end);
        if !self.stale && cells.is_empty() && cursor == self.cursor {
            return Ok(());
        }
        self.cursor = cursor.to_vec();
        self.send(&[BEGIN_UPDATE.as_bytes(), &frame, END_UPDATE.as_bytes()].concat())?;
        self.stale = false;
        Ok(())
    }

    fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        self.to.write_all(frame)?;
        self.to.flush()?;
        self.written += frame.len() as u64;
        Ok(())
    }

    /// Makes the next frame clear the screen and send every cell.
    pub fn repaint(&mut self) {
        self.stale = true;
    }

    pub fn size(&self) -> io::Result<Size> {
        self.terminal.size()
    }

    pub fn written(&self) -> u64 {
        self.written
    }
}

impl Backend for FrameEncoder {
    type Error = io::Error;

    fn draw<'a, I: Iterator<Item = (u16, u16, &'a Cell)>>(&mut self, content: I) -> io::Result<()> {
        let mut content = content.peekable();
        if content.peek().is_some() {
            let (mut cells, blank) = (Vec::new(), Cell::EMPTY);
            let changed = &mut self.changed_images;
            let content = content.map(|(x, y, cell)| match sixel::number_of(cell) {
                Some(number) => {
                    changed.insert(number);
                    (x, y, &blank)
                }
                None => (x, y, cell),
            });
            CrosstermBackend::new(&mut cells).draw(content)?;
            let cells = shortened(&String::from_utf8_lossy(&cells));
            self.frame.extend_from_slice(cells.as_bytes());
        }
        self.cells_end = self.frame.len();
        Ok(())
    }

    fn hide_cursor(&mut self) -> io::Result<()> {
        self.crossterm().hide_cursor()
    }

    fn show_cursor(&mut self) -> io::Result<()> {
        self.crossterm().show_cursor()
    }

    fn get_cursor_position(&mut self) -> io::Result<Position> {
        Ok(Position::ORIGIN)
    }

    fn set_cursor_position<P: Into<Position>>(&mut self, position: P) -> io::Result<()> {
        self.crossterm().set_cursor_position(position)
    }

    fn clear(&mut self) -> io::Result<()> {
        self.crossterm().clear()
    }

    fn clear_region(&mut self, region: ClearType) -> io::Result<()> {
        self.crossterm().clear_region(region)
    }

    fn size(&self) -> io::Result<Size> {
        let Some(file) = &self.file else {
            return Ok(USUAL_SIZE);
        };
        let size = rustix::termios::tcgetwinsize(file)?;
        // a serial line, for example, has no size
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
    use crate::tui::colour::Depth;
    use crate::tui::picture::{Picture, PictureStyle, PictureView};
    use crate::tui::theme::Theme;
    use ratatui::style::{Color, Style, Styled, Stylize};
    use ratatui::text::Line;
    use ratatui::widgets::Clear;
    use std::sync::{Arc, Mutex};

    type SentBytes = Arc<Mutex<Vec<u8>>>;

    fn picture() -> Picture {
        Picture {
            width: 8,
            height: 8,
            rgb: (0..8 * 8 * 3).collect(),
        }
    }

    #[derive(Clone, Default)]
    struct Wire(SentBytes);

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
    fn the_sixteen_colours_are_sent_in_their_own_form() {
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
        let expected = "\x1b[1;1H\x1b[7mone\x1b[27m\x1b[1m\x1b[31;107mtwo\x1b[31;48;5;200mthree\x1b[22m\x1b[38;2;1;2;3;49mfour\x1b[39;49mfive\x1b[94;49msix\x1b[0m";
        let bytes = sent();
        assert!(bytes.contains(expected), "{bytes:?}");
    }

    #[test]
    fn a_picture_in_sixels_comes_after_the_cells_and_again_when_text_was_over_it() {
        let (mut painter, sent) = painter();
        let (theme, picture) = (Theme::new(Depth::TrueColor, false), picture());
        let view = |f: &mut Frame, text: &str| {
            let view = PictureView::new(&picture, &theme).style(PictureStyle::Sixel);
            f.render_widget(view, Rect::new(0, 0, 8, 4));
            let over = Rect::new(6, 1, text.len() as u16, 1);
            f.render_widget(Clear, over);
            f.render_widget(text, over);
            f.render_widget("below", Rect::new(0, 4, 5, 1));
        };
        let has_image = |bytes: &str| bytes.contains("\x1bP");
        painter.draw(|f| view(f, "")).expect("drawn");
        let bytes = sent();
        let (cells, image) = bytes.split_once("\x1b[1;1H\x1bP").expect("an image");
        assert!(cells.contains("below") && !image.contains("below"));
        assert!(!bytes.contains('\u{F516E}'), "{bytes:?}");
        painter.draw(|f| view(f, "")).expect("drawn");
        assert_eq!(sent(), "");
        painter.draw(|f| view(f, "text")).expect("drawn");
        let bytes = sent();
        assert!(bytes.contains("text") && !has_image(&bytes), "{bytes:?}");
        painter.draw(|f| view(f, "")).expect("drawn");
        assert!(has_image(&sent()));
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
