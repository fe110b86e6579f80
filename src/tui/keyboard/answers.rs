//! The terminal's answers to questions, told from the keys among which they come. Nothing is waited
//! for: an answer may come at any time or never, and keys go on at once.

use crate::tui::capabilities::Answer;

/// An answer is not longer; what is was none.
const LONGEST: usize = 256;

/// Beginnings of answers, with what may follow them until the end.
const DEVICE: &[u8] = b"\x1b[?";
const BACKGROUND: &[u8] = b"\x1b]11;";
const GRAPHICS: &[u8] = b"\x1b_Gi=31;";

/// Bytes that may be the beginning of an answer.
#[derive(Debug, Default)]
pub struct Answers {
    held: Vec<u8>,
}

/// What became of a byte.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken {
    /// It may belong to an answer.
    Held,
    /// It and what was held before it are none of an answer.
    Keys(Vec<u8>),
    Answer(Answer),
}

impl Answers {
    pub fn take(&mut self, byte: u8) -> Taken {
        self.held.push(byte);
        if let Some(answer) = whole(&self.held) {
            self.held.clear();
            return Taken::Answer(answer);
        }
        match may_become_one(&self.held) {
            true => Taken::Held,
            false => Taken::Keys(std::mem::take(&mut self.held)),
        }
    }

    /// What is held, once nothing has followed it: the Escape key, for example.
    pub fn give_up(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.held)
    }

    /// Whether so much of an answer has come that no key looks like it.
    pub fn is_in_answer(&self) -> bool {
        [DEVICE, BACKGROUND, GRAPHICS]
            .iter()
            .any(|begin| self.held.starts_with(begin))
    }

    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }
}

fn may_become_one(bytes: &[u8]) -> bool {
    let of = |begin: &[u8]| begin.starts_with(bytes) || bytes.starts_with(begin);
    let parameters = bytes.strip_prefix(DEVICE).unwrap_or_default();
    let is_device = of(DEVICE) && parameters.iter().all(|b| is_of_parameters(*b));
    bytes.len() < LONGEST && (is_device || of(BACKGROUND) || of(GRAPHICS))
}

fn is_of_parameters(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b';'
}

fn whole(bytes: &[u8]) -> Option<Answer> {
    if let Some(parameters) = bytes.strip_prefix(DEVICE) {
        let parameters = parameters.strip_suffix(b"c")?;
        let text = std::str::from_utf8(parameters).ok()?;
        let numbers = text.split(';').filter_map(|n| n.parse().ok());
        return Some(Answer::Attributes(numbers.collect()));
    }
    let end = [b"\x1b\\".as_slice(), b"\x07"];
    let bytes = end.iter().find_map(|end| bytes.strip_suffix(*end))?;
    if let Some(colour) = bytes.strip_prefix(BACKGROUND) {
        return colour_of(std::str::from_utf8(colour).ok()?).map(Answer::Background);
    }
    let graphics = bytes.strip_prefix(GRAPHICS)?;
    Some(Answer::KittyGraphics(graphics == b"OK"))
}

/// "rgb:ffff/ffff/ffff", where each part has one to four digits; an alpha value may be added.
fn colour_of(text: &str) -> Option<[u8; 3]> {
    let parts = text.strip_prefix("rgb:").or(text.strip_prefix("rgba:"))?;
    let part = |text: &str| {
        let most = 16_u32.checked_pow(text.len().try_into().ok()?)? - 1;
        let value = u32::from_str_radix(text, 16).ok()?;
        u8::try_from((value * 255).checked_div(most)?).ok()
    };
    let parts: Vec<Option<u8>> = parts
        .split('/')
        .map(|p| if p.len() > 4 { None } else { part(p) })
        .collect();
    match parts.as_slice() {
        [Some(r), Some(g), Some(b)] | [Some(r), Some(g), Some(b), _] => Some([*r, *g, *b]),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The keys and the answers in some bytes.
    fn told(bytes: &str) -> (String, Vec<Answer>) {
        let (mut answers, mut keys, mut told) = (Answers::default(), Vec::new(), Vec::new());
        for byte in bytes.bytes() {
            match answers.take(byte) {
                Taken::Held => {}
                Taken::Keys(bytes) => keys.extend(bytes),
                Taken::Answer(answer) => told.push(answer),
            }
        }
        keys.extend(answers.give_up());
        (String::from_utf8(keys).unwrap(), told)
    }

    #[test]
    fn answers_are_told_from_the_keys_around_them() {
        let typed =
            "j\x1b]11;rgb:1e1e/2020/2f2f\x07k\x1b[A\x1b[?62;4;22c\x1b_Gi=31;OK\x1b\\\u{e9}\x1b";
        let (keys, answers) = told(typed);
        assert_eq!(keys, "jk\x1b[A\u{e9}\x1b");
        assert_eq!(
            answers,
            [
                Answer::Background([0x1e, 0x20, 0x2f]),
                Answer::Attributes(vec![62, 4, 22]),
                Answer::KittyGraphics(true),
            ]
        );
    }

    #[test]
    fn keys_that_look_like_the_beginning_of_an_answer_are_keys() {
        for keys in [
            "\x1b]q",
            "\x1b_",
            "\x1b[?25h",
            "\x1b[200~a\x1b[201~",
            "\x1b\x1b[B",
            "\x1b]12;rgb:0/0/0\x07",
        ] {
            assert_eq!(told(keys), (keys.into(), Vec::new()), "{keys:?}");
        }
        // what never ends is no answer either
        let endless = format!("\x1b]11;{}", "x".repeat(1000));
        assert_eq!(told(&endless).0, endless);
    }

    #[test]
    fn colours_have_one_to_four_digits_a_part() {
        for (text, colour) in [
            ("rgb:ffff/0000/8080", Some([255, 0, 128])),
            ("rgb:ff/00/80", Some([255, 0, 128])),
            ("rgb:f/0/8", Some([255, 0, 136])),
            ("rgba:ffff/ffff/ffff/8000", Some([255, 255, 255])),
            ("rgb:fffff/0/0", None),
            ("rgb:/0/0", None),
            ("#ffffff", None),
        ] {
            assert_eq!(colour_of(text), colour, "{text}");
        }
    }
}
