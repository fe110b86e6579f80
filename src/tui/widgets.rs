//! What the screens have in common: frames, popups, lists, bars.

use crate::tui::context::Appearance;
use crate::tui::model::Weight;
use crate::tui::text::{clean, fit, width};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Flex, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{
    Block, Clear, LineGauge, List, ListState, Padding, Paragraph, StatefulWidget, Widget, Wrap,
};

/// A frame with a title; returns what is inside. The focus shows without colour: by a mark and
/// reverse video.
pub fn frame(
    buf: &mut Buffer,
    area: Rect,
    appearance: &Appearance,
    title: &str,
    focused: bool,
) -> Rect {
    framed(buf, area, appearance, title, focused, Padding::ZERO)
}

/// A frame in the middle of `area`, over what is drawn there, with room for `columns` × `rows`
/// cells.
pub fn popup(
    buf: &mut Buffer,
    area: Rect,
    appearance: &Appearance,
    title: &str,
    (columns, rows): (u16, u16),
) -> Rect {
    let area = area.centered(
        Constraint::Length(columns.saturating_add(4)),
        Constraint::Length(rows.saturating_add(2)),
    );
    Clear.render(area, buf);
    framed(buf, area, appearance, title, true, Padding::horizontal(1))
}

fn framed(
    buf: &mut Buffer,
    area: Rect,
    appearance: &Appearance,
    title: &str,
    focused: bool,
    padding: Padding,
) -> Rect {
    let theme = &appearance.theme;
    let (mark, style) = if focused {
        (">", theme.selected())
    } else {
        ("", theme.title())
    };
    let title = fit(title, usize::from(area.width).saturating_sub(5));
    let block = Block::bordered()
        .border_set(theme.border_set())
        .border_style(theme.border())
        .title(Span::styled(format!(" {mark}{title} "), style))
        .padding(padding);
    let inner = block.inner(area);
    block.render(area, buf);
    inner
}

/// Writes a line of clean text at a row of `area`, with a mark where it is cut to its width.
pub fn put(buf: &mut Buffer, area: Rect, row: u16, text: &str, style: Style) {
    if let Some(area) = area.rows().nth(row.into()) {
        Line::styled(fit(text, area.width.into()), style).render(area, buf);
    }
}

/// A text from outside, wrapped to the width of `area`.
pub fn put_paragraph(buf: &mut Buffer, area: Rect, text: &str, style: Style) {
    Paragraph::new(clean(text))
        .style(style)
        .wrap(Wrap { trim: true })
        .render(area, buf);
}

/// Lines as they are, without the first `skip` of them as far as the rest fills the area.
pub fn put_lines<'a>(buf: &mut Buffer, area: Rect, lines: impl Into<Text<'a>>, skip: usize) {
    let text = lines.into();
    let most = text.height().saturating_sub(area.height.into());
    let skip = u16::try_from(skip.min(most)).unwrap_or(u16::MAX);
    Paragraph::new(text).scroll((skip, 0)).render(area, buf);
}

/// A list that is scrolled so that the selected item is visible; returns the first visible item.
/// `highlight` goes over the whole row of the selected item, which brings its mark itself.
pub fn list<'a>(
    buf: &mut Buffer,
    area: Rect,
    items: impl IntoIterator<Item = Line<'a>>,
    selected: usize,
    highlight: Style,
) -> usize {
    let mut state = ListState::default().with_selected(Some(selected));
    let list = List::new(items)
        .highlight_style(highlight)
        .scroll_padding(usize::from(area.height) / 4);
    StatefulWidget::render(list, area, buf, &mut state);
    state.offset()
}

/// Progress: per cent, a bar, and `text` after it. `share` is in [0, 1]; NaN and infinities count
/// as 0.
pub fn gauge(buf: &mut Buffer, area: Rect, appearance: &Appearance, share: f64, text: &str) {
    /// Per cent and a bar; a longer bar is not easier to read.
    const WIDEST: u16 = 66;
    let theme = &appearance.theme;
    let share = if share.is_finite() { share } else { 0. };
    // ratatui asserts this range, which NaN is not in either
    let ratio = share.clamp(0., 1.);
    let (filled, unfilled) = if theme.ascii {
        ("#", ".")
    } else {
        ("█", "░")
    };
    let text_cells = u16::try_from(width(text)).unwrap_or(u16::MAX);
    let [bar, words] = Layout::horizontal([Constraint::Max(WIDEST), Constraint::Min(text_cells)])
        .flex(Flex::Start)
        .spacing(1)
        .areas(area);
    LineGauge::default()
        .ratio(ratio)
        .label(format!("{:3.0} %", ratio * 100.))
        .filled_symbol(filled)
        .unfilled_symbol(unfilled)
        .style(theme.accent())
        .filled_style(theme.accent())
        .unfilled_style(theme.accent())
        .render(bar, buf);
    put(buf, words, 0, text, theme.accent());
}

/// The style of a line of this weight.
pub fn weight_style(appearance: &Appearance, weight: Weight) -> Style {
    let theme = &appearance.theme;
    match weight {
        Weight::Normal => theme.text(),
        Weight::Step => theme.dim(),
        Weight::Command => theme.accent(),
        Weight::Warning => theme.warn(),
        Weight::Failure => theme.bad(),
        Weight::Result => theme.good(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::tests::stage::LOOK;

    #[test]
    fn a_gauge_takes_any_number_in_any_area() {
        for share in [f64::NAN, f64::INFINITY, -1., 0., 0.5, 1., 7.] {
            for (columns, rows) in [(0, 0), (1, 1), (12, 1), (80, 1), (200, 3)] {
                let area = Rect::new(0, 0, columns, rows);
                let mut buf = Buffer::empty(area);
                gauge(&mut buf, area, &LOOK, share, "batches 7/29");
                let row: String = (0..columns).map(|x| buf[(x, 0)].symbol()).collect();
                assert!(columns < 80 || row.contains("batches 7/29"), "{row}");
                assert!(columns < 80 || row.contains(" %"), "{row}");
            }
        }
    }
}
