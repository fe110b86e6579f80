#![no_main]

astill_fuzz::fuzz_engine!(parquet_of_zstd);
