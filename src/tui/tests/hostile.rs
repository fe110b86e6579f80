//! Malformed and unexpected records, on every screen.

use crate::tui::tests::stage::*;
use astill_core::run::event::Event;
use inputs::{Inputs, count};
use std::panic::{AssertUnwindSafe, catch_unwind};

#[path = "../../../tests/inputs/generator.rs"]
mod inputs;
#[path = "../../../tests/place/table.rs"]
mod place;

const EVENTS: &str = include_str!("../../../tests/inputs/events.jsonl");

#[test]
fn every_screen_draws_whatever_the_record_says() {
    let mut inputs = Inputs::new(EVENTS.lines().map(|l| l.as_bytes().to_vec()).collect());
    let valid: Vec<Event> = EVENTS
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    // screens are drawn, which takes longer than reading
    let (wanted, mut drawn) = (count() / 20, 0);
    while drawn < wanted {
        let input = inputs.next();
        let Ok(event) = serde_json::from_slice::<Event>(&input) else {
            continue;
        };
        drawn += 1;
        // in the middle of a life that is as it should be, and again at its end
        let mut life = valid.clone();
        life.insert(drawn as usize % life.len(), event.clone());
        life.push(event);
        let draw = || {
            let mut stage = AppStage::run((80, 24), "r", Vec::new());
            stage.receive_events(life);
            for keys in [
                &[][..],
                &["f", "Left", "+"],
                &["Esc", "s"],
                &["Enter"],
                &["Esc", "Esc", "l"],
                &["Esc", "t", "Down"],
                &["Esc", "r"],
            ] {
                stage.keys(keys);
                stage.screen();
            }
        };
        assert!(
            catch_unwind(AssertUnwindSafe(draw)).is_ok(),
            "a panic with {}",
            input.escape_ascii()
        );
    }
    place::row(
        "screens of the app, unexpected records",
        drawn,
        "none",
        "drawn without a panic",
    );
}
