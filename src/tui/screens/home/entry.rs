//! The rows of the menu.

use crate::tui::backend::{AblationSummary, DataState, ProfileSummary, RunState, RunSummary};
use crate::tui::clock;
use crate::tui::context::Context;
use crate::tui::text::{clean, width};
use astill_core::ablation::AblationState;
use astill_core::text::percent;
use std::path::PathBuf;

/// What the cursor is on, by name: the list may change under it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Selection {
    Run(PathBuf),
    Ablation(PathBuf),
    Profile(String),
}

/// A row of the list.
#[derive(Debug, Clone, Copy)]
pub enum ListEntry<'a> {
    Run(&'a RunSummary),
    Ablation(&'a AblationSummary),
    /// One of its runs, below it.
    PartOf(&'a AblationSummary, &'a RunSummary),
    Profile(&'a ProfileSummary),
}

impl ListEntry<'_> {
    pub fn id(&self) -> Selection {
        match self {
            Self::Run(run) | Self::PartOf(_, run) => Selection::Run(run.run.path().to_path_buf()),
            Self::Ablation(ablation) => Selection::Ablation(ablation.folder.path().to_path_buf()),
            Self::Profile(profile) => Selection::Profile(profile.reference.clone()),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Run(run) | Self::PartOf(_, run) => &run.name,
            Self::Ablation(ablation) => &ablation.name,
            Self::Profile(profile) => &profile.reference,
        }
    }

    pub fn heading(&self) -> &'static str {
        match self {
            Self::Run(run) if run.state.has_engine() => "Running",
            Self::Ablation(ablation) | Self::PartOf(ablation, _)
                if ablation.state == AblationState::Running =>
            {
                "Running"
            }
            Self::Profile(profile) if profile.published => "Published settings",
            Self::Profile(_) => "Profiles",
            Self::Run(_) | Self::Ablation(_) | Self::PartOf(..) => "Earlier runs",
        }
    }

    /// The name as it is listed: runs of an ablation stand below it.
    pub fn label(&self) -> String {
        match self {
            Self::PartOf(_, run) => format!("  {}", clean(&run.name)),
            other => clean(other.name()),
        }
    }

    /// Whether what is said about it contains `text`.
    pub fn is_about(&self, text: &str) -> bool {
        let said = match self {
            Self::Profile(profile) => vec![profile.description.as_str()],
            Self::Ablation(ablation) => vec![ablation.profile.as_str(), ablation.state.name()],
            Self::Run(run) | Self::PartOf(_, run) => vec![
                run.profile.as_str(),
                run.state.name(),
                run.note.as_deref().unwrap_or_default(),
            ],
        };
        let wanted = text.trim().to_lowercase();
        said.iter()
            .any(|said| said.to_lowercase().contains(&wanted))
    }

    /// What follows the name, in `cells` cells.
    pub fn remark(&self, cells: usize, context: &Context) -> String {
        /// A shorter description is not useful, and the preview has all of it.
        const DESCRIPTION: usize = 24;
        match self {
            Self::Profile(profile) => {
                let is_coming = |set: &String| {
                    let fetching = context.fetching.as_ref();
                    fetching.is_some_and(|fetching| fetching.set == *set)
                };
                let mark = match &profile.data {
                    DataState::Ready => "",
                    DataState::Fetchable { set, .. } if is_coming(set) => "being fetched",
                    DataState::Fetchable { .. } | DataState::Missing => "no data",
                };
                let between = if mark.is_empty() { "" } else { " - " };
                match cells {
                    // beside a long name
                    ..DESCRIPTION => mark.into(),
                    _ => format!("{mark}{between}{}", clean(&profile.description)),
                }
            }
            Self::Ablation(ablation) => {
                format!("{}, {}", ablation.state.name(), ablation.progress())
            }
            Self::Run(run) | Self::PartOf(_, run) => of_run(run, cells, context),
        }
    }
}

/// State, result and date of a run: as many of them as fit, the state first.
fn of_run(run: &RunSummary, cells: usize, context: &Context) -> String {
    let mut text = run.state.name().to_string();
    if run.iterations > 0 && run.state != RunState::Done {
        text += &format!(" {}/{}", run.step, run.iterations);
    }
    let accuracy = run.accuracy.map(|a| format!(", {} %", percent(a)));
    let reason = run.reason.as_ref().map(|why| format!(": {}", clean(why)));
    let date = clock::day(&run.started, &context.zone, context.now);
    let date = (!date.is_empty()).then(|| format!(", {date}"));
    let parts = [accuracy, date];
    for part in parts.into_iter().flatten() {
        if width(&text) + width(&part) <= cells {
            text += &part;
        }
    }
    // a reason is long, and worth the rest of the row
    if run.state == RunState::Failed && width(&text) + 12 <= cells {
        text += &reason.unwrap_or_default();
    }
    text
}
