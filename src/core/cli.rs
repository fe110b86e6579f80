//! The command line. `astill` and its engine read the same arguments: `astill` does what needs no
//! libtorch and leaves the rest to the engine.

use crate::profile::{self, Loaded};
use crate::run::DEFAULT_RUNS_DIR;
use crate::run::command::Command;
use crate::{Error, Result};
use bench::{Measured, StudentOptions, Timed};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use std::io::Write;
use std::path::PathBuf;

mod ablate;
pub mod bench;
mod compare;
mod device;
mod evaluate;
mod experts;
mod export;
mod fetch;
mod import;
mod list;
mod plot;
mod resume;
mod scores;
mod slurm;
#[cfg(test)]
mod tests;
mod tune;
mod workers;

pub use ablate::AblateArgs;
pub use compare::CompareArgs;
pub use device::{DeviceChoice, DeviceList, NotADevice, NotDevices};
pub use evaluate::EvaluateArgs;
pub use experts::{ExpertNumbers, ExpertsArgs};
pub use export::{ExportArgs, Space};
pub use fetch::FetchArgs;
pub use import::{Import, ImportExpertsArgs};
pub use list::{ListArgs, ListedState, SortedBy};
pub use plot::PlotArgs;
pub use resume::{ResumeArgs, ResumeChanges};
pub use scores::{ScoresArgs, ScoresProtocol};
pub use slurm::{Gpus, NotGpus, SlurmArgs};
pub use tune::TuneArgs;
pub use workers::{ListenAddress, NotAListenAddress, WorkArgs, WorkersArgs, WorkersChoice};

/// The heading of the options that every command has.
const GLOBAL: &str = "Global options";

/// Distil an image data set into a few synthetic images per class.
///
/// The method is AST (alignment with smooth and high-quality expert trajectories, arXiv
/// 2310.10541). Without a command, astill opens its menu of profiles and runs.
#[derive(Debug, Parser)]
#[command(name = "astill", version, propagate_version = true)]
pub struct Cli {
    /// Directory for data sets and expert trajectories [default: $XDG_DATA_HOME/astill, or
    /// ~/.local/share/astill]
    #[arg(long, global = true, value_name = "DIR", help_heading = GLOBAL)]
    pub data: Option<PathBuf>,
    /// Directory for runs
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT_RUNS_DIR)]
    #[arg(help_heading = GLOBAL)]
    pub runs: PathBuf,
    #[command(flatten)]
    pub look: AppearanceArgs,
    /// Without a command: only watch, start no engine and send no commands
    #[arg(long)]
    pub read_only: bool,
    #[command(subcommand)]
    pub command: Option<Cmd>,
}

/// How the app looks.
#[derive(Debug, Clone, Args)]
pub struct AppearanceArgs {
    /// Colours to use; auto asks the terminal and respects NO_COLOR
    #[arg(
        long,
        global = true,
        value_name = "COLORS",
        default_value_t,
        value_enum
    )]
    #[arg(help_heading = GLOBAL)]
    pub color: ColorChoice,
    /// Draw with ASCII characters only
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub ascii: bool,
    /// Enable mouse support
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub mouse: bool,
    /// File of keys, over those that astill comes with [default: keys.yaml in $XDG_CONFIG_HOME/astill
    /// or ~/.config/astill, if it is there]
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    pub keys: Option<PathBuf>,
    /// File of colours, over those that astill comes with [default: theme.yaml in the same folder]
    #[arg(long, global = true, value_name = "FILE", help_heading = GLOBAL)]
    pub theme: Option<PathBuf>,
    /// Ring the bell and have the terminal show a message (OSC 9 and 777) when the run in the app
    /// ends, fails, diverges or loses its engine
    #[arg(long, global = true, help_heading = GLOBAL)]
    pub notify: bool,
}

/// How many colours the app may use; with `Auto`, as many as the environment says that the terminal
/// has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    // a doc comment here would make every --help twice as long
    #[default]
    Auto,
    Never,
    #[value(name = "16")]
    Ansi16,
    #[value(name = "256")]
    Ansi256,
    #[value(name = "truecolor")]
    TrueColor,
}

#[derive(Debug, Subcommand)]
pub enum Cmd {
    /// Run a profile
    Run(RunArgs),
    /// Resume a stopped run
    Resume(ResumeArgs),
    /// Open a run in the app, to watch and control it
    Attach {
        /// Name or path of the run, or the beginning of its name; by default the only run at work
        run: Option<String>,
        /// Only watch: start no engine and send no commands
        #[arg(long)]
        read_only: bool,
        /// Run this shell command if the run ends while it is watched; see `astill run --help`
        #[arg(long, value_name = "COMMAND")]
        on_finish: Option<String>,
    },
    /// Help a run that distils with its segments, from this machine or another
    Work(WorkArgs),
    /// List the runs
    List(ListArgs),
    /// Compare the results and the settings of runs
    Compare(CompareArgs),
    /// Draw charts of runs into a file
    Plot(PlotArgs),
    /// Send a command to a running engine
    Send {
        /// Name or path of the run
        run: String,
        #[command(subcommand)]
        what: Sent,
    },
    /// List the built-in profiles
    Profiles {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Validate a profile, estimate its cost, and print it in full
    Check {
        #[command(flatten)]
        profile: ProfileArgs,
        /// Device to estimate for: auto (a GPU if there is one), cpu, cuda or cuda:N
        #[arg(long, default_value_t)]
        device: DeviceChoice,
        /// Only validate: do not measure how long it takes
        #[arg(long)]
        no_estimate: bool,
        /// Read the labels alone: do not look for equal, transparent or unreadable images
        #[arg(long)]
        no_images: bool,
        /// For the app only: JSON also where the data set is not there, and measured only where no
        /// run is at work on the device
        #[arg(long, hide = true)]
        preview: bool,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Train the experts of a profile that are missing, and nothing else
    ///
    /// Any number of these, of runs and of machines can share the experts of one data folder: each
    /// takes what no other is training. Ends at once where nothing is missing.
    Experts(ExpertsArgs),
    /// Print a script that submits a run to Slurm: an array of jobs for the experts, then the run
    Slurm(SlurmArgs),
    /// Run variants of a profile with several seeds, and compare them
    Ablate(AblateArgs),
    /// Try a few image steps briefly, and write a profile with the one that suits the data
    Tune(TuneArgs),
    /// Download a data set into the data folder
    Fetch(FetchArgs),
    /// Write a distilled set in a format that other programs read
    Export(ExportArgs),
    /// Train networks of several kinds on a distilled set and test them
    Evaluate(EvaluateArgs),
    /// Compute the DD-Ranking and DC-BENCH scores of a finished run
    Scores(ScoresArgs),
    /// Import what other programs have computed
    Import {
        #[command(subcommand)]
        what: Import,
    },
    /// Check this machine for everything astill needs
    Doctor {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print a file of keys to change them with, all of it comments
    Keys(UserFileArgs),
    /// Print a file of colours to change them with, all of it comments
    Theme(UserFileArgs),
    /// Print the completions of the command line for a shell
    Completions {
        /// The shell, for example bash
        shell: Shell,
    },
    /// Print the manual page, or write the pages of all commands into a folder
    Man {
        /// Write a page for every command into this folder
        #[arg(long, value_name = "DIR")]
        to: Option<PathBuf>,
    },
    /// Measure the speed of this machine on random data
    #[command(args_conflicts_with_subcommands = true)]
    Bench {
        /// What to measure [default: student]
        #[command(subcommand)]
        what: Option<Timed>,
        #[command(flatten)]
        student: Measured<StudentOptions>,
    },
}

#[derive(Debug, Args)]
pub struct UserFileArgs {
    /// Write it where astill looks for it, unless there is one, and print its path
    #[arg(long)]
    pub write: bool,
}

#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// Name of a built-in profile, or path of a profile file
    pub profile: String,
    /// Override a key, for example distill.ipc=3 (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Seed of everything random (same as --set seed=N)
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = whole_number)]
    pub seed: Option<u64>,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// Name of the run [default: the profile's name and a number]
    #[arg(long)]
    pub name: Option<String>,
    /// auto (a GPU if there is one), cpu, cuda or cuda:N; or several devices, each with a process of
    /// its own, which train experts, compute segments and train the networks of evaluations side by
    /// side: cuda:0,cuda:1, or cpux4 for four processes that share the processors
    #[arg(long, default_value_t)]
    pub device: DeviceList,
    /// Stay in the foreground and print progress as text
    #[arg(long, conflicts_with = "detach")]
    pub headless: bool,
    /// Start the engine in the background, print the run's path, and return
    #[arg(long)]
    pub detach: bool,
    /// Resume the run of that name if it is there already: a job that is queued again just continues
    #[arg(long, requires = "name")]
    pub or_resume: bool,
    /// Run this shell command when the run ends: $ASTILL_RUN, $ASTILL_STATUS, $ASTILL_REASON and
    /// $ASTILL_ACCURACY say how
    #[arg(long, value_name = "COMMAND")]
    pub on_finish: Option<String>,
    #[command(flatten)]
    pub workers: WorkersArgs,
    /// For ablations only: end with an error where the run would pause for an answer
    #[arg(long, hide = true)]
    pub unattended: bool,
}

fn whole_number(text: &str) -> std::result::Result<u64, &'static str> {
    text.parse()
        .map_err(|_| "expected a whole number from 0 to 2^64 − 1")
}

impl RunArgs {
    /// These arguments for another process, except --headless and --detach.
    pub fn to_arguments(&self) -> Vec<String> {
        let Self {
            profile: ProfileArgs { profile, set, seed },
            name,
            device,
            headless: _,
            detach: _,
            or_resume: _,
            on_finish,
            workers,
            unattended: _,
        } = self;
        let mut arguments = vec![profile.clone(), format!("--device={device}")];
        arguments.extend(set.iter().map(|s| format!("--set={s}")));
        arguments.extend(seed.iter().map(|s| format!("--seed={s}")));
        arguments.extend(name.iter().map(|n| format!("--name={n}")));
        arguments.extend(on_finish.iter().map(|c| format!("--on-finish={c}")));
        arguments.extend(workers.to_arguments());
        arguments
    }
}

/// The commands that can be sent to an engine.
#[derive(Debug, Clone, Subcommand)]
pub enum Sent {
    /// Pause until resumed
    Pause,
    /// Resume after a pause
    Resume,
    /// Write a checkpoint now
    Checkpoint,
    /// Evaluate the current synthetic images
    Evaluate,
    /// Write a checkpoint and stop
    Stop,
    /// Go back to an earlier checkpoint
    RollBack {
        /// Step of that checkpoint
        #[arg(allow_negative_numbers = true, value_parser = whole_number)]
        step: u64,
    },
    /// Change a live setting
    Set {
        /// The setting and its new value, for example distill.lr_images=30
        #[arg(value_name = "KEY=VALUE")]
        edit: String,
    },
}

impl From<Sent> for Command {
    fn from(sent: Sent) -> Self {
        match sent {
            Sent::Pause => Self::Pause,
            Sent::Resume => Self::Resume,
            Sent::Checkpoint => Self::Checkpoint,
            Sent::Evaluate => Self::Evaluate,
            Sent::Stop => Self::Stop {
                reason: "astill send".into(),
            },
            Sent::RollBack { step } => Self::RollBack { step },
            Sent::Set { edit } => Self::Set { edit },
        }
    }
}

impl ProfileArgs {
    /// The profile that these arguments name, with their overrides.
    ///
    /// # Errors
    /// Everything that is wrong with the profile or an override.
    pub fn load(&self) -> Result<Loaded> {
        let mut sets = self.set.clone();
        sets.extend(self.seed.map(|s| format!("seed={s}")));
        profile::load(&self.profile, &sets).map_err(Error::Profile)
    }
}

/// The directory for data sets and expert trajectories: --data, else $XDG_DATA_HOME/astill, else
/// ~/.local/share/astill.
///
/// # Errors
/// None is given, and the environment names none.
pub fn data_folder(given: Option<PathBuf>) -> Result<PathBuf> {
    given
        .or_else(|| own_folder("XDG_DATA_HOME", ".local/share"))
        .map(|p| std::path::absolute(&p).unwrap_or(p))
        .ok_or_else(|| {
            Error::Usage(
                "neither XDG_DATA_HOME nor HOME is set; choose the directory for data sets and \
                 expert trajectories with --data DIR"
                    .into(),
            )
        })
}

/// The directory for the user's own keys and colours: $XDG_CONFIG_HOME/astill, else ~/.config/astill; none
/// where the environment names none.
#[must_use]
pub fn config_folder() -> Option<PathBuf> {
    own_folder("XDG_CONFIG_HOME", ".config")
}

/// astill's folder below that of a variable of the XDG base directories, or below the user's home.
fn own_folder(variable: &str, below_home: &str) -> Option<PathBuf> {
    let set = |name| {
        let value = std::env::var_os(name).filter(|v| !v.is_empty());
        value.map(PathBuf::from)
    };
    let base = set(variable).filter(|p| p.is_absolute());
    base.or_else(|| set("HOME").map(|home| home.join(below_home)))
        .map(|base| base.join("astill"))
}

/// Prints a line to stdout.
///
/// # Errors
/// It cannot be written, except because the reader has closed the pipe.
pub fn out(text: impl std::fmt::Display) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("write to", "stdout")(e))
        }
        _ => Ok(()),
    }
}
