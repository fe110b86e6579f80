#![no_main]

astill_fuzz::fuzz_engine!(set_tensor);
