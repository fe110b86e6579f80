//! What drives the app: keys, events and answers come in as messages, effects are carried out
//! beside the screen, and the screen is drawn when something has changed, but only so often.

use super::app::{App, Appearance, Effect, Message};
use super::backend::Backend;
use super::effect_runner::{EffectRunner, read_keys};
use super::terminal::TerminalGuard;
use astill_core::run::RunDir;
use astill_core::{Error, Result};
use jiff::tz::TimeZone;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{channel, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

/// The shortest time between two frames, and the same over SSH.
const FRAME: Duration = Duration::from_millis(1000 / 15);
const FRAME_OVER_SSH: Duration = Duration::from_millis(1000 / 8);
/// How often the list of runs is looked at while it is on the screen.
const LIST_EVERY: Duration = Duration::from_secs(2);
/// Batches of events that wait to be taken: few, so that a log that is read faster than it can be
/// taken waits on disk.
const BATCHES: usize = 4;

/// How the app ended.
#[derive(Debug, Default)]
pub struct Ending {
    /// What to say on the terminal that the user is back on: that the run goes on, or its result.
    pub message: Option<String>,
    /// The signal that ended it, or SIGHUP for a terminal that has gone away.
    pub signal: Option<i32>,
}

/// Runs the app on the terminal until the user leaves, a signal comes or the terminal goes away.
pub fn run(
    look: Appearance,
    mouse: bool,
    open: Option<RunDir>,
    backend: impl Backend,
) -> Result<Ending> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("start a runtime for", "the terminal app"))?;
    let mut guard = TerminalGuard::enter(mouse).map_err(Error::io("take", "the terminal"))?;
    let ending = runtime.block_on(drive(&mut guard, look, open, Arc::new(backend)));
    drop(guard);
    // a command may still wait for its answer: nobody is there to see it
    runtime.shutdown_background();
    ending
}

async fn drive<B: Backend>(
    guard: &mut TerminalGuard,
    look: Appearance,
    open: Option<RunDir>,
    backend: Arc<B>,
) -> Result<Ending> {
    let terminal = |doing| Error::io(doing, "the terminal");
    let over_ssh = ["SSH_CONNECTION", "SSH_TTY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    let frame = if over_ssh { FRAME_OVER_SSH } else { FRAME };
    let (messages, mut heard) = unbounded_channel();
    let (batches, mut told) = channel(BATCHES);
    let listen = |kind| signal(kind).map_err(Error::io("listen to signals of", "the system"));
    let mut signals = [
        listen(SignalKind::terminate())?,
        listen(SignalKind::hangup())?,
        listen(SignalKind::interrupt())?,
    ];
    let numbers = [libc::SIGTERM, libc::SIGHUP, libc::SIGINT];
    let mut continued = listen(SignalKind::from_raw(libc::SIGCONT))?;
    let mut hung_up = read_keys(messages.clone())?;

    let size = guard.size().map_err(terminal("measure"))?;
    let (mut app, effects) = App::new(look, (size.width, size.height), open);
    app.context.zone = TimeZone::system();
    let mut hands = EffectRunner::new(backend, messages, batches)?;
    let mut second = interval(Duration::from_secs(1));
    let mut list = interval(LIST_EVERY);
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    list.set_missed_tick_behavior(MissedTickBehavior::Delay);

    let mut to_do = effects;
    let mut changed = true;
    let mut next_frame = Instant::now();
    loop {
        for effect in std::mem::take(&mut to_do) {
            match effect {
                Effect::Leave => {
                    return Ok(Ending {
                        message: app.ending(),
                        signal: None,
                    });
                }
                Effect::Suspend => {
                    guard.suspend().map_err(terminal("suspend"))?;
                    changed = true;
                }
                Effect::Retake => {
                    guard.retake().map_err(terminal("take"))?;
                    changed = true;
                }
                other => hands.carry_out(other),
            }
        }
        if changed && Instant::now() >= next_frame {
            to_do.extend(app.update(Message::Now(unix_now())));
            guard.draw(|f| app.view(f)).map_err(terminal("draw on"))?;
            (changed, next_frame) = (false, Instant::now() + frame);
        }
        tokio::select! {
            biased;
            which = any(&mut signals) => {
                let message = app.ending().filter(|_| which != 1);
                return Ok(Ending { message, signal: Some(numbers[which]) });
            }
            _ = &mut hung_up => return Ok(Ending { message: None, signal: Some(libc::SIGHUP) }),
            // a stop from outside may have left the terminal to the shell
            _ = continued.recv() => to_do.push(Effect::Retake),
            message = heard.recv() => match message {
                Some(message) => {
                    to_do.extend(app.update(message));
                    changed = true;
                    // all that has come, then one frame
                    while let Ok(message) = heard.try_recv() {
                        to_do.extend(app.update(message));
                    }
                }
                None => return Ok(Ending::default()),
            },
            Some((run, batch)) = told.recv() => {
                to_do.extend(app.update(Message::Events(run, batch)));
                changed = true;
            }
            () = sleep_until(next_frame), if changed => {}
            _ = second.tick() => {
                let before = app.context.silence();
                to_do.extend(app.update(Message::Now(unix_now())));
                changed |= app.context.silence() != before;
            }
            _ = list.tick(), if app.shows_list() => to_do.push(Effect::List),
        }
    }
}

/// Waits for one of the signals; its index.
async fn any(signals: &mut [Signal; 3]) -> usize {
    poll_fn(|context| {
        let come = signals
            .iter_mut()
            .position(|s| s.poll_recv(context).is_ready());
        come.map_or(Poll::Pending, Poll::Ready)
    })
    .await
}

/// Seconds since 1970.
fn unix_now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0., |d| d.as_secs_f64())
}
