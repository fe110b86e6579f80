//! Keys, read in a thread of their own, and the terminal's answers to questions.

mod answers;
mod decode;

use crate::tui::burst::pasted as pasted_text;
use crate::tui::effect_runner::thread;
use crate::tui::message::Message;
use crate::tui::terminal::is_hung_up;
use astill_core::{Error, Result};
use crossterm::event::Event as Input;
use decode::{Decoder, Received};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::{AsFd, OwnedFd};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// How long the keys are waited for before it is checked again whether the terminal is there; and before
/// what has begun and does not end is given up.
const KEY_PATIENCE: Timespec = milliseconds(100);
const PATIENCE_FOR_REST: u32 = 10;
/// How long the rest of a key may take, over a slow connection, before it was the Escape key.
const ESCAPE_PATIENCE: Timespec = milliseconds(30);
/// How long more input is waited for, to take together what came together.
const TOGETHER: Timespec = milliseconds(1);

/// Bytes that are taken together, at most.
const MOST_AT_ONCE: usize = 1 << 16;

const fn milliseconds(number: i64) -> Timespec {
    Timespec {
        tv_sec: 0,
        tv_nsec: number * 1_000_000,
    }
}

/// Reads keys in a thread of its own. The returned channel fires when the terminal has gone away.
pub fn read_keys(messages: UnboundedSender<Message>) -> Result<oneshot::Receiver<()>> {
    let (gone, hung_up) = oneshot::channel();
    let terminal = keyboard()?;
    thread("keys", messages.clone(), move || {
        let (mut decoder, mut quiet) = (Decoder::default(), 0);
        while !is_hung_up(&terminal) {
            let patience = match decoder.is_partial() && quiet == 0 {
                true => &ESCAPE_PATIENCE,
                false => &KEY_PATIENCE,
            };
            let received = match is_ready(&terminal, patience) {
                true => match read(&terminal) {
                    Some(bytes) => {
                        quiet = 0;
                        decoder.take(&bytes)
                    }
                    None => break,
                },
                false if decoder.is_partial() => {
                    quiet += 1;
                    if quiet > PATIENCE_FOR_REST {
                        decoder.give_up();
                    }
                    decoder.settle()
                }
                false => continue,
            };
            if !send(received, &messages) {
                return;
            }
        }
        let _ = gone.send(());
    })?;
    Ok(hung_up)
}

fn is_ready(terminal: &OwnedFd, patience: &Timespec) -> bool {
    let mut ready = [PollFd::new(terminal, PollFlags::IN)];
    poll(&mut ready, Some(patience)).is_ok_and(|n| n > 0)
}

/// What has come, all of it that came together; nothing once the terminal has gone away.
fn read(terminal: &OwnedFd) -> Option<Vec<u8>> {
    let (mut all, mut bytes) = (Vec::new(), [0; 4096]);
    loop {
        match rustix::io::read(terminal, &mut bytes) {
            Ok(0) => return (!all.is_empty()).then_some(all),
            Ok(count) => all.extend(&bytes[..count]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => return (!all.is_empty()).then_some(all),
        }
        if all.len() >= MOST_AT_ONCE || !is_ready(terminal, &TOGETHER) {
            return Some(all);
        }
    }
}

/// Passes on what was received; false if nobody wants it any more.
fn send(received: Vec<Received>, messages: &UnboundedSender<Message>) -> bool {
    let inputs = received.iter().map(|r| match r {
        Received::Input(input) => Some(input.clone()),
        Received::Answer(_) | Received::Ignored(_) => None,
    });
    let pasted = inputs.collect::<Option<Vec<Input>>>();
    match pasted.and_then(|inputs| pasted_text(&inputs)) {
        Some(text) => messages.send(Message::Burst(text)).is_ok(),
        None => received
            .into_iter()
            .filter_map(message_of)
            .all(|m| messages.send(m).is_ok()),
    }
}

fn message_of(received: Received) -> Option<Message> {
    Some(match received {
        Received::Input(Input::Key(key)) => Message::Key(key),
        Received::Input(Input::Paste(text)) => Message::Paste(text),
        Received::Input(Input::Mouse(mouse)) => Message::Mouse(mouse),
        Received::Input(_) => return None,
        Received::Answer(answer) => Message::TerminalAnswer(answer),
        Received::Ignored(why) => Message::Trouble(why.into()),
    })
}

/// What keys are read from.
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
