//! The parts of the form, drawn.

use super::rows::Row;
use super::{NAME, StartForm};
use crate::tui::backend::DeviceChoice;
use crate::tui::context::Context;
use crate::tui::screen::Screen;
use crate::tui::screens::estimate::{self, Named};
use crate::tui::text::{clean, fit, pad, wrap};
use crate::tui::widgets::{list, put_lines};
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::text::Line;
use std::path::Path;

/// Keys that are offered while one is being written.
const OFFERED: usize = 2;

impl StartForm {
    pub(super) fn draw_fields(
        &self,
        buf: &mut Buffer,
        area: Rect,
        context: &Context,
    ) -> Option<Position> {
        let theme = &context.appearance.theme;
        let cells = usize::from(area.width).saturating_sub(NAME);
        let edited = self.line.as_ref().map(|line| line.shown(cells));
        let rows = self.rows();
        let items = rows.iter().enumerate().map(|(i, row)| {
            let is_selected = i == self.selected;
            let mark = if is_selected { ">" } else { " " };
            if let (true, Some((text, _))) = (is_selected, &edited) {
                return Line::from(format!("{mark}{}{text}", pad(row.name(), NAME - 1)));
            }
            let (value, is_given) = self.shown(*row);
            let style = match is_given {
                true => theme.text(),
                false => theme.dim(),
            };
            let text = format!("{mark}{}{}", pad(row.name(), NAME - 1), pad(&value, cells));
            match row {
                Row::Start => {
                    let name = self.started.as_ref().map_or("Start", |_| "Open the run");
                    Line::styled(format!("{mark}[ {name} ]"), theme.text())
                }
                _ => Line::styled(text, style),
            }
        });
        let highlight = match edited {
            Some(_) => theme.accent(),
            None => theme.selected(),
        };
        let first = list(buf, area, items, self.selected, highlight);
        context.targets.add_rows(area, first, rows.len());
        let row = u16::try_from(self.selected - first).unwrap_or(u16::MAX);
        edited.map(|(_, at)| Position::new(area.x + (NAME + at) as u16, area.y + row))
    }

    /// The value of a row, and whether it is given and not the default.
    fn shown(&self, row: Row) -> (String, bool) {
        match row {
            Row::Name if self.name.is_empty() => {
                // the engine names runs so too
                let name = Path::new(&self.reference).file_stem();
                let name = clean(&name.unwrap_or_default().to_string_lossy());
                (
                    format!("{name}-001, or the next number that is free"),
                    false,
                )
            }
            Row::Name => (clean(&self.name), true),
            Row::Seed if self.seed.is_empty() => {
                let seed = self.profile.as_ref().map_or(0, |p| p.seed);
                (seed.to_string(), false)
            }
            Row::Seed => (self.seed.clone(), true),
            Row::Device => match self.devices.get(self.device) {
                None | Some(DeviceChoice::Auto) => (
                    "auto: the GPU with the most free memory, or the CPU".into(),
                    false,
                ),
                Some(device) => (device.to_string(), true),
            },
            Row::Set(index) => (clean(&self.sets[index]), true),
            Row::Add => ("change a setting, for example distill.ipc=2".into(), false),
            Row::Start => (String::new(), true),
        }
    }

    pub(super) fn draw_estimate(&self, buf: &mut Buffer, area: Rect, context: &Context) {
        let theme = &context.appearance.theme;
        let preview = context.previews.get(&self.request());
        let mut named = vec![estimate::data(&self.data, preview, context, self.scope())];
        match preview.map(|p| &p.profile) {
            Some(Err(problem)) => {
                let problem = clean(problem.lines().next().unwrap_or_default());
                named.push(("Error", problem, theme.bad()));
            }
            _ => named.extend(estimate::cost(preview, theme)),
        }
        // the menu's preview has all of them
        let remark = preview.and_then(|p| p.remarks.first());
        named.extend(remark.map(|remark| ("", clean(remark), theme.warn())));
        let room = (usize::from(area.width), usize::from(area.height));
        put_lines(buf, area, as_lines(named, room.0, room.1), 0);
    }

    /// What is wrong with the line that is being edited, or what it is about.
    pub(super) fn draw_foot(&self, buf: &mut Buffer, area: Rect, context: &Context) {
        let theme = &context.appearance.theme;
        let cells = usize::from(area.width);
        let mut parts = Vec::new();
        let is_key_written = self.line.as_ref().is_some_and(|l| l.text().contains('='));
        let is_setting = self.is_setting() && self.line.is_some();
        for key in self.offered().into_iter().take(OFFERED) {
            let text = format!("{}: {}", key.path, clean(key.meaning));
            parts.push((text, theme.dim()));
        }
        if let Some(problem) = self.problem().filter(|_| !is_setting || is_key_written) {
            parts.insert(0, (problem, theme.warn()));
        } else if is_setting && !is_key_written {
            let (text, style) = match parts.is_empty() {
                true => ("No key contains this; write KEY=VALUE.", theme.warn()),
                false => (
                    "KEY=VALUE, or part of a key: Down completes it with the first key below.",
                    theme.dim(),
                ),
            };
            parts.insert(0, (text.into(), style));
        }
        let lines: Vec<Line> = parts
            .into_iter()
            .flat_map(|(text, style)| {
                let rows = wrap(&text, cells).into_iter();
                rows.map(move |row| Line::styled(row, style))
            })
            .collect();
        let shown = lines.into_iter().take(area.height.into());
        put_lines(buf, area, shown.collect::<Vec<_>>(), 0);
    }
}

/// "name   value", in `rows` rows: a row for each value, and what is left of them for the first ones
/// that need more; what is cut off ends in "..".
fn as_lines(named: Vec<Named>, cells: usize, rows: usize) -> Vec<Line<'static>> {
    let mut spare = rows.saturating_sub(named.len());
    let cells = cells.saturating_sub(NAME);
    let mut lines = Vec::new();
    for (name, text, style) in named {
        let mut parts = wrap(&text, cells);
        let rest = parts.split_off(parts.len().min(spare));
        if !rest.is_empty() {
            parts.push(fit(&rest.join(" "), cells));
        }
        spare -= parts.len().saturating_sub(1);
        lines.extend(parts.into_iter().enumerate().map(|(i, row)| {
            let name = pad(if i == 0 { name } else { "" }, NAME - 1);
            Line::styled(format!(" {name}{row}"), style)
        }));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::style::Style;

    #[test]
    fn a_long_text_leaves_a_row_to_every_other_and_is_cut_with_a_mark() {
        let long = "no folder of this name; ".repeat(20);
        let texts = [
            ("Data", long.as_str()),
            ("Time", "1 h"),
            ("Memory", "2 GiB"),
        ];
        let named = texts.map(|(name, text)| (name, text.to_string(), Style::new()));
        let lines = as_lines(named.to_vec(), 40, 4);
        let lines: Vec<String> = lines.iter().map(ToString::to_string).collect();
        assert_eq!(lines.len(), 4, "{lines:?}");
        assert!(lines[1].ends_with(".."), "{lines:?}");
        assert!(lines[2].contains("1 h") && lines[3].contains("2 GiB"));
    }
}
