#![no_main]

astill_fuzz::fuzz_engine!(webdataset_tar);
