#![no_main]
//! What goes over the socket: to the engine.

use astill_core::run::command::Command;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<Command>(bytes).map(|parsed| parsed.to_string());
});
