//! The libtorch that this process runs on.

use std::path::{Path, PathBuf};

/// Its version, "2.11.0+cu130", where that is known.
pub fn version() -> Option<String> {
    folder().as_deref().and_then(version_in)
}

/// The folder of its libraries.
pub fn folder() -> Option<PathBuf> {
    loaded("libtorch_cpu.so")?.parent().map(Path::to_path_buf)
}

/// The path of a library in this process whose file name begins so.
pub fn loaded(start: &str) -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let mut paths = maps.lines().filter_map(|l| l.split_whitespace().last());
    let is_it = |path: &&str| {
        path.rsplit_once('/')
            .is_some_and(|(_, name)| name.starts_with(start))
    };
    paths.find(is_it).map(PathBuf::from)
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
