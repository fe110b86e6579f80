//! The state of a run between two distillation steps, as a file that a resumed run starts from.

mod made_with;

pub use self::made_with::MadeWith;
use crate::distill::Labels;
use crate::distill::rates::{RateMemory, StepMemory, root_mean_square};
use crate::tensor_file::{self, TensorFile};
use astill_core::run::checkpoints::{file_name, files};
use astill_core::run::edits::{Edit, Moment};
use astill_core::run::event::{EvalSplit, Headline, ImageSet};
use astill_core::{Error, Result};
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};
use tch::{Device, Tensor};

/// The format that is written; it changes whenever a checkpoint comes to hold something else, so
/// that none is misunderstood.
const VERSION: u32 = 5;
/// The oldest format that is read: it lacks [`MadeWith`].
const OLDEST: u32 = 4;
/// How many of the newest checkpoints are kept.
const KEPT: usize = 3;
/// How many checkpoints of the last evaluated steps are kept besides, and that of the best step.
const KEPT_EVALUATED: usize = 5;

/// Everything that the rest of a run depends on besides its profile. Random numbers need no state:
/// each draw is seeded by what it is for.
#[derive(Debug)]
pub struct DistillationState {
    pub numbers: StateNumbers,
    /// None in a state from an older version of astill.
    pub made_with: Option<MadeWith>,
    /// The synthetic images (n, C, H, W) in the network's input space.
    pub images: Tensor,
    /// What is learned of them (n, C, a, b): the images themselves, unless the profile says otherwise;
    /// and its momentum buffer.
    pub variables: Tensor,
    pub image_velocity: Tensor,
    /// The mean squared gradient of every image's variables (n, 1, 1, 1), a moving average.
    pub image_scale: Tensor,
    /// The moving average of the images, where one is kept.
    pub average: Option<Average>,
    pub labels: SyntheticLabels,
    /// What the synthetic images started from.
    pub start: Tensor,
    /// The images of `numbers.best`, with the logits (n, K) of their labels where those are soft; those
    /// of the start before the first evaluation.
    pub best_images: Tensor,
    pub best_logits: Option<Tensor>,
}

/// The labels of the synthetic images.
#[derive(Debug)]
pub enum SyntheticLabels {
    /// i64 (n).
    Hard(Tensor),
    /// Their logits (n, K), and the momentum buffer of these.
    Soft { logits: Tensor, velocity: Tensor },
}

impl SyntheticLabels {
    /// As networks learn them.
    pub fn labels(&self) -> Labels {
        match self {
            Self::Hard(classes) => Labels::Hard(classes.shallow_clone()),
            Self::Soft { logits, .. } => Labels::of_logits(logits),
        }
    }

    /// The logits of soft labels.
    pub fn logits(&self) -> Option<&Tensor> {
        match self {
            Self::Hard(_) => None,
            Self::Soft { logits, .. } => Some(logits),
        }
    }
}

/// What is evaluated, shown and saved of a state.
#[derive(Debug)]
pub struct Shown {
    /// (n, C, H, W).
    pub images: Tensor,
    pub labels: Labels,
    /// The logits of soft labels.
    pub logits: Option<Tensor>,
    pub student_lr: f64,
}

/// The moving average of the images and of the student rate.
#[derive(Debug)]
pub struct Average {
    /// (n, C, H, W).
    pub images: Tensor,
    /// The logits (n, K) of soft labels.
    pub logits: Option<Tensor>,
    pub student_lr: f64,
    /// Updates that it has seen.
    pub updates: u64,
}

/// The part of the state that is plain data.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StateNumbers {
    /// The fingerprint of the training images.
    pub data_content: String,
    /// Distillation steps done.
    pub step: u64,
    /// α, the learned student rate.
    pub student_lr: f64,
    pub rate: RateMemory,
    pub image_steps: StepMemory,
    /// The root mean square of the pixels of the real training images, as the network sees them.
    pub data_rms: f64,
    /// 1 − alignment² by start, moving averages; none for starts that have not come yet.
    pub best_ratio: Vec<Option<f64>>,
    /// Updates that were left out because of `distill.max_ratio`.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// The latest updates, as far as they were left out because they were not finite.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_finite: u64,
    /// The step after which the images first were far larger than real ones.
    pub too_large_since: Option<u64>,
    pub best: Option<BestStep>,
    /// Evaluations that are done.
    pub evaluations: Vec<EvaluationRecord>,
    pub headlines: Vec<Headline>,
    /// Rows of the training share, for every class.
    pub random_rows: Vec<Vec<i64>>,
    pub representative_rows: Vec<Vec<i64>>,
}

/// What a checkpoint says about its run without its tensors.
#[derive(Debug)]
pub struct Head {
    pub step: u64,
    pub made_with: Option<MadeWith>,
    /// The live edits before its step, where they are known.
    pub edits: Option<Vec<Edit>>,
}

/// That of the newest checkpoint that is undamaged; none if the run has no usable one.
///
/// # Errors
/// One cannot be read now, or another version wrote it.
pub fn newest_head(run: &Path) -> Result<Option<Head>> {
    for (_, path) in files(run)?.into_iter().rev() {
        match opened(&path) {
            Ok((_, saved)) => {
                return Ok(Some(Head {
                    step: saved.numbers.step,
                    made_with: saved.made_with,
                    edits: saved.edits,
                }));
            }
            Err(Error::File { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// A checkpoint's file, and what it holds besides tensors.
fn opened(path: &Path) -> Result<(TensorFile, Saved<StateNumbers>)> {
    let file = TensorFile::open_sealed(path)?;
    let text = file.metadata("state")?;
    let broken = |e: serde_json::Error| Error::file(path, format!("is not a checkpoint: {e}"));
    let Version { version } = serde_json::from_str(text).map_err(broken)?;
    if !(OLDEST..=VERSION).contains(&version) {
        return Err(Error::Usage(format!(
            "{}: expected format {VERSION}, found format {version}, from another version of \
             astill: resume with that version, or move the file away to resume from an earlier \
             checkpoint",
            path.display()
        )));
    }
    let saved = serde_json::from_str(text).map_err(broken)?;
    Ok((file, saved))
}

/// The edits that the steps up to number `step` were computed with.
pub fn before(step: u64, edits: &[Edit]) -> Vec<Edit> {
    let is_before = |edit: &&Edit| edit.at < Moment::Step(step);
    edits.iter().filter(is_before).cloned().collect()
}

fn is_zero(count: &u64) -> bool {
    *count == 0
}

/// What a checkpoint holds besides tensors.
#[derive(Serialize, Deserialize)]
struct Saved<N> {
    version: u32,
    /// The averaged student rate, and the updates it has seen.
    average: Option<(f64, u64)>,
    numbers: N,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_with: Option<MadeWith>,
    /// The live edits that its steps were computed with; unknown in one from an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    edits: Option<Vec<Edit>>,
}

/// The part of it that is the same in every format.
#[derive(Deserialize)]
struct Version {
    version: u32,
}

/// The step that is best so far on the validation share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BestStep {
    pub step: u64,
    /// Mean accuracy on the validation share, in per cent; none without such a share.
    pub validation: Option<f64>,
    pub student_lr: f64,
}

/// One evaluation: mean accuracy of fresh networks, in per cent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvaluationRecord {
    pub step: u64,
    pub network: String,
    pub labels: ImageSet,
    pub split: EvalSplit,
    pub mean: f64,
}

impl DistillationState {
    /// Writes the state below `run` as `checkpoints/step_NNNNN.safetensors` and removes all but the
    /// newest few. Returns the path relative to `run`.
    ///
    /// # Errors
    /// The file cannot be written, or an old one cannot be removed.
    pub fn save(&self, run: &Path) -> Result<String> {
        let file = self.write(run, &[])?;
        self.remove_others(run)?;
        Ok(file)
    }

    /// The first part of [`Self::save`]: writes the state with those of the run's live `edits` that
    /// it was computed with, and removes nothing.
    pub(super) fn write(&self, run: &Path, edits: &[Edit]) -> Result<String> {
        let file = file_name(self.numbers.step);
        let mut tensors = vec![
            ("images", &self.images),
            ("variables", &self.variables),
            ("image_velocity", &self.image_velocity),
            ("image_scale", &self.image_scale),
            ("start", &self.start),
            ("best_images", &self.best_images),
        ];
        match &self.labels {
            SyntheticLabels::Hard(classes) => tensors.push(("labels", classes)),
            SyntheticLabels::Soft { logits, velocity } => {
                tensors.extend([("label_logits", logits), ("label_velocity", velocity)])
            }
        }
        tensors.extend(self.best_logits.as_ref().map(|l| ("best_label_logits", l)));
        let average = self.average.as_ref();
        let average_logits = average.and_then(|a| a.logits.as_ref());
        tensors.extend(average_logits.map(|l| ("average_label_logits", l)));
        tensors.extend(self.average.as_ref().map(|a| ("average_images", &a.images)));
        let state = serde_json::to_string(&Saved {
            version: VERSION,
            average: self.average.as_ref().map(|a| (a.student_lr, a.updates)),
            numbers: &self.numbers,
            made_with: self.made_with.clone(),
            edits: Some(before(self.numbers.step, edits)),
        });
        let state = state.map_err(|e| Error::file(run.join(&file), e.to_string()))?;
        tensor_file::write_sealed(&run.join(&file), &tensors, ("state", state))?;
        Ok(file)
    }

    /// The second part: removes the checkpoints that are not kept beside this one.
    pub(super) fn remove_others(&self, run: &Path) -> Result<()> {
        let all = files(run)?;
        // newer ones are of steps that this state went back from
        let (newer, older): (Vec<_>, Vec<_>) = all
            .iter()
            .rev()
            .partition(|(step, _)| *step > self.numbers.step);
        let others = older
            .into_iter()
            .filter(|(step, _)| !self.numbers.is_kept(*step))
            .skip(KEPT);
        for (_, path) in newer.into_iter().chain(others) {
            fs::remove_file(path).map_err(Error::io("remove", path))?;
        }
        Ok(())
    }

    /// The newest state below `run` that is undamaged, or none if the run has not come that far;
    /// and what is wrong with every newer file, which is set aside as `….damaged`. An older state
    /// costs some steps, never the result.
    ///
    /// # Errors
    /// There are files and none can be used, or one cannot be read now, or another version wrote
    /// it; then they all stay.
    pub fn load(run: &Path, device: Device) -> Result<(Option<Self>, Vec<Error>)> {
        let (mut problems, mut damaged) = (Vec::new(), Vec::<PathBuf>::new());
        for (_, path) in files(run)?.into_iter().rev() {
            match Self::read(&path, device) {
                Ok(state) => {
                    for path in damaged {
                        // a file that cannot be moved is skipped again the next time
                        let _ = fs::rename(&path, path.with_extension("safetensors.damaged"));
                    }
                    return Ok((Some(state), problems));
                }
                Err(problem @ Error::File { .. }) => {
                    damaged.push(path);
                    problems.push(problem);
                }
                // it may well be whole
                Err(error) => return Err(error),
            }
        }
        match problems.first() {
            None => Ok((None, problems)),
            Some(newest) => Err(Error::file(
                run.join("checkpoints"),
                format!(
                    "holds checkpoints, but none that can be used. The newest: {newest}. Restore one \
                     from a copy, or remove them all to distil from the beginning with the experts \
                     already trained"
                ),
            )),
        }
    }

    /// The state after `step` steps.
    ///
    /// # Errors
    /// There is no such checkpoint, it is damaged, or another version wrote it.
    pub fn load_step(run: &Path, step: u64, device: Device) -> Result<Self> {
        Self::read(&run.join(file_name(step)), device)
    }

    fn read(path: &Path, device: Device) -> Result<Self> {
        let (file, saved) = opened(path)?;
        let Saved {
            numbers,
            average,
            made_with,
            ..
        } = saved;
        let tensor = |name: &str| -> Result<Tensor> { Ok(file.tensor(name)?.to_device(device)) };
        let optional = |name: &str| match file.contains(name) {
            true => tensor(name).map(Some),
            false => Ok(None),
        };
        let labels = match optional("label_logits")? {
            Some(logits) => SyntheticLabels::Soft {
                logits,
                velocity: tensor("label_velocity")?,
            },
            None => SyntheticLabels::Hard(tensor("labels")?),
        };
        let average = match average {
            Some((student_lr, updates)) => Some(Average {
                images: tensor("average_images")?,
                logits: optional("average_label_logits")?,
                student_lr,
                updates,
            }),
            None => None,
        };
        Ok(Self {
            numbers,
            made_with,
            average,
            images: tensor("images")?,
            variables: tensor("variables")?,
            labels,
            image_velocity: tensor("image_velocity")?,
            image_scale: tensor("image_scale")?,
            start: tensor("start")?,
            best_images: tensor("best_images")?,
            best_logits: optional("best_label_logits")?,
        })
    }
}

impl DistillationState {
    /// The root mean square of the best images' pixels over that of real ones.
    pub fn best_scale(&self) -> f64 {
        root_mean_square(&self.best_images).double_value(&[]) / self.numbers.data_rms
    }

    /// The images that are evaluated, shown and saved, with their labels and student rate: the moving
    /// averages where they are kept.
    pub fn shown(&self) -> Shown {
        let (images, logits, student_lr) = match &self.average {
            Some(average) => (&average.images, average.logits.as_ref(), average.student_lr),
            None => (&self.images, self.labels.logits(), self.numbers.student_lr),
        };
        Shown {
            images: images.shallow_clone(),
            labels: logits.map_or_else(|| self.labels.labels(), Labels::of_logits),
            logits: logits.map(Tensor::shallow_clone),
            student_lr,
        }
    }

    /// The labels of the best images.
    pub fn best_labels(&self) -> Labels {
        let logits = self.best_logits.as_ref();
        logits.map_or_else(|| self.labels.labels(), Labels::of_logits)
    }
}

impl StateNumbers {
    /// Whether the checkpoint of `step` stays, besides the newest few: those of the last
    /// evaluations do, to roll back to.
    fn is_kept(&self, step: u64) -> bool {
        let mut evaluated: Vec<u64> = self.evaluations.iter().map(|m| m.step).collect();
        evaluated.dedup();
        self.best.as_ref().is_some_and(|b| b.step == step)
            || evaluated
                .iter()
                .rev()
                .take(KEPT_EVALUATED)
                .any(|s| *s == step)
    }
}

#[cfg(test)]
mod tests;
