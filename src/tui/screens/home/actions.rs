//! What the keys of the menu do with the selected row.

use super::HomeScreen;
use super::entry::ListEntry;
use crate::tui::backend::RunSummary;
use crate::tui::context::Context;
use crate::tui::model::Weight;
use crate::tui::screen::{Response, Screen};
use crate::tui::screens::confirm::{ConfirmPopup, OnYes};
use crate::tui::screens::prompt::{PromptPopup, Then};
use crate::tui::screens::start::StartForm;
use crate::tui::text::clean;

impl HomeScreen {
    /// Opens the form that starts a run of the selected profile, shows the selected run, or lists the
    /// runs of the selected ablation below it.
    pub(super) fn open(&mut self, context: &mut Context) -> Response {
        // what was found stays selected, in the whole list
        self.search.clear();
        self.keep_selection();
        match self.selected_entry() {
            Some(ListEntry::Profile(_)) if context.appearance.read_only => {
                context.notify_read_only()
            }
            Some(ListEntry::Profile(profile)) => {
                return Response::Open(Box::new(StartForm::of_profile(profile)));
            }
            Some(ListEntry::Run(run) | ListEntry::PartOf(_, run)) => {
                return Response::OpenRun(run.run.clone());
            }
            Some(ListEntry::Ablation(ablation)) => {
                let path = ablation.folder.path().to_path_buf();
                if !self.unfolded.remove(&path) {
                    self.unfolded.insert(path);
                }
            }
            None => {}
        }
        Response::Handled
    }

    /// Fetches the data set of the selected profile.
    pub(super) fn fetch(&self, context: &mut Context) {
        match self.selected_entry() {
            Some(ListEntry::Profile(profile)) => context.fetch(&profile.data),
            _ => context.notify(Weight::Normal, "Select a profile to fetch its data set."),
        }
    }

    /// Has the settings of the selected run read, for a form that starts another with them.
    pub(super) fn clone_run(&self, context: &mut Context) {
        match self.selected_entry() {
            Some(ListEntry::Run(run) | ListEntry::PartOf(_, run)) => {
                context.ask_for_template(run.run.clone());
            }
            _ => context.notify(Weight::Normal, "Select a run to start another like it."),
        }
    }

    pub(super) fn delete(&self, context: &mut Context) -> Response {
        let Some(run) = self.own_run(context, "deleted") else {
            return Response::Handled;
        };
        let folder = run.run.path().display();
        let text = format!(
            "The folder {folder} is removed with everything in it: the distilled images, the \
             checkpoints and the record. This cannot be undone."
        );
        let title = format!("Delete {}?", run.name);
        let on_yes = OnYes::Delete(run.run.clone());
        Response::Open(Box::new(ConfirmPopup::question(&title, &text, on_yes)))
    }

    pub(super) fn rename(&self, context: &mut Context) -> Response {
        match self.own_run(context, "renamed") {
            Some(run) => {
                let then = Then::Rename(run.run.clone());
                let title = format!("Rename {}", clean(&run.name));
                prompt(PromptPopup::new(&title, "Its new name:", &run.name, then))
            }
            None => Response::Handled,
        }
    }

    pub(super) fn note(&self, context: &mut Context) -> Response {
        let Some(ListEntry::Run(run) | ListEntry::PartOf(_, run)) = self.selected_entry() else {
            context.notify(Weight::Normal, "Select a run to write a note about it.");
            return Response::Handled;
        };
        let then = Then::Note(run.run.clone());
        let before = run.note.clone().unwrap_or_default();
        let title = format!("Note about {}", clean(&run.name));
        let text = "One line; leave it empty to remove the note:";
        prompt(PromptPopup::new(&title, text, &before, then))
    }

    /// The selected run, if it is one that can be deleted and renamed; explains to the user if not.
    fn own_run(&self, context: &mut Context, done: &str) -> Option<&RunSummary> {
        let (run, problem) = match self.selected_entry() {
            Some(ListEntry::Run(run)) if run.state.has_engine() => (
                run,
                format!("A run at work cannot be {done}: stop it first (`attach`, then `stop`)."),
            ),
            Some(ListEntry::Run(run)) => return Some(run),
            Some(ListEntry::PartOf(ablation, run)) => (
                run,
                format!(
                    "It is part of the ablation {} and stays with it.",
                    clean(&ablation.name)
                ),
            ),
            _ => {
                context.notify(Weight::Normal, "Select a run.");
                return None;
            }
        };
        let text = format!("{}: {problem}", clean(&run.name));
        context.notify(Weight::Warning, &text);
        None
    }
}

fn prompt(popup: PromptPopup) -> Response {
    let screen: Box<dyn Screen> = Box::new(popup);
    Response::Open(screen)
}
