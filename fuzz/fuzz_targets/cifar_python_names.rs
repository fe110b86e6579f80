#![no_main]

astill_fuzz::fuzz_engine!(cifar_python_names);
