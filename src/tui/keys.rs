//! The one table of keys. Dispatch, the footer, the help screen and docs/keys.md all read it.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for. The screen that is on top knows what that means there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Help,
    Back,
    Escape,
    Suspend,
    Open,
    Search,
    Pause,
    Tweak,
    Samples,
    Log,
    Checkpoint,
    Evaluate,
    Stop,
    RollBack,
    NextPanel,
    PreviousPanel,
    Up,
    Down,
    Left,
    Right,
    PageUp,
    PageDown,
    First,
    Last,
    FullSize,
    ZoomIn,
    ZoomOut,
    LogScale,
    Smoothing,
    Ascii,
    Yes,
}

/// Where a key can mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    Home,
    Run,
    /// One chart at full size.
    Chart,
    Samples,
    Tweak,
    Log,
    /// The choice of a checkpoint.
    RollBack,
    Help,
    Confirm,
    /// A line of text is being written, on whatever screen.
    Line,
}

/// A key as the table writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    code: KeyCode,
    control: bool,
}

/// A row of the table.
#[derive(Debug)]
pub struct Binding {
    pub keys: &'static [Key],
    pub action: Action,
    pub scopes: &'static [Scope],
    /// For the footer; a word or two. Empty: not in the footer.
    pub label: &'static str,
    /// For the help screen and the docs; a sentence.
    pub help: &'static str,
    /// It asks something of the engine, so it is off in an app that only looks.
    pub steers: bool,
}

impl Scope {
    pub const ALL: [Self; 10] = [
        Self::Home,
        Self::Run,
        Self::Chart,
        Self::Samples,
        Self::Tweak,
        Self::Log,
        Self::RollBack,
        Self::Help,
        Self::Confirm,
        Self::Line,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Home => "Home",
            Self::Run => "Run",
            Self::Chart => "Chart at full size",
            Self::Samples => "Samples",
            Self::Tweak => "Tweak",
            Self::Log => "Log",
            Self::RollBack => "Roll back",
            Self::Help => "Help",
            Self::Confirm => "Confirm",
            Self::Line => "A line of text",
        }
    }
}

impl Key {
    const fn code(code: KeyCode) -> Self {
        Self {
            code,
            control: false,
        }
    }

    const fn char(c: char) -> Self {
        Self::code(KeyCode::Char(c))
    }

    const fn control(c: char) -> Self {
        Self {
            code: KeyCode::Char(c),
            control: true,
        }
    }

    /// As it is written on keyboards.
    pub fn name(self) -> String {
        let name = match self.code {
            KeyCode::Char(' ') => "Space".into(),
            KeyCode::Char(c) if self.control => c.to_ascii_uppercase().to_string(),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::BackTab => "Shift-Tab".into(),
            KeyCode::PageUp => "PgUp".into(),
            KeyCode::PageDown => "PgDn".into(),
            code => format!("{code:?}"),
        };
        if self.control {
            format!("Ctrl-{name}")
        } else {
            name
        }
    }

    fn is(self, event: &KeyEvent) -> bool {
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        let shift_tab = event.code == KeyCode::Tab && event.modifiers.contains(KeyModifiers::SHIFT);
        let code = if shift_tab {
            KeyCode::BackTab
        } else {
            event.code
        };
        self.code == code && self.control == control && !event.modifiers.contains(KeyModifiers::ALT)
    }
}

impl Binding {
    /// "q, Ctrl-C"
    pub fn names(&self) -> String {
        self.keys
            .iter()
            .map(|k| k.name())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// Every key, in the order of the footer and the docs.
pub fn table() -> &'static [Binding] {
    TABLE
}

/// What this key asks for at this place.
pub fn action(event: &KeyEvent, scope: Scope) -> Option<&'static Binding> {
    TABLE
        .iter()
        .find(|b| b.scopes.contains(&scope) && b.keys.iter().any(|k| k.is(event)))
}

/// The rows that hold at a place.
pub fn at(scope: Scope) -> impl Iterator<Item = &'static Binding> {
    TABLE.iter().filter(move |b| b.scopes.contains(&scope))
}

const fn binding(
    keys: &'static [Key],
    action: Action,
    scopes: &'static [Scope],
    label: &'static str,
    help: &'static str,
) -> Binding {
    Binding {
        keys,
        action,
        scopes,
        label,
        help,
        steers: false,
    }
}

const fn steering(
    keys: &'static [Key],
    action: Action,
    scopes: &'static [Scope],
    label: &'static str,
    help: &'static str,
) -> Binding {
    Binding {
        keys,
        action,
        scopes,
        label,
        help,
        steers: true,
    }
}

const ENTER: Key = Key::code(KeyCode::Enter);
const ESC: Key = Key::code(KeyCode::Esc);
const TAB: Key = Key::code(KeyCode::Tab);
const BACK_TAB: Key = Key::code(KeyCode::BackTab);
const UP: Key = Key::code(KeyCode::Up);
const DOWN: Key = Key::code(KeyCode::Down);
const LEFT: Key = Key::code(KeyCode::Left);
const RIGHT: Key = Key::code(KeyCode::Right);
const PAGE_UP: Key = Key::code(KeyCode::PageUp);
const PAGE_DOWN: Key = Key::code(KeyCode::PageDown);
const HOME: Key = Key::code(KeyCode::Home);
const END: Key = Key::code(KeyCode::End);

use Scope::{Chart, Confirm, Help, Home, Line, Log, RollBack, Run, Samples, Tweak};
const SCREENS: &[Scope] = &[
    Home, Run, Chart, Samples, Tweak, Log, RollBack, Help, Confirm,
];
const WATCHING: &[Scope] = &[Run, Chart];

static TABLE: &[Binding] = &[
    binding(
        &[ENTER],
        Action::Open,
        &[Home],
        "start or open",
        "Start the profile, or open the run.",
    ),
    binding(
        &[ENTER],
        Action::Open,
        &[Run],
        "",
        "Open the panel that has the focus: a chart at full size, the samples, the log.",
    ),
    binding(
        &[ENTER],
        Action::Open,
        &[Samples],
        "zoom",
        "Show one image as large as it goes, beside what it started from; again: the gallery.",
    ),
    binding(
        &[ENTER],
        Action::Open,
        &[Tweak],
        "edit",
        "Write a new value.",
    ),
    binding(
        &[ENTER],
        Action::Open,
        &[RollBack],
        "go back",
        "Go back to this checkpoint, after a question.",
    ),
    binding(
        &[ENTER],
        Action::Open,
        &[Confirm],
        "choose",
        "Do what is selected, which at first is nothing.",
    ),
    binding(
        &[ENTER],
        Action::Open,
        &[Line],
        "done",
        "Take the line as it is.",
    ),
    binding(
        &[Key::char('/')],
        Action::Search,
        &[Home, Log],
        "search",
        "Search: on Home for names, in the log for lines that contain a text.",
    ),
    steering(
        &[Key::char(' ')],
        Action::Pause,
        WATCHING,
        "pause",
        "Pause, or go on; a run whose engine has ended gets a new one.",
    ),
    steering(
        &[Key::char('t')],
        Action::Tweak,
        WATCHING,
        "tweak",
        "Change a setting while the run goes on.",
    ),
    binding(
        &[Key::char('s')],
        Action::Samples,
        WATCHING,
        "samples",
        "The synthetic images.",
    ),
    binding(
        &[Key::char('l')],
        Action::Log,
        WATCHING,
        "log",
        "The whole log.",
    ),
    steering(
        &[Key::char('x')],
        Action::Stop,
        WATCHING,
        "stop",
        "Stop the run after a checkpoint, after a question.",
    ),
    steering(
        &[Key::char('r')],
        Action::RollBack,
        WATCHING,
        "roll back",
        "Go back to a checkpoint, after a question.",
    ),
    steering(
        &[Key::char('c')],
        Action::Checkpoint,
        WATCHING,
        "checkpoint",
        "Write a checkpoint now.",
    ),
    steering(
        &[Key::char('e')],
        Action::Evaluate,
        WATCHING,
        "evaluate",
        "Evaluate the synthetic images now.",
    ),
    binding(
        &[Key::char('f')],
        Action::FullSize,
        &[Run, Chart, Samples],
        "full size",
        "The panel with the focus at full size, and back.",
    ),
    binding(
        &[TAB],
        Action::NextPanel,
        &[Run, Chart],
        "next",
        "The next panel.",
    ),
    binding(
        &[BACK_TAB],
        Action::PreviousPanel,
        &[Run, Chart],
        "",
        "The panel before.",
    ),
    binding(
        &[TAB],
        Action::NextPanel,
        &[Samples],
        "image",
        "The next image.",
    ),
    binding(
        &[BACK_TAB],
        Action::PreviousPanel,
        &[Samples],
        "",
        "The image before.",
    ),
    binding(
        &[TAB],
        Action::NextPanel,
        &[Confirm],
        "other",
        "The other answer.",
    ),
    binding(
        &[BACK_TAB],
        Action::PreviousPanel,
        &[Confirm],
        "",
        "The other answer.",
    ),
    binding(
        &[UP, Key::char('k')],
        Action::Up,
        &[Home, Run, Samples, Tweak, Log, RollBack, Help],
        "",
        "Up: the row before, the panel above, the class before.",
    ),
    binding(
        &[DOWN, Key::char('j')],
        Action::Down,
        &[Home, Run, Samples, Tweak, Log, RollBack, Help],
        "",
        "Down: the next row, the panel below, the next class.",
    ),
    binding(
        &[LEFT, Key::char('h')],
        Action::Left,
        &[Chart],
        "read",
        "Read the point to the left.",
    ),
    binding(
        &[RIGHT],
        Action::Right,
        &[Chart],
        "",
        "Read the point to the right.",
    ),
    binding(
        &[LEFT, Key::char('h')],
        Action::Left,
        &[Run, Confirm],
        "",
        "The panel to the left; the other answer.",
    ),
    binding(
        &[RIGHT],
        Action::Right,
        &[Run],
        "",
        "The panel to the right (l is the log here).",
    ),
    binding(
        &[RIGHT, Key::char('l')],
        Action::Right,
        &[Confirm],
        "",
        "The other answer.",
    ),
    binding(
        &[LEFT, Key::char('h')],
        Action::Left,
        &[Samples],
        "earlier",
        "The pictures of an earlier step.",
    ),
    binding(
        &[RIGHT, Key::char('l')],
        Action::Right,
        &[Samples],
        "later",
        "The pictures of a later step.",
    ),
    binding(
        &[UP],
        Action::Up,
        &[Line],
        "",
        "The row above, or the choice before.",
    ),
    binding(
        &[DOWN],
        Action::Down,
        &[Line],
        "",
        "The row below, or the next choice.",
    ),
    binding(
        &[PAGE_UP],
        Action::PageUp,
        &[Home, Chart, Samples, Tweak, Log, Help],
        "",
        "A page up; in a chart, earlier points.",
    ),
    binding(
        &[PAGE_DOWN],
        Action::PageDown,
        &[Home, Chart, Samples, Tweak, Log, Help],
        "",
        "A page down; in a chart, later points.",
    ),
    binding(
        &[HOME, Key::char('g')],
        Action::First,
        &[Home, Chart, Samples, Tweak, Log, RollBack, Help],
        "",
        "To the beginning.",
    ),
    binding(
        &[END, Key::char('G')],
        Action::Last,
        &[Home, Chart, Samples, Tweak, Log, RollBack, Help],
        "",
        "To the end; a chart, the samples and the log then follow the run.",
    ),
    binding(
        &[Key::char('+'), Key::char('=')],
        Action::ZoomIn,
        &[Chart, Samples],
        "zoom",
        "Nearer.",
    ),
    binding(
        &[Key::char('-')],
        Action::ZoomOut,
        &[Chart, Samples],
        "",
        "Farther.",
    ),
    binding(
        &[Key::char('y')],
        Action::LogScale,
        WATCHING,
        "log y",
        "Logarithmic scale of the chart with the focus.",
    ),
    binding(
        &[Key::char('m')],
        Action::Smoothing,
        WATCHING,
        "smooth",
        "Smoothing of the chart with the focus.",
    ),
    binding(
        &[Key::char('a')],
        Action::Ascii,
        &[Run, Samples],
        "ascii",
        "Pictures as characters, and back.",
    ),
    binding(
        &[Key::char('n')],
        Action::Escape,
        &[Confirm],
        "no",
        "Do nothing.",
    ),
    binding(&[Key::char('y')], Action::Yes, &[Confirm], "yes", "Do it."),
    binding(
        &[Key::char('?')],
        Action::Help,
        &[Home, Run, Chart, Samples, Tweak, Log, RollBack, Confirm],
        "help",
        "These keys.",
    ),
    binding(
        &[Key::char('q'), Key::control('c')],
        Action::Back,
        SCREENS,
        "back",
        "Back; from the first screen, leave. A run goes on without the app.",
    ),
    binding(
        &[ESC],
        Action::Escape,
        SCREENS,
        "",
        "Back, but never out of the app; on Home, forget the search.",
    ),
    binding(
        &[ESC, Key::control('c')],
        Action::Escape,
        &[Line],
        "cancel",
        "Leave the line.",
    ),
    binding(
        &[Key::control('z')],
        Action::Suspend,
        Scope::ALL.as_slice(),
        "",
        "Suspend the app; fg brings it back.",
    ),
];

/// docs/keys.md: a table a screen.
#[cfg(test)]
fn manual() -> String {
    use std::fmt::Write;
    let mut text = String::from(
        "# Keys\n\nThis page is written by the program from its one table of keys: `ASTILL_BLESS=1 \
         cargo test keys` rewrites it. A text that is\n\
         being written (a search, a new value) takes all other keys; arrows, Home, End, Backspace \
         and Delete edit it.\n",
    );
    for scope in Scope::ALL {
        _ = writeln!(
            text,
            "\n## {}\n\n| key | what it does |\n|---|---|",
            scope.name()
        );
        for binding in at(scope) {
            _ = writeln!(
                text,
                "| {} | {} |",
                binding
                    .keys
                    .iter()
                    .map(|k| format!("`{}`", k.name()))
                    .collect::<Vec<_>>()
                    .join(" "),
                binding.help
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings_at_one_place() {
        for scope in Scope::ALL {
            let keys: Vec<Key> = at(scope).flat_map(|b| b.keys).copied().collect();
            for (i, key) in keys.iter().enumerate() {
                assert!(
                    !keys[..i].contains(key),
                    "{} twice on {}",
                    key.name(),
                    scope.name()
                );
            }
        }
    }

    #[test]
    fn every_row_holds_somewhere_and_says_what_it_does() {
        for binding in table() {
            assert!(
                !binding.scopes.is_empty()
                    && !binding.keys.is_empty()
                    && binding.help.ends_with('.'),
                "{}",
                binding.names()
            );
        }
    }

    #[test]
    fn every_screen_can_be_left_and_suspended() {
        for scope in Scope::ALL {
            for action in [Action::Escape, Action::Suspend] {
                assert!(
                    at(scope).any(|b| b.action == action),
                    "{action:?} on {}",
                    scope.name()
                );
            }
        }
    }

    #[test]
    fn docs_keys_says_what_the_table_says() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/keys.md");
        if std::env::var_os("ASTILL_BLESS").is_some_and(|v| v == "1") {
            std::fs::write(path, manual()).unwrap();
        } else {
            assert!(
                std::fs::read_to_string(path).unwrap() == manual(),
                "docs/keys.md is out of date; run ASTILL_BLESS=1 cargo test keys"
            );
        }
    }
}
