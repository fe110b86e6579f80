//! What makes a result doubtful, in words: said where it happens, and again beside the result.

use super::checkpoint::{DistillationState, StateNumbers};
use super::control::Control;
use super::divergence::{LATEST, NOT_FINITE_IN_A_ROW};
use super::store::Trajectory;
use crate::data::Dataset;
use astill_core::profile::{Auto, DistillSettings, LabelKind, Profile};
use astill_core::run::event::{Headline, ImageSet};
use astill_core::run::{RunDir, checkpoints};
use astill_core::text::{number, percent};
use astill_core::{EpochRecord, Result};

/// An expert whose accuracy is at most this multiple of guessing has learned next to nothing.
const CHANCE: f64 = 1.25;
/// Synthetic images whose pixels are on average this many times as large as real ones are no images
/// any more.
const LARGEST_SCALE: f64 = 2.;

/// Everything to know before the result of a run is used.
pub fn all(
    profile: &Profile,
    experts: &[Trajectory],
    dataset: &Dataset,
    state: &DistillationState,
) -> Vec<String> {
    [
        of_experts(experts, dataset.classes.len()),
        of_budget(profile),
        of_result(&state.numbers, state.best_scale()),
    ]
    .concat()
}

/// What is wrong with expert number `index`, after these epochs; none if nothing is.
pub fn of_expert(index: usize, epochs: &[EpochRecord], classes: usize) -> Option<String> {
    let last = epochs.last()?;
    let chance = 100. / classes.max(1) as f64;
    let accuracy = last.validation_accuracy.unwrap_or(last.train_accuracy);
    (accuracy <= CHANCE * chance).then(|| {
        format!(
            "expert {} labels only {} % of the images right after {} epochs, where guessing gets \
             {} %: it has learned next to nothing, and neither will images that follow it. Change \
             expert.lr, or train for longer (expert.train_epochs)",
            index + 1,
            percent(accuracy),
            epochs.len(),
            percent(chance)
        )
    })
}

/// What is wrong with the experts of a run.
fn of_experts(experts: &[Trajectory], classes: usize) -> Vec<String> {
    let each = experts.iter().enumerate();
    each.filter_map(|(index, expert)| of_expert(index, &expert.records(), classes))
        .collect()
}

/// That the images of these classes are chosen from all of theirs, although only those that are
/// labelled right were asked for.
pub fn too_few_are_right(classes: &[String], wanted: usize) -> String {
    const NAMED: usize = 5;
    let named = classes.iter().take(NAMED).map(String::as_str);
    let more = match classes.len().saturating_sub(NAMED) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "the expert that chooses the initial images labels fewer than {wanted} images right in {}: \
         {}{more}. Theirs are chosen from all images of the class, although distill.correct_only is \
         true",
        count_of(classes.len(), "class", "classes"),
        named.collect::<Vec<_>>().join(", ")
    )
}

fn count_of(number: usize, one: &str, several: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        number => format!("{number} {several}"),
    }
}

/// What is doubtful in soft labels that the experts give to `images` images, of which they label
/// `unrecognised` as something else; none if nothing is.
pub fn of_soft_labels(
    profile: &Profile,
    experts: &[Trajectory],
    unrecognised: usize,
    images: i64,
) -> Option<String> {
    if profile.distill.labels != LabelKind::Soft {
        return None;
    }
    let labelling = experts.iter().take(profile.distill.label_experts);
    let epochs = labelling.map(|expert| expert.records().len()).min()?;
    let mut doubts = Vec::new();
    if epochs < profile.expert.epochs {
        doubts.push(format!(
            "come from an expert of {epochs} epochs, although expert.epochs is {}; a longer \
             expert.train_epochs gives better ones",
            profile.expert.epochs
        ));
    }
    if unrecognised > 0 {
        doubts.push(format!(
            "say something else than the class for {unrecognised} of {images} images, because no expert \
             labels them right"
        ));
    }
    (!doubts.is_empty()).then(|| format!("the soft labels {}", doubts.join(", and ")))
}

/// The key of the rate that the images are updated with.
pub fn rate_of_images(distill: &DistillSettings) -> &'static str {
    match distill.step {
        Some(_) => "distill.step",
        None => "distill.lr_images",
    }
}

/// The keys of the rates that can be lowered where students go too far.
pub fn rates(distill: &DistillSettings) -> String {
    let images = rate_of_images(distill);
    match distill.lr_lr {
        Auto::Auto => images.into(),
        Auto::Value(_) => format!("distill.lr_student or {images}"),
    }
}

/// What to do after [`NOT_FINITE_IN_A_ROW`] updates were left out, the last at `step`; `way_on` is the
/// command that continues the run then.
pub fn diverged(run: &RunDir, step: u64, distill: &DistillSettings, way_on: &str) -> String {
    let good = step.saturating_sub(NOT_FINITE_IN_A_ROW);
    format!(
        "{NOT_FINITE_IN_A_ROW} updates in a row were not finite and were skipped, so the images are \
         those of step {good}: the student diverges. There is a checkpoint of step {step}. Lower \
         {}{}, then `{way_on}`",
        rates(distill),
        earlier(run, good, distill)
    )
}

/// As [`diverged`], where all iterations are done and the last updates were left out.
pub fn diverged_at_end(
    run: &RunDir,
    numbers: &StateNumbers,
    distill: &DistillSettings,
    way_on: &str,
) -> String {
    let (step, skipped, name) = (numbers.step, numbers.not_finite, run.reference());
    let good = step.saturating_sub(skipped);
    format!(
        "the last {} not finite and skipped, so the images are those of step {good}: the student \
         diverges, and no iterations are left. Lower {}{}, or ask for more than {step} iterations \
         (`astill send {name} set distill.iterations=…`); then `{way_on}`",
        match skipped {
            1 => "update was".into(),
            skipped => format!("{skipped} updates were"),
        },
        rates(distill),
        earlier(run, good, distill)
    )
}

/// Which commands help, with the checkpoint to go back to from before `step`, if there is one.
pub fn earlier(run: &RunDir, step: u64, distill: &DistillSettings) -> String {
    let steps = checkpoints::steps(run.path()).unwrap_or_default();
    let (run, rate) = (run.reference(), rate_of_images(distill));
    let commands = format!("(`astill send {run} set {rate}=…`");
    match steps.iter().rev().find(|s| **s <= step) {
        Some(good) => format!(" {commands}), or roll back first (`roll-back {good}`)"),
        None => format!(" {commands})"),
    }
}

/// That most of the latest updates were left out, the last at `step`.
pub fn most_left_out(step: u64, distill: &DistillSettings) -> String {
    let most = distill.max_ratio.map_or_else(String::new, number);
    format!(
        "step {step}: most of the last {LATEST} updates were left out because their final ratio was \
         above distill.max_ratio {most}, so the images hardly change. Raise distill.max_ratio, or \
         lower {}",
        rates(distill)
    )
}

/// How far pixels are from those of images, if they are too large; `scale` is their root mean square
/// over that of real images.
fn too_large(scale: f64) -> Option<String> {
    match scale {
        _ if !scale.is_finite() => Some("not finite".into()),
        _ if scale > LARGEST_SCALE => Some(format!(
            "on average {} times as large as real ones",
            number(scale)
        )),
        _ => None,
    }
}

/// Warns once when the images have become far larger than real ones. `scale` is the root mean square
/// of their pixels over that of real ones.
pub fn watch_scale(state: &mut DistillationState, scale: f64, control: &mut Control) -> Result<()> {
    let numbers = &mut state.numbers;
    let (Some(too_large), None) = (too_large(scale), numbers.too_large_since) else {
        return Ok(());
    };
    numbers.too_large_since = Some(numbers.step);
    control.warn(format!(
        "step {}: the pixels of the synthetic images are {too_large}: the updates are too large for \
         them to stay images. Lower distill.step, or distill.lr_images where step is null",
        numbers.step
    ))
}

/// What a set with another budget than pixels can be compared with.
fn of_budget(profile: &Profile) -> Vec<String> {
    let (distill, images) = (&profile.distill, profile.images_per_class());
    if images == distill.ipc {
        return Vec::new();
    }
    vec![format!(
        "the images were learned as {}, {images} of a class in the room of {}: compare them only with \
         sets of that budget (the real images beside them are {} of a class)",
        distill.parameters, distill.ipc, distill.ipc
    )]
}

/// "43.0 ± 0.8 %".
fn with_spread(result: &Headline) -> String {
    match result.values.len() {
        0 | 1 => format!("{} %", percent(result.mean)),
        _ => format!("{} ± {} %", percent(result.mean), percent(result.std)),
    }
}

/// Whether one mean accuracy lies above another by more than twice the standard error of their
/// difference.
fn is_clearly_above(higher: &Headline, lower: &Headline) -> bool {
    let variance = |h: &Headline| h.std * h.std / h.values.len().max(1) as f64;
    let is_known = higher.values.len() > 1 && lower.values.len() > 1;
    is_known && higher.mean - lower.mean > 2. * (variance(higher) + variance(lower)).sqrt()
}

/// What is wrong with the result.
fn of_result(numbers: &StateNumbers, best_scale: f64) -> Vec<String> {
    let mut cautions = Vec::new();
    if let Some(too_large) = too_large(best_scale) {
        cautions.push(format!(
            "the pixels of the distilled images are {too_large}; lower distill.step or distill.lr_images"
        ));
    }
    if numbers.left_out > 0 {
        let share = 100. * numbers.left_out as f64 / numbers.step.max(1) as f64;
        cautions.push(format!(
            "{} of {} updates ({} %) were left out because their final ratio was above \
             distill.max_ratio",
            numbers.left_out,
            numbers.step,
            percent(share)
        ));
    }
    if numbers.not_finite > 0 {
        cautions.push(format!(
            "the last {} were not finite and were skipped",
            count_of(numbers.not_finite as usize, "update", "updates")
        ));
    }
    let best = numbers.best.as_ref();
    if numbers.step > 0 && best.is_some_and(|best| best.step == 0) {
        cautions.push(
            "no step was better on the validation share than the images that distillation started \
             from, so these are the result"
                .into(),
        );
    }
    let networks = numbers.headlines.iter().map(|h| &h.network);
    let mut seen: Vec<&String> = Vec::new();
    for network in networks {
        if seen.contains(&network) {
            continue;
        }
        seen.push(network);
        let of_network = || numbers.headlines.iter().filter(|h| h.network == *network);
        let Some(distilled) = of_network().find(|h| h.labels == ImageSet::Distilled) else {
            continue;
        };
        // only those with the same kind of labels compare
        let find = |labels| {
            let mut alike = of_network().filter(|h| h.label_kind == distilled.label_kind);
            alike.find(|h| h.labels == labels)
        };
        let better = [ImageSet::Random, ImageSet::Representative]
            .into_iter()
            .filter_map(find)
            .filter(|baseline| baseline.mean >= distilled.mean);
        cautions.extend(better.map(|baseline| {
            let what = match is_clearly_above(baseline, distilled) {
                true => "learn less from the distilled images",
                false => "learn no more from the distilled images",
            };
            format!(
                "{network} networks {what} ({}) than from {} real ones ({})",
                with_spread(distilled),
                baseline.labels,
                with_spread(baseline)
            )
        }));
    }
    cautions
}
