//! Text for people, spelled in one way wherever it is read: numbers, durations, counts; and text
//! from outside made harmless.

/// Significant digits of a number that nothing else is known about.
pub const DIGITS: usize = 4;

/// `text` without what could control a terminal or deceive its reader: names of files, of classes
/// and of runs may come from anybody. Lines stay lines, tabs and returns become spaces; other
/// control characters, and characters without a width of their own that reorder or hide what is
/// around them, become `?`.
#[must_use]
pub fn harmless(text: &str) -> String {
    let shown = |c| match c {
        '\n' => '\n',
        '\t' | '\r' => ' ',
        c if c.is_control() => '?',
        // direction marks, joiners, zero-width spaces, byte order mark, invisible tags
        '\u{61c}'
        | '\u{180e}'
        | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}'
        | '\u{feff}'
        | '\u{e0000}'..='\u{e007f}' => '?',
        c => c,
    };
    text.chars().map(shown).collect()
}

/// A number with [`DIGITS`] significant digits: "0.01", "12.35", "1.5e7", "NaN".
#[must_use]
pub fn number(value: f64) -> String {
    significant(value, DIGITS)
}

/// A number with up to `digits` significant digits and no trailing zeros; a whole number below a
/// million in full. Very large and very small ones have an exponent.
#[must_use]
pub fn significant(value: f64, digits: usize) -> String {
    let digits = digits.max(1);
    let size = value.abs();
    if !value.is_finite() {
        return value.to_string();
    }
    if size == 0. {
        return "0".into();
    }
    if !(1e-3..1e6).contains(&size) {
        let text = format!("{value:.*e}", digits - 1);
        return match text.split_once('e') {
            Some((digits, exponent)) => format!("{}e{exponent}", without_zeros(digits)),
            None => text,
        };
    }
    let decimals = digits as i32 - 1 - size.log10().floor() as i32;
    without_zeros(&format!("{value:.*}", decimals.max(0) as usize)).into()
}

fn without_zeros(digits: &str) -> &str {
    if digits.contains('.') {
        digits.trim_end_matches('0').trim_end_matches('.')
    } else {
        digits
    }
}

/// A percentage with one decimal, without its sign: "34.5", "100.0".
#[must_use]
pub fn percent(value: f64) -> String {
    format!("{value:.1}")
}

/// Seconds in the units that people use: "4.2 s", "3 min 05 s", "2 h 10 min", "3 d 4 h".
#[must_use]
pub fn duration(seconds: f64) -> String {
    let whole = seconds.max(0.).round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        3600..172_800 => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
        _ => {
            let hours = (whole + 1800) / 3600;
            format!("{} d {} h", hours / 24, hours % 24)
        }
    }
}

/// The speed of something that takes `seconds` each time: "1.3 it/s" or "2.5 s/it".
#[must_use]
pub fn rate(seconds: f64) -> String {
    if seconds < 1. {
        format!("{:.1} it/s", 1. / seconds.max(1e-9))
    } else {
        format!("{seconds:.1} s/it")
    }
}

/// "1 network", "2 networks".
#[must_use]
pub fn count(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}

/// Text as one word of a shell command.
#[must_use]
pub fn shell_word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,+@%".contains(c);
    match !text.is_empty() && text.chars().all(is_plain) {
        true => text.to_string(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_stays_one_word_for_a_shell() {
        for (text, wanted) in [
            ("a/b-1.yaml", "a/b-1.yaml"),
            ("", "''"),
            ("two words", "'two words'"),
            ("it's $HOME", r"'it'\''s $HOME'"),
        ] {
            assert_eq!(shell_word(text), wanted);
        }
    }

    #[test]
    fn what_could_harm_a_terminal_or_its_reader_becomes_a_question_mark() {
        assert_eq!(
            harmless("a\u{1b}[2Jb\u{9b}c\rd\te\nf\u{7}"),
            "a?[2Jb?c d e\nf?"
        );
        assert_eq!(
            harmless("a\u{202e}b\u{200b}c\u{feff}d\u{2066}e\u{61c}f\u{e0041}g"),
            "a?b?c?d?e?f?g"
        );
        assert_eq!(
            harmless("34.5 ± 0.5 %, Käse, 漢字"),
            "34.5 ± 0.5 %, Käse, 漢字"
        );
    }

    #[test]
    fn numbers_are_short_and_spelled_in_one_way() {
        let shown: Vec<String> = [
            0.,
            1.,
            0.5,
            0.01,
            0.010,
            12.3456,
            98765.,
            123_456.7,
            1.5e7,
            1.234_56e-5,
            -0.25,
            -2.5e-6,
            99.999,
            f64::NAN,
            f64::NEG_INFINITY,
        ]
        .map(number)
        .to_vec();
        assert_eq!(
            shown,
            [
                "0", "1", "0.5", "0.01", "0.01", "12.35", "98765", "123457", "1.5e7", "1.235e-5",
                "-0.25", "-2.5e-6", "100", "NaN", "-inf"
            ]
        );
        assert_eq!([34.56, 34., f64::NAN].map(percent), ["34.6", "34.0", "NaN"]);
        assert_eq!(significant(34.56, 3), "34.6");
        assert_eq!(significant(100., 3), "100");
        assert_eq!(significant(0.123_456, 0), "0.1");
    }

    #[test]
    fn durations_and_rates_read_naturally() {
        let shown: Vec<String> = [0.25, 59.2, 60., 3599., 7800., 2_853_940.]
            .map(duration)
            .to_vec();
        assert_eq!(
            shown,
            [
                "0.2 s",
                "59.2 s",
                "1 min 00 s",
                "59 min 59 s",
                "2 h 10 min",
                "33 d 1 h"
            ]
        );
        assert_eq!([0.5, 2.5].map(rate), ["2.0 it/s", "2.5 s/it"]);
    }

    #[test]
    fn one_thing_is_singular() {
        assert_eq!(
            [0, 1, 2].map(|n| count(n, "network")),
            ["0 networks", "1 network", "2 networks"]
        );
    }
}
