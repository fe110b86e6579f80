//! Calibration: the student rate to begin with, found by rollouts without any update.

use super::checkpoint::DistillationState;
use super::control::Control;
use super::distillation::Distillation;
use crate::distill::TrainingSet;
use crate::distill::iteration::{Iteration, Segment, Settings};
use crate::distill::rates::Fit;
use crate::random;
use astill_core::Result;
use astill_core::profile::{Auto, DistillSettings};
use astill_core::run::event::{Calibration, CalibrationRound, EventKind};
use astill_core::text::number;
use rand::Rng;
use std::time::Duration;

/// Where calibration starts: with student momentum 0.9 a step of 0.001 goes as far as one of 0.01
/// without momentum, the rate that most programs begin with.
pub const FIRST_GUESS: f64 = 0.001;
const ROUNDS: u64 = 6;
const DRAWS: u64 = 4;
/// How many student trainings a calibration takes.
pub const ROLLOUTS: usize = (ROUNDS * DRAWS) as usize;

/// Sets the student rate of `state`, which is at step 0, to the one that fits best, if the profile
/// leaves it to the program.
///
/// In every round the rate changes by the factor that would minimise the mean final ratio of four
/// rollouts if their paths only grew with it, Σ a ρ / Σ ρ². The draws are those of a run with
/// another seed, so that none of them is used up.
pub fn calibrate(
    distillation: &Distillation<'_>,
    settings: &DistillSettings,
    state: &mut DistillationState,
    control: &mut Control,
) -> Result<()> {
    if settings.lr_student != Auto::Auto {
        return Ok(());
    }
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let (now, curvature) = rehearse(distillation, settings, round, state, control)?;
        state.numbers.rate.curvature = curvature;
        state.numbers.student_lr = now.next;
        rounds.push(now.round);
    }
    let doubt = doubt(&rounds, state.numbers.student_lr);
    control.record(EventKind::Calibration(Calibration {
        student_lr: state.numbers.student_lr,
        rounds,
    }))?;
    doubt.map_or(Ok(()), |doubt| control.warn(doubt))
}

/// What is wrong with the rate that a calibration found; none if nothing is.
fn doubt(rounds: &[CalibrationRound], found: f64) -> Option<String> {
    let ratio = rounds.last()?.final_ratio;
    let after = rounds.iter().skip(1).map(|round| round.student_lr);
    let mut factors = rounds
        .iter()
        .zip(after.chain([found]))
        .map(|(round, next)| next / round.student_lr);
    let problem = if factors.all(Fit::is_bound) {
        "the best rate is beyond what calibration reaches".into()
    } else if ratio.is_finite() && ratio <= 1. {
        return None;
    } else {
        format!(
            "students end farther from the expert than they start (final ratio {})",
            number(ratio)
        )
    };
    Some(format!(
        "calibration set the student rate to {}, but {problem}; if the final ratio stays above 1, \
         set distill.lr_student to a number, or change distill.syn_steps or distill.expert_epochs",
        number(found)
    ))
}

struct Rehearsed {
    round: CalibrationRound,
    next: f64,
}

/// One round, and the mean curvature of its rollouts.
fn rehearse(
    distillation: &Distillation<'_>,
    profile: &DistillSettings,
    round: u64,
    state: &DistillationState,
    control: &mut Control,
) -> Result<(Rehearsed, f64)> {
    // each rollout is a segment
    let settings = Settings {
        segments: 1,
        ..Settings::of(profile, distillation.per_epoch, distillation.augment)
    };
    let student_lr = state.numbers.student_lr;
    let seed = random::generator(distillation.seed, "calibration", &[]).next_u64();
    let labels = state.labels.labels();
    let set = TrainingSet {
        images: &state.images,
        labels: &labels,
        lr: student_lr,
    };
    let (mut fit, mut reach, mut alignment, mut ratio) = (Fit::default(), 0., 0., 0.);
    for draw in 0..DRAWS {
        let label = format!(
            "calibration, rollout {} of {}: ",
            round * DRAWS + draw + 1,
            ROUNDS * DRAWS
        );
        let index = round * DRAWS + draw;
        let segment = Segment::first(seed, index);
        let solver = distillation.solver();
        let (draw, checkpoints) = solver.prepare(&settings, segment, &state.images)?;
        let iteration = Iteration {
            net: distillation.net,
            checkpoints: &checkpoints,
            set: &set,
            settings: &settings,
            draw: &draw,
        };
        let mut watch = control.watch(&label, Duration::ZERO);
        let now = iteration.rehearse(&mut fit, &mut watch)?;
        reach += now.reach / DRAWS as f64;
        alignment += now.alignment / DRAWS as f64;
        ratio += (1. - 2. * now.reach * now.alignment + now.reach * now.reach) / DRAWS as f64;
    }
    let factor = fit.factor();
    let curvature = 2. * fit.square * factor * factor / DRAWS as f64;
    let round = CalibrationRound {
        student_lr,
        reach,
        alignment,
        final_ratio: ratio,
    };
    let curvature = if curvature.is_finite() { curvature } else { 0. };
    Ok((
        Rehearsed {
            round,
            next: student_lr * factor,
        },
        curvature,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(of: &[(f64, f64)]) -> Vec<CalibrationRound> {
        let round = |(student_lr, final_ratio): &(f64, f64)| CalibrationRound {
            student_lr: *student_lr,
            reach: 1.,
            alignment: 0.5,
            final_ratio: *final_ratio,
        };
        of.iter().map(round).collect()
    }

    #[test]
    fn a_calibration_that_ends_too_far_or_at_its_bound_is_doubted() {
        let good = rounds(&[(0.001, 3.), (0.0005, 0.9)]);
        assert_eq!(doubt(&good, 0.0004), None);
        for ratio in [1.1, f64::NAN, f64::INFINITY] {
            let far = rounds(&[(0.001, 0.9), (0.0005, ratio)]);
            assert!(doubt(&far, 0.0004).is_some_and(|d| d.contains("farther")));
        }
        let least = (-1.6_f64).exp();
        let bound = rounds(&[(1., 0.9), (least, 0.9)]);
        assert!(doubt(&bound, least * least).is_some_and(|d| d.contains("beyond")));
    }
}
