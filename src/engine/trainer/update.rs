//! The update after an iteration: of the synthetic images, their moving average, and the student
//! rate, by fixed learning rates or by those that find themselves.

use super::checkpoint::{Average, DistillationState, SyntheticLabels};
use super::control::Control;
use crate::distill::found::Outcome;
use crate::distill::parameters::Parameterisation;
use crate::distill::rates::{
    MOMENTUM, decay_at, gradient_scale, normalised, root_mean_square, shortened, step_at,
    with_momentum,
};
use crate::distill::soft_labels::logit_gradient;
use crate::distill::to_vec;
use astill_core::Result;
use astill_core::profile::{Auto, DistillSettings};
use astill_core::text::number;
use tch::{Kind, Tensor};

/// Momentum of SGD on soft labels. Source: DATM.
const LABEL_MOMENTUM: f64 = 0.9;
/// One update changes the student rate by at most this factor, up or down.
const MOST_CHANGE: f64 = 2.;
/// What the student rate is multiplied by when the student keeps going too far.
const REMEDY: f64 = 0.5;

/// An update of the images that nothing has been changed by yet: whether it is taken depends on numbers
/// that are still on the device.
#[derive(Debug)]
pub struct ImageUpdate {
    velocity: Tensor,
    scale: Tensor,
    variables: Tensor,
    images: Tensor,
    /// The norm of the gradient with respect to the variables (scalar).
    norm: Tensor,
    /// That of the new images (scalar).
    root_mean_square: Tensor,
}

impl ImageUpdate {
    /// After `done` iterations, by the `gradient` with respect to the images of `state`, of this `norm`
    /// (scalar).
    pub fn new(
        distill: &DistillSettings,
        parameterisation: &Parameterisation,
        (state, done): (&DistillationState, u64),
        (gradient, norm): (&Tensor, &Tensor),
    ) -> Self {
        let memory = &state.numbers.image_steps;
        let gradient = parameterisation.pull_back(gradient);
        let norm = match parameterisation {
            Parameterisation::Pixels => norm.shallow_clone(),
            _ => gradient.norm(),
        };
        let gradient = shortened(&gradient, &norm, memory.longest(distill.clip_gradient));
        let velocity = with_momentum(&state.image_velocity, &gradient);
        let scale = gradient_scale(&state.image_scale, &gradient);
        let change = match distill.step {
            None => &velocity * distill.lr_images,
            Some(step) => {
                let start = root_mean_square(&parameterisation.fit(&state.start));
                let share = step_at(step, done, distill.iterations as u64);
                let size = start.to_kind(Kind::Double) * share;
                normalised(&velocity, &scale, memory.updates + 1) * size
            }
        };
        let variables = &state.variables - change;
        let images = parameterisation.images(&variables);
        Self {
            velocity,
            scale,
            norm,
            root_mean_square: root_mean_square(&images),
            variables,
            images,
        }
    }

    /// What is to be read of it, for [`Self::with`].
    pub fn scalars(&self) -> [&Tensor; 2] {
        [&self.norm, &self.root_mean_square]
    }

    /// The update with the values of its [`Self::scalars`].
    pub fn with(self, values: &[f64]) -> ReadUpdate {
        let value = |i: usize| values.get(i).copied().unwrap_or(f64::NAN);
        ReadUpdate {
            norm: value(0),
            root_mean_square: value(1),
            update: self,
        }
    }

    /// [`Self::with`] their values, which it waits for.
    pub fn read(self) -> ReadUpdate {
        let scalars = self.scalars().map(|t| t.to_kind(Kind::Double));
        let values = to_vec(&Tensor::stack(&scalars, 0));
        self.with(&values)
    }
}

/// An [`ImageUpdate`] whose numbers are known.
#[derive(Debug)]
pub struct ReadUpdate {
    update: ImageUpdate,
    norm: f64,
    /// That of the new images.
    pub root_mean_square: f64,
}

/// Updates `state` by `images`, and by what an iteration found, which is finite.
pub fn update(
    distill: &DistillSettings,
    state: &mut DistillationState,
    images: ReadUpdate,
    outcome: &Outcome,
    control: &mut Control,
) -> Result<()> {
    state.numbers.image_steps.take(images.norm);
    let update = images.update;
    state.image_velocity = update.velocity;
    state.image_scale = update.scale;
    state.variables = update.variables;
    state.images = update.images;
    update_labels(distill, state, outcome);
    update_rate(distill, state, outcome, control)?;
    update_average(distill, state);
    Ok(())
}

/// SGD with momentum on the logits of soft labels.
fn update_labels(distill: &DistillSettings, state: &mut DistillationState, outcome: &Outcome) {
    let (SyntheticLabels::Soft { logits, velocity }, Some(derivative)) =
        (&mut state.labels, &outcome.label_gradient)
    else {
        return;
    };
    if distill.lr_labels > 0. {
        let gradient = logit_gradient(logits, derivative);
        *velocity = &*velocity * LABEL_MOMENTUM + gradient;
        *logits = &*logits - &*velocity * distill.lr_labels;
    }
}

/// Updates `state` by an iteration whose update is left out because its final ratio is above
/// `distill.max_ratio`: a student rate that finds itself goes on finding itself, or students would
/// end too far for ever.
pub fn leave_out(
    distill: &DistillSettings,
    state: &mut DistillationState,
    outcome: &Outcome,
    control: &mut Control,
) -> Result<()> {
    state.numbers.left_out += 1;
    match distill.lr_lr {
        Auto::Auto => update_rate(distill, state, outcome, control),
        Auto::Value(_) => Ok(()),
    }
}

fn update_rate(
    distill: &DistillSettings,
    state: &mut DistillationState,
    outcome: &Outcome,
    control: &mut Control,
) -> Result<()> {
    let numbers = &mut state.numbers;
    let (step, before) = (numbers.step, numbers.student_lr);
    let Auto::Value(lr_lr) = distill.lr_lr else {
        let after = numbers
            .rate
            .gauss_newton(before, outcome.lr_gradient, outcome.curvature);
        numbers.student_lr = after;
        if numbers.rate.ends_too_far(outcome.final_ratio) {
            numbers.student_lr = after * REMEDY;
            numbers.rate.forget_path();
            let rate = number(numbers.student_lr);
            control.warn(format!(
                "step {step}: the final ratio was above 1 in most of the last steps, so the student \
                 ended farther from the expert than it started; the student rate is halved to {rate}"
            ))?;
        }
        return Ok(());
    };
    numbers.rate.velocity = numbers.rate.velocity * MOMENTUM + outcome.lr_gradient;
    let wanted = before - lr_lr * numbers.rate.velocity;
    numbers.student_lr = bounded(before, wanted);
    if numbers.student_lr != wanted {
        numbers.rate.velocity = 0.;
        let held = number(numbers.student_lr);
        control.warn(format!(
            "step {step}: the student rate would have gone from {} to {}; it was held at {held}. If \
             this happens again and again, lower distill.lr_lr (now {}), or set it to auto",
            number(before),
            number(wanted),
            number(lr_lr)
        ))?;
    }
    Ok(())
}

/// An update was left out because it was not finite: with a rate that finds itself, the next student
/// takes smaller steps. True if the rate was changed.
pub fn shrink_rate(distill: &DistillSettings, state: &mut DistillationState) -> bool {
    let finds_itself = distill.lr_lr == Auto::Auto;
    if finds_itself {
        state.numbers.student_lr *= REMEDY;
        state.numbers.rate.forget_path();
    }
    finds_itself
}

/// The student rate after an update from `before` to `wanted`: at most twice and at least half of
/// what it was.
fn bounded(before: f64, wanted: f64) -> f64 {
    if wanted.is_nan() {
        return before;
    }
    wanted.clamp(before / MOST_CHANGE, before * MOST_CHANGE)
}

fn update_average(distill: &DistillSettings, state: &mut DistillationState) {
    if distill.ema == 0. {
        state.average = None;
        return;
    }
    let (images, student_lr) = (&state.images, state.numbers.student_lr);
    let logits = state.labels.logits();
    state.average = Some(match state.average.take() {
        None => Average {
            images: images.copy(),
            logits: logits.map(Tensor::copy),
            student_lr,
            updates: 0,
        },
        Some(before) => {
            let decay = decay_at(distill.ema, before.updates);
            Average {
                images: before.images * decay + images * (1. - decay),
                logits: match (before.logits, logits) {
                    (Some(before), Some(now)) => Some(before * decay + now * (1. - decay)),
                    _ => None,
                },
                student_lr: before.student_lr * decay + student_lr * (1. - decay),
                updates: before.updates + 1,
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_student_rate_changes_by_at_most_a_factor_of_two_in_both_directions() {
        for wanted in [-1., 0., 1e-9, f64::NEG_INFINITY, f64::NAN] {
            let rate = (0..20).fold(0.01, |rate, _| bounded(rate, wanted));
            assert!(rate > 0., "{wanted}: {rate}");
        }
        let after = [0.02, 0.009, 0.001, 0.5, f64::INFINITY].map(|wanted| bounded(0.01, wanted));
        assert_eq!(after, [0.02, 0.009, 0.005, 0.02, 0.02]);
    }
}
