//! How many colours the terminal shows, and the nearest one that it has.

use astill_core::cli::ColorChoice;
use ratatui::style::Color;
use std::sync::LazyLock;

/// How many colours a terminal shows, fewest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Depth {
    /// No colour at all; bold, reverse and the like remain.
    Never,
    /// The 16 colours that the user's terminal defines.
    Ansi16,
    /// The 240 fixed colours of xterm.
    Ansi256,
    TrueColor,
}

/// The 16 colours as xterm defines them, which is the best guess.
const SIXTEEN: [(Color, [u8; 3]); 16] = [
    (Color::Black, [0, 0, 0]),
    (Color::Red, [205, 0, 0]),
    (Color::Green, [0, 205, 0]),
    (Color::Yellow, [205, 205, 0]),
    (Color::Blue, [0, 0, 238]),
    (Color::Magenta, [205, 0, 205]),
    (Color::Cyan, [0, 205, 205]),
    (Color::Gray, [229, 229, 229]),
    (Color::DarkGray, [127, 127, 127]),
    (Color::LightRed, [255, 0, 0]),
    (Color::LightGreen, [0, 255, 0]),
    (Color::LightYellow, [255, 255, 0]),
    (Color::LightBlue, [92, 92, 255]),
    (Color::LightMagenta, [255, 0, 255]),
    (Color::LightCyan, [0, 255, 255]),
    (Color::White, [255, 255, 255]),
];

/// Number of the first colour that is the same on all terminals.
const FIRST_FIXED: u8 = 16;
const FIRST_GREY: u8 = 232;
const CUBE: [u8; 6] = [0, 95, 135, 175, 215, 255];

static SIXTEEN_LAB: LazyLock<[[f32; 3]; 16]> = LazyLock::new(|| SIXTEEN.map(|(_, rgb)| oklab(rgb)));
static FIXED_LAB: LazyLock<[[f32; 3]; 240]> =
    LazyLock::new(|| std::array::from_fn(|i| oklab(fixed(FIRST_FIXED + i as u8))));
/// sRGB to linear light.
static LINEAR: LazyLock<[f32; 256]> = LazyLock::new(|| {
    std::array::from_fn(|i| {
        let v = i as f32 / 255.;
        if v <= 0.04045 {
            v / 12.92
        } else {
            ((v + 0.055) / 1.055).powf(2.4)
        }
    })
});

impl Depth {
    /// The depth that `--color` asks for; with [`ColorChoice::Auto`], the environment
    /// decides.
    ///
    /// Truecolor is used only where COLORTERM or TERM announces it. SSH does not forward COLORTERM
    /// by default, so most sessions over SSH get 256 colours; where it did arrive, it is trusted.
    pub fn detect(choice: ColorChoice, env: &dyn Fn(&str) -> Option<String>) -> Self {
        match choice {
            ColorChoice::Auto => Self::from_environment(env),
            ColorChoice::Never => Self::Never,
            ColorChoice::Ansi16 => Self::Ansi16,
            ColorChoice::Ansi256 => Self::Ansi256,
            ColorChoice::TrueColor => Self::TrueColor,
        }
    }

    fn from_environment(env: &dyn Fn(&str) -> Option<String>) -> Self {
        let get = |name| env(name).unwrap_or_default();
        let term = get("TERM");
        if !get("NO_COLOR").is_empty() || term == "dumb" {
            return Self::Never;
        }
        // GNU screen passes COLORTERM of its own terminal on to its windows, but not the colours
        let claimed =
            matches!(get("COLORTERM").as_str(), "truecolor" | "24bit") && get("STY").is_empty();
        if claimed || term.ends_with("-direct") {
            Self::TrueColor
        } else if term.ends_with("-256color")
            || ["kitty", "alacritty", "foot", "ghostty", "wezterm"]
                .iter()
                .any(|t| term.contains(t))
        {
            Self::Ansi256
        } else {
            Self::Ansi16
        }
    }

    /// The colour of this depth that looks most like `rgb`, and how it looks where that is known:
    /// terminals change the 16 colours, so there it is a guess.
    pub fn shown(self, rgb: [u8; 3]) -> (Color, [u8; 3]) {
        match self.resolve(rgb.into()) {
            Color::Indexed(number) if number >= FIRST_FIXED => {
                (Color::Indexed(number), fixed(number))
            }
            colour => {
                let guess = SIXTEEN.iter().find(|(c, _)| *c == colour);
                (colour, guess.map_or(rgb, |(_, rgb)| *rgb))
            }
        }
    }

    /// The colour of this depth that looks most like `rgb`.
    pub fn resolve(self, rgb: (u8, u8, u8)) -> Color {
        let (r, g, b) = rgb;
        match self {
            Self::Never => Color::Reset,
            Self::Ansi16 => SIXTEEN[nearest(&*SIXTEEN_LAB, oklab([r, g, b]))].0,
            Self::Ansi256 => {
                Color::Indexed(FIRST_FIXED + nearest(&*FIXED_LAB, oklab([r, g, b])) as u8)
            }
            Self::TrueColor => Color::Rgb(r, g, b),
        }
    }
}

/// The linear light, in [0, 1], of a value in sRGB.
pub(in crate::tui) fn to_linear(value: u8) -> f32 {
    LINEAR[value as usize]
}

/// The value in sRGB that has this linear light; what is outside [0, 1] is clamped.
pub(in crate::tui) fn from_linear(light: f32) -> u8 {
    let light = light.clamp(0., 1.);
    let value = if light <= 0.003_130_8 {
        12.92 * light
    } else {
        1.055 * light.powf(1. / 2.4) - 0.055
    };
    (value * 255.).round() as u8
}

/// Linear luminance in [0, 1].
pub(in crate::tui) fn luminance([r, g, b]: [u8; 3]) -> f32 {
    let linear = |v: u8| LINEAR[v as usize];
    0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b)
}

/// sRGB of one of the colours 16 to 255.
pub(in crate::tui) fn fixed(number: u8) -> [u8; 3] {
    if number >= FIRST_GREY {
        return [8 + 10 * (number - FIRST_GREY); 3];
    }
    let i = (number - FIRST_FIXED) as usize;
    [CUBE[i / 36], CUBE[i / 6 % 6], CUBE[i % 6]]
}

/// Björn Ottosson's OKLab (2020): lightness and two opponent colours, in which Euclidean distance
/// is about what people see.
fn oklab(rgb: [u8; 3]) -> [f32; 3] {
    let [r, g, b] = rgb.map(|v| LINEAR[v as usize]);
    let l = (0.412_221_46 * r + 0.536_332_55 * g + 0.051_445_995 * b).cbrt();
    let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).cbrt();
    let s = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).cbrt();
    [
        0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
        1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
        0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
    ]
}

fn nearest(palette: &[[f32; 3]], [l, a, b]: [f32; 3]) -> usize {
    let mut best = (f32::INFINITY, 0);
    for (i, p) in palette.iter().enumerate() {
        let distance = (p[0] - l).powi(2) + (p[1] - a).powi(2) + (p[2] - b).powi(2);
        if distance < best.0 {
            best = (distance, i);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auto(variables: &[(&str, &str)]) -> Depth {
        let env = |name: &str| {
            variables
                .iter()
                .find(|(n, _)| *n == name)
                .map(|(_, v)| v.to_string())
        };
        Depth::detect(ColorChoice::Auto, &env)
    }

    #[test]
    fn the_environment_decides() {
        assert_eq!(auto(&[]), Depth::Ansi16);
        assert_eq!(auto(&[("TERM", "linux")]), Depth::Ansi16);
        assert_eq!(auto(&[("TERM", "xterm-256color")]), Depth::Ansi256);
        assert_eq!(auto(&[("TERM", "xterm-direct")]), Depth::TrueColor);
        assert_eq!(
            auto(&[("TERM", "xterm-256color"), ("COLORTERM", "truecolor")]),
            Depth::TrueColor
        );
        assert_eq!(
            auto(&[("TERM", "xterm"), ("COLORTERM", "24bit")]),
            Depth::TrueColor
        );
        assert_eq!(
            auto(&[("TERM", "dumb"), ("COLORTERM", "truecolor")]),
            Depth::Never
        );
        assert_eq!(
            auto(&[("TERM", "xterm-256color"), ("NO_COLOR", "1")]),
            Depth::Never
        );
        assert_eq!(
            auto(&[("TERM", "xterm-256color"), ("NO_COLOR", "")]),
            Depth::Ansi256
        );
    }

    #[test]
    fn truecolor_is_never_assumed_over_ssh() {
        let ssh = ("SSH_CONNECTION", "10.0.0.1 50000 10.0.0.2 22");
        assert_eq!(auto(&[ssh, ("TERM", "xterm-256color")]), Depth::Ansi256);
        assert_eq!(auto(&[ssh, ("TERM", "xterm-kitty")]), Depth::Ansi256);
    }

    #[test]
    fn gnu_screen_does_not_pass_truecolor_through() {
        let screen = [
            ("STY", "1.pts-0.host"),
            ("TERM", "screen-256color"),
            ("COLORTERM", "truecolor"),
        ];
        assert_eq!(auto(&screen), Depth::Ansi256);
    }

    #[test]
    fn a_choice_beats_the_environment() {
        let env = |name: &str| (name == "NO_COLOR").then(|| "1".to_string());
        let depth = |choice| Depth::detect(choice, &env);
        assert_eq!(depth(ColorChoice::TrueColor), Depth::TrueColor);
        assert_eq!(depth(ColorChoice::Ansi16), Depth::Ansi16);
        assert_eq!(depth(ColorChoice::Ansi256), Depth::Ansi256);
        assert_eq!(depth(ColorChoice::Never), Depth::Never);
    }

    #[test]
    fn a_colour_that_the_terminal_has_is_kept() {
        for number in FIRST_FIXED..=255 {
            let [r, g, b] = fixed(number);
            let Color::Indexed(found) = Depth::Ansi256.resolve((r, g, b)) else {
                panic!("not an indexed colour")
            };
            assert_eq!(fixed(found), [r, g, b], "colour {number}");
        }
        for (colour, [r, g, b]) in SIXTEEN {
            assert_eq!(Depth::Ansi16.resolve((r, g, b)), colour);
        }
    }

    #[test]
    fn the_nearest_colour_looks_alike() {
        assert_eq!(Depth::Ansi16.resolve((250, 30, 20)), Color::LightRed);
        assert_eq!(Depth::Ansi16.resolve((20, 20, 30)), Color::Black);
        // a dark skin tone stays brown; the nearest in plain RGB would be grey
        let Color::Indexed(number) = Depth::Ansi256.resolve((120, 90, 70)) else {
            panic!("not an indexed colour")
        };
        let [r, _, b] = fixed(number);
        assert!(r > b, "{:?}", fixed(number));
        assert_eq!(Depth::TrueColor.resolve((1, 2, 3)), Color::Rgb(1, 2, 3));
        assert_eq!(Depth::Never.resolve((1, 2, 3)), Color::Reset);
    }
}
