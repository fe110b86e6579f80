#![no_main]

astill_fuzz::fuzz_engine!(npz_array);
