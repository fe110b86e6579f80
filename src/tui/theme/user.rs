//! The user's file of colours: what it changes of the palettes, checked, and the file to start from.

use super::palette::{Background, NAMED, Palette, Palettes, SERIES};
use crate::tui::user_file::{Problems, path_of};
use astill_core::Result;
use astill_core::profile::did_you_mean;
use astill_core::yaml::{MapEntry, Value};
use ratatui::style::Color;
use std::fmt::Write;
use std::path::Path;

/// What a file says about colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThemeSettings {
    pub palettes: Palettes,
    /// None: the terminal is asked.
    pub background: Option<Background>,
}

impl Default for ThemeSettings {
    fn default() -> Self {
        Self {
            palettes: Palettes::DEFAULT,
            background: None,
        }
    }
}

/// The sections with palettes, and what they are for.
const SECTIONS: [(&str, &str); 4] = [
    ("dark", "On a dark background."),
    ("light", "On a light background."),
    (
        "any",
        "Where the terminal does not say what its background is.",
    ),
    ("sixteen", "On terminals with 16 colours; by name only."),
];

/// The names of single colours, and what they are for.
const COLOURS: [(&str, &str); 5] = [
    ("accent", "What is selected, progress, keys."),
    ("good", "Results, running."),
    ("bad", "Failures."),
    ("warning", "Warnings, paused."),
    ("dim", "What matters less: frames, axes, explanations."),
];
const SERIES_NAME: &str = "series";
const BACKGROUND: &str = "background";
const BACKGROUNDS: [(&str, Option<Background>); 3] = [
    ("auto", None),
    ("dark", Some(Background::Dark)),
    ("light", Some(Background::Light)),
];

/// The palettes with the changes in `text`, the content of the file `path`.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn patched(path: &Path, text: &str) -> Result<ThemeSettings> {
    let mut settings = ThemeSettings::default();
    let mut problems = Problems::of(path);
    for entry in problems.document(text) {
        if entry.key == BACKGROUND {
            match background_of(&entry.value) {
                Ok(background) => settings.background = background,
                Err(problem) => problems.push(entry.line, BACKGROUND, problem),
            }
            continue;
        }
        let Some(palette) = palette_of(&mut settings.palettes, &entry.key) else {
            let names = SECTIONS.map(|(name, _)| name).into_iter();
            let names: Vec<String> = std::iter::once(BACKGROUND)
                .chain(names)
                .map(String::from)
                .collect();
            problems.unknown("", &entry, &names);
            continue;
        };
        for colour in problems.entries(&entry.key, entry.line, entry.value) {
            patch(palette, &entry.key, &colour, &mut problems);
        }
    }
    problems.refuse()?;
    Ok(settings)
}

fn background_of(value: &Value) -> Result<Option<Background>, String> {
    let named = |name: &str| BACKGROUNDS.iter().find(|(n, _)| *n == name);
    match value {
        Value::Text(name) if named(name).is_some() => Ok(named(name).and_then(|(_, b)| *b)),
        other => Err(format!("expected auto, dark or light; found {other}")),
    }
}

fn palette_of<'a>(palettes: &'a mut Palettes, section: &str) -> Option<&'a mut Palette> {
    Some(match section {
        "dark" => &mut palettes.dark,
        "light" => &mut palettes.light,
        "any" => &mut palettes.any,
        "sixteen" => &mut palettes.sixteen,
        _ => return None,
    })
}

fn colour_in<'a>(palette: &'a mut Palette, name: &str) -> Option<&'a mut Color> {
    Some(match name {
        "accent" => &mut palette.accent,
        "good" => &mut palette.good,
        "bad" => &mut palette.bad,
        "warning" => &mut palette.warning,
        "dim" => &mut palette.dim,
        _ => return None,
    })
}

fn patch(palette: &mut Palette, section: &str, entry: &MapEntry, problems: &mut Problems<'_>) {
    let key = path_of(section, &entry.key);
    let only_named = section == "sixteen";
    if entry.key == SERIES_NAME {
        match series_of(&entry.value, only_named) {
            Ok(series) => palette.series = series,
            Err(problem) => problems.push(entry.line, &key, problem),
        }
        return;
    }
    match (
        colour_in(palette, &entry.key),
        colour_of(&entry.value, only_named),
    ) {
        (Some(colour), Ok(given)) => *colour = given,
        (Some(_), Err(problem)) => problems.push(entry.line, &key, problem),
        (None, _) => {
            let names = COLOURS.map(|(name, _)| name).into_iter();
            let names: Vec<String> = names.chain([SERIES_NAME]).map(String::from).collect();
            problems.unknown(section, entry, &names);
        }
    }
}

fn series_of(value: &Value, only_named: bool) -> Result<[Color; SERIES], String> {
    let expected = format!("expected a list of {SERIES} colours");
    let Value::List(values) = value else {
        return Err(format!("{expected}, found {value}"));
    };
    let colours: Result<Vec<Color>, String> =
        values.iter().map(|v| colour_of(v, only_named)).collect();
    let colours = colours?;
    let count = colours.len();
    colours
        .try_into()
        .map_err(|_| format!("{expected}, found {count}"))
}

fn colour_of(value: &Value, only_named: bool) -> Result<Color, String> {
    let names = NAMED.map(|(name, _)| name);
    let expected = match only_named {
        true => format!("expected one of {}", names.join(", ")),
        false => format!(
            "expected \"#rrggbb\" (in quotes: # begins a comment) or one of {}",
            names.join(", ")
        ),
    };
    let Value::Text(text) = value else {
        return Err(format!("{expected}; found {value}"));
    };
    let named = NAMED.iter().find(|(name, _)| name == text);
    let colour = named.map(|(_, colour)| *colour);
    let rgb = || hexadecimal(text).filter(|_| !only_named);
    colour.or_else(rgb).ok_or_else(|| {
        let meant = did_you_mean(text, names).map_or(String::new(), |m| format!("; {m}"));
        format!("{expected}; found {value}{meant}")
    })
}

/// "#1e90ff"
fn hexadecimal(text: &str) -> Option<Color> {
    let digits = text.strip_prefix('#')?;
    let is_whole = digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let number = u32::from_str_radix(digits, 16).ok().filter(|_| is_whole)?;
    let [_, r, g, b] = number.to_be_bytes();
    Some(Color::Rgb(r, g, b))
}

fn written(colour: Color) -> String {
    match colour {
        Color::Rgb(r, g, b) => format!("\"#{r:02x}{g:02x}{b:02x}\""),
        named => {
            let found = NAMED.iter().find(|(_, colour)| *colour == named);
            found.map_or("default", |(name, _)| name).into()
        }
    }
}

/// The file to start from: all colours as they are, each line a comment until it is needed.
pub fn template() -> String {
    template_with("# ")
}

fn template_with(mark: &str) -> String {
    let names = NAMED.map(|(name, _)| name).join(", ");
    let mut text = format!(
        "# The colours of astill. Remove the # before a line and change its colour; what is not given\n\
         # here keeps the colour that astill comes with. A colour is \"#rrggbb\" (in quotes), or one of\n\
         # the terminal's own: {names}.\n\
         \n\
         # auto asks the terminal; dark or light decides.\n{mark}{BACKGROUND}: auto\n"
    );
    let mut palettes = Palettes::DEFAULT;
    for (section, about) in SECTIONS {
        _ = writeln!(text, "\n# {about}\n{section}:");
        let Some(palette) = palette_of(&mut palettes, section) else {
            continue;
        };
        for (name, about) in COLOURS {
            let colour = colour_in(palette, name).map_or(Color::Reset, |c| *c);
            _ = writeln!(text, "  # {about}\n  {mark}{name}: {}", written(colour));
        }
        let series: Vec<String> = palette.series.into_iter().map(written).collect();
        let about = "The lines of a chart, in this order.";
        _ = writeln!(
            text,
            "  # {about}\n  {mark}{SERIES_NAME}: [{}]",
            series.join(", ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_changes_nothing_with_its_lines_as_comments_or_not() {
        for text in [template(), template_with(""), String::new()] {
            let settings = patched(Path::new("theme.yaml"), &text).unwrap();
            assert_eq!(settings, ThemeSettings::default());
        }
    }

    #[test]
    fn a_file_changes_what_it_names() {
        let text = "background: light\nlight:\n  accent: \"#102030\"\n  good: bright_green\n";
        let settings = patched(Path::new("theme.yaml"), text).unwrap();
        assert_eq!(settings.background, Some(Background::Light));
        let palette = settings.palettes.light;
        assert_eq!(
            (palette.accent, palette.good),
            (Color::Rgb(16, 32, 48), Color::LightGreen)
        );
        let others = Palettes {
            light: Palettes::DEFAULT.light,
            ..settings.palettes
        };
        assert_eq!(others, Palettes::DEFAULT);
    }

    #[test]
    fn a_refusal_says_where_what_was_expected_and_what_was_found() {
        for (text, problem) in [
            (
                "background: black\n",
                "t.yaml:1: background: expected auto, dark or light; found the text \"black\"",
            ),
            (
                "drak:\n  good: red\n",
                "t.yaml:1: drak: no such name; did you mean \"dark\"?",
            ),
            (
                "dark:\n\n  god: red\n",
                "t.yaml:3: dark.god: no such name; did you mean \"good\"?",
            ),
            (
                "dark:\n  good: #fff\n",
                "t.yaml:2: dark.good: expected \"#rrggbb\" (in quotes",
            ),
            ("dark:\n  good: \"#fff\"\n", "found the text \"#fff\""),
            ("dark:\n  good: gren\n", "did you mean \"green\"?"),
            (
                "sixteen:\n  good: \"#102030\"\n",
                "t.yaml:2: sixteen.good: expected one of black",
            ),
            (
                "dark:\n  series: [red]\n",
                "t.yaml:2: dark.series: expected a list of 8 colours, found 1",
            ),
            ("dark: red\n", "t.yaml:1: dark: expected names with values"),
        ] {
            let said = patched(Path::new("t.yaml"), text).unwrap_err().to_string();
            assert!(said.contains(problem), "{text:?}: {said}");
        }
    }
}
