//! The arguments of `astill tune`.

use super::DeviceChoice;
use clap::Args;
use std::path::PathBuf;

/// The profile, what is tried, and where the result goes.
#[derive(Debug, Clone, Args)]
pub struct TuneArgs {
    /// Name of a built-in profile, or path of a profile file
    pub profile: String,
    /// Values of distill.step to try, separated by commas
    #[arg(
        long,
        value_name = "STEP,…",
        value_delimiter = ',',
        default_value = "0.03,0.06,0.12"
    )]
    pub steps: Vec<f64>,
    /// Iterations of each trial
    #[arg(long, value_name = "N", default_value_t = 150, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    pub iterations: u64,
    /// Override a key in the profile, for example distill.ipc=3 (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// File to write the profile to [default: PROFILE-tuned.yaml in this directory]
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// Name of the trials among the runs [default: PROFILE-tuning]
    #[arg(long)]
    pub name: Option<String>,
    /// auto (a GPU if there is one), cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
}
