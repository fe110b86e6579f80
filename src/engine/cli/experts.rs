//! `astill experts`: trains the experts of a profile that are missing, here or in a process for each
//! of several devices.

use super::{checked, warn};
use crate::device_processes;
use crate::process;
use astill_core::cli::{DeviceChoice, ExpertsArgs};
use astill_core::profile::Loaded;
use astill_core::run::{EngineAt, Holder, RunDir, socket};
use astill_core::signals::engine_signals;
use astill_core::{Error, Result};
use astill_engine::device;
use astill_engine::trainer::{OnlyExperts, RunPlan, WorkersPlan};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

/// What the folder of a record is called, and the run in it.
const RECORD: &str = "astill-experts-";
const RUN: &str = "experts";

/// Trains what is missing.
///
/// # Errors
/// The profile or the arguments are wrong; as of any training.
pub(super) fn train(args: &ExpertsArgs, data: &Path) -> Result<ExitCode> {
    let (loaded, ..) = checked(&args.profile, data)?;
    let only = only(args, &loaded)?;
    match args.device.each() {
        [device] => train_here(loaded, only, device, data),
        devices => {
            // anything wrong is reported once, not by every process
            devices.iter().try_for_each(device::check)?;
            device_processes::train(args, data)
        }
    }
}

/// Which experts are meant.
///
/// # Errors
/// The profile has none of these numbers, or does not train its experts.
fn only(args: &ExpertsArgs, loaded: &Loaded) -> Result<OnlyExperts> {
    let expert = &loaded.profile.expert;
    if let Some(from) = &expert.from {
        return Err(Error::Usage(format!(
            "expert.from is {}, so the experts of this profile were imported and none is trained; \
             leave it out to train some",
            from.display()
        )));
    }
    let count = expert.count as u64;
    let wanted = match &args.only {
        None => (0..count).collect(),
        Some(numbers) => numbers.indices(count).map_err(|number| {
            Error::Usage(format!(
                "--only {numbers}: found expert {number}, expected numbers from 1 to {count} \
                 (expert.count)"
            ))
        })?,
    };
    Ok(OnlyExperts {
        wanted,
        leaves_others: args.any,
    })
}

/// Removes the records of processes that were killed.
fn remove_left_over() {
    let entries = std::fs::read_dir(std::env::temp_dir())
        .into_iter()
        .flatten();
    for entry in entries.flatten() {
        let is_record = entry
            .file_name()
            .as_encoded_bytes()
            .starts_with(RECORD.as_bytes());
        let is_mine = |found: Metadata| found.is_dir() && found.uid() == socket::user();
        if is_record && entry.metadata().is_ok_and(is_mine) {
            let run = RunDir::at(entry.path().join(RUN));
            // one that was killed has left its name in the lock; where there are no locks, it shows
            // that it is alive by its process
            let is_dead = |(holder, _): (Holder, u32)| holder.is_gone();
            if run.holder().is_some_and(is_dead) && run.engine() == EngineAt::Nowhere {
                let _ = std::fs::remove_dir_all(entry.path());
            }
        }
    }
}

/// Trains in this process.
fn train_here(
    loaded: Loaded,
    only: OnlyExperts,
    choice: &DeviceChoice,
    data: &Path,
) -> Result<ExitCode> {
    let chosen = device::choose_for_run(choice)?;
    chosen.warnings.iter().for_each(warn);
    let signals = engine_signals()?;
    // the trainer keeps a record, which nobody needs afterwards, and which no other process knows
    remove_left_over();
    let record = tempfile::Builder::new()
        .prefix(RECORD)
        .tempdir()
        .map_err(Error::io("create a folder in", std::env::temp_dir()))?;
    let text = loaded.profile.to_yaml();
    let (run, lock) = RunDir::create_in_private(record.path(), RUN, &text)?;
    let plan = RunPlan {
        run: lock.run(),
        held: Arc::new(lock),
        profile_name: loaded.name,
        folder: astill_core::dataset_folder::dataset_folder(&loaded.profile, data),
        profile: loaded.profile,
        data: data.to_path_buf(),
        device: chosen.device,
        threads: None,
        workers: WorkersPlan::default(),
        killed: None,
        data_content: None,
        attended: false,
        sets: Vec::new(),
        is_profile_edited: false,
        warnings: Vec::new(),
        only_experts: Some(only),
    };
    process::run_engine(&run, plan, true, (signals, None))
}
