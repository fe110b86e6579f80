//! The settings that can be changed while the run goes on: what each may be, and what the engine
//! said to a change.

use super::super::app::{Context, Next};
use super::super::backend::Command;
use super::super::keys::Action;
use super::super::line::Line;
use super::super::model::Weight;
use super::super::session::Session;
use super::super::text::{clean, pad, width, wrap};
use super::{popup, put, put_row, scrolled, weight_style};
use astill_core::profile::{Key, Profile, Range, schema};
use astill_core::run::event::Phase;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};

/// The settings on offer, the cursor, the value that is being written, and the last answer.
#[derive(Debug)]
pub struct Tweak {
    keys: Vec<&'static Key>,
    selected: usize,
    pub line: Option<Line>,
    answer: Option<(Weight, String)>,
}

const COLUMNS: u16 = 100;
const NAMES: usize = 24;
const VALUES: usize = 12;

/// The value of a key as a profile writes it.
fn value(profile: &Profile, key: &Key) -> String {
    let all = serde_json::to_value(profile).unwrap_or_default();
    match all.pointer(&format!("/{}", key.path.replace('.', "/"))) {
        Some(serde_json::Value::String(text)) => text.clone(),
        // as people write it: 30, not 30.0
        Some(other) => other.to_string().trim_end_matches(".0").to_string(),
        None => String::new(),
    }
}

impl Tweak {
    /// Those settings of a run that can still change: the experts' only until they are trained.
    pub fn of(session: &Session) -> Self {
        let trains = session.model.step == 0
            && matches!(
                session.model.phase,
                None | Some(Phase::Data | Phase::Experts)
            );
        let keys = schema()
            .iter()
            .filter(|k| k.live && (trains || k.section() != "expert"))
            .collect();
        Self {
            keys,
            selected: 0,
            line: None,
            answer: None,
        }
    }

    /// The engine has answered a change.
    pub fn answered(&mut self, weight: Weight, text: String) {
        self.answer = Some((weight, text));
    }

    pub fn act(&mut self, action: Action, context: &mut Context) -> Next {
        let last = self.keys.len().saturating_sub(1);
        let page = usize::from(context.size.1 / 2).max(1);
        if let Some(line) = &mut self.line {
            match action {
                Action::Open => self.send(context),
                Action::Up | Action::Down => {
                    let choices: &[&str] = match self.keys.get(self.selected).map(|k| k.range) {
                        Some(Range::Switch) => &["false", "true"],
                        Some(Range::Choice(names)) => names,
                        _ => &[],
                    };
                    if !choices.is_empty() {
                        let at = choices.iter().position(|c| *c == line.text()).unwrap_or(0);
                        let by = if action == Action::Down {
                            1
                        } else {
                            choices.len() - 1
                        };
                        *line = Line::new(choices[(at + by) % choices.len()]);
                    }
                }
                _ => self.line = None,
            }
            return Next::Stay;
        }
        self.selected = match action {
            Action::Up => self.selected.saturating_sub(1),
            Action::Down => (self.selected + 1).min(last),
            Action::PageUp => self.selected.saturating_sub(page),
            Action::PageDown => (self.selected + page).min(last),
            Action::First => 0,
            Action::Last => last,
            Action::Open => {
                self.edit(context);
                self.selected
            }
            _ => return Next::Close,
        };
        Next::Stay
    }

    fn edit(&mut self, context: &mut Context) {
        let Some(session) = &context.session else {
            return;
        };
        if !session.is_live() {
            let why = session.why_no_engine();
            return context.say(Weight::Warning, &why);
        }
        if let (Some(profile), Some(key)) = (&session.profile, self.keys.get(self.selected)) {
            self.line = Some(Line::new(value(profile, key)));
            self.answer = None;
        }
    }

    fn edit_text(&self) -> Option<String> {
        let line = self.line.as_ref()?;
        Some(format!(
            "{}={}",
            self.keys.get(self.selected)?.path,
            line.text().trim()
        ))
    }

    fn send(&mut self, context: &mut Context) {
        let Some(edit) = self.edit_text() else { return };
        self.line = None;
        self.answer = Some((
            Weight::Normal,
            format!("set {edit}: sent, waiting for the answer"),
        ));
        context.send(Command::Set { edit });
    }

    /// Why the value that is being written will be refused.
    fn problem(&self, profile: &Profile) -> Option<String> {
        let edit = self.edit_text()?;
        profile.edited(&edit).err().map(|e| clean(&e.to_string()))
    }

    pub fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        /// Rows under the list: meaning, range, answer.
        const BELOW: u16 = 6;
        let theme = &context.look.theme;
        let session = context.session.as_ref()?;
        let keys = &self.keys;
        let inner = popup(
            buf,
            area,
            &context.look,
            "Tweak: what can change while the run goes on",
            COLUMNS,
            keys.len() as u16 + BELOW + 2,
        );
        let Some(profile) = &session.profile else {
            put(buf, inner, 0, "Reading the settings ..", theme.dim());
            return None;
        };
        let below = BELOW.min(inner.height / 2);
        let list = Rect {
            height: inner.height - below,
            ..inner
        };
        let skip = scrolled(self.selected, keys.len(), list.height.into());
        let mut cursor = None;
        for (row, (i, key)) in (0..list.height).zip(keys.iter().enumerate().skip(skip)) {
            let name = pad(key.path, NAMES);
            let unit = if key.unit.is_empty() {
                String::new()
            } else {
                format!(" {}", key.unit)
            };
            let selected = i == self.selected;
            match &self.line {
                Some(line) if selected => {
                    let cells = usize::from(list.width).saturating_sub(NAMES + 2);
                    let (text, at) = line.shown(cells);
                    put_row(buf, list, row, &format!(">{name} {text}"), theme.accent());
                    cursor = Some(Position {
                        x: list.x + (NAMES + 2 + at) as u16,
                        y: list.y + row,
                    });
                }
                _ => {
                    let value = pad(&clean(&value(profile, key)), VALUES);
                    let mark = if selected { ">" } else { " " };
                    let style = if selected {
                        theme.selected()
                    } else {
                        theme.text()
                    };
                    let expected = clean(&key.expected());
                    let room = usize::from(list.width).saturating_sub(NAMES + VALUES + 3);
                    let unit = if width(&expected) + width(&unit) > room {
                        String::new()
                    } else {
                        unit
                    };
                    put_row(
                        buf,
                        list,
                        row,
                        &format!("{mark}{name} {value} {expected}{unit}"),
                        style,
                    );
                }
            }
        }
        let foot = Rect {
            x: inner.x + 1,
            y: list.bottom(),
            height: below,
            width: inner.width.saturating_sub(2),
        };
        self.draw_foot(
            buf,
            foot,
            context,
            profile,
            keys.get(self.selected).copied(),
        );
        cursor
    }

    /// What the selected key means, what it may be, and what was said to it.
    fn draw_foot(
        &self,
        buf: &mut Buffer,
        area: Rect,
        context: &Context,
        profile: &Profile,
        key: Option<&Key>,
    ) {
        let theme = &context.look.theme;
        let Some(key) = key else { return };
        let cells = usize::from(area.width);
        let mut lines: Vec<_> = wrap(&clean(key.meaning), cells)
            .into_iter()
            .map(|l| (l, theme.text()))
            .collect();
        lines.push((format!("Expected: {}", clean(&key.expected())), theme.dim()));
        let said = match (self.problem(profile), &self.answer) {
            (Some(problem), _) => Some((problem, theme.warn())),
            (None, Some((weight, text))) => {
                Some((text.clone(), weight_style(&context.look, *weight)))
            }
            _ => None,
        };
        if let Some((text, style)) = said {
            lines.extend(wrap(&text, cells).into_iter().map(|l| (l, style)));
        }
        // what was said matters more than the meaning
        let skip = lines.len().saturating_sub(area.height.into());
        for (row, (text, style)) in (0..area.height).zip(&lines[skip..]) {
            put(buf, area, row, text, *style);
        }
    }
}
