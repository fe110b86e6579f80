#![no_main]
//! What goes over the socket: back from it.

use astill_core::run::command::Answer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<Answer>(bytes).map(|said| said.to_string());
});
