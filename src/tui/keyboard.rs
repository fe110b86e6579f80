//! Keys, read in a thread of their own, and the terminal's answers to questions.

use crate::tui::burst::pasted;
use crate::tui::effect_runner::thread;
use crate::tui::message::Message;
use crate::tui::picture::kitty;
use crate::tui::terminal::is_hung_up;
use astill_core::{Error, Result};
use crossterm::event::{self, Event as Input};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// How long the terminal may take for an answer; it crosses the network over SSH.
const ANSWER_PATIENCE: Duration = Duration::from_secs(1);
/// How long crossterm waits for input that is already there; without any time it reads nothing.
const READING: Duration = Duration::from_millis(1);
/// How long the keys are waited for before it is checked again whether the terminal is there.
const KEY_PATIENCE: Timespec = Timespec {
    tv_sec: 0,
    tv_nsec: 100_000_000,
};

/// Keys that are taken together, at most.
const MOST_AT_ONCE: usize = 1 << 14;

/// Reads keys in a thread of its own. The returned channel fires when the terminal has gone away.
pub fn read_keys(
    messages: UnboundedSender<Message>,
    ask_graphics: Arc<AtomicBool>,
) -> Result<oneshot::Receiver<()>> {
    let (gone, hung_up) = oneshot::channel();
    let terminal = keyboard()?;
    thread("keys", messages.clone(), move || {
        let mut is_more_read = false;
        // crossterm would read forever from a terminal that has gone away: check first. Its feature
        // use-dev-tty matters: its other reader holds back keys that come together with a new size,
        // or with more than 1024 others, until the next key
        while !is_hung_up(&terminal) {
            if ask_graphics.swap(false, Ordering::Relaxed) {
                if messages.send(Message::ReadsGraphicsAnswer).is_err() {
                    return;
                }
                let answer = read_answer(&terminal);
                let has_graphics = kitty::is_confirmed(&answer);
                if messages.send(Message::Graphics(has_graphics)).is_err() {
                    return;
                }
            }
            let mut ready = [PollFd::new(&terminal, PollFlags::IN)];
            match poll(&mut ready, Some(&KEY_PATIENCE)) {
                // without input, crossterm would spin for as long as it may wait; but it may have read
                // more than was taken
                Ok(0) if !is_more_read => continue,
                Err(_) if is_hung_up(&terminal) => break,
                _ => {}
            }
            let mut inputs = Vec::new();
            while !is_hung_up(&terminal)
                && inputs.len() < MOST_AT_ONCE
                && event::poll(READING).unwrap_or(false)
            {
                inputs.extend(event::read());
            }
            is_more_read = inputs.len() >= MOST_AT_ONCE;
            let sent = match pasted(&inputs) {
                Some(text) => messages.send(Message::Burst(text)).is_ok(),
                None => inputs
                    .into_iter()
                    .filter_map(message_of)
                    .all(|m| messages.send(m).is_ok()),
            };
            if !sent {
                return;
            }
        }
        let _ = gone.send(());
    })?;
    Ok(hung_up)
}

/// What the terminal answers, before crossterm could take it for keys; nothing where it does not answer
/// in time.
fn read_answer(terminal: &OwnedFd) -> Vec<u8> {
    let end = Instant::now() + ANSWER_PATIENCE;
    let mut answer = Vec::new();
    while !kitty::is_answered(&answer) && Instant::now() < end && !is_hung_up(terminal) {
        let mut ready = [PollFd::new(terminal, PollFlags::IN)];
        if !poll(&mut ready, Some(&KEY_PATIENCE)).is_ok_and(|n| n > 0) {
            continue;
        }
        let mut bytes = [0; 256];
        match rustix::io::read(terminal, &mut bytes) {
            Ok(0) | Err(_) => break,
            Ok(count) => answer.extend(&bytes[..count]),
        }
    }
    answer
}

fn message_of(input: Input) -> Option<Message> {
    Some(match input {
        Input::Key(key) => Message::Key(key),
        Input::Paste(text) => Message::Paste(text),
        Input::Resize(columns, rows) => Message::Resize(columns, rows),
        Input::Mouse(mouse) => Message::Mouse(mouse),
        _ => return None,
    })
}

/// What crossterm reads keys from.
fn keyboard() -> Result<OwnedFd> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        stdin
            .as_fd()
            .try_clone_to_owned()
            .map_err(Error::io("read keys from", "the terminal"))
    } else {
        File::open("/dev/tty")
            .map(OwnedFd::from)
            .map_err(Error::io("open", "/dev/tty"))
    }
}
