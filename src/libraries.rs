//! The libraries that the engine is loaded with: what to say where one is missing, or another
//! version of it is found.

use astill_core::{Error, Result};
use std::path::Path;
use std::process::{Command, Stdio};

/// What the system's loader prints before its message, when it cannot load a program.
const LOADER: [&str; 3] = [
    "error while loading shared libraries:",
    "symbol lookup error:",
    "relocation error:",
];
/// How the loader lists a library that it does not find.
const MISSING: &str = "=> not found";
/// What makes the loader take libraries from elsewhere.
const FROM_ELSEWHERE: [&str; 2] = ["LD_LIBRARY_PATH", "LD_PRELOAD"];
/// Rebuilding finds or installs libtorch.
const REBUILD: &str = "put it back, or build astill again with `make build` or `make install`, which \
                       finds or installs libtorch";

/// Checks that the engine's libraries are all there, by the loader's own list of them, without
/// loading any.
///
/// # Errors
/// [`Error::Usage`] that names those that are missing.
pub fn check(engine: &Path) -> Result<()> {
    let listed = Command::new(engine)
        .env("LD_TRACE_LOADED_OBJECTS", "1")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    // where it cannot be asked, the loader speaks for itself
    let Ok(listed) = listed else { return Ok(()) };
    let text = String::from_utf8_lossy(&listed.stdout);
    let missing: Vec<&str> = text
        .lines()
        .filter(|l| l.contains(MISSING))
        .filter_map(|l| l.split_whitespace().next())
        .collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(absent(engine, &missing.join(" and "))),
    }
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
        return Some(absent(engine, name));
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

fn absent(engine: &Path, names: &str) -> Error {
    Error::Usage(format!(
        "the engine {} cannot be loaded, because this is missing: {names}. libtorch may have been \
         moved or removed since astill was built: {REBUILD}",
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
        assert!(std::env::current_exe().is_ok_and(|own| check(&own).is_ok()));
    }
}
