//! The options of `astill list`.

use clap::{Args, ValueEnum};

#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Order of the runs: the latest, the first by name, or the most accurate first
    #[arg(long, value_name = "ORDER", default_value_t, value_enum)]
    pub sort: SortedBy,
    /// Only runs in this state (repeatable)
    #[arg(long, value_name = "STATE", value_enum)]
    pub state: Vec<ListedState>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What `astill list` sorts by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum SortedBy {
    #[default]
    Date,
    Name,
    Accuracy,
}

/// The states that `astill list` can be limited to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListedState {
    Running,
    Paused,
    Waiting,
    Stopped,
    Done,
    Failed,
    Interrupted,
    Elsewhere,
}
