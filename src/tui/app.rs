//! The app as a state machine: a message comes in, effects go out, and `view` draws the state.
//! Nothing here blocks.

use crate::tui::advice::in_keys;
use crate::tui::backend::RunTemplate;
use crate::tui::click_targets::Target;
use crate::tui::context::{Appearance, Context, Effect};
use crate::tui::footer;
use crate::tui::keys::{Action, Binding, Scope};
use crate::tui::message::{Message, describe_answer};
use crate::tui::model::Weight;
use crate::tui::screen::{Response, Screen};
use crate::tui::screens::{ConfirmPopup, HelpPopup, HomeScreen, RunScreen, StartForm};
use crate::tui::session::{News, Session};
use crate::tui::text::clean;
use crate::tui::widgets::put;
use astill_core::program;
use astill_core::run::RunDir;
use crossterm::event::{KeyEvent, KeyEventKind, MouseButton, MouseEvent, MouseEventKind};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Position};
use ratatui::style::Style;

/// A smaller terminal shows one line only: columns and rows.
const SMALLEST: (u16, u16) = (40, 10);

/// The whole app.
#[derive(Debug)]
pub struct App {
    pub context: Context,
    /// From the first one, which stays, to the one on top.
    screens: Vec<Box<dyn Screen>>,
    /// The first screen is the menu, not a run.
    has_menu: bool,
    /// What went wrong while a text was being typed, to be shown after that.
    problems: Vec<ConfirmPopup>,
}

impl App {
    /// An app that shows the menu, or one run from the start.
    pub fn new(
        appearance: Appearance,
        size: (u16, u16),
        open: Option<RunDir>,
    ) -> (Self, Vec<Effect>) {
        let mut app = Self {
            context: Context::new(appearance, size),
            screens: Vec::new(),
            has_menu: open.is_none(),
            problems: Vec::new(),
        };
        match open {
            Some(run) => app.open_run(run),
            None => {
                app.screens.push(Box::new(HomeScreen::default()));
                app.context.effects.push(Effect::List);
            }
        }
        let effects = std::mem::take(&mut app.context.effects);
        (app, effects)
    }

    /// Takes a message; returns what is to be done for it.
    pub fn update(&mut self, message: Message) -> Vec<Effect> {
        match message {
            Message::Key(key) if key.kind != KeyEventKind::Release => self.key(&key),
            Message::Key(_) => {}
            Message::Paste(text) => _ = self.paste(&text),
            Message::Burst(text) => {
                let notice = match self.paste(&text) {
                    true => format!(
                        "This text arrived all at once, so it was treated as pasted; press {} to use it.",
                        self.context.keys.name(Action::Open, self.scope())
                    ),
                    false => "Characters came faster than anybody types, so they were ignored as \
                              pasted text."
                        .into(),
                };
                self.context.notify(Weight::Warning, &notice);
            }
            Message::Mouse(mouse) => self.mouse(mouse),
            Message::Resize(columns, rows) => self.context.size = (columns, rows),
            Message::Now(now) => {
                self.context.now = now;
                self.context.expire_notice();
                self.context.expire_questions();
            }
            message => self.receive(message),
        }
        if !self.is_typing() {
            for popup in self.problems.drain(..) {
                self.screens.push(Box::new(popup));
            }
        }
        // what is hidden needs nothing
        let base = self.base();
        for screen in self.screens.iter_mut().skip(base) {
            screen.request_missing(&mut self.context);
        }
        if let Some(asked) = self.context.previews.to_ask(self.context.now) {
            self.context.effects.push(Effect::Preview(asked));
        }
        std::mem::take(&mut self.context.effects)
    }

    /// Inserts text into the line that is being edited; false if there is none.
    fn paste(&mut self, text: &str) -> bool {
        let Some(top) = self.screens.last_mut() else {
            return false;
        };
        let Some(line) = top.line() else { return false };
        line.paste(text);
        top.line_changed();
        true
    }

    /// Takes what the rest of the program reports.
    fn receive(&mut self, message: Message) {
        let (mut is_shown, mut is_for_top) = (false, false);
        for screen in &mut self.screens {
            is_for_top = screen.receive(&message, &self.context);
            is_shown |= is_for_top;
        }
        // what somebody types must not go elsewhere all of a sudden
        is_for_top &= !self.is_typing();
        match message {
            Message::Started(_, Ok(run)) => self.started(run, is_for_top),
            Message::Started(_, Err(problem)) => {
                self.show_problem("Could not start the run", &problem)
            }
            Message::Previewed(request, preview) => self.context.previews.put(request, *preview),
            Message::Template(run, template) => self.template(&run, template, is_for_top),
            Message::Moved(run, Ok(to)) => self.forget(&run, to.as_ref()),
            Message::Moved(_, Err(problem)) => {
                self.show_problem("Could not change the run", &problem)
            }
            Message::Noted(_, Ok(())) => self.context.effects.push(Effect::List),
            Message::Noted(_, Err(problem)) => {
                self.show_problem("Could not write the note", &problem)
            }
            Message::Noticed(text) => self.context.notify(Weight::Result, &text),
            Message::Listed(..) => self.context.receive_listed(),
            Message::Unlisted(problem) => self.context.receive_unlisted(problem),
            Message::Fetching(line) => self.context.receive_progress(line),
            Message::Fetched(set, fetched) => {
                if let Some(problem) = self.context.receive_fetched(&set, fetched) {
                    self.show_problem(&format!("Could not fetch {set}"), &problem);
                }
            }
            Message::Resumed(_, Ok(())) => self
                .context
                .notify(Weight::Normal, "A new engine is resuming the run."),
            Message::Resumed(run, Err(problem)) => {
                let session = self.context.session.as_mut();
                if let Some(session) = session.filter(|s| s.run == run) {
                    session.end_resuming();
                }
                self.show_problem("Could not resume the run", &problem)
            }
            Message::Panicked(what) => {
                self.context.effects.push(Effect::Retake);
                self.context.notify(
                    Weight::Failure,
                    &format!("A bug in astill: {what} panicked. The app continues without it."),
                );
            }
            Message::TerminalAnswer(answer) => self.context.receive_terminal_answer(&answer),
            Message::Checkpoints(_, Err(problem)) | Message::Trouble(problem) => {
                self.context.notify(Weight::Warning, &problem);
            }
            message => self.receive_about_run(message, is_shown),
        }
    }

    /// Takes what concerns the run that is being watched; what is about another one came too late.
    fn receive_about_run(&mut self, message: Message, is_shown: bool) {
        let Some(session) = &mut self.context.session else {
            return;
        };
        let run = session.run.clone();
        match message {
            Message::Events(of, batch) if of == run => {
                let news = session.receive_events(&batch);
                self.context.expire_notice();
                self.tell(&run, news);
                if batch.restarted {
                    self.context.effects.push(Effect::Profile(run));
                }
            }
            Message::Engine(of, engine) if of == run => {
                let news = session.locate_engine(engine);
                self.tell(&run, news);
            }
            Message::Profile(of, Ok(profile)) if of == run => session.profile = Some(*profile),
            Message::Profile(of, Err(problem)) if of == run => {
                self.context.notify(Weight::Warning, &problem)
            }
            Message::Picture(of, sample, picture) if of == run => {
                session.pictures.put(&sample, picture)
            }
            Message::Answered(of, command, answer) if of == run => {
                if session.receive_answer(&command, &answer) {
                    self.context.effects.push(Effect::Profile(run));
                }
                if is_shown {
                    self.context.notice = None;
                } else {
                    let (weight, text) = describe_answer(&command, &answer);
                    self.context.notify(weight, &text);
                }
            }
            _ => {}
        }
    }

    /// Tells the user about the end of the run, or that it diverges, outside of the screen too.
    fn tell(&mut self, run: &RunDir, news: Option<News>) {
        let Some(news) = news else { return };
        let context = &mut self.context;
        if context.appearance.notifies {
            let text = clean(&format!("{} {news}", run.name()));
            context.effects.push(Effect::Notify(text));
        }
        if let (News::Ended(_), Some(command)) = (&news, &context.on_finish) {
            let effect = Effect::RunCommand(command.clone(), run.clone());
            context.effects.push(effect);
        }
    }

    /// A run is not where it was any more.
    fn forget(&mut self, run: &RunDir, to: Option<&RunDir>) {
        if self.context.session.as_ref().is_some_and(|s| s.run == *run) {
            self.context.session = None;
            self.context.effects.push(Effect::Unfollow);
        }
        self.context.effects.push(Effect::List);
        let done = match to {
            Some(to) => format!("{} is now {}.", run.name(), to.name()),
            None => format!("{} is deleted.", run.name()),
        };
        self.context.notify(Weight::Result, &done);
    }

    /// A run was started: it is shown if the form that asked for it `is_on_top`.
    fn started(&mut self, run: RunDir, is_on_top: bool) {
        let name = run.name();
        if is_on_top {
            self.open_run(run);
        } else {
            let place = if self.has_menu {
                "; it is in the menu"
            } else {
                ""
            };
            let text = format!("{name} has started{place}.");
            self.context.notify(Weight::Result, &text);
            self.context.effects.push(Effect::List);
        }
        if program::is_replaced() {
            self.context.notify(
                Weight::Warning,
                "astill was replaced while it was open, and this run uses the new version: leave and \
                 start astill again.",
            );
        }
    }

    /// Opens the form for a run like another one if the screen that asked for it `is_on_top`.
    fn template(
        &mut self,
        run: &RunDir,
        template: Result<Box<RunTemplate>, String>,
        is_on_top: bool,
    ) {
        if self
            .context
            .template
            .take_if(|asked| asked == run)
            .is_none()
        {
            return;
        }
        match template {
            Ok(template) if is_on_top => self.screens.push(Box::new(StartForm::of_run(*template))),
            Ok(_) => {
                let text = format!(
                    "The settings of {} have been read: press `clone` again.",
                    run.name()
                );
                self.context.notify(Weight::Normal, &text);
            }
            Err(problem) => self.show_problem("Could not read the settings of the run", &problem),
        }
    }

    /// Whether a line of text is being edited.
    fn is_typing(&mut self) -> bool {
        self.screens
            .last_mut()
            .is_some_and(|top| top.line().is_some())
    }

    /// The last screen that fills the terminal.
    fn base(&self) -> usize {
        self.screens
            .iter()
            .rposition(|s| !s.is_popup())
            .unwrap_or(0)
    }

    /// Shows a run, over the menu where there is one, or over the comparison that it was opened from.
    fn open_run(&mut self, run: RunDir) {
        self.context.notice = None;
        let mut scopes = self.screens.iter().map(|screen| screen.scope());
        let kept = match scopes.position(|scope| scope == Scope::Compare) {
            Some(comparison) => comparison + 1,
            None => self.has_menu.into(),
        };
        if self.context.session.as_ref().is_none_or(|s| s.run != run) {
            self.context.session = Some(Session::new(run.clone()));
            self.context
                .effects
                .extend([Effect::Follow(run.clone()), Effect::Profile(run)]);
        }
        self.screens.truncate(kept);
        self.screens.push(Box::new(RunScreen));
    }

    /// Shows more than fits into a line.
    fn show_problem(&mut self, title: &str, problem: &str) {
        self.context.notice = None;
        let text = in_keys(problem, &self.context.keys);
        self.problems.push(ConfirmPopup::message(title, &text));
        if self.is_typing() {
            let key = |action| self.context.keys.name(action, Scope::Line);
            let (enter, escape) = (key(Action::Open), key(Action::Escape));
            let text = format!("{title}: press {enter} or {escape} to see why.");
            self.context.notify(Weight::Failure, &text);
        }
    }

    fn key(&mut self, key: &KeyEvent) {
        self.context.notice = None;
        let scope = self.scope();
        let bound = self.context.keys.action(key, scope);
        let Some(binding) = bound.map(|b| b.binding) else {
            if scope.takes_text()
                && let Some(top) = self.screens.last_mut()
                && let Some(line) = top.line()
            {
                line.key(key);
                top.line_changed();
            }
            return;
        };
        self.carry_out(binding, scope);
    }

    /// Does what a key does in a scope.
    fn carry_out(&mut self, binding: &Binding, scope: Scope) {
        if binding.steers && self.context.appearance.read_only {
            return self.context.notify_read_only();
        }
        match binding.action {
            Action::Suspend => self.context.effects.push(Effect::Suspend),
            Action::Help => {
                let help = HelpPopup::new(scope, self.context.appearance.read_only);
                self.screens.push(Box::new(help));
            }
            action => self.act(action),
        }
    }

    /// The wheel scrolls; a click does what the key at the bottom does, or goes to the screen on top.
    fn mouse(&mut self, mouse: MouseEvent) {
        let Some(top) = self.screens.last_mut() else {
            return;
        };
        match mouse.kind {
            MouseEventKind::ScrollUp if top.scrolls() => self.act(Action::Up),
            MouseEventKind::ScrollDown if top.scrolls() => self.act(Action::Down),
            MouseEventKind::Down(MouseButton::Left) => {
                let at = Position::new(mouse.column, mouse.row);
                self.click(at);
            }
            _ => {}
        }
    }

    fn click(&mut self, at: Position) {
        let scope = self.scope();
        match self.context.targets.at(at) {
            Some(Target::Key(action)) => {
                let bound = self.context.keys.bound(action, scope);
                if let Some(binding) = bound.map(|b| b.binding) {
                    self.context.notice = None;
                    self.carry_out(binding, scope);
                }
            }
            Some(Target::Item(item)) => {
                self.context.notice = None;
                let top = self.screens.last_mut();
                let follows = top.and_then(|top| top.choose(item, &mut self.context));
                follows.into_iter().for_each(|action| self.act(action));
            }
            None => {}
        }
    }

    /// Offers an action to the screen on top, and to those below as long as it is ignored.
    fn act(&mut self, action: Action) {
        for depth in (0..self.screens.len()).rev() {
            match self.screens[depth].act(action, &mut self.context) {
                Response::Ignored => continue,
                Response::Handled => {}
                Response::Open(screen) => self.screens.push(screen),
                Response::Replace(screen) => self.screens[depth] = screen,
                Response::OpenRun(run) => self.open_run(run),
                // the first screen stays until the app is left
                Response::Close if depth == 0 => {
                    if action == Action::Back {
                        self.context.effects.push(Effect::Leave);
                    }
                }
                Response::Close => {
                    self.screens.truncate(depth);
                    if self.shows_list() {
                        self.context.effects.push(Effect::List);
                    }
                }
            }
            return;
        }
    }

    /// Where keys go.
    pub fn scope(&self) -> Scope {
        self.screens.last().map_or(Scope::Home, |top| top.scope())
    }

    /// Draws the last screen that fills the terminal and the popups over it.
    pub fn view(&self, frame: &mut Frame) {
        let area = frame.area();
        self.context.targets.clear();
        if area.is_empty() {
            return;
        }
        if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
            // a question comes before anything that could hide it
            let text = match &self.context.notice {
                Some(notice) if self.scope() != Scope::Confirm => notice.text.clone(),
                _ => self
                    .screens
                    .last()
                    .map_or(String::new(), |top| top.in_a_line(&self.context)),
            };
            return put(frame.buffer_mut(), area, 0, &text, Style::new());
        }
        let [body, _] = Layout::vertical([Constraint::Fill(1), Constraint::Length(1)]).areas(area);
        let mut cursor = None;
        for screen in self.screens.iter().skip(self.base()) {
            // those of a screen below are under this one
            self.context.targets.clear();
            cursor = screen.draw(frame.buffer_mut(), body, &self.context);
        }
        let is_base = self.screens.len() == 1;
        footer::draw(
            frame.buffer_mut(),
            area,
            &self.context,
            (self.scope(), is_base),
            &|binding| match self.screens.last() {
                Some(top) => top
                    .word(binding.action)
                    .or_else(|| top.offers(binding.action).then_some(binding.label)),
                None => Some(binding.label),
            },
        );
        if let Some(cursor) = cursor {
            frame.set_cursor_position(cursor);
        }
    }

    /// Whether the list of runs is on the screen, so that it should be kept fresh.
    pub fn shows_list(&self) -> bool {
        self.has_menu && self.screens.len() == 1
    }

    /// What to print after leaving.
    pub fn farewell(&self) -> Option<String> {
        let of_run = self.context.session.as_ref().map(Session::farewell);
        let parts: Vec<String> = of_run.into_iter().chain(self.context.of_fetch()).collect();
        (!parts.is_empty()).then(|| parts.join("\n"))
    }
}
