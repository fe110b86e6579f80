//! The few styles that every screen uses, in the colours that suit the terminal's background.
//!
//! Where that is not known, a colour is either the terminal's own text colour or of middle lightness, so
//! that it stands out from black and from white.

mod palette;
pub mod user;

pub use palette::{Background, Palette, Palettes};
pub use user::ThemeSettings;

use crate::tui::colour::{Depth, luminance};
use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

/// From this luminance on, dark text is easier to read on a background than light text.
const LIGHT: f32 = 0.18;

/// Named styles for one terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    pub depth: Depth,
    /// Only ASCII characters: borders, charts and pictures.
    pub ascii: bool,
    palettes: Palettes,
    /// None: it is not known.
    background: Option<Background>,
}

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
        Self {
            depth,
            ascii,
            palettes: Palettes::DEFAULT,
            background: None,
        }
    }

    /// The same in the user's colours.
    pub fn with(self, settings: &ThemeSettings) -> Self {
        Self {
            palettes: settings.palettes,
            background: settings.background,
            ..self
        }
    }

    /// What the terminal's background is, where that is known.
    pub fn background(&self) -> Option<Background> {
        self.background
    }

    /// The terminal has answered that this is the colour of its background.
    pub fn set_background(&mut self, colour: [u8; 3]) {
        self.background = Some(match luminance(colour) < LIGHT {
            true => Background::Dark,
            false => Background::Light,
        });
    }

    fn palette(&self) -> &Palette {
        match (self.depth, self.background) {
            (Depth::Ansi16, _) => &self.palettes.sixteen,
            (_, None) => &self.palettes.any,
            (_, Some(Background::Dark)) => &self.palettes.dark,
            (_, Some(Background::Light)) => &self.palettes.light,
        }
    }

    fn ink(&self, colour: Color) -> Style {
        match (self.depth, colour) {
            (Depth::Never, _) | (_, Color::Reset) => Style::new(),
            (depth, Color::Rgb(r, g, b)) => Style::new().fg(depth.resolve((r, g, b))),
            (_, named) => Style::new().fg(named),
        }
    }

    pub fn text(&self) -> Style {
        Style::new()
    }

    /// What matters less.
    pub fn dim(&self) -> Style {
        match (self.depth, self.palette().dim) {
            (Depth::Never, _) | (_, Color::Reset) => Style::new().add_modifier(Modifier::DIM),
            (_, colour) => self.ink(colour),
        }
    }

    pub fn title(&self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub fn accent(&self) -> Style {
        self.ink(self.palette().accent).add_modifier(Modifier::BOLD)
    }

    pub fn good(&self) -> Style {
        self.ink(self.palette().good)
    }

    /// Bold too, so that an error stands out without colour.
    pub fn bad(&self) -> Style {
        self.ink(self.palette().bad).add_modifier(Modifier::BOLD)
    }

    pub fn warn(&self) -> Style {
        self.ink(self.palette().warning)
            .add_modifier(Modifier::BOLD)
    }

    pub fn border(&self) -> Style {
        self.dim()
    }

    /// What is chosen: reverse video, so visible without colour.
    pub fn selected(&self) -> Style {
        self.ink(self.palette().accent)
            .add_modifier(Modifier::REVERSED | Modifier::BOLD)
    }

    /// The style of the `index`-th line of a chart; the colours repeat.
    pub fn series(&self, index: usize) -> Style {
        let series = &self.palette().series;
        self.ink(series[index % series.len()])
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

    /// The colours that a theme draws with.
    fn colours(theme: &Theme) -> Vec<[u8; 3]> {
        let named = [
            theme.dim(),
            theme.accent(),
            theme.good(),
            theme.bad(),
            theme.warn(),
            theme.border(),
        ];
        let series = (0..palette::SERIES).map(|i| theme.series(i));
        let rgb = |style: Style| match style.fg {
            Some(Color::Rgb(r, g, b)) => [r, g, b],
            Some(Color::Indexed(number)) => crate::tui::colour::fixed(number),
            other => panic!("{other:?}"),
        };
        named.into_iter().chain(series).map(rgb).collect()
    }

    #[test]
    fn every_colour_is_readable_on_its_background() {
        let (black, white) = ([0; 3], [255; 3]);
        for (background, on, least) in [
            (None, [black, white], 3.),
            (Some([30; 3]), [black, [40; 3]], 4.5),
            (Some([253, 246, 227]), [white, [238; 3]], 4.5),
        ] {
            for depth in [Depth::Ansi256, Depth::TrueColor] {
                let mut theme = Theme::new(depth, false);
                background.into_iter().for_each(|b| theme.set_background(b));
                for (rgb, ground) in colours(&theme).into_iter().flat_map(|c| on.map(|g| (c, g))) {
                    let found = contrast(luminance(rgb), luminance(ground));
                    // one of 240 colours is only near to what was asked for
                    let least: f32 = if depth == Depth::Ansi256 {
                        least * 0.85
                    } else {
                        least
                    };
                    assert!(
                        found >= least.max(3.),
                        "{depth:?} {rgb:?} on {ground:?}: {found}, not {least}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_background_is_dark_or_light() {
        for (colour, background) in [
            ([0; 3], Background::Dark),
            ([0x28, 0x2c, 0x34], Background::Dark),
            ([255; 3], Background::Light),
            ([253, 246, 227], Background::Light),
        ] {
            let mut theme = Theme::new(Depth::TrueColor, false);
            assert_eq!(theme.background(), None);
            theme.set_background(colour);
            assert_eq!(theme.background(), Some(background), "{colour:?}");
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
