//! What the app needs from the rest of the program. The screens are tested with a fake one.

pub use astill_core::ablation::AblationSummary;
pub use astill_core::run::command::{Answer, Command};
pub use astill_core::run::list::{RunState, RunSummary};

use astill_core::Result;
use astill_core::comparison::Comparison;
use astill_core::profile::Profile;
use astill_core::run::{EngineAt, RunDir};

/// A profile of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
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
}

/// Whether the data set of a profile is on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DataState {
    /// Its folder is there, or it needs none.
    Ready,
    /// `astill fetch` brings it, by this name.
    Fetchable(String),
    Missing,
}

/// What is known of a profile before it is started.
#[derive(Debug, Clone)]
pub struct Preview {
    /// Every key, or what is wrong with it.
    pub profile: Result<Profile, String>,
    /// How many images there are, or how to get them.
    pub data: Result<String, String>,
    /// "cpu", "cuda:0".
    pub device: String,
    /// Memory on the device and time, estimated.
    pub memory_mib: Option<f64>,
    pub seconds: Option<f64>,
}

/// The rest of the program, as the app sees it. Every method may block: the app calls them in
/// the background.
pub trait Backend: Send + Sync + 'static {
    /// The profiles to offer, those for a first try in front.
    fn profiles(&self) -> Vec<ProfileSummary>;
    /// All runs that are not part of an ablation.
    fn runs(&self) -> Vec<RunSummary>;
    /// All ablations.
    fn ablations(&self) -> Vec<AblationSummary>;
    fn preview(&self, reference: &str) -> Preview;
    /// Brings a data set that can be fetched; `report` gets lines for people. Its folder.
    ///
    /// # Errors
    /// No source gives it, or it cannot be written.
    fn fetch(&self, set: &str, report: &dyn Fn(String)) -> Result<String>;
    /// Starts an engine of its own for a new run of this profile.
    ///
    /// # Errors
    /// The engine cannot be started, or refuses the profile.
    fn start(&self, reference: &str) -> Result<RunDir>;
    /// Starts an engine of its own that resumes a stopped run.
    ///
    /// # Errors
    /// The engine cannot be started, or refuses to resume the run.
    fn resume(&self, run: &RunDir) -> Result<()>;
    /// The settings of a run as they are now, edits included.
    ///
    /// # Errors
    /// The profile or the edits of the run cannot be read.
    fn profile(&self, run: &RunDir) -> Result<Profile>;
    /// Results of several runs, and the settings in which they differ.
    ///
    /// # Errors
    /// The profile, the edits or the events of a run cannot be read.
    fn compare(&self, runs: &[RunDir]) -> Result<Comparison> {
        Comparison::read(runs)
    }
    /// The steps whose checkpoints a run can go back to.
    fn checkpoints(&self, run: &RunDir) -> Vec<u64>;
    /// Where the engine of this run is.
    fn engine(&self, run: &RunDir) -> EngineAt;
    /// Sends a command and waits for the answer, not longer than a few seconds.
    ///
    /// # Errors
    /// No engine here has the run, or it does not answer in time.
    fn send(&self, run: &RunDir, command: &Command) -> Result<Answer>;
}
