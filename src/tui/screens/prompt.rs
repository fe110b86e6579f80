//! A question that is answered with a line of text.

use crate::tui::context::{Context, Effect};
use crate::tui::input_line::InputLine;
use crate::tui::keys::{Action, Scope};
use crate::tui::screen::{Response, Screen};
use crate::tui::text::{clean, wrap};
use crate::tui::widgets::{popup, put, put_lines};
use astill_core::run::{RunDir, name_problem};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::text::Line;

/// Columns inside the frame, and the rows of what is wrong with the text.
const COLUMNS: u16 = 68;
const FOOT: u16 = 2;

/// The question and the text so far.
#[derive(Debug)]
pub struct PromptPopup {
    title: String,
    text: String,
    line: InputLine,
    then: Then,
}

/// What is done with the text.
#[derive(Debug)]
pub enum Then {
    /// A finished run gets this many iterations besides those it has `done`.
    Extend {
        run: RunDir,
        done: u64,
    },
    Rename(RunDir),
    Note(RunDir),
}

impl PromptPopup {
    pub fn new(title: &str, text: &str, before: &str, then: Then) -> Self {
        Self {
            title: clean(title),
            text: clean(text),
            line: InputLine::new(clean(before)),
            then,
        }
    }

    /// How many more iterations a finished run is to have.
    pub fn extend(run: RunDir, done: u64) -> Self {
        let title = format!("More iterations for {}", run.name());
        let text = format!("{done} iterations are done. How many more?");
        // a fifth of them, as a round number
        let more = (done / 5).max(1);
        Self::new(&title, &text, &more.to_string(), Then::Extend { run, done })
    }

    /// What the text means, or what is wrong with it.
    fn meaning(&self) -> Result<String, String> {
        let text = self.line.text().trim();
        match &self.then {
            Then::Extend { done, .. } => {
                match text.parse::<u64>().map(|n| (n, done.checked_add(n))) {
                    Ok((1.., Some(all))) => Ok(format!("{all} iterations in all")),
                    _ => Err("expected a whole number of at least 1".into()),
                }
            }
            Then::Rename(_) => match name_problem(text) {
                Some(problem) => Err(clean(&problem)),
                None => Ok(String::new()),
            },
            Then::Note(_) => Ok(String::new()),
        }
    }

    fn accept(&self, context: &mut Context) -> Response {
        if self.meaning().is_err() {
            return Response::Handled;
        }
        let text = self.line.text().trim().to_string();
        match &self.then {
            Then::Extend { run, done } => {
                let all = text
                    .parse::<u64>()
                    .map_or(*done, |n| done.saturating_add(n));
                let sets = vec![format!("distill.iterations={all}")];
                context.resume_with(run.clone(), sets);
            }
            Then::Rename(run) if text == run.name() => {}
            Then::Rename(run) => context.effects.push(Effect::Rename(run.clone(), text)),
            Then::Note(run) => context.effects.push(Effect::Note(run.clone(), text)),
        }
        Response::Close
    }
}

impl Screen for PromptPopup {
    fn scope(&self) -> Scope {
        Scope::Line
    }

    fn is_popup(&self) -> bool {
        true
    }

    fn act(&mut self, action: Action, context: &mut Context) -> Response {
        match action {
            Action::Open => self.accept(context),
            Action::Up | Action::Down => Response::Handled,
            _ => Response::Close,
        }
    }

    fn line(&mut self) -> Option<&mut InputLine> {
        Some(&mut self.line)
    }

    fn in_a_line(&self, _context: &Context) -> String {
        format!("{} {}", self.text, self.line.text())
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let theme = &context.appearance.theme;
        let columns = COLUMNS.min(area.width.saturating_sub(4));
        let question = wrap(&self.text, columns.into());
        let rows = u16::try_from(question.len()).unwrap_or(1);
        let size = (columns, rows + 1 + FOOT);
        let inner = popup(buf, area, &context.appearance, &self.title, size);
        let [top, line, foot] = Layout::vertical([
            Constraint::Length(rows),
            Constraint::Length(1),
            Constraint::Fill(1),
        ])
        .areas(inner);
        put_lines(
            buf,
            top,
            question.into_iter().map(Line::from).collect::<Vec<_>>(),
            0,
        );
        let (text, at) = self.line.shown(usize::from(line.width).saturating_sub(1));
        put(buf, line, 0, &format!(">{text}"), theme.accent());
        let (text, style) = match self.meaning() {
            Ok(meaning) => (meaning, theme.dim()),
            Err(problem) => (problem, theme.warn()),
        };
        let lines = wrap(&text, columns.into());
        let lines: Vec<Line> = lines.into_iter().map(|l| Line::styled(l, style)).collect();
        put_lines(buf, foot, lines, 0);
        Some(Position::new(line.x + 1 + at as u16, line.y))
    }
}
