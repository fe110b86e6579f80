//! The first screen: one list of running runs, profiles, earlier runs and published settings, and a
//! preview of the selected one.

mod actions;
mod entry;
mod glance;
mod marked;
mod preview;

use crate::tui::backend::{
    AblationSummary, DataState, Glance, ProfileSummary, RunRequest, RunSummary, Subject,
};
use crate::tui::click_targets::Target;
use crate::tui::context::Context;
use crate::tui::input_line::{InputLine, Search};
use crate::tui::keys::{Action, Scope};
use crate::tui::message::Message;
use crate::tui::screen::{Response, Screen};
use crate::tui::screens::compare::compare;
use crate::tui::text::{clean, fit_middle, pad, width};
use crate::tui::widgets::{frame, list, put, put_lines};
use astill_core::ablation::AblationState;
use astill_core::profile::Profile;
use astill_core::run::RunDir;
use entry::{ListEntry, Selection};
use glance::GlanceLayout;
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Margin, Position, Rect};
use ratatui::text::Line;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A narrower terminal has no room for the preview beside the list.
const WITH_PREVIEW: u16 = 70;
/// Cells of "cifar10-ipc10-001", as runs are named by default, and of "done, 42.5 %" after a name.
const NAME: usize = 17;
const RESULT: usize = 13;
/// Runs at a glance that are kept: the cursor comes back to those around it.
const GLANCES: usize = 32;

/// The list, the search, and the previews.
#[derive(Debug, Default)]
pub struct HomeScreen {
    profiles: Vec<ProfileSummary>,
    runs: Vec<RunSummary>,
    ablations: Vec<AblationSummary>,
    /// The ablations whose runs are listed, by folder.
    unfolded: HashSet<PathBuf>,
    /// The list has been read.
    ready: bool,
    search: Search,
    selected: Option<Selection>,
    /// Of runs, by folder.
    settings: HashMap<PathBuf, Result<Profile, String>>,
    /// The latest last.
    glances: VecDeque<(PathBuf, Arc<Glance>)>,
    /// First line of the preview.
    scroll: usize,
    /// The runs that are marked for a comparison, in the order in which they were.
    marked: Vec<RunDir>,
}

impl Screen for HomeScreen {
    fn scope(&self) -> Scope {
        if self.search.is_edited() {
            Scope::Search
        } else {
            Scope::Home
        }
    }

    fn act(&mut self, action: Action, context: &mut Context) -> Response {
        let page = usize::from(context.size.1 / 2).max(1);
        match action {
            Action::Up => self.go(|i, _| i.saturating_sub(1)),
            Action::Down => self.go(|i, _| i + 1),
            Action::First => self.go(|_, _| 0),
            Action::Last => self.go(|_, last| last),
            Action::PageUp => self.scroll = self.scroll.saturating_sub(page),
            Action::PageDown => {
                self.scroll = (self.scroll + page).min(self.most_scroll(context));
            }
            Action::Search => self.search.edit(),
            // what is selected stays so in the whole list
            Action::Escape => {
                self.search.clear();
                self.keep_selection();
            }
            Action::Back => return Response::Close,
            Action::Open => return self.open(context),
            Action::Fetch => self.fetch(context),
            Action::Clone => self.clone_run(context),
            Action::Delete => return self.delete(context),
            Action::Rename => return self.rename(context),
            Action::Note => return self.note(context),
            Action::Mark => self.mark(context),
            Action::Compare => return compare(&self.marked, context),
            _ => return Response::Ignored,
        }
        Response::Handled
    }

    fn line(&mut self) -> Option<&mut InputLine> {
        self.search.line()
    }

    fn line_changed(&mut self) {
        self.search.line_changed();
        self.selected = None;
        self.keep_selection();
    }

    fn receive(&mut self, message: &Message, _context: &Context) -> bool {
        match message {
            Message::Listed(profiles, runs, ablations) => {
                (self.profiles, self.runs, self.ready) = (profiles.clone(), runs.clone(), true);
                self.ablations.clone_from(ablations);
                self.forget_lost_runs();
                self.keep_selection();
            }
            Message::Moved(run, Ok(to)) => self.follow_move(run, to.as_ref()),
            Message::Template(..) => return true,
            Message::Glanced(run, glance) => {
                let path = run.path();
                self.glances.retain(|(of, _)| of != path);
                self.glances.push_back((path.into(), glance.clone()));
                while self.glances.len() > GLANCES {
                    self.glances.pop_front();
                }
            }
            Message::Profile(run, profile) => {
                let profile = profile.as_deref().cloned().map_err(String::clone);
                self.settings.insert(run.path().to_path_buf(), profile);
            }
            _ => {}
        }
        false
    }

    /// What is known of the selected row; of a run again once it has gone on.
    fn request_missing(&mut self, context: &mut Context) {
        let subject = match &self.selected {
            Some(Selection::Profile(reference)) => Subject::Start(request(reference)),
            Some(Selection::Run(path)) => {
                let Some(run) = self.run_at(path) else { return };
                let twentieths = 20 * run.step / run.iterations.max(1);
                Subject::Run(run.run.clone(), twentieths)
            }
            Some(Selection::Ablation(_)) | None => return,
        };
        context.previews.want(subject);
    }

    fn offers(&self, action: Action) -> bool {
        let is_at_work = |run: &RunSummary| run.state.has_engine();
        match (self.selected_entry(), action) {
            (Some(ListEntry::Profile(profile)), Action::Fetch) => profile.data != DataState::Ready,
            (_, Action::Fetch) => false,
            (Some(ListEntry::Run(run)), Action::Delete | Action::Rename) => !is_at_work(run),
            (_, Action::Delete | Action::Rename) => false,
            (_, Action::Compare) => !self.marked.is_empty(),
            (entry, Action::Clone | Action::Note | Action::Mark) => {
                matches!(entry, Some(ListEntry::Run(_) | ListEntry::PartOf(..)))
            }
            _ => true,
        }
    }

    fn choose(&mut self, entry: usize, _context: &mut Context) -> Option<Action> {
        let before = self.selected.clone();
        self.go(|_, _| entry);
        (self.selected == before).then_some(Action::Open)
    }

    fn in_a_line(&self, context: &Context) -> String {
        let search = match self.search.text() {
            "" => String::new(),
            text => format!("/{text} "),
        };
        match self.selected_entry() {
            Some(entry) => {
                let remark = entry.remark(usize::MAX, context);
                format!("{search}>{} {remark}", clean(entry.name()))
            }
            None => format!("astill {search}"),
        }
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let [left, right] = columns(area);
        let title = "astill: runs and profiles";
        let inner = frame(buf, left, &context.appearance, title, true);
        let top = Constraint::Length(self.search.is_shown().into());
        let [top, rows] = Layout::vertical([top, Constraint::Fill(1)]).areas(inner);
        self.draw_list(buf, rows, context);
        if !right.is_empty() {
            self.draw_preview(buf, right, context);
        }
        if top.is_empty() {
            return None;
        }
        let style = context.appearance.theme.accent();
        self.search.draw(buf, top, "/", style)
    }
}

/// The list, and beside it the preview where it has room.
fn columns(area: Rect) -> [Rect; 2] {
    let list_width = if area.width >= WITH_PREVIEW {
        (area.width * 2 / 5).clamp(34, 64)
    } else {
        area.width
    };
    Layout::horizontal([Constraint::Length(list_width), Constraint::Fill(1)]).areas(area)
}

impl HomeScreen {
    /// A run has another name, or is gone: so are its mark and the cursor on it.
    fn follow_move(&mut self, run: &RunDir, to: Option<&RunDir>) {
        let place = self.marked.iter().position(|marked| marked == run);
        match (to, place) {
            (Some(to), Some(place)) => self.marked[place] = to.clone(),
            (None, Some(place)) => _ = self.marked.remove(place),
            (_, None) => {}
        }
        if let Some(to) = to {
            // the list that follows has it
            self.selected = Some(Selection::Run(to.path().to_path_buf()));
        }
    }

    /// Drops what is known of runs that are not listed any more.
    fn forget_lost_runs(&mut self) {
        let parts = self.ablations.iter().flat_map(|a| &a.started_runs);
        let runs = self.runs.iter().chain(parts);
        let there: HashSet<&Path> = runs.map(|r| r.run.path()).collect();
        self.marked.retain(|run| there.contains(run.path()));
        self.glances
            .retain(|(path, _)| there.contains(path.as_path()));
        self.settings
            .retain(|path, _| there.contains(path.as_path()));
    }

    /// The rows: in their groups, or by how well they match the search.
    fn entries(&self) -> Vec<ListEntry<'_>> {
        let (running, finished): (Vec<_>, Vec<_>) =
            self.runs.iter().partition(|r| r.state.has_engine());
        let in_state = |is_running| {
            let ablations = self.ablations.iter();
            let is_there =
                move |a: &&AblationSummary| (a.state == AblationState::Running) == is_running;
            ablations.filter(is_there).flat_map(|a| self.unfold(a))
        };
        let profiles = |published| {
            let all = self.profiles.iter();
            all.filter(move |p| p.published == published)
                .map(ListEntry::Profile)
        };
        let all = in_state(true)
            .chain(running.into_iter().map(ListEntry::Run))
            .chain(profiles(false))
            .chain(in_state(false))
            .chain(finished.into_iter().map(ListEntry::Run))
            .chain(profiles(true));
        let query = self.search.text();
        if query.trim().is_empty() {
            return all.collect();
        }
        let mut matcher = Matcher::new(Config::DEFAULT);
        let pattern = Pattern::parse(query, CaseMatching::Ignore, Normalization::Smart);
        let mut buffer = Vec::new();
        let mut found: Vec<(u32, ListEntry<'_>)> = all
            .filter_map(|e| {
                let by_name = pattern.score(Utf32Str::new(e.name(), &mut buffer), &mut matcher);
                // what is said about it has too many letters for parts of words
                let by_text = || e.is_about(query).then_some(0);
                Some((by_name.or_else(by_text)?, e))
            })
            .collect();
        found.sort_by_key(|(score, _)| Reverse(*score));
        found.into_iter().map(|(_, entry)| entry).collect()
    }

    /// An ablation, and its runs if they are to be listed.
    fn unfold<'a>(&self, ablation: &'a AblationSummary) -> Vec<ListEntry<'a>> {
        let is_unfolded = self.unfolded.contains(ablation.folder.path());
        let runs = ablation.started_runs.iter().filter(|_| is_unfolded);
        std::iter::once(ListEntry::Ablation(ablation))
            .chain(runs.map(|run| ListEntry::PartOf(ablation, run)))
            .collect()
    }

    fn keep_selection(&mut self) {
        let entries = self.entries();
        let is_there = self
            .selected
            .as_ref()
            .is_some_and(|s| entries.iter().any(|e| e.id() == *s));
        if !is_there {
            let first = entries.first().map(ListEntry::id);
            (self.selected, self.scroll) = (first, 0);
        }
    }

    fn index(&self, entries: &[ListEntry<'_>]) -> usize {
        entries
            .iter()
            .position(|e| Some(e.id()) == self.selected)
            .unwrap_or(0)
    }

    /// Selects the entry that `index` works out from the current one and the last one.
    fn go(&mut self, index: impl FnOnce(usize, usize) -> usize) {
        let entries = self.entries();
        let last = entries.len().saturating_sub(1);
        let wanted = index(self.index(&entries), last).min(last);
        let selected = entries.get(wanted).map(ListEntry::id);
        (self.selected, self.scroll) = (selected, 0);
    }

    fn selected_entry(&self) -> Option<ListEntry<'_>> {
        let entries = self.entries().into_iter();
        let mut selected = entries.filter(|e| Some(e.id()) == self.selected);
        selected.next()
    }

    fn run_at(&self, path: &PathBuf) -> Option<&RunSummary> {
        let parts = self.ablations.iter().flat_map(|a| &a.started_runs);
        let mut all = self.runs.iter().chain(parts);
        all.find(|r| r.run.path() == path)
    }

    /// The entries, with headings between the groups as long as nothing is searched for.
    fn draw_list(&self, buf: &mut Buffer, area: Rect, context: &Context) {
        let theme = &context.appearance.theme;
        let entries = self.entries();
        if entries.is_empty() {
            let text = match (self.ready, self.search.text().is_empty()) {
                (false, _) => "Loading runs and profiles...",
                (true, true) => "No runs and no profiles.",
                (true, false) => "No matches.",
            };
            return put(buf, area, 0, text, theme.dim());
        }
        let cells = usize::from(area.width).saturating_sub(2);
        let mut widest: HashMap<&str, usize> = HashMap::new();
        for entry in &entries {
            let of_group = widest.entry(entry.heading()).or_default();
            *of_group = (*of_group).max(width(&self.marked_label(entry)));
        }
        let selected = self.index(&entries);
        let (mut rows, mut selected_row) = (Vec::new(), 0);
        // the entry in each row; headings have none
        let mut entry_of = Vec::new();
        for (i, entry) in entries.iter().enumerate() {
            let is_first = i == 0 || entries[i - 1].heading() != entry.heading();
            if self.search.text().is_empty() && is_first {
                rows.push(Line::styled(entry.heading(), theme.title()));
                entry_of.push(None);
            }
            let mark = if i == selected { ">" } else { " " };
            if i == selected {
                selected_row = rows.len();
            }
            // a name of a hundred characters must not take the room of what is said about all others
            let most = match entry {
                ListEntry::Profile(_) => cells * 3 / 4,
                _ => (cells * 11 / 20).max(cells.saturating_sub(RESULT).min(NAME)),
            };
            let widest = widest.get(entry.heading()).copied().unwrap_or(0);
            let names = widest.min(most);
            let name = pad(&fit_middle(&self.marked_label(entry), names), names);
            let remark_cells = cells.saturating_sub(names);
            let remark = pad(&entry.remark(remark_cells, context), remark_cells);
            rows.push(Line::from(format!("{mark}{name} {remark}")));
            entry_of.push(Some(i));
        }
        let first = list(buf, area, rows, selected_row, theme.selected());
        for (row, entry) in area.rows().zip(entry_of.into_iter().skip(first)) {
            if let Some(entry) = entry {
                context.targets.add(row, Target::Item(entry));
            }
        }
    }

    fn draw_preview(&self, buf: &mut Buffer, area: Rect, context: &Context) {
        let appearance = &context.appearance;
        let Some(entry) = self.selected_entry() else {
            frame(buf, area, appearance, "", false);
            return;
        };
        let inner = frame(buf, area, appearance, &clean(entry.name()), false);
        let lines = self.preview_lines(&entry, context, inner.width.into());
        let mut text_area = inner;
        if let Some(glance) = self.glance_of(&entry) {
            text_area = GlanceLayout::new(inner, glance).text;
            glance::draw(buf, inner, context, glance);
        }
        put_lines(buf, text_area, lines, self.scroll);
    }

    fn preview_lines(
        &self,
        entry: &ListEntry<'_>,
        context: &Context,
        cells: usize,
    ) -> Vec<Line<'static>> {
        match entry {
            ListEntry::Profile(profile) => {
                let preview = context.previews.get(&request(&profile.reference));
                preview::of_profile(profile, preview, (context, self.scope()), cells)
            }
            ListEntry::Ablation(ablation) => preview::of_ablation(ablation, context, cells),
            ListEntry::Run(run) | ListEntry::PartOf(_, run) => {
                let settings = self.settings.get(run.run.path());
                let known = (settings, self.glance_of(entry));
                preview::of_run(run, known, context, cells)
            }
        }
    }

    fn glance_of(&self, entry: &ListEntry<'_>) -> Option<&Glance> {
        let (ListEntry::Run(run) | ListEntry::PartOf(_, run)) = entry else {
            return None;
        };
        let known = self.glances.iter().find(|(path, _)| path == run.run.path());
        known.map(|(_, glance)| &**glance)
    }

    /// Lines of the preview that have no room.
    fn most_scroll(&self, context: &Context) -> usize {
        let (width, rows) = context.size;
        // without the footer and the frame
        let area = Rect::new(0, 0, width, rows.saturating_sub(1));
        let inner = columns(area)[1].inner(Margin::new(1, 1));
        let Some(entry) = self.selected_entry().filter(|_| !inner.is_empty()) else {
            return 0;
        };
        let glance = self.glance_of(&entry);
        let text = glance.map_or(inner, |glance| GlanceLayout::new(inner, glance).text);
        let lines = self.preview_lines(&entry, context, inner.width.into());
        lines.len().saturating_sub(text.height.into())
    }
}

/// What the menu previews of a profile: a run of it as it is.
fn request(reference: &str) -> RunRequest {
    RunRequest {
        reference: reference.into(),
        ..RunRequest::default()
    }
}
