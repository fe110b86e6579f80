//! A chart in its frame, and the screen that one chart fills. What is not about the chart is left
//! to the screen of the run below.

use crate::tui::advice::in_keys;
use crate::tui::chart::plots::Counted;
use crate::tui::chart::{ChartView, Scroll, Zoom};
use crate::tui::context::{Appearance, Context};
use crate::tui::header;
use crate::tui::keys::{Action, Scope};
use crate::tui::panel::{self, Panel};
use crate::tui::screen::{Response, Screen};
use crate::tui::session::Session;
use crate::tui::text::width;
use crate::tui::widgets::{frame, put};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::widgets::Widget;

/// The chart that has the focus, at full size.
#[derive(Debug)]
pub struct ChartScreen;

impl Screen for ChartScreen {
    fn scope(&self) -> Scope {
        Scope::Chart
    }

    fn scrolls(&self) -> bool {
        false
    }

    fn act(&mut self, action: Action, context: &mut Context) -> Response {
        let appearance = context.appearance;
        let Some(session) = &mut context.session else {
            return Response::Close;
        };
        if choose_line(action, session, &appearance) || navigate(action, session, &appearance) {
            return Response::Handled;
        }
        match action {
            Action::Escape if session.clear_cursors() => {}
            Action::FullSize | Action::Back | Action::Escape => return Response::Close,
            Action::NextPanel | Action::PreviousPanel => {
                let order = panel::in_order(session.is_learning(), &session.model);
                session.focus_next(&order, action == Action::NextPanel);
            }
            // a chart without points has nowhere to go, and neither has the hidden focus
            Action::ZoomIn
            | Action::ZoomOut
            | Action::ValuesIn
            | Action::ValuesOut
            | Action::PageUp
            | Action::PageDown
            | Action::Up
            | Action::Down
            | Action::Left
            | Action::Right
            | Action::NextMark
            | Action::PreviousMark
            | Action::First
            | Action::Last => {}
            _ => return Response::Ignored,
        }
        Response::Handled
    }

    /// The chart, below it what it shows and the values at the cursor.
    fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let session = context.session.as_ref()?;
        let theme = &context.appearance.theme;
        let panel = session.focus();
        let view = session.view_of(panel).unwrap_or_default();
        let room = (area.width, area.height * 2 / 5);
        let more =
            "`next-line` goes from line to line and explains each; `help` explains everything.";
        let more = in_keys(more, &context.keys);
        let explained = (&session.model, theme);
        let explanation = panel::explanation(panel, explained, view.line, room, &more);
        let marks = panel::legend_of_marks(panel, &session.model);
        let [top, body, legend, below, bottom] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length((!marks.is_empty()).into()),
            Constraint::Length(explanation.len() as u16),
            Constraint::Length(view.cursor.is_some().into()),
        ])
        .areas(area);
        put(buf, top, 0, &header::in_a_line(session), theme.text());
        draw_chart(buf, body, context, session, panel, (true, 1));
        put(buf, legend, 0, &marks, theme.text());
        for (row, line) in (0..).zip(&explanation) {
            put(buf, below, row, line, theme.dim());
        }
        if let Some(cursor) = view.cursor {
            let chart = panel::chart(panel, &session.model, view.clone(), theme);
            let around = chart.extent().map_or(1., |extent| {
                let (from, to) = view.shown(extent);
                // half a move of the cursor; the first step has what happened before it
                ((to - from) / 200.).max(1.)
            });
            let text = panel::reading(panel, &session.model, theme, (cursor, around));
            put(buf, bottom, 0, &text, theme.accent());
        }
        None
    }
}

/// Goes to the next line, or hides the chosen one; false if the action does neither.
fn choose_line(action: Action, session: &mut Session, appearance: &Appearance) -> bool {
    let panel = session.focus();
    let lines = panel::lines(panel, &session.model, &appearance.theme);
    let numbers: Vec<usize> = lines.into_iter().map(|(number, _)| number).collect();
    match action {
        Action::NextLine => session.change_view(panel, |view| view.next_line(&numbers)),
        Action::HideLine => session.change_view(panel, ChartView::toggle_line),
        _ => return false,
    }
    true
}

/// Zooms, scrolls or moves the cursor; false if the action does none of these.
fn navigate(action: Action, session: &mut Session, appearance: &Appearance) -> bool {
    let panel = session.focus();
    let Some(view) = session.view_of(panel) else {
        return false;
    };
    let chart = panel::chart(panel, &session.model, view.clone(), &appearance.theme);
    let Some(extent) = chart.extent() else {
        return false;
    };
    let changed = match action {
        Action::NextMark | Action::PreviousMark if panel.counted() == Counted::Steps => {
            let forward = action == Action::NextMark;
            let outside = match forward {
                true => f64::NEG_INFINITY,
                false => f64::INFINITY,
            };
            let from = view.cursor.unwrap_or(outside);
            match session.model.marks.beside(from, forward) {
                // what happened before the first point is marked there
                Some(step) => {
                    let step = (step as f64).max(extent.0);
                    view.with_cursor_at(step, extent)
                }
                None => view,
            }
        }
        _ => match navigated(action, view, chart.values(), extent) {
            Some(changed) => changed,
            None => return false,
        },
    };
    let cursor = changed.cursor;
    session.change_view(panel, |_| changed);
    // the charts over steps share a cursor with each other and the pictures, those over epochs and over
    // time with each other
    session.set_cursor(panel.counted(), cursor);
    true
}

/// The view after a key that zooms, scrolls or moves the cursor. `values` are those that the vertical
/// axis shows, and all of them.
pub fn navigated(
    action: Action,
    view: ChartView,
    values: Option<((f64, f64), (f64, f64))>,
    extent: (f64, f64),
) -> Option<ChartView> {
    let zoomed = |view: ChartView, zoom| match values {
        Some((now, whole)) => view.zoom_values(zoom, now, whole),
        None => view,
    };
    Some(match action {
        Action::ZoomIn => view.zoom(Zoom::In, extent),
        Action::ZoomOut => view.zoom(Zoom::Out, extent),
        Action::ValuesIn => zoomed(view, Zoom::In),
        Action::ValuesOut => zoomed(view, Zoom::Out),
        Action::Up => view.scroll_values(true),
        Action::Down => view.scroll_values(false),
        Action::PageUp => view.scroll(Scroll::Left, extent),
        Action::PageDown => view.scroll(Scroll::Right, extent),
        Action::Left => view.move_cursor(Scroll::Left, extent),
        Action::Right => view.move_cursor(Scroll::Right, extent),
        Action::First => view.all(),
        Action::Last => view.tail(),
        _ => return None,
    })
}

/// A chart in its frame. Its title says which of all charts the `on_page` ones from this one on are; 0 for
/// those after the first.
pub fn draw_chart(
    buf: &mut Buffer,
    area: Rect,
    context: &Context,
    session: &Session,
    panel: Panel,
    (focused, on_page): (bool, usize),
) {
    let appearance = &context.appearance;
    let view = session.view_of(panel).unwrap_or_default();
    // the chart itself shows the latest values and its scale
    let mut title = panel.title().to_string();
    let order = panel::in_order(session.is_learning(), &session.model);
    let first = order.iter().position(|p| *p == panel).unwrap_or(0) + 1;
    let place = match on_page {
        0 => String::new(),
        1 => format!(" ({first} of {})", order.len()),
        all if all == order.len() => String::new(),
        page => format!(" ({first} to {} of {})", first + page - 1, order.len()),
    };
    // the frame and the mark of the focus take the rest
    if width(&title) + width(&place) + 5 <= usize::from(area.width) {
        title += &place;
    }
    title += &remarks(&view);
    if let Some(number) = view.line {
        let lines = panel::lines(panel, &session.model, &appearance.theme);
        if let Some((_, name)) = lines.iter().find(|l| l.0 == number) {
            let hidden = if view.shows(number) { "" } else { ", hidden" };
            title += &format!("  [line: {name}{hidden}]");
        }
    }
    let inner = frame(buf, area, appearance, &title, focused);
    let nothing_yet = panel::nothing_yet(panel, &session.model, &view);
    let nothing_yet = in_keys(nothing_yet, &context.keys);
    let chart = panel::chart(panel, &session.model, view, &appearance.theme);
    if chart.extent().is_some() {
        chart.render(inner, buf);
    } else {
        put(buf, inner, 0, &nothing_yet, appearance.theme.dim());
    }
}

/// What is not as usual about a view, to follow a title: "  [smooth 0.9]  [outliers ignored]".
pub fn remarks(view: &ChartView) -> String {
    let mut text = String::new();
    if view.smooth > 0 {
        text += &format!("  [smooth {}]", view.weight());
    }
    if view.is_robust {
        text += "  [outliers ignored]";
    }
    if view.window.is_some() {
        text += "  [zoom]";
    }
    if view.values.is_some() {
        text += "  [y zoom]";
    }
    match view.hidden.len() {
        0 => {}
        1 => text += "  [1 line hidden]",
        n => text += &format!("  [{n} lines hidden]"),
    }
    text
}
