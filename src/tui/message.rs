//! What reaches the app: keys, events of the run, and the results of its effects.

use crate::tui::backend::{
    AblationSummary, Answer, Command, Glance, NewRun, Preview, ProfileSummary, RunRequest,
    RunSummary, RunTemplate,
};
use crate::tui::capabilities::Answer as TerminalAnswer;
use crate::tui::model::{Model, Sample, Weight};
use crate::tui::picture::Picture;
use crate::tui::text::clean;
use astill_core::comparison::Comparison;
use astill_core::profile::Profile;
use astill_core::run::event::{CommandStatus, Event};
use astill_core::run::{EngineAt, RunDir};
use crossterm::event::{KeyEvent, MouseEvent};
use std::sync::Arc;

/// Something that happened outside the app.
#[derive(Debug)]
pub enum Message {
    Key(KeyEvent),
    Paste(String),
    /// Text that came as keys, faster than anybody types.
    Burst(String),
    Mouse(MouseEvent),
    /// Columns and rows.
    Resize(u16, u16),
    /// Seconds since 1970.
    Now(f64),
    Listed(Vec<ProfileSummary>, Vec<RunSummary>, Vec<AblationSummary>),
    /// The runs cannot be read, and why.
    Unlisted(String),
    Previewed(RunRequest, Box<Preview>),
    /// What was to be started, and the run that it has become.
    Started(NewRun, Result<RunDir, String>),
    /// How far the fetch of a data set is, in a line.
    Fetching(String),
    /// A data set is in this folder, or why it is not.
    Fetched(String, Result<String, String>),
    Resumed(RunDir, Result<(), String>),
    /// A run as the beginning of another.
    Template(RunDir, Result<Box<RunTemplate>, String>),
    Glanced(RunDir, Arc<Glance>),
    /// The run is not there any more, but here; nowhere if it was deleted.
    Moved(RunDir, Result<Option<RunDir>, String>),
    /// The note of a run was written.
    Noted(RunDir, Result<(), String>),
    /// Something that the user should know has happened.
    Noticed(String),
    Events(RunDir, EventBatch),
    /// Of a run that is compared with others.
    ComparedEvents(RunDir, EventBatch),
    /// Results and settings of runs that are compared, or why they cannot be read.
    Comparison(Vec<RunDir>, Result<Arc<Comparison>, String>),
    Engine(RunDir, EngineAt),
    Profile(RunDir, Result<Box<Profile>, String>),
    Checkpoints(RunDir, Result<Vec<u64>, String>),
    Answered(RunDir, Command, Result<Answer, String>),
    Picture(RunDir, Sample, Result<Picture, String>),
    /// The terminal has answered a question.
    TerminalAnswer(TerminalAnswer),
    /// A background task failed in a way that the user should know about.
    Trouble(String),
    /// A background task panicked, and the panic hook gave the terminal back.
    Panicked(String),
}

impl Message {
    /// Whether something that the user asked for could not be done.
    pub fn is_failed_change(&self) -> bool {
        matches!(
            self,
            Self::Started(_, Err(_))
                | Self::Resumed(_, Err(_))
                | Self::Moved(_, Err(_))
                | Self::Noted(_, Err(_))
                | Self::Answered(_, _, Err(_))
        )
    }
}

/// Some events of a run.
#[derive(Debug, Default)]
pub struct EventBatch {
    pub events: Vec<Event>,
    /// The first event is the first of the run; earlier ones no longer count.
    pub restarted: bool,
    /// Bytes read so far, and the size of the file.
    pub read: (u64, u64),
    /// The end of the file was reached.
    pub at_end: bool,
    /// Lines of the whole file so far that are no events.
    pub unreadable: u64,
}

impl EventBatch {
    /// Adds the events to what is known of the run; to a `fresh` model where earlier ones no longer
    /// count. `loading` is how much of the file has been read, until its end is reached for the first
    /// time.
    pub fn add_to(
        &self,
        model: &mut Model,
        loading: &mut Option<(u64, u64)>,
        fresh: impl FnOnce() -> Model,
    ) {
        if self.restarted {
            *model = fresh();
        }
        self.events.iter().for_each(|event| model.apply(event));
        *loading = (loading.is_some() && !self.at_end).then_some(self.read);
    }
}

/// The engine's reply to a command, as a line for the user.
pub fn describe_answer(command: &Command, answer: &Result<Answer, String>) -> (Weight, String) {
    let (weight, text) = match answer {
        Ok(answer) => {
            let reason = answer
                .reason_for(command)
                .map(|r| format!(" ({r})"))
                .unwrap_or_default();
            match answer.status {
                CommandStatus::Accepted => {
                    let change = answer.change();
                    (Weight::Result, format!("accepted{reason}{change}"))
                }
                CommandStatus::Rejected => (Weight::Warning, format!("rejected{reason}")),
            }
        }
        Err(problem) => (Weight::Warning, problem.clone()),
    };
    (weight, clean(&format!("{command}: {text}")))
}
