//! The app as a state machine: a message comes in, effects go out, and `view` shows what is.
//! Nothing here waits for anything.

use super::backend::{Answer, Command, Preview, ProfileSummary, RunSummary};
use super::keys::{self, Action, Scope};
use super::model::{self, Sample, Weight};
use super::picture::Picture;
use super::screens::{self, Confirm, Help, Home, Log, RollBack, Samples, Tweak};
use super::session::{RunStatus, Session};
use super::text::clean;
use super::theme::Theme;
use astill_core::profile::Profile;
use astill_core::run::event::{CommandStatus, Event};
use astill_core::run::{EngineAt, RunDir};
use crossterm::event::{KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};
use jiff::tz::TimeZone;
use ratatui::Frame;

/// What the app looks like.
#[derive(Debug, Clone, Copy)]
pub struct Appearance {
    pub theme: Theme,
    /// Pictures as characters.
    pub ascii_pictures: bool,
    /// The app only looks: nothing is started and no command is sent.
    pub read_only: bool,
}

/// What the app hears.
#[derive(Debug)]
pub enum Message {
    Key(KeyEvent),
    Paste(String),
    Mouse(MouseEvent),
    Resize(u16, u16),
    /// Seconds since 1970.
    Now(f64),
    Listed(Vec<ProfileSummary>, Vec<RunSummary>),
    Previewed(String, Box<Preview>),
    Started(Result<RunDir, String>),
    Resumed(RunDir, Result<(), String>),
    Events(RunDir, Batch),
    Engine(RunDir, EngineAt),
    Profile(RunDir, Result<Box<Profile>, String>),
    Checkpoints(RunDir, Vec<u64>),
    Answered(RunDir, Command, Result<Answer, String>),
    Picture(RunDir, Sample, Result<Picture, String>),
    /// Something that was to be done in passing did not work.
    Trouble(String),
    /// Something beside the screen ended with a panic, which took the terminal from the app.
    Panicked(String),
}

/// Some events of a run.
#[derive(Debug, Default)]
pub struct Batch {
    pub events: Vec<Event>,
    /// The first event is the first of the run, whatever came before.
    pub restarted: bool,
    /// Bytes read and bytes there.
    pub read: (u64, u64),
    /// Everything that was there has been read.
    pub at_end: bool,
}

/// What the app wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    List,
    Preview(String),
    Start(String),
    Resume(RunDir),
    /// Read the events of this run and of no other.
    Follow(RunDir),
    Profile(RunDir),
    Checkpoints(RunDir),
    Send(RunDir, Command),
    Picture(RunDir, Sample),
    Suspend,
    /// Set the terminal's modes anew.
    Retake,
    Leave,
}

/// A screen, or a popup over one.
#[derive(Debug)]
pub enum Layer {
    Home,
    Run,
    Chart,
    Samples(Samples),
    Tweak(Tweak),
    Log(Log),
    RollBack(RollBack),
    Help(Help),
    Confirm(Confirm),
}

/// What becomes of the layers after a key.
#[derive(Debug)]
pub enum Next {
    Stay,
    Close,
    Push(Layer),
    Replace(Layer),
    /// Shows a run.
    Open(RunDir),
}

/// A word to the user, until the next key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub text: String,
    pub weight: Weight,
}

/// What all screens share.
#[derive(Debug)]
pub struct Context {
    pub look: Appearance,
    /// Columns and rows.
    pub size: (u16, u16),
    /// Seconds since 1970.
    pub now: f64,
    /// For times of events.
    pub zone: TimeZone,
    pub home: Home,
    pub session: Option<Session>,
    pub notice: Option<Notice>,
    pub effects: Vec<Effect>,
}

/// The whole app.
#[derive(Debug)]
pub struct App {
    pub context: Context,
    layers: Vec<Layer>,
}

impl App {
    /// An app that shows the menu, or one run from the start.
    pub fn new(look: Appearance, size: (u16, u16), open: Option<RunDir>) -> (Self, Vec<Effect>) {
        let context = Context {
            look,
            size,
            now: 0.,
            zone: TimeZone::UTC,
            home: Home::default(),
            session: None,
            notice: None,
            effects: Vec::new(),
        };
        let mut app = Self {
            context,
            layers: Vec::new(),
        };
        match open {
            Some(run) => app.open(run),
            None => {
                app.layers.push(Layer::Home);
                app.context.effects.push(Effect::List);
            }
        }
        let effects = std::mem::take(&mut app.context.effects);
        (app, effects)
    }

    /// Takes a message; what is to be done for it.
    pub fn update(&mut self, message: Message) -> Vec<Effect> {
        match message {
            Message::Key(key) if key.kind != KeyEventKind::Release => self.key(&key),
            Message::Key(_) => {}
            Message::Paste(text) => {
                if let Some(line) = self.line() {
                    line.paste(&text);
                    self.line_changed();
                }
            }
            Message::Mouse(mouse) => self.mouse(mouse),
            Message::Resize(columns, rows) => self.context.size = (columns, rows),
            Message::Now(now) => self.context.now = now,
            Message::Listed(profiles, runs) => self.context.home.listed(profiles, runs),
            Message::Previewed(reference, preview) => {
                self.context.home.previewed(reference, *preview)
            }
            Message::Started(started) => {
                self.context.home.started();
                match started {
                    Ok(run) => self.open(run),
                    Err(problem) => self.tell("It could not be started", &problem),
                }
            }
            Message::Panicked(what) => {
                self.context.effects.push(Effect::Retake);
                self.context.say(
                    Weight::Failure,
                    &format!("A bug in astill: {what} panicked. The app goes on without it."),
                );
            }
            Message::Trouble(problem) => self.context.say(Weight::Warning, &problem),
            Message::Resumed(_, Ok(())) => self
                .context
                .say(Weight::Normal, "A new engine goes on with the run."),
            Message::Resumed(_, Err(problem)) => self.tell("It could not go on", &problem),
            Message::Profile(of, profile) => {
                self.context
                    .home
                    .settings(&of, profile.as_deref().map_err(String::clone));
                self.about_run(Message::Profile(of, profile));
            }
            other => self.about_run(other),
        }
        self.ask_for_what_is_shown();
        std::mem::take(&mut self.context.effects)
    }

    /// Takes what concerns the run that is being watched; what is about another one comes too late.
    fn about_run(&mut self, message: Message) {
        let Some(session) = &mut self.context.session else {
            return;
        };
        let run = session.run.clone();
        match message {
            Message::Events(of, batch) if of == run => {
                session.events(&batch.events, batch.restarted);
                session.loading =
                    (session.loading.is_some() && !batch.at_end).then_some(batch.read);
            }
            Message::Engine(of, engine) if of == run => session.looked(engine),
            Message::Profile(of, Ok(profile)) if of == run => session.profile = Some(*profile),
            Message::Profile(of, Err(problem)) if of == run => {
                self.context.say(Weight::Warning, &problem)
            }
            Message::Checkpoints(of, steps) if of == run => {
                if let Some(Layer::RollBack(roll_back)) = self.layers.last_mut() {
                    roll_back.found(steps);
                }
            }
            Message::Picture(of, sample, picture) if of == run => {
                session.pictures.put(&sample, picture)
            }
            Message::Answered(of, command, answer) if of == run => self.answered(&command, answer),
            _ => {}
        }
    }

    fn answered(&mut self, command: &Command, answer: Result<Answer, String>) {
        let Some(session) = &mut self.context.session else {
            return;
        };
        if let Some(position) = session.asked.iter().position(|c| c == command) {
            session.asked.remove(position);
        }
        let (weight, text) = match answer {
            Ok(answer) => {
                let reason = answer.reason.map(|r| format!(" ({r})")).unwrap_or_default();
                let change = model::change(answer.from.as_ref(), answer.to.as_ref());
                match answer.status {
                    CommandStatus::Accepted => (
                        Weight::Result,
                        format!("{command}: accepted{reason}{change}"),
                    ),
                    CommandStatus::Rejected => {
                        (Weight::Warning, format!("{command}: rejected{reason}"))
                    }
                }
            }
            Err(problem) => (Weight::Warning, format!("{command}: {problem}")),
        };
        if let Command::Set { edit } = command
            && weight == Weight::Result
        {
            session.profile = session.profile.take().map(|p| p.edited(edit).unwrap_or(p));
            let run = session.run.clone();
            self.context.effects.push(Effect::Profile(run));
        }
        let text = clean(&text);
        let mut told = false;
        for layer in &mut self.layers {
            if let (Layer::Tweak(tweak), Command::Set { .. }) = (layer, command) {
                tweak.answered(weight, text.clone());
                told = true;
            }
        }
        if told {
            self.context.notice = None;
        } else {
            self.context.say(weight, &text);
        }
    }

    /// Shows a run.
    fn open(&mut self, run: RunDir) {
        self.context.notice = None;
        if self.context.session.as_ref().is_none_or(|s| s.run != run) {
            self.context.session = Some(Session::new(run.clone()));
            self.context
                .effects
                .extend([Effect::Follow(run.clone()), Effect::Profile(run)]);
        }
        self.layers.truncate(usize::from(matches!(
            self.layers.first(),
            Some(Layer::Home)
        )));
        self.layers.push(Layer::Run);
    }

    /// Says more than fits into a line.
    fn tell(&mut self, title: &str, problem: &str) {
        self.context.notice = None;
        self.layers
            .push(Layer::Confirm(Confirm::message(title, problem)));
    }

    fn key(&mut self, key: &KeyEvent) {
        self.context.notice = None;
        let scope = self.scope();
        let Some(binding) = keys::action(key, scope) else {
            if scope == Scope::Line
                && let Some(line) = self.line()
            {
                line.key(key);
                self.line_changed();
            }
            return;
        };
        if binding.steers && self.context.look.read_only {
            return self
                .context
                .say(Weight::Warning, "This app only looks (--read-only).");
        }
        match (binding.action, scope) {
            (Action::Suspend, _) => self.context.effects.push(Effect::Suspend),
            (Action::Help, _) => self.layers.push(Layer::Help(Help::new(scope))),
            (action, _) => self.act(action),
        }
    }

    /// The wheel moves in a list; a click on a panel gives it the focus.
    fn mouse(&mut self, mouse: MouseEvent) {
        let scope = self.scope();
        match mouse.kind {
            MouseEventKind::ScrollUp if scope != Scope::Run => self.act(Action::Up),
            MouseEventKind::ScrollDown if scope != Scope::Run => self.act(Action::Down),
            MouseEventKind::Down(MouseButton::Left) if scope == Scope::Run => {
                screens::run::click(&mut self.context, mouse.column, mouse.row)
            }
            _ => {}
        }
    }

    /// Lets the layer on top act.
    fn act(&mut self, action: Action) {
        let Some(mut layer) = self.layers.pop() else {
            return;
        };
        let context = &mut self.context;
        let next = match &mut layer {
            Layer::Home => screens::home::act(action, context),
            Layer::Run => screens::run::act(action, context),
            Layer::Chart => screens::panel::act(action, context),
            Layer::Samples(samples) => samples.act(action, context),
            Layer::Tweak(tweak) => tweak.act(action, context),
            Layer::Log(log) => log.act(action, context),
            Layer::RollBack(roll_back) => roll_back.act(action, context),
            Layer::Help(help) => help.act(action, context),
            Layer::Confirm(confirm) => confirm.act(action, context),
        };
        let is_base = self.layers.is_empty();
        match next {
            Next::Stay => self.layers.push(layer),
            Next::Push(above) => self.layers.extend([layer, above]),
            Next::Replace(other) => self.layers.push(other),
            Next::Open(run) => {
                self.layers.push(layer);
                self.open(run);
            }
            // the first screen stays until the app is gone
            Next::Close if is_base => {
                self.layers.push(layer);
                if action == Action::Back {
                    self.context.effects.push(Effect::Leave);
                }
            }
            Next::Close => {
                if matches!(self.layers.last(), Some(Layer::Home)) {
                    self.context.effects.push(Effect::List);
                }
            }
        }
    }

    /// Where keys go.
    pub fn scope(&self) -> Scope {
        match self.layers.last() {
            Some(Layer::Home) if self.context.home.search.is_some() => Scope::Line,
            Some(Layer::Tweak(tweak)) if tweak.line.is_some() => Scope::Line,
            Some(Layer::Log(log)) if log.search.is_some() => Scope::Line,
            Some(Layer::Home) | None => Scope::Home,
            Some(Layer::Run) => Scope::Run,
            Some(Layer::Chart) => Scope::Chart,
            Some(Layer::Samples(_)) => Scope::Samples,
            Some(Layer::Tweak(_)) => Scope::Tweak,
            Some(Layer::Log(_)) => Scope::Log,
            Some(Layer::RollBack(_)) => Scope::RollBack,
            Some(Layer::Help(_)) => Scope::Help,
            Some(Layer::Confirm(_)) => Scope::Confirm,
        }
    }

    fn line(&mut self) -> Option<&mut super::line::Line> {
        match self.layers.last_mut()? {
            Layer::Home => self.context.home.search.as_mut(),
            Layer::Tweak(tweak) => tweak.line.as_mut(),
            Layer::Log(log) => log.search.as_mut(),
            _ => None,
        }
    }

    fn line_changed(&mut self) {
        match self.layers.last_mut() {
            Some(Layer::Home) => self.context.home.search_changed(),
            Some(Layer::Log(log)) => log.search_changed(),
            _ => {}
        }
    }

    /// Asks for the preview and the pictures that the screen shows and that are not there yet.
    fn ask_for_what_is_shown(&mut self) {
        let context = &mut self.context;
        if self.layers.iter().any(|l| matches!(l, Layer::Home))
            && let Some(wanted) = context.home.preview_to_ask()
        {
            context.effects.push(wanted);
        }
        let Some(session) = &mut context.session else {
            return;
        };
        if session.loading.is_some() {
            return;
        }
        let mut wanted: Vec<Sample> = session.model.samples.last().cloned().into_iter().collect();
        for layer in &self.layers {
            if let Layer::Samples(samples) = layer {
                wanted.extend(samples.wanted(&session.model).cloned());
            }
        }
        let run = session.run.clone();
        for sample in wanted {
            if session.pictures.ask(&sample) {
                context.effects.push(Effect::Picture(run.clone(), sample));
            }
        }
    }

    /// Draws the screen and the popups over it.
    pub fn view(&self, frame: &mut Frame) {
        screens::draw(frame, &self.context, &self.layers, self.scope());
    }

    /// Whether the list of runs is on the screen, so that it should be kept fresh.
    pub fn shows_list(&self) -> bool {
        matches!(self.layers.last(), Some(Layer::Home))
    }

    /// Whether the screen says how long ago something was.
    pub fn shows_seconds(&self) -> bool {
        self.layers.len() > usize::from(matches!(self.layers.first(), Some(Layer::Home)))
            && self.context.silence().is_some()
    }

    /// What to say after leaving.
    pub fn ending(&self) -> Option<String> {
        let session = self.context.session.as_ref()?;
        let (name, it) = (clean(&session.run.name()), clean(&session.run.reference()));
        if let Some(table) = session
            .model
            .finished
            .as_ref()
            .and_then(astill_core::headless::table)
        {
            return Some(format!("Run {name} is done.\n\n{table}"));
        }
        Some(match session.standing() {
            RunStatus::Elsewhere => {
                format!("Run {name} goes on, but its engine is not on this machine")
            }
            RunStatus::MaybeRemote => {
                let host = clean(session.host());
                format!(
                    "Run {name} has no engine on this machine; its latest was on {host} and has \
                     not said that it ended. If it is gone, go on with the run by `astill resume \
                     {it} --detach`"
                )
            }
            RunStatus::Gone => {
                format!("Run {name} has no engine any more; go on with it by `astill resume {it}`")
            }
            RunStatus::Reported(model::State::Stopped) => {
                format!("Run {name} is stopped; go on with it by `astill resume {it}`")
            }
            RunStatus::Reported(model::State::Failed) => {
                let why = match &session.model.finished {
                    Some(astill_core::run::event::EventKind::RunFinished {
                        reason: Some(reason),
                        ..
                    }) => reason.as_str(),
                    _ => "its log says why",
                };
                format!("Run {name} failed: {why}")
            }
            RunStatus::Reported(model::State::Paused) => {
                format!("Run {name} is paused; look again with `astill attach {it}`")
            }
            RunStatus::Reported(_) => {
                format!("Run {name} goes on; look again with `astill attach {it}`")
            }
        })
    }
}

impl Context {
    /// Says something until the next key.
    pub fn say(&mut self, weight: Weight, text: &str) {
        self.notice = Some(Notice {
            text: clean(text),
            weight,
        });
    }

    /// Sends a command to the engine of the run.
    pub fn send(&mut self, command: Command) {
        let Some(session) = &mut self.session else {
            return;
        };
        if !session.is_live() {
            let why = session.why_no_engine();
            return self.say(Weight::Warning, &why);
        }
        let text = format!("{command}: sent, waiting for the answer");
        session.asked.push(command.clone());
        let run = session.run.clone();
        self.effects.push(Effect::Send(run, command));
        self.say(Weight::Normal, &text);
    }

    /// Starts an engine that goes on with the run.
    pub fn resume(&mut self) {
        let Some(session) = &self.session else { return };
        self.effects.push(Effect::Resume(session.run.clone()));
        self.say(Weight::Normal, "Starting a new engine for this run ..");
    }

    /// Seconds since the last event, if that is long enough to be worth saying.
    pub fn silence(&self) -> Option<f64> {
        let session = self
            .session
            .as_ref()
            .filter(|s| s.model.state == model::State::Running && s.loading.is_none())?;
        let last = model::unix_seconds(&session.model.last_time)?;
        let silent = (self.now - last).floor();
        (silent >= 5.).then_some(silent)
    }
}
