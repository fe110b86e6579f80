//! The first screen: one list of running runs, profiles, earlier runs and published settings, and a
//! preview of the selected one.

mod marked;
mod preview;

use crate::tui::backend::{AblationSummary, DataState, Preview, ProfileSummary, RunSummary};
use crate::tui::context::{Context, Effect};
use crate::tui::input_line::InputLine;
use crate::tui::keys::{Action, Scope};
use crate::tui::message::Message;
use crate::tui::model::Weight;
use crate::tui::screen::{Response, Screen};
use crate::tui::screens::compare::compare;
use crate::tui::text::{clean, pad, width};
use crate::tui::widgets::{frame, list, put, put_lines};
use astill_core::ablation::AblationState;
use astill_core::profile::Profile;
use astill_core::run::RunDir;
use astill_core::run::list::RunState;
use astill_core::text::percent;
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::text::Line;
use std::cmp::Reverse;
use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

/// A narrower terminal has no room for the preview beside the list.
const WITH_PREVIEW: u16 = 70;
/// Lines of a preview that can be scrolled away.
const MOST_SCROLL: usize = 200;

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
    /// The search while it is being edited.
    search: Option<InputLine>,
    query: String,
    selected: Option<Selection>,
    previews: HashMap<String, Preview>,
    /// Of runs, by folder.
    settings: HashMap<PathBuf, Result<Profile, String>>,
    /// Whose preview was requested last; an older preview of it is shown until the new one comes.
    requested: Option<Selection>,
    /// First line of the preview.
    scroll: usize,
    /// The runs that are marked for a comparison, in the order in which they were.
    marked: Vec<RunDir>,
    /// The profile that is being started.
    starting: Option<String>,
    /// The data set that is being fetched.
    fetching: Option<String>,
}

/// What the cursor is on, by name: the list may change under it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Selection {
    Run(PathBuf),
    Ablation(PathBuf),
    Profile(String),
}

/// A row of the list.
#[derive(Debug, Clone, Copy)]
enum ListEntry<'a> {
    Run(&'a RunSummary),
    Ablation(&'a AblationSummary),
    /// One of its runs, below it.
    PartOf(&'a AblationSummary, &'a RunSummary),
    Profile(&'a ProfileSummary),
}

impl ListEntry<'_> {
    fn id(&self) -> Selection {
        match self {
            Self::Run(run) | Self::PartOf(_, run) => Selection::Run(run.run.path().to_path_buf()),
            Self::Ablation(ablation) => Selection::Ablation(ablation.folder.path().to_path_buf()),
            Self::Profile(profile) => Selection::Profile(profile.reference.clone()),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Run(run) | Self::PartOf(_, run) => &run.name,
            Self::Ablation(ablation) => &ablation.name,
            Self::Profile(profile) => &profile.reference,
        }
    }

    fn heading(&self) -> &'static str {
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
    fn label(&self) -> String {
        match self {
            Self::PartOf(_, run) => format!("  {}", clean(&run.name)),
            other => clean(other.name()),
        }
    }

    /// What follows the name, in `cells` cells.
    fn remark(&self, cells: usize) -> String {
        /// A shorter description is not useful, and the preview has all of it.
        const DESCRIPTION: usize = 24;
        match self {
            Self::Profile(profile) => {
                let mark = match profile.data {
                    DataState::Ready => "",
                    DataState::Fetchable(_) | DataState::Missing => "(no data) ",
                };
                match cells < DESCRIPTION {
                    true => mark.trim_end().into(),
                    false => format!("{mark}{}", clean(&profile.description)),
                }
            }
            Self::Ablation(ablation) => {
                format!("{}, {}", ablation.state.name(), ablation.progress())
            }
            Self::Run(run) | Self::PartOf(_, run) => {
                let state = run.state.name();
                let accuracy = run
                    .accuracy
                    .map(|a| format!(", {} %", percent(a)))
                    .unwrap_or_default();
                if run.iterations == 0 || run.state == RunState::Done {
                    return format!("{state}{accuracy}");
                }
                let step = format!("{state} {}/{}", run.step, run.iterations);
                if width(&step) + width(&accuracy) <= cells {
                    step + &accuracy
                } else {
                    step
                }
            }
        }
    }
}

impl Screen for HomeScreen {
    fn scope(&self) -> Scope {
        if self.search.is_some() {
            Scope::Line
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
            Action::PageDown => self.scroll = (self.scroll + page).min(MOST_SCROLL),
            Action::Search => self.search = Some(InputLine::new(self.query.clone())),
            Action::Escape => {
                self.search = None;
                self.line_changed();
            }
            Action::Back => return Response::Close,
            Action::Open => return self.open(context),
            Action::Fetch => self.fetch(context),
            Action::Mark => self.mark(context),
            Action::Compare => return compare(&self.marked, context),
            _ => return Response::Ignored,
        }
        Response::Handled
    }

    fn line(&mut self) -> Option<&mut InputLine> {
        self.search.as_mut()
    }

    fn line_changed(&mut self) {
        let text = self.search.as_ref().map(InputLine::text);
        self.query = text.unwrap_or_default().into();
        self.selected = None;
        self.keep_selection();
    }

    fn receive(&mut self, message: &Message, _context: &Context) -> bool {
        match message {
            Message::Listed(profiles, runs, ablations) => {
                (self.profiles, self.runs, self.ready) = (profiles.clone(), runs.clone(), true);
                self.ablations.clone_from(ablations);
                self.keep_selection();
            }
            Message::Previewed(reference, preview) => {
                self.previews.insert(reference.clone(), *preview.clone());
            }
            Message::Started(_) => self.starting = None,
            Message::Fetched(..) => {
                // the preview says what data there are
                (self.fetching, self.requested) = (None, None);
            }
            Message::Profile(run, profile) => {
                let profile = profile.as_deref().cloned().map_err(String::clone);
                self.settings.insert(run.path().to_path_buf(), profile);
            }
            _ => {}
        }
        false
    }

    /// The preview, whenever the selection changes: the data may have been fetched meanwhile.
    fn request_missing(&mut self, context: &mut Context) {
        if self.requested == self.selected {
            return;
        }
        self.requested.clone_from(&self.selected);
        let effect = match &self.selected {
            Some(Selection::Profile(reference)) => Some(Effect::Preview(reference.clone())),
            Some(Selection::Run(path)) => self.run_at(path).map(|r| Effect::Profile(r.run.clone())),
            Some(Selection::Ablation(_)) | None => None,
        };
        context.effects.extend(effect);
    }

    fn in_a_line(&self, _context: &Context) -> String {
        let search = if self.query.is_empty() {
            String::new()
        } else {
            format!("/{} ", self.query)
        };
        match self.selected_entry() {
            Some(entry) => {
                let remark = entry.remark(usize::MAX);
                format!("{search}>{} {remark}", clean(entry.name()))
            }
            None => format!("astill {search}"),
        }
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let list_width = if area.width >= WITH_PREVIEW {
            (area.width * 2 / 5).clamp(34, 64)
        } else {
            area.width
        };
        let [left, right] =
            Layout::horizontal([Constraint::Length(list_width), Constraint::Fill(1)]).areas(area);
        let title = "astill: runs and profiles";
        let inner = frame(buf, left, &context.appearance, title, true);
        let searching = self.search.is_some() || !self.query.is_empty();
        let [top, rows] =
            Layout::vertical([Constraint::Length(searching.into()), Constraint::Fill(1)])
                .areas(inner);
        self.draw_list(buf, rows, context);
        if !right.is_empty() {
            self.draw_preview(buf, right, context);
        }
        if top.is_empty() {
            return None;
        }
        let line = self.search.clone();
        let (text, at) = line
            .unwrap_or_else(|| InputLine::new(self.query.clone()))
            .shown(usize::from(top.width).saturating_sub(1));
        let style = context.appearance.theme.accent();
        put(buf, top, 0, &format!("/{text}"), style);
        let cursor = Position::new(top.x + 1 + at as u16, top.y);
        self.search.as_ref().map(|_| cursor)
    }
}

impl HomeScreen {
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
        if self.query.trim().is_empty() {
            return all.collect();
        }
        let mut matcher = Matcher::new(Config::DEFAULT);
        let pattern = Pattern::parse(&self.query, CaseMatching::Ignore, Normalization::Smart);
        let mut buffer = Vec::new();
        let mut found: Vec<(u32, ListEntry<'_>)> = all
            .filter_map(|e| {
                Some((
                    pattern.score(Utf32Str::new(e.name(), &mut buffer), &mut matcher)?,
                    e,
                ))
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

    /// Fetches the data set of the selected profile.
    fn fetch(&mut self, context: &mut Context) {
        let Some(ListEntry::Profile(profile)) = self.selected_entry() else {
            return context.notify(Weight::Normal, "Select a profile to fetch its data set.");
        };
        let set = match (&profile.data, &self.fetching) {
            _ if context.appearance.read_only => return context.notify_read_only(),
            (DataState::Ready, _) => {
                return context.notify(Weight::Normal, "The data set of this profile is there.");
            }
            (DataState::Missing, _) => {
                let text = "Nobody knows where this data set can be fetched; the preview says where \
                            it belongs.";
                return context.notify(Weight::Warning, text);
            }
            (DataState::Fetchable(_), Some(other)) => {
                let text = format!("{other} is being fetched; wait until it is there.");
                return context.notify(Weight::Warning, &text);
            }
            (DataState::Fetchable(set), None) => set.clone(),
        };
        context.notify(Weight::Normal, &format!("Fetching {set}..."));
        context.effects.push(Effect::Fetch(set.clone()));
        self.fetching = Some(set);
    }

    /// Starts the selected profile, shows the selected run, or lists the runs of the selected
    /// ablation below it.
    fn open(&mut self, context: &mut Context) -> Response {
        self.search = None;
        match &self.selected {
            Some(Selection::Profile(_)) if context.appearance.read_only => {
                context.notify_read_only()
            }
            Some(Selection::Profile(reference)) => {
                // a second Enter must not start a second run
                if self.starting.is_none() {
                    context.effects.push(Effect::Start(reference.clone()));
                    self.starting = Some(reference.clone());
                }
                context.notify(Weight::Normal, &format!("Starting {reference}..."));
            }
            Some(Selection::Run(path)) => {
                if let Some(run) = self.run_at(path) {
                    return Response::OpenRun(run.run.clone());
                }
            }
            Some(Selection::Ablation(path)) if !self.unfolded.remove(path) => {
                self.unfolded.insert(path.clone());
            }
            Some(Selection::Ablation(_)) | None => {}
        }
        Response::Handled
    }

    /// The entries, with headings between the groups as long as nothing is searched for.
    fn draw_list(&self, buf: &mut Buffer, area: Rect, context: &Context) {
        let theme = &context.appearance.theme;
        let entries = self.entries();
        if entries.is_empty() {
            let text = match (self.ready, self.query.is_empty()) {
                (false, _) => "Loading runs and profiles...",
                (true, true) => "No runs and no profiles.",
                (true, false) => "No matches.",
            };
            return put(buf, area, 0, text, theme.dim());
        }
        let cells = usize::from(area.width).saturating_sub(2);
        let widest = |group: &str| {
            let of_group = entries.iter().filter(|e| e.heading() == group);
            of_group
                .map(|e| width(&self.marked_label(e)))
                .max()
                .unwrap_or(0)
        };
        let selected = self.index(&entries);
        let (mut rows, mut selected_row) = (Vec::new(), 0);
        for (i, entry) in entries.iter().enumerate() {
            let is_first = i == 0 || entries[i - 1].heading() != entry.heading();
            if self.query.is_empty() && is_first {
                rows.push(Line::styled(entry.heading(), theme.title()));
            }
            let mark = if i == selected { ">" } else { " " };
            if i == selected {
                selected_row = rows.len();
            }
            let names = widest(entry.heading()).min(cells * 3 / 4);
            let name = pad(&self.marked_label(entry), names);
            let remark_cells = cells.saturating_sub(names);
            let remark = pad(&entry.remark(remark_cells), remark_cells);
            rows.push(Line::from(format!("{mark}{name} {remark}")));
        }
        list(buf, area, rows, selected_row, theme.selected());
    }

    fn draw_preview(&self, buf: &mut Buffer, area: Rect, context: &Context) {
        let appearance = &context.appearance;
        let Some(entry) = self.selected_entry() else {
            frame(buf, area, appearance, "", false);
            return;
        };
        let inner = frame(buf, area, appearance, &clean(entry.name()), false);
        let cells = usize::from(inner.width);
        let lines = match entry {
            ListEntry::Profile(profile) => {
                let preview = self.previews.get(&profile.reference);
                preview::of_profile(profile, preview, &appearance.theme, cells)
            }
            ListEntry::Ablation(ablation) => preview::of_ablation(ablation, context, cells),
            ListEntry::Run(run) | ListEntry::PartOf(_, run) => {
                preview::of_run(run, self.settings.get(run.run.path()), context, cells)
            }
        };
        put_lines(buf, inner, lines, self.scroll);
    }
}
