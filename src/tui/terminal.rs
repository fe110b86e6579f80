//! The terminal while the app has it: its modes are set, and given back whatever happens.

mod screen;
mod writer;

use crossterm::Command;
use crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use crossterm::terminal::{EnterAlternateScreen, LeaveAlternateScreen};
use ratatui::Frame;
use ratatui::layout::Size;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, kill_current_process_group};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use screen::{END_UPDATE, Painter};
use std::fs::{File, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::Duration;
use writer::TerminalWriter;

/// How long the terminal may take to be given back.
const LAST_PATIENCE: Duration = Duration::from_secs(1);

/// What has to be given back. It is global because a panic hook and a signal must reach it.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

struct Held {
    writer: TerminalWriter,
    terminal: File,
    /// The modes of the line as they were.
    before: Termios,
}

fn held() -> MutexGuard<'static, Option<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Has the terminal in raw mode on its alternate screen. Gives it back when it is dropped, and in a
/// panic before the message is printed.
pub struct TerminalGuard {
    painter: Painter<TerminalWriter>,
    writer: TerminalWriter,
    terminal: File,
    mouse: bool,
}

impl TerminalGuard {
    /// Takes the terminal: standard output if it is one, else /dev/tty. With `mouse`, its clicks
    /// and its wheel are events too.
    ///
    /// # Errors
    /// There is no terminal, or its modes cannot be set.
    pub fn enter(mouse: bool) -> io::Result<Self> {
        let stdout = io::stdout();
        let terminal = if stdout.is_terminal() {
            File::from(stdout.as_fd().try_clone_to_owned()?)
        } else {
            OpenOptions::new().read(true).write(true).open("/dev/tty")?
        };
        Self::on(terminal, mouse)
    }

    fn on(terminal: File, mouse: bool) -> io::Result<Self> {
        restore_before_panic_message();
        let writer = TerminalWriter::new(terminal.try_clone()?)?;
        take(&terminal, &writer, mouse)?;
        // from here on an error drops what is held
        let painter = Painter::new(writer.clone(), Some(terminal.try_clone()?))
            .inspect_err(|_| _ = restore())?;
        Ok(Self {
            painter,
            writer,
            terminal,
            mouse,
        })
    }

    /// Draws a frame inside a synchronized update. One that changes nothing sends nothing.
    ///
    /// # Errors
    /// The terminal cannot be written to.
    pub fn draw(&mut self, view: impl FnOnce(&mut Frame)) -> io::Result<()> {
        self.painter.draw(view)
    }

    /// Sends something that is not a frame.
    ///
    /// # Errors
    /// The terminal cannot be written to.
    pub fn send(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(text.as_bytes())
    }

    /// Whether the terminal has not taken the last frame yet: then there is no use in another.
    pub fn is_busy(&self) -> bool {
        self.writer.is_busy()
    }

    /// Makes the next `draw` send every cell.
    pub fn repaint(&mut self) {
        self.painter.repaint();
    }

    /// Gives the terminal back, stops this process and its job as Ctrl-Z does, and takes the
    /// terminal again when it is continued. The next `draw` sends every cell. Where nothing could
    /// continue it (no shell with job control) it does not stop.
    ///
    /// # Errors
    /// The process cannot be stopped, or the terminal cannot be taken again.
    pub fn suspend(&mut self) -> io::Result<()> {
        restore();
        stop_job()?;
        self.retake()
    }

    /// Sets the modes again: after SIGCONT, where a stop from outside left the terminal to the
    /// shell. The next `draw` sends every cell.
    ///
    /// # Errors
    /// The terminal's modes cannot be set.
    pub fn retake(&mut self) -> io::Result<()> {
        restore();
        take(&self.terminal, &self.writer, self.mouse)?;
        self.repaint();
        Ok(())
    }

    /// Rings the bell, and has the terminal show a message: with OSC 9 and with OSC 777, of which most
    /// terminals know one and ignore the other.
    ///
    /// # Errors
    /// The terminal cannot be written to.
    pub fn notify(&mut self, text: &str) -> io::Result<()> {
        self.writer.write_all(notification(text).as_bytes())
    }

    /// Columns and rows.
    ///
    /// # Errors
    /// The terminal does not report its size.
    pub fn size(&self) -> io::Result<Size> {
        self.painter.size()
    }

    /// Bytes of frames sent so far.
    pub fn bytes_written(&self) -> u64 {
        self.painter.written()
    }

    /// Whether the other end of the terminal is gone; see [`is_hung_up`].
    pub fn is_hung_up(&self) -> bool {
        is_hung_up(&self.terminal)
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        restore();
    }
}

/// What has a terminal ring and show a message, which must not hold what ends or divides it.
fn notification(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| if c.is_control() || c == ';' { ' ' } else { c })
        .collect();
    // without a number in front, which would mean something else
    format!("\x07\x1b]9;astill: {text}\x07\x1b]777;notify;astill;{text}\x07")
}

/// Gives the terminal back if a [`TerminalGuard`] has it; does nothing the second time. False if the
/// terminal is not being read, so that nothing more can be shown on it. For the thread that handles
/// SIGTERM and SIGHUP (not for a signal handler itself).
pub fn restore() -> bool {
    let Some(Held {
        writer,
        terminal,
        before,
    }) = held().take()
    else {
        return true;
    };
    let mut bytes = END_UPDATE.to_string();
    escape(&mut bytes, DisableMouseCapture);
    escape(&mut bytes, DisableBracketedPaste);
    bytes.push_str("\x1b[0m");
    escape(&mut bytes, crossterm::cursor::Show);
    escape(&mut bytes, LeaveAlternateScreen);
    // for a terminal that is gone nothing can be done
    let is_read = writer.write_within(bytes.as_bytes(), LAST_PATIENCE);
    let _ = tcsetattr(&terminal, OptionalActions::Now, &before);
    is_read.unwrap_or(false)
}

/// Whether the other end of a terminal (or a pipe) is gone.
///
/// Nothing more can be read from it then, nor shown on it.
pub fn is_hung_up(fd: impl AsFd) -> bool {
    let mut fds = [PollFd::new(&fd, PollFlags::empty())];
    match poll(
        &mut fds,
        Some(&Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        }),
    ) {
        Ok(_) => fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR),
        Err(_) => false,
    }
}

/// A terminal that blocks until it takes what is written, even if an earlier program left it in
/// non-blocking mode.
#[derive(Debug)]
struct BlockingTerminal(File);

impl Write for BlockingTerminal {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    let mut fds = [PollFd::new(&self.0, PollFlags::OUT)];
                    poll(&mut fds, None).or_else(|e| {
                        if e == rustix::io::Errno::INTR {
                            Ok(0)
                        } else {
                            Err(e)
                        }
                    })?;
                }
                done => return done,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn take(terminal: &File, writer: &TerminalWriter, mouse: bool) -> io::Result<()> {
    let mut held = held();
    if held.is_some() {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "this process already has the terminal",
        ));
    }
    let before = tcgetattr(terminal)?;
    let mut raw = before.clone();
    raw.make_raw();
    *held = Some(Held {
        writer: writer.clone(),
        terminal: terminal.try_clone()?,
        before,
    });
    drop(held);
    let mut bytes = String::new();
    escape(&mut bytes, EnterAlternateScreen);
    escape(&mut bytes, crossterm::cursor::Hide);
    escape(&mut bytes, EnableBracketedPaste);
    if mouse {
        escape(&mut bytes, EnableMouseCapture);
    }
    let set = tcsetattr(terminal, OptionalActions::Now, &raw).map_err(io::Error::from);
    let set = set.and_then(|()| {
        writer
            .write_within(bytes.as_bytes(), LAST_PATIENCE)
            .map(|_| ())
    });
    set.inspect_err(|_| _ = restore())
}

fn escape(text: &mut String, command: impl Command) {
    // writing to a string cannot fail
    let _ = command.write_ansi(text);
}

/// Once: the terminal is given back before the message of a panic is printed.
fn restore_before_panic_message() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let print = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            restore();
            print(info);
        }));
    });
}

/// Stops the foreground job, this process last and right here, and returns when it is continued.
///
/// The whole job, as the terminal's own Ctrl-Z would: under `make run` the shell waits for make.
/// SIGTSTP and not SIGSTOP: the kernel drops it where the process group is orphaned, which nobody
/// could continue.
fn stop_job() -> io::Result<()> {
    // SAFETY: system calls with constants; no handler is installed, only the two dispositions
    // that need no code
    let before = unsafe { libc::signal(libc::SIGTSTP, libc::SIG_IGN) };
    if before == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    let others = kill_current_process_group(Signal::TSTP);
    // SAFETY: as above, and `before` is what the system returned; the signal goes to this thread,
    // so that the last call is made only when the process is continued
    unsafe {
        libc::signal(libc::SIGTSTP, libc::SIG_DFL);
        libc::raise(libc::SIGTSTP);
        libc::signal(libc::SIGTSTP, before);
    }
    others.map_err(io::Error::from)
}

#[cfg(test)]
mod tests;
