//! The colours that the styles are made of, for each kind of background.

use ratatui::style::Color;

/// Lines of a chart that differ in colour.
pub const SERIES: usize = 8;

/// The colours on one kind of background. [`Color::Reset`] is the terminal's own text colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palette {
    pub accent: Color,
    pub good: Color,
    pub bad: Color,
    pub warning: Color,
    pub dim: Color,
    /// The lines of a chart.
    pub series: [Color; SERIES],
}

/// What the terminal's background is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Background {
    Dark,
    Light,
}

/// A palette for each case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Palettes {
    /// Where it is not known whether the background is dark or light: colours of middle lightness, which
    /// stand out from both.
    pub any: Palette,
    pub dark: Palette,
    pub light: Palette,
    /// Of the 16 colours, which terminals themselves keep readable: the one of them that is nearest to
    /// another is often unreadable.
    pub sixteen: Palette,
}

impl Palettes {
    pub const DEFAULT: Self = Self {
        any: Palette {
            accent: Color::Rgb(52, 132, 212),
            good: Color::Rgb(46, 139, 87),
            bad: Color::Rgb(214, 69, 65),
            warning: Color::Rgb(190, 118, 0),
            dim: Color::Rgb(128, 128, 128),
            series: [
                Color::Rgb(52, 132, 212),
                Color::Rgb(208, 109, 26),
                Color::Rgb(46, 139, 87),
                Color::Rgb(190, 80, 170),
                Color::Rgb(0, 140, 150),
                Color::Rgb(214, 69, 65),
                Color::Rgb(130, 100, 220),
                Color::Rgb(128, 128, 0),
            ],
        },
        dark: Palette {
            accent: Color::Rgb(88, 166, 255),
            good: Color::Rgb(70, 190, 100),
            bad: Color::Rgb(255, 115, 105),
            warning: Color::Rgb(220, 160, 40),
            dim: Color::Rgb(150, 152, 158),
            series: [
                Color::Rgb(88, 166, 255),
                Color::Rgb(240, 136, 62),
                Color::Rgb(70, 190, 100),
                Color::Rgb(226, 133, 216),
                Color::Rgb(57, 197, 207),
                Color::Rgb(255, 115, 105),
                Color::Rgb(167, 139, 250),
                Color::Rgb(200, 200, 75),
            ],
        },
        light: Palette {
            accent: Color::Rgb(9, 95, 200),
            good: Color::Rgb(22, 115, 50),
            bad: Color::Rgb(200, 30, 45),
            warning: Color::Rgb(140, 92, 0),
            dim: Color::Rgb(98, 102, 110),
            series: [
                Color::Rgb(9, 95, 200),
                Color::Rgb(178, 72, 0),
                Color::Rgb(22, 115, 50),
                Color::Rgb(160, 45, 145),
                Color::Rgb(0, 112, 122),
                Color::Rgb(200, 30, 45),
                Color::Rgb(102, 57, 186),
                Color::Rgb(104, 100, 0),
            ],
        },
        sixteen: Palette {
            accent: Color::Cyan,
            good: Color::Green,
            bad: Color::Red,
            warning: Color::Magenta,
            // the 16 have no safe grey: some terminals make it the background
            dim: Color::Reset,
            series: [
                Color::LightBlue,
                Color::Red,
                Color::Green,
                Color::Magenta,
                Color::Cyan,
                Color::Yellow,
                Color::LightMagenta,
                Color::LightRed,
            ],
        },
    };
}

/// The 16 colours by name, and the terminal's own text colour.
pub const NAMED: [(&str, Color); 17] = [
    ("black", Color::Black),
    ("red", Color::Red),
    ("green", Color::Green),
    ("yellow", Color::Yellow),
    ("blue", Color::Blue),
    ("magenta", Color::Magenta),
    ("cyan", Color::Cyan),
    ("white", Color::Gray),
    ("bright_black", Color::DarkGray),
    ("bright_red", Color::LightRed),
    ("bright_green", Color::LightGreen),
    ("bright_yellow", Color::LightYellow),
    ("bright_blue", Color::LightBlue),
    ("bright_magenta", Color::LightMagenta),
    ("bright_cyan", Color::LightCyan),
    ("bright_white", Color::White),
    ("default", Color::Reset),
];
