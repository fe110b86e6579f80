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

/// How a terminal draws pictures itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Graphics {
    /// Kitty's protocol.
    Kitty,
    Sixel,
    Neither,
}

/// The attribute (DA1) of terminals that have sixels.
const SIXELS: u16 = 4;

/// What is known of the terminal.
#[derive(Debug, Clone, Default)]
pub struct Capabilities {
    /// Questions for its attributes without an answer so far, and when the last one was asked.
    pending: u32,
    asked_at: f64,
    /// It was asked how it draws pictures, and has not answered.
    asked_for_graphics: bool,
    /// Inside tmux, which answers for its attributes itself, before the terminal around it answers.
    in_tmux: bool,
    has_kitty_graphics: bool,
    /// How it draws pictures itself, once that is known.
    graphics: Option<Graphics>,
}

impl Capabilities {
    /// How the terminal draws pictures itself, once it was asked and has answered.
    pub fn graphics(&self) -> Option<Graphics> {
        self.graphics
    }

    /// The question how it draws pictures itself, asked at `now`.
    pub fn ask_for_graphics(&mut self, now: f64, in_tmux: bool) -> String {
        (self.asked_for_graphics, self.has_kitty_graphics) = (true, false);
        self.in_tmux = in_tmux;
        self.asked(now);
        kitty::question(in_tmux) + ATTRIBUTES
    }

    /// The question what its background is, asked at `now`.
    pub fn ask_for_background(&mut self, now: f64) -> String {
        self.asked(now);
        format!("{BACKGROUND}{ATTRIBUTES}")
    }

    /// Takes an answer; true if it is known now, and was not, how the terminal draws pictures.
    ///
    /// Where it has both ways, sixels are taken: WezTerm and Konsole, for example, have kitty's protocol
    /// without the placeholders that are used here.
    pub fn receive(&mut self, answer: &Answer) -> bool {
        match answer {
            Answer::KittyGraphics(has) => {
                self.has_kitty_graphics = *has;
                *has && self.pending == 0 && self.conclude(Graphics::Kitty)
            }
            Answer::Attributes(attributes) => {
                self.pending = self.pending.saturating_sub(1);
                match attributes.contains(&SIXELS) {
                    // it has them, whichever question this answers
                    true => self.conclude(Graphics::Sixel),
                    // another answer is to come
                    false if self.pending > 0 => false,
                    false if self.has_kitty_graphics => self.conclude(Graphics::Kitty),
                    // the terminal around it may still answer
                    false if self.in_tmux => false,
                    false => self.conclude(Graphics::Neither),
                }
            }
            Answer::Background(_) => false,
        }
    }

    /// The same once the terminal has had its time to answer; a late answer counts, too.
    pub fn expire(&mut self, now: f64) -> bool {
        if !self.is_awaited() || now - self.asked_at <= PATIENCE {
            return false;
        }
        self.pending = 0;
        let is_undecided = self.asked_for_graphics && self.graphics.is_none();
        if is_undecided {
            self.graphics = Some(match self.has_kitty_graphics {
                true => Graphics::Kitty,
                false => Graphics::Neither,
            });
        }
        is_undecided
    }

    /// Whether answers may still come: whoever has the terminal next would take them for keys.
    pub fn is_awaited(&self) -> bool {
        self.pending > 0 || (self.asked_for_graphics && self.graphics.is_none())
    }

    fn asked(&mut self, now: f64) {
        self.pending += 1;
        self.asked_at = now;
    }

    fn conclude(&mut self, graphics: Graphics) -> bool {
        if self.asked_for_graphics {
            self.graphics = Some(graphics);
        }
        std::mem::take(&mut self.asked_for_graphics)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(in_tmux: bool) -> Capabilities {
        let mut terminal = Capabilities::default();
        let question = terminal.ask_for_graphics(10., in_tmux);
        assert!(question.ends_with("\x1b[c"));
        terminal
    }

    fn attributes(of: &[u16]) -> Answer {
        Answer::Attributes(of.to_vec())
    }

    #[test]
    fn the_answer_for_attributes_says_that_no_other_will_come() {
        let mut terminal = asked(false);
        assert!(!terminal.receive(&Answer::KittyGraphics(true)));
        assert!(terminal.receive(&attributes(&[62])));
        assert_eq!(terminal.graphics(), Some(Graphics::Kitty));

        let mut terminal = Capabilities::default();
        terminal.ask_for_background(9.);
        terminal.ask_for_graphics(10., false);
        // the one that was asked for before
        assert!(!terminal.receive(&attributes(&[62])));
        assert!(terminal.receive(&attributes(&[62])));
        assert_eq!(terminal.graphics(), Some(Graphics::Neither));
        // nothing that was asked for
        assert!(!terminal.receive(&attributes(&[62])));
    }

    #[test]
    fn sixels_are_an_attribute_and_come_before_kittys_protocol() {
        let mut terminal = asked(false);
        assert!(terminal.receive(&attributes(&[62, 4, 22])));
        assert_eq!(terminal.graphics(), Some(Graphics::Sixel));
        // also where an earlier question has not been answered
        let mut terminal = Capabilities::default();
        terminal.ask_for_background(9.);
        terminal.ask_for_graphics(10., false);
        assert!(terminal.receive(&attributes(&[62, 4, 22])));
        let mut terminal = asked(false);
        terminal.receive(&Answer::KittyGraphics(true));
        assert!(terminal.receive(&attributes(&[65, 4])));
        assert_eq!(terminal.graphics(), Some(Graphics::Sixel));
    }

    #[test]
    fn tmux_answers_before_the_terminal_around_it() {
        let mut terminal = asked(true);
        assert!(!terminal.receive(&attributes(&[1, 2])));
        assert!(terminal.is_awaited());
        assert!(terminal.receive(&Answer::KittyGraphics(true)));
        assert_eq!(terminal.graphics(), Some(Graphics::Kitty));
        let mut terminal = asked(true);
        terminal.receive(&attributes(&[1, 2]));
        assert!(terminal.expire(11.5) && !terminal.is_awaited());
        assert_eq!(terminal.graphics(), Some(Graphics::Neither));
        // tmux itself may have sixels
        assert!(asked(true).receive(&attributes(&[1, 2, 4])));
    }

    #[test]
    fn a_terminal_that_does_not_answer_has_no_graphics() {
        let mut terminal = asked(false);
        assert!(!terminal.expire(10.5) && terminal.is_awaited());
        assert!(terminal.expire(11.5) && !terminal.is_awaited());
        assert_eq!(terminal.graphics(), Some(Graphics::Neither));
        assert!(!terminal.expire(12.5));
        // unless its answer was slow
        assert!(terminal.receive(&Answer::KittyGraphics(true)));
        assert_eq!(terminal.graphics(), Some(Graphics::Kitty));
    }
}
