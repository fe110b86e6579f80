#![no_main]

astill_fuzz::fuzz_engine!(from_worker);
