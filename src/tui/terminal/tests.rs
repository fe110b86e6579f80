use super::*;
use rustix::fs::{OFlags, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::LocalModes;
use std::io::Read;
use std::os::fd::OwnedFd;

/// There is one terminal a process.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// A pseudo-terminal: the emulator's end, which never blocks, and the program's.
fn pseudo_terminal() -> (File, File) {
    let master: OwnedFd =
        openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
    grantpt(&master).expect("granted");
    unlockpt(&master).expect("unlocked");
    let name = ptsname(&master, Vec::new())
        .expect("a name")
        .into_string()
        .expect("text");
    let slave = OpenOptions::new()
        .read(true)
        .write(true)
        .open(name)
        .expect("the other end");
    fcntl_setfl(&master, OFlags::NONBLOCK).expect("non-blocking");
    (File::from(master), slave)
}

/// What the emulator has received.
fn received(master: &mut File) -> String {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    while let Ok(n @ 1..) = master.read(&mut chunk) {
        bytes.extend_from_slice(&chunk[..n]);
    }
    String::from_utf8(bytes).expect("text")
}

fn is_raw(terminal: &File) -> bool {
    !tcgetattr(terminal)
        .expect("modes")
        .local_modes
        .intersects(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG)
}

const SET: [&str; 3] = ["\x1b[?1049h", "\x1b[?25l", "\x1b[?2004h"];
const RESET: [&str; 6] = [
    "\x1b[?2026l",
    "\x1b[?1000l",
    "\x1b[?2004l",
    "\x1b[0m",
    "\x1b[?25h",
    "\x1b[?1049l",
];

#[test]
fn every_mode_is_set_and_given_back() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut master, slave) = pseudo_terminal();
    let mut guard = TerminalGuard::on(slave.try_clone().expect("a copy"), true).expect("taken");
    let begin = received(&mut master);
    assert!(
        is_raw(&slave) && SET.iter().all(|s| begin.contains(s)) && begin.contains("\x1b[?1000h"),
        "{begin:?}"
    );
    assert!(
        TerminalGuard::on(slave.try_clone().expect("a copy"), false).is_err(),
        "taken twice"
    );

    guard
        .draw(|f| f.render_widget("hello", f.area()))
        .expect("drawn");
    let frame = received(&mut master);
    assert!(frame.contains("hello"), "{frame:?}");
    assert_eq!(frame.len() as u64, guard.bytes_written());

    guard.retake().expect("taken again");
    let again = received(&mut master);
    assert!(
        is_raw(&slave) && RESET.iter().chain(&SET).all(|s| again.contains(s)),
        "{again:?}"
    );
    guard
        .draw(|f| f.render_widget("hello", f.area()))
        .expect("drawn");
    assert!(received(&mut master).contains("hello"), "all is sent again");

    drop(guard);
    let end = received(&mut master);
    assert!(
        !is_raw(&slave) && RESET.iter().all(|s| end.contains(s)),
        "{end:?}"
    );
    restore();
    assert_eq!(received(&mut master), "", "once is enough");
}

#[test]
fn without_a_mouse_none_is_asked_for() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut master, slave) = pseudo_terminal();
    let _guard = TerminalGuard::on(slave, false).expect("taken");
    assert!(!received(&mut master).contains("\x1b[?1000h"));
}

#[test]
fn a_panic_gives_the_terminal_back_before_its_message() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut master, slave) = pseudo_terminal();
    let mut guard = TerminalGuard::on(slave.try_clone().expect("a copy"), false).expect("taken");
    received(&mut master);
    let panicked = std::thread::scope(|s| {
        s.spawn(|| guard.draw(|_| panic!("a fault in a view")))
            .join()
    });
    assert!(panicked.is_err() && !is_raw(&slave));
    let end = received(&mut master);
    assert!(RESET.iter().all(|s| end.contains(s)), "{end:?}");
}

#[test]
fn a_terminal_that_is_gone_is_noticed_and_leaving_it_is_no_error() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (master, slave) = pseudo_terminal();
    let mut guard = TerminalGuard::on(slave, false).expect("taken");
    assert!(!guard.is_hung_up());
    drop(master);
    assert!(guard.is_hung_up());
    assert!(guard.draw(|f| f.render_widget("hello", f.area())).is_err());
}

#[test]
fn a_frame_larger_than_the_line_takes_waits_for_it() {
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let (mut master, slave) = pseudo_terminal();
    fcntl_setfl(&slave, OFlags::NONBLOCK).expect("non-blocking");
    let mut guard = TerminalGuard::on(slave, false).expect("taken");
    let before = received(&mut master).len();
    let text = "x\u{308}".repeat(40_000);
    let reader = std::thread::spawn(move || {
        let (mut count, mut chunk) = (0, [0; 4096]);
        loop {
            match master.read(&mut chunk) {
                Ok(n) => count += n,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => std::thread::yield_now(),
                // all has come, and the other end is closed
                Err(_) => return count,
            }
        }
    });
    for _ in 0..20 {
        guard.repaint();
        guard
            .draw(|f| {
                f.render_widget(
                    ratatui::widgets::Paragraph::new(text.as_str()).wrap(Default::default()),
                    f.area(),
                )
            })
            .expect("drawn");
    }
    let written = guard.bytes_written();
    drop(guard);
    assert!(before > 0 && written > 100_000);
    assert!(reader.join().expect("read") as u64 > written);
}
