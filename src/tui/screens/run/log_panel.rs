//! The panel below the charts: how the run ended or why it is not running, then its log.

use crate::tui::advice::in_keys;
use crate::tui::chart::plots::capitalised;
use crate::tui::context::Context;
use crate::tui::keys::Keymap;
use crate::tui::model::{ReportedState, Weight};
use crate::tui::screens::log::draw_log_lines;
use crate::tui::session::{RunStatus, Session};
use crate::tui::text::{clean, width, wrap};
use crate::tui::widgets::{frame, put, put_lines, weight_style};
use astill_core::run::event::{EventKind, ImageSet, RunFinished};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;

/// How the run ended; empty as long as it has not.
pub fn ending_lines(session: &Session, keys: &Keymap, cells: usize) -> Vec<(String, Weight)> {
    let Some(finished) = &session.model.finished else {
        return Vec::new();
    };
    if let Some(table) = session.result() {
        // the columns of the table stay as they are
        let lines = table
            .lines()
            .map(clean)
            .flat_map(|line| match width(&line) > cells {
                true => wrap(&line, cells),
                false => vec![line],
            });
        return lines.map(|line| (line, Weight::Normal)).collect();
    }
    let EventKind::RunFinished(RunFinished { reason, .. }) = finished else {
        return Vec::new();
    };
    let weight = if session.model.state == ReportedState::Failed {
        Weight::Failure
    } else {
        Weight::Warning
    };
    wrap(
        &clean(&in_keys(reason.as_deref().unwrap_or_default(), keys)),
        cells,
    )
    .into_iter()
    .map(|l| (l, weight))
    .collect()
}

/// Draws it; the latest lines of the log take what room the ending leaves.
pub fn draw_log(buf: &mut Buffer, area: Rect, context: &Context, session: &Session, focused: bool) {
    let (appearance, theme) = (&context.appearance, &context.appearance.theme);
    let ending = ending_lines(
        session,
        &context.keys,
        usize::from(area.width).saturating_sub(2),
    );
    let title = match session.model.state {
        _ if ending.is_empty() => "Log",
        ReportedState::Done => "Result",
        ReportedState::Failed => "Why it failed",
        _ => "Stopped",
    };
    let inner = frame(buf, area, appearance, title, focused);
    let mut top: Vec<Line> = ending
        .into_iter()
        .map(|(text, weight)| {
            // the first row of results is what the run was about
            let is_headline = text
                .trim_start()
                .starts_with(&ImageSet::Distilled.to_string());
            let style = if is_headline {
                theme.good()
            } else {
                weight_style(appearance, weight)
            };
            Line::styled(text, style)
        })
        .collect();
    let problem = match session.status() {
        RunStatus::Gone => {
            let remedy = if appearance.read_only {
                let run = clean(&session.run.reference());
                format!("`astill resume {run}` resumes the run from where it was last saved.")
            } else {
                in_keys(
                    "Press `resume` to resume from where the run was last saved.",
                    &context.keys,
                )
            };
            let cause = capitalised(session.why_gone());
            Some((format!("{cause}. {remedy}"), theme.bad()))
        }
        RunStatus::Elsewhere | RunStatus::MaybeRemote | RunStatus::Unknown => Some((
            clean(&in_keys(&session.why_no_engine(), &context.keys)),
            theme.warn(),
        )),
        RunStatus::Starting | RunStatus::Reported(_) => None,
    };
    if let Some((text, style)) = problem {
        let lines = wrap(&text, inner.width.into());
        top.extend(lines.into_iter().map(|l| Line::styled(l, style)));
    }
    let room = usize::from(inner.height);
    if top.len() > room {
        let more = in_keys(".. `log` shows the rest.", &context.keys);
        top.truncate(room.saturating_sub(1));
        top.push(Line::styled(more, theme.dim()));
    }
    let height = u16::try_from(top.len()).unwrap_or(u16::MAX);
    let [above, rest] =
        Layout::vertical([Constraint::Length(height), Constraint::Fill(1)]).areas(inner);
    put_lines(buf, above, top, 0);
    let log = &session.model.log;
    let lines: Vec<_> = log
        .backwards()
        // it stands above
        .filter(|l| !log.is_result(l))
        .map(|l| l.in_keys(&context.keys))
        .take(rest.height.into())
        .collect();
    if lines.is_empty() && height == 0 {
        put(buf, rest, 0, "Waiting for the engine...", theme.dim());
    }
    draw_log_lines(buf, rest, context, &lines, false);
}
