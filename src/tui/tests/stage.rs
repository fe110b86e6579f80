//! A stage for the app: a fake program behind it, and keys.

use crate::tui::app::App;
use crate::tui::backend::{
    AblationSummary, Answer, Backend, Command, DataState, Glance, NewRun, Preview, ProfileSummary,
    RunRequest, RunState, RunSummary, RunTemplate, Subject,
};
use crate::tui::colour::Depth;
use crate::tui::context::{Appearance, Effect};
use crate::tui::message::{EventBatch, Message};
use crate::tui::picture::PictureStyle;
use crate::tui::series::Series;
pub use crate::tui::tests::life::*;
use crate::tui::theme::Theme;
use astill_core::ablation::Outcome;
use astill_core::comparison::{ComparedRun, Comparison, Difference};
use astill_core::profile::{self, Profile};
use astill_core::run::event::{CommandStatus, Event, EventKind, ImageSet, Phase, RunFinished};
use astill_core::run::{EngineAt, RunDir};
use astill_core::{Error, Result};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

pub const LOOK: Appearance = Appearance {
    theme: Theme::new(Depth::TrueColor, false),
    pictures: PictureStyle::HalfBlocks,
    read_only: false,
    notifies: false,
};
/// 2026-01-01T00:00:00Z
pub const MIDNIGHT: f64 = 1_767_225_600.;

/// A fake program behind the app.
#[derive(Default)]
pub struct Fake {
    pub runs: Mutex<Vec<RunSummary>>,
    pub ablations: Mutex<Vec<AblationSummary>>,
    pub commands: Mutex<Vec<Command>>,
    pub started: Mutex<Vec<NewRun>>,
    pub resumed: Mutex<Vec<RunDir>>,
    /// The changes that these were resumed with.
    pub resumed_with: Mutex<Vec<String>>,
    /// What became of runs, in words.
    pub changed: Mutex<Vec<String>>,
    /// Where set, every check lasts until it is outdated, except that of this profile.
    pub lasting: Option<String>,
    /// Checks begun, at work, and the most that were at work at once.
    pub checks: AtomicUsize,
    pub checking: AtomicUsize,
    pub most_checks: AtomicUsize,
    pub fetched: Mutex<Vec<String>>,
    /// What every preview says besides.
    pub remarks: Vec<String>,
    /// Why no preview has an estimate.
    pub not_measured: Mutex<Option<String>>,
    /// The state of all runs in a comparison; by default they are done.
    pub compared_state: Option<RunState>,
    /// Where set, a fetch goes on until the test ends it.
    pub fetch_lasts: bool,
    pub ended_fetches: AtomicUsize,
    /// With the edits that were accepted.
    pub profile: Mutex<Option<Profile>>,
}

pub fn summary(run: &RunDir, state: RunState, step: u64) -> RunSummary {
    RunSummary {
        run: run.clone(),
        name: run.name(),
        profile: "shapes".into(),
        state,
        phase: Some(Phase::Distill),
        step,
        iterations: 100,
        started: "2026-01-01T00:00:00.000Z".into(),
        accuracy: (state == RunState::Done).then_some(64.5),
        host: None,
        out_of_memory: false,
        reason: None,
        note: None,
    }
}

impl Backend for Fake {
    fn profiles(&self) -> Vec<ProfileSummary> {
        let all = profile::builtin().iter().filter(|b| b.listed).take(5);
        let summary = |b: &profile::Builtin| ProfileSummary {
            published: b.is_published(),
            reference: b.name.into(),
            description: b.description().into(),
            text: b.text.into(),
            data: match b.name {
                "imagenette-ipc1" => DataState::Missing,
                _ if self.fetched.lock().unwrap().is_empty() && b.name.starts_with("cifar") => {
                    DataState::Fetchable {
                        set: "cifar10".into(),
                        bytes: Some(170_052_171),
                    }
                }
                _ => DataState::Ready,
            },
            profile: profile::load(b.name, &[]).ok().map(|l| Box::new(l.profile)),
        };
        all.map(summary).collect()
    }

    fn fetch(
        &self,
        set: &str,
        report: &dyn Fn(String),
        _is_ended: &dyn Fn() -> bool,
    ) -> Result<String> {
        report("half of it".into());
        self.fetched.lock().unwrap().push(set.into());
        Ok(format!("/data/{set}"))
    }

    fn runs(&self) -> Result<Vec<RunSummary>> {
        Ok(self.runs.lock().unwrap().clone())
    }

    fn ablations(&self) -> Result<Vec<AblationSummary>> {
        Ok(self.ablations.lock().unwrap().clone())
    }

    fn preview(&self, request: &RunRequest, is_outdated: &dyn Fn() -> bool) -> Option<Preview> {
        let order = Ordering::SeqCst;
        self.checks.fetch_add(1, order);
        let at_work = self.checking.fetch_add(1, order) + 1;
        self.most_checks.fetch_max(at_work, order);
        let lasts = |last: &String| *last != request.reference;
        let is_given_up = self.lasting.as_ref().is_some_and(lasts)
            && std::iter::repeat_with(std::thread::yield_now).any(|()| is_outdated());
        self.checking.fetch_sub(1, order);
        let preview = Preview {
            profile: profile::load(&request.reference, &request.sets)
                .map(|l| l.profile)
                .map_err(|e| e.to_string()),
            data: match request.reference.as_str() {
                "shapes" => {
                    Ok("10 classes, 1800 training, 200 validation and 1000 test images".into())
                }
                _ => Err("not there: astill fetch cifar10 brings it".into()),
            },
            remarks: self.remarks.clone(),
            device: "cpu".into(),
            memory_mib: Some(640.),
            seconds: Some(115.),
            free_mib: Some(9216.),
            not_measured: self.not_measured.lock().unwrap().clone(),
        };
        (!is_given_up).then_some(preview)
    }

    fn start(&self, new: &NewRun) -> Result<RunDir> {
        if new.request.reference.starts_with("cifar") {
            return Err(Error::Usage(
                "the data set is not there\nastill fetch cifar10 brings it".into(),
            ));
        }
        self.started.lock().unwrap().push(new.clone());
        Ok(run_dir("shapes-001"))
    }

    fn resume(&self, run: &RunDir, sets: &[String]) -> Result<()> {
        self.resumed_with.lock().unwrap().extend_from_slice(sets);
        self.resumed.lock().unwrap().push(run.clone());
        Ok(())
    }

    fn profile(&self, _: &RunDir) -> Result<Profile> {
        let edited = self.profile.lock().unwrap().clone();
        let shapes = || profile::load("shapes", &[]).map(|l| l.profile);
        edited.map_or_else(|| shapes().map_err(Error::Profile), Ok)
    }

    fn template(&self, run: &RunDir) -> Result<RunTemplate> {
        Ok(RunTemplate {
            reference: run.profile().display().to_string(),
            profile: self.profile(run)?,
            sets: vec!["distill.lr_images=30".into()],
            name: format!("{}-2", run.name()),
            data: DataState::Ready,
        })
    }

    fn glance(&self, _: &RunDir) -> Glance {
        let mut loss = Series::new();
        (1..=60).for_each(|n| loss.push(f64::from(n), 1. / f64::from(n)));
        Glance {
            classes: ["circle", "square", "triangle"].map(String::from).to_vec(),
            baselines: vec![("random".into(), 26.1), ("representative".into(), 31.)],
            ..Glance::new(Some(loss), Some(&picture(40, 8)), 8)
        }
    }

    fn delete(&self, run: &RunDir) -> Result<()> {
        self.runs.lock().unwrap().retain(|s| s.run != *run);
        self.changed
            .lock()
            .unwrap()
            .push(format!("delete {}", run.name()));
        Ok(())
    }

    fn rename(&self, run: &RunDir, name: &str) -> Result<RunDir> {
        let text = format!("rename {} {name}", run.name());
        self.changed.lock().unwrap().push(text);
        let mut runs = self.runs.lock().unwrap();
        for renamed in runs.iter_mut().filter(|s| s.run == *run) {
            (renamed.run, renamed.name) = (run_dir(name), name.into());
        }
        Ok(run_dir(name))
    }

    fn write_note(&self, run: &RunDir, note: &str) -> Result<()> {
        let text = format!("note {} {note}", run.name());
        self.changed.lock().unwrap().push(text);
        Ok(())
    }

    fn run_command(&self, command: &str, run: &RunDir) -> Result<()> {
        let text = format!("{command} {}", run.name());
        self.changed.lock().unwrap().push(text);
        Ok(())
    }

    fn compare(&self, runs: &[RunDir]) -> Result<Comparison> {
        let compared = (0..).zip(runs).map(|(i, run)| ComparedRun {
            name: run.name(),
            profile: "shapes".into(),
            state: self.compared_state.unwrap_or(RunState::Done),
            step: 100,
            iterations: 100,
            column: "hard labels, 10 images".into(),
            outcome: Outcome {
                finished: Some(RunFinished {
                    best_step: Some(100),
                    results: vec![headline(ImageSet::Distilled, 64.5 + f64::from(i))],
                    ..match finished() {
                        EventKind::RunFinished(finished) => finished,
                        _ => unreachable!("it is the end of a run"),
                    }
                }),
                seconds: 110.,
                ..Outcome::default()
            },
        });
        let values = (1..).zip(runs).map(|(i, _)| (i * 100).into());
        Ok(Comparison {
            runs: compared.collect(),
            differences: vec![Difference {
                key: "distill.lr_images",
                values: values.collect(),
            }],
        })
    }

    fn checkpoints(&self, _: &RunDir) -> Result<Vec<u64>> {
        Ok(vec![0, 50])
    }

    fn engine(&self, _: &RunDir) -> EngineAt {
        EngineAt::Here
    }

    fn send(&self, run: &RunDir, command: &Command) -> Result<Answer> {
        self.commands.lock().unwrap().push(command.clone());
        let accepted = Answer {
            status: CommandStatus::Accepted,
            reason: None,
            from: None,
            to: None,
        };
        match command {
            Command::Set { edit } => match self.profile(run)?.edited(edit) {
                Ok(edited) => {
                    *self.profile.lock().unwrap() = Some(edited);
                    Ok(Answer {
                        from: Some(500.into()),
                        to: Some(30.into()),
                        ..accepted
                    })
                }
                Err(e) => Ok(Answer {
                    status: CommandStatus::Rejected,
                    reason: Some(e.to_string()),
                    ..accepted
                }),
            },
            _ => Ok(accepted),
        }
    }
}

/// A run directory that need not exist.
pub fn run_dir(name: &str) -> RunDir {
    RunDir::at(std::path::Path::new("/runs").join(name))
}

/// The app with the fake program behind it; effects are carried out at once.
pub struct AppStage {
    pub app: App,
    pub fake: Fake,
    pub left: bool,
    pub suspended: bool,
    /// What the terminal was to show as messages.
    pub notified: Vec<String>,
}

impl AppStage {
    /// The menu.
    pub fn menu(size: (u16, u16), fake: Fake) -> Self {
        Self::with(LOOK, size, None, fake)
    }

    /// A run, opened from outside, after these events.
    pub fn run(size: (u16, u16), name: &str, whats: Vec<EventKind>) -> Self {
        let mut stage = Self::with(LOOK, size, Some(run_dir(name)), Fake::default());
        stage.receive(whats);
        stage
    }

    pub fn with(
        appearance: Appearance,
        size: (u16, u16),
        open: Option<RunDir>,
        fake: Fake,
    ) -> Self {
        let (app, effects) = App::new(appearance, size, open);
        let mut stage = Self {
            app,
            fake,
            left: false,
            suspended: false,
            notified: Vec::new(),
        };
        stage.carry_out(effects);
        stage
    }

    /// The whole life of the run up to now.
    pub fn receive(&mut self, whats: Vec<EventKind>) {
        self.receive_events(events(whats));
    }

    pub fn receive_events(&mut self, events: Vec<Event>) {
        let now = events
            .last()
            .and_then(|e| astill_core::run::pace::unix_seconds(&e.time))
            .unwrap_or(MIDNIGHT);
        let run = self
            .app
            .context
            .session
            .as_ref()
            .expect("a run is open")
            .run
            .clone();
        self.send(Message::Now(now));
        self.send(Message::Events(
            run,
            EventBatch {
                events,
                restarted: true,
                read: (1, 1),
                at_end: true,
                unreadable: 0,
            },
        ));
    }

    /// Events that follow those that the run has, numbered from `first` on.
    pub fn receive_more(&mut self, first: u64, whats: Vec<EventKind>) {
        let session = self.app.context.session.as_ref().expect("a run is open");
        let run = session.run.clone();
        let mut events = events(whats);
        events.iter_mut().for_each(|event| event.seq += first);
        let batch = EventBatch {
            events,
            restarted: false,
            read: (2, 2),
            at_end: true,
            unreadable: 0,
        };
        self.send(Message::Events(run, batch));
    }

    pub fn send(&mut self, message: Message) {
        let effects = self.app.update(message);
        self.carry_out(effects);
    }

    fn listed(&self) -> Message {
        let (runs, ablations) = (self.fake.runs(), self.fake.ablations());
        Message::Listed(self.fake.profiles(), runs.unwrap(), ablations.unwrap())
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let text = |e: Error| e.to_string();
            let answer = match effect {
                Effect::List => self.listed(),
                Effect::Preview(None) | Effect::Unfollow => continue,
                Effect::Preview(Some(Subject::Run(run, _))) => {
                    let profile = self.fake.profile(&run).map(Box::new).map_err(text);
                    self.send(Message::Profile(run.clone(), profile));
                    let glance = self.fake.glance(&run);
                    Message::Glanced(run, Arc::new(glance))
                }
                Effect::Preview(Some(Subject::Start(request))) => {
                    let preview = self.fake.preview(&request, &|| false);
                    let preview = preview.expect("nothing newer is asked for");
                    Message::Previewed(request, Box::new(preview))
                }
                Effect::Start(new) => {
                    let started = self.fake.start(&new).map_err(text);
                    Message::Started(new, started)
                }
                Effect::Template(run) => {
                    let template = self.fake.template(&run).map_err(text);
                    Message::Template(run, template.map(Box::new))
                }
                Effect::Delete(run) => {
                    let deleted = self.fake.delete(&run).map_err(text);
                    Message::Moved(run, deleted.map(|()| None))
                }
                Effect::Rename(run, name) => {
                    let renamed = self.fake.rename(&run, &name).map_err(text);
                    Message::Moved(run, renamed.map(Some))
                }
                Effect::Note(run, note) => {
                    let written = self.fake.write_note(&run, &note).map_err(text);
                    Message::Noted(run, written)
                }
                Effect::RunCommand(command, run) => {
                    _ = self.fake.run_command(&command, &run);
                    continue;
                }
                Effect::Notify(text) => {
                    self.notified.push(text);
                    continue;
                }
                // the test says what comes of it
                Effect::Fetch(_) if self.fake.fetch_lasts => continue,
                Effect::EndFetch => {
                    self.fake.ended_fetches.fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                Effect::Fetch(set) => {
                    let fetched = self.fake.fetch(&set, &|_| (), &|| false).map_err(text);
                    Message::Fetched(set, fetched)
                }
                Effect::Resume(run, sets) => {
                    Message::Resumed(run.clone(), self.fake.resume(&run, &sets).map_err(text))
                }
                Effect::Profile(run) => Message::Profile(
                    run.clone(),
                    self.fake.profile(&run).map(Box::new).map_err(text),
                ),
                Effect::Checkpoints(run) => {
                    Message::Checkpoints(run.clone(), self.fake.checkpoints(&run).map_err(text))
                }
                Effect::Send(run, command) => {
                    let answer = self.fake.send(&run, &command).map_err(text);
                    Message::Answered(run, command, answer)
                }
                Effect::Picture(run, sample) => Message::Picture(run, sample, Ok(picture(4, 2))),
                Effect::Follow(run) => Message::Engine(run, EngineAt::Here),
                Effect::FollowCompared(runs) => {
                    self.follow_compared(runs);
                    continue;
                }
                Effect::Compare(runs) => {
                    let compared = self.fake.compare(&runs).map(Arc::new);
                    Message::Comparison(runs, compared.map_err(text))
                }
                Effect::Retake | Effect::AskTerminal(_) => continue,
                Effect::Suspend => {
                    self.suspended = true;
                    continue;
                }
                Effect::Leave => {
                    self.left = true;
                    continue;
                }
            };
            self.send(answer);
        }
    }

    fn follow_compared(&mut self, runs: Vec<RunDir>) {
        for (i, run) in (1..).zip(runs) {
            let batch = EventBatch {
                events: events(a_run(&run.name(), 30 * i)),
                restarted: true,
                read: (1, 1),
                at_end: true,
                unreadable: 0,
            };
            self.send(Message::ComparedEvents(run, batch));
        }
    }

    /// Keys, as a user would name them: "Enter", "Ctrl-C", or text that is typed character by
    /// character.
    pub fn keys(&mut self, keys: &[&str]) {
        for key in keys {
            let code = match *key {
                "Enter" => KeyCode::Enter,
                "Esc" => KeyCode::Esc,
                "Tab" => KeyCode::Tab,
                "Shift-Tab" => KeyCode::BackTab,
                "Up" => KeyCode::Up,
                "Down" => KeyCode::Down,
                "Left" => KeyCode::Left,
                "Right" => KeyCode::Right,
                "PgUp" => KeyCode::PageUp,
                "PgDn" => KeyCode::PageDown,
                "Home" => KeyCode::Home,
                "End" => KeyCode::End,
                "Backspace" => KeyCode::Backspace,
                "Space" => KeyCode::Char(' '),
                "Ctrl-C" | "Ctrl-Z" | "Ctrl-U" => {
                    let letter = key.chars().last().expect("a letter").to_ascii_lowercase();
                    self.send(Message::Key(KeyEvent::new(
                        KeyCode::Char(letter),
                        KeyModifiers::CONTROL,
                    )));
                    continue;
                }
                text => {
                    for c in text.chars() {
                        self.send(Message::Key(KeyEvent::from(KeyCode::Char(c))));
                    }
                    continue;
                }
            };
            self.send(Message::Key(KeyEvent::from(code)));
        }
    }

    /// What is drawn.
    pub fn buffer(&self) -> Buffer {
        let (columns, rows) = self.app.context.size;
        let mut terminal =
            Terminal::new(TestBackend::new(columns, rows)).expect("a terminal in memory");
        terminal.draw(|frame| self.app.view(frame)).expect("drawn");
        terminal.backend().buffer().clone()
    }

    /// The screen as text.
    pub fn screen(&self) -> String {
        text(&self.buffer())
    }
}

/// The characters of a buffer, one line per row.
pub fn text(buffer: &Buffer) -> String {
    let width = usize::from(buffer.area.width);
    let row = |cells: &[ratatui::buffer::Cell]| {
        let mut line = String::new();
        let mut skip = 0;
        for cell in cells {
            if skip == 0 {
                line.push_str(cell.symbol());
                skip = crate::tui::text::width(cell.symbol()).saturating_sub(1);
            } else {
                skip -= 1;
            }
        }
        line.trim_end().to_string() + "\n"
    };
    buffer.content.chunks(width.max(1)).map(row).collect()
}
