//! The update after an iteration: of the synthetic images, their moving average, and the student
//! rate, by fixed learning rates or by those that find themselves.

use super::checkpoint::{Average, DistillationState, SyntheticLabels};
use super::control::Control;
use crate::distill::iteration::Outcome;
use crate::distill::parameters::Parameterisation;
use crate::distill::rates::{
    MOMENTUM, decay_at, gradient_scale, normalised, root_mean_square, step_at, with_momentum,
};
use crate::distill::soft_labels::logit_gradient;
use astill_core::Result;
use astill_core::profile::{Auto, DistillSettings};
use astill_core::text::number;
use tch::Tensor;

/// Momentum of SGD on soft labels. Source: DATM.
const LABEL_MOMENTUM: f64 = 0.9;
/// One update changes the student rate by at most this factor, up or down.
const MOST_CHANGE: f64 = 2.;
/// What the student rate is multiplied by when the student keeps going too far.
const REMEDY: f64 = 0.5;

/// Updates `state` by what an iteration found, which is finite.
pub fn update(
    distill: &DistillSettings,
    parameterisation: &Parameterisation,
    state: &mut DistillationState,
    outcome: &Outcome,
    control: &mut Control,
) -> Result<()> {
    let numbers = &mut state.numbers;
    let gradient = parameterisation.pull_back(&outcome.gradient);
    let norm = match parameterisation {
        Parameterisation::Pixels => outcome.image_gradient,
        _ => gradient.norm().double_value(&[]),
    };
    let gradient = gradient * numbers.image_steps.clip(norm, distill.clip_gradient);
    numbers.image_steps.updates += 1;
    state.image_velocity = with_momentum(&state.image_velocity, &gradient);
    state.image_scale = gradient_scale(&state.image_scale, &gradient);
    let change = match distill.step {
        None => &state.image_velocity * distill.lr_images,
        Some(step) => {
            let rms = root_mean_square(&parameterisation.fit(&state.start));
            let share = step_at(step, numbers.step - 1, distill.iterations as u64);
            normalised(
                &state.image_velocity,
                &state.image_scale,
                numbers.image_steps.updates,
            ) * (share * rms)
        }
    };
    state.variables = &state.variables - change;
    state.images = parameterisation.images(&state.variables);
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
