#![no_main]

astill_fuzz::fuzz_engine!(to_worker);
