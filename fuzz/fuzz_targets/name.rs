#![no_main]
//! The name of a run, and a file that its record names: neither leaves its folder.

use astill_core::run::RunDir;
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::sync::LazyLock;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder"));

fuzz_target!(|name: &str| {
    let runs = FOLDER.path().join("runs");
    if let Ok((run, _)) = RunDir::create(&runs, "p", Some(name), "") {
        assert_eq!(run.path().parent(), Some(runs.as_path()));
        fs::remove_dir_all(run.path()).expect("was made");
    }
    let run = RunDir::at(&runs);
    if let Ok(file) = run.own_file(name) {
        assert!(file.starts_with(runs.canonicalize().expect("is there")));
    }
});
