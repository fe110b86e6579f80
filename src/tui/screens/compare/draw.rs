//! What the comparison looks like.

use super::curves::{chart, series};
use super::{CompareScreen, ComparedRun, letter};
use crate::tui::advice::in_keys;
use crate::tui::backend::RunState;
use crate::tui::chart::plots::paragraph;
use crate::tui::context::Context;
use crate::tui::keys::Keymap;
use crate::tui::model::ReportedState;
use crate::tui::screens::chart::remarks;
use crate::tui::text::{clean, fit, number, pad, width, wrap};
use crate::tui::theme::Theme;
use crate::tui::widgets::{frame, list, put, put_lines, put_paragraph};
use astill_core::comparison::{Comparison, notes, results, settings};
use astill_core::measures::{Axis, Measure};
use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::Widget;
use std::cmp::Ordering;

/// The narrowest column of a table, in cells.
const COLUMN: usize = 12;
/// The fewest rows in which curves are drawn below the tables.
const FEWEST_ROWS: u16 = 12;

/// The list of runs, below it the curves or the tables.
pub fn draw(screen: &CompareScreen, buf: &mut Buffer, area: Rect, context: &Context) {
    let [top, body] = parts(screen, area);
    draw_runs(screen, buf, top, context);
    let [tables, curves] = below(screen, body, context);
    if let Some(first) = screen.table {
        draw_tables(screen, buf, tables, context, first);
    }
    if !curves.is_empty() {
        draw_curves(screen, buf, curves, context);
    }
}

/// The tables, where they are shown, and the curves, which fill what the tables leave if that is enough
/// for them.
fn below(screen: &CompareScreen, body: Rect, context: &Context) -> [Rect; 2] {
    let rows = match screen.table {
        None => 0,
        Some(_) => match table_rows(screen, context).saturating_add(2) {
            rows if body.height.saturating_sub(rows) >= FEWEST_ROWS => rows,
            _ => body.height,
        },
    };
    Layout::vertical([Constraint::Length(rows), Constraint::Fill(1)]).areas(body)
}

/// Whether curves are on the screen.
pub fn has_curves(screen: &CompareScreen, context: &Context) -> bool {
    let (columns, rows) = context.size;
    // without the footer
    let area = Rect::new(0, 0, columns, rows.saturating_sub(1));
    let [_, body] = parts(screen, area);
    !below(screen, body, context)[1].is_empty()
}

/// The list of runs, and what is below it.
fn parts(screen: &CompareScreen, area: Rect) -> [Rect; 2] {
    let rows = screen.runs.len() as u16 + 2;
    let list = Constraint::Length(rows.min(area.height / 3).max(4));
    Layout::vertical([list, Constraint::Fill(1)]).areas(area)
}

/// Lines of the tables that have no room.
pub fn most_scroll(screen: &CompareScreen, context: &Context) -> usize {
    let (columns, rows) = context.size;
    // without the footer and the frame
    let area = Rect::new(0, 0, columns, rows.saturating_sub(1));
    let room = usize::from(parts(screen, area)[1].height).saturating_sub(2);
    usize::from(table_rows(screen, context)).saturating_sub(room)
}

/// Lines of the tables.
fn table_rows(screen: &CompareScreen, context: &Context) -> u16 {
    let Some(Ok(comparison)) = &screen.comparison else {
        return 1;
    };
    let cells = usize::from(context.size.0.saturating_sub(2));
    let look = (&context.appearance.theme, &context.keys);
    let lines = tables(screen, comparison, cells, look);
    u16::try_from(lines.len()).unwrap_or(u16::MAX)
}

/// A row per run: letter, name, state, and its value on the chart.
fn draw_runs(screen: &CompareScreen, buf: &mut Buffer, area: Rect, context: &Context) {
    let theme = &context.appearance.theme;
    let title = format!("Compare: {} runs", screen.runs.len());
    let inner = frame(buf, area, &context.appearance, &title, false);
    let widest = screen.runs.iter().map(|r| width(&r.name)).max();
    let names = widest.unwrap_or(0).min(usize::from(inner.width) / 3);
    let current = screen.current();
    let rows = (0..).zip(&screen.runs).map(|(i, run)| {
        let mark = if i == screen.selected { ">" } else { " " };
        let mut remark = state(run, screen.ended_silently(i));
        if let Some((chart, view)) = &current {
            remark += &values(screen, run, chart.measure, view.cursor);
        }
        if screen.pinned == Some(i) {
            remark += "  pinned";
        }
        if screen.hidden.contains(&i) {
            remark += "  hidden";
        }
        let name = pad(&run.name, names);
        Line::from(vec![
            Span::raw(mark),
            Span::styled(letter(i).to_string(), theme.series(i).patch(bold())),
            Span::raw(format!(" {name}  {remark}")),
        ])
    });
    let first = list(buf, inner, rows, screen.selected, Style::new().bold());
    context.targets.add_rows(inner, first, screen.runs.len());
}

fn bold() -> Style {
    Style::new().bold()
}

fn state(run: &ComparedRun, ended_silently: Option<RunState>) -> String {
    let model = &run.model;
    if let Some((read, total)) = run.loading {
        let share = 100. * read as f64 / total.max(1) as f64;
        return format!("reading {share:.0} %");
    }
    if let Some(state) = ended_silently {
        return format!("{} {}/{}", state.name(), model.step, model.iterations);
    }
    let state = match model.state {
        ReportedState::Waiting => "no events",
        ReportedState::Running => "running",
        ReportedState::Paused => "paused",
        ReportedState::Stopping => "stopping",
        ReportedState::Stopped => "stopped",
        ReportedState::Failed => "failed",
        ReportedState::Done => "done",
    };
    format!("{state} {}/{}", model.step, model.iterations)
}

/// "  matching loss 0.4 (-0.02)": the values at the cursor or else the latest, and how far they are from
/// those of the pinned run at the same step, where it has come so far. Where the nearest value is of
/// another step, it is named.
fn values(
    screen: &CompareScreen,
    run: &ComparedRun,
    measure: &Measure,
    cursor: Option<f64>,
) -> String {
    let elsewhere = |step: f64, wanted: f64| match step == wanted {
        true => String::new(),
        false => format!(" at {}", number(step)),
    };
    let pinned = screen.pinned.and_then(|i| screen.runs.get(i));
    let pinned = pinned.filter(|p| p.run != run.run);
    let mut text = String::new();
    for (name, line) in series(run, measure) {
        let found = cursor.map_or_else(|| line.last(), |cursor| line.nearest(cursor));
        let Some((step, value)) = found else {
            continue;
        };
        let name = match name.is_empty() {
            true => measure.title,
            false => &name,
        };
        let at = elsewhere(step, cursor.unwrap_or(step));
        text += &format!("  {name} {}{at}", measure.value(value));
        // the result is another measurement, with other networks
        let result = run.model.headline_accuracy();
        let result = result.filter(|_| measure.axis() == Axis::Evaluation);
        if result.is_some() {
            text += " during the run";
        }
        let same = pinned.and_then(|p| {
            let mut lines = series(p, measure).into_iter();
            let line = lines
                .find(|(other, _)| other.is_empty() || other == name)?
                .1;
            let (first, last) = line.extent()?;
            line.nearest(step)
                .filter(|_| (first..=last).contains(&step))
        });
        if let Some((at, other)) = same {
            let sign = match value.partial_cmp(&other) {
                Some(Ordering::Less) => "-",
                Some(Ordering::Greater) => "+",
                _ => "",
            };
            let difference = measure.value((value - other).abs());
            text += &format!(" ({sign}{difference}{})", elsewhere(at, step));
        }
        if let Some(result) = result {
            text += &format!("  result {}", measure.value(result.mean));
        }
    }
    text
}

fn draw_curves(screen: &CompareScreen, buf: &mut Buffer, area: Rect, context: &Context) {
    let (appearance, theme) = (&context.appearance, &context.appearance.theme);
    let Some((compared, view)) = screen.current() else {
        return;
    };
    let explanation = wrap(&paragraph(compared.measure), area.width.into());
    let rows = match explanation.len() as u16 {
        rows if rows * 3 <= area.height => rows,
        _ => 0,
    };
    let [body, below] =
        Layout::vertical([Constraint::Fill(1), Constraint::Length(rows)]).areas(area);
    let title = format!(
        "{} ({} of {}){}",
        compared.title,
        screen.shown + 1,
        screen.charts.len(),
        remarks(&view)
    );
    let inner = frame(buf, body, appearance, &title, screen.table.is_none());
    let drawn = chart(screen, compared, view, theme);
    match drawn.extent() {
        Some(_) => drawn.render(inner, buf),
        None => {
            let text = in_keys(nothing_yet(screen), &context.keys);
            put(buf, inner, 0, &text, theme.dim());
        }
    }
    for (row, line) in (0..).zip(&explanation) {
        put(buf, below, row, line, theme.dim());
    }
}

fn nothing_yet(screen: &CompareScreen) -> &'static str {
    let hidden = screen.hidden.len() == screen.runs.len();
    match (hidden, screen.runs.iter().any(|r| r.loading.is_some())) {
        (true, _) => {
            "All runs are hidden: `previous-run` and `next-run` select one, `hide-run` shows it."
        }
        (_, true) => "Reading events...",
        _ => "None of these runs has this measure yet.",
    }
}

/// Results and settings, a column per run.
fn draw_tables(
    screen: &CompareScreen,
    buf: &mut Buffer,
    area: Rect,
    context: &Context,
    first: usize,
) {
    let (appearance, theme) = (&context.appearance, &context.appearance.theme);
    let inner = frame(buf, area, appearance, "Results and settings", true);
    match &screen.comparison {
        None => put(buf, inner, 0, "Reading results...", theme.dim()),
        Some(Err(problem)) => put_paragraph(buf, inner, problem, theme.warn()),
        Some(Ok(comparison)) => {
            let look = (theme, &context.keys);
            let lines = tables(screen, comparison, usize::from(inner.width), look);
            put_lines(buf, inner, lines, first);
        }
    }
}

fn tables(
    screen: &CompareScreen,
    comparison: &Comparison,
    cells: usize,
    (theme, keys): (&Theme, &Keymap),
) -> Vec<Line<'static>> {
    let results = results(comparison);
    let heads = results.first().cloned().unwrap_or_default();
    // from a row per run to a column per run, without the names, which are the head
    let rows: Vec<Vec<String>> = (1..heads.len())
        .map(|i| results.iter().map(|row| row[i].clone()).collect())
        .collect();
    let mut lines = table(screen, "Results", &rows, cells, theme);
    let left_out = screen
        .runs
        .len()
        .saturating_sub(fitting(&rows, "Results", cells));
    if left_out > 0 {
        let verb = if left_out == 1 { "does" } else { "do" };
        let text = format!(
            "{left_out} of the {} runs {verb} not fit: `previous-run` and `next-run` choose which are here.",
            screen.runs.len()
        );
        let wrapped = wrap(&in_keys(&text, keys), cells).into_iter();
        lines.extend(wrapped.map(|line| Line::styled(line, theme.dim())));
    }
    lines.push(Line::default());
    let differing: Vec<Vec<String>> = settings(comparison).into_iter().skip(1).collect();
    match differing.is_empty() {
        true => lines.push(Line::from("All settings are the same.")),
        false => lines.extend(table(
            screen,
            "Settings that differ",
            &differing,
            cells,
            theme,
        )),
    }
    lines.push(Line::default());
    for note in notes(comparison) {
        let wrapped = wrap(&clean(&note), cells).into_iter();
        lines.extend(wrapped.map(|line| Line::styled(line, theme.dim())));
    }
    lines
}

/// The cells of the names before the columns of a table.
fn names_width(rows: &[Vec<String>], title: &str, cells: usize) -> usize {
    let names = rows.iter().map(|row| width(&row[0])).max().unwrap_or(0);
    names.max(width(title)).min(cells / 2)
}

/// How many columns a table has room for.
fn fitting(rows: &[Vec<String>], title: &str, cells: usize) -> usize {
    let room = cells.saturating_sub(names_width(rows, title, cells));
    (room / (COLUMN + 2)).max(1)
}

/// A table with a column per run, as many as fit from the selected one on; the pinned run comes first.
/// A row is its name, then the value of every run.
fn table(
    screen: &CompareScreen,
    title: &str,
    rows: &[Vec<String>],
    cells: usize,
    theme: &Theme,
) -> Vec<Line<'static>> {
    let names = names_width(rows, title, cells);
    let room = cells.saturating_sub(names);
    let fitting = fitting(rows, title, cells);
    let mut order = screen.order();
    if order.len() > fitting {
        // the pinned run stays
        let kept = usize::from(screen.pinned.is_some());
        let at = order.iter().position(|i| *i == screen.selected);
        let last = order.len() - (fitting - kept).max(1);
        let from = at.unwrap_or(0).clamp(kept, last.max(kept));
        order = [&order[..kept], &order[from..]].concat();
        order.truncate(fitting);
    }
    let column = (room / order.len().max(1)).saturating_sub(2).min(30);
    let cell = |text: &str| {
        let text = fit(&clean(text), column);
        format!(
            "  {}{text}",
            " ".repeat(column.saturating_sub(width(&text)))
        )
    };
    let mut head = vec![Span::styled(pad(title, names), theme.title())];
    head.extend(order.iter().map(|i| {
        let name = screen.runs.get(*i).map_or("", |r| r.name.as_str());
        let text = format!("{} {name}", letter(*i));
        Span::styled(cell(&text), theme.series(*i).patch(bold()))
    }));
    let mut lines = vec![Line::from(head)];
    for row in rows {
        let mut text = pad(&row[0], names);
        for i in &order {
            text += &cell(row.get(i + 1).map_or("", String::as_str));
        }
        lines.push(Line::from(text));
    }
    lines
}
