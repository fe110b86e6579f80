//! The choice of a checkpoint to go back to.

use super::super::app::{Context, Layer, Next};
use super::super::backend::Command;
use super::super::keys::Action;
use super::super::model::Weight;
use super::super::text::{clean, number};
use super::{Confirm, Then, popup, put, put_row, scrolled};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

/// Checkpoints, latest first.
#[derive(Debug, Default)]
pub struct RollBack {
    steps: Option<Vec<u64>>,
    selected: usize,
}

impl RollBack {
    /// Takes the steps whose checkpoints are there.
    pub fn found(&mut self, mut steps: Vec<u64>) {
        steps.sort_unstable_by(|a, b| b.cmp(a));
        self.selected = self.selected.min(steps.len().saturating_sub(1));
        self.steps = Some(steps);
    }

    pub fn act(&mut self, action: Action, context: &mut Context) -> Next {
        let steps = self.steps.as_deref().unwrap_or_default();
        let last = steps.len().saturating_sub(1);
        self.selected = match action {
            Action::Up => self.selected.saturating_sub(1),
            Action::Down => (self.selected + 1).min(last),
            Action::First => 0,
            Action::Last => last,
            Action::Open => return self.chosen(context),
            _ => return Next::Close,
        };
        Next::Stay
    }

    fn chosen(&self, context: &mut Context) -> Next {
        let (Some(session), Some(&step)) = (
            &context.session,
            self.steps.iter().flatten().nth(self.selected),
        ) else {
            context.say(Weight::Warning, "There is no checkpoint to go back to.");
            return Next::Close;
        };
        let now = session.model.step;
        let lost = now.saturating_sub(step);
        let text = format!(
            "The images and the student rate become those of step {step} again; {lost} steps after \
             it are done anew."
        );
        Next::Replace(Layer::Confirm(Confirm::question(
            &format!("Go back from step {now} to {step}?"),
            &text,
            Then::Send(Command::RollBack { step }),
        )))
    }

    pub fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let session = context.session.as_ref()?;
        let steps = self.steps.as_deref().unwrap_or_default();
        let inner = popup(
            buf,
            area,
            &context.look,
            "Go back to a checkpoint",
            60,
            (steps.len() as u16).clamp(1, 15) + 2,
        );
        if steps.is_empty() {
            let text = if self.steps.is_some() {
                "There are no checkpoints yet."
            } else {
                "Looking for checkpoints .."
            };
            put(buf, inner, 0, text, context.look.theme.dim());
        }
        let skip = scrolled(self.selected, steps.len(), inner.height.into());
        for (row, (i, step)) in (0..inner.height).zip(steps.iter().enumerate().skip(skip)) {
            let loss = session
                .model
                .steps
                .matching_loss
                .nearest(*step as f64)
                .filter(|(x, _)| *x == *step as f64);
            let time = session
                .model
                .checkpoints
                .iter()
                .find(|c| c.step == *step)
                .map(|c| c.file.as_str())
                .unwrap_or_default();
            let loss = loss
                .map(|(_, y)| format!("matching loss {}", number(y)))
                .unwrap_or_default();
            let text = format!("step {step:<8} {loss:<24} {}", clean(time));
            if i == self.selected {
                put_row(
                    buf,
                    inner,
                    row,
                    &format!(">{text}"),
                    context.look.theme.selected(),
                );
            } else {
                put_row(
                    buf,
                    inner,
                    row,
                    &format!(" {text}"),
                    context.look.theme.text(),
                );
            }
        }
        None
    }
}
