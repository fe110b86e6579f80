//! The libraries that the engine is loaded with: what to say where one is missing, or another
//! version of it is found.

use astill_core::program::{LIBRARIES, LIBRARY_PATH};
use astill_core::{Error, Result};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// What the system's loader prints before its message, when it cannot load a program.
const LOADER: [&str; 3] = [
    "error while loading shared libraries:",
    "symbol lookup error:",
    "relocation error:",
];
/// How the loader lists a library that it does not find.
const MISSING: &str = "=> not found";
/// What makes the loader take libraries from elsewhere.
const FROM_ELSEWHERE: [&str; 2] = [LIBRARY_PATH, "LD_PRELOAD"];
/// Rebuilding finds or installs libtorch.
const REBUILD: &str = "build astill again with `make build` or `make install`, which finds or installs \
                       libtorch";
/// The libtorch that the engine is built for, and the library that shows where one is.
const VERSION: &str = "2.11";
const LIBTORCH: &str = "libtorch_cpu.so";
/// What names the Python environments that are active, and where they have packages.
const ACTIVE: [&str; 2] = ["VIRTUAL_ENV", "CONDA_PREFIX"];
const PACKAGES: [&str; 2] = ["site-packages", "dist-packages"];

/// The engine, to be started with a libtorch that it can load: the one that it was built with, or
/// else that of the Python environment.
///
/// # Errors
/// [`Error::Usage`] that names the libraries that are missing, and where a libtorch was looked for.
pub fn command(engine: &Path) -> Result<Command> {
    /// The folder of the libraries that were found for the engine; the search takes a moment.
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let found = match FOUND.get() {
        Some(found) => found.clone(),
        None => {
            let found = find(engine, &Environment::of_this_process())?;
            FOUND.get_or_init(|| found).clone()
        }
    };
    let mut command = Command::new(engine);
    if let Some(folder) = found {
        command.env(LIBRARY_PATH, with_first(&folder));
        // the user's own programs that the engine starts do without
        command.env(LIBRARIES, folder);
    }
    Ok(command)
}

/// The folder of a libtorch for the engine; none if its own is there.
fn find(engine: &Path, environment: &Environment) -> Result<Option<PathBuf>> {
    let listed = listed(engine, None);
    let missing = missing_in(&listed);
    if missing.is_empty() {
        return match loaded_from(&listed).and_then(|own| Some((version_in(&own)?, own))) {
            Some((version, own)) if !is_right(&version) => {
                Err(other_version(engine, &version, &own))
            }
            _ => Ok(None),
        };
    }
    let mut others = Vec::new();
    for folder in environment.folders(engine) {
        if !folder.join(LIBTORCH).is_file() {
            continue;
        }
        let version = version_in(&folder).unwrap_or_else(|| "unknown".into());
        if !is_right(&version) {
            others.push(format!("version {version} in {}", folder.display()));
        } else if missing_in(&self::listed(engine, Some(&folder))).is_empty() {
            return Ok(Some(folder));
        }
    }
    Err(absent(engine, &missing.join(" and "), &others))
}

/// What says where Python's packages are.
struct Environment {
    libtorch: Option<PathBuf>,
    /// Of the environments that are active.
    roots: Vec<PathBuf>,
}

impl Environment {
    fn of_this_process() -> Self {
        let path = |name| {
            std::env::var_os(name)
                .filter(|v| !v.is_empty())
                .map(PathBuf::from)
        };
        Self {
            libtorch: path("LIBTORCH"),
            roots: ACTIVE.into_iter().filter_map(path).collect(),
        }
    }

    /// Where libtorch may be, the best first: where LIBTORCH says, in the environment that the
    /// engine is installed in, in those that are active.
    fn folders(&self, engine: &Path) -> Vec<PathBuf> {
        let mut folders: Vec<PathBuf> = self.libtorch.iter().map(|l| l.join("lib")).collect();
        let own = engine
            .parent()
            .and_then(Path::parent)
            .map(Path::to_path_buf);
        for root in own.iter().chain(&self.roots) {
            let names = std::fs::read_dir(root.join("lib"))
                .into_iter()
                .flatten()
                .flatten();
            let is_python = |name: &OsString| name.as_encoded_bytes().starts_with(b"python3");
            let mut pythons: Vec<OsString> =
                names.map(|e| e.file_name()).filter(is_python).collect();
            pythons.sort();
            for (python, packages) in pythons.iter().flat_map(|p| PACKAGES.map(|k| (p, k))) {
                folders.push(
                    root.join("lib")
                        .join(python)
                        .join(packages)
                        .join("torch/lib"),
                );
            }
        }
        folders
    }
}

/// "2.11.0" of the libtorch whose libraries are in this folder.
fn version_in(folder: &Path) -> Option<String> {
    let root = folder.parent()?;
    let text = std::fs::read_to_string(root.join("version.py"))
        .ok()
        .and_then(|text| {
            let line = text
                .lines()
                .find_map(|l| l.strip_prefix("__version__ = "))?;
            Some(line.trim_matches(['\'', '"']).to_string())
        })
        .or_else(|| std::fs::read_to_string(root.join("build-version")).ok())?;
    let version = text.trim().split('+').next()?;
    Some(version.to_string())
}

/// Whether the engine works with this version of libtorch.
fn is_right(version: &str) -> bool {
    let rest = version.strip_prefix(VERSION);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// This folder and then what the loader searches first already.
fn with_first(folder: &Path) -> OsString {
    let mut all = folder.as_os_str().to_os_string();
    if let Some(others) = std::env::var_os(LIBRARY_PATH).filter(|v| !v.is_empty()) {
        all.push(":");
        all.push(others);
    }
    all
}

/// The loader's own list of the libraries of the engine, without loading any; with `folder` searched
/// first. Empty where the loader cannot be asked: then it speaks for itself.
fn listed(engine: &Path, folder: Option<&Path>) -> String {
    let mut command = Command::new(engine);
    if let Some(folder) = folder {
        command.env(LIBRARY_PATH, with_first(folder));
    }
    let listed = command
        .env("LD_TRACE_LOADED_OBJECTS", "1")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    listed.map_or_else(
        |_| String::new(),
        |listed| String::from_utf8_lossy(&listed.stdout).into_owned(),
    )
}

/// The libraries of such a list that are not found.
fn missing_in(listed: &str) -> Vec<String> {
    let lines = listed.lines().filter(|l| l.contains(MISSING));
    let names = lines.filter_map(|l| l.split_whitespace().next());
    names.map(str::to_string).collect()
}

/// The folder of the libtorch in such a list.
fn loaded_from(listed: &str) -> Option<PathBuf> {
    let mut lines = listed.lines().map(str::trim);
    let found = lines.find_map(|l| l.strip_prefix(LIBTORCH)?.strip_prefix(" => "))?;
    // "/path (0x00007f…)"
    let path = found.rsplit_once(" (").map_or(found, |(path, _)| path);
    let folder = Path::new(path).parent().filter(|p| p.is_absolute());
    folder.map(Path::to_path_buf)
}

/// The problem behind what a program printed as it failed; none if it is not about libraries.
#[must_use]
pub fn problem(engine: &Path, printed: &str) -> Option<Error> {
    let from_elsewhere = FROM_ELSEWHERE.iter().filter_map(|name| {
        let value = std::env::var_os(name).filter(|v| !v.is_empty())?;
        Some(format!("{name}={}", value.to_string_lossy()))
    });
    explained(engine, printed, &from_elsewhere.collect::<Vec<_>>())
}

fn explained(engine: &Path, printed: &str, from_elsewhere: &[String]) -> Option<Error> {
    let said = LOADER.iter().find_map(|l| Some(printed.split_once(l)?.1))?;
    let said = said.lines().next().unwrap_or_default().trim();
    let (name, is_absent) = match said.split_once(": cannot open shared object file") {
        Some((name, _)) => (name, true),
        None => (said, false),
    };
    if is_absent {
        return Some(absent(engine, name, &[]));
    }
    let cause = match from_elsewhere.is_empty() {
        true => "a library on this machine has been replaced since astill was built; build astill \
                 again with `make build` or `make install`"
            .to_string(),
        false => format!(
            "this environment takes libraries from elsewhere ({}), perhaps another libtorch; unset \
             that for astill, for example with `env -u LD_LIBRARY_PATH -u LD_PRELOAD astill`",
            from_elsewhere.join(", ")
        ),
    };
    Some(Error::Usage(format!(
        "the engine {} cannot be loaded ({said}): {cause}",
        engine.display()
    )))
}

/// The engine would be loaded with a libtorch that it was not built for, as after an upgrade.
fn other_version(engine: &Path, version: &str, folder: &Path) -> Error {
    Error::Usage(format!(
        "the engine {} works with libtorch {VERSION}, but would be loaded with version {version} in {}: \
         install the right one there with `pip install 'torch=={VERSION}.*'`, or {REBUILD}",
        engine.display(),
        folder.display()
    ))
}

/// What is missing, where there are only `others`: of another version.
fn absent(engine: &Path, names: &str, others: &[String]) -> Error {
    let found = match others.is_empty() {
        true => String::new(),
        false => format!(" (only {})", others.join(" and ")),
    };
    Error::Usage(format!(
        "the engine {} cannot be loaded, because this is missing: {names}. It needs libtorch \
         {VERSION}, and finds none where it was built, in LIBTORCH, or in the Python environment{found}: \
         activate the environment that has it, install it with `pip install 'torch=={VERSION}.*'`, or \
         {REBUILD}",
        engine.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(printed: &str, from_elsewhere: &[&str]) -> Option<String> {
        let names: Vec<String> = from_elsewhere.iter().map(|s| s.to_string()).collect();
        explained(Path::new("/bin/engine"), printed, &names).map(|e| e.to_string())
    }

    #[test]
    fn a_missing_library_and_another_version_are_told_apart() {
        let missing = "engine: error while loading shared libraries: libtorch_cpu.so: cannot open \
                       shared object file: No such file or directory";
        let text = said(missing, &[]).unwrap();
        assert!(
            text.contains("is missing: libtorch_cpu.so") && text.contains("make build"),
            "{text}"
        );
        let other = "engine: symbol lookup error: engine: undefined symbol: _ZN3c10";
        let text = said(other, &["LD_LIBRARY_PATH=/opt/torch"]).unwrap();
        assert!(
            text.contains("LD_LIBRARY_PATH=/opt/torch") && text.contains("env -u"),
            "{text}"
        );
        assert!(said(other, &[]).unwrap().contains("make build"));
        assert_eq!(said("astill: cannot write", &[]), None);
    }

    #[test]
    fn a_program_whose_libraries_are_there_passes() {
        let own = std::env::current_exe().unwrap();
        assert!(missing_in(&listed(&own, None)).is_empty());
    }

    #[test]
    fn the_libtorch_that_would_be_loaded_is_known_by_its_version() {
        let listed = "\tlinux-vdso.so.1 (0x00007ffd)\n\
                      \tlibtorch_cpu.so => /my env/lib/torch/lib/libtorch_cpu.so (0x00007f)\n\
                      \tlibgomp.so.1 => not found\n";
        assert_eq!(loaded_from(listed), Some("/my env/lib/torch/lib".into()));
        assert_eq!(missing_in(listed), ["libgomp.so.1"]);
        assert_eq!(loaded_from("\tlibtorch_cpu.so => not found\n"), None);
        for (version, right) in [
            ("2.11", true),
            ("2.11.1", true),
            ("2.12.0", false),
            ("2.110", false),
        ] {
            assert_eq!(is_right(version), right, "{version}");
        }
        let text = other_version(Path::new("engine"), "2.12.0", Path::new("/env")).to_string();
        assert!(text.contains("2.12.0 in /env") && text.contains("torch==2.11.*"));
    }

    #[test]
    fn libtorch_is_looked_for_where_it_is_told_beside_the_engine_and_in_active_environments() {
        let folder = tempfile::tempdir().unwrap();
        let root = |name: &str| folder.path().join(name);
        let packages = |name: &str| root(name).join("lib/python3.12/site-packages/torch/lib");
        for name in ["own", "active"] {
            std::fs::create_dir_all(packages(name)).unwrap();
        }
        let environment = Environment {
            libtorch: Some(root("told")),
            roots: vec![root("active"), root("empty")],
        };
        let folders = environment.folders(&root("own/bin/astill-engine"));
        let expected = [root("told/lib"), packages("own"), packages("active")];
        let is_there: Vec<PathBuf> = folders
            .into_iter()
            .filter(|f| f.is_dir() || f.starts_with(root("told")))
            .collect();
        assert_eq!(is_there, expected);
        std::fs::write(
            packages("own").join("../version.py"),
            "__version__ = '2.4.1+cu121'\n",
        )
        .unwrap();
        assert_eq!(version_in(&packages("own")), Some("2.4.1".into()));
    }
}
