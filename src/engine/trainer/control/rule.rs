//! Which live edits a run takes, and from which moment on they hold. The same rule is for a command,
//! `astill resume --set`, and a profile.yaml that was edited between two engines.

use super::RunStage;
use astill_core::profile::{self, Auto, Keep, Profile};
use astill_core::run::edits::{Moment, key_of};

/// The moment from which an edit holds in a run at `stage`, which has resumed from the checkpoint of
/// step `resumed` if from any. The run began with `first`, and `after` is what the edit makes of its
/// settings.
///
/// # Errors
/// Why it is too late for this edit, or more than the run has prepared.
pub(in crate::trainer) fn moment_of(
    edit: &str,
    (first, after): (&Profile, &Profile),
    (stage, resumed): (RunStage, Option<u64>),
) -> Result<Moment, String> {
    let is_of_experts = is_of_experts(edit);
    let late =
        || Err("the experts are already trained, so their settings can no longer change".into());
    let at = match (stage, resumed) {
        (RunStage::Evaluate, _) => {
            return Err("all steps are done, so no setting can have an effect any more".into());
        }
        (RunStage::Init | RunStage::Distill { .. }, _) | (_, Some(_)) if is_of_experts => {
            return late();
        }
        (RunStage::Distill { next, .. }, _) => next,
        (_, Some(step)) => Moment::Step(step),
        (RunStage::Data, None) if is_of_experts => {
            return Err(
                "it is not known yet which experts already exist; try again once the phase experts \
                 has begun"
                    .into(),
            );
        }
        (RunStage::Data, None) => Moment::Expert {
            expert: 0,
            epoch: 0,
        },
        (RunStage::Experts { next }, None) if is_of_experts && !is_before_an_epoch(first, next) => {
            return late();
        }
        (RunStage::Experts { next }, None) => next,
        (RunStage::Init, None) => Moment::Step(0),
    };
    if let Moment::Step(step) = at
        && (after.distill.iterations as u64) < step
    {
        return Err(format!(
            "{step} steps will already be done by then; expected at least {step}"
        ));
    }
    let read = first.epochs_read();
    if after.epochs_read() > read && after.expert.train_epochs == Auto::Auto {
        return Err(format!(
            "distillation would read {} epochs of every expert, and they are trained for {read}; \
             start a new run with that, or with expert.train_epochs",
            after.epochs_read()
        ));
    }
    // all experts beyond the first ones are read alike
    let of = |profile: &Profile| profile.checkpoints_read(profile.expert.count as u64);
    if first.expert.keep == Keep::Needed && !of(first).cover(&of(after)) {
        return Err(
            "distillation would read checkpoints of the experts that are not kept (expert.keep: \
             needed); start a new run with that"
                .into(),
        );
    }
    Ok(at)
}

/// Whether an expert has an epoch left at or after this moment.
fn is_before_an_epoch(first: &Profile, moment: Moment) -> bool {
    let count = first.expert.count as u64;
    let epochs = first.epochs_trained(count.saturating_sub(1)) as u64;
    matches!(moment, Moment::Expert { expert, epoch } if expert + 1 < count || epoch < epochs)
}

/// Whether an edit changes how experts are trained.
pub(super) fn is_of_experts(edit: &str) -> bool {
    profile::key(key_of(edit)).is_some_and(|key| key.section() == "expert")
}
