//! What drives the app: keys, events and answers come in as messages, effects are carried out in
//! the background, and the screen is drawn when something has changed, at a limited rate.

use crate::tui::app::App;
use crate::tui::backend::Backend;
use crate::tui::context::{Appearance, Effect};
use crate::tui::effect_runner::{Changes, EffectRunner};
use crate::tui::keyboard::read_keys;
use crate::tui::keys::{Action, Keymap};
use crate::tui::message::Message;
use crate::tui::model::Weight;
use crate::tui::terminal::{TerminalGuard, restore};
use astill_core::run::RunDir;
use astill_core::{Error, Result};
use jiff::tz::TimeZone;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, channel, unbounded_channel};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout, timeout_at};

/// The shortest time between two frames, and the same over SSH.
const FRAME: Duration = Duration::from_millis(1000 / 15);
const FRAME_OVER_SSH: Duration = Duration::from_millis(1000 / 8);
/// How often the list of runs is read again while it is on the screen.
const LIST_EVERY: Duration = Duration::from_secs(2);
/// Batches of events that wait for the app: few, so that a log that is read faster than the app can
/// take it waits on disk.
const BATCHES: usize = 4;

/// How long the app waits, when it is left, for what it is changing: a user can leave at once with one more
/// key, and who ends it by a signal does not wait long.
const CHANGES: Duration = Duration::from_secs(30);
const CHANGES_AT_SIGNAL: Duration = Duration::from_secs(2);
/// How long answers of the terminal are waited for when the app is left.
const ANSWERS: Duration = Duration::from_millis(300);

/// How the app ended.
#[derive(Debug, Default)]
pub struct Ending {
    /// What to print once the terminal is given back: that the run is still running, or its result.
    pub message: Option<String>,
    /// The signal that ended it, or SIGHUP for a terminal that has gone away.
    pub signal: Option<i32>,
}

/// Runs the app on the terminal until the user leaves, a signal comes or the terminal goes away. Opens
/// a run if there is one, with the command for its end.
pub fn run(
    appearance: Appearance,
    (mouse, keys): (bool, Keymap),
    opened: (Option<RunDir>, Option<String>),
    backend: impl Backend,
) -> Result<Ending> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Error::io("start a runtime for", "the terminal app"))?;
    let mut guard = TerminalGuard::enter(mouse).map_err(Error::io("take", "the terminal"))?;
    let changes = Changes::none();
    let ending = runtime.block_on(handle_events(
        &mut guard,
        (appearance, keys),
        opened,
        Arc::new(backend),
        &changes,
    ));
    let is_read = restore();
    drop(guard);
    if ending.as_ref().is_ok_and(|ending| ending.signal.is_some()) {
        // what is not done by then is given up
        let _ = runtime.block_on(async { timeout(CHANGES_AT_SIGNAL, changes.end()).await });
    }
    // whatever is still being read, nobody would see
    runtime.shutdown_background();
    ending.map(|ending| match is_read {
        true => ending,
        // printing would wait for somebody to read
        false => Ending {
            message: None,
            ..ending
        },
    })
}

/// Whether the terminal is one that answers questions, or at least shows none of what it does not know.
fn answers_questions() -> bool {
    // the console of Linux has no such colours, and old ones print a part of the question
    !matches!(
        std::env::var("TERM").as_deref(),
        Ok("linux" | "dumb") | Err(_)
    )
}

/// The shortest time between two frames.
fn frame() -> Duration {
    let over_ssh = ["SSH_CONNECTION", "SSH_TTY"]
        .iter()
        .any(|name| std::env::var_os(name).is_some());
    if over_ssh { FRAME_OVER_SSH } else { FRAME }
}

/// The signals that end the app, and leave its engine alone.
struct Ends {
    terminated: Signal,
    interrupted: Signal,
    hung_up: Signal,
    /// A batch system's notice of its time limit.
    warned: Signal,
    out_of_time: Signal,
    /// Its wish for a checkpoint, which is the engine's, and must not end the app.
    _asked: Signal,
}

/// SIGXCPU.
fn out_of_time() -> SignalKind {
    SignalKind::from_raw(rustix::process::Signal::XCPU.as_raw())
}

impl Ends {
    fn listen() -> Result<Self> {
        Ok(Self {
            terminated: listen(SignalKind::terminate())?,
            interrupted: listen(SignalKind::interrupt())?,
            hung_up: listen(SignalKind::hangup())?,
            warned: listen(SignalKind::user_defined2())?,
            out_of_time: listen(out_of_time())?,
            _asked: listen(SignalKind::user_defined1())?,
        })
    }

    /// The next one, and whether somebody is there to read a farewell.
    async fn next(&mut self) -> (SignalKind, bool) {
        tokio::select! {
            biased;
            _ = self.terminated.recv() => (SignalKind::terminate(), true),
            _ = self.interrupted.recv() => (SignalKind::interrupt(), true),
            _ = self.warned.recv() => (SignalKind::user_defined2(), true),
            _ = self.out_of_time.recv() => (out_of_time(), true),
            _ = self.hung_up.recv() => (SignalKind::hangup(), false),
        }
    }
}

async fn handle_events<B: Backend>(
    guard: &mut TerminalGuard,
    (appearance, keys): (Appearance, Keymap),
    (open, on_finish): (Option<RunDir>, Option<String>),
    backend: Arc<B>,
    changes: &Changes,
) -> Result<Ending> {
    let terminal = |doing| Error::io(doing, "the terminal");
    let frame = frame();
    let (messages, mut received) = unbounded_channel();
    let (batches, mut events) = channel(BATCHES);
    let mut ends = Ends::listen()?;
    let mut continued = listen(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?;
    let mut resized = listen(SignalKind::window_change())?;
    let mut keys_ended = read_keys(messages.clone())?;

    let size = guard.size().map_err(terminal("measure"))?;
    let (mut app, effects) = app_with((appearance, keys), (size.width, size.height), open);
    app.context.on_finish = on_finish;
    let mut runner = EffectRunner::new(backend, messages, batches, changes.clone())?;
    let mut second = interval(Duration::from_secs(1));
    let mut list = interval(LIST_EVERY);
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    list.set_missed_tick_behavior(MissedTickBehavior::Delay);

    let mut to_do = effects;
    let mut changed = true;
    let mut leaving: Option<Instant> = None;
    let mut next_frame = Instant::now();
    loop {
        for effect in std::mem::take(&mut to_do) {
            match effect {
                Effect::Leave => {
                    leaving = Some(leave_by(leaving));
                    let key = app.context.keys.name(Action::Back, app.scope());
                    let text = format!(
                        "Finishing what you asked for before leaving; {key} leaves at once."
                    );
                    app.context.notify(Weight::Normal, &text);
                    changed = true;
                }
                Effect::Suspend => {
                    guard.suspend().map_err(terminal("suspend"))?;
                    changed = true;
                }
                Effect::Retake => {
                    guard.retake().map_err(terminal("take"))?;
                    changed = true;
                }
                Effect::Notify(text) => guard.notify(&text).map_err(terminal("write to"))?,
                Effect::AskTerminal(question) => {
                    guard.send(&question).map_err(terminal("write to"))?;
                }
                other => runner.carry_out(other),
            }
        }
        if leaving.is_some_and(|until| !changes.are_under_way() || Instant::now() >= until) {
            await_answers(&mut app, &mut received).await;
            return Ok(Ending::by_user(&app));
        }
        if guard.is_busy() {
            next_frame = next_frame.max(Instant::now() + frame);
        } else if changed && Instant::now() >= next_frame {
            to_do.extend(app.update(Message::Now(unix_now())));
            guard.draw(|f| app.view(f)).map_err(terminal("draw on"))?;
            (changed, next_frame) = (false, Instant::now() + frame);
        }
        tokio::select! {
            biased;
            (signal, is_read) = ends.next() => {
                return Ok(Ending::by(signal, app.farewell().filter(|_| is_read)));
            }
            _ = &mut keys_ended => return Ok(Ending::by(SignalKind::hangup(), None)),
            // a stop from outside may have left the terminal to the shell
            _ = continued.recv() => to_do.push(Effect::Retake),
            _ = resized.recv() => {
                // one that has gone away has no size, and ends the app below
                if let Ok(size) = guard.size() {
                    to_do.extend(app.update(Message::Resize(size.width, size.height)));
                    changed = true;
                }
            }
            message = received.recv() => {
                let Some(message) = message else {
                    return Ok(Ending::default());
                };
                if take_all(message, &mut received, &mut app, &mut to_do) {
                    leaving = None;
                }
                changed = true;
            }
            Some(batch) = events.recv() => {
                to_do.extend(app.update(batch));
                changed = true;
            }
            () = sleep_until(next_frame), if changed => {}
            _ = second.tick() => {
                let seen = |app: &App| {
                    (app.context.seconds_without_events(), app.context.notice.is_some())
                };
                let before = seen(&app);
                to_do.extend(app.update(Message::Now(unix_now())));
                changed |= seen(&app) != before;
            }
            _ = list.tick(), if app.shows_list() => to_do.push(Effect::List),
        }
    }
}

/// When the app is left at the latest: at once where that was asked for before.
fn leave_by(asked_before: Option<Instant>) -> Instant {
    match asked_before {
        Some(_) => Instant::now(),
        None => Instant::now() + CHANGES,
    }
}

/// Hands a message to the app, and everything that has arrived since, before the next frame; whether
/// something that the user asked for could not be done.
fn take_all(
    message: Message,
    received: &mut UnboundedReceiver<Message>,
    app: &mut App,
    to_do: &mut Vec<Effect>,
) -> bool {
    let mut has_failed = false;
    let mut next = Some(message);
    while let Some(message) = next {
        has_failed |= message.is_failed_change();
        to_do.extend(app.update(message));
        next = received.try_recv().ok();
    }
    has_failed
}

/// The app on this terminal, and what is to be done first.
fn app_with(
    (appearance, keys): (Appearance, Keymap),
    size: (u16, u16),
    open: Option<RunDir>,
) -> (App, Vec<Effect>) {
    let (mut app, mut effects) = App::new(appearance, size, open);
    let context = &mut app.context;
    context.zone = TimeZone::system();
    context.in_tmux = std::env::var_os("TMUX").is_some();
    context.keys = keys;
    if answers_questions() {
        context.now = unix_now();
        context.ask_for_background();
        effects.append(&mut context.effects);
    }
    (app, effects)
}

/// Takes the answers that the terminal still owes, for a moment: the shell would take them for keys.
async fn await_answers(app: &mut App, received: &mut UnboundedReceiver<Message>) {
    let end = Instant::now() + ANSWERS;
    while app.context.terminal.is_awaited()
        && let Ok(Some(message)) = timeout_at(end, received.recv()).await
    {
        if let Message::TerminalAnswer(_) = message {
            _ = app.update(message);
        }
    }
}

impl Ending {
    fn by_user(app: &App) -> Self {
        Self {
            message: app.farewell(),
            signal: None,
        }
    }

    fn by(signal: SignalKind, message: Option<String>) -> Self {
        Self {
            message,
            signal: Some(signal.as_raw_value()),
        }
    }
}

fn listen(kind: SignalKind) -> Result<Signal> {
    signal(kind).map_err(Error::io("listen to signals of", "the system"))
}

/// Seconds since 1970.
fn unix_now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0., |d| d.as_secs_f64())
}
