//! The phase that chooses what distillation starts from.

use super::RunPlan;
use super::calibration;
use super::cautions;
use super::checkpoint::{DistillationState, MadeWith, StateNumbers};
use super::control::Control;
use super::distillation::Distillation;
use super::starting_set::StartingSet;
use crate::data::Dataset;
use crate::distill::rates::{RateMemory, StepMemory};
use crate::distill::soft_labels::right_rows;
use crate::distill::{Init, evaluate, representatives};
use crate::progress::unless_stopped;
use crate::random;
use astill_core::profile::Start;
use astill_core::run::edits::Moment;
use astill_core::{Error, Result};
use std::time::Duration;
use tch::Tensor;

/// Standard normal noise for images of `dataset`, f32 (classes · `images_per_class`, C, H, W).
fn noise(dataset: &Dataset, images_per_class: usize, seed: u64) -> Tensor {
    let shape = [
        (dataset.classes.len() * images_per_class) as i64,
        dataset.channels,
        dataset.size,
        dataset.size,
    ];
    let n = shape.iter().product::<i64>() as usize;
    random::normal(&mut random::generator(seed, "noise images", &[]), n).view(shape)
}

/// `count` random rows of each class.
fn drawn(rows_of_class: &[Vec<i64>], count: usize, seed: u64) -> Vec<Vec<i64>> {
    let of_class = |(class, rows): (usize, &Vec<i64>)| {
        let mut rng = random::generator(seed, "random real images", &[class as u64]);
        let order = random::permutation(&mut rng, rows.len());
        let chosen = order.iter().take(count);
        chosen.map(|i| rows[*i as usize]).collect()
    };
    rows_of_class.iter().enumerate().map(of_class).collect()
}

/// The rows of each class that initial images are chosen from: all, or with distill.correct_only those
/// that the expert with these `logits` labels right, where there are enough.
fn candidates(
    plan: &RunPlan,
    dataset: &Dataset,
    rows_of_class: &[Vec<i64>],
    logits: &Tensor,
    control: &mut Control,
) -> Result<Vec<Vec<i64>>> {
    let mut candidates = rows_of_class.to_vec();
    if !plan.profile.distill.correct_only {
        return Ok(candidates);
    }
    let images_per_class = plan.profile.images_per_class();
    let mut too_few = Vec::new();
    for (class, rows) in candidates.iter_mut().enumerate() {
        match right_rows(logits, rows, class as i64, images_per_class) {
            Some(right) => *rows = right,
            None => too_few.push(dataset.classes[class].clone()),
        }
    }
    if !too_few.is_empty() {
        control.warn(cautions::too_few_are_right(&too_few, images_per_class))?;
    }
    Ok(candidates)
}

/// The state before the first step.
///
/// # Errors
/// There is no expert; its last checkpoint cannot be read; a command asks to stop.
pub fn initial_state(
    plan: &RunPlan,
    distillation: &Distillation<'_>,
    control: &mut Control,
) -> Result<DistillationState> {
    let Distillation {
        net,
        dataset,
        experts,
        ..
    } = distillation;
    let (seed, ipc) = (plan.profile.seed, plan.profile.distill.ipc);
    let images_per_class = plan.profile.images_per_class();
    let rows_of_class: Vec<Vec<i64>> = (0..dataset.classes.len())
        .map(|c| dataset.train.rows_of(c as i64))
        .collect();
    let expert = experts
        .first()
        .ok_or_else(|| Error::Usage("expert.count is 0".into()))?
        .last()?
        .to_device(plan.device);
    let logits = evaluate::logits(
        *net,
        &expert,
        &dataset.train,
        &mut control.watch("logits of ", Duration::ZERO),
    )?;
    let candidates = candidates(plan, dataset, &rows_of_class, &logits, control)?;
    let chosen = |count: usize, control: &mut Control| {
        let (logits, candidates) = (logits.shallow_clone(), candidates.clone());
        let mut watch = control.watch("", Duration::ZERO);
        unless_stopped(
            &mut watch,
            "classes clustered",
            candidates.len() as u64,
            move || representatives(&logits, &candidates, count, seed),
        )
    };
    let representative_rows = chosen(ipc, control)?;
    let random_rows = drawn(&rows_of_class, ipc, seed);
    let start = match &plan.profile.distill.init {
        Start::From(path) => {
            let shape = (dataset.classes.len(), dataset.channels);
            let set = StartingSet::read(path, &plan.profile, shape)?;
            set.images(&dataset.normalisation, plan.device)
        }
        Start::Chosen(Init::Representative) if images_per_class == ipc => {
            dataset.train.batch(&representative_rows.concat()).0
        }
        Start::Chosen(Init::Representative) => {
            let rows = chosen(images_per_class, control)?;
            dataset.train.batch(&rows.concat()).0
        }
        Start::Chosen(Init::Real) => {
            let rows = drawn(&candidates, images_per_class, seed);
            dataset.train.batch(&rows.concat()).0
        }
        Start::Chosen(Init::Noise) => noise(dataset, images_per_class, seed).to_device(plan.device),
    };
    let variables = distillation.parameterisation.fit(&start);
    let start = distillation.parameterisation.images(&variables);
    let labels = distillation.labelling.begin(&start);
    let unrecognised = distillation.labelling.unrecognised(&start);
    if let Some(doubt) =
        cautions::of_soft_labels(&plan.profile, experts, unrecognised, start.size()[0])
    {
        control.warn(doubt)?;
    }
    let lr_student = control.profile_at(Moment::Step(0)).distill.lr_student;
    let numbers = StateNumbers {
        data_content: dataset.fingerprint.clone(),
        step: 0,
        student_lr: lr_student.given().unwrap_or(calibration::FIRST_GUESS),
        rate: RateMemory::default(),
        image_steps: StepMemory::default(),
        data_rms: dataset.train.root_mean_square(),
        best_ratio: Vec::new(),
        left_out: 0,
        not_finite: 0,
        too_large_since: None,
        best: None,
        evaluations: Vec::new(),
        headlines: Vec::new(),
        random_rows,
        representative_rows,
    };
    Ok(DistillationState {
        numbers,
        made_with: Some(MadeWith::now(&plan.profile)),
        image_velocity: variables.zeros_like(),
        image_scale: Tensor::zeros([start.size()[0], 1, 1, 1], (start.kind(), start.device())),
        average: None,
        best_images: start.copy(),
        images: start.copy(),
        variables: variables.copy(),
        best_logits: labels.logits().map(Tensor::copy),
        labels,
        start,
    })
}
