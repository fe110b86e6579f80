//! The settings that can be changed while the run continues: the range of each, and the engine's
//! reply to a change.

use crate::tui::backend::Command;
use crate::tui::context::Context;
use crate::tui::input_line::InputLine;
use crate::tui::keys::{Action, Scope};
use crate::tui::message::{Message, describe_answer};
use crate::tui::model::Weight;
use crate::tui::screen::{Response, Screen};
use crate::tui::session::Session;
use crate::tui::text::{clean, pad, width, wrap};
use crate::tui::widgets::{list, popup, put, put_lines, weight_style};
use astill_core::profile::{Profile, ProfileKey, Range, schema};
use astill_core::run::edits::STUDENT_RATE;
use astill_core::run::event::Phase;
use astill_core::text::number;
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use ratatui::text::Line;

/// Columns inside the frame.
const COLUMNS: u16 = 98;
/// Cells of a value.
const VALUE: usize = 12;
/// Rows under the list: meaning, range, reply.
const FOOT: u16 = 6;

/// The settings on offer, the cursor, the value that is being edited, and the last reply.
#[derive(Debug)]
pub struct TweakPopup {
    keys: Vec<&'static ProfileKey>,
    selected: usize,
    line: Option<InputLine>,
    /// What stood in the line to begin with.
    unchanged: String,
    answer: Option<(Weight, String)>,
}

impl Screen for TweakPopup {
    fn scope(&self) -> Scope {
        if self.line.is_some() {
            Scope::Line
        } else {
            Scope::Tweak
        }
    }

    fn is_popup(&self) -> bool {
        true
    }

    fn act(&mut self, action: Action, context: &mut Context) -> Response {
        if self.line.is_some() {
            match action {
                Action::Open => self.send(context),
                Action::Up | Action::Down => self.next_choice(action == Action::Down),
                _ => self.line = None,
            }
            return Response::Handled;
        }
        let last = self.keys.len().saturating_sub(1);
        let page = usize::from(context.size.1 / 2).max(1);
        self.selected = match action {
            Action::Up => self.selected.saturating_sub(1),
            Action::Down => (self.selected + 1).min(last),
            Action::PageUp => self.selected.saturating_sub(page),
            Action::PageDown => (self.selected + page).min(last),
            Action::First => 0,
            Action::Last => last,
            Action::Open => {
                self.edit(context);
                return Response::Handled;
            }
            _ => return Response::Close,
        };
        Response::Handled
    }

    fn line(&mut self) -> Option<&mut InputLine> {
        self.line.as_mut()
    }

    /// Not over what is being written.
    fn scrolls(&self) -> bool {
        self.line.is_none()
    }

    fn choose(&mut self, row: usize, _context: &mut Context) -> Option<Action> {
        // what is written in another row would be lost
        if self.line.is_some() {
            return None;
        }
        let was_selected = std::mem::replace(&mut self.selected, row) == row;
        was_selected.then_some(Action::Open)
    }

    fn receive(&mut self, message: &Message, context: &Context) -> bool {
        match message {
            Message::Answered(run, command @ Command::Set { .. }, answer)
                if context.session.as_ref().is_some_and(|s| s.run == *run) =>
            {
                self.answer = Some(describe_answer(command, answer));
                true
            }
            _ => false,
        }
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let theme = &context.appearance.theme;
        let session = context.session.as_ref()?;
        let title = match session.has_ended() {
            true => "Tweak: settings that change when the run is resumed",
            false => "Tweak: settings that can change during the run",
        };
        let rows = u16::try_from(self.keys.len()).unwrap_or(u16::MAX);
        let size = (COLUMNS, rows.saturating_add(FOOT));
        let inner = popup(buf, area, &context.appearance, title, size);
        let Some(profile) = &session.profile else {
            put(buf, inner, 0, "Loading settings...", theme.dim());
            return None;
        };
        let foot_height = FOOT.min(inner.height / 2);
        let [top, foot] =
            Layout::vertical([Constraint::Fill(1), Constraint::Length(foot_height)]).areas(inner);
        let cursor = self.draw_list(buf, top, context, profile);
        self.draw_foot(buf, foot, context, profile);
        cursor
    }
}

/// The value that the run goes on with for a key that it learns, and what that is.
fn learned(key: &ProfileKey, session: &Session) -> Option<(String, &'static str)> {
    let model = (key.path == STUDENT_RATE).then_some(&session.model)?;
    let (rate, what) = match model.rate_set {
        Some(rate) => (rate, "as set, learned from here on"),
        None => (model.steps.last("student_lr")?, "now, learned"),
    };
    rate.is_finite().then(|| (number(rate), what))
}

/// What a key may be, in few words: without a bound that only stops nonsense.
fn expected(key: &ProfileKey) -> String {
    const NONSENSE: f64 = 1e6;
    let short = match key.range {
        Range::Whole { min, max } if max as f64 >= NONSENSE => format!("{min} or more"),
        Range::Number { min, max } if max >= NONSENSE => format!("{min} or more"),
        Range::Above { above, max } if max >= NONSENSE => format!("above {above}"),
        Range::Whole { min, max } => format!("{min} to {max}"),
        Range::Number { min, max } => format!("{min} to {max}"),
        Range::Above { above, max } => format!("above {above}, up to {max}"),
        range => range.to_string(),
    };
    clean(&key.expected().replacen(&key.range.to_string(), &short, 1))
}

/// What a key may be, and what it is unless a profile says otherwise.
fn expectation(key: &ProfileKey) -> String {
    let default = key.default().map(|d| format!(" Default: {}.", clean(&d)));
    format!(
        "Expected: {}.{}",
        clean(&key.expected()),
        default.unwrap_or_default()
    )
}

/// " Began as 100." where the run was begun with another value than it has now.
fn beginning(key: &ProfileKey, context: &Context, profile: &Profile) -> String {
    let model = context.session.as_ref().map(|session| &session.model);
    let started = model.and_then(|model| model.header.as_ref());
    let settings = started.and_then(|started| started.settings.as_ref());
    match settings.and_then(|settings| key.recorded(settings)) {
        Some(value) if value != key.value(profile) => format!(" Began as {}.", clean(&value)),
        _ => String::new(),
    }
}

impl TweakPopup {
    /// The settings of a run that can still change: those of the experts only until these are
    /// trained, and only by the engine, which knows how far that is.
    pub fn new(session: &Session) -> Self {
        let phase = session.model.phase;
        let trains = session.model.step == 0
            && matches!(phase, None | Some(Phase::Data | Phase::Experts))
            && !session.has_ended();
        let is_open = |k: &&ProfileKey| k.live && (trains || k.section() != "expert");
        Self {
            keys: schema().iter().filter(is_open).collect(),
            selected: 0,
            line: None,
            unchanged: String::new(),
            answer: None,
        }
    }

    fn key(&self) -> Option<&'static ProfileKey> {
        self.keys.get(self.selected).copied()
    }

    /// Puts the next choice of the selected key, or the previous one, into the line.
    fn next_choice(&mut self, forward: bool) {
        let choices: &[&str] = match self.key().map(|k| k.range) {
            Some(Range::Switch) => &["false", "true"],
            Some(Range::Choice(names)) => names,
            _ => return,
        };
        let (Some(line), Some(last)) = (&mut self.line, choices.len().checked_sub(1)) else {
            return;
        };
        let at = choices.iter().position(|c| *c == line.text()).unwrap_or(0);
        let by = if forward { 1 } else { last };
        *line = InputLine::new(choices[(at + by) % choices.len()]);
    }

    fn edit(&mut self, context: &mut Context) {
        if !context.can_change_run() {
            return;
        }
        let Some(session) = &context.session else {
            return;
        };
        if let (Some(profile), Some(key)) = (&session.profile, self.key()) {
            let learned = learned(key, session).map(|(value, _)| value);
            let value = learned.unwrap_or_else(|| key.value(profile));
            self.unchanged = value.clone();
            self.line = Some(InputLine::new(value));
            self.answer = None;
        }
    }

    /// "distill.lr_images=30"
    fn edit_text(&self) -> Option<String> {
        let line = self.line.as_ref()?;
        Some(format!("{}={}", self.key()?.path, line.text().trim()))
    }

    fn send(&mut self, context: &mut Context) {
        let Some(edit) = self.edit_text() else { return };
        // what is written stays where it cannot be sent or would be rejected
        let profile = context.session.as_ref().and_then(|s| s.profile.as_ref());
        if profile.is_some_and(|p| self.problem(p).is_some()) || !context.can_change_run() {
            return;
        }
        let line = self.line.take();
        // a rate that is learned is shown rounded, and would be set to that
        if line.is_some_and(|line| line.text().trim() == self.unchanged) {
            return;
        }
        let command = Command::Set { edit };
        let sent = context.session.as_ref().map(|s| s.sent(&command));
        self.answer = sent.map(|text| (Weight::Normal, text));
        context.send(command);
    }

    /// Why the engine will reject the value that is being edited, whose key stands above.
    fn problem(&self, profile: &Profile) -> Option<String> {
        let edit = self.edit_text()?;
        let problem = profile.edited(&edit).err()?.to_string();
        let problem = problem
            .strip_prefix(&format!("set {edit}: "))
            .unwrap_or(&problem);
        Some(clean(problem))
    }

    /// Every key with its value and its range; the position of the text cursor.
    fn draw_list(
        &self,
        buf: &mut Buffer,
        area: Rect,
        context: &Context,
        profile: &Profile,
    ) -> Option<Position> {
        let theme = &context.appearance.theme;
        let widest = self.keys.iter().map(|k| width(k.path)).max();
        let names = widest.unwrap_or(0);
        let before = names + 2;
        let line_cells = usize::from(area.width).saturating_sub(before);
        let edited = self.line.as_ref().map(|l| l.shown(line_cells));
        let range_cells = usize::from(area.width).saturating_sub(names + VALUE + 3);
        let items = self.keys.iter().enumerate().map(|(i, key)| {
            let name = pad(key.path, names);
            if i == self.selected
                && let Some((text, _)) = &edited
            {
                return Line::from(format!(">{name} {text}"));
            }
            let mark = if i == self.selected { ">" } else { " " };
            let setting = key.value(profile);
            let (value, mut range) = match context.session.as_ref().and_then(|s| learned(key, s)) {
                Some((value, what)) => (value, format!("{what}; the setting is {setting}")),
                None => (setting, expected(key)),
            };
            let value = pad(&clean(&value), VALUE);
            if !key.unit.is_empty() && width(&range) + width(key.unit) < range_cells {
                range += &format!(" {}", key.unit);
            }
            Line::from(format!("{mark}{name} {value} {}", pad(&range, range_cells)))
        });
        let highlight = if edited.is_some() {
            theme.accent()
        } else {
            theme.selected()
        };
        let first = list(buf, area, items, self.selected, highlight);
        context.targets.add_rows(area, first, self.keys.len());
        let row = u16::try_from(self.selected - first).unwrap_or(u16::MAX);
        edited.map(|(_, at)| Position::new(area.x + (before + at) as u16, area.y + row))
    }

    /// The meaning and the range of the selected key, and the reply to its change.
    fn draw_foot(&self, buf: &mut Buffer, area: Rect, context: &Context, profile: &Profile) {
        let theme = &context.appearance.theme;
        let Some(key) = self.key() else { return };
        let cells = usize::from(area.width);
        let mut parts = vec![
            (clean(key.meaning), theme.text()),
            (
                expectation(key) + &beginning(key, context, profile),
                theme.dim(),
            ),
        ];
        match (self.problem(profile), &self.answer) {
            (Some(problem), _) => parts.push((problem, theme.warn())),
            (None, Some((weight, text))) => {
                parts.push((text.clone(), weight_style(&context.appearance, *weight)))
            }
            _ => {}
        }
        let lines: Vec<Line> = parts
            .into_iter()
            .flat_map(|(text, style)| {
                let rows = wrap(&text, cells).into_iter();
                rows.map(move |row| Line::styled(row, style))
            })
            .collect();
        // the reply matters more than the meaning
        put_lines(buf, area, lines, usize::MAX);
    }
}
