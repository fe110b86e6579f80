//! The runs that are marked for a comparison.

use super::{HomeScreen, ListEntry};
use crate::tui::context::Context;
use crate::tui::keys::Scope;
use crate::tui::model::Weight;
use crate::tui::screen::Screen;
use crate::tui::screens::compare::letter;

impl HomeScreen {
    /// Marks the selected run, or unmarks it.
    pub(super) fn mark(&mut self, context: &mut Context) {
        let Some(ListEntry::Run(run) | ListEntry::PartOf(_, run)) = self.selected_entry() else {
            return context.notify(Weight::Normal, "Only runs can be marked for a comparison.");
        };
        let run = run.run.clone();
        match self.marked.iter().position(|r| *r == run) {
            Some(place) => _ = self.marked.remove(place),
            None => self.marked.push(run),
        }
        let when = match self.scope() {
            Scope::Search => " once the search has ended",
            _ => "",
        };
        let text = match self.marked.len() {
            0 => "No run is marked.".into(),
            1 => "1 run is marked; mark another to compare the two.".into(),
            marked => format!("{marked} runs are marked: `compare` compares them{when}."),
        };
        context.notify(Weight::Normal, &text);
    }

    /// A row of the list, with the letter that the comparison will have for a marked run.
    pub(super) fn marked_label(&self, entry: &ListEntry<'_>) -> String {
        let place = match entry {
            ListEntry::Run(run) | ListEntry::PartOf(_, run) => {
                self.marked.iter().position(|r| *r == run.run)
            }
            ListEntry::Ablation(_) | ListEntry::Profile(_) => None,
        };
        match place {
            Some(place) => format!("[{}] {}", letter(place), entry.label()),
            None => entry.label(),
        }
    }
}
