//! A chart in its frame, and the screen that one chart fills. What is not about the chart is left
//! to the screen of the run below.

use crate::tui::chart::{Scroll, Zoom};
use crate::tui::context::{Appearance, Context};
use crate::tui::header;
use crate::tui::keys::{Action, Scope};
use crate::tui::panel::{self, Panel};
use crate::tui::screen::{Response, Screen};
use crate::tui::session::Session;
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
        if navigate(action, session, &appearance) {
            return Response::Handled;
        }
        match action {
            Action::Escape if session.clear_cursors() => {}
            Action::FullSize | Action::Back | Action::Escape => return Response::Close,
            Action::NextPanel | Action::PreviousPanel => {
                let order = panel::in_order(session.is_learning());
                session.focus_next(&order, action == Action::NextPanel);
            }
            // a chart without points has nowhere to go, and neither has the hidden focus
            Action::ZoomIn
            | Action::ZoomOut
            | Action::PageUp
            | Action::PageDown
            | Action::Up
            | Action::Down
            | Action::Left
            | Action::Right
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
        let cursor = session.view_of(panel).and_then(|v| v.cursor);
        let explanation = panel::explanation(panel, area.width, area.height / 3);
        let [top, body, below, bottom] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Fill(1),
            Constraint::Length(explanation.len() as u16),
            Constraint::Length(cursor.is_some().into()),
        ])
        .areas(area);
        put(buf, top, 0, &header::in_a_line(session), theme.text());
        draw_chart(buf, body, context, session, panel, true);
        for (row, line) in (0..).zip(&explanation) {
            put(buf, below, row, line, theme.dim());
        }
        if let Some(cursor) = cursor {
            let text = panel::reading(panel, &session.model, theme, cursor);
            put(buf, bottom, 0, &text, theme.accent());
        }
        None
    }
}

/// Zooms, scrolls or moves the cursor; false if the action does none of these.
fn navigate(action: Action, session: &mut Session, appearance: &Appearance) -> bool {
    let panel = session.focus();
    let Some(view) = session.view_of(panel) else {
        return false;
    };
    let chart = panel::chart(panel, &session.model, view, &appearance.theme);
    let Some(extent) = chart.extent() else {
        return false;
    };
    let changed = match action {
        Action::ZoomIn => view.zoom(Zoom::In, extent),
        Action::ZoomOut => view.zoom(Zoom::Out, extent),
        Action::PageUp => view.scroll(Scroll::Left, extent),
        Action::PageDown => view.scroll(Scroll::Right, extent),
        Action::Left => view.move_cursor(Scroll::Left, extent),
        Action::Right => view.move_cursor(Scroll::Right, extent),
        Action::First => view.all(),
        Action::Last => view.tail(),
        _ => return false,
    };
    if let Some(view) = session.view(panel) {
        *view = changed;
    }
    // the charts over steps share a cursor, and so do those over epochs
    for other in panel::in_order(false) {
        if other.is_of_experts() == panel.is_of_experts()
            && let Some(view) = session.view(other)
        {
            view.cursor = changed.cursor;
        }
    }
    true
}

/// A chart in its frame.
pub fn draw_chart(
    buf: &mut Buffer,
    area: Rect,
    context: &Context,
    session: &Session,
    panel: Panel,
    focused: bool,
) {
    let appearance = &context.appearance;
    let view = session.view_of(panel).unwrap_or_default();
    // the chart itself shows the latest values and its scale
    let mut title = panel.title().to_string();
    if view.smooth > 0 {
        title += &format!("  [smooth {}]", view.weight());
    }
    if view.window.is_some() {
        title += "  [zoom]";
    }
    let inner = frame(buf, area, appearance, &title, focused);
    let chart = panel::chart(panel, &session.model, view, &appearance.theme);
    if chart.extent().is_some() {
        chart.render(inner, buf);
    } else {
        put(
            buf,
            inner,
            0,
            panel::nothing_yet(panel, &session.model),
            appearance.theme.dim(),
        );
    }
}
