//! A terminal for programs under test: a pseudo-terminal, and an emulator that shows what came out
//! of it.

use crate::place::{Outcome, PATIENCE};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::process::{ioctl_tiocsctty, setsid};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::error::Error;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

pub const ENTER: &str = "\r";
pub const ESC: &str = "\x1b";
pub const UP: &str = "\x1b[A";
pub const DOWN: &str = "\x1b[B";
pub const RIGHT: &str = "\x1b[C";
pub const LEFT: &str = "\x1b[D";
pub const BACKSPACE: &str = "\x7f";
pub const CTRL_Z: &str = "\x1a";

/// How long to wait for output before the screen is checked again.
const LISTEN: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 20_000_000,
};

/// A terminal with a program in it, which is killed when this is dropped.
pub struct Terminal {
    master: File,
    emulator: vt100::Parser,
    /// Everything that was sent to the terminal.
    sent: Vec<u8>,
    child: Child,
}

impl Terminal {
    /// Starts a program on a terminal of its own, of which it leads the session.
    pub fn start(command: Command, columns: u16, rows: u16) -> Result<Self, Box<dyn Error>> {
        Self::with(command, columns, rows, true)
    }

    /// The same, but the terminal does not control the program: it gets no SIGHUP when the terminal
    /// goes away.
    pub fn without_control(command: Command) -> Result<Self, Box<dyn Error>> {
        Self::with(command, 80, 24, false)
    }

    fn with(
        mut command: Command,
        columns: u16,
        rows: u16,
        controls: bool,
    ) -> Result<Self, Box<dyn Error>> {
        let master: OwnedFd =
            openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?.into_string()?;
        let slave = OpenOptions::new().read(true).write(true).open(name)?;
        tcsetwinsize(
            &slave,
            Winsize {
                ws_row: rows,
                ws_col: columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )?;
        fcntl_setfl(&master, OFlags::NONBLOCK)?;
        for name in ["NO_COLOR", "COLORTERM", "SSH_CONNECTION", "SSH_TTY"] {
            if !command.get_envs().any(|(k, _)| k == name) {
                command.env_remove(name);
            }
        }
        if !command.get_envs().any(|(k, _)| k == "TERM") {
            command.env("TERM", "xterm-256color");
        }
        command
            .stdin(slave.try_clone()?)
            .stdout(slave.try_clone()?)
            .stderr(slave);
        // SAFETY: between fork and exec only system calls are made, and nothing is allocated
        unsafe {
            command.pre_exec(move || {
                setsid()?;
                if controls {
                    ioctl_tiocsctty(rustix::stdio::stdin())?;
                }
                Ok(())
            });
        }
        let child = command.spawn()?;
        // the command holds this end of the terminal open
        drop(command);
        Ok(Self {
            master: master.into(),
            emulator: vt100::Parser::new(u16::try_into(rows)?, u16::try_into(columns)?, 0),
            sent: Vec::new(),
            child,
        })
    }

    /// Types.
    pub fn press(&mut self, keys: &str) -> Outcome {
        Ok(self.master.write_all(keys.as_bytes())?)
    }

    /// Changes the size of the window.
    pub fn resize(&mut self, columns: u16, rows: u16) -> Outcome {
        tcsetwinsize(
            &self.master,
            Winsize {
                ws_row: rows,
                ws_col: columns,
                ws_xpixel: 0,
                ws_ypixel: 0,
            },
        )?;
        self.emulator
            .screen_mut()
            .set_size(rows.try_into()?, columns.try_into()?);
        Ok(())
    }

    pub fn screen(&self) -> &vt100::Screen {
        self.emulator.screen()
    }

    /// The text of the screen, one line per row.
    pub fn text(&self) -> String {
        self.screen().contents()
    }

    /// The rows of the screen from `from` on, to `to` exclusive.
    pub fn rows(&self, from: usize, to: usize) -> String {
        self.text()
            .lines()
            .skip(from)
            .take(to - from)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// Bytes that have been sent to the terminal.
    pub fn sent(&self) -> &[u8] {
        &self.sent
    }

    /// Listens to the terminal until it shows what is waited for.
    pub fn wait_for(&mut self, what: &str, mut check: impl FnMut(&str) -> bool) -> Outcome {
        self.wait_until(what, |terminal| check(&terminal.text()).then_some(()))
    }

    /// Waits until all of these texts are on the screen.
    pub fn shows(&mut self, texts: &[&str]) -> Outcome {
        self.wait_for(&format!("the screen shows {texts:?}"), |screen| {
            texts.iter().all(|t| screen.contains(t))
        })
    }

    /// Listens to the terminal until `check` finds what is waited for, on the screen or elsewhere.
    pub fn wait_until<T>(
        &mut self,
        what: &str,
        mut check: impl FnMut(&mut Self) -> Option<T>,
    ) -> Result<T, Box<dyn Error>> {
        let begin = Instant::now();
        loop {
            self.listen();
            if let Some(found) = check(self) {
                return Ok(found);
            }
            if begin.elapsed() > PATIENCE {
                return Err(format!(
                    "not seen within {} s: {what}; the screen shows\n{}",
                    PATIENCE.as_secs(),
                    self.text()
                )
                .into());
            }
        }
    }

    /// Listens for so long, whatever comes.
    pub fn observe(&mut self, time: Duration) {
        let begin = Instant::now();
        while begin.elapsed() < time {
            self.listen();
        }
    }

    /// Takes what comes within a moment.
    fn listen(&mut self) {
        let mut ready = [PollFd::new(&self.master, PollFlags::IN)];
        let _ = poll(&mut ready, Some(&LISTEN));
        let hung_up = ready[0].revents().contains(PollFlags::HUP);
        let mut chunk = [0; 1 << 16];
        loop {
            match self.master.read(&mut chunk) {
                Ok(n @ 1..) => {
                    self.sent.extend_from_slice(&chunk[..n]);
                    self.emulator.process(&chunk[..n]);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                _ => break,
            }
        }
        if hung_up {
            // without a program there is nothing to wait for in poll
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Listens until the program has ended.
    pub fn ended(&mut self) -> Result<ExitStatus, Box<dyn Error>> {
        let status = self.wait_until("the program ends", |t| t.child.try_wait().ok().flatten())?;
        // what it said last
        self.listen();
        Ok(status)
    }

    /// Waits until the program has ended, without listening.
    pub fn ended_unread(&mut self) -> Result<ExitStatus, Box<dyn Error>> {
        crate::place::wait_until("the program ends", || self.child.try_wait().ok().flatten())
    }

    /// Closes the terminal under the program, which should end by that.
    pub fn hang_up(mut self) -> Result<ExitStatus, Box<dyn Error>> {
        self.master = File::open("/dev/null")?;
        crate::place::wait_until("the program ends without its terminal", || {
            self.child.try_wait().ok().flatten()
        })
    }

    /// Whether the line is as a shell wants it: echo, lines, and keys for signals.
    pub fn is_cooked(&self) -> bool {
        let wanted = LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG;
        tcgetattr(&self.master).is_ok_and(|modes| modes.local_modes.contains(wanted))
    }

    /// Whether a full-screen program has the terminal.
    pub fn is_taken(&self) -> bool {
        !self.is_cooked()
            && self.screen().alternate_screen()
            && self.screen().hide_cursor()
            && self.screen().bracketed_paste()
    }

    #[track_caller]
    pub fn assert_given_back(&self) {
        assert!(self.is_cooked(), "still in raw mode");
        self.assert_screen_given_back();
    }

    /// The same where a shell edits its line, for which it sets the line's modes itself.
    #[track_caller]
    pub fn assert_screen_given_back(&self) {
        let screen = self.screen();
        assert!(!screen.alternate_screen(), "still on the alternate screen");
        assert!(!screen.hide_cursor(), "no cursor");
        assert!(!screen.bracketed_paste(), "bracketed paste is on");
        assert_eq!(
            screen.mouse_protocol_mode(),
            vt100::MouseProtocolMode::None,
            "the mouse is taken"
        );
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Clock ticks of CPU time, user and system, that a process has used.
pub fn cpu_ticks(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // the name may hold anything, but it ends with the last parenthesis
    let after: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(after.get(11)?.parse::<u64>().ok()? + after.get(12)?.parse::<u64>().ok()?)
}
