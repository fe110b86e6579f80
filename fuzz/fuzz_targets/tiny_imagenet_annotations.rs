#![no_main]

astill_fuzz::fuzz_engine!(tiny_imagenet_annotations);
