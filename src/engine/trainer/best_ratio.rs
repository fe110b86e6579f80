//! How well the student could do from each part of the experts' training: averages of the least final
//! ratio that its direction allows.

use crate::distill::found::Outcome;
use crate::distill::iteration::Settings;

/// How many parts the window of start epochs has, at most, and how much of the average of each stays
/// from one of its steps to the next.
const START_BANDS: usize = 4;
const START_MEMORY: f64 = 0.9;

/// Adds a step to the averages of 1 − alignment² by start; those averages.
pub fn average_by_start(
    averages: &mut Vec<Option<f64>>,
    settings: &Settings,
    start_epoch: usize,
    outcome: &Outcome,
) -> Vec<f64> {
    let starts = settings.starts;
    let width = starts.end.saturating_sub(starts.first).max(1);
    let bands = width.min(START_BANDS);
    if averages.len() != bands {
        *averages = vec![None; bands];
    }
    let band = (start_epoch.saturating_sub(starts.first) * bands / width).min(bands - 1);
    let now = 1. - outcome.alignment * outcome.alignment;
    if now.is_finite() {
        let before = averages[band].unwrap_or(now);
        averages[band] = Some(START_MEMORY * before + (1. - START_MEMORY) * now);
    }
    averages.iter().map(|a| a.unwrap_or(f64::NAN)).collect()
}
