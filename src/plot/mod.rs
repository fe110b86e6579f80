//! Charts of runs as a picture for papers and pages: those of the app, each run a colour; and the same
//! numbers for TensorBoard.

mod csv;
mod draw;
mod images;
mod lines;
mod tensorboard;
#[cfg(test)]
mod tests;

use crate::tui::chart::plots::{MOST_RUNS, PLOTS, Plot};
use crate::tui::events_file::{Found, read_whole};
use crate::tui::model::Model;
use astill_core::cli::PlotArgs;
use astill_core::comparison::distinct_names;
use astill_core::console::to_stderr;
use astill_core::files::atomic::write_atomically;
use astill_core::run::RunDir;
use astill_core::text::count;
use astill_core::{Error, Result};
use std::path::{Path, PathBuf};

/// The charts that are drawn unless others are named.
const USUAL: [&str; 4] = ["matching-loss", "accuracy", "reach", "student-rate"];

/// A run and its name in legends.
struct PlottedRun {
    name: String,
    model: Model,
}

/// How the charts look.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// Of one chart, in pixels.
    width: u32,
    height: u32,
    /// Weight of the moving average, 0 for none.
    smooth: f64,
}

/// The kind of file that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Picture {
    Svg,
    Png,
}

/// What a table of the numbers is called instead of a picture.
const TABLE: &str = "csv";

/// Draws charts of runs into a file, or writes their numbers for TensorBoard; gives what was written.
/// Each file or folder appears whole or not at all.
///
/// # Errors
/// The file is neither .svg, .png nor .csv or is there already, a chart that does not exist, too many runs,
/// runs without anything to draw, or something that cannot be read or written.
pub fn plot(runs: &[RunDir], args: &PlotArgs) -> Result<Vec<PathBuf>> {
    // what is refused leaves nothing behind
    if let Some(to) = &args.tensorboard {
        tensorboard::check(runs, to)?;
    }
    if let Some(to) = &args.to {
        draw(runs, args, to)?;
    }
    if let Some(to) = &args.tensorboard {
        tensorboard::write(runs, to)?;
    }
    Ok(args.to.iter().chain(&args.tensorboard).cloned().collect())
}

fn draw(runs: &[RunDir], args: &PlotArgs, to: &Path) -> Result<()> {
    let is_table = extension(to) == TABLE;
    if !is_table {
        Picture::of(to)?;
    }
    if args.chart.iter().any(|name| name == images::NAME) {
        return images::draw(runs, args, to);
    }
    let charts = charts(&args.chart)?;
    if is_table {
        refuse_to_overwrite(to)?;
        let named = runs.iter().cloned().zip(distinct_names(runs));
        return write_atomically(to, &csv::table(&charts, &named.collect::<Vec<_>>())?);
    }
    let picture = Picture::of(to)?;
    if runs.len() > MOST_RUNS {
        return Err(Error::Usage(format!(
            "found {} runs, expected at most {MOST_RUNS}: more cannot be told apart by colour",
            runs.len()
        )));
    }
    refuse_to_overwrite(to)?;
    let named = runs.iter().zip(distinct_names(runs));
    let read: Vec<PlottedRun> = named
        .map(|(run, name)| PlottedRun::read(run, name))
        .collect::<Result<_>>()?;
    let look = Look {
        width: args.width,
        height: args.height,
        smooth: args.smooth,
    };
    let bytes = draw::picture(&charts, &read, look, picture)?;
    write_atomically(to, &bytes)
}

/// # Errors
/// There is a file already.
fn refuse_to_overwrite(to: &Path) -> Result<()> {
    match to.symlink_metadata() {
        Ok(_) => Err(Error::Usage(format!(
            "{} is there already and is not overwritten; choose another name",
            to.display()
        ))),
        Err(_) => Ok(()),
    }
}

impl PlottedRun {
    fn nothing_to_draw() -> Error {
        Error::Usage(
            "the events of the runs hold nothing that these charts show; choose others with --chart"
                .into(),
        )
    }

    fn read(run: &RunDir, name: String) -> Result<Self> {
        let mut model = Model::new();
        let unreadable = read_whole(run, |found| {
            match found {
                Found::Event(event) => model.apply(event),
                Found::Restart => model = Model::new(),
            }
            Ok(())
        })?;
        report_unreadable(&name, unreadable);
        Ok(Self { name, model })
    }
}

/// Says that a part of a record is missing in what is drawn or written.
fn report_unreadable(name: &str, lines: u64) {
    if lines > 0 {
        let lines = count(usize::try_from(lines).unwrap_or(usize::MAX), "line");
        to_stderr(format!("{name}: {lines} of its record could not be read"));
    }
}

impl Picture {
    fn of(path: &Path) -> Result<Self> {
        match extension(path).as_str() {
            "svg" => Ok(Self::Svg),
            "png" => Ok(Self::Png),
            _ => Err(Error::Usage(format!(
                "--to: found \"{}\", expected the name of a file that ends in .svg, .png or .csv",
                path.display()
            ))),
        }
    }
}

/// How the name of a file ends, in lower case; empty if it does not end so.
fn extension(path: &Path) -> String {
    let end = path.extension().unwrap_or_default();
    end.to_string_lossy().to_lowercase()
}

/// The charts of these names, each once, in the order of the app where all are asked for.
fn charts(names: &[String]) -> Result<Vec<&'static Plot>> {
    if names.iter().any(|n| n == "all") {
        return Ok(PLOTS.iter().collect());
    }
    let named: Vec<&str> = match names.is_empty() {
        true => USUAL.to_vec(),
        false => names.iter().map(String::as_str).collect(),
    };
    let mut found: Vec<&'static Plot> = Vec::new();
    for name in named {
        let plot = PLOTS.iter().find(|p| p.name == name).ok_or_else(|| {
            let all: Vec<&str> = PLOTS.iter().map(|p| p.name).collect();
            Error::Usage(format!(
                "--chart: found \"{}\", expected all, {} or one of {}",
                name.escape_debug(),
                images::NAME,
                all.join(", ")
            ))
        })?;
        if !found.contains(&plot) {
            found.push(plot);
        }
    }
    Ok(found)
}
