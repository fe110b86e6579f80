//! The numbers of charts as a table for other programs: a row for each number, named as in TensorBoard.

use super::tensorboard::{group, scalars};
use super::{PlottedRun, report_unreadable};
use crate::tui::chart::plots::Plot;
use crate::tui::events_file::{Found, read_whole};
use astill_core::Result;
use astill_core::measures::{Measure, MeasuredEvent};
use astill_core::run::RunDir;
use astill_core::run::event::{Event, EventKind, ExpertEpoch, Phase};
use astill_core::tables::csv_row;

/// The table of these charts; `runs` with their names.
///
/// # Errors
/// A record cannot be read, or holds nothing of these charts.
pub fn table(charts: &[&'static Plot], runs: &[(RunDir, String)]) -> Result<Vec<u8>> {
    let heads = ["run", "series", "step", "value"].map(String::from);
    let mut text = csv_row(&heads);
    let heads = text.len();
    for (run, name) in runs {
        let mut rows = Rows::new(charts);
        let unreadable = read_whole(run, |found| {
            match found {
                Found::Event(event) => rows.event(event),
                Found::Restart => rows = Rows::new(charts),
            }
            Ok(())
        })?;
        report_unreadable(name, unreadable);
        for row in rows.kept {
            let fields = [
                name.clone(),
                row.series,
                row.step.to_string(),
                row.value.to_string(),
            ];
            text += &csv_row(&fields);
        }
    }
    match text.len() == heads {
        true => Err(PlottedRun::nothing_to_draw()),
        false => Ok(text.into_bytes()),
    }
}

struct Row {
    series: String,
    /// A step of distillation, or an epoch of an expert, from 1.
    step: u64,
    value: f64,
    /// The expert, from 0, for an epoch.
    expert: Option<u64>,
}

struct Rows<'a> {
    charts: &'a [&'static Plot],
    kept: Vec<Row>,
    phase: Option<Phase>,
    has_started: bool,
}

impl<'a> Rows<'a> {
    fn new(charts: &'a [&'static Plot]) -> Self {
        Self {
            charts,
            kept: Vec::new(),
            phase: None,
            has_started: false,
        }
    }

    fn event(&mut self, event: &Event) {
        match &event.what {
            EventKind::DistillStep(step) => {
                self.add(step.step, None, "distill", MeasuredEvent::Step(step));
            }
            EventKind::Evaluation(evaluation) => {
                let group = group(evaluation, self.phase);
                let measured = MeasuredEvent::Evaluation(evaluation);
                self.add(evaluation.step, None, &group, measured);
            }
            EventKind::ExpertEpoch(epoch) => self.epoch(epoch),
            EventKind::ExpertFound(found) => found.epochs().for_each(|epoch| self.epoch(&epoch)),
            // later steps no longer count
            EventKind::RolledBack { to, .. } => {
                self.forget(|row| row.expert.is_none() && row.step > *to)
            }
            EventKind::RunStarted(started) => {
                self.phase = None;
                if std::mem::replace(&mut self.has_started, true) {
                    self.forget(|row| row.expert.is_none() && row.step > started.step);
                }
            }
            EventKind::Phase { name } => self.phase = Some(*name),
            _ => {}
        }
    }

    /// An epoch that is repeated takes the place of what there was from it on.
    fn epoch(&mut self, epoch: &ExpertEpoch) {
        let (expert, number) = (epoch.expert, epoch.epoch.saturating_add(1));
        self.forget(|row| row.expert == Some(expert) && row.step >= number);
        let group = format!("expert-{:03}", expert.saturating_add(1));
        self.add(number, Some(expert), &group, MeasuredEvent::Epoch(epoch));
    }

    fn forget(&mut self, is_over: impl Fn(&Row) -> bool) {
        self.kept.retain(|row| !is_over(row));
    }

    fn add(&mut self, step: u64, expert: Option<u64>, group: &str, event: MeasuredEvent<'_>) {
        let is_drawn = |measure: &Measure| {
            self.charts
                .iter()
                .any(|plot| plot.measures().any(|one| one.name == measure.name))
        };
        let found = scalars(group, event, is_drawn).into_iter();
        self.kept.extend(found.map(|(series, value)| Row {
            series,
            step,
            value,
            expert,
        }));
    }
}
