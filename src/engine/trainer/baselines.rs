//! The real images that distilled ones are compared with.
//!
//! They are evaluated exactly like distilled images: once at the start with the initial student
//! rate, for the curves, and once for the headline figures with the learned rate.

use super::checkpoint::DistillationState;
use super::control::Control;
use super::distillation::Distillation;
use super::evaluation::Occasion;
use crate::data::Dataset;
use crate::distill::parameters::Parameterisation;
use crate::distill::{Init, TrainingSet};
use astill_core::Result;
use astill_core::profile::DistillSettings;
use astill_core::run::event::ImageSet;
use tch::Tensor;

/// The images (n, C, H, W) of one of the three sets that are compared.
pub fn images(labels: ImageSet, dataset: &Dataset, state: &DistillationState) -> Tensor {
    match labels {
        ImageSet::Distilled => state.best_images.shallow_clone(),
        ImageSet::Random => dataset.train.batch(&state.numbers.random_rows.concat()).0,
        ImageSet::Representative => {
            dataset
                .train
                .batch(&state.numbers.representative_rows.concat())
                .0
        }
    }
}

/// Evaluates both baselines and the images that distillation starts from, with labels of the run's
/// kind and the rate that the student starts with: for the curves of a watcher, and as the first
/// that compete to be the best.
pub fn evaluate(
    distillation: &Distillation<'_>,
    settings: &DistillSettings,
    state: &mut DistillationState,
    control: &mut Control,
) -> Result<()> {
    let is_as_stored = matches!(distillation.parameterisation, Parameterisation::Pixels);
    // the baseline that is the start, if one is
    let start = match settings.init.chosen() {
        _ if !is_as_stored => None,
        Some(Init::Representative) => Some(ImageSet::Representative),
        Some(Init::Real) if !settings.correct_only => Some(ImageSet::Random),
        Some(Init::Real | Init::Noise) | None => None,
    };
    for (i, evaluator) in distillation.evaluators.iter().enumerate() {
        for labels in [ImageSet::Random, ImageSet::Representative] {
            let images = self::images(labels, distillation.dataset, state);
            let labelling = distillation.labelling;
            let set = TrainingSet {
                images: &images,
                labels: &labelling.of(&images, labelling.kind()),
                lr: state.numbers.student_lr,
            };
            let found = evaluator.evaluate(&set, labels, 0, Occasion::Step(0), control)?;
            if start == Some(labels) {
                distillation.remember(i, found, state);
            }
        }
    }
    if start.is_none() {
        distillation.evaluate(state, control)?;
    }
    Ok(())
}
