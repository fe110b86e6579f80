#![no_main]

astill_fuzz::fuzz_engine!(expert_in_training);
