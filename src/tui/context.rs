//! The state that all screens share, and what they can ask of the rest of the program.

mod previews;

pub use previews::Previews;

use crate::tui::advice::in_keys;
use crate::tui::backend::{Command, DataState, NewRun, Subject};
use crate::tui::capabilities::{Answer, Capabilities, Graphics};
use crate::tui::click_targets::ClickTargets;
use crate::tui::colour::Depth;
use crate::tui::keys::Keymap;
use crate::tui::model::{ReportedState, Sample, Weight};
use crate::tui::picture::PictureStyle;
use crate::tui::session::{RunStatus, Session};
use crate::tui::text::clean;
use crate::tui::theme::Theme;
use astill_core::run::RunDir;
use astill_core::run::pace::unix_seconds;
use jiff::tz::TimeZone;

/// How long a notice stays, in seconds.
const LASTS: f64 = 8.;

/// How quiet a running engine may be before the screen mentions it, in seconds.
const QUIET: f64 = 5.;

/// What the app looks like.
#[derive(Debug, Clone, Copy)]
pub struct Appearance {
    pub theme: Theme,
    pub pictures: PictureStyle,
    /// Nothing is started and no command is sent.
    pub read_only: bool,
    /// The terminal rings and shows a message when the run ends or diverges.
    pub notifies: bool,
}

/// What the app wants done. The results come back as messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    List,
    /// Of this one alone; of none where nothing is to be previewed.
    Preview(Option<Subject>),
    Start(NewRun),
    /// A data set, by the name that `astill fetch` takes.
    Fetch(String),
    /// Stop fetching it.
    EndFetch,
    /// With changes of live settings.
    Resume(RunDir, Vec<String>),
    /// Read the events of this run and of no other.
    Follow(RunDir),
    /// Read no events.
    Unfollow,
    /// As the beginning of another run.
    Template(RunDir),
    Delete(RunDir),
    Rename(RunDir, String),
    Note(RunDir, String),
    /// The user's command for the end of a run.
    RunCommand(String, RunDir),
    /// Ring the bell, and have the terminal show this text.
    Notify(String),
    /// Read the events of these runs, to compare them, and of no others; none ends that.
    FollowCompared(Vec<RunDir>),
    /// Read the results and the settings of these runs.
    Compare(Vec<RunDir>),
    Profile(RunDir),
    Checkpoints(RunDir),
    Send(RunDir, Command),
    Picture(RunDir, Sample),
    /// Send the terminal a question.
    AskTerminal(String),
    Suspend,
    /// Set the terminal's modes again.
    Retake,
    Leave,
}

/// A message to the user. It stays until the next key, for [`LASTS`] seconds at most, and no longer than
/// the state of the run that it is about; a failure stays until the next key.
#[derive(Debug, Clone, PartialEq)]
pub struct Notice {
    pub text: String,
    pub weight: Weight,
    /// When it was shown, in seconds since 1970.
    since: f64,
    state: Option<ReportedState>,
}

/// A data set that is being fetched.
#[derive(Debug)]
pub struct Fetching {
    /// As `astill fetch` names it.
    pub set: String,
    /// How far it is, for people.
    pub progress: String,
    /// The user has asked for its end.
    pub is_ending: bool,
}

/// What all screens share.
#[derive(Debug)]
pub struct Context {
    pub appearance: Appearance,
    /// Columns and rows.
    pub size: (u16, u16),
    /// Seconds since 1970.
    pub now: f64,
    /// For the times of events.
    pub zone: TimeZone,
    /// The run that is being watched.
    pub session: Option<Session>,
    pub notice: Option<Notice>,
    /// The user's command for the end of the run that is being watched.
    pub on_finish: Option<String>,
    pub previews: Previews,
    /// The data set that is being fetched.
    pub fetching: Option<Fetching>,
    /// Why the runs cannot be listed, once that was said.
    pub unlisted: Option<String>,
    /// The run whose settings are being read for a form that starts another.
    pub template: Option<RunDir>,
    pub effects: Vec<Effect>,
    /// What can be clicked.
    pub targets: ClickTargets,
    /// The keys in use.
    pub keys: Keymap,
    /// tmux is between the app and the terminal.
    pub in_tmux: bool,
    /// What the terminal has answered about itself.
    pub terminal: Capabilities,
}

impl Context {
    pub fn new(appearance: Appearance, size: (u16, u16)) -> Self {
        Self {
            appearance,
            size,
            now: 0.,
            zone: TimeZone::UTC,
            session: None,
            notice: None,
            on_finish: None,
            previews: Previews::default(),
            fetching: None,
            unlisted: None,
            template: None,
            effects: Vec::new(),
            targets: ClickTargets::default(),
            keys: Keymap::default(),
            in_tmux: false,
            terminal: Capabilities::default(),
        }
    }

    /// Shows a message for a while.
    pub fn notify(&mut self, weight: Weight, text: &str) {
        self.notice = Some(Notice {
            text: clean(&in_keys(text, &self.keys)),
            weight,
            since: self.now,
            state: self.state(),
        });
    }

    /// Draws pictures in characters or in blocks again, or in other blocks, and says in which.
    pub fn change_pictures(&mut self, to_ascii: bool) {
        let now = self.appearance.pictures;
        let style = match (to_ascii, now, self.terminal.graphics()) {
            (true, ..) => now.toggle_ascii(),
            (false, PictureStyle::Sextants, Some(graphics)) => {
                self.drawn_by(graphics).unwrap_or(now.next_blocks())
            }
            (false, PictureStyle::Sextants, None) => {
                let question = self.terminal.ask_for_graphics(self.now, self.in_tmux);
                self.effects.push(Effect::AskTerminal(question));
                now.next_blocks()
            }
            (false, ..) => now.next_blocks(),
        };
        self.appearance.pictures = style;
        let text = match self.appearance.theme.depth {
            Depth::Never => "Without colour, images are drawn in ASCII characters.".into(),
            _ => format!("Images are drawn in {}.", style.name()),
        };
        self.notify(Weight::Normal, &text);
    }

    /// Asks the terminal for its background, unless it is known.
    pub fn ask_for_background(&mut self) {
        if self.appearance.theme.background().is_none() {
            let question = self.terminal.ask_for_background(self.now);
            self.effects.push(Effect::AskTerminal(question));
        }
    }

    /// Takes the terminal's answer to a question.
    pub fn receive_terminal_answer(&mut self, answer: &Answer) {
        if let (Answer::Background(colour), None) = (answer, self.appearance.theme.background()) {
            self.appearance.theme.set_background(*colour);
        }
        if self.terminal.receive(answer) {
            self.use_graphics();
        }
    }

    /// What the terminal has not answered in time, it will not.
    pub fn expire_questions(&mut self) {
        if self.terminal.expire(self.now) {
            self.use_graphics();
        }
    }

    /// How pictures are drawn by a terminal that does it so.
    fn drawn_by(&self, graphics: Graphics) -> Option<PictureStyle> {
        let in_tmux = self.in_tmux;
        match graphics {
            Graphics::Kitty => Some(PictureStyle::Kitty { in_tmux }),
            Graphics::Sixel => Some(PictureStyle::Sixel),
            Graphics::Neither => None,
        }
    }

    /// Has the terminal draw pictures, if it does: it was asked because a user wants that.
    fn use_graphics(&mut self) {
        let graphics = self.terminal.graphics();
        let text = match graphics.and_then(|graphics| self.drawn_by(graphics)) {
            Some(style) => {
                self.appearance.pictures = style;
                format!(
                    "Images are drawn by the terminal itself, in {}.",
                    style.name()
                )
            }
            None => format!(
                "This terminal did not report graphics support; images are drawn in {}.",
                self.appearance.pictures.name()
            ),
        };
        self.notify(Weight::Normal, &text);
    }

    /// Drops the notice once its time or the state that it is about is over.
    pub fn expire_notice(&mut self) {
        let (now, state) = (self.now, self.state());
        let holds = |notice: &mut Notice| {
            notice.weight == Weight::Failure
                || (now - notice.since < LASTS && notice.state == state)
        };
        _ = self.notice.take_if(|notice| !holds(notice));
    }

    fn state(&self) -> Option<ReportedState> {
        self.session.as_ref().map(|s| s.model.state)
    }

    /// Explains why an action is off.
    pub fn notify_read_only(&mut self) {
        self.notify(
            Weight::Warning,
            "Read-only mode: nothing is started and no command is sent.",
        );
    }

    /// Has the settings of a run read, for a form that starts another with them.
    pub fn ask_for_template(&mut self, run: RunDir) {
        if self.template.as_ref() != Some(&run) {
            self.template = Some(run.clone());
            self.effects.push(Effect::Template(run));
        }
    }

    /// Fetches a data set, where that is needed and possible, or ends that where it is being fetched;
    /// explains to the user if not.
    pub fn fetch(&mut self, data: &DataState) {
        let set = match (data, &self.fetching) {
            (DataState::Ready, _) => {
                return self.notify(Weight::Normal, "The data set is already here.");
            }
            (DataState::Missing, _) => {
                let text = "astill knows no source for this data set; the preview says where it \
                            belongs.";
                return self.notify(Weight::Warning, text);
            }
            (DataState::Fetchable { set, .. }, Some(fetching)) if fetching.set == *set => {
                return self.end_fetch();
            }
            (DataState::Fetchable { .. }, Some(other)) => {
                let text = format!("{} is being fetched; wait until it is here.", other.set);
                return self.notify(Weight::Warning, &text);
            }
            (DataState::Fetchable { set, .. }, None) => set.clone(),
        };
        self.effects.push(Effect::Fetch(set.clone()));
        self.fetching = Some(Fetching {
            set,
            progress: "beginning".into(),
            is_ending: false,
        });
    }

    /// Takes how far a fetch is. It is shown beside the data set, where it hides nothing else.
    pub fn receive_progress(&mut self, line: String) {
        if let Some(fetching) = &mut self.fetching {
            fetching.progress = line;
        }
    }

    /// Takes the end of a fetch: the folder, or a problem, which is returned unless the user wanted
    /// that end.
    pub fn receive_fetched(
        &mut self,
        set: &str,
        fetched: Result<String, String>,
    ) -> Option<String> {
        let fetching = self.fetching.take();
        match fetched {
            Ok(folder) => {
                self.effects.push(Effect::List);
                self.previews.expire();
                let text = format!("The data set {set} is in {folder}.");
                self.notify(Weight::Result, &text);
                None
            }
            Err(_) if fetching.is_some_and(|fetching| fetching.is_ending) => {
                let text =
                    format!("{set} is not being fetched any more; what has arrived is kept.");
                self.notify(Weight::Normal, &text);
                None
            }
            Err(problem) => Some(problem),
        }
    }

    /// Takes why the runs cannot be listed. It is said once, although they are listed again and again.
    pub fn receive_unlisted(&mut self, problem: String) {
        if self.unlisted.as_ref() != Some(&problem) {
            self.notify(Weight::Failure, &problem);
            self.unlisted = Some(problem);
        }
    }

    /// The runs are listed: what was said about why they were not is over.
    pub fn receive_listed(&mut self) {
        if let Some(problem) = self.unlisted.take() {
            let text = clean(&in_keys(&problem, &self.keys));
            _ = self.notice.take_if(|notice| notice.text == text);
        }
    }

    /// What to print after leaving during a fetch, which ends with the app.
    pub fn of_fetch(&self) -> Option<String> {
        let set = clean(&self.fetching.as_ref()?.set);
        Some(format!(
            "{set} is not here completely yet; what has arrived is kept, and `astill fetch {set}` fetches \
             the rest"
        ))
    }

    fn end_fetch(&mut self) {
        if let Some(fetching) = &mut self.fetching {
            fetching.is_ending = true;
            self.effects.push(Effect::EndFetch);
        }
    }

    /// Whether commands can reach the engine of the run; explains it to the user if not.
    pub fn reaches_engine(&mut self) -> bool {
        let problem = match &self.session {
            Some(session) if !session.is_reachable() => session.why_no_engine(),
            session => return session.is_some(),
        };
        self.notify(Weight::Warning, &problem);
        false
    }

    /// Whether the run can be changed: by its engine, or without one where it has ended; explains it
    /// to the user if not.
    pub fn can_change_run(&mut self) -> bool {
        let has_ended = self.session.as_ref().is_some_and(Session::has_ended);
        has_ended || self.reaches_engine()
    }

    /// Sends a command to the engine of the run, or changes the run itself where it has ended.
    pub fn send(&mut self, command: Command) {
        let changes_run = matches!(command, Command::Set { .. } | Command::RollBack { .. });
        let is_possible = match changes_run {
            true => self.can_change_run(),
            false => self.reaches_engine(),
        };
        if !is_possible {
            return;
        }
        if let Some(session) = &mut self.session {
            session.pending.push(command.clone());
            let (run, text) = (session.run.clone(), session.sent(&command));
            self.effects.push(Effect::Send(run, command));
            self.notify(Weight::Normal, &text);
        }
    }

    /// Starts an engine that resumes the run.
    pub fn resume_run(&mut self) {
        let Some(session) = &self.session else { return };
        let run = session.run.clone();
        self.resume_with(run, Vec::new());
    }

    /// Starts an engine that resumes the run with changes of live settings, unless one is being started.
    pub fn resume_with(&mut self, run: RunDir, sets: Vec<String>) {
        if let Some(session) = self.session.as_mut().filter(|s| s.run == run) {
            if session.status() == RunStatus::Starting {
                let why = session.why_no_engine();
                return self.notify(Weight::Warning, &why);
            }
            session.begin_resuming();
        }
        self.effects.push(Effect::Resume(run, sets));
        self.notify(Weight::Normal, "Starting a new engine for this run...");
    }

    /// Whole seconds since the last event of a run that should be producing some, if that is long
    /// enough to be worth mentioning.
    pub fn seconds_without_events(&self) -> Option<f64> {
        let session = self
            .session
            .as_ref()
            .filter(|s| s.model.state == ReportedState::Running && s.loading.is_none())?;
        let last = unix_seconds(&session.model.last_time)?;
        let quiet = (self.now - last).floor();
        (quiet >= QUIET).then_some(quiet)
    }
}
