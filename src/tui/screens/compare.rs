//! Several runs side by side: their curves on shared axes, what they have come to, and the settings in
//! which they differ.

mod curves;
mod draw;

use crate::tui::backend::RunState;
use crate::tui::chart::ChartView;
use crate::tui::chart::plots::MOST_RUNS;
use crate::tui::context::{Context, Effect};
use crate::tui::keys::{Action, Scope};
use crate::tui::message::{EventBatch, Message};
use crate::tui::model::{Model, ReportedState, Weight};
use crate::tui::screen::{Response, Screen};
use crate::tui::screens::chart::navigated;
use crate::tui::text::clean;
use crate::tui::theme::Theme;
use astill_core::comparison::{Comparison, distinct_names};
use astill_core::run::RunDir;
use curves::{ComparedChart, chart, charts};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use std::collections::BTreeSet;
use std::sync::Arc;

/// How often results and settings are read again while they are on the screen and a run goes on, in
/// seconds.
const READ_EVERY: f64 = 5.;

/// The comparison of the marked runs.
#[derive(Debug)]
pub struct CompareScreen {
    runs: Vec<ComparedRun>,
    /// The charts, and how each is viewed.
    charts: Vec<(ComparedChart, ChartView)>,
    /// The chart that is shown.
    shown: usize,
    selected: usize,
    pinned: Option<usize>,
    /// Runs whose curves are not drawn.
    hidden: BTreeSet<usize>,
    /// Results and settings are shown in place of the curves, from this line on.
    table: Option<usize>,
    comparison: Option<Result<Arc<Comparison>, String>>,
    requested: Option<ComparisonRequest>,
    /// The answer has not come yet.
    is_awaited: bool,
}

/// What was known when the comparison was requested.
#[derive(Debug)]
struct ComparisonRequest {
    /// Of every run: its state, and when its latest event was.
    runs: Vec<(ReportedState, String)>,
    /// When that was, in seconds since 1970.
    when: f64,
}

/// A run of the comparison.
#[derive(Debug)]
struct ComparedRun {
    run: RunDir,
    name: String,
    model: Model,
    /// Bytes read and the size of the file, while older events are being read.
    loading: Option<(u64, u64)>,
}

/// By which a run is known in its comparison.
pub fn letter(index: usize) -> char {
    char::from(b'A' + (index % 26) as u8)
}

/// Opens the comparison of these runs, where they can be compared.
pub fn compare(runs: &[RunDir], context: &mut Context) -> Response {
    if runs.len() < 2 {
        let text = "Mark two or more runs with `mark` to compare them.";
        context.notify(Weight::Normal, text);
        return Response::Handled;
    }
    if runs.len() > MOST_RUNS {
        let text = format!(
            "{} runs are marked, but more than {MOST_RUNS} cannot be told apart by colour; unmark some \
             with `mark`.",
            runs.len()
        );
        context.notify(Weight::Warning, &text);
        return Response::Handled;
    }
    let follow = Effect::FollowCompared(runs.to_vec());
    context.effects.push(follow);
    Response::Open(Box::new(CompareScreen::new(runs)))
}

impl CompareScreen {
    fn new(runs: &[RunDir]) -> Self {
        let view = |chart: ComparedChart| {
            let log_y = chart.measure.log_y;
            let view = ChartView {
                log_y,
                ..ChartView::default()
            };
            (chart, view)
        };
        let compared = |(run, name): (&RunDir, String)| ComparedRun {
            run: run.clone(),
            name: clean(&name),
            model: Model::for_comparison(),
            loading: Some((0, 0)),
        };
        Self {
            runs: runs
                .iter()
                .zip(distinct_names(runs))
                .map(compared)
                .collect(),
            charts: charts().into_iter().map(view).collect(),
            shown: 0,
            selected: 0,
            pinned: None,
            hidden: BTreeSet::new(),
            table: None,
            comparison: None,
            requested: None,
            is_awaited: false,
        }
    }

    fn receive_events(&mut self, run: &RunDir, batch: &EventBatch) {
        for compared in self.runs.iter_mut().filter(|r| r.run == *run) {
            let (model, loading) = (&mut compared.model, &mut compared.loading);
            batch.add_to(model, loading, Model::for_comparison);
        }
    }

    /// The chart, how it is viewed, and its place among all.
    fn current(&self) -> Option<(&ComparedChart, ChartView)> {
        let (chart, view) = self.charts.get(self.shown)?;
        let hidden = self.hidden.clone();
        let view = ChartView {
            hidden,
            ..view.clone()
        };
        Some((chart, view))
    }

    /// The runs in the order in which they are drawn and listed in tables, the pinned one first.
    fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.runs.len()).collect();
        order.sort_by_key(|i| Some(*i) != self.pinned);
        order
    }

    /// Zooms, scrolls or moves the cursor, which all charts of the same axis share.
    fn navigate(&mut self, action: Action, theme: &Theme) {
        let Some((compared, view)) = self.current() else {
            return;
        };
        let counted = compared.counted();
        let drawn = chart(self, compared, view.clone(), theme);
        let Some(extent) = drawn.extent() else { return };
        let Some(changed) = navigated(action, view, drawn.values(), extent) else {
            return;
        };
        let cursor = changed.cursor;
        if let Some((_, view)) = self.charts.get_mut(self.shown) {
            *view = ChartView {
                hidden: BTreeSet::new(),
                ..changed
            };
        }
        for (chart, view) in &mut self.charts {
            if chart.counted() == counted {
                view.cursor = cursor;
            }
        }
    }

    fn change_view(&mut self, change: impl FnOnce(ChartView) -> ChartView) {
        if let Some((_, view)) = self.charts.get_mut(self.shown) {
            *view = change(std::mem::take(view));
        }
    }

    /// Removes the cursors; false if there were none.
    fn clear_cursors(&mut self) -> bool {
        let cursors = self.charts.iter_mut();
        cursors.filter_map(|(_, view)| view.cursor.take()).count() > 0
    }

    /// Scrolls the tables; false if the action does not.
    fn scroll_table(&mut self, action: Action, page: usize, most: usize) -> bool {
        let Some(first) = &mut self.table else {
            return false;
        };
        *first = match action {
            Action::PageUp => first.saturating_sub(page),
            Action::PageDown => (*first + page).min(most),
            Action::First => 0,
            Action::Last => most,
            _ => return false,
        };
        true
    }

    /// The state of a run whose engine is gone although no event says so, as it was found for the tables;
    /// none if it has reported anything since.
    fn ended_silently(&self, index: usize) -> Option<RunState> {
        let Some(Ok(comparison)) = &self.comparison else {
            return None;
        };
        let (_, latest) = self.requested.as_ref()?.runs.get(index)?;
        let model = &self.runs.get(index)?.model;
        let found = comparison.runs.get(index)?.state;
        let is_over = matches!(found, RunState::Dead | RunState::Stopped);
        (is_over && model.is_live() && model.last_time == *latest).then_some(found)
    }

    fn select(&mut self, forward: bool) {
        self.selected = match forward {
            true => (self.selected + 1).min(self.runs.len().saturating_sub(1)),
            false => self.selected.saturating_sub(1),
        };
    }

    /// Hides the curves of the selected run, or shows them again.
    fn hide_or_show(&mut self) {
        if !self.hidden.remove(&self.selected) {
            self.hidden.insert(self.selected);
        }
    }

    fn turn(&mut self, forward: bool) {
        let count = self.charts.len().max(1);
        let by = if forward { 1 } else { count - 1 };
        self.shown = (self.shown + by) % count;
        self.table = None;
    }
}

impl Screen for CompareScreen {
    fn scope(&self) -> Scope {
        Scope::Compare
    }

    fn act(&mut self, action: Action, context: &mut Context) -> Response {
        let theme = context.appearance.theme;
        let page = usize::from(context.size.1 / 2).max(1);
        if self.table.is_some() && self.scroll_table(action, page, draw::most_scroll(self, context))
        {
            return Response::Handled;
        }
        match action {
            Action::Escape if self.table.is_some() => self.table = None,
            Action::Escape if self.clear_cursors() => {}
            Action::Back | Action::Escape => {
                context.effects.push(Effect::FollowCompared(Vec::new()));
                return Response::Close;
            }
            Action::Open => {
                let Some(selected) = self.runs.get(self.selected) else {
                    return Response::Handled;
                };
                return Response::OpenRun(selected.run.clone());
            }
            Action::Table => {
                self.table = self.table.is_none().then_some(0);
                self.requested = None;
            }
            Action::Up | Action::Down => self.select(action == Action::Down),
            Action::NextPanel | Action::PreviousPanel => self.turn(action == Action::NextPanel),
            Action::Pin => {
                let is_pinned = self.pinned == Some(self.selected);
                self.pinned = (!is_pinned).then_some(self.selected);
            }
            Action::HideLine => self.hide_or_show(),
            Action::LogScale => self.change_view(ChartView::toggle_log),
            Action::Smoothing => self.change_view(ChartView::next_smooth),
            Action::Outliers => self.change_view(ChartView::toggle_robust),
            _ if draw::has_curves(self, context) => self.navigate(action, &theme),
            _ => {}
        }
        Response::Handled
    }

    fn receive(&mut self, message: &Message, _context: &Context) -> bool {
        match message {
            Message::ComparedEvents(run, batch) => self.receive_events(run, batch),
            // not of a comparison that was left
            Message::Comparison(of, comparison) if self.runs.iter().map(|r| &r.run).eq(of) => {
                self.comparison = Some(comparison.clone());
                self.is_awaited = false;
            }
            _ => {}
        }
        false
    }

    /// Results and settings: once the events have been read, again when they are called up or a run has
    /// come to its end, and now and then while they are shown and a run goes on.
    fn request_missing(&mut self, context: &mut Context) {
        if self.is_awaited || self.runs.iter().any(|r| r.loading.is_some()) {
            return;
        }
        let goes_on = |i: usize| self.runs[i].model.is_live() && self.ended_silently(i).is_none();
        let goes_on = self.table.is_some() && (0..self.runs.len()).any(goes_on);
        let states = || self.runs.iter().map(|r| r.model.state);
        let is_known = self.requested.as_ref().is_some_and(|before| {
            before.runs.iter().map(|(state, _)| *state).eq(states())
                && !(goes_on && context.now - before.when >= READ_EVERY)
        });
        if is_known {
            return;
        }
        let known = self.runs.iter().map(|r| &r.model);
        self.requested = Some(ComparisonRequest {
            runs: known.map(|m| (m.state, m.last_time.clone())).collect(),
            when: context.now,
        });
        self.is_awaited = true;
        let runs = self.runs.iter().map(|r| r.run.clone()).collect();
        context.effects.push(Effect::Compare(runs));
    }

    fn choose(&mut self, item: usize, _context: &mut Context) -> Option<Action> {
        let was_selected = self.selected == item;
        self.selected = item.min(self.runs.len().saturating_sub(1));
        was_selected.then_some(Action::Open)
    }

    fn in_a_line(&self, _context: &Context) -> String {
        let names = (0..).zip(&self.runs);
        let names: Vec<String> = names
            .map(|(i, r)| format!("{} {}", letter(i), r.name))
            .collect();
        format!("comparing {}", names.join(", "))
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        draw::draw(self, buf, area, context);
        None
    }
}
