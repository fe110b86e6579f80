//! `astill tune`: a few short runs with different image steps, and a profile with the one that suits
//! the data.

use super::{Study, command};
use crate::engine_process::Local;
use astill_core::cli::{TuneArgs, out};
use astill_core::console::to_stderr;
use astill_core::files::atomic::write_atomically;
use astill_core::text::{count, harmless};
use astill_core::tuning::Tuning;
use astill_core::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The program that writes profiles.
const PROGRAM: &str = concat!("astill ", env!("CARGO_PKG_VERSION"));

/// Carries out the command; everything is checked before anything is created. Called again, it
/// keeps the trials that are done.
///
/// # Errors
/// A wrong profile, step or name, or a file where the profile goes ([`Error::exit_status`] 2); or
/// something that no run can do without.
pub fn tune(local: &Local, args: &TuneArgs) -> Result<ExitCode> {
    let tuning = Tuning::new(&args.profile, &args.set, &args.steps, args.iterations)?;
    let file = args.to.clone();
    let file = file.unwrap_or_else(|| PathBuf::from(tuning.default_file()));
    check_free(&file)?;
    let name = args.name.clone();
    let name = name.unwrap_or_else(|| tuning.default_name());
    let mut study = Study::new(local, tuning.trials()?, &name, &args.device)?;
    study.is_comparison = false;
    let stopped = study.run(local)?;
    let done = study.outcomes.iter().filter(|o| o.done().is_some()).count();
    if let Some(status) = stopped {
        to_stderr(format!(
            "{done} of {} are done; continue with: {}",
            count(study.planned.len(), "trial"),
            command()
        ));
        return Ok(ExitCode::from(status));
    }
    let tuned = tuning.result(&study.outcomes, PROGRAM)?;
    check_free(&file)?;
    write_atomically(&file, tuned.profile.as_bytes())?;
    out(harmless(&tuned.reasons))?;
    to_stderr(format!(
        "written to {0}; start it with: astill run {0}",
        file.display()
    ));
    Ok(match done == study.planned.len() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Checks that the file can be made without overwriting anything.
fn check_free(file: &Path) -> Result<()> {
    let folder = file.parent().filter(|f| !f.as_os_str().is_empty());
    if let Some(missing) = folder.filter(|f| !f.is_dir()) {
        return Err(Error::Usage(format!(
            "--to: there is no folder {}; create it first, or give another file",
            missing.display()
        )));
    }
    match file.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(_) => Err(Error::Usage(format!(
            "{} exists already; give another file with --to, or move it away",
            file.display()
        ))),
    }
}
