//! The command line. `astill` and its engine read the same arguments: the one does what needs no
//! libtorch and hands the rest on.

use crate::profile::{self, Loaded};
use crate::run::DEFAULT_RUNS_DIR;
use crate::run::command::Command;
use crate::{Error, Result};
use bench::{Measured, StudentOptions, Timed};
use clap::{Args, Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;

pub mod bench;

/// Distils an image data set into a few synthetic images per class.
///
/// The method is AST (alignment with smooth and high-quality expert trajectories, arXiv
/// 2310.10541).
#[derive(Debug, Parser)]
#[command(name = "astill", version, propagate_version = true)]
pub struct Cli {
    /// Where data sets and trajectories are [default: $XDG_DATA_HOME/astill]
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Where runs are
    #[arg(long, global = true, value_name = "DIR", default_value = DEFAULT_RUNS_DIR)]
    pub runs: PathBuf,
    #[command(flatten)]
    pub look: AppearanceArgs,
    /// Without one: the menu of profiles and runs
    #[command(subcommand)]
    pub command: Option<Cmd>,
}

/// How the app looks.
#[derive(Debug, Clone, Args)]
pub struct AppearanceArgs {
    /// auto, never, 16, 256 or truecolor [default: auto, what the terminal says]
    #[arg(long, global = true, value_name = "WHEN")]
    pub color: Option<String>,
    /// Draw with ASCII characters only
    #[arg(long, global = true)]
    pub ascii: bool,
    /// Take the mouse
    #[arg(long, global = true)]
    pub mouse: bool,
}

#[derive(Debug, Subcommand)]
pub enum Cmd {
    /// Distil as a profile says
    Run(RunArgs),
    /// Go on with a run that was stopped
    Resume {
        /// A name, a path, or the beginning of a name
        run: String,
        /// Stay in the foreground and report as text
        #[arg(long, conflicts_with = "detach")]
        headless: bool,
        /// Start it in the background and come back
        #[arg(long)]
        detach: bool,
        /// auto, cpu, cuda or cuda:N [default: that of the run]
        #[arg(long)]
        device: Option<String>,
        /// For the engine itself, in the background: the name of the run's profile
        #[arg(long, hide = true)]
        engine_of: Option<String>,
    },
    /// Look at a run, and steer it
    Attach {
        /// A name, a path, or the beginning of a name
        run: String,
        /// Only look: start nothing and send nothing
        #[arg(long)]
        read_only: bool,
    },
    /// List the runs
    List {
        /// As JSON on stdout
        #[arg(long)]
        json: bool,
    },
    /// Ask something of a running engine
    Send {
        /// A name, a path, or the beginning of a name
        run: String,
        #[command(subcommand)]
        what: Sent,
    },
    /// List the built-in profiles
    Profiles {
        /// As JSON on stdout
        #[arg(long)]
        json: bool,
    },
    /// Say whether a profile can be run, what it takes, and print it with every key
    Check {
        #[command(flatten)]
        profile: ProfileArgs,
        /// What to estimate for: auto (a GPU where there is one), cpu, cuda or cuda:N
        #[arg(long, default_value = "auto")]
        device: String,
        /// As JSON on stdout
        #[arg(long)]
        json: bool,
    },
    /// Look whether this machine has what astill needs
    Doctor {
        /// As JSON on stdout
        #[arg(long)]
        json: bool,
    },
    /// Time the work on this machine, on random data
    #[command(args_conflicts_with_subcommands = true)]
    Bench {
        /// What to time [default: student]
        #[command(subcommand)]
        what: Option<Timed>,
        #[command(flatten)]
        student: Measured<StudentOptions>,
    },
}

#[derive(Debug, Args)]
pub struct ProfileArgs {
    /// The name of a built-in profile, or the path of a file
    pub profile: String,
    /// Change a key: distill.ipc=3 (may be repeated)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// The seed of everything random (the same as --set seed=N)
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// The name of the run [default: the profile's with a number]
    #[arg(long)]
    pub name: Option<String>,
    /// auto (a GPU where there is one), cpu, cuda or cuda:N
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Stay in the foreground and report as text
    #[arg(long, conflicts_with = "detach")]
    pub headless: bool,
    /// Start it in the background, print the run's path, and come back
    #[arg(long)]
    pub detach: bool,
}

impl RunArgs {
    /// These arguments once more, for another process, without how it is to be run.
    pub fn to_arguments(&self) -> Vec<String> {
        let Self {
            profile: ProfileArgs { profile, set, seed },
            name,
            device,
            headless: _,
            detach: _,
        } = self;
        let mut arguments = vec![profile.clone(), format!("--device={device}")];
        arguments.extend(set.iter().map(|s| format!("--set={s}")));
        arguments.extend(seed.iter().map(|s| format!("--seed={s}")));
        arguments.extend(name.iter().map(|n| format!("--name={n}")));
        arguments
    }
}

/// What can be sent to an engine.
#[derive(Debug, Clone, Subcommand)]
pub enum Sent {
    /// Stand still until it is resumed
    Pause,
    /// Go on after a pause
    Resume,
    /// Write a checkpoint now
    Checkpoint,
    /// Evaluate the images as they are now
    Evaluate,
    /// Write a checkpoint and end
    Stop,
    /// Go back to a checkpoint
    RollBack {
        /// Its step
        step: u64,
    },
    /// Change a setting
    Set {
        /// distill.lr_images=30
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
    /// The profile that these arguments name, with their changes.
    pub fn load(&self) -> Result<Loaded> {
        let mut sets = self.set.clone();
        sets.extend(self.seed.map(|s| format!("seed={s}")));
        profile::load(&self.profile, &sets).map_err(Error::Profile)
    }
}

/// Where data sets and trajectories are: --data, else $XDG_DATA_HOME/astill, else
/// ~/.local/share/astill.
pub fn data_folder(given: Option<PathBuf>) -> Result<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    given
        .or_else(|| {
            set("XDG_DATA_HOME")
                .filter(|p| p.is_absolute())
                .map(|p| p.join("astill"))
        })
        .or_else(|| set("HOME").map(|p| p.join(".local/share/astill")))
        .map(|p| std::path::absolute(&p).unwrap_or(p))
        .ok_or_else(|| {
            Error::Usage(
                "neither XDG_DATA_HOME nor HOME is set: say where data sets and trajectories go \
                 with --data DIR"
                    .into(),
            )
        })
}

/// A line on stdout; a reader that has gone away is not an error.
pub fn out(text: impl std::fmt::Display) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Error::io("write to", "stdout")(e))
        }
        _ => Ok(()),
    }
}
