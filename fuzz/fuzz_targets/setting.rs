#![no_main]
//! SECTION.KEY=VALUE, after `--set` and as a live edit.

use astill_core::profile::{self, Kind, Profile};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = profile::load("shapes", &[text.to_string()]).map_err(|e| e.to_string());
    let _ = Profile::new(Kind::Shapes)
        .edited(text)
        .map_err(|e| e.to_string());
});
