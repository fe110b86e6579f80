//! The keys of charts and of the comparison of runs.

use crate::tui::keys::binding::Scope::{Chart, Compare, Run, Samples};
use crate::tui::keys::binding::{Action, Binding, KeyPress};
use crate::tui::keys::entry::{BACK_TAB, DOWN, ENTER, TAB, UP, binding};

/// What only the comparison has; the first of its footer.
pub static COMPARISON: &[Binding] = &[
    binding(
        &[ENTER],
        Action::Open,
        &[Compare],
        "open",
        "Open the selected run.",
    ),
    binding(
        &[KeyPress::char('t')],
        Action::Table,
        &[Compare],
        "table",
        "Show results and differing settings, or the curves again.",
    ),
    binding(
        &[KeyPress::char('p')],
        Action::Pin,
        &[Compare],
        "pin",
        "Pin the selected run, or unpin it: it is drawn over the others, which are compared with it.",
    ),
    binding(
        &[KeyPress::char('v')],
        Action::HideLine,
        &[Compare],
        "hide",
        "Hide the curves of the selected run, or show them again.",
    ),
    binding(
        &[TAB],
        Action::NextPanel,
        &[Compare],
        "chart",
        "Go to the next chart.",
    ),
    binding(
        &[BACK_TAB],
        Action::PreviousPanel,
        &[Compare],
        "",
        "Go to the previous chart.",
    ),
];

pub static TABLE: &[Binding] = &[
    binding(
        &[KeyPress::char('o')],
        Action::Outliers,
        &[Run, Chart, Compare],
        "outliers",
        "Ignore outliers on the focused chart: its vertical axis leaves out single far values.",
    ),
    binding(
        &[KeyPress::char('>')],
        Action::ValuesIn,
        &[Chart, Compare],
        "zoom y",
        "Zoom in on the vertical axis; Up and Down then move it.",
    ),
    binding(
        &[KeyPress::char('<')],
        Action::ValuesOut,
        &[Chart, Compare],
        "",
        "Zoom out on the vertical axis.",
    ),
    binding(
        &[UP, KeyPress::char('k')],
        Action::Up,
        &[Chart],
        "",
        "Move up the vertical axis, after zooming in on it.",
    ),
    binding(
        &[DOWN, KeyPress::char('j')],
        Action::Down,
        &[Chart],
        "",
        "Move down the vertical axis, after zooming in on it.",
    ),
    binding(
        &[KeyPress::char('n')],
        Action::NextLine,
        &[Chart],
        "line",
        "Choose the next line: it is drawn over the others and explained.",
    ),
    binding(
        &[KeyPress::char('v')],
        Action::HideLine,
        &[Chart],
        "hide",
        "Hide the chosen line, or show it again; with no line chosen, show all.",
    ),
    binding(
        &[KeyPress::char(']')],
        Action::NextMark,
        &[Chart],
        "mark",
        "Move the cursor to the next mark: a tweak, roll back, resumption, pause, evaluation or checkpoint.",
    ),
    binding(
        &[KeyPress::char('[')],
        Action::PreviousMark,
        &[Chart],
        "",
        "Move the cursor to the previous mark.",
    ),
    binding(
        &[KeyPress::char(']')],
        Action::NextMark,
        &[Samples],
        "",
        "Go ten stored steps forward.",
    ),
    binding(
        &[KeyPress::char('[')],
        Action::PreviousMark,
        &[Samples],
        "",
        "Go ten stored steps back.",
    ),
];
