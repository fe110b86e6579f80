#![no_main]
//! A picture of samples.

use astill::tui::picture::Picture;
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::sync::LazyLock;
use tempfile::TempDir;

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| TempDir::new().expect("a folder"));

fuzz_target!(|bytes: &[u8]| {
    let path = FOLDER.path().join("p.png");
    fs::write(&path, bytes).expect("is written");
    if let Ok(picture) = Picture::open(&path) {
        assert_eq!(picture.rgb.len(), 3 * picture.width * picture.height);
    }
});
