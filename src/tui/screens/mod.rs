//! The screens, and what they have in common: frames, popups, the footer.

pub mod confirm;
pub mod header;
pub mod help;
pub mod home;
pub mod log;
pub mod panel;
pub mod roll_back;
pub mod run;
pub mod samples;
pub mod tweak;

pub use confirm::{Confirm, Then};
pub use help::Help;
pub use home::Home;
pub use log::Log;
pub use roll_back::RollBack;
pub use samples::Samples;
pub use tweak::Tweak;

use super::app::{Appearance, Context, Layer};
use super::keys::{self, Action, Scope};
use super::model::{State, Weight};
use super::session::{RunStatus, Session};
use super::text::{fit, pad, width, wrap};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Widget};

/// Below this there is room for one line only.
const SMALLEST: (u16, u16) = (40, 10);

/// Draws the layers: the last one that fills the screen, and the popups over it.
pub fn draw(frame: &mut Frame, context: &Context, layers: &[Layer], scope: Scope) {
    let area = frame.area();
    let buf = frame.buffer_mut();
    if area.is_empty() {
        return;
    }
    if area.width < SMALLEST.0 || area.height < SMALLEST.1 {
        return draw_line(buf, area, context, layers);
    }
    let body = Rect {
        height: area.height - 1,
        ..area
    };
    let base = layers.iter().rposition(fills_the_screen).unwrap_or(0);
    let mut cursor = None;
    for layer in layers.iter().skip(base) {
        cursor = match layer {
            Layer::Home => home::draw(buf, body, context),
            Layer::Run => run::draw(buf, body, context),
            Layer::Chart => panel::draw_full(buf, body, context),
            Layer::Samples(samples) => samples.draw(buf, body, context),
            Layer::Tweak(tweak) => tweak.draw(buf, body, context),
            Layer::Log(log) => log.draw(buf, body, context),
            Layer::RollBack(roll_back) => roll_back.draw(buf, body, context),
            Layer::Help(help) => help.draw(buf, body, context),
            Layer::Confirm(confirm) => confirm.draw(buf, body, context),
        };
    }
    footer(buf, area, context, scope, layers.len() == 1);
    if let Some(cursor) = cursor {
        frame.set_cursor_position(cursor);
    }
}

fn fills_the_screen(layer: &Layer) -> bool {
    matches!(
        layer,
        Layer::Home | Layer::Run | Layer::Chart | Layer::Samples(_) | Layer::Log(_)
    )
}

/// All that a very small terminal shows.
fn draw_line(buf: &mut Buffer, area: Rect, context: &Context, layers: &[Layer]) {
    let text = match (layers.last(), &context.notice) {
        (Some(Layer::Confirm(confirm)), _) => confirm.in_a_line(),
        (_, Some(notice)) => notice.text.clone(),
        (Some(Layer::Home), _) => context.home.in_a_line(),
        _ => context
            .session
            .as_ref()
            .map_or_else(|| "astill".into(), header::in_a_line),
    };
    put(buf, area, 0, &text, Style::new());
}

/// In the last row the keys of a place; or what there is to say, in as many rows as it takes.
fn footer(buf: &mut Buffer, area: Rect, context: &Context, scope: Scope, is_base: bool) {
    /// A reason that is longer is in the log.
    const MOST: usize = 4;
    let theme = &context.look.theme;
    if let Some(notice) = &context.notice {
        let lines = wrap(&notice.text, area.width.into());
        let rows = lines.len().min(MOST) as u16;
        let area = Rect {
            y: area.bottom() - rows,
            height: rows,
            ..area
        };
        Clear.render(area, buf);
        for (row, line) in (0..rows).zip(&lines) {
            put(
                buf,
                area,
                row,
                line,
                weight_style(&context.look, notice.weight),
            );
        }
        return;
    }
    let area = Rect {
        y: area.bottom() - 1,
        height: 1,
        ..area
    };
    let mut spans = Vec::new();
    let mut left = usize::from(area.width);
    // the last ones say how to get help and how to get out: they are always there
    // over a chart, what is about the chart
    let is_elsewhere = |b: &keys::Binding| {
        scope == Scope::Chart && (b.steers || matches!(b.action, Action::Samples | Action::Log))
    };
    let is_off =
        |b: &keys::Binding| b.label.is_empty() || !can_steer(context, b) || is_elsewhere(b);
    let bindings: Vec<_> = keys::at(scope).filter(|b| !is_off(b)).collect();
    let item = |b: &keys::Binding| {
        (
            format!(" {} ", b.keys.first().map(|k| k.name()).unwrap_or_default()),
            format!("{}  ", label(context, b, is_base)),
        )
    };
    let cells = |b: &keys::Binding| width(&item(b).0) + width(&item(b).1);
    let (first, last) = bindings.split_at(bindings.len().saturating_sub(2));
    let mut reserved: usize = last.iter().map(|b| cells(b)).sum();
    for (binding, is_last) in first
        .iter()
        .map(|b| (b, false))
        .chain(last.iter().map(|b| (b, true)))
    {
        let taken = cells(binding);
        if is_last {
            reserved -= taken;
        }
        if taken + reserved > left {
            continue;
        }
        left -= taken;
        let (key, label) = item(binding);
        spans.push(Span::styled(key, theme.accent().patch(Style::new().bold())));
        spans.push(Span::styled(label, theme.dim()));
    }
    Line::from(spans).render(area, buf);
}

/// Whether a key that steers has anything to steer.
fn can_steer(context: &Context, binding: &keys::Binding) -> bool {
    let Some(session) = &context.session else {
        return true;
    };
    let starts_engine = matches!(
        session.standing(),
        RunStatus::Gone
            | RunStatus::MaybeRemote
            | RunStatus::Reported(State::Stopped | State::Failed)
    );
    let can = session.is_live() || (starts_engine && binding.action == Action::Pause);
    !binding.steers || (can && !context.look.read_only)
}

/// What the footer says that a key does, as things are.
fn label<'a>(context: &Context, binding: &'a keys::Binding, is_base: bool) -> &'a str {
    let at_work = |s: &Session| {
        matches!(
            s.standing(),
            RunStatus::Reported(State::Waiting | State::Running | State::Stopping)
        )
    };
    match binding.action {
        Action::Back if is_base => "leave",
        Action::Pause if context.session.as_ref().is_some_and(|s| !at_work(s)) => "resume",
        _ => binding.label,
    }
}

/// A frame with a title; returns what is inside. The focus shows without colour: by a mark and
/// reverse video.
pub fn frame(buf: &mut Buffer, area: Rect, look: &Appearance, title: &str, focused: bool) -> Rect {
    let theme = &look.theme;
    let style = if focused {
        theme.selected()
    } else {
        theme.title()
    };
    let mark = if focused { ">" } else { "" };
    let title = format!(
        " {mark}{} ",
        fit(title, usize::from(area.width).saturating_sub(5))
    );
    let block = Block::bordered()
        .border_set(theme.border_set())
        .border_style(theme.border())
        .title(Span::styled(title, style));
    let inner = block.inner(area);
    block.render(area, buf);
    inner
}

/// A frame in the middle of `area`, over whatever is there.
pub fn popup(
    buf: &mut Buffer,
    area: Rect,
    look: &Appearance,
    title: &str,
    columns: u16,
    rows: u16,
) -> Rect {
    let (width, height) = (columns.min(area.width), rows.min(area.height));
    let area = Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    };
    Clear.render(area, buf);
    frame(buf, area, look, title, true)
}

/// Writes a line of clean text at a row of `area`, cut to its width.
pub fn put(buf: &mut Buffer, area: Rect, row: u16, text: &str, style: Style) {
    if row < area.height && !area.is_empty() {
        buf.set_string(area.x, area.y + row, fit(text, area.width.into()), style);
    }
}

/// Writes a line over the whole width of a row, so that its style is seen to the end.
pub fn put_row(buf: &mut Buffer, area: Rect, row: u16, text: &str, style: Style) {
    if row < area.height && !area.is_empty() {
        buf.set_string(area.x, area.y + row, pad(text, area.width.into()), style);
    }
}

/// A list's rows: how many to skip so that `selected` of `total` is in sight in `rows`.
pub fn scrolled(selected: usize, total: usize, rows: usize) -> usize {
    (selected + 1)
        .saturating_sub(rows.saturating_sub(rows / 4).max(1))
        .min(total.saturating_sub(rows))
}

/// A share as a bar in so many cells.
pub fn bar(look: &Appearance, share: f64, cells: usize) -> String {
    let full = if share.is_finite() {
        (share.clamp(0., 1.) * cells as f64).round() as usize
    } else {
        0
    };
    let (done, left) = if look.theme.ascii {
        ("#", ".")
    } else {
        ("█", "░")
    };
    done.repeat(full) + &left.repeat(cells - full)
}

/// How a line of this weight looks.
pub fn weight_style(look: &Appearance, weight: Weight) -> Style {
    let theme = &look.theme;
    match weight {
        Weight::Normal => theme.text(),
        Weight::Step => theme.dim(),
        Weight::Command => theme.accent(),
        Weight::Warning => theme.warn(),
        Weight::Failure => theme.bad(),
        Weight::Result => theme.good(),
    }
}
