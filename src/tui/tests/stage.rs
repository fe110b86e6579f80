//! A stage for the app: runs as events, a program behind it that is made up, and keys.

use crate::tui::app::{App, Appearance, Batch, Effect, Message};
use crate::tui::backend::{
    Answer, Backend, Command, Preview, ProfileSummary, RunState, RunSummary,
};
use crate::tui::colour::Depth;
use crate::tui::picture::Picture;
use crate::tui::theme::Theme;
use astill_core::EpochRecord;
use astill_core::profile::{self, Profile};
use astill_core::run::event::{
    CommandStatus, Event, EventKind, Headline, ImageSet, Perturbation, Phase, Split, Status,
};
use astill_core::run::{EngineAt, RunDir};
use astill_core::{Error, Result};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use std::sync::Mutex;

pub const LOOK: Appearance = Appearance {
    theme: Theme::new(Depth::TrueColor, false),
    ascii_pictures: false,
    read_only: false,
};
/// 2026-01-01T00:00:00Z
pub const MIDNIGHT: f64 = 1_767_225_600.;

/// Events, numbered and a second apart.
pub fn events(whats: Vec<EventKind>) -> Vec<Event> {
    let time = |i: u64| {
        format!(
            "2026-01-01T{:02}:{:02}:{:02}.000Z",
            i / 3600 % 24,
            i / 60 % 60,
            i % 60
        )
    };
    (0..)
        .zip(whats)
        .map(|(seq, what)| Event {
            seq,
            time: time(seq),
            what,
        })
        .collect()
}

pub fn started(name: &str, step: u64, iterations: u64) -> EventKind {
    EventKind::RunStarted {
        run: name.into(),
        profile: "shapes".into(),
        seed: 0,
        device: "cpu".into(),
        threads: 2,
        version: "0.1.0".into(),
        process: 4711,
        data: "/data".into(),
        folder: "/data/shapes".into(),
        step,
        iterations,
    }
}

pub fn dataset(classes: &[&str]) -> EventKind {
    let classes = classes.iter().map(|c| c.to_string()).collect();
    EventKind::Dataset {
        classes,
        train: 1800,
        validation: 200,
        test: 1000,
        size: 8,
        normalisation: "channels".into(),
    }
}

pub fn epoch(expert: u64, epoch: u64) -> EventKind {
    let e = epoch as f64;
    let record = EpochRecord {
        train_loss: 2. / (e + 1.),
        train_accuracy: 40. + 10. * e,
        test_accuracy: 38. + 9. * e + expert as f64,
        clip_factor: 1.,
        gradient_penalty: 0.3,
        step_length: 3. / (e + 1.),
        turn: (epoch > 0).then_some(0.2 + 0.1 * e),
        curvature: (epoch > 0).then_some(2. / (e + 1.) + expert as f64 * 0.1),
        tortuosity: 1.2,
    };
    EventKind::ExpertEpoch {
        expert,
        epoch,
        record,
        seconds: 2.,
    }
}

pub fn distilled(step: u64, loss: f64) -> EventKind {
    EventKind::DistillStep {
        step,
        expert: 0,
        start_epoch: 1,
        matching_loss: loss,
        final_ratio: loss * 0.6,
        intermediate: vec![loss * 0.4],
        student_lr: 0.01 + step as f64 * 1e-5,
        balance_factor: 1.,
        perturbation: Perturbation {
            relative: 0.06,
            per_layer: vec![0.05, 0.06, 0.07],
        },
        reach: 0.5 + step as f64 * 1e-3,
        alignment: 0.6,
        image_gradient: 0.02,
        seconds: 0.5,
    }
}

pub fn evaluation(step: u64, labels: ImageSet, mean: f64) -> EventKind {
    EventKind::Evaluation {
        step,
        network: "convnet".into(),
        labels,
        split: Split::Test,
        mean,
        std: 0.5,
        values: vec![mean; 3],
    }
}

pub fn finished() -> EventKind {
    let result = |labels, mean| Headline {
        network: "convnet".into(),
        labels,
        mean,
        std: 0.5,
        values: vec![mean; 5],
    };
    EventKind::RunFinished {
        status: Status::Done,
        reason: None,
        best_step: Some(100),
        best_validation: Some(61.),
        results: vec![
            result(ImageSet::Distilled, 64.5),
            result(ImageSet::Random, 26.1),
            result(ImageSet::Representative, 31.),
        ],
        paper_style_max: Some(65.),
        file: Some("distilled/best.safetensors".into()),
        seconds: 110.,
    }
}

/// A run up to and with `steps` distillation steps of 100, with two experts and pictures every 25
/// steps.
pub fn a_run(name: &str, steps: u64) -> Vec<EventKind> {
    let mut all = vec![
        started(name, 0, 100),
        EventKind::Phase { name: Phase::Data },
        dataset(&["circle", "square", "triangle", "cross"]),
        EventKind::Phase {
            name: Phase::Experts,
        },
    ];
    all.extend((0..2).flat_map(|expert| (0..5).map(move |e| epoch(expert, e))));
    all.push(EventKind::Phase { name: Phase::Init });
    all.push(EventKind::Samples {
        step: 0,
        file: "samples/step_00000.png".into(),
    });
    all.push(evaluation(0, ImageSet::Random, 26.1));
    all.push(evaluation(0, ImageSet::Representative, 31.));
    all.push(EventKind::Phase {
        name: Phase::Distill,
    });
    for step in 1..=steps {
        all.push(distilled(step, 0.3 + 0.7 * (-(step as f64) / 30.).exp()));
        if step % 25 == 0 {
            all.push(EventKind::Samples {
                step,
                file: format!("samples/step_{step:05}.png"),
            });
        }
        if step % 50 == 0 {
            all.push(EventKind::Checkpoint {
                step,
                file: format!("checkpoints/step_{step:05}.safetensors"),
            });
            all.push(EventKind::Memory {
                host_mib: 612,
                device_mib: None,
            });
            all.push(evaluation(
                step,
                ImageSet::Distilled,
                40. + step as f64 / 5.,
            ));
        }
    }
    all
}

/// Images of 8 pixels in the colours of their class: a row a class, `columns` of each.
pub fn picture(classes: usize, columns: usize) -> Picture {
    let (width, height) = (columns * 8, classes * 8);
    let rgb = (0..width * height).flat_map(|i| {
        let (x, y) = (i % width, i / width);
        [
            (x * 255 / width) as u8,
            (y * 255 / height) as u8,
            if (x + y) % 8 < 4 { 200 } else { 40 },
        ]
    });
    Picture {
        width,
        height,
        rgb: rgb.collect(),
    }
}

/// A program behind the app that is made up.
#[derive(Default)]
pub struct Fake {
    pub runs: Mutex<Vec<RunSummary>>,
    pub commands: Mutex<Vec<Command>>,
    pub started: Mutex<Vec<String>>,
    pub resumed: Mutex<Vec<RunDir>>,
    /// With the edits that were accepted.
    profile: Mutex<Option<Profile>>,
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
    }
}

impl Backend for Fake {
    fn profiles(&self) -> Vec<ProfileSummary> {
        let all = profile::builtin().iter().filter(|b| b.listed).take(5);
        let summary = |b: &profile::Builtin| ProfileSummary {
            reference: b.name.into(),
            description: b.description().into(),
            text: b.text.into(),
        };
        all.map(summary).collect()
    }

    fn runs(&self) -> Vec<RunSummary> {
        self.runs.lock().unwrap().clone()
    }

    fn preview(&self, reference: &str) -> Preview {
        Preview {
            profile: profile::load(reference, &[])
                .map(|l| l.profile)
                .map_err(|e| e.to_string()),
            data: match reference {
                "shapes" => {
                    Ok("10 classes, 1800 training, 200 validation and 1000 test images".into())
                }
                _ => Err("not there: astill fetch cifar10 brings it".into()),
            },
            device: "cpu".into(),
            memory_mib: Some(640.),
            seconds: Some(115.),
        }
    }

    fn start(&self, reference: &str) -> Result<RunDir> {
        if reference != "shapes" {
            return Err(Error::Usage(
                "the data set is not there\nastill fetch cifar10 brings it".into(),
            ));
        }
        self.started.lock().unwrap().push(reference.into());
        Ok(run_dir("shapes-001"))
    }

    fn resume(&self, run: &RunDir) -> Result<()> {
        self.resumed.lock().unwrap().push(run.clone());
        Ok(())
    }

    fn profile(&self, _: &RunDir) -> Result<Profile> {
        let edited = self.profile.lock().unwrap().clone();
        edited.map_or_else(|| profile::load("shapes", &[]).map(|l| l.profile), Ok)
    }

    fn checkpoints(&self, _: &RunDir) -> Vec<u64> {
        vec![0, 50]
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

/// The app with the made-up program behind it; effects are carried out at once.
pub struct Stage {
    pub app: App,
    pub fake: Fake,
    pub left: bool,
    pub suspended: bool,
}

impl Stage {
    /// The menu.
    pub fn menu(size: (u16, u16), fake: Fake) -> Self {
        Self::with(LOOK, size, None, fake)
    }

    /// A run, opened from outside, after these events.
    pub fn run(size: (u16, u16), name: &str, whats: Vec<EventKind>) -> Self {
        let mut stage = Self::with(LOOK, size, Some(run_dir(name)), Fake::default());
        stage.tell(whats);
        stage
    }

    pub fn with(look: Appearance, size: (u16, u16), open: Option<RunDir>, fake: Fake) -> Self {
        let (app, effects) = App::new(look, size, open);
        let mut stage = Self {
            app,
            fake,
            left: false,
            suspended: false,
        };
        stage.carry_out(effects);
        stage
    }

    /// The whole life of the run up to now.
    pub fn tell(&mut self, whats: Vec<EventKind>) {
        self.tell_events(events(whats));
    }

    pub fn tell_events(&mut self, events: Vec<Event>) {
        let now = events
            .last()
            .and_then(|e| crate::tui::model::unix_seconds(&e.time))
            .unwrap_or(MIDNIGHT);
        let run = self
            .app
            .context
            .session
            .as_ref()
            .expect("a run is open")
            .run
            .clone();
        self.hear(Message::Now(now));
        self.hear(Message::Events(
            run,
            Batch {
                events,
                restarted: true,
                read: (1, 1),
                at_end: true,
            },
        ));
    }

    pub fn hear(&mut self, message: Message) {
        let effects = self.app.update(message);
        self.carry_out(effects);
    }

    fn carry_out(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            let text = |e: Error| e.to_string();
            let answer = match effect {
                Effect::List => Message::Listed(self.fake.profiles(), self.fake.runs()),
                Effect::Preview(reference) => {
                    Message::Previewed(reference.clone(), Box::new(self.fake.preview(&reference)))
                }
                Effect::Start(reference) => {
                    Message::Started(self.fake.start(&reference).map_err(text))
                }
                Effect::Resume(run) => {
                    Message::Resumed(run.clone(), self.fake.resume(&run).map_err(text))
                }
                Effect::Profile(run) => Message::Profile(
                    run.clone(),
                    self.fake.profile(&run).map(Box::new).map_err(text),
                ),
                Effect::Checkpoints(run) => {
                    Message::Checkpoints(run.clone(), self.fake.checkpoints(&run))
                }
                Effect::Send(run, command) => {
                    let answer = self.fake.send(&run, &command).map_err(text);
                    Message::Answered(run, command, answer)
                }
                Effect::Picture(run, sample) => Message::Picture(run, sample, Ok(picture(4, 2))),
                Effect::Follow(run) => Message::Engine(run, EngineAt::Here),
                Effect::Retake => continue,
                Effect::Suspend => {
                    self.suspended = true;
                    continue;
                }
                Effect::Leave => {
                    self.left = true;
                    continue;
                }
            };
            self.hear(answer);
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
                    self.hear(Message::Key(KeyEvent::new(
                        KeyCode::Char(letter),
                        KeyModifiers::CONTROL,
                    )));
                    continue;
                }
                text => {
                    for c in text.chars() {
                        self.hear(Message::Key(KeyEvent::from(KeyCode::Char(c))));
                    }
                    continue;
                }
            };
            self.hear(Message::Key(KeyEvent::from(code)));
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

/// The characters of a buffer, a line a row.
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
