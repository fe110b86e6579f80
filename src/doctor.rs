//! `astill doctor`: checks that this machine has everything astill needs, line by line.

use crate::engine_process::{self, Local};
use crate::libraries;
use crate::logout;
use crate::tui::ascii;
use crate::tui::colour::Depth;
use astill_core::cli::{AppearanceArgs, data_folder, out};
use astill_core::run::socket;
use astill_core::text::count;
use astill_core::{Error, Result};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};

/// What was found.
struct Diagnosis {
    engine: Result<Value>,
    depth: Depth,
    /// Columns and rows of the terminal, where there is one.
    size: Option<(u16, u16)>,
    /// The folders that astill writes to, and whether it can.
    folders: Vec<(&'static str, PathBuf, Result<()>)>,
    /// Where engines can be reached.
    sockets: Result<String>,
    /// TERM says that the terminal can only print lines.
    is_dumb: bool,
}

const DUMB: &str = "TERM is dumb, so the app cannot be shown here; commands work";

/// Checks this machine and prints what it finds. False if something keeps astill from working.
///
/// # Errors
/// stdout cannot be written to.
pub fn report(here: &Local, look: &AppearanceArgs, as_json: bool) -> Result<bool> {
    // without a home folder, nobody says where the data are
    let data = match data_folder(here.data.clone()) {
        Ok(path) => {
            let can = can_write(&path);
            ("data", path, can)
        }
        Err(error) => ("data", PathBuf::new(), Err(error)),
    };
    let runs = ("runs", here.runs.clone(), can_write(&here.runs));
    let found = Diagnosis {
        engine: engine(),
        depth: Depth::detect(look.color, &env),
        is_dumb: env("TERM").as_deref() == Some("dumb"),
        size: ratatui::crossterm::terminal::size().ok(),
        folders: vec![data, runs],
        sockets: socket::try_out(&here.runs),
    };
    if as_json {
        out(found.to_json())?;
    } else {
        out(found.lines().join("\n"))?;
    }
    let has_threads = found.no_threads().is_none();
    Ok(found.engine.is_ok()
        && has_threads
        && found.sockets.is_ok()
        && found.folders.iter().all(|(_, _, can)| can.is_ok()))
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

impl Diagnosis {
    fn to_json(&self) -> Value {
        let problem = |of: Option<&Error>| of.map(Error::to_string);
        let folders: Vec<Value> = self
            .folders
            .iter()
            .map(|(name, path, can)| json!({ "name": name, "path": path, "problem": problem(can.as_ref().err()) }))
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "engine": self.engine.as_ref().ok(),
            "problem": problem(self.engine.as_ref().err()),
            "terminal": {
                "is_terminal": std::io::stdout().is_terminal(),
                "term": env("TERM"),
                "columns": self.size.map(|s| s.0),
                "rows": self.size.map(|s| s.1),
                "colours": format!("{:?}", self.depth).to_lowercase(),
                "over_ssh": env("SSH_CONNECTION").is_some(),
                "ascii": ascii::is_needed(&env),
            },
            "logout": logout::warning(),
            "folders": folders,
            "sockets": self.sockets.as_ref().ok(),
            "no_sockets": problem(self.sockets.as_ref().err()),
        })
    }

    /// A line for each finding: "ok" or "!!", what it is about, and what was found.
    fn lines(&self) -> Vec<String> {
        let line = |name: &str, found: std::result::Result<String, &Error>| match found {
            Ok(text) => format!("ok  {name:9} {text}"),
            Err(error) => format!("!!  {name:9} {error}"),
        };
        let mut lines = vec![line("astill", Ok(env!("CARGO_PKG_VERSION").into()))];
        match &self.engine {
            Ok(engine) => {
                let findings = engine_findings(engine);
                lines.extend(findings.map(|(name, text)| line(name, Ok(text))));
                lines.extend(no_gpu(engine));
            }
            Err(error) => lines.push(line("engine", Err(error))),
        }
        if let Some(problem) = self.no_threads() {
            lines.push(line("threads", Err(&Error::Usage(problem))));
        }
        lines.push(match self.is_dumb {
            true => format!("!!  {:9} {}", "terminal", DUMB),
            false => line("terminal", Ok(self.terminal())),
        });
        lines.extend(logout::warning().map(|text| format!("!!  {:9} {text}", "logout")));
        for (name, path, can) in &self.folders {
            let found = can.as_ref().map(|()| path.display().to_string());
            lines.push(line(name, found));
        }
        lines.push(line("sockets", self.sockets.as_ref().map(String::clone)));
        lines
    }

    /// "xterm-256color, 80 x 24, true colour".
    fn terminal(&self) -> String {
        let term = env("TERM").unwrap_or_else(|| "TERM is not set".into());
        let size = match self.size {
            _ if !std::io::stdout().is_terminal() => "stdout is not a terminal".into(),
            Some((columns, rows)) => format!("{columns} x {rows}"),
            None => "unknown size".into(),
        };
        let colours = match self.depth {
            Depth::Never => "no colours",
            Depth::Ansi16 => "16 colours",
            Depth::Ansi256 => "256 colours",
            Depth::TrueColor => "true colour",
        };
        let ascii = ascii::reason(&env)
            .map(|reason| format!(", ASCII characters only ({reason})"))
            .unwrap_or_default();
        format!("{term}, {size}, {colours}{ascii}")
    }

    /// Why the engine cannot start its threads, if it cannot.
    fn no_threads(&self) -> Option<String> {
        let found = self.engine.as_ref().ok()?;
        found["no_threads"].as_str().map(str::to_string)
    }
}

/// What the engine has found, as names and texts of lines.
fn engine_findings(found: &Value) -> impl Iterator<Item = (&'static str, String)> {
    let text = |key: &str| found[key].as_str().unwrap_or("unknown");
    let devices: Vec<&str> = found["devices"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let limit = match found["is_limited"].as_bool() {
        Some(true) => " up to the limit of this container or job",
        _ => "",
    };
    let free = found["free_host_mib"]
        .as_f64()
        .map(|f| format!(", {f:.0} MiB of memory free{limit}"))
        .unwrap_or_default();
    [
        (
            "libtorch",
            format!("{} in {}", text("libtorch"), text("folder")),
        ),
        (
            "devices",
            format!(
                "{} with {}{free}",
                devices.join(", "),
                count(found["threads"].as_u64().unwrap_or(0) as usize, "thread")
            ),
        ),
    ]
    .into_iter()
}

/// Why there is no GPU, or one cannot be used.
fn no_gpu(found: &Value) -> Option<String> {
    let why = found["no_gpu"].as_str()?;
    let mark = match found["is_gpu_overlooked"].as_bool() {
        Some(true) => "!!",
        _ => "ok",
    };
    let none = match found["gpus"]
        .as_array()
        .is_some_and(|gpus| !gpus.is_empty())
    {
        true => "not all",
        false => "none",
    };
    Some(format!("{mark}  {:9} {none} ({why})", "gpu"))
}

/// What the engine reports about itself.
///
/// # Errors
/// It is not installed, does not start, or prints something else.
fn engine() -> Result<Value> {
    let engine = engine_process::engine()?;
    let output = libraries::command(&engine)?
        .arg("doctor")
        .output()
        .map_err(Error::io("start", &engine))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let rebuild = || {
            let text = text.trim();
            let advice = "Rebuild it with `make build` or `make install`";
            Error::file(&engine, format!("does not start: {text}. {advice}"))
        };
        return Err(libraries::problem(&engine, &text).unwrap_or_else(rebuild));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|e| Error::file(&engine, format!("its report cannot be read: {e}")))
}

/// Whether files can be made in a folder, or in the nearest existing one above it. Leaves nothing
/// behind.
fn can_write(folder: &Path) -> Result<()> {
    let absolute: PathBuf = std::path::absolute(folder).map_err(Error::io("find", folder))?;
    let existing = absolute
        .ancestors()
        .find(|p| p.exists())
        .unwrap_or(Path::new("/"));
    tempfile::tempfile_in(existing)
        .map(|_| ())
        .map_err(Error::io("write to", existing))
}
