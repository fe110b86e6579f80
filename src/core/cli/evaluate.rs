//! The arguments of `astill evaluate`.

use super::DeviceChoice;
use crate::profile::NetworkKind;
use clap::Args;

/// Which distilled set, and how networks learn from it.
#[derive(Debug, Clone, Args)]
pub struct EvaluateArgs {
    /// Name or path of a finished run, or a distilled set: a file or folder of `astill export`, or
    /// images_best.pt of another program
    #[arg(value_name = "RUN|FILE")]
    pub set: String,
    /// Name or path of the profile with data set and networks, for a set of another program
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
    /// Override a key of that profile, for example dataset.zca=false (repeatable); for a set that holds
    /// its profile, only dataset.path
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub changes: Vec<String>,
    /// Networks to train on the set [default: those of the profile]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = network)]
    pub networks: Vec<NetworkKind>,
    /// Fresh networks of each kind [default: that of the profile]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub repeats: Option<u64>,
    /// Length of each network's training, in passes over the set [default: that of the profile]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub epochs: Option<u64>,
    /// Learning rate of the networks [default: that of the profile, or the learned one of the set]
    #[arg(long, value_name = "RATE", value_parser = rate)]
    pub lr: Option<f64>,
    /// auto (a GPU if there is one), cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn network(text: &str) -> Result<NetworkKind, String> {
    let found = NetworkKind::ALL.iter().find(|kind| kind.name() == text);
    found
        .copied()
        .ok_or_else(|| format!("expected some of: {}", NetworkKind::NAMES.join(", ")))
}

fn rate(text: &str) -> Result<f64, &'static str> {
    let value = text.parse().ok();
    value
        .filter(|v| *v > 0. && *v <= 10.)
        .ok_or("expected a number above 0 and up to 10")
}
