//! The few styles that every screen uses, readable on light and dark backgrounds.
//!
//! A colour is either the terminal's own text colour or of middle lightness, so that it stands out
//! from black and from white.

use crate::tui::colour::Depth;
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

/// Named styles for one terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    pub depth: Depth,
    /// Only ASCII characters: borders, charts and pictures.
    pub ascii: bool,
}

/// An RGB colour, and the one of the 16 to use in its place: the nearest of the 16 is often
/// unreadable on a light or a dark background, while terminal themes keep these readable.
type Ink = ((u8, u8, u8), Color);

const ACCENT: Ink = ((52, 132, 212), Color::Cyan);
const GOOD: Ink = ((46, 139, 87), Color::Green);
const BAD: Ink = ((214, 69, 65), Color::Red);
const WARN: Ink = ((190, 118, 0), Color::Magenta);
const SERIES: [Ink; 8] = [
    ((52, 132, 212), Color::LightBlue),
    ((208, 109, 26), Color::Red),
    ((46, 139, 87), Color::Green),
    ((190, 80, 170), Color::Magenta),
    ((0, 140, 150), Color::Cyan),
    ((214, 69, 65), Color::Yellow),
    ((130, 100, 220), Color::LightMagenta),
    ((128, 128, 0), Color::LightRed),
];
const GREY: (u8, u8, u8) = (128, 128, 128);

const ASCII_BORDER: border::Set<'static> = border::Set {
    top_left: "+",
    top_right: "+",
    bottom_left: "+",
    bottom_right: "+",
    vertical_left: "|",
    vertical_right: "|",
    horizontal_top: "-",
    horizontal_bottom: "-",
};

impl Theme {
    pub const fn new(depth: Depth, ascii: bool) -> Self {
        Self { depth, ascii }
    }

    fn ink(&self, (rgb, sixteen): Ink) -> Style {
        match self.depth {
            Depth::Never => Style::new(),
            Depth::Ansi16 => Style::new().fg(sixteen),
            Depth::Ansi256 | Depth::TrueColor => Style::new().fg(self.depth.resolve(rgb)),
        }
    }

    pub fn text(&self) -> Style {
        Style::new()
    }

    /// What matters less.
    pub fn dim(&self) -> Style {
        match self.depth {
            // the 16 have no safe grey: some themes make it the background
            Depth::Never | Depth::Ansi16 => Style::new().add_modifier(Modifier::DIM),
            Depth::Ansi256 | Depth::TrueColor => Style::new().fg(self.depth.resolve(GREY)),
        }
    }

    pub fn title(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub fn accent(&self) -> Style {
        self.ink(ACCENT).add_modifier(Modifier::BOLD)
    }

    pub fn good(&self) -> Style {
        self.ink(GOOD)
    }

    /// Bold too, so that an error stands out without colour.
    pub fn bad(&self) -> Style {
        self.ink(BAD).add_modifier(Modifier::BOLD)
    }

    pub fn warn(&self) -> Style {
        self.ink(WARN).add_modifier(Modifier::BOLD)
    }

    pub fn border(&self) -> Style {
        self.dim()
    }

    /// What is chosen: reverse video, so visible without colour.
    pub fn selected(&self) -> Style {
        self.ink(ACCENT)
            .add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// The style of the `index`-th line of a chart; the colours repeat.
    pub fn series(&self, index: usize) -> Style {
        self.ink(SERIES[index % SERIES.len()])
    }

    /// For `Block::border_set`.
    pub fn border_set(&self) -> border::Set<'static> {
        if self.ascii {
            ASCII_BORDER
        } else {
            border::PLAIN
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::colour::luminance;

    const DEPTHS: [Depth; 4] = [
        Depth::Never,
        Depth::Ansi16,
        Depth::Ansi256,
        Depth::TrueColor,
    ];

    /// Contrast as WCAG 2 defines it.
    fn contrast(a: f32, b: f32) -> f32 {
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_colour_is_readable_on_black_and_on_white() {
        for depth in [Depth::Ansi256, Depth::TrueColor] {
            let theme = Theme::new(depth, false);
            let named = [
                theme.dim(),
                theme.accent(),
                theme.good(),
                theme.bad(),
                theme.warn(),
                theme.border(),
            ];
            for style in named
                .into_iter()
                .chain((0..SERIES.len()).map(|i| theme.series(i)))
            {
                let rgb = match style.fg {
                    Some(Color::Rgb(r, g, b)) => [r, g, b],
                    Some(Color::Indexed(number)) => crate::tui::colour::fixed(number),
                    other => panic!("{other:?}"),
                };
                let light = luminance(rgb);
                assert!(
                    contrast(light, 1.) >= 3. && contrast(light, 0.) >= 3.,
                    "{depth:?} {rgb:?} has luminance {light}"
                );
            }
        }
    }

    #[test]
    fn the_selection_is_reversed_at_every_depth() {
        for depth in DEPTHS {
            assert!(
                Theme::new(depth, false)
                    .selected()
                    .add_modifier
                    .contains(Modifier::REVERSED),
                "{depth:?}"
            );
        }
    }

    #[test]
    fn nothing_is_coloured_where_there_is_no_colour() {
        let theme = Theme::new(Depth::Never, true);
        let styles = [
            theme.text(),
            theme.dim(),
            theme.title(),
            theme.accent(),
            theme.good(),
            theme.bad(),
            theme.warn(),
            theme.border(),
        ];
        for style in styles
            .into_iter()
            .chain([theme.selected(), theme.series(3)])
        {
            assert_eq!((style.fg, style.bg), (None, None));
        }
    }

    #[test]
    fn ascii_borders_are_ascii() {
        let set = Theme::new(Depth::TrueColor, true).border_set();
        let all = [
            set.top_left,
            set.top_right,
            set.bottom_left,
            set.bottom_right,
            set.vertical_left,
            set.vertical_right,
        ];
        assert!(
            all.into_iter()
                .chain([set.horizontal_top, set.horizontal_bottom])
                .all(str::is_ascii)
        );
    }
}
