//! The arguments of `astill import`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What can be imported.
#[derive(Debug, Clone, Subcommand)]
pub enum Import {
    /// Import expert trajectories that another program recorded: replay_buffer_N.pt of the
    /// trajectory-matching family (MTT, FTD, DATM and others)
    Experts(ImportExpertsArgs),
}

/// Which experts, and what they were trained for.
#[derive(Debug, Clone, Args)]
pub struct ImportExpertsArgs {
    /// Folder of the files replay_buffer_N.pt, or one such file
    #[arg(value_name = "DIR")]
    pub from: PathBuf,
    /// Profile, by name or path, whose data set and network the experts were trained with [default:
    /// what the name of the folder and the shapes of the tensors say]
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Override a key of that profile, for example dataset.zca=false (repeatable)
    #[arg(long, value_name = "KEY=VALUE", requires = "profile")]
    pub set: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
