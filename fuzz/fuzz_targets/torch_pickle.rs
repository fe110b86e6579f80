#![no_main]

astill_fuzz::fuzz_engine!(torch_pickle);
