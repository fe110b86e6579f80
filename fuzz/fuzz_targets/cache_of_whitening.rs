#![no_main]

astill_fuzz::fuzz_engine!(cache_of_whitening);
