//! The last phase: the headline figures, and the distilled set as a file.

use super::RunPlan;
use super::baselines;
use super::checkpoint::{DistillationState, StateNumbers};
use super::control::Control;
use super::distillation::Distillation;
use super::evaluation::Occasion;
use crate::distill::{TrainingSet, evaluate};
use crate::export::{self, DistilledSet, Provenance, protocol};
use astill_core::Result;
use astill_core::cli::Space;
use astill_core::profile::LabelKind;
use astill_core::run::event::{EvalSplit, Headline, ImageSet};
use serde_json::json;
use tch::Device;

/// The headline figures: all three sets of images, on the test set, by fresh networks that had no
/// part in choosing, with the learned rate. Those that an earlier engine measured stay.
pub fn headlines(
    distillation: &Distillation<'_>,
    state: &mut DistillationState,
    control: &mut Control,
) -> Result<()> {
    let (step, lr) = state
        .numbers
        .best
        .as_ref()
        .map_or((0, state.numbers.student_lr), |b| (b.step, b.student_lr));
    for evaluator in distillation.evaluators {
        for (labels, kind) in compared(distillation.labelling.kind()) {
            let network = evaluator.network.to_string();
            let measured =
                |h: &Headline| h.network == network && h.labels == labels && h.label_kind == kind;
            if state.numbers.headlines.iter().any(measured) {
                continue;
            }
            let images = baselines::images(labels, distillation.dataset, state);
            let set = TrainingSet {
                images: &images,
                labels: &match labels {
                    ImageSet::Distilled => state.best_labels(),
                    ImageSet::Random | ImageSet::Representative => {
                        distillation.labelling.of(&images, kind)
                    }
                },
                lr,
            };
            let values = evaluator
                .evaluate(&set, labels, step, Occasion::Headline, control)?
                .test;
            let (mean, std) = evaluate::mean_std(&values);
            state.numbers.headlines.push(Headline {
                network,
                labels,
                label_kind: kind,
                mean,
                std,
                values,
            });
            distillation.checkpoint(state, control)?;
        }
    }
    Ok(())
}

/// The sets of the result, with the kind of their labels: the distilled images, and the real ones
/// with hard labels and, beside soft-labelled distilled images, with soft ones.
fn compared(kind: LabelKind) -> Vec<(ImageSet, LabelKind)> {
    let real = [ImageSet::Random, ImageSet::Representative];
    let mut sets = vec![(ImageSet::Distilled, kind)];
    sets.extend(real.map(|labels| (labels, LabelKind::Hard)));
    if kind == LabelKind::Soft {
        sets.extend(real.map(|labels| (labels, LabelKind::Soft)));
    }
    sets
}

/// The highest mean test accuracy of distilled images over all evaluations during the run.
pub fn paper_style_max(numbers: &StateNumbers) -> Option<f64> {
    let test = numbers
        .evaluations
        .iter()
        .filter(|m| m.labels == ImageSet::Distilled && m.split == EvalSplit::Test);
    test.map(|m| m.mean).max_by(f64::total_cmp)
}

/// What the run has distilled, with the images of its best step.
fn distilled_set(
    plan: &RunPlan,
    distillation: &Distillation<'_>,
    state: &DistillationState,
    control: &Control,
) -> DistilledSet {
    let (dataset, best) = (distillation.dataset, state.numbers.best.as_ref());
    let student_lr = best.map_or(state.numbers.student_lr, |b| b.student_lr);
    let channels = state.best_images.size()[1];
    DistilledSet {
        images: state.best_images.to_device(Device::Cpu),
        labels: state.best_labels().to_device(Device::Cpu),
        student_lr,
        normalisation: dataset.normalisation.to_device(Device::Cpu),
        provenance: Provenance {
            program: concat!("astill ", env!("CARGO_PKG_VERSION")).into(),
            profile: json!(plan.profile),
            edits: json!(control.edits().all()),
            classes: dataset.classes.clone(),
            class_ids: dataset.ids.clone(),
            normalisation: dataset.normalisation.name().into(),
            space: Space::Own,
            data_content: dataset.fingerprint.clone(),
            step: best.map(|b| b.step),
            validation_accuracy: best.and_then(|b| b.validation),
            results: state.numbers.headlines.clone(),
            paper_style_max: paper_style_max(&state.numbers),
            protocol: protocol(&plan.profile, dataset.classes.len(), channels, student_lr),
        },
    }
}

/// Writes the distilled set; its path relative to the run directory.
pub fn write_distilled_set(
    plan: &RunPlan,
    distillation: &Distillation<'_>,
    state: &DistillationState,
    control: &mut Control,
) -> Result<String> {
    let set = distilled_set(plan, distillation, state, control);
    let file = format!("distilled/{}", export::FILE);
    let path = plan.run.path().join(&file);
    control.write_with_retry(|_| export::write(&set, &path))?;
    Ok(file)
}
