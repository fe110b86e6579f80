//! What the terminal was asked, and what it has answered about itself.

use crate::tui::picture::kitty;

/// How long answers may take, in seconds; they cross the network over SSH.
const PATIENCE: f64 = 1.;

/// The question for its attributes, which every terminal answers: an answer to this and none to what was
/// asked before it means no.
const ATTRIBUTES: &str = "\x1b[c";
/// OSC 11 with a question in the place of a colour.
const BACKGROUND: &str = "\x1b]11;?\x1b\\";

/// What a terminal answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To the question for its attributes (DA1), which every terminal answers: what was asked before it
    /// will not be answered any more.
    Attributes(Vec<u16>),
    /// The colour of its background (OSC 11).
    Background([u8; 3]),
    /// Whether it has kitty's graphics.
    KittyGraphics(bool),
}

/// What is known of the terminal.
#[derive(Debug, Clone, Default)]
pub struct Capabilities {
    /// Questions for its attributes without an answer so far, and when the last one was asked.
    pending: u32,
    asked_at: f64,
    /// It was asked whether it draws pictures, and has not answered.
    asked_for_graphics: bool,
    has_kitty_graphics: bool,
    /// Whether it draws pictures itself, once that is known.
    has_graphics: Option<bool>,
}

impl Capabilities {
    /// Whether the terminal draws pictures itself, once it was asked and has answered.
    pub fn has_graphics(&self) -> Option<bool> {
        self.has_graphics
    }

    /// The question whether it draws pictures itself, asked at `now`.
    pub fn ask_for_graphics(&mut self, now: f64, in_tmux: bool) -> String {
        (self.asked_for_graphics, self.has_kitty_graphics) = (true, false);
        self.asked(now);
        kitty::question(in_tmux) + ATTRIBUTES
    }

    /// The question what its background is, asked at `now`.
    pub fn ask_for_background(&mut self, now: f64) -> String {
        self.asked(now);
        format!("{BACKGROUND}{ATTRIBUTES}")
    }

    /// Takes an answer; true if it is known now, and was not, whether the terminal draws pictures.
    pub fn receive(&mut self, answer: &Answer) -> bool {
        match answer {
            Answer::KittyGraphics(has) => {
                self.has_kitty_graphics = *has;
                *has && self.conclude()
            }
            Answer::Attributes(_) => {
                self.pending = self.pending.saturating_sub(1);
                self.pending == 0 && self.conclude()
            }
            Answer::Background(_) => false,
        }
    }

    /// The same once the terminal has had its time to answer; a late answer counts, too.
    pub fn expire(&mut self, now: f64) -> bool {
        if self.pending == 0 || now - self.asked_at <= PATIENCE {
            return false;
        }
        self.pending = 0;
        if self.asked_for_graphics {
            self.has_graphics = Some(false);
        }
        self.asked_for_graphics
    }

    /// Whether answers may still come: whoever has the terminal next would take them for keys.
    pub fn is_awaited(&self) -> bool {
        self.pending > 0
    }

    fn asked(&mut self, now: f64) {
        self.pending += 1;
        self.asked_at = now;
    }

    fn conclude(&mut self) -> bool {
        if self.asked_for_graphics {
            self.has_graphics = Some(self.has_kitty_graphics);
        }
        std::mem::take(&mut self.asked_for_graphics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_for_attributes_says_that_no_other_will_come() {
        let attributes = Answer::Attributes(vec![62]);
        let mut terminal = Capabilities::default();
        assert!(terminal.ask_for_graphics(10., false).ends_with("\x1b[c"));
        assert!(terminal.receive(&Answer::KittyGraphics(true)));
        assert_eq!(terminal.has_graphics(), Some(true));
        assert!(!terminal.receive(&attributes), "it was known before");

        let mut terminal = Capabilities::default();
        terminal.ask_for_background(9.);
        terminal.ask_for_graphics(10., false);
        // the one that was asked for before
        assert!(!terminal.receive(&attributes));
        assert!(terminal.receive(&attributes));
        assert_eq!(terminal.has_graphics(), Some(false));
        // nothing that was asked for
        assert!(!terminal.receive(&attributes));
    }

    #[test]
    fn a_terminal_that_does_not_answer_has_no_graphics() {
        let mut terminal = Capabilities::default();
        terminal.ask_for_graphics(10., false);
        assert!(!terminal.expire(10.5) && terminal.is_awaited());
        assert!(terminal.expire(11.5) && !terminal.is_awaited());
        assert_eq!(terminal.has_graphics(), Some(false));
        // unless its answer was slow
        assert!(terminal.receive(&Answer::KittyGraphics(true)));
        assert_eq!(terminal.has_graphics(), Some(true));
    }
}
