//! The arguments of `astill plot`.

use clap::Args;
use std::path::PathBuf;

/// What is drawn, and into which file.
#[derive(Debug, Clone, Args)]
pub struct PlotArgs {
    /// Names or paths of one or more runs, or the beginnings of their names
    #[arg(required = true, value_name = "RUN")]
    pub plotted: Vec<String>,
    /// The file to write: .svg or .png, or .csv for the numbers of the charts
    #[arg(long, value_name = "FILE", required_unless_present = "tensorboard")]
    pub to: Option<PathBuf>,
    /// Write the measured numbers for TensorBoard: a folder per run in this one
    #[arg(long, value_name = "DIR")]
    pub tensorboard: Option<PathBuf>,
    /// A chart to draw (repeatable), all, or images: the distilled images as a .png [default: matching-loss, accuracy, reach, student-rate]
    #[arg(long, value_name = "CHART")]
    pub chart: Vec<String>,
    /// Weight of the exponential moving average that is drawn over the measured values; 0 draws these
    /// alone
    #[arg(long, value_name = "WEIGHT", default_value_t = 0.9, value_parser = weight)]
    pub smooth: f64,
    /// Width of a chart in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 640, value_parser = clap::value_parser!(u32).range(200..=4000))]
    pub width: u32,
    /// Height of a chart in pixels
    #[arg(long, value_name = "PIXELS", default_value_t = 400, value_parser = clap::value_parser!(u32).range(150..=4000))]
    pub height: u32,
}

fn weight(text: &str) -> Result<f64, &'static str> {
    let value = text.parse().ok();
    value
        .filter(|v| (0. ..1.).contains(v))
        .ok_or("expected a number from 0 to below 1")
}
