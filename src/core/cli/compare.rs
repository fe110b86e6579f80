//! The arguments of `astill compare`.

use clap::Args;

/// Which runs are compared, and how that is printed.
#[derive(Debug, Clone, Args)]
pub struct CompareArgs {
    /// Names or paths of two or more runs, or the beginnings of their names
    #[arg(required = true, num_args = 2.., value_name = "RUN")]
    pub compared: Vec<String>,
    /// Print JSON
    #[arg(long, conflicts_with = "csv")]
    pub json: bool,
    /// Print comma-separated values, a line per run
    #[arg(long)]
    pub csv: bool,
}
