//! What the app needs from the rest of the program. The screens are tested with a fake one.

pub use astill_core::ablation::AblationSummary;
pub use astill_core::cli::DeviceChoice;
pub use astill_core::run::command::{Answer, Command};
pub use astill_core::run::list::{RunState, RunSummary};

use crate::tui::picture::Picture;
use crate::tui::series::Series;
use astill_core::Result;
use astill_core::comparison::Comparison;
use astill_core::profile::Profile;
use astill_core::run::{EngineAt, RunDir};

/// A profile of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct ProfileSummary {
    /// What `astill run` takes: a built-in name or a path.
    pub reference: String,
    /// In one line.
    pub description: String,
    /// The YAML as it was written.
    pub text: String,
    pub data: DataState,
    /// Whether it has the published settings of a method; such profiles come last.
    pub published: bool,
    /// Every key; none if the profile is refused.
    pub profile: Option<Box<Profile>>,
}

/// Whether the data set of a profile is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataState {
    /// Its folder or file is there, or it needs none.
    Ready,
    /// `astill fetch` brings it.
    Fetchable {
        /// By this name.
        set: String,
        /// Of all its files, where that is known.
        bytes: Option<u64>,
    },
    Missing,
}

/// A run that could be started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct RunRequest {
    /// A profile: what `astill run` takes.
    pub reference: String,
    /// Changes of it, each "section.key=value".
    pub sets: Vec<String>,
    pub device: DeviceChoice,
}

/// What is previewed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// A run that could be started.
    Start(RunRequest),
    /// One that there is, once it has come so far: in twentieths of its steps.
    Run(RunDir, u64),
}

/// A run that is to be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRun {
    pub request: RunRequest,
    /// By default, the name of the profile and a number.
    pub name: Option<String>,
}

/// What is known of a run before it is started.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// Every key, or what is wrong with it.
    pub profile: Result<Profile, String>,
    /// How many images there are, or what is wrong with them.
    pub data: Result<String, String>,
    /// What of the files is left out, by class and reason, and what else to know about the data.
    pub remarks: Vec<String>,
    /// "cpu", "cuda:0".
    pub device: String,
    /// Memory on the device and time, estimated.
    pub memory_mib: Option<f64>,
    pub seconds: Option<f64>,
    /// Memory of the device that is free now.
    pub free_mib: Option<f64>,
    /// Why nothing was estimated.
    pub not_measured: Option<String>,
}

/// A finished or stopped run as the beginning of another.
#[derive(Debug, Clone, PartialEq)]
pub struct RunTemplate {
    /// The file of its settings.
    pub reference: String,
    /// The settings in that file.
    pub profile: Profile,
    /// What was changed since, each "section.key=value".
    pub sets: Vec<String>,
    /// A name for the new one that is free.
    pub name: String,
    /// Whether its data set is here.
    pub data: DataState,
}

/// A run at a glance.
#[derive(Debug, Clone, Default)]
pub struct Glance {
    /// The matching loss over the steps; none where reading it would take long.
    pub loss: Option<Series>,
    /// The latest synthetic images: the first of each class, [`Glance::IMAGES`] at most, with the names
    /// of the classes as far as they are known.
    pub images: Vec<Picture>,
    pub classes: Vec<String>,
    /// Which images they are, and the accuracy with them, in per cent: of real images.
    pub baselines: Vec<(String, f64)>,
    /// The record is so long that only its beginning was read.
    pub is_long: bool,
}

impl Glance {
    /// No screen has room for more.
    pub const IMAGES: usize = 24;

    /// With the first image of every row of a picture whose images have sides of `size` pixels.
    pub fn new(loss: Option<Series>, picture: Option<&Picture>, size: usize) -> Self {
        let images = picture.into_iter().flat_map(|picture| {
            let rows = 0..picture.rows(size).min(Self::IMAGES);
            rows.filter_map(|row| picture.tile(size, row, 0))
        });
        Self {
            loss,
            images: images.collect(),
            ..Self::default()
        }
    }
}

/// The rest of the program, as the app sees it. Every method may block: the app calls them in
/// the background.
pub trait Backend: Send + Sync + 'static {
    /// The profiles to offer, those for a first try in front.
    fn profiles(&self) -> Vec<ProfileSummary>;
    /// All runs that are not part of an ablation.
    ///
    /// # Errors
    /// Their folder cannot be read.
    fn runs(&self) -> Result<Vec<RunSummary>>;
    /// All ablations.
    ///
    /// # Errors
    /// As [`Self::runs`].
    fn ablations(&self) -> Result<Vec<AblationSummary>>;
    /// What a run would be; none if `is_outdated` has become true meanwhile. It is called for one run
    /// after the other, never for two at once.
    fn preview(&self, request: &RunRequest, is_outdated: &dyn Fn() -> bool) -> Option<Preview>;
    /// Brings a data set that can be fetched; `report` gets lines for people. Its folder. Once `is_ended`,
    /// it stops, and what has arrived stays for the next time.
    ///
    /// # Errors
    /// No source gives it, it cannot be written, or it was stopped.
    fn fetch(
        &self,
        set: &str,
        report: &dyn Fn(String),
        is_ended: &dyn Fn() -> bool,
    ) -> Result<String>;
    /// Starts an engine of its own for a new run.
    ///
    /// # Errors
    /// The engine cannot be started, or refuses the profile.
    fn start(&self, new: &NewRun) -> Result<RunDir>;
    /// Starts an engine of its own that resumes a run, with changes of live settings, each
    /// "section.key=value".
    ///
    /// # Errors
    /// The engine cannot be started, or refuses to resume the run.
    fn resume(&self, run: &RunDir, sets: &[String]) -> Result<()>;
    /// The settings of a run as they are now, edits included.
    ///
    /// # Errors
    /// The profile or the edits of the run cannot be read.
    fn profile(&self, run: &RunDir) -> Result<Profile>;
    /// A run as the beginning of another.
    ///
    /// # Errors
    /// The profile or the edits of the run cannot be read.
    fn template(&self, run: &RunDir) -> Result<RunTemplate>;
    /// The curve and some images of a run, as far as they are cheap.
    fn glance(&self, run: &RunDir) -> Glance;
    /// Removes the folder of a run.
    ///
    /// # Errors
    /// An engine works on it, or may do so; the folder cannot be removed.
    fn delete(&self, run: &RunDir) -> Result<()>;
    /// Gives a run another name in the same folder.
    ///
    /// # Errors
    /// As [`Self::delete`]; the name is bad or taken.
    fn rename(&self, run: &RunDir, name: &str) -> Result<RunDir>;
    /// Writes the note of a run; an empty one removes it.
    ///
    /// # Errors
    /// It cannot be written.
    fn write_note(&self, run: &RunDir, note: &str) -> Result<()>;
    /// Results of several runs, and the settings in which they differ.
    ///
    /// # Errors
    /// The profile, the edits or the events of a run cannot be read.
    fn compare(&self, runs: &[RunDir]) -> Result<Comparison> {
        Comparison::read(runs)
    }
    /// The steps whose checkpoints a run can go back to.
    ///
    /// # Errors
    /// Their folder cannot be read.
    fn checkpoints(&self, run: &RunDir) -> Result<Vec<u64>>;
    /// Where the engine of this run is.
    fn engine(&self, run: &RunDir) -> EngineAt;
    /// Sends a command and waits for the answer, not longer than a few seconds. A setting is also
    /// changed, and a step taken back, where no engine works on the run.
    ///
    /// # Errors
    /// No engine here has the run, or it does not answer in time.
    fn send(&self, run: &RunDir, command: &Command) -> Result<Answer>;
    /// Runs the command that the user gave for the end of a run, and waits for its end.
    ///
    /// # Errors
    /// The record of the run cannot be read; the command cannot be started, or fails.
    fn run_command(&self, command: &str, run: &RunDir) -> Result<()>;
}
