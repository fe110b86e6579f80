//! The arguments of `astill scores`.

use super::DeviceChoice;
use clap::Args;
use serde::{Deserialize, Serialize};

/// Whose scores, and how they are measured.
#[derive(Debug, Clone, Args)]
pub struct ScoresArgs {
    /// Name or path of the run
    pub run: String,
    #[command(flatten)]
    pub protocol: ScoresProtocol,
    /// auto (a GPU if there is one), cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// How the networks are trained.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Args)]
pub struct ScoresProtocol {
    /// Networks to train for every accuracy
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=1000))]
    pub repeats: u64,
    /// Length of each network's training, in passes over the small set
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub epochs: u64,
    /// Length of the training on all real images, of one network
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub full_epochs: u64,
    /// Test accuracy in per cent of a network that was trained on all real images, where it is known
    /// [default: train one; it is kept for other runs]
    #[arg(long, value_name = "PERCENT", value_parser = accuracy)]
    pub full_accuracy: Option<f64>,
}

fn accuracy(text: &str) -> Result<f64, &'static str> {
    let value = text.parse().ok();
    value
        .filter(|v| (0. ..=100.).contains(v))
        .ok_or("expected a number from 0 to 100")
}
