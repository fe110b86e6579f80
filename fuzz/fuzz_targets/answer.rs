#![no_main]
//! What comes back over the socket.

use astill_core::run::command::Answer;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = serde_json::from_slice::<Answer>(bytes).map(|parsed| parsed.to_string());
});
