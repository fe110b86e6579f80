//! The images of a run as a picture: those of its result.

use super::{PlottedRun, draw::png, refuse_to_overwrite};
use crate::tui::picture::Picture;
use astill_core::cli::PlotArgs;
use astill_core::console::to_stderr;
use astill_core::files::atomic::write_atomically;
use astill_core::run::RunDir;
use astill_core::{Error, Result};
use std::path::Path;

/// What is named instead of a chart.
pub const NAME: &str = "images";

/// Writes all images of the best step of a run, or of the latest with a picture, a row for each class;
/// enlarged to about the width of a chart.
///
/// # Errors
/// Other charts or several runs are asked for too, the file is not .png or is there already, the run has
/// no images yet, or something cannot be read or written.
pub fn draw(runs: &[RunDir], args: &PlotArgs, to: &Path) -> Result<()> {
    let [run] = runs else {
        return Err(Error::Usage(format!(
            "--chart {NAME}: found {} runs, expected one",
            runs.len()
        )));
    };
    if args.chart.len() > 1 {
        return Err(Error::Usage(format!(
            "--chart {NAME} is a picture of its own, without charts beside it"
        )));
    }
    if super::extension(to) != "png" {
        return Err(Error::Usage(format!(
            "--chart {NAME} writes .png files; found \"{}\"",
            to.display()
        )));
    }
    refuse_to_overwrite(to)?;
    let model = PlottedRun::read(run, run.name())?.model;
    let best = model.best_sample();
    let sample = best
        .or(model.samples.last())
        .ok_or_else(|| Error::Usage(format!("{} has no images yet", run.reference())))?;
    match (model.best_step(), best) {
        (Some(step), None) => to_stderr(format!(
            "no picture of the best step, {step}, was kept: these are the images of step {}",
            sample.step
        )),
        _ => to_stderr(format!("the images of step {}", sample.step)),
    }
    let picture = Picture::open(&run.own_file(&sample.file)?)?;
    let scale = (args.width as usize / picture.width.max(1)).max(1);
    let picture = picture.enlarged(scale);
    let pixels = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    let size = (pixels(picture.width), pixels(picture.height));
    write_atomically(to, &png(&picture.rgb, size)?)
}
