#![no_main]
//! A profile as a run keeps it: every check, but nothing that it extends is opened.

use astill_core::profile::Profile;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|text: &str| {
    let _ = Profile::from_resolved(text, Path::new("profile.yaml")).map_err(|e| e.to_string());
});
