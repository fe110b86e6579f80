#![no_main]

astill_fuzz::fuzz_engine!(idx_images);
