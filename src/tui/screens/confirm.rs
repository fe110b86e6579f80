//! A question before something that cannot be undone; also a text that is too long for a line.

use crate::tui::backend::Command;
use crate::tui::click_targets::Target;
use crate::tui::context::{Context, Effect};
use crate::tui::keys::{Action, Scope};
use crate::tui::screen::{Response, Screen};
use crate::tui::text::{clean, wrap};
use crate::tui::widgets::{popup, put_lines};
use astill_core::run::RunDir;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;

/// Columns inside the frame.
const WIDEST: u16 = 68;

/// A question, and what is done if the answer is yes.
#[derive(Debug)]
pub struct ConfirmPopup {
    title: String,
    text: String,
    /// None: there is nothing to decide.
    on_yes: Option<OnYes>,
    /// "Yes" is selected, not "Cancel".
    yes: bool,
}

/// What is done if the answer is yes.
#[derive(Debug)]
pub enum OnYes {
    Send(Command),
    /// A new engine is started.
    ResumeRun,
    Delete(RunDir),
}

impl ConfirmPopup {
    pub fn question(title: &str, text: &str, on_yes: OnYes) -> Self {
        Self {
            title: clean(title),
            text: clean(text),
            on_yes: Some(on_yes),
            yes: false,
        }
    }

    /// A text with nothing to decide.
    pub fn message(title: &str, text: &str) -> Self {
        let text = text.lines().map(clean).collect::<Vec<_>>().join("\n");
        Self {
            title: clean(title),
            text,
            on_yes: None,
            yes: false,
        }
    }
}

impl Screen for ConfirmPopup {
    fn scope(&self) -> Scope {
        Scope::Confirm
    }

    fn is_popup(&self) -> bool {
        true
    }

    fn scrolls(&self) -> bool {
        false
    }

    fn act(&mut self, action: Action, context: &mut Context) -> Response {
        match action {
            Action::NextPanel | Action::PreviousPanel | Action::Left | Action::Right => {
                self.yes = !self.yes && self.on_yes.is_some();
                return Response::Handled;
            }
            Action::Yes => self.yes = true,
            Action::Open => {}
            _ => return Response::Close,
        }
        match self.on_yes.take().filter(|_| self.yes) {
            Some(OnYes::Send(command)) => context.send(command),
            Some(OnYes::ResumeRun) => context.resume_run(),
            Some(OnYes::Delete(run)) => context.effects.push(Effect::Delete(run)),
            None => {}
        }
        Response::Close
    }

    fn choose(&mut self, button: usize, _context: &mut Context) -> Option<Action> {
        self.yes = self.on_yes.is_some() && button == 1;
        Some(Action::Open)
    }

    fn offers(&self, action: Action) -> bool {
        self.on_yes.is_some() || matches!(action, Action::Open | Action::Help)
    }

    fn word(&self, action: Action) -> Option<&'static str> {
        (action == Action::Open && self.on_yes.is_none()).then_some("close")
    }

    fn in_a_line(&self, context: &Context) -> String {
        let key = |action| context.keys.name(action, Scope::Confirm);
        let keys = if self.on_yes.is_some() {
            format!("{} / {}", key(Action::Yes), key(Action::No))
        } else {
            key(Action::Open)
        };
        format!("{} ({keys})", self.title)
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let theme = &context.appearance.theme;
        let columns = WIDEST.min(area.width.saturating_sub(4));
        let lines: Vec<Line> = self
            .text
            .lines()
            .flat_map(|l| wrap(l, columns.into()))
            .map(Line::from)
            .collect();
        let rows = u16::try_from(lines.len() + 2).unwrap_or(u16::MAX);
        let size = (columns, rows);
        let inner = popup(buf, area, &context.appearance, &self.title, size);
        let [text, _, buttons] = Layout::vertical([
            Constraint::Fill(1),
            Constraint::Length(1),
            Constraint::Length(1),
        ])
        .areas(inner);
        put_lines(buf, text, lines, 0);
        let choices: &[(&str, bool)] = if self.on_yes.is_some() {
            &[("Cancel", !self.yes), ("Yes", self.yes)]
        } else {
            &[("Close", true)]
        };
        let mut x = buttons.x;
        let spans = choices.iter().enumerate().flat_map(|(i, (name, chosen))| {
            let width = (name.len() + 5) as u16;
            let button = Rect {
                x,
                width,
                ..buttons
            };
            context.targets.add(button, Target::Item(i));
            x += width + 2;
            let (mark, style) = if *chosen {
                (">", theme.selected())
            } else {
                (" ", theme.text())
            };
            [
                Span::styled(format!("{mark}[ {name} ]"), style),
                Span::raw("  "),
            ]
        });
        Line::from_iter(spans).render(buttons, buf);
        None
    }
}
