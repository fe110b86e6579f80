//! Others' work in, and sets judged: `import` and `evaluate`.

use super::folders;
use astill_core::cli::{EvaluateArgs, ImportExpertsArgs, data_folder, out};
use astill_core::console::to_stderr;
use astill_core::profile::{self, Profile, channel_constants};
use astill_core::run::edits::{Edits, Moment};
use astill_core::run::{History, RunDir};
use astill_core::text::count;
use astill_core::{Error, Result};
use astill_engine::cross_evaluation::{self, Judged, Protocol};
use astill_engine::export;
use astill_engine::import::{self, ImportRequest};
use astill_engine::set_files::{self, FoundSet};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;

/// A file that is not what a command needs is a wrong use of it.
pub(super) fn as_usage(error: Error) -> Error {
    match error {
        Error::File { .. } => Error::Usage(error.to_string()),
        other => other,
    }
}

/// Imports experts of other programs and prints how a profile uses them.
pub(super) fn import_experts(args: &ImportExpertsArgs, data: &Path) -> Result<ExitCode> {
    let loaded = match &args.profile {
        Some(name) => Some(profile::load(name, &args.set).map_err(Error::Profile)?),
        None => None,
    };
    let given = loaded.as_ref().map(|loaded| &loaded.locations);
    let request = ImportRequest {
        from: args.from.clone(),
        states_normalisation: given.is_some_and(|keys| keys.contains_key("dataset.normalisation")),
        profile: loaded.map(|loaded| loaded.profile),
        data: data.to_path_buf(),
    };
    let imported = import::experts(&request, &mut |line| to_stderr(line)).map_err(as_usage)?;
    for problem in &imported.left_out {
        to_stderr(format!("left out: {problem}"));
    }
    if args.json {
        out(json!(imported))?;
        return Ok(ExitCode::SUCCESS);
    }
    to_stderr(format!(
        "{} of {} epochs {} {}; to use them, put this into a profile:",
        count(imported.epochs.len(), "expert"),
        imported.epochs.iter().min().copied().unwrap_or(0),
        if imported.was_there {
            "are already in"
        } else {
            "are now in"
        },
        imported.folder.display()
    ));
    out(&imported)?;
    Ok(ExitCode::SUCCESS)
}

/// Judges a distilled set by networks of several kinds and prints their accuracies.
pub(super) fn evaluate(args: &EvaluateArgs, data: Option<&Path>, runs: &Path) -> Result<ExitCode> {
    let (judged, threads) = judged(args, data, runs).map_err(as_usage)?;
    let own = &judged.profile.evaluate;
    let protocol = Protocol {
        networks: match args.networks.as_slice() {
            [] => own.networks.clone(),
            networks => networks.to_vec(),
        },
        repeats: args.repeats.unwrap_or(own.repeats as u64),
        epochs: args.epochs.unwrap_or(own.epochs as u64),
        lr: args.lr.or(own.lr.given()),
        device: super::choose(&args.device)?,
        threads,
    };
    let found = cross_evaluation::evaluate(&judged, &protocol, &mut |line| to_stderr(line))
        .map_err(as_usage)?;
    if args.json {
        out(json!(found))?;
    } else {
        out(&found)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The distilled set of a run, or of a file or folder, with the threads of the run.
fn judged(args: &EvaluateArgs, data: Option<&Path>, runs: &Path) -> Result<(Judged, Option<i64>)> {
    let named = match &args.profile {
        Some(name) => Some(
            profile::load(name, &args.changes)
                .map_err(Error::Profile)?
                .profile,
        ),
        None => None,
    };
    if let Some(file) = set_files::find(Path::new(&args.set)) {
        let set = set_files::read(&file)?;
        let profile = profile_of(&set, named, &args.changes)?;
        let data = data_folder(data.map(Path::to_path_buf))?;
        let folder = astill_core::dataset_folder::dataset_folder(&profile, &data);
        let judged = Judged {
            set,
            profile,
            data,
            folder,
        };
        return Ok((judged, None));
    }
    let run = RunDir::find_exactly(runs, &args.set).map_err(|error| {
        match Path::new(&args.set).is_dir() {
            true => Error::Usage(format!(
                "{} is neither a run nor a folder with a distilled set: expected best.safetensors, \
                 images_best.pt, images.pt or distilled.npz in it",
                args.set
            )),
            false => error,
        }
    })?;
    let profile = Edits::read(&run)?.apply(&run.read_profile()?, Moment::Step(u64::MAX))?;
    let history = History::read(&run.events())?;
    let set = set_files::read(&export::of_run(&run)?)?;
    if named.is_some() || !args.changes.is_empty() {
        return Err(holds_its_profile(&set));
    }
    let (data, folder) = folders(data, (history.data, history.folder), &profile)?;
    let judged = Judged {
        set,
        profile,
        data,
        folder,
    };
    Ok((judged, history.threads))
}

/// The profile that a set is judged by: its own, with the path of the data set among `changes`, or the
/// one that is named for a set without one.
fn profile_of(set: &FoundSet, named: Option<Profile>, changes: &[String]) -> Result<Profile> {
    match (&set.provenance, named) {
        (Some(provenance), None) => {
            let mut profile = Profile::recorded(&provenance.profile)
                .map_err(|problem| Error::file(&set.file, problem))?;
            for change in changes {
                match change.split_once('=') {
                    Some(("dataset.path", path)) if !path.is_empty() => {
                        profile.dataset.path = Some(path.into());
                    }
                    _ => return Err(holds_its_profile(set)),
                }
            }
            Ok(profile)
        }
        (Some(_), Some(_)) => Err(holds_its_profile(set)),
        (None, Some(profile)) => {
            let of = &profile.dataset;
            let constants = channel_constants(of.kind, of.path.as_deref());
            to_stderr(match of.zca || constants.is_some() {
                true => {
                    "the images are taken as published programs normalise them (--space field of \
                     `astill export`)"
                }
                false => {
                    "the images are taken as the profile normalises its own (dataset.normalisation: own), \
                     because published programs share no mean and deviation for this data set"
                }
            });
            Ok(profile)
        }
        (None, None) => Err(Error::Usage(format!(
            "{} does not say what it was distilled from; name a profile that has its data set and \
             networks, for example --profile cifar10-ipc10 --set dataset.zca=false",
            set.file.display()
        ))),
    }
}

fn holds_its_profile(set: &FoundSet) -> Error {
    Error::Usage(format!(
        "{} holds the profile of its run; --profile and --set are for the sets of other programs, except \
         --set dataset.path=FOLDER for an exported set whose data are elsewhere",
        set.file.display()
    ))
}
