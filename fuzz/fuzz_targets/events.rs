#![no_main]
//! The record of a run, as the app, the list of runs and a resumed run read it.

use astill_core::profile::Profile;
use astill_core::run::{History, RunDir, list};
use astill::tui::events_file::EventsFile;
use astill::tui::model::Model;
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::sync::LazyLock;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder"));

fuzz_target!(|bytes: &[u8]| {
    let run = RunDir::at(FOLDER.path());
    fs::write(run.events(), bytes).expect("is written");
    let mut model = Model::new();
    for event in EventsFile::open(run.events())
        .poll(1 << 24)
        .expect("is read")
    {
        model.apply(&event);
    }
    let _ = (
        model.ahead(&Profile::default()).len(),
        model.work().and_then(|w| w.seconds_left()),
        model.baselines().len(),
    );
    History::read(&run.events()).expect("is read");
    list::summary(run);
});
