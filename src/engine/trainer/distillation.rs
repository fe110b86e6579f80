//! The phase that distils: iteration after iteration on the synthetic images and the student rate,
//! with evaluations, pictures and checkpoints between them.

use super::cautions;
use super::checkpoint::{BestStep, DistillationState, EvaluationRecord};
use super::control::{Control, PendingAction, RunStage};
use super::divergence::{self, Divergence, FAR_TOO_LARGE, LATEST, Verdict};
use super::draws_ahead::DrawsAhead;
use super::evaluation::{Accuracies, Evaluator, Occasion};
use super::labelling::Labelling;
use super::store::Trajectory;
use super::workers::Workers;
use crate::data::Dataset;
use crate::distill::evaluate::mean_std;
use crate::distill::iteration::{Settings, Starts};
use crate::distill::parameters::Parameterisation;
use crate::distill::rates::RateMemory;
use crate::distill::{MatchingOptions, TrainingSet};
use crate::network::Network;
use crate::picture;
use astill_core::Result;
use astill_core::profile::{AugmentFamily, Auto, DistillSettings};
use astill_core::run::edits::{Moment, STUDENT_RATE, key_of};
use astill_core::run::event::{EvalSplit, EventKind, ImageSet};
use astill_core::run::{RunDir, checkpoints};
use std::time::{Duration, Instant};
use tch::Device;

/// A checkpoint at least this often.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(120);
/// About this many pictures in a run, besides those of evaluations.
const PICTURES: u64 = 50;

/// What distillation needs.
#[derive(Debug, Clone, Copy)]
pub struct Distillation<'a> {
    pub run: &'a RunDir,
    pub net: &'a dyn Network,
    pub dataset: &'a Dataset,
    pub experts: &'a [Trajectory],
    pub evaluators: &'a [Evaluator<'a>],
    /// Checkpoints in each epoch of an expert.
    pub per_epoch: usize,
    /// Families of augmentation; may be empty.
    pub augment: &'a [AugmentFamily],
    pub labelling: &'a Labelling<'a>,
    pub parameterisation: &'a Parameterisation,
    pub seed: u64,
    pub device: Device,
    /// Who helps.
    pub workers: Option<&'a Workers>,
    pub ahead: &'a DrawsAhead,
}

impl Settings {
    /// The settings of an iteration in a profile whose experts have `per_epoch` checkpoints in each
    /// epoch, with these families of augmentation.
    pub fn of(distill: &DistillSettings, per_epoch: usize, augment: &[AugmentFamily]) -> Self {
        Self {
            syn_steps: distill.syn_steps,
            expert_epochs: distill.expert_epochs,
            starts: Starts {
                first: distill.min_start_epoch,
                end: distill.max_start_epoch,
                from: distill.expand_from,
                until: distill.expand_until as u64,
                per_epoch,
            },
            mirror: distill.mirror,
            batch: distill.batch,
            momentum: distill.momentum,
            balance: distill.balance,
            matching: MatchingOptions {
                intermediate: distill.intermediate,
                at: distill.match_at,
                drop: distill.drop_parameters,
            },
            perturbation: distill.perturbation,
            segments: distill.segments,
            augment: augment.to_vec(),
        }
    }
}

impl Distillation<'_> {
    /// Continues from `state` to the last iteration. When it is stopped, `state` is that after the
    /// last whole step.
    pub fn run(&self, state: &mut DistillationState, control: &mut Control) -> Result<()> {
        let (mut last_checkpoint, mut divergence) = (Instant::now(), Divergence::default());
        loop {
            let before = state.numbers.step;
            if self.between_steps(state, control)? {
                last_checkpoint = Instant::now();
            }
            if state.numbers.step < before {
                divergence.go_back();
            }
            let profile = control.profile_at(Moment::Step(state.numbers.step));
            let distill = &profile.distill;
            let (step, iterations) = (state.numbers.step, distill.iterations as u64);
            if step >= iterations && divergence::is_end_diverged(&state.numbers) {
                self.checkpoint(state, control)?;
                let (numbers, way_on) = (&state.numbers, control.way_on(self.run));
                let problem = cautions::diverged_at_end(self.run, numbers, distill, &way_on);
                control.diverged(problem)?;
                // nothing is done before this has changed
                continue;
            }
            let every = profile.evaluate.every as u64;
            let is_evaluated =
                |step: u64| step > 0 && (step.is_multiple_of(every) || step >= iterations);
            if is_evaluated(step)
                && !state
                    .numbers
                    .evaluations
                    .iter()
                    .any(|m| m.step == step && m.labels == ImageSet::Distilled)
            {
                self.checkpoint(state, control)?;
                self.evaluate(state, control)?;
                self.checkpoint(state, control)?;
                last_checkpoint = Instant::now();
                // what was requested meanwhile comes first
                continue;
            }
            if step >= iterations {
                return Ok(());
            }
            control.enter(RunStage::Distill {
                done: step,
                next: Moment::Step(step + 1),
            });
            let left_out = state.numbers.left_out;
            let loss = self.step(distill, state, control)?;
            let step = state.numbers.step;
            if divergence.leaves_out_most(state.numbers.left_out > left_out) {
                control.warn(cautions::most_left_out(step, distill))?;
            }
            match divergence.take(loss) {
                Verdict::NotFinite => {
                    self.checkpoint(state, control)?;
                    last_checkpoint = Instant::now();
                    let way_on = control.way_on(self.run);
                    control.diverged(cautions::diverged(self.run, step, distill, &way_on))?;
                }
                Verdict::TooLarge => control.warn(format!(
                    "step {step}: the matching loss was above {FAR_TOO_LARGE} in most of the last {LATEST} \
                     steps: the student ends much farther from the expert than it starts. If it \
                     does not come down, lower {}{}",
                    cautions::rates(distill),
                    cautions::earlier(self.run, step, distill)
                ))?,
                Verdict::None => (),
            }
            if step.is_multiple_of(iterations.div_ceil(PICTURES)) || is_evaluated(step) {
                self.samples(state, control)?;
            }
            if last_checkpoint.elapsed() >= CHECKPOINT_EVERY {
                self.checkpoint(state, control)?;
                last_checkpoint = Instant::now();
            }
        }
    }

    /// Does what was requested meanwhile and stays here while the run is paused. True if a
    /// checkpoint was written.
    fn between_steps(&self, state: &mut DistillationState, control: &mut Control) -> Result<bool> {
        let mut written = false;
        loop {
            enter_idle(state, control);
            if let Some(workers) = self.workers {
                workers.record_changes(control)?;
            }
            control.answer_requests()?;
            while let Some(action) = control.next_pending() {
                match action {
                    PendingAction::Checkpoint => self.checkpoint(state, control)?,
                    PendingAction::Evaluation => {
                        self.evaluate(state, control)?;
                        self.checkpoint(state, control)?;
                    }
                    PendingAction::RollBack { step, edits } => {
                        self.roll_back((step, edits), state, control)?;
                    }
                }
                written = true;
                // what the next request finds
                enter_idle(state, control);
            }
            self.take_student_rate(state, control)?;
            if !control.is_paused() {
                return Ok(written);
            }
            control.answer_next_request()?;
        }
    }

    /// Goes back to the checkpoint of `step`; if that cannot be read any more, the run stays where
    /// it is, with a warning. Settings stay as they are now.
    fn roll_back(
        &self,
        (step, edits): (u64, usize),
        state: &mut DistillationState,
        control: &mut Control,
    ) -> Result<()> {
        let from = state.numbers.step;
        *state = match DistillationState::load_step(self.run.path(), step, self.device) {
            Ok(state) => state,
            Err(error) => {
                return control.warn(format!(
                    "cannot roll back, so the run stays at step {from}: {error}"
                ));
            }
        };
        // what is set while the disk is waited for holds from the step that the run has gone back to
        enter_idle(state, control);
        // the newest checkpoints first, and the edits once none is left that was computed with them:
        // a run that is killed in between resumes from one that its edits are true of
        control.write_with_retry(|_| checkpoints::remove_after(self.run.path(), step))?;
        control.move_edits_back_to(step, edits, state.numbers.student_lr)?;
        control.record(EventKind::RolledBack { from, to: step })?;
        self.samples(state, control)
    }

    /// The student rate is learned, so an edit sets it once and does not hold it.
    fn take_student_rate(&self, state: &mut DistillationState, control: &Control) -> Result<()> {
        let here = Moment::Step(state.numbers.step);
        if control
            .edits()
            .at(here)
            .any(|e| key_of(&e.set) == STUDENT_RATE)
        {
            // "auto" leaves the rate that was learned
            if let Auto::Value(rate) = control.profile_at(here).distill.lr_student {
                state.numbers.student_lr = rate;
            }
            state.numbers.rate = RateMemory::default();
        }
        Ok(())
    }

    /// Evaluates the images as they are now, and remembers them if they are the best so far on the
    /// validation share.
    pub fn evaluate(&self, state: &mut DistillationState, control: &mut Control) -> Result<()> {
        let step = state.numbers.step;
        for (i, evaluator) in self.evaluators.iter().enumerate() {
            let shown = state.shown();
            let set = TrainingSet {
                images: &shown.images,
                labels: &shown.labels,
                lr: shown.student_lr,
            };
            let occasion = Occasion::Step(step);
            let accuracies =
                evaluator.evaluate(&set, ImageSet::Distilled, step, occasion, control)?;
            self.remember(i, accuracies, state);
        }
        Ok(())
    }

    /// Remembers the accuracies of the images as they are now, by the network number `network` of the
    /// profile's list; the first chooses the best step.
    pub fn remember(&self, network: usize, found: Accuracies, state: &mut DistillationState) {
        let step = state.numbers.step;
        let mean = |values: &[f64]| (!values.is_empty()).then(|| mean_std(values).0);
        let validation = mean(&found.validation);
        let splits = [
            (EvalSplit::Test, mean(&found.test)),
            (EvalSplit::Validation, validation),
        ];
        let name = self.evaluators[network].network;
        let records = splits.into_iter().filter_map(|(split, mean)| {
            mean.map(|mean| EvaluationRecord {
                step,
                network: name.to_string(),
                labels: ImageSet::Distilled,
                split,
                mean,
            })
        });
        state.numbers.evaluations.extend(records);
        let is_best = match (&state.numbers.best, validation) {
            (Some(best), Some(now)) => best.validation.is_none_or(|before| now > before),
            _ => true,
        };
        if network == 0 && is_best {
            let shown = state.shown();
            state.numbers.best = Some(BestStep {
                step,
                validation,
                student_lr: shown.student_lr,
            });
            state.best_images = shown.images.copy();
            state.best_logits = shown.logits.map(|logits| logits.copy());
        }
    }

    /// Writes a picture of the images.
    pub fn samples(&self, state: &DistillationState, control: &mut Control) -> Result<()> {
        let step = state.numbers.step;
        let file = format!("samples/step_{step:05}.png");
        let pixels = self.dataset.normalisation.invert(&state.shown().images);
        control.write_with_retry(|_| {
            picture::save(&self.run.path().join(&file), &pixels, self.net.classes())
        })?;
        control.record(EventKind::Samples { step, file })
    }

    /// Writes a checkpoint, and how much memory is in use.
    pub fn checkpoint(&self, state: &DistillationState, control: &mut Control) -> Result<()> {
        let file = control.write_with_retry(|control| {
            // the checkpoint was computed with them
            control.edits().restore()?;
            let file = state.write(self.run.path(), control.edits().all())?;
            // writing takes a while
            control.check_held()?;
            state.remove_others(self.run.path())?;
            Ok(file)
        })?;
        control.record(EventKind::Checkpoint {
            step: state.numbers.step,
            file,
        })?;
        control.record_memory()
    }
}

/// Reports that the run is between two steps.
fn enter_idle(state: &DistillationState, control: &mut Control) {
    let done = state.numbers.step;
    let here = Moment::Step(done);
    // one that was set here may not have reached the state yet
    let is_set = |set: &str| key_of(set) == STUDENT_RATE;
    let set = control.edits().at(here).any(|e| is_set(&e.set));
    let set = control
        .profile_at(here)
        .distill
        .lr_student
        .given()
        .filter(|_| set);
    control.set_student_rate(set.unwrap_or(state.numbers.student_lr));
    control.enter(RunStage::Distill {
        done,
        next: Moment::Step(done),
    });
}
