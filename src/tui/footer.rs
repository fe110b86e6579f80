//! The last rows of the screen: the keys of the screen on top, or a notice.

use crate::tui::click_targets::Target;
use crate::tui::context::{Context, Notice};
use crate::tui::keys::{Action, Binding, Scope};
use crate::tui::model::ReportedState;
use crate::tui::session::{RunStatus, Session};
use crate::tui::text::wrap;
use crate::tui::widgets::weight_style;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph, Widget};

/// Rows of a notice; a reason that is longer is in the log.
const MOST_ROWS: u16 = 4;

/// Draws the keys of a screen, each with its `word`, without those that have none, into the last row of `area`, and a notice into
/// as many rows as it needs above it.
pub fn draw(
    buf: &mut Buffer,
    area: Rect,
    context: &Context,
    (scope, is_base): (Scope, bool),
    word: &dyn Fn(&Binding) -> Option<&'static str>,
) {
    let [above, area] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
    if let Some(notice) = &context.notice {
        draw_notice(buf, above, context, notice);
    }
    let theme = &context.appearance.theme;
    let parts: Vec<(Action, [Span; 2])> = context
        .keys
        .at(scope)
        .filter(|bound| !is_useless(context, bound.binding, scope))
        .filter_map(|bound| Some((bound, word(bound.binding).filter(|word| !word.is_empty())?)))
        .map(|(bound, word)| {
            let action = bound.binding.action;
            let key = bound.keys.first().map(|k| k.name()).unwrap_or_default();
            let word = label(context, (action, word), is_base);
            let spans = [
                Span::styled(
                    format!(" {key} "),
                    theme.accent().patch(Style::new().bold()),
                ),
                Span::styled(format!("{word}  "), theme.dim()),
            ];
            (action, spans)
        })
        .collect();
    let cells = |part: &[Span; 2]| part.iter().map(Span::width).sum::<usize>();
    // the last two, help and the way out, are always shown
    let mut left = usize::from(area.width);
    let last = parts.iter().rev().take(2);
    let mut reserved: usize = last.map(|(_, part)| cells(part)).sum();
    let mut shown = Vec::new();
    for (i, (action, part)) in parts.iter().enumerate() {
        let taken = cells(part);
        if i + 2 >= parts.len() {
            reserved -= taken;
        }
        if taken + reserved <= left {
            // without the two spaces after it
            let button = Rect {
                x: area.right() - left as u16,
                width: taken.saturating_sub(2) as u16,
                ..area
            };
            context.targets.add(button, Target::Key(*action));
            left -= taken;
            shown.extend(part.iter().cloned());
        }
    }
    Line::from(shown).render(area, buf);
}

fn draw_notice(buf: &mut Buffer, area: Rect, context: &Context, notice: &Notice) {
    let lines = wrap(&notice.text, area.width.into());
    let rows = u16::try_from(lines.len())
        .unwrap_or(u16::MAX)
        .min(MOST_ROWS);
    let area = last_rows(area, rows);
    Clear.render(area, buf);
    let lines: Vec<Line> = lines.into_iter().map(Line::from).collect();
    Paragraph::new(lines)
        .style(weight_style(&context.appearance, notice.weight))
        .render(area, buf);
}

fn last_rows(area: Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    Rect {
        y: area.bottom() - rows,
        height: rows,
        ..area
    }
}

/// Whether a key is left out: it would steer where nothing can be steered, or it is not about the
/// chart that fills the screen.
fn is_useless(context: &Context, binding: &Binding, scope: Scope) -> bool {
    let is_elsewhere = scope == Scope::Chart
        && (binding.steers || matches!(binding.action, Action::Samples | Action::Log));
    is_elsewhere || (binding.steers && !can_steer(context, binding, scope))
}

fn can_steer(context: &Context, binding: &Binding, scope: Scope) -> bool {
    // the run that was opened last is not what the menu is about
    let is_menu = matches!(scope, Scope::Home | Scope::Start);
    let session = context.session.as_ref().filter(|_| !is_menu);
    let Some(session) = session else {
        return !context.appearance.read_only;
    };
    let is_done = session.status() == RunStatus::Reported(ReportedState::Done);
    let can = match binding.action {
        Action::Extend => is_done,
        Action::Clone => is_done || session.has_ended(),
        Action::Pause => {
            session.is_reachable()
                || session.has_ended()
                || matches!(
                    session.status(),
                    RunStatus::MaybeRemote | RunStatus::Unknown
                )
        }
        Action::Tweak | Action::RollBack => session.is_reachable() || session.has_ended(),
        _ => session.is_reachable(),
    };
    can && !context.appearance.read_only
}

/// What a key does at the moment.
fn label(context: &Context, (action, word): (Action, &'static str), is_base: bool) -> &'static str {
    let is_working = |s: &Session| {
        let is_away = s.status() == RunStatus::Elsewhere && s.is_reachable();
        (is_away && s.model.state != ReportedState::Paused)
            || matches!(
                s.status(),
                RunStatus::Reported(
                    ReportedState::Waiting | ReportedState::Running | ReportedState::Stopping
                )
            )
    };
    match action {
        Action::Back if is_base => "quit",
        Action::Pause if context.session.as_ref().is_some_and(|s| !is_working(s)) => "resume",
        _ => word,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::tests::stage::LOOK;

    #[test]
    fn help_and_the_way_out_are_always_there() {
        let context = Context::new(LOOK, (24, 2));
        for columns in 24..120 {
            let area = Rect::new(0, 0, columns, 2);
            let mut buf = Buffer::empty(area);
            draw(&mut buf, area, &context, (Scope::Run, true), &|b| {
                Some(b.label)
            });
            let row: String = (0..columns).map(|x| buf[(x, 1)].symbol()).collect();
            assert!(row.contains("? help") && row.contains("q quit"), "{row}");
        }
    }
}
