#![no_main]
//! The live edits of a run, and the profile with them.

use astill_core::profile::{Kind, Profile};
use astill_core::run::RunDir;
use astill_core::run::edits::{Edits, Moment};
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::sync::LazyLock;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder"));

fuzz_target!(|bytes: &[u8]| {
    let run = RunDir::at(FOLDER.path());
    fs::write(run.edits(), bytes).expect("is written");
    let _ = Edits::read(&run)
        .and_then(|e| e.apply(&Profile::new(Kind::Shapes), Moment::Step(u64::MAX)))
        .map_err(|e| e.to_string());
});
