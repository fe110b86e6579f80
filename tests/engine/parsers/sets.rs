//! The parsers of distilled sets in the formats that `astill export` writes.

use super::{Parser, home, in_file, of_file, of_member, small_set, takes_torch_file};
use astill_core::cli::Space;
use astill_engine::export::{Content, find};
use astill_engine::set_files;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// A folder with a small set in this format.
fn exported(format: &str) -> TempDir {
    let home = home();
    let set = small_set();
    let content = Content {
        set: &set,
        space: Space::Own,
        test: None,
        name: "set",
    };
    let export = find(format).expect("a format");
    export.write(&content, home.path()).expect("is written");
    home
}

fn takes(path: &Path) -> bool {
    let Ok(set) = set_files::read(path) else {
        return false;
    };
    let pixels = set.normalisation.as_ref();
    let pixels = pixels.is_none_or(|n| n.invert(&set.images).size() == set.images.size());
    pixels && set.labels_of(2).is_ok()
}

/// `astill.json` beside the tensors of a set.
pub fn set_metadata() -> Parser {
    let parser = of_file("metadata of sets", exported("pt"), "astill.json", |home| {
        takes(&home.join("images_best.pt"))
    });
    parser.parsed_by(|input| {
        let metadata = serde_json::from_slice(input);
        metadata.is_ok_and(|found| set_files::of_metadata(&found, Path::new("set")).is_ok())
    })
}

/// The whitening or the labels of a set, of which this is a tensor on its own.
pub fn set_tensor() -> Parser {
    let parser = of_file("tensors beside sets", exported("pt"), "mean.pt", |home| {
        takes(&home.join("images_best.pt"))
    });
    parser.parsed_by(in_file("mean.pt", takes_torch_file))
}

/// The images in `distilled.npz`.
pub fn set_npz_images() -> Parser {
    set_npz("images")
}

/// The metadata in `distilled.npz`.
pub fn set_npz_metadata() -> Parser {
    set_npz("metadata")
}

fn set_npz(member: &str) -> Parser {
    let home = exported("npz");
    let archive = fs::read(home.path().join("distilled.npz")).expect("a valid file");
    let name = format!("distilled.npz, {member}");
    let member = format!("{member}.npy");
    of_member(&name, home, &archive, (&member, "distilled.npz"), |home| {
        takes(&home.join("distilled.npz"))
    })
}
