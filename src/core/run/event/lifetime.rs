//! The beginning and the end of a run.

use super::{Headline, Usage};
use crate::cgroup::OomKills;
use crate::text::count;
use serde::{Deserialize, Serialize};
use std::fmt;

/// An engine started or resumed this run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunStarted {
    pub run: String,
    pub profile: String,
    pub seed: u64,
    pub device: String,
    pub threads: i64,
    pub version: String,
    /// Its process id.
    pub process: u32,
    /// Directory of caches and trajectories.
    pub data: String,
    /// Directory of the data set.
    pub folder: String,
    /// Distillation steps that an earlier engine already did; 0 for a new run.
    pub step: u64,
    /// Distillation steps in all.
    pub iterations: u64,
    /// How often the system had ended programs for lack of memory before; none where it does not
    /// count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oom_kills: Option<OomKills>,
    /// The profile that the run was begun with, every key; none in records of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<serde_json::Value>,
}

impl RunStarted {
    /// Takes the count of programs that were ended for lack of memory from a later sign of life:
    /// those before it did not end this engine.
    pub fn still_lived(&mut self, usage: &Usage) {
        if let (Some(kills), Some(count)) = (&mut self.oom_kills, usage.host.oom_kills) {
            kills.count = count;
        }
    }
}

/// The data set is ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetLoaded {
    /// In the order of labels.
    pub classes: Vec<String>,
    /// Numbers of images.
    pub train: u64,
    pub validation: u64,
    pub test: u64,
    /// Pixels per side.
    pub size: i64,
    /// `channels` or `zca`.
    pub normalisation: String,
    /// What the files hold that is not in the data set.
    #[serde(default)]
    pub left_out: Vec<LeftOut>,
    /// Which parts of the files were taken for what, where that may not be expected.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What about the images may hurt.
    #[serde(default)]
    pub warnings: Vec<DataWarning>,
    /// The hash of the training images; empty in records of older versions.
    #[serde(default)]
    pub content: String,
}

/// Files of one part and class that are not in the data set, for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftOut {
    /// "train", "validation" or "test"; "" for files outside of all parts.
    pub part: String,
    pub class: Option<String>,
    pub reason: String,
    pub count: u64,
    /// One of them, relative to the folder of the data set.
    pub first: String,
    /// Whether they may be images that belong to the set: then a run begins only with
    /// `dataset.unreadable: skip`.
    pub is_lost: bool,
}

/// "3 files of class cat in train: HEIC is not read; convert it to PNG (train/cat/1.heic)"
impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = count(usize::try_from(self.count).unwrap_or(usize::MAX), "file");
        let place = match (&self.class, self.part.as_str()) {
            (Some(class), "") => format!(" of class {class}"),
            (Some(class), part) => format!(" of class {class} in {part}"),
            (None, "") => String::new(),
            (None, part) => format!(" in {part}"),
        };
        write!(f, "{files}{place}: {} ({})", self.reason, self.first)
    }
}

/// Something about the images that may hurt later.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataWarning {
    /// "equal-across-parts", "equal-across-labels", "class-without-test", "all-equal",
    /// "dark-16-bit", "transparent" or "orientation".
    pub kind: String,
    /// How many images (or classes) it is about.
    pub count: u64,
    pub message: String,
}

/// The engine ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunFinished {
    pub status: RunOutcome,
    /// Why, unless it is done.
    pub reason: Option<String>,
    /// The step whose images were chosen: by validation accuracy, or the last where there is no
    /// validation share.
    pub best_step: Option<u64>,
    /// The accuracy that it was chosen by.
    pub best_validation: Option<f64>,
    /// The headline: fresh networks on the test set.
    pub results: Vec<Headline>,
    /// The best mean test accuracy of all evaluations, the figure that most papers report; none
    /// unless the profile asks for it.
    pub paper_style_max: Option<f64>,
    /// What the user should know before the result is used.
    #[serde(default)]
    pub cautions: Vec<String>,
    /// The distilled set, relative to the run directory.
    pub file: Option<String>,
    pub seconds: f64,
}

impl RunFinished {
    /// An engine that ended without a result.
    pub fn without_result(status: RunOutcome, reason: String, seconds: f64) -> Self {
        Self {
            status,
            reason: Some(reason),
            best_step: None,
            best_validation: None,
            results: Vec::new(),
            paper_style_max: None,
            cautions: Vec::new(),
            file: None,
            seconds,
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    Done,
    /// Stopped on request after a checkpoint; it can be resumed.
    Stopped,
    Failed,
}
