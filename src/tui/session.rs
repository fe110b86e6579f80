//! The run that is being watched: what its events report, and how the user views it.

mod pictures;

pub use pictures::Pictures;

use crate::tui::backend::{Answer, Command};
use crate::tui::chart::ChartView;
use crate::tui::chart::plots::{Counted, PLOTS};
use crate::tui::message::EventBatch;
use crate::tui::model::{Model, ReportedState, Sample};
use crate::tui::panel::Panel;
use crate::tui::picture::Picture;
use crate::tui::text::clean;
use astill_core::profile::Profile;
use astill_core::run::command::PAUSED_BY_ITSELF;
use astill_core::run::event::{CommandStatus, EventKind, ImageSet, Phase, RunFinished};
use astill_core::run::{EngineAt, RunDir, result, was_out_of_memory};
use astill_core::text::percent;
use std::fmt;

/// A run that is being watched.
#[derive(Debug)]
pub struct Session {
    pub run: RunDir,
    /// As commands take it.
    reference: String,
    pub model: Model,
    /// The settings, once they have been read.
    pub profile: Option<Profile>,
    /// Bytes read and the size of the file, while older events are being read.
    pub loading: Option<(u64, u64)>,
    /// Where the engine is, once that is known.
    pub engine: Option<EngineAt>,
    /// It was killed, probably because memory ran out.
    pub out_of_memory: bool,
    /// Events arrive although no engine is running on this machine.
    elsewhere: bool,
    /// An engine was seen at work, so that its loss is news.
    was_at_work: bool,
    /// An engine that resumes the run was started, and has not reported its start.
    is_resuming: bool,
    /// Lines of the record that are no events.
    pub unreadable: u64,
    /// The panel that the user chose; by default the one that fits the phase.
    chosen: Option<Panel>,
    /// The chart that had the focus last: its page stays while another panel has it.
    last_chart: Option<Panel>,
    pub views: [ChartView; PLOTS.len()],
    pub pictures: Pictures,
    /// Commands that have not been answered yet.
    pub pending: Vec<Command>,
}

/// What the user should know even where nobody watches the screen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// How.
    Ended(String),
    /// It has paused by itself, because its numbers are not finite.
    Diverged,
}

impl fmt::Display for News {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(how) => f.write_str(how),
            Self::Diverged => f.write_str("has diverged and is paused"),
        }
    }
}

/// What an event reports that is such news.
fn news_of(event: &EventKind) -> Option<News> {
    match event {
        EventKind::RunFinished(finished) => {
            let result = finished
                .results
                .iter()
                .find(|r| r.labels == ImageSet::Distilled);
            let result = result.map(|r| format!(": {} %", percent(r.mean)));
            let reason = finished.reason.as_ref().map(|why| format!(": {why}"));
            let more = result.or(reason).unwrap_or_default();
            Some(News::Ended(format!("{}{more}", finished.status)))
        }
        EventKind::Command(answered)
            if answered.command == Command::Pause
                && answered.answer.reason.as_deref() == Some(PAUSED_BY_ITSELF) =>
        {
            Some(News::Diverged)
        }
        _ => None,
    }
}

fn is_start(event: &EventKind) -> bool {
    matches!(event, EventKind::RunStarted(_))
}

/// Whether only an engine records this: a setting is also changed, and a step taken back, without one.
fn needs_engine(event: &EventKind) -> bool {
    !matches!(event, EventKind::Command(_) | EventKind::RolledBack { .. })
}

/// The state of a run: what its events report, and whether an engine is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunStatus {
    Reported(ReportedState),
    /// An engine that resumes it was started, and has not reported its start.
    Starting,
    /// According to its events it is running, but there is no engine.
    Gone,
    /// An engine on another machine writes its events.
    Elsewhere,
    /// Its last engine ran on another machine; whether it is still running is not known.
    MaybeRemote,
    /// Its lock cannot be read, so that an engine may be running.
    Unknown,
}

impl Session {
    pub fn new(run: RunDir) -> Self {
        let views = std::array::from_fn(|i| ChartView {
            log_y: PLOTS[i].is_logarithmic(),
            ..ChartView::default()
        });
        Self {
            reference: run.reference(),
            run,
            model: Model::new(),
            profile: None,
            loading: Some((0, 0)),
            engine: None,
            out_of_memory: false,
            elsewhere: false,
            was_at_work: false,
            is_resuming: false,
            unreadable: 0,
            chosen: None,
            last_chart: None,
            views,
            pictures: Pictures::default(),
            pending: Vec::new(),
        }
    }

    /// Takes the next events of the run; the latest news among them, unless they are being read for
    /// the first time.
    pub fn receive_events(&mut self, batch: &EventBatch) -> Option<News> {
        let is_first = self.loading.is_some() || batch.restarted;
        if batch.restarted {
            self.begin_anew();
        }
        let was_loading = self.loading.is_some();
        batch.add_to(&mut self.model, &mut self.loading, Model::new);
        self.unreadable = batch.unreadable;
        let events = &batch.events;
        if events.iter().any(|e| is_start(&e.what)) {
            (self.engine, self.is_resuming) = (None, false);
            self.was_at_work |= !is_first;
        } else if events.iter().any(|e| needs_engine(&e.what))
            && !was_loading
            && matches!(
                self.engine,
                Some(EngineAt::Nowhere | EngineAt::MaybeRemote(_) | EngineAt::Unknown(_))
            )
        {
            self.elsewhere = true;
        }
        let mut latest_first = events.iter().rev().filter(|_| !is_first);
        latest_first.find_map(|event| news_of(&event.what))
    }

    /// Forgets what was known of a record in whose place there is another one.
    fn begin_anew(&mut self) {
        (self.pictures, self.profile) = (Pictures::default(), None);
        (self.engine, self.elsewhere, self.out_of_memory) = (None, false, false);
    }

    /// Takes where the engine was found; the loss of one that was at work is news.
    pub fn locate_engine(&mut self, engine: EngineAt) -> Option<News> {
        self.elsewhere &= engine != EngineAt::Here;
        self.is_resuming &= !matches!(engine, EngineAt::Host(_));
        let latest = self.model.header.as_ref();
        self.out_of_memory = engine == EngineAt::Nowhere && latest.is_some_and(was_out_of_memory);
        let was_at_work = self.was_at_work;
        self.was_at_work = engine == EngineAt::Here;
        self.engine = Some(engine);
        let is_lost = was_at_work && self.status() == RunStatus::Gone;
        is_lost.then(|| News::Ended(format!("interrupted: {}", self.why_gone())))
    }

    /// Why no engine is there although none reported its end.
    pub fn why_gone(&self) -> &'static str {
        match self.out_of_memory {
            true => "its engine was killed, probably because memory ran out",
            false => "its engine exited unexpectedly",
        }
    }

    /// An engine that resumes the run is being started, so that no other may be.
    pub fn begin_resuming(&mut self) {
        self.is_resuming = true;
    }

    /// It could not be started.
    pub fn end_resuming(&mut self) {
        self.is_resuming = false;
    }

    /// Takes the reply to a command; true if the settings of the run have changed.
    pub fn receive_answer(&mut self, command: &Command, answer: &Result<Answer, String>) -> bool {
        if let Some(position) = self.pending.iter().position(|c| c == command) {
            self.pending.remove(position);
        }
        match (command, answer) {
            (Command::Set { edit }, Ok(answer)) if answer.status == CommandStatus::Accepted => {
                self.profile = self.profile.take().map(|p| p.edited(edit).unwrap_or(p));
                true
            }
            _ => false,
        }
    }

    pub fn status(&self) -> RunStatus {
        match &self.engine {
            _ if self.is_resuming => RunStatus::Starting,
            _ if !self.model.is_live() || self.loading.is_some() => {
                RunStatus::Reported(self.model.state)
            }
            None | Some(EngineAt::Here) => RunStatus::Reported(self.model.state),
            Some(EngineAt::Host(_)) => RunStatus::Elsewhere,
            Some(_) if self.elsewhere => RunStatus::Elsewhere,
            Some(EngineAt::MaybeRemote(_)) => RunStatus::MaybeRemote,
            Some(EngineAt::Unknown(_)) => RunStatus::Unknown,
            Some(EngineAt::Nowhere) => RunStatus::Gone,
        }
    }

    /// The machine of an engine that is not on this one, for a sentence.
    pub fn host(&self) -> &str {
        match &self.engine {
            Some(EngineAt::Host(host) | EngineAt::MaybeRemote(host)) => host,
            _ => "another machine",
        }
    }

    /// Why its engine may or may not be running, for two sentences; empty unless that is not known.
    pub fn doubt(&self) -> String {
        match (self.status(), &self.engine) {
            (RunStatus::MaybeRemote, _) => format!(
                "The last engine ran on {} and did not report that it ended.",
                self.host()
            ),
            (_, Some(EngineAt::Unknown(why))) => {
                format!("Whether an engine is running cannot be told from here: {why}.")
            }
            _ => String::new(),
        }
    }

    /// Whether commands can reach an engine, perhaps only through the run's folder.
    pub fn is_reachable(&self) -> bool {
        let is_there = matches!(
            self.engine,
            Some(EngineAt::Host(_) | EngineAt::MaybeRemote(_))
        );
        self.is_live() || (is_there && self.status() == RunStatus::Elsewhere)
    }

    /// Whether an engine is at work on this machine.
    pub fn is_live(&self) -> bool {
        matches!(self.status(), RunStatus::Reported(_)) && self.model.is_live()
    }

    /// Whether the run has ended without a result, and no engine is there: its settings can be changed
    /// all the same.
    pub fn has_ended(&self) -> bool {
        matches!(
            self.status(),
            RunStatus::Gone | RunStatus::Reported(ReportedState::Stopped | ReportedState::Failed)
        )
    }

    /// Why no command can be sent, or why it may take long.
    pub fn why_no_engine(&self) -> String {
        let host = self.host();
        match self.status() {
            RunStatus::Elsewhere if self.is_reachable() => format!(
                "The engine runs on {host}. Commands reach it through the run's folder: an answer \
                 may take a minute or two."
            ),
            RunStatus::Elsewhere => {
                format!("The engine runs on {host}. From here you can only watch the run.")
            }
            RunStatus::MaybeRemote | RunStatus::Unknown => format!(
                "{} If there is none any more, press `resume` to start one here.",
                self.doubt()
            ),
            RunStatus::Starting => "An engine is being started for this run.".into(),
            RunStatus::Reported(ReportedState::Done) => {
                "The run is finished: `extend` adds iterations, `clone` starts a new run with its settings."
                    .into()
            }
            _ => "No engine is running. Press `resume` on the run's screen to start one.".into(),
        }
    }

    /// What is said of a command that was sent, until it is answered.
    pub fn sent(&self, command: &Command) -> String {
        match self.has_ended() {
            true => format!("{command}: changing the run, which no engine works on"),
            false => format!("{command}: sent, waiting for the engine's reply"),
        }
    }

    /// The result of a run that is done as a table, and in which folder its file is.
    pub fn result(&self) -> Option<String> {
        let finished = self.model.finished.as_ref()?;
        let mut table = result::table(finished)?;
        if let EventKind::RunFinished(RunFinished { file: Some(_), .. }) = finished {
            table += &format!(" in {}\n", clean(&self.run.path().to_string_lossy()));
            table += &clean(&result::next_step(&self.reference));
        }
        Some(table)
    }

    /// What to print when the user leaves the app.
    pub fn farewell(&self) -> String {
        let (name, run) = (clean(&self.run.name()), clean(&self.run.reference()));
        let finished = self.model.finished.as_ref();
        if let Some(table) = self.result() {
            return format!("Run {name} is done.\n\n{table}");
        }
        match self.status() {
            RunStatus::Elsewhere => {
                format!("Run {name} is still running; its engine is not on this machine")
            }
            RunStatus::MaybeRemote => {
                let host = clean(self.host());
                format!(
                    "Run {name} has no engine on this machine; its last one ran on {host} and did \
                     not report that it ended. If it is gone, resume the run with `astill resume \
                     {run} --detach`"
                )
            }
            RunStatus::Unknown => format!("Run {name}: {}", clean(&self.doubt())),
            RunStatus::Starting => {
                format!("Run {name} is being resumed; return to it with `astill attach {run}`")
            }
            RunStatus::Gone => {
                format!("Run {name} has lost its engine; resume it with `astill resume {run}`")
            }
            RunStatus::Reported(ReportedState::Stopped) => {
                format!("Run {name} is stopped; resume it with `astill resume {run}`")
            }
            RunStatus::Reported(ReportedState::Failed) => match finished {
                Some(EventKind::RunFinished(RunFinished {
                    reason: Some(reason),
                    ..
                })) => format!("Run {name} failed: {reason}"),
                _ => format!("Run {name} failed; see its log"),
            },
            RunStatus::Reported(ReportedState::Paused) => {
                format!("Run {name} is paused; return to it with `astill attach {run}`")
            }
            RunStatus::Reported(_) => {
                format!("Run {name} is still running; return to it with `astill attach {run}`")
            }
        }
    }

    /// Experts are being trained, or will be, and nothing has been distilled.
    pub fn is_learning(&self) -> bool {
        self.model.step == 0 && !matches!(self.model.phase, Some(Phase::Distill | Phase::Evaluate))
    }

    /// The panel with the focus.
    pub fn focus(&self) -> Panel {
        self.chosen.unwrap_or_else(|| match self.is_learning() {
            true => Panel::first(Counted::Epochs),
            false => Panel::first(Counted::Steps),
        })
    }

    /// Gives a panel the focus.
    pub fn choose(&mut self, panel: Panel) {
        let before = self.focus();
        if before.plot().is_some() {
            self.last_chart = Some(before);
        }
        self.chosen = Some(panel);
    }

    /// The chart with the focus, or the one that had it last.
    pub fn chart_in_focus(&self) -> Option<Panel> {
        let focus = self.focus();
        match focus.plot() {
            Some(_) => Some(focus),
            None => self.last_chart,
        }
    }

    /// Gives the focus to the panel after the one that has it, or before it, in this order.
    pub fn focus_next(&mut self, order: &[Panel], forward: bool) {
        let Some(last) = order.len().checked_sub(1) else {
            return;
        };
        let at = order.iter().position(|p| *p == self.focus()).unwrap_or(0);
        let by = if forward { 1 } else { last };
        self.choose(order[(at + by) % order.len()]);
    }

    /// The view of a panel's chart; none for a panel that is not a chart.
    pub fn view_of(&self, panel: Panel) -> Option<ChartView> {
        match panel {
            Panel::Chart(index) => self.views.get(index).cloned(),
            Panel::Pictures | Panel::Log => None,
        }
    }

    /// Changes the view of a panel's chart.
    pub fn change_view(&mut self, panel: Panel, change: impl FnOnce(ChartView) -> ChartView) {
        if let Panel::Chart(index) = panel
            && let Some(view) = self.views.get_mut(index)
        {
            *view = change(std::mem::take(view));
        }
    }

    /// The step that is looked at, on all charts over steps and in the pictures; none for the latest.
    pub fn cursor(&self) -> Option<f64> {
        self.view_of(Panel::first(Counted::Steps))
            .and_then(|v| v.cursor)
    }

    /// Moves the cursor of all charts that count this; their windows stay.
    pub fn set_cursor(&mut self, of: Counted, cursor: Option<f64>) {
        for (view, plot) in self.views.iter_mut().zip(PLOTS) {
            if plot.counted() == of {
                view.cursor = cursor;
            }
        }
    }

    /// The pictures up to the step that is looked at, at least one if there are any.
    pub fn samples(&self) -> &[Sample] {
        let all = &self.model.samples;
        let until = self.cursor().map_or(all.len(), |cursor| {
            all.partition_point(|s| s.step as f64 <= cursor).max(1)
        });
        all.get(..until).unwrap_or(all)
    }

    /// Removes the cursors, so that the latest points are read; false if there were none.
    pub fn clear_cursors(&mut self) -> bool {
        self.views
            .iter_mut()
            .filter_map(|v| v.cursor.take())
            .count()
            > 0
    }

    /// The pictures for the screen of the run: as [`Self::samples`], but up to that of the result where
    /// no step is looked at.
    fn overview(&self) -> &[Sample] {
        let best = self.model.best_sample().filter(|_| self.cursor().is_none());
        match best {
            Some(best) => {
                let all = &self.model.samples;
                &all[..all.partition_point(|s| s.step <= best.step)]
            }
            None => self.samples(),
        }
    }

    /// The picture to show on the screen of the run, of the last few that can be shown, and the one in
    /// the record, both up to the step that is looked at or the result.
    pub fn overview_picture(&self) -> (Option<(&Sample, &Picture)>, Option<&Sample>) {
        let samples = self.overview();
        let ready = samples
            .iter()
            .rev()
            .take(8)
            .find_map(|s| Some((s, self.pictures.get(s)?.ok()?)));
        (ready, samples.last())
    }
}
