//! Text on a screen: on one line, and cut by the width that it takes there.

pub use astill_core::text::number;

use astill_core::text::harmless;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// `text` on one line, harmless, and without the signs whose width terminals disagree about.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in harmless(text).chars() {
        match c {
            '\n' => out.push(' '),
            '±' => out.push_str("+-"),
            '×' => out.push('x'),
            '–' | '−' => out.push('-'),
            '…' => out.push_str(".."),
            '→' => out.push_str("->"),
            c => out.push(c),
        }
    }
    out
}

/// Cells that `text` takes.
pub fn width(text: &str) -> usize {
    text.width()
}

/// The beginning of `text` that fits into `cells`, with `..` at its end where something was cut
/// off.
pub fn fit(text: &str, cells: usize) -> String {
    if text.width() <= cells {
        return text.into();
    }
    if cells > 4 {
        fit_plain(text, cells - 2) + ".."
    } else {
        fit_plain(text, cells)
    }
}

/// As [`fit`], but cut before its end, by which names of one beginning are told apart.
pub fn fit_middle(text: &str, cells: usize) -> String {
    // with less room, no beginning would be left
    if text.width() <= cells || cells < 8 {
        return fit(text, cells);
    }
    let mut taken = 0;
    let fits = |c: &char| {
        taken += c.width().unwrap_or(0);
        taken <= cells / 3
    };
    let end: Vec<char> = text.chars().rev().take_while(fits).collect();
    let end: String = end.into_iter().rev().collect();
    fit(text, cells - end.width()) + &end
}

/// The beginning of `text` that fits into `cells`, without a mark.
pub fn fit_plain(text: &str, cells: usize) -> String {
    let mut taken = 0;
    let fits = |c: &char| {
        taken += c.width().unwrap_or(0);
        taken <= cells
    };
    text.chars().take_while(fits).collect()
}

/// `text` in exactly `cells`: cut, or with spaces after it.
pub fn pad(text: &str, cells: usize) -> String {
    let text = fit(text, cells);
    let missing = cells.saturating_sub(text.width());
    text + &" ".repeat(missing)
}

/// `text` in lines of at most `cells`, broken between words where there are any.
pub fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let mut word = word;
        if !line.is_empty() && line.width() + 1 + word.width() > cells {
            lines.push(std::mem::take(&mut line));
        }
        while line.is_empty() && word.width() > cells {
            let mut taken = 0;
            let end = word
                .char_indices()
                .find(|(_, c)| {
                    taken += c.width().unwrap_or(0);
                    taken > cells
                })
                .map_or(word.len(), |(i, _)| i);
            let end = if end == 0 {
                word.chars().next().map_or(word.len(), char::len_utf8)
            } else {
                end
            };
            lines.push(word[..end].into());
            word = &word[end..];
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_harm_a_terminal_is_shown_as_a_question_mark() {
        assert_eq!(clean("a\x1b[31mb\x07\nc\u{202e}d\u{9b}e"), "a?[31mb? c?d?e");
        assert_eq!(clean("34.5 ± 0.5 %, 32×32"), "34.5 +- 0.5 %, 32x32");
    }

    #[test]
    fn text_is_cut_by_its_width_on_the_screen() {
        assert_eq!(fit("abcdefgh", 6), "abcd..");
        assert_eq!(fit("abc", 3), "abc");
        assert_eq!(fit("漢字漢字", 6), "漢字..");
        assert_eq!(fit("漢字", 1), "");
        assert_eq!(pad("漢", 4), "漢  ");
        assert_eq!(fit("abc", 0), "");
        let name = "datm-tiny-imagenet-ipc50";
        assert_eq!(fit_middle(name, 20), "datm-tiny-im..-ipc50");
        assert_eq!(fit_middle(name, 24), name);
        assert_eq!(fit_middle("漢字漢字漢字", 8), "漢字..字");
        assert_eq!(fit_middle("漢字漢字", 6), "漢字..");
    }

    #[test]
    fn wrapping_loses_nothing() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("abcdefgh ij", 3), ["abc", "def", "gh", "ij"]);
        assert_eq!(wrap("漢字", 1), ["漢", "字"]);
        assert_eq!(wrap("", 5), [""]);
    }
}
