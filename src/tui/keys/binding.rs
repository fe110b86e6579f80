//! What a row of the table of keys is made of.

use crate::tui::user_file::snake_case;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for. The screens know what that means for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Help,
    Back,
    Escape,
    Suspend,
    Open,
    Fetch,
    Clone,
    Delete,
    Rename,
    Note,
    Extend,
    Search,
    Mark,
    Compare,
    Pin,
    Table,
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
    ValuesIn,
    ValuesOut,
    NextMark,
    PreviousMark,
    NextLine,
    HideLine,
    LogScale,
    Smoothing,
    Outliers,
    Ascii,
    Blocks,
    Yes,
    No,
}

impl Action {
    /// As the user's file of keys names it.
    pub fn id(self) -> String {
        snake_case(&format!("{self:?}"))
    }
}

macro_rules! scopes {
    ($($(#[doc = $about:literal])? $Scope:ident $name:literal)+) => {
        /// Where a key has a meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Scope {
            $($(#[doc = $about])? $Scope,)+
        }

        impl Scope {
            /// In the order of the docs.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$Scope),+];

            /// Whether keys without a binding edit a line of text.
            pub fn takes_text(self) -> bool {
                matches!(self, Self::Search | Self::Line)
            }

            /// As the user's file of keys names it.
            pub fn id(self) -> String {
                snake_case(&format!("{self:?}"))
            }

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$Scope => $name,)+
                }
            }
        }
    };
}

// a line per screen: its scope, and its title in the help and the docs; the lines of text stay last
scopes! {
    Home "Home"
    /// What a run is to be, before it is started.
    Start "Start a run"
    Run "Run"
    /// One chart at full size.
    Chart "Chart at full size"
    /// Several runs on shared axes.
    Compare "Compare"
    Samples "Images"
    Tweak "Tweak"
    Log "Log"
    /// The choice of a checkpoint.
    RollBack "Roll back"
    Help "Help"
    Confirm "Confirm"
    /// The search of the menu.
    Search "Search in the menu"
    /// A line of text is being edited, on any screen.
    Line "Text input"
}

/// A key as the table writes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyPress {
    code: KeyCode,
    control: bool,
}

/// A row of the table: what some keys do in some scopes.
#[derive(Debug)]
pub struct Binding {
    pub keys: &'static [KeyPress],
    pub action: Action,
    pub scopes: &'static [Scope],
    /// For the footer; a word or two. Empty if the footer leaves it out.
    pub label: &'static str,
    /// For the help screen and the docs; a sentence.
    pub help: &'static str,
    /// It starts or changes something, so it is off in read-only mode.
    pub steers: bool,
}

impl KeyPress {
    pub const fn code(code: KeyCode) -> Self {
        Self {
            code,
            control: false,
        }
    }

    pub const fn char(c: char) -> Self {
        Self::code(KeyCode::Char(c))
    }

    pub const fn control(c: char) -> Self {
        Self {
            code: KeyCode::Char(c),
            control: true,
        }
    }

    /// Keys that have a name, besides characters and F1 to F12.
    pub const NAMED: [(&'static str, KeyCode); 16] = [
        ("Space", KeyCode::Char(' ')),
        ("Enter", KeyCode::Enter),
        ("Esc", KeyCode::Esc),
        ("Tab", KeyCode::Tab),
        ("Shift-Tab", KeyCode::BackTab),
        ("Backspace", KeyCode::Backspace),
        ("Delete", KeyCode::Delete),
        ("Insert", KeyCode::Insert),
        ("Up", KeyCode::Up),
        ("Down", KeyCode::Down),
        ("Left", KeyCode::Left),
        ("Right", KeyCode::Right),
        ("Home", KeyCode::Home),
        ("End", KeyCode::End),
        ("PgUp", KeyCode::PageUp),
        ("PgDn", KeyCode::PageDown),
    ];

    /// The key of this name, in upper or lower case; the reverse of [`Self::name`].
    pub fn named(name: &str) -> Option<Self> {
        const CONTROL: &str = "ctrl-";
        let start = name.get(..CONTROL.len()).unwrap_or_default();
        if start.eq_ignore_ascii_case(CONTROL) {
            let key = Self::named(&name[CONTROL.len()..])?;
            let code = match key.code {
                KeyCode::Char(c) => KeyCode::Char(c.to_ascii_lowercase()),
                code => code,
            };
            return (!key.control).then_some(Self {
                code,
                control: true,
            });
        }
        let mut characters = name.chars();
        if let (Some(c), None) = (characters.next(), characters.next()) {
            return (!c.is_control()).then_some(Self::char(c));
        }
        let short = match name.to_ascii_lowercase().as_str() {
            "pageup" => "pgup".into(),
            "pagedown" => "pgdn".into(),
            "escape" => "esc".into(),
            other => other.to_string(),
        };
        let named = Self::NAMED
            .iter()
            .find(|(n, _)| n.eq_ignore_ascii_case(&short));
        let function = || {
            let number = short.strip_prefix('f')?.parse().ok();
            number.filter(|n| (1..=12).contains(n)).map(KeyCode::F)
        };
        named
            .map(|(_, code)| *code)
            .or_else(function)
            .map(Self::code)
    }

    /// Whether it is text where text is typed.
    pub fn is_text(self) -> bool {
        matches!(self.code, KeyCode::Char(_)) && !self.control
    }

    /// As keyboards label it.
    pub fn name(self) -> String {
        let name = match self.code {
            KeyCode::Char(' ') => "Space".to_string(),
            KeyCode::Char(c) if self.control => c.to_ascii_uppercase().to_string(),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::F(number) => format!("F{number}"),
            code => {
                let named = Self::NAMED.iter().find(|(_, c)| *c == code);
                named.map_or_else(|| format!("{code:?}"), |(name, _)| (*name).into())
            }
        };
        if self.control {
            format!("Ctrl-{name}")
        } else {
            name
        }
    }

    pub fn is(self, event: &KeyEvent) -> bool {
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
