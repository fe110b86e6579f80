//! The phase that distils: iteration after iteration on the synthetic images and the student rate,
//! with evaluations, pictures and checkpoints between them.

use super::checkpoint::{BestStep, DistillationState, EvaluationRecord};
use super::control::{Control, PendingAction, RunStage};
use super::divergence::{Divergence, FAR_TOO_LARGE, LATEST, NOT_FINITE_IN_A_ROW, Verdict};
use super::evaluation::{Evaluator, Occasion};
use super::picture;
use super::store::Trajectory;
use crate::data::Dataset;
use crate::distill::evaluate::mean_std;
use crate::distill::iteration::{Draw, Iteration, Outcome, Settings};
use crate::distill::{Labels, TrainingSet};
use crate::network::Network;
use astill_core::Result;
use astill_core::profile::DistillSettings;
use astill_core::run::edits::{Moment, STUDENT_RATE, key_of};
use astill_core::run::event::{DistillStep, EvalSplit, EventKind, ImageSet, Perturbation};
use astill_core::run::{RunDir, checkpoints};
use astill_core::text::number;
use std::time::{Duration, Instant};
use tch::Device;

/// Momentum of SGD on the images and on the student rate.
const MOMENTUM: f64 = 0.5;
/// One update may shrink the student rate to this share of itself, so that it stays positive.
const MOST_SHRINKING: f64 = 0.5;
/// A checkpoint at least this often.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(120);
/// About this many pictures in a run, besides those of evaluations.
const PICTURES: u64 = 50;
/// Progress inside an iteration is worth an event only where iterations are this slow.
const SLOW_ITERATION: Duration = Duration::from_secs(2);

/// What distillation needs.
#[derive(Debug)]
pub struct Distillation<'a> {
    pub run: &'a RunDir,
    pub net: &'a dyn Network,
    pub dataset: &'a Dataset,
    pub experts: &'a [Trajectory],
    pub evaluators: &'a [Evaluator<'a>],
    /// Labels of the real images that distilled ones are compared with: hard, in class order.
    pub baseline_labels: &'a Labels,
    pub seed: u64,
    pub device: Device,
}

impl Settings {
    /// The settings of an iteration in a profile.
    fn of(distill: &DistillSettings) -> Self {
        Self {
            syn_steps: distill.syn_steps,
            expert_epochs: distill.expert_epochs,
            max_start_epoch: distill.max_start_epoch,
            batch: distill.batch,
            momentum: distill.momentum,
            balance: distill.balance,
            intermediate: distill.intermediate,
            perturbation: distill.perturbation,
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
            let (step, iterations) = (state.numbers.step, profile.distill.iterations as u64);
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
            let loss = self.step(&profile.distill, state, control)?;
            let step = state.numbers.step;
            match divergence.take(loss) {
                Verdict::NotFinite => {
                    self.checkpoint(state, control)?;
                    last_checkpoint = Instant::now();
                    control.diverged(self.way_out(step)?)?;
                }
                Verdict::TooLarge => control.warn(format!(
                    "step {step}: the matching loss was above {FAR_TOO_LARGE} in most of the last {LATEST} \
                     steps: the student ends much farther from the expert than it starts. If it \
                     does not come down, lower distill.lr_student or \
                     distill.lr_images{}",
                    self.earlier(step)?
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
            control.answer_requests()?;
            while let Some(action) = control.next_pending() {
                match action {
                    PendingAction::Checkpoint => self.checkpoint(state, control)?,
                    PendingAction::Evaluation => {
                        self.evaluate(state, control)?;
                        self.checkpoint(state, control)?;
                    }
                    PendingAction::RollBack { step } => self.roll_back(step, state, control)?,
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
        step: u64,
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
        // the newest checkpoints first: a run that is killed in between resumes from one that is still
        // there
        control.move_edits_back_to(step)?;
        control.write_with_retry(|_| checkpoints::remove_after(self.run.path(), step))?;
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
            state.numbers.student_lr = control.profile_at(here).distill.lr_student;
            state.numbers.lr_velocity = 0.;
        }
        Ok(())
    }

    /// What to do after [`NOT_FINITE_IN_A_ROW`] updates were left out, the last at `step`.
    fn way_out(&self, step: u64) -> Result<String> {
        let (first, run) = (step + 1 - NOT_FINITE_IN_A_ROW, self.run.reference());
        Ok(format!(
            "{NOT_FINITE_IN_A_ROW} updates in a row were not finite and were skipped, so the images \
             are those of step {}: the student diverges. There is a checkpoint of step {step}. While \
             an engine is running (start one with `astill resume {run} --detach`), lower \
             distill.lr_student or distill.lr_images{}, then `astill send {run} resume`",
            first - 1,
            self.earlier(first - 1)?
        ))
    }

    /// Which commands help, with the checkpoint to go back to from before `step`, if there is one.
    fn earlier(&self, step: u64) -> Result<String> {
        let steps = checkpoints::steps(self.run.path()).unwrap_or_default();
        let commands = format!("(`astill send {} set distill.lr_images=…`", self.run.name());
        Ok(match steps.iter().rev().find(|s| **s <= step) {
            Some(good) => format!(" {commands}), or roll back first (`roll-back {good}`)"),
            None => format!(" {commands})"),
        })
    }

    /// One iteration and the update of images and student rate. Returns the matching loss, or none
    /// if the update was not finite and left out.
    fn step(
        &self,
        distill: &DistillSettings,
        state: &mut DistillationState,
        control: &mut Control,
    ) -> Result<Option<f64>> {
        let begin = Instant::now();
        let settings = Settings::of(distill);
        let index = state.numbers.step;
        let draw = Draw::new(
            &settings,
            self.net,
            self.seed,
            index,
            self.experts.len() as u64,
            &state.images,
        );
        let trajectory = &self.experts[draw.expert as usize];
        let checkpoints = (0..=settings.expert_epochs)
            .map(|j| {
                Ok(trajectory
                    .checkpoint(draw.start_epoch + j)?
                    .to_device(self.device))
            })
            .collect::<Result<Vec<_>>>()?;
        let mut watch = control.watch_step("", SLOW_ITERATION);
        let lr = state.numbers.student_lr;
        let set = TrainingSet {
            images: &state.images,
            labels: &state.labels,
            lr,
        };
        let iteration = Iteration {
            net: self.net,
            checkpoints: &checkpoints,
            set: &set,
            settings: &settings,
            draw: &draw,
        };
        let outcome = iteration.align(&mut watch)?;
        drop(watch);

        state.numbers.step += 1;
        // measured by an engine that had finished before more iterations were asked for
        state.numbers.headlines.clear();
        let finite = [
            outcome.matching_loss,
            outcome.image_gradient,
            outcome.lr_gradient,
        ]
        .iter()
        .all(|v| v.is_finite());
        if finite {
            self.update(distill, state, &outcome, control)?;
        } else {
            control.warn(format!(
                "step {}: the gradient is not finite, so this update is skipped (student rate {}, \
                 matching loss {})",
                state.numbers.step,
                number(lr),
                number(outcome.matching_loss)
            ))?;
        }
        control.record(EventKind::DistillStep(DistillStep {
            step: state.numbers.step,
            expert: draw.expert,
            start_epoch: draw.start_epoch as u64,
            matching_loss: outcome.matching_loss,
            final_ratio: outcome.final_ratio,
            intermediate: outcome.intermediate,
            student_lr: state.numbers.student_lr,
            balance_factor: outcome.balance_factor,
            perturbation: Perturbation {
                relative: outcome.perturbation.relative,
                per_layer: outcome.perturbation.per_layer,
            },
            reach: outcome.reach,
            alignment: outcome.alignment,
            image_gradient: outcome.image_gradient,
            seconds: begin.elapsed().as_secs_f64(),
        }))?;
        Ok(finite.then_some(outcome.matching_loss))
    }

    /// SGD with momentum on the images and on the student rate, which stays positive.
    fn update(
        &self,
        distill: &DistillSettings,
        state: &mut DistillationState,
        outcome: &Outcome,
        control: &mut Control,
    ) -> Result<()> {
        state.image_velocity = &state.image_velocity * MOMENTUM + &outcome.gradient;
        state.images = &state.images - &state.image_velocity * distill.lr_images;
        let numbers = &mut state.numbers;
        numbers.lr_velocity = numbers.lr_velocity * MOMENTUM + outcome.lr_gradient;
        let (before, after) = (
            numbers.student_lr,
            numbers.student_lr - distill.lr_lr * numbers.lr_velocity,
        );
        let least = before * MOST_SHRINKING;
        numbers.student_lr = positive(before, after);
        if after < least {
            numbers.lr_velocity = 0.;
            let step = numbers.step;
            control.warn(format!(
                "step {step}: the student rate would have gone from {} to {}; it was held at {}. If this \
                 happens again and again, lower distill.lr_lr (now {})",
                number(before),
                number(after),
                number(least),
                number(distill.lr_lr)
            ))?;
        }
        Ok(())
    }

    /// Evaluates the images as they are now, and remembers them if they are the best so far on the
    /// validation share.
    fn evaluate(&self, state: &mut DistillationState, control: &mut Control) -> Result<()> {
        let step = state.numbers.step;
        let lr = state.numbers.student_lr;
        let mut measured = Vec::new();
        for (i, evaluator) in self.evaluators.iter().enumerate() {
            let set = TrainingSet {
                images: &state.images,
                labels: &state.labels,
                lr,
            };
            let accuracies = evaluator.evaluate(
                &set,
                ImageSet::Distilled,
                step,
                Occasion::Step(step),
                control,
            )?;
            let mean = |values: &[f64]| mean_std(values).0;
            let network = || evaluator.network.to_string();
            let test = mean(&accuracies.test);
            measured.push(EvaluationRecord {
                step,
                network: network(),
                labels: ImageSet::Distilled,
                split: EvalSplit::Test,
                mean: test,
            });
            let validation =
                (!accuracies.validation.is_empty()).then(|| mean(&accuracies.validation));
            if let Some(mean) = validation {
                measured.push(EvaluationRecord {
                    step,
                    network: network(),
                    labels: ImageSet::Distilled,
                    split: EvalSplit::Validation,
                    mean,
                });
            }
            // the first network of the list chooses
            let is_best = match (&state.numbers.best, validation) {
                (Some(best), Some(now)) => best.validation.is_none_or(|before| now > before),
                _ => true,
            };
            if i == 0 && is_best {
                state.numbers.best = Some(BestStep {
                    step,
                    validation,
                    student_lr: lr,
                });
                state.best_images = state.images.copy();
            }
        }
        state.numbers.evaluations.extend(measured);
        Ok(())
    }

    /// Writes a picture of the images.
    pub fn samples(&self, state: &DistillationState, control: &mut Control) -> Result<()> {
        let step = state.numbers.step;
        let file = format!("samples/step_{step:05}.png");
        let pixels = self.dataset.normalisation.invert(&state.images);
        control.write_with_retry(|_| {
            picture::save(&self.run.path().join(&file), &pixels, self.net.classes())
        })?;
        control.record(EventKind::Samples { step, file })
    }

    /// Writes a checkpoint, and how much memory is in use.
    pub fn checkpoint(&self, state: &DistillationState, control: &mut Control) -> Result<()> {
        let file = control.write_with_retry(|_| state.save(self.run.path()))?;
        control.record(EventKind::Checkpoint {
            step: state.numbers.step,
            file,
        })?;
        control.record_memory()
    }
}

/// The student rate after an update from `before` to `after`, of which it takes at most a share.
fn positive(before: f64, after: f64) -> f64 {
    after.max(before * MOST_SHRINKING)
}

/// Reports that the run is between two steps.
fn enter_idle(state: &DistillationState, control: &mut Control) {
    let done = state.numbers.step;
    control.enter(RunStage::Distill {
        done,
        next: Moment::Step(done),
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_student_rate_stays_above_zero() {
        for after in [-1., 0., 1e-9, f64::NEG_INFINITY, f64::NAN] {
            let rate = (0..20).fold(0.01, |rate, _| positive(rate, after));
            assert!(rate > 0., "{after}: {rate}");
        }
        assert_eq!(
            (
                positive(0.01, 0.02),
                positive(0.01, 0.009),
                positive(0.01, 0.001)
            ),
            (0.02, 0.009, 0.005)
        );
    }
}
