//! The choice of a checkpoint to roll back to.

use crate::tui::backend::Command;
use crate::tui::context::Context;
use crate::tui::keys::{Action, Scope};
use crate::tui::message::Message;
use crate::tui::model::Weight;
use crate::tui::screen::{Response, Screen};
use crate::tui::screens::confirm::{ConfirmPopup, OnYes};
use crate::tui::session::Session;
use crate::tui::text::{clean, number};
use crate::tui::widgets::{popup, put};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Position, Rect};
use ratatui::widgets::{HighlightSpacing, Row, StatefulWidget, Table, TableState};

/// Columns inside the frame, and the most rows.
const SIZE: (u16, u16) = (74, 15);
/// Step, matching loss, file.
const COLUMNS: [Constraint; 3] = [
    Constraint::Length(13),
    Constraint::Length(23),
    Constraint::Fill(1),
];

/// The checkpoints, latest first.
#[derive(Debug, Default)]
pub struct RollBackPopup {
    /// None before they have been found.
    steps: Option<Vec<u64>>,
    selected: usize,
}

impl Screen for RollBackPopup {
    fn scope(&self) -> Scope {
        Scope::RollBack
    }

    fn is_popup(&self) -> bool {
        true
    }

    fn act(&mut self, action: Action, context: &mut Context) -> Response {
        let last = self.steps.iter().flatten().count().saturating_sub(1);
        self.selected = match action {
            Action::Up => self.selected.saturating_sub(1),
            Action::Down => (self.selected + 1).min(last),
            Action::First => 0,
            Action::Last => last,
            Action::Open => return self.confirm(context),
            _ => return Response::Close,
        };
        Response::Handled
    }

    fn receive(&mut self, message: &Message, context: &Context) -> bool {
        if let Message::Checkpoints(run, steps) = message
            && context.session.as_ref().is_some_and(|s| s.run == *run)
        {
            // the app says why there are none
            let mut steps = steps.clone().unwrap_or_default();
            steps.sort_unstable_by(|a, b| b.cmp(a));
            self.selected = self.selected.min(steps.len().saturating_sub(1));
            self.steps = Some(steps);
        }
        false
    }

    fn choose(&mut self, row: usize, _context: &mut Context) -> Option<Action> {
        let was_selected = std::mem::replace(&mut self.selected, row) == row;
        was_selected.then_some(Action::Open)
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let session = context.session.as_ref()?;
        let theme = &context.appearance.theme;
        let steps = self.steps.as_deref().unwrap_or_default();
        let rows = u16::try_from(steps.len())
            .unwrap_or(SIZE.1)
            .clamp(1, SIZE.1);
        let title = "Roll back to a checkpoint";
        let inner = popup(buf, area, &context.appearance, title, (SIZE.0, rows));
        if steps.is_empty() {
            let text = if self.steps.is_some() {
                "No checkpoints yet."
            } else {
                "Loading checkpoints..."
            };
            put(buf, inner, 0, text, theme.dim());
            return None;
        }
        let table = Table::new(steps.iter().map(|step| row(session, *step)), COLUMNS)
            .row_highlight_style(theme.selected())
            .highlight_symbol(">")
            .highlight_spacing(HighlightSpacing::Always);
        let mut state = TableState::default().with_selected(self.selected);
        StatefulWidget::render(table, inner, buf, &mut state);
        context.targets.add_rows(inner, state.offset(), steps.len());
        None
    }
}

impl RollBackPopup {
    fn confirm(&self, context: &mut Context) -> Response {
        let (Some(session), Some(&step)) = (
            &context.session,
            self.steps.iter().flatten().nth(self.selected),
        ) else {
            context.notify(Weight::Warning, "No checkpoint to roll back to.");
            return Response::Close;
        };
        let now = session.model.step;
        let repeated = match now.saturating_sub(step) {
            0 => String::new(),
            1 => "; the step after it will be repeated".into(),
            n => format!("; the {n} steps after it will be repeated"),
        };
        Response::Replace(Box::new(ConfirmPopup::question(
            &format!("Roll back from step {now} to {step}?"),
            &format!(
                "The images and the student rate return to their state at step {step}{repeated}."
            ),
            OnYes::Send(Command::RollBack { step }),
        )))
    }
}

fn row(session: &Session, step: u64) -> Row<'static> {
    let at = step as f64;
    let loss = session.model.steps.of("matching_loss").first();
    let loss = loss
        .and_then(|s| s.nearest(at))
        .filter(|(x, _)| *x == at)
        .map(|(_, y)| format!("matching loss {}", number(y)));
    let checkpoint = session.model.checkpoints.iter().find(|c| c.step == step);
    let file = checkpoint.map(|c| clean(&c.file));
    Row::new([
        format!("step {step}"),
        loss.unwrap_or_default(),
        file.unwrap_or_default(),
    ])
}
