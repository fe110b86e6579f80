//! The arguments of `astill ablate`.

use super::DeviceChoice;
use clap::Args;
use std::path::PathBuf;

/// The variants, the seeds, and where they are run.
#[derive(Debug, Clone, Args)]
pub struct AblateArgs {
    /// Name of a built-in profile, or path of a profile file
    pub profile: String,
    /// Number of seeds: 0, 1 … N − 1 of the validation split, the experts and every draw
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub seeds: u64,
    /// YAML file with a line for each variant: NAME: {SECTION.KEY: VALUE, …} [default: none, only
    /// the profile itself]
    #[arg(long, value_name = "FILE")]
    pub variants: Option<PathBuf>,
    /// Override a key in the profile and all variants, for example distill.ipc=3 (repeatable)
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Use the same data and experts with every seed, so that only the draws differ: less to
    /// compute, but the result holds for these experts only
    #[arg(long)]
    pub same_experts: bool,
    /// Name of the ablation [default: the names of the profile and the file of variants]
    #[arg(long)]
    pub name: Option<String>,
    /// auto (a GPU if there is one), cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
}
