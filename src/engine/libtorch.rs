//! The libtorch that this process runs on.

use std::path::{Path, PathBuf};

/// Its version, "2.11.0+cu130", where that is known.
pub fn version() -> Option<String> {
    folder().as_deref().and_then(version_in)
}

/// The folder of its libraries.
pub fn folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let library = maps.lines().find_map(|l| {
        l.split_whitespace()
            .last()
            .filter(|path| path.ends_with("/libtorch_cpu.so"))
    })?;
    Path::new(library).parent().map(Path::to_path_buf)
}

/// The version, from the file that states it beside the libraries of a wheel or a release.
fn version_in(folder: &Path) -> Option<String> {
    let root = folder.parent()?;
    if let Ok(text) = std::fs::read_to_string(root.join("version.py")) {
        let line = text.lines().find(|l| l.starts_with("__version__ ="))?;
        return line.split(['\'', '"']).nth(1).map(str::to_string);
    }
    std::fs::read_to_string(root.join("build-version"))
        .ok()
        .map(|text| text.trim().to_string())
}
