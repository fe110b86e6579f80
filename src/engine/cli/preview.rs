//! `astill check --preview`: what the menu of the app says about a profile before it is started. It is
//! asked for again and again beside runs at work, so it disturbs none.

use super::checked;
use astill_core::cli::{DeviceChoice, ProfileArgs, out};
use astill_core::{Error, Result};
use astill_engine::data::{DatasetRequest, Inventory, known_inventory};
use astill_engine::estimate::Estimate;
use astill_engine::{device, idle};
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use tch::Device;

/// What was found of the data set.
struct Found {
    /// As the files have it; without them, as the data set is known to be.
    inventory: Option<Inventory>,
    /// Why the files cannot be used.
    missing: Option<String>,
    request: Option<DatasetRequest>,
}

/// Prints the profile, the counts of its data set or why there are none, and what a run costs on the
/// device; or why that was not measured.
///
/// # Errors
/// The profile is refused, or the device does not exist.
pub(super) fn preview(args: &ProfileArgs, data: &Path, choice: &DeviceChoice) -> Result<ExitCode> {
    let loaded = args.load()?;
    let found = match checked(args, data) {
        Ok((_, request, inventory)) => Found {
            inventory: Some(inventory),
            missing: None,
            request: Some(request),
        },
        Err(error @ Error::Profile(_)) => return Err(error),
        Err(error) => Found {
            inventory: known_inventory(&loaded.profile),
            missing: Some(error.to_string()),
            request: None,
        },
    };
    device::check(choice)?;
    let (foreseen, free_mib) = device::foreseen(choice);
    let in_use = || idle::why_not_measured(foreseen, free_mib);
    let unknown = "the size of the data set is not known without its files";
    let obstacle = match &found.inventory {
        None => Some(unknown.to_string()),
        Some(_) => in_use(),
    };
    // trying a GPU out disturbs who computes there, so that is left out where nothing is measured
    let (on, free_mib, warnings) = match (&obstacle, foreseen) {
        (Some(_), Device::Cuda(_)) => (foreseen, free_mib, Vec::new()),
        _ => {
            let chosen = device::choose(choice)?;
            let free_mib = device::free_mib(chosen.device).or(free_mib);
            (chosen.device, free_mib, chosen.warnings.clone())
        }
    };
    // where the foreseen GPU does not work
    let obstacle = match on == foreseen {
        true => obstacle,
        false => obstacle.or_else(|| idle::why_not_measured(on, free_mib)),
    };
    let mut estimate = None;
    if let (Some(inventory), None) = (&found.inventory, &obstacle) {
        let mut measured = Estimate::measure(&loaded.profile, inventory, on)?;
        if let Some(request) = &found.request {
            measured.add_data_seconds(request.seconds_to_decode()?);
        }
        estimate = Some(measured);
    }
    // without looking at an image: the menu asks again and again
    let known = found.request.as_ref().map(DatasetRequest::survey_labels);
    let known = known.transpose()?;
    let count = |split: &[usize]| split.iter().sum::<usize>();
    let counts = found.inventory.as_ref().map(|inventory| {
        json!({
            "classes": inventory.classes.len(), "train": count(&inventory.train),
            "validation": count(&inventory.validation), "test": count(&inventory.test),
            "left_out": known.as_ref().map(|known| &known.left_out),
            "notes": known.as_ref().map(|known| &known.notes),
            "warnings": known.as_ref().map(|known| &known.warnings),
        })
    });
    out(json!({
        "name": loaded.name, "profile": loaded.profile, "data": counts, "missing": found.missing,
        "device": device::name(on), "free_mib": free_mib, "estimate": estimate,
        "warnings": warnings, "not_measured": obstacle,
    }))?;
    Ok(ExitCode::SUCCESS)
}
