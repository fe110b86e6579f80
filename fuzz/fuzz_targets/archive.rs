#![no_main]
//! Archives that `astill fetch` unpacks: the first byte chooses the kind.

use astill::fetch::{Packing, unpack};
use libfuzzer_sys::fuzz_target;
use std::ops::ControlFlow;

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, archive)) = bytes.split_first() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("archive");
    std::fs::write(&path, archive).expect("is written");
    let into = folder.path().join("into");
    std::fs::create_dir(&into).expect("is created");
    let packing = match kind % 2 {
        0 => Packing::TarGz,
        _ => Packing::Zip,
    };
    let _ = unpack(&path, packing, &into, &mut |_, _| ControlFlow::Continue(()));
});
