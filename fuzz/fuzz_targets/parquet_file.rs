#![no_main]

astill_fuzz::fuzz_engine!(parquet_file);
