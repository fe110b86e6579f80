//! The arguments of `astill resume`.

use super::{DeviceList, WorkersArgs};
use clap::Args;

#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Name or path of the run
    pub run: String,
    /// Stay in the foreground and print progress as text
    #[arg(long, conflicts_with = "detach")]
    pub headless: bool,
    /// Start the engine in the background, print the run's path, and return
    #[arg(long)]
    pub detach: bool,
    #[command(flatten)]
    pub changes: ResumeChanges,
    /// For the engine in the background only: the name of the run's profile
    #[arg(long, hide = true)]
    pub engine_of: Option<String>,
    /// Set where `run --or-resume` has become this command, never given.
    #[arg(skip)]
    pub is_requeued: bool,
    /// For ablations only: end with an error where the run would pause for an answer
    #[arg(long, hide = true)]
    pub unattended: bool,
}

/// What is to be different from the run's last engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct ResumeChanges {
    /// auto (a GPU if there is one), cpu, cuda or cuda:N, or several; see `astill run --help`
    /// [default: the run's last device]
    #[arg(long)]
    pub device: Option<DeviceList>,
    /// Change a live setting from here on, for example distill.iterations=8000 (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Run this shell command when the run ends: $ASTILL_RUN, $ASTILL_STATUS, $ASTILL_REASON and
    /// $ASTILL_ACCURACY say how
    #[arg(long, value_name = "COMMAND")]
    pub on_finish: Option<String>,
    #[command(flatten)]
    pub workers: WorkersArgs,
}

impl ResumeChanges {
    /// These as arguments for another process.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<String> {
        let Self {
            device,
            set,
            on_finish,
            workers,
        } = self;
        let mut arguments = Vec::new();
        arguments.extend(device.iter().map(|d| format!("--device={d}")));
        arguments.extend(set.iter().map(|s| format!("--set={s}")));
        arguments.extend(on_finish.iter().map(|c| format!("--on-finish={c}")));
        arguments.extend(workers.to_arguments());
        arguments
    }

    /// Whether only a new engine can carry them out: the command for the end of the run can also be
    /// run by the app.
    #[must_use]
    pub fn need_new_engine(&self) -> bool {
        self.device.is_some() || !self.set.is_empty() || !self.workers.is_empty()
    }
}
