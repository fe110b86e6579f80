//! The table of keys, in the order of the footer and the docs.

use crate::tui::keys::binding::Scope::{
    self, Chart, Compare, Confirm, Help, Home, Line, Log, RollBack, Run, Samples, Tweak,
};
use crate::tui::keys::binding::{Action, Binding, KeyPress};
use crossterm::event::KeyCode;

pub(super) const fn binding(
    keys: &'static [KeyPress],
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
    keys: &'static [KeyPress],
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

pub(super) const ENTER: KeyPress = KeyPress::code(KeyCode::Enter);
const ESC: KeyPress = KeyPress::code(KeyCode::Esc);
pub(super) const TAB: KeyPress = KeyPress::code(KeyCode::Tab);
pub(super) const BACK_TAB: KeyPress = KeyPress::code(KeyCode::BackTab);
pub(super) const UP: KeyPress = KeyPress::code(KeyCode::Up);
pub(super) const DOWN: KeyPress = KeyPress::code(KeyCode::Down);
const LEFT: KeyPress = KeyPress::code(KeyCode::Left);
const RIGHT: KeyPress = KeyPress::code(KeyCode::Right);
const PAGE_UP: KeyPress = KeyPress::code(KeyCode::PageUp);
const PAGE_DOWN: KeyPress = KeyPress::code(KeyCode::PageDown);
const HOME: KeyPress = KeyPress::code(KeyCode::Home);
const END: KeyPress = KeyPress::code(KeyCode::End);

/// All but the line of text.
const SCREENS: &[Scope] = match &Scope::ALL {
    [screens @ .., Line] => screens,
    all => all,
};
const WATCHING: &[Scope] = &[Run, Chart];

pub static TABLE: &[Binding] = &[
    binding(
        &[ENTER],
        Action::Open,
        &[Home],
        "start or open",
        "Start the selected profile or open the selected run.",
    ),
    binding(
        &[ENTER],
        Action::Open,
        &[Run],
        "",
        "Open the focused panel: a chart at full size, the samples, or the log.",
    ),
    binding(
        &[ENTER],
        Action::Open,
        &[Samples],
        "zoom",
        "Show one image as large as possible, beside its starting image; press again for the gallery.",
    ),
    binding(&[ENTER], Action::Open, &[Tweak], "edit", "Edit the value."),
    binding(
        &[ENTER],
        Action::Open,
        &[RollBack],
        "roll back",
        "Roll back to the selected checkpoint, after confirmation.",
    ),
    binding(
        &[ENTER],
        Action::Open,
        &[Confirm],
        "choose",
        "Choose the selected answer; it is Cancel at first.",
    ),
    binding(&[ENTER], Action::Open, &[Line], "done", "Accept the text."),
    steering(
        &[KeyPress::char('f')],
        Action::Fetch,
        &[Home],
        "fetch data",
        "Fetch the data set of the selected profile, where it is not on this machine yet.",
    ),
    binding(
        &[KeyPress::char('/')],
        Action::Search,
        &[Home, Log, Help],
        "search",
        "Search the list by name, or filter the log or the help by text.",
    ),
    steering(
        &[KeyPress::char(' ')],
        Action::Pause,
        WATCHING,
        "pause",
        "Pause or resume the run; starts a new engine if there is none.",
    ),
    steering(
        &[KeyPress::char('t')],
        Action::Tweak,
        WATCHING,
        "tweak",
        "Change settings while the run continues.",
    ),
    binding(
        &[KeyPress::char('s')],
        Action::Samples,
        WATCHING,
        "samples",
        "View the synthetic images.",
    ),
    binding(
        &[KeyPress::char('l')],
        Action::Log,
        WATCHING,
        "log",
        "View the whole log.",
    ),
    steering(
        &[KeyPress::char('x')],
        Action::Stop,
        WATCHING,
        "stop",
        "Write a checkpoint and stop the run, after confirmation.",
    ),
    steering(
        &[KeyPress::char('r')],
        Action::RollBack,
        WATCHING,
        "roll back",
        "Roll back to a checkpoint, after confirmation.",
    ),
    steering(
        &[KeyPress::char('c')],
        Action::Checkpoint,
        WATCHING,
        "checkpoint",
        "Write a checkpoint now.",
    ),
    steering(
        &[KeyPress::char('e')],
        Action::Evaluate,
        WATCHING,
        "evaluate",
        "Evaluate the synthetic images now.",
    ),
    binding(
        &[KeyPress::char('f')],
        Action::FullSize,
        &[Run, Chart, Samples],
        "full size",
        "Show the focused panel at full size, or return.",
    ),
    binding(
        &[TAB],
        Action::NextPanel,
        &[Run, Chart],
        "next",
        "Go to the next panel.",
    ),
    binding(
        &[BACK_TAB],
        Action::PreviousPanel,
        &[Run, Chart],
        "",
        "Go to the previous panel.",
    ),
    binding(
        &[TAB],
        Action::NextPanel,
        &[Samples],
        "image",
        "Go to the next image.",
    ),
    binding(
        &[BACK_TAB],
        Action::PreviousPanel,
        &[Samples],
        "",
        "Go to the previous image.",
    ),
    binding(
        &[TAB],
        Action::NextPanel,
        &[Confirm],
        "other",
        "Select the other answer.",
    ),
    binding(
        &[BACK_TAB],
        Action::PreviousPanel,
        &[Confirm],
        "",
        "Select the other answer.",
    ),
    binding(
        &[UP, KeyPress::char('k')],
        Action::Up,
        &[Home, Run, Compare, Samples, Tweak, Log, RollBack, Help],
        "",
        "Move up: to the previous row or class, or the panel above.",
    ),
    binding(
        &[DOWN, KeyPress::char('j')],
        Action::Down,
        &[Home, Run, Compare, Samples, Tweak, Log, RollBack, Help],
        "",
        "Move down: to the next row or class, or the panel below.",
    ),
    binding(
        &[LEFT, KeyPress::char('h')],
        Action::Left,
        &[Chart, Compare],
        "cursor",
        "Move the cursor to the previous point.",
    ),
    binding(
        &[RIGHT],
        Action::Right,
        &[Chart, Compare],
        "",
        "Move the cursor to the next point.",
    ),
    binding(
        &[LEFT, KeyPress::char('h')],
        Action::Left,
        &[Run, Confirm],
        "",
        "Go to the panel on the left, or select the other answer.",
    ),
    binding(
        &[RIGHT],
        Action::Right,
        &[Run],
        "",
        "Go to the panel on the right (l opens the log here).",
    ),
    binding(
        &[RIGHT, KeyPress::char('l')],
        Action::Right,
        &[Confirm],
        "",
        "Select the other answer.",
    ),
    binding(
        &[LEFT, KeyPress::char('h')],
        Action::Left,
        &[Samples],
        "earlier",
        "Show the images of an earlier step.",
    ),
    binding(
        &[RIGHT, KeyPress::char('l')],
        Action::Right,
        &[Samples],
        "later",
        "Show the images of a later step.",
    ),
    binding(
        &[UP],
        Action::Up,
        &[Line],
        "",
        "Move up, or pick the previous choice.",
    ),
    binding(
        &[DOWN],
        Action::Down,
        &[Line],
        "",
        "Move down, or pick the next choice.",
    ),
    binding(
        &[PAGE_UP],
        Action::PageUp,
        &[Home, Chart, Compare, Samples, Tweak, Log, Help],
        "",
        "Move up one page; in a chart, to earlier points.",
    ),
    binding(
        &[PAGE_DOWN],
        Action::PageDown,
        &[Home, Chart, Compare, Samples, Tweak, Log, Help],
        "",
        "Move down one page; in a chart, to later points.",
    ),
    binding(
        &[HOME, KeyPress::char('g')],
        Action::First,
        &[Home, Chart, Compare, Samples, Tweak, Log, RollBack, Help],
        "",
        "Go to the beginning; a chart shows everything again.",
    ),
    binding(
        &[END, KeyPress::char('G')],
        Action::Last,
        &[Home, Chart, Compare, Samples, Tweak, Log, RollBack, Help],
        "",
        "Go to the end; charts, samples and the log then follow the run.",
    ),
    binding(
        &[KeyPress::char('+'), KeyPress::char('=')],
        Action::ZoomIn,
        &[Chart, Compare, Samples],
        "zoom",
        "Zoom in.",
    ),
    binding(
        &[KeyPress::char('-')],
        Action::ZoomOut,
        &[Chart, Compare, Samples],
        "",
        "Zoom out.",
    ),
    binding(
        &[KeyPress::char('y')],
        Action::LogScale,
        &[Run, Chart, Compare],
        "log y",
        "Toggle the logarithmic scale of the focused chart.",
    ),
    binding(
        &[KeyPress::char('m')],
        Action::Smoothing,
        &[Run, Chart, Compare],
        "smooth",
        "Change the smoothing of the focused chart.",
    ),
    binding(
        &[KeyPress::char('a')],
        Action::Ascii,
        &[Run, Samples],
        "ascii",
        "Draw images as ASCII characters, or as coloured blocks.",
    ),
    binding(
        &[KeyPress::char('b')],
        Action::Blocks,
        &[Run, Samples],
        "blocks",
        "Draw images in finer blocks (quadrants; sextants, which not every font has), by the terminal itself \
         if it answers that it has kitty's graphics, or in half blocks again.",
    ),
    binding(
        &[KeyPress::char('n')],
        Action::Escape,
        &[Confirm],
        "no",
        "Cancel.",
    ),
    binding(
        &[KeyPress::char('y')],
        Action::Yes,
        &[Confirm],
        "yes",
        "Confirm.",
    ),
];

/// The last of the footer: help and the way out.
pub static LAST: &[Binding] = &[
    binding(
        &[KeyPress::char('?')],
        Action::Help,
        &[
            Home, Run, Chart, Compare, Samples, Tweak, Log, RollBack, Confirm,
        ],
        "help",
        "Explain the keys, charts, marks and words of this screen.",
    ),
    binding(
        &[KeyPress::char('q'), KeyPress::control('c')],
        Action::Back,
        SCREENS,
        "back",
        "Go back; on the first screen, quit. Runs continue without the app.",
    ),
    binding(
        &[ESC],
        Action::Escape,
        SCREENS,
        "",
        "Go back, but never quit; on Home, clear the search.",
    ),
    binding(
        &[ESC, KeyPress::control('c')],
        Action::Escape,
        &[Line],
        "cancel",
        "Discard the text.",
    ),
    binding(
        &[KeyPress::control('z')],
        Action::Suspend,
        Scope::ALL.as_slice(),
        "",
        "Suspend the app; fg in the shell returns to it.",
    ),
];
