//! What a run is to be, before it is started: its name, seed, device and settings, and what it would
//! cost. Only its button starts it.

mod draw;
mod rows;

use crate::tui::backend::{
    DataState, DeviceChoice, NewRun, ProfileSummary, RunRequest, RunTemplate, Subject,
};
use crate::tui::context::{Context, Effect};
use crate::tui::input_line::InputLine;
use crate::tui::keys::{Action, Scope};
use crate::tui::message::Message;
use crate::tui::model::Weight;
use crate::tui::screen::{Response, Screen};
use crate::tui::text::clean;
use crate::tui::widgets::popup;
use astill_core::profile::{Profile, schema};
use astill_core::run::{RunDir, name_problem};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Position, Rect};
use rows::Row;

/// Columns inside the frame.
const COLUMNS: u16 = 74;
/// Cells of the names before the values, with the mark of the selection.
const NAME: usize = 10;
/// Rows of the estimate, and of what is said about the line that is being edited.
const ESTIMATE: u16 = 4;
const FOOT: u16 = 3;

/// The form.
#[derive(Debug)]
pub struct StartForm {
    title: String,
    reference: String,
    /// The settings behind `reference`; none where it is refused.
    profile: Option<Box<Profile>>,
    data: DataState,
    /// Empty: the name of the profile and a number.
    name: String,
    /// Empty: that of the profile.
    seed: String,
    devices: Vec<DeviceChoice>,
    /// The place of the device in that list.
    device: usize,
    /// Each "section.key=value".
    sets: Vec<String>,
    selected: usize,
    line: Option<InputLine>,
    /// What is being started.
    starting: Option<NewRun>,
    /// What was started while the form was not on top.
    started: Option<RunDir>,
}

impl StartForm {
    /// For a run of a profile.
    pub fn of_profile(profile: &ProfileSummary) -> Self {
        let form = Self::new(
            format!("Start {}", profile.reference),
            profile.reference.clone(),
            profile.profile.clone(),
        );
        Self {
            data: profile.data.clone(),
            ..form
        }
    }

    /// For a run like another one.
    pub fn of_run(template: RunTemplate) -> Self {
        let RunTemplate {
            reference,
            profile,
            sets,
            name,
            data,
        } = template;
        let of = std::path::Path::new(&reference).parent();
        let of = of.and_then(|p| p.file_name()).unwrap_or_default();
        let title = format!("New run like {}", of.to_string_lossy());
        let mut form = Self::new(title, reference, Some(Box::new(profile)));
        form.selected += sets.len();
        Self {
            name,
            sets,
            data,
            ..form
        }
    }

    fn new(title: String, reference: String, profile: Option<Box<Profile>>) -> Self {
        let mut form = Self {
            title: clean(&title),
            reference,
            profile,
            data: DataState::Ready,
            name: String::new(),
            seed: String::new(),
            devices: DeviceChoice::here(),
            device: 0,
            sets: Vec::new(),
            selected: 0,
            line: None,
            starting: None,
            started: None,
        };
        form.selected = form.rows().len() - 1;
        form
    }

    fn rows(&self) -> Vec<Row> {
        let sets = (0..self.sets.len()).map(Row::Set);
        [Row::Name, Row::Seed, Row::Device]
            .into_iter()
            .chain(sets)
            .chain([Row::Add, Row::Start])
            .collect()
    }

    fn row(&self) -> Row {
        let rows = self.rows();
        rows.get(self.selected).copied().unwrap_or(Row::Start)
    }

    /// The run as the form describes it.
    fn request(&self) -> RunRequest {
        let mut sets = self.sets.clone();
        if !self.seed.is_empty() {
            sets.push(format!("seed={}", self.seed));
        }
        RunRequest {
            reference: self.reference.clone(),
            sets,
            device: self.devices.get(self.device).cloned().unwrap_or_default(),
        }
    }

    /// What is wrong with the line that is being edited.
    fn problem(&self) -> Option<String> {
        let text = self.line.as_ref()?.text().trim();
        let problem = match self.row() {
            _ if text.is_empty() => None,
            Row::Name => name_problem(text),
            Row::Seed => match text.parse::<u64>() {
                Ok(_) => None,
                Err(_) => Some("expected a whole number from 0 to 2^64 - 1".into()),
            },
            Row::Set(_) | Row::Add => {
                let mut sets = self.sets.clone();
                if let Row::Set(edited) = self.row() {
                    sets.remove(edited);
                }
                sets.push(text.into());
                let problems = self.profile.as_ref()?.changed(&sets).err()?.to_string();
                // what was written stands above
                let problem = problems.strip_prefix(&format!("--set {text}: "));
                Some(problem.unwrap_or(&problems).to_string())
            }
            Row::Device | Row::Start => None,
        };
        problem.map(|p| clean(&p))
    }

    /// Takes what was written, if nothing is wrong with it.
    fn accept(&mut self) {
        if self.problem().is_some() {
            return;
        }
        let row = self.row();
        let Some(line) = self.line.take() else { return };
        let text = line.text().trim().to_string();
        match row {
            Row::Name => self.name = text,
            Row::Seed => self.seed = text,
            Row::Set(index) if text.is_empty() => _ = self.sets.remove(index),
            Row::Set(index) => self.sets[index] = text,
            Row::Add if !text.is_empty() => {
                self.sets.push(text);
                self.selected += 1;
            }
            Row::Add | Row::Device | Row::Start => {}
        }
    }

    /// Starts the run, edits the selected line, or takes the next device.
    fn open(&mut self, context: &mut Context) {
        let text = match self.row() {
            Row::Start => return self.start(context),
            Row::Device => return self.take_device(true),
            Row::Name => self.name.clone(),
            Row::Seed => self.seed.clone(),
            Row::Set(index) => self.sets[index].clone(),
            Row::Add => String::new(),
        };
        self.line = Some(InputLine::new(text));
    }

    fn take_device(&mut self, forward: bool) {
        let count = self.devices.len().max(1);
        let by = if forward { 1 } else { count - 1 };
        self.device = (self.device + by) % count;
    }

    fn start(&mut self, context: &mut Context) {
        // a second Enter must not start a second run
        if self.starting.is_some() {
            return;
        }
        let name = (!self.name.is_empty()).then(|| self.name.clone());
        let request = self.request();
        let new = NewRun { request, name };
        self.starting = Some(new.clone());
        context.effects.push(Effect::Start(new));
        context.notify(Weight::Normal, "Starting the run...");
    }

    /// The keys whose name holds what is being written, as long as no value is.
    fn offered(&self) -> Vec<&'static astill_core::profile::ProfileKey> {
        let Some(line) = self.line.as_ref().filter(|_| self.is_setting()) else {
            return Vec::new();
        };
        let text = line.text().trim();
        let written = text.split('=').next().unwrap_or_default().trim();
        let exact = schema().iter().filter(|k| k.path == written);
        match text.contains('=') {
            true => exact.collect(),
            false => schema()
                .iter()
                .filter(|k| k.path.contains(written))
                .collect(),
        }
    }

    /// Whether the selected row is a setting.
    fn is_setting(&self) -> bool {
        matches!(self.row(), Row::Set(_) | Row::Add)
    }

    /// Writes the next key that is offered, with the value that it has.
    fn take_offered(&mut self, forward: bool) {
        let Some(line) = self.line.as_ref().filter(|_| self.is_setting()) else {
            return;
        };
        let written = line.text().split('=').next().unwrap_or_default().trim();
        let is_whole = line.text().contains('=');
        let all: Vec<_> = match is_whole {
            // on from the key that was taken before
            true => schema().iter().collect(),
            false => self.offered(),
        };
        let Some(last) = all.len().checked_sub(1) else {
            return;
        };
        let at = all.iter().position(|k| k.path == written);
        let next = match (at.filter(|_| is_whole), forward) {
            (Some(at), true) => (at + 1) % all.len(),
            (Some(at), false) => (at + last) % all.len(),
            (None, true) => 0,
            (None, false) => last,
        };
        let key = all[next];
        let value = self.profile.as_ref().map(|p| key.value(p));
        let text = format!("{}={}", key.path, value.unwrap_or_default());
        self.line = Some(InputLine::new(text));
    }
}

impl Screen for StartForm {
    fn scope(&self) -> Scope {
        match self.line {
            Some(_) => Scope::Line,
            None => Scope::Start,
        }
    }

    fn is_popup(&self) -> bool {
        true
    }

    fn act(&mut self, action: Action, context: &mut Context) -> Response {
        if self.line.is_some() {
            match action {
                Action::Open => self.accept(),
                Action::Up | Action::Down => self.take_offered(action == Action::Down),
                _ => self.line = None,
            }
            return Response::Handled;
        }
        let last = self.rows().len() - 1;
        match action {
            Action::Up => self.selected = self.selected.saturating_sub(1),
            Action::Down => self.selected = (self.selected + 1).min(last),
            Action::First => self.selected = 0,
            Action::Last => self.selected = last,
            Action::Left | Action::Right if self.row() == Row::Device => {
                self.take_device(action == Action::Right)
            }
            Action::Left | Action::Right => {}
            Action::Open if self.row() == Row::Start && self.started.is_some() => {
                let started = self.started.take();
                return started.map_or(Response::Handled, Response::OpenRun);
            }
            Action::Open => self.open(context),
            Action::Fetch => context.fetch(&self.data),
            _ => return Response::Close,
        }
        Response::Handled
    }

    fn line(&mut self) -> Option<&mut InputLine> {
        self.line.as_mut()
    }

    fn receive(&mut self, message: &Message, _context: &Context) -> bool {
        match message {
            Message::Started(new, started) if self.starting.as_ref() == Some(new) => {
                self.starting = None;
                self.started = started.as_ref().ok().cloned();
                true
            }
            Message::Fetched(set, Ok(_)) => {
                if matches!(&self.data, DataState::Fetchable { set: of, .. } if of == set) {
                    self.data = DataState::Ready;
                }
                false
            }
            _ => false,
        }
    }

    /// Not over what is being written.
    fn scrolls(&self) -> bool {
        self.line.is_none()
    }

    fn request_missing(&mut self, context: &mut Context) {
        context.previews.want(Subject::Start(self.request()));
    }

    fn offers(&self, action: Action) -> bool {
        action != Action::Fetch || self.data != DataState::Ready
    }

    fn choose(&mut self, row: usize, _context: &mut Context) -> Option<Action> {
        // what is written in another row would be lost
        if self.line.is_some() {
            return None;
        }
        let was_selected = std::mem::replace(&mut self.selected, row) == row;
        (was_selected || self.row() == Row::Start).then_some(Action::Open)
    }

    fn in_a_line(&self, context: &Context) -> String {
        let key = context.keys.name(Action::Open, Scope::Start);
        format!("{}? ({key})", self.title)
    }

    fn draw(&self, buf: &mut Buffer, area: Rect, context: &Context) -> Option<Position> {
        let fields = u16::try_from(self.rows().len()).unwrap_or(u16::MAX);
        let rows = fields.saturating_add(1 + ESTIMATE + FOOT);
        let size = (COLUMNS, rows);
        let inner = popup(buf, area, &context.appearance, &self.title, size);
        let below = (ESTIMATE + FOOT + 1).min(inner.height.saturating_sub(2));
        let [top, bottom] =
            Layout::vertical([Constraint::Fill(1), Constraint::Length(below)]).areas(inner);
        let cursor = self.draw_fields(buf, top, context);
        let [_, estimate, foot] = Layout::vertical([
            Constraint::Length(1),
            Constraint::Length(ESTIMATE),
            Constraint::Fill(1),
        ])
        .areas(bottom);
        self.draw_estimate(buf, estimate, context);
        self.draw_foot(buf, foot, context);
        cursor
    }
}
