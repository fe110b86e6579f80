//! What has been measured so far, in a file of the run: measuring can be interrupted.

use astill_core::cli::ScoresProtocol;
use astill_core::files::{atomic, untrusted};
use astill_core::run::RunDir;
use astill_core::scores::Scores;
use astill_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// More than the scores of any run.
const LARGEST: u64 = 16 << 20;

/// The files of a run's scores.
#[derive(Debug)]
pub struct Record {
    partial: PathBuf,
    done: PathBuf,
    measured: Partial,
}

/// What is measured: the same set, judged in the same way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Identity {
    /// BLAKE3 (hexadecimal) of the set's file.
    pub set: String,
    pub network: String,
    pub protocol: ScoresProtocol,
}

#[derive(Debug, Serialize, Deserialize)]
struct Partial {
    of: Identity,
    /// Accuracies and learning rates by what they are of.
    values: BTreeMap<String, f64>,
}

impl Record {
    /// Of what has been measured of this run.
    pub fn open(run: &RunDir, of: Identity) -> Self {
        let partial = run.path().join("scores-partial.json");
        let read = untrusted::read(&partial, LARGEST).ok();
        let read = read.and_then(|bytes| serde_json::from_slice::<Partial>(&bytes).ok());
        let measured = read.filter(|partial| partial.of == of);
        Self {
            done: run.path().join("scores.json"),
            measured: measured.unwrap_or(Partial {
                of,
                values: BTreeMap::new(),
            }),
            partial,
        }
    }

    /// The scores, if all of them have been measured.
    #[must_use]
    pub fn scores(&self) -> Option<Scores> {
        let bytes = untrusted::read(&self.done, LARGEST).ok()?;
        let scores: Scores = serde_json::from_slice(&bytes).ok()?;
        let of = Identity {
            set: scores.set.clone(),
            network: scores.network.clone(),
            protocol: scores.protocol.clone(),
        };
        (of == self.measured.of).then_some(scores)
    }

    /// A value, if it has been measured.
    #[must_use]
    pub fn get(&self, what: &str) -> Option<f64> {
        self.measured.values.get(what).copied()
    }

    /// Keeps a value.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn put(&mut self, what: String, value: f64) -> Result<()> {
        self.measured.values.insert(what, value);
        let text = serde_json::to_string(&self.measured);
        let text = text.map_err(|e| Error::file(&self.partial, e.to_string()))?;
        atomic::write_atomically(&self.partial, text.as_bytes())
    }

    /// Writes the scores.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn finish(self, scores: &Scores) -> Result<()> {
        let text = serde_json::to_string_pretty(scores);
        let text = text.map_err(|e| Error::file(&self.done, e.to_string()))?;
        atomic::write_atomically(&self.done, text.as_bytes())?;
        // one that stays is not read again
        let _ = std::fs::remove_file(&self.partial);
        Ok(())
    }
}
