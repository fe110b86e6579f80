//! What a row of the table of keys is made of.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// What a key asks for. The screens know what that means for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
}

macro_rules! scopes {
    ($($(#[doc = $about:literal])? $Scope:ident $name:literal)+) => {
        /// Where a key has a meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Scope {
            $($(#[doc = $about])? $Scope,)+
        }

        impl Scope {
            /// In the order of the docs.
            pub const ALL: [Self; [$($name),+].len()] = [$(Self::$Scope),+];

            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$Scope => $name,)+
                }
            }
        }
    };
}

// a line per screen: its scope, and its title in the help and the docs; the line of text stays last
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

    /// As keyboards label it.
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
