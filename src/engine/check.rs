//! `astill check`: what a profile and its data set are, what hurts later, and what a run costs.

use astill_core::cli::out;
use astill_core::console::to_stderr;
use astill_core::profile::Loaded;
use astill_core::text::duration;
use astill_core::{Error, Result};
use astill_engine::data::{DatasetRequest, Inventory, Survey};
use astill_engine::estimate::Estimate;
use serde_json::json;
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::time::Duration;
use tch::Device;

/// Looking at the images ends after this; a larger set is looked at in part.
const BUDGET: Duration = Duration::from_secs(60);

/// A profile whose data set was found.
#[derive(Debug)]
pub struct Checking<'a> {
    pub loaded: &'a Loaded,
    pub request: &'a DatasetRequest,
    pub inventory: &'a Inventory,
    pub device: Device,
    /// Whether to measure how long it takes.
    pub is_timed: bool,
    /// Whether to look at the images.
    pub is_surveyed: bool,
}

/// Prints the profile with every key, the counts of the data set, what hurts later, and the cost of
/// a run.
///
/// # Errors
/// [`Error::Usage`] if images would be lost and the profile does not skip them, or they are too
/// small for the network.
pub fn check(checking: &Checking<'_>, as_json: bool) -> Result<ExitCode> {
    let Checking {
        loaded,
        request,
        inventory,
        ..
    } = checking;
    let survey = match checking.is_surveyed {
        true => request.survey(BUDGET, &mut |_| ControlFlow::Continue(())),
        false => request.survey_labels(),
    };
    // nothing has been created yet, so broken images are a wrong use
    let survey = survey.map_err(|e| Error::Usage(e.to_string()))?;
    let estimate = match checking.is_timed {
        true => {
            let mut estimate = Estimate::measure(&loaded.profile, inventory, checking.device)?;
            // after the estimate: the run does not need the memory of this at the same time
            estimate.add_data_seconds(request.seconds_to_decode()?);
            Some(estimate)
        }
        false => None,
    };
    let count = |split: &[usize]| split.iter().sum::<usize>();
    // without images that turned out to be unreadable, as a run has it
    let inventory = survey.inventory.as_ref().unwrap_or(inventory);
    let (train, validation, test) = (
        count(&inventory.train),
        count(&inventory.validation),
        count(&inventory.test),
    );
    if as_json {
        let data = json!({
            "classes": inventory.classes, "class_ids": inventory.ids, "channels": inventory.channels,
            "train": train, "validation": validation, "test": test,
            "looked_at": survey.looked_at, "left_out": survey.left_out, "notes": survey.notes,
            "warnings": survey.warnings,
        });
        out(
            json!({ "name": loaded.name, "profile": loaded.profile, "data": data, "estimate": estimate }),
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    out(loaded.profile.to_yaml().trim_end())?;
    let color = match inventory.channels {
        1 => ", in grey",
        _ => "",
    };
    to_stderr(format!(
        "{}: valid. {} classes, {train} training, {validation} validation and {test} test \
         images{color}",
        loaded.name,
        inventory.classes.len()
    ));
    report_survey(&survey, checking.is_surveyed);
    if let Some(estimate) = &estimate {
        report_estimate(estimate);
    }
    Ok(ExitCode::SUCCESS)
}

fn report_survey(survey: &Survey, is_surveyed: bool) {
    for note in &survey.notes {
        to_stderr(format!("note: {note}"));
    }
    for files in &survey.left_out {
        to_stderr(format!("left out: {files}"));
    }
    for warning in &survey.warnings {
        to_stderr(format!("warning: {}", warning.message));
    }
    if is_surveyed && survey.looked_at < survey.images {
        to_stderr(format!(
            "note: the first {} of {} images were looked at; a run looks at all of them",
            survey.looked_at, survey.images
        ));
    }
}

fn report_estimate(estimate: &Estimate) {
    let Estimate {
        data_seconds,
        experts_seconds,
        distill_seconds,
        evaluate_seconds,
        ..
    } = estimate;
    let [all, data, experts, distill, evaluate] = [
        &estimate.seconds,
        data_seconds,
        experts_seconds,
        distill_seconds,
        evaluate_seconds,
    ]
    .map(|s| duration(*s));
    to_stderr(format!(
        "about {all} on {}: data {data}, experts {experts}, distill {distill}, evaluate \
         {evaluate}; less if the experts are already in the store",
        estimate.device
    ));
    to_stderr(format!("about {:.0} MiB of memory", estimate.memory_mib));
    if estimate.experts_mib > 0. {
        let [now, all, needed] = [
            estimate.experts_mib,
            estimate.experts_all_mib,
            estimate.experts_needed_mib,
        ]
        .map(size);
        let otherwise = if all == needed {
            String::new()
        } else if now == all {
            format!("; {needed} with expert.keep: needed")
        } else {
            format!("; {all} with expert.keep: all")
        };
        to_stderr(format!(
            "about {now} on disk for the experts, in the folder of data sets (--data){otherwise}"
        ));
    }
    if let Some(warning) = estimate.warning() {
        to_stderr(format!("warning: {warning}"));
    }
}

/// "12 MiB", "1.5 GiB".
fn size(mib: f64) -> String {
    match mib {
        mib if mib < 1000. => format!("{mib:.0} MiB"),
        mib => format!("{:.1} GiB", mib / 1024.),
    }
}
