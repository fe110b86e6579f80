//! The first screen: one list of what runs, what can be started and what has run, and a preview of
//! what is selected.

use super::super::app::{Context, Effect, Next};
use super::super::backend::{Preview, ProfileSummary, RunSummary};
use super::super::clock;
use super::super::keys::Action;
use super::super::line::Line;
use super::super::model::Weight;
use super::super::text::{clean, pad, width, wrap};
use super::{Appearance, frame, put, put_row, scrolled};
use astill_core::profile::Intermediate;
use astill_core::profile::Profile;
use astill_core::run::RunDir;
use astill_core::run::list::RunState;
use astill_core::run::text::duration;
use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use std::cmp::Reverse;
use std::collections::HashMap;
use std::path::PathBuf;

/// The list, what is searched for, and the previews.
#[derive(Debug, Default)]
pub struct Home {
    profiles: Vec<ProfileSummary>,
    runs: Vec<RunSummary>,
    /// Whether the list has come.
    ready: bool,
    /// Written at the moment.
    pub search: Option<Line>,
    query: String,
    selected: Option<Selected>,
    previews: HashMap<String, Preview>,
    /// Of runs, by folder.
    settings: HashMap<PathBuf, Result<Profile, String>>,
    /// Whose preview was asked for last; the one from before is shown until it has come.
    asked: Option<Selected>,
    /// First line of the preview.
    scroll: usize,
    starting: Option<String>,
}

/// What the cursor is on, by name: the list may change under it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Selected {
    Run(PathBuf),
    Profile(String),
}

/// A row of the list.
#[derive(Debug, Clone, Copy)]
enum Entry<'a> {
    Run(&'a RunSummary),
    Profile(&'a ProfileSummary),
}

impl Entry<'_> {
    fn id(&self) -> Selected {
        match self {
            Self::Run(run) => Selected::Run(run.run.path().to_path_buf()),
            Self::Profile(profile) => Selected::Profile(profile.reference.clone()),
        }
    }

    fn name(&self) -> &str {
        match self {
            Self::Run(run) => &run.name,
            Self::Profile(profile) => &profile.reference,
        }
    }

    fn heading(&self) -> &'static str {
        match self {
            Self::Run(run) if run.state.has_engine() => "Running",
            Self::Profile(_) => "Profiles",
            Self::Run(_) => "Earlier runs",
        }
    }

    /// What stands after the name, in so many cells.
    fn remark(&self, cells: usize) -> String {
        /// A description in less room says nothing, and it stands in the preview too.
        const DESCRIPTION: usize = 24;
        match self {
            Self::Profile(_) if cells < DESCRIPTION => String::new(),
            Self::Profile(profile) => clean(&profile.description),
            Self::Run(run) => {
                let state = run.state.name();
                let accuracy = run
                    .accuracy
                    .map(|a| format!(", {a:.1} %"))
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

impl Home {
    /// Takes the list as it is now.
    pub fn listed(&mut self, profiles: Vec<ProfileSummary>, runs: Vec<RunSummary>) {
        (self.profiles, self.runs, self.ready) = (profiles, runs, true);
        self.keep_selection();
    }

    /// What was being started has started, or has not.
    pub fn started(&mut self) {
        self.starting = None;
    }

    pub fn previewed(&mut self, reference: String, preview: Preview) {
        self.previews.insert(reference, preview);
    }

    /// The settings of a run have been read.
    pub fn settings(&mut self, run: &RunDir, profile: Result<&Profile, String>) {
        self.settings
            .insert(run.path().to_path_buf(), profile.cloned());
    }

    /// The preview that is to be made: whenever the cursor comes to something, as its data may have
    /// come meanwhile.
    pub fn preview_to_ask(&mut self) -> Option<Effect> {
        if self.asked == self.selected {
            return None;
        }
        self.asked.clone_from(&self.selected);
        match self.selected.as_ref()? {
            Selected::Profile(reference) => Some(Effect::Preview(reference.clone())),
            Selected::Run(path) => self
                .runs
                .iter()
                .find(|r| r.run.path() == path)
                .map(|r| Effect::Profile(r.run.clone())),
        }
    }

    pub fn search_changed(&mut self) {
        self.query = self
            .search
            .as_ref()
            .map_or(String::new(), |l| l.text().into());
        self.selected = None;
        self.keep_selection();
    }

    /// The rows: in their groups, or by how well they fit what is searched for.
    fn entries(&self) -> Vec<Entry<'_>> {
        let running = self
            .runs
            .iter()
            .filter(|r| r.state.has_engine())
            .map(Entry::Run);
        let finished = self
            .runs
            .iter()
            .filter(|r| !r.state.has_engine())
            .map(Entry::Run);
        let all = running
            .chain(self.profiles.iter().map(Entry::Profile))
            .chain(finished);
        if self.query.trim().is_empty() {
            return all.collect();
        }
        let mut matcher = Matcher::new(Config::DEFAULT);
        let pattern = Pattern::parse(&self.query, CaseMatching::Ignore, Normalization::Smart);
        let mut buffer = Vec::new();
        let mut found: Vec<(u32, Entry<'_>)> = all
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

    fn keep_selection(&mut self) {
        let entries = self.entries();
        let there = self
            .selected
            .as_ref()
            .is_some_and(|s| entries.iter().any(|e| e.id() == *s));
        if !there {
            let first = entries.first().map(Entry::id);
            (self.selected, self.scroll) = (first, 0);
        }
    }

    fn index(&self, entries: &[Entry<'_>]) -> usize {
        entries
            .iter()
            .position(|e| Some(e.id()) == self.selected)
            .unwrap_or(0)
    }

    fn go(&mut self, index: impl FnOnce(usize, usize) -> usize) {
        let entries = self.entries();
        let last = entries.len().saturating_sub(1);
        let wanted = index(self.index(&entries), last).min(last);
        let selected = entries.get(wanted).map(Entry::id);
        (self.selected, self.scroll) = (selected, 0);
    }

    pub fn in_a_line(&self) -> String {
        let search = if self.query.is_empty() {
            String::new()
        } else {
            format!("/{} ", self.query)
        };
        match self
            .entries()
            .iter()
            .find(|e| Some(e.id()) == self.selected)
        {
            Some(entry) => format!(
                "{search}>{} {}",
                clean(entry.name()),
                entry.remark(usize::MAX)
            ),
            None => format!("astill {search}"),
        }
    }
}

pub fn act(action: Action, context: &mut Context) -> Next {
    let home = &mut context.home;
    let page = usize::from(context.size.1 / 2).max(1);
    match action {
        Action::Up => home.go(|i, _| i.saturating_sub(1)),
        Action::Down => home.go(|i, _| i + 1),
        Action::First => home.go(|_, _| 0),
        Action::Last => home.go(|_, last| last),
        Action::PageUp => home.scroll = home.scroll.saturating_sub(page),
        Action::PageDown => home.scroll = (home.scroll + page).min(200),
        Action::Search => home.search = Some(Line::new(home.query.clone())),
        Action::Escape => {
            home.search = None;
            home.search_changed();
        }
        Action::Back => return Next::Close,
        Action::Open => return open(context),
        _ => {}
    }
    Next::Stay
}

/// Starts the selected profile, or shows the selected run.
fn open(context: &mut Context) -> Next {
    let home = &mut context.home;
    home.search = None;
    match home.selected.clone() {
        Some(Selected::Profile(_)) if context.look.read_only => {
            context.say(Weight::Warning, "This app only looks (--read-only).")
        }
        Some(Selected::Profile(reference)) => {
            // one start at a time: a second Enter is a nervous finger
            if home.starting.is_none() {
                context.effects.push(Effect::Start(reference.clone()));
                home.starting = Some(reference.clone());
            }
            context.say(Weight::Normal, &format!("Starting {reference} .."));
        }
        Some(Selected::Run(path)) => {
            let run = home
                .runs
                .iter()
                .find(|r| r.run.path() == path)
                .map(|r| r.run.clone());
            return run.map_or(Next::Stay, Next::Open);
        }
        None => {}
    }
    Next::Stay
}

pub fn draw(buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
    let home = &context.home;
    let beside = area.width >= 70;
    let list_width = if beside {
        (area.width * 2 / 5).clamp(34, 64)
    } else {
        area.width
    };
    let list = Rect {
        width: list_width,
        ..area
    };
    let inner = frame(buf, list, &context.look, "astill: runs and profiles", true);
    let searching = home.search.is_some() || !home.query.is_empty();
    let rows = Rect {
        y: inner.y + u16::from(searching),
        height: inner.height.saturating_sub(searching.into()),
        ..inner
    };
    draw_list(buf, rows, context);
    if beside {
        let rest = Rect {
            x: area.x + list_width,
            width: area.width - list_width,
            ..area
        };
        draw_preview(buf, rest, context);
    }
    if !searching {
        return None;
    }
    let (text, at) = home
        .search
        .clone()
        .unwrap_or_else(|| Line::new(home.query.clone()))
        .shown(usize::from(inner.width).saturating_sub(1));
    put(
        buf,
        inner,
        0,
        &format!("/{text}"),
        context.look.theme.accent(),
    );
    home.search.as_ref()?;
    Some(Position {
        x: inner.x + 1 + at as u16,
        y: inner.y,
    })
}

fn draw_list(buf: &mut Buffer, area: Rect, context: &Context) {
    let (home, theme) = (&context.home, &context.look.theme);
    let entries = home.entries();
    if entries.is_empty() {
        let text = match (home.ready, home.query.is_empty()) {
            (false, _) => "Looking for runs ..",
            (true, true) => "There are no runs and no profiles.",
            (true, false) => "Nothing has such a name.",
        };
        return put(buf, area, 0, text, theme.dim());
    }
    // rows with headings between the groups; the list scrolls as a whole
    let mut rows: Vec<(Option<usize>, String)> = Vec::new();
    let cells = usize::from(area.width).saturating_sub(2);
    let widest = |group: &str| {
        entries
            .iter()
            .filter(|e| e.heading() == group)
            .map(|e| width(e.name()))
            .max()
            .unwrap_or(0)
    };
    for (i, entry) in entries.iter().enumerate() {
        let is_first = i == 0 || entries[i - 1].heading() != entry.heading();
        if home.query.is_empty() && is_first {
            rows.push((None, entry.heading().into()));
        }
        let names = widest(entry.heading()).min(cells * 3 / 4);
        rows.push((
            Some(i),
            format!(
                "{} {}",
                pad(&clean(entry.name()), names),
                entry.remark(cells.saturating_sub(names))
            ),
        ));
    }
    let selected = home.index(&entries);
    let at = rows
        .iter()
        .position(|(i, _)| *i == Some(selected))
        .unwrap_or(0);
    let skip = scrolled(at, rows.len(), area.height.into());
    for (row, (i, text)) in (0..area.height).zip(&rows[skip..]) {
        match i {
            None => put(
                buf,
                area,
                row,
                text,
                theme.title().patch(Style::new().bold()),
            ),
            Some(i) if *i == selected => {
                put_row(buf, area, row, &format!(">{text}"), theme.selected())
            }
            Some(_) => put(buf, area, row, &format!(" {text}"), theme.text()),
        }
    }
}

fn draw_preview(buf: &mut Buffer, area: Rect, context: &Context) {
    let (home, look) = (&context.home, &context.look);
    let entries = home.entries();
    let Some(entry) = entries.iter().find(|e| Some(e.id()) == home.selected) else {
        frame(buf, area, look, "", false);
        return;
    };
    let inner = frame(buf, area, look, &clean(entry.name()), false);
    let cells = usize::from(inner.width);
    let lines = match entry {
        Entry::Profile(profile) => {
            of_profile(profile, home.previews.get(&profile.reference), look, cells)
        }
        Entry::Run(run) => of_run(run, home.settings.get(run.run.path()), context, cells),
    };
    let skip = home
        .scroll
        .min(lines.len().saturating_sub(inner.height.into()));
    for (row, (text, style)) in (0..inner.height).zip(&lines[skip..]) {
        put(buf, inner, row, text, *style);
    }
}

type Styled = Vec<(String, Style)>;

/// "name   value", the value in as many lines as it takes.
fn item(lines: &mut Styled, cells: usize, name: &str, value: &str, style: Style) {
    const NAMES: usize = 10;
    for (i, part) in wrap(value, cells.saturating_sub(NAMES))
        .into_iter()
        .enumerate()
    {
        lines.push((
            format!("{}{part}", pad(if i == 0 { name } else { "" }, NAMES)),
            style,
        ));
    }
}

fn of_profile(
    summary: &ProfileSummary,
    preview: Option<&Preview>,
    look: &Appearance,
    cells: usize,
) -> Styled {
    let theme = &look.theme;
    let mut lines: Styled = wrap(&clean(&summary.description), cells)
        .into_iter()
        .map(|l| (l, theme.text()))
        .collect();
    lines.push(Default::default());
    match preview {
        None => lines.push(("Looking at data and device ..".into(), theme.dim())),
        Some(preview) => {
            match &preview.data {
                Ok(found) => item(&mut lines, cells, "Data", &clean(found), theme.good()),
                Err(missing) => item(&mut lines, cells, "Data", &clean(missing), theme.warn()),
            }
            match &preview.profile {
                Ok(profile) => of_settings(&mut lines, profile, look, cells),
                Err(problem) => problem
                    .lines()
                    .for_each(|l| item(&mut lines, cells, "Wrong", &clean(l), theme.bad())),
            }
            let memory = preview.memory_mib.map(|m| {
                if m < 1024. {
                    format!("{m:.0} MiB")
                } else {
                    format!("{:.1} GiB", m / 1024.)
                }
            });
            let time = preview.seconds.map(|s| format!("about {}", duration(s)));
            let both: Vec<String> = memory
                .map(|m| format!("about {m}"))
                .into_iter()
                .chain(time)
                .collect();
            if both.is_empty() {
                item(&mut lines, cells, "Estimate", "none", theme.dim());
            } else {
                let on = format!("{} on {}", both.join(", "), clean(&preview.device));
                item(&mut lines, cells, "Estimate", &on, theme.accent());
            }
        }
    }
    lines.push(Default::default());
    of_text(&mut lines, &summary.text, look, cells);
    lines
}

/// A profile as it is written, what is too long in more rows.
fn of_text(lines: &mut Styled, text: &str, look: &Appearance, cells: usize) {
    for line in text.lines() {
        let line = clean(line);
        let inside = line.trim_start();
        let indent = line.len() - inside.len();
        let style = if inside.starts_with('#') {
            look.theme.dim()
        } else {
            look.theme.text()
        };
        for (i, part) in wrap(inside, cells.saturating_sub(indent + 2))
            .into_iter()
            .enumerate()
        {
            lines.push((
                " ".repeat(indent + if i == 0 { 0 } else { 2 }) + &part,
                style,
            ));
        }
    }
}

/// Which parts of the method are on, and how large the task is.
fn of_settings(lines: &mut Styled, profile: &Profile, look: &Appearance, cells: usize) {
    let (expert, distill) = (&profile.expert, &profile.distill);
    let switches = [
        (expert.clipping, "clipping".to_string()),
        (expert.gradient_penalty > 0., "gradient penalty".into()),
        (distill.perturbation > 0., "perturbation".into()),
        (distill.balance, "balance".into()),
        (
            distill.intermediate != Intermediate::Off,
            "intermediate matching".into(),
        ),
    ];
    let named = |on: bool| {
        switches
            .iter()
            .filter(|(s, _)| *s == on)
            .map(|(_, name)| name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    for (on, name) in [(true, "With"), (false, "Without")] {
        let names = named(on);
        if !names.is_empty() {
            item(lines, cells, name, &names, look.theme.text());
        }
    }
    item(
        lines,
        cells,
        "From",
        &format!("{} images", choice(distill.init)),
        look.theme.text(),
    );
    let size = format!(
        "ipc {}: {} iterations of {} student steps; {} experts of {} epochs",
        distill.ipc, distill.iterations, distill.syn_steps, expert.count, expert.epochs
    );
    item(lines, cells, "Size", &size, look.theme.text());
}

/// A setting that is a choice, as a profile writes it.
fn choice(value: impl serde::Serialize) -> String {
    serde_json::to_value(value)
        .ok()
        .and_then(|v| v.as_str().map(String::from))
        .unwrap_or_default()
}

fn of_run(
    run: &RunSummary,
    settings: Option<&Result<Profile, String>>,
    context: &Context,
    cells: usize,
) -> Styled {
    let (look, theme) = (&context.look, &context.look.theme);
    let mut lines = Styled::new();
    let state = if run.state.has_engine() {
        theme.good()
    } else {
        theme.text()
    };
    let host = run
        .host
        .as_ref()
        .map(|h| format!(" on {}", clean(h)))
        .unwrap_or_default();
    item(
        &mut lines,
        cells,
        "State",
        &format!("{}{host}", run.state.name()),
        state,
    );
    item(
        &mut lines,
        cells,
        "Profile",
        &clean(&run.profile),
        theme.text(),
    );
    if let Some(phase) = run.phase {
        item(&mut lines, cells, "Phase", &phase.to_string(), theme.text());
    }
    item(
        &mut lines,
        cells,
        "Steps",
        &format!("{} of {}", run.step, run.iterations),
        theme.text(),
    );
    if let Some(accuracy) = run.accuracy {
        item(
            &mut lines,
            cells,
            "Accuracy",
            &format!("{accuracy:.1} % on the test set"),
            theme.good(),
        );
    }
    item(
        &mut lines,
        cells,
        "Started",
        &clock::date(&run.started, &context.zone),
        theme.text(),
    );
    item(
        &mut lines,
        cells,
        "Folder",
        &clean(&run.run.path().to_string_lossy()),
        theme.dim(),
    );
    match settings {
        None => {}
        Some(Err(problem)) => item(&mut lines, cells, "Settings", &clean(problem), theme.warn()),
        Some(Ok(profile)) => {
            lines.push(Default::default());
            of_settings(&mut lines, profile, look, cells);
            lines.push(Default::default());
            of_text(&mut lines, &profile.to_yaml(), look, cells);
        }
    }
    lines
}
