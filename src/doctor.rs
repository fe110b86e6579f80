//! `astill doctor`: whether this machine has what astill needs, line by line.

use crate::engine_process::{self, Local};
use crate::tui::colour::Depth;
use astill_core::cli::{AppearanceArgs, data_folder, out};
use astill_core::{Error, Result};
use serde_json::{Value, json};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Looks and tells. False if something is amiss that keeps astill from working.
pub fn tell(here: &Local, look: &AppearanceArgs, as_json: bool) -> Result<bool> {
    let engine = engine();
    let env = |name: &str| std::env::var(name).ok();
    let depth = Depth::detect(look.color.as_deref(), &env)?;
    let size = ratatui::crossterm::terminal::size().ok();
    let data = data_folder(here.data.clone())?;
    let folders = [("data", data), ("runs", here.runs.clone())]
        .map(|(name, path)| (name, can_write(&path), path));
    let is_well = engine.is_ok() && folders.iter().all(|(_, can, _)| can.is_ok());
    if as_json {
        let folders: Vec<Value> = folders
            .iter()
            .map(|(name, can, path)| json!({ "name": name, "path": path, "problem": can.as_ref().err().map(Error::to_string) }))
            .collect();
        out(json!({
            "version": env!("CARGO_PKG_VERSION"),
            "engine": engine.as_ref().ok(),
            "problem": engine.as_ref().err().map(Error::to_string),
            "terminal": {
                "is_terminal": std::io::stdout().is_terminal(),
                "term": env("TERM"),
                "columns": size.map(|s| s.0),
                "rows": size.map(|s| s.1),
                "colours": format!("{depth:?}").to_lowercase(),
                "over_ssh": env("SSH_CONNECTION").is_some(),
            },
            "folders": folders,
        }))?;
        return Ok(is_well);
    }
    let line = |good: bool, name: &str, text: String| {
        out(format!(
            "{}  {name:9} {text}",
            if good { "ok" } else { "!!" }
        ))
    };
    line(true, "astill", env!("CARGO_PKG_VERSION").into())?;
    match &engine {
        Ok(found) => {
            let text = |key: &str| found[key].as_str().unwrap_or("unknown").to_string();
            line(
                true,
                "libtorch",
                format!("{} in {}", text("libtorch"), text("folder")),
            )?;
            let devices: Vec<&str> = found["devices"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(Value::as_str)
                .collect();
            let free = found["free_host_mib"]
                .as_f64()
                .map(|f| format!(", {f:.0} MiB of memory free"))
                .unwrap_or_default();
            line(
                true,
                "devices",
                format!(
                    "{} with {} threads{free}",
                    devices.join(", "),
                    found["threads"]
                ),
            )?;
            if let Some(why) = found["no_gpu"].as_str() {
                line(true, "gpu", format!("none: {why}"))?;
            }
        }
        Err(error) => line(false, "libtorch", error.to_string())?,
    }
    let size = size.map_or("unknown size".into(), |(columns, rows)| {
        format!("{columns} x {rows}")
    });
    let colours = match depth {
        Depth::Never => "no colours",
        Depth::Ansi16 => "16 colours",
        Depth::Ansi256 => "256 colours",
        Depth::TrueColor => "all colours",
    };
    let terminal = if std::io::stdout().is_terminal() {
        size
    } else {
        "stdout is none".into()
    };
    line(
        true,
        "terminal",
        format!(
            "{}, {terminal}, {colours}",
            env("TERM").unwrap_or_else(|| "TERM is not set".into())
        ),
    )?;
    for (name, can, path) in folders {
        match can {
            Ok(()) => line(true, name, path.display().to_string())?,
            Err(error) => line(false, name, error.to_string())?,
        }
    }
    Ok(is_well)
}

/// What the engine says of itself; an error if it does not start.
fn engine() -> Result<Value> {
    let engine = engine_process::engine()?;
    let output = Command::new(&engine)
        .arg("doctor")
        .output()
        .map_err(Error::io("start", &engine))?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        return Err(Error::file(
            &engine,
            format!(
                "does not start: {}. Build it again with `make build`",
                text.trim()
            ),
        ));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|e| Error::file(&engine, format!("its answer cannot be read: {e}")))
}

/// Whether files can be made in a folder, or in the nearest one above it that is there. Leaves
/// nothing behind.
fn can_write(folder: &Path) -> Result<()> {
    let absolute: PathBuf = std::path::absolute(folder).map_err(Error::io("find", folder))?;
    let there = absolute
        .ancestors()
        .find(|p| p.exists())
        .unwrap_or(Path::new("/"));
    tempfile::tempfile_in(there)
        .map(|_| ())
        .map_err(Error::io("write in", there))
}
