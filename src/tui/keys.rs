//! Keys and what they ask for, all from one table and the user's changes of it. Dispatch, the footer and
//! the help screen read these; docs/keys.md reads the table.

mod binding;
mod charts;
mod entry;
mod keymap;
mod moves;
mod table;
pub mod user;

pub use binding::{Action, Binding, KeyPress, Scope};
pub use keymap::{BoundKeys, Keymap};

/// Every binding, in the order of the footer and the docs.
fn table() -> impl Iterator<Item = &'static Binding> {
    let parts = [
        charts::COMPARISON,
        table::TABLE,
        charts::TABLE,
        moves::TABLE,
        table::LAST,
    ];
    parts.into_iter().flatten()
}

/// docs/keys.md: one table per screen.
#[cfg(test)]
fn manual() -> String {
    use std::fmt::Write;
    let mut text = String::from(
        "# Keys\n\nThis page is generated from the program's table of keys; `ASTILL_BLESS=1 cargo \
         test keys` updates it. While you\n\
         edit a text (a search, a new value), all other keys go to it; the arrows, Home, End, \
         Backspace and Delete work as usual.\n",
    );
    for scope in Scope::ALL {
        _ = writeln!(
            text,
            "\n## {}\n\n| key | what it does |\n|---|---|",
            scope.name()
        );
        for bound in Keymap::default().at(scope) {
            let names = bound.keys.iter().map(|k| format!("`{}`", k.name()));
            let names: Vec<String> = names.collect();
            _ = writeln!(text, "| {} | {} |", names.join(" "), bound.binding.help);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_and_no_action_has_two_meanings_in_one_scope() {
        let keymap = Keymap::default();
        for scope in Scope::ALL {
            let keys: Vec<KeyPress> = keymap.at(scope).flat_map(|b| b.keys.clone()).collect();
            for (i, key) in keys.iter().enumerate() {
                assert!(
                    !keys[..i].contains(key),
                    "{} twice on {}",
                    key.name(),
                    scope.name()
                );
            }
            // so that a file can name it
            let actions: Vec<Action> = keymap.at(scope).map(|b| b.binding.action).collect();
            for (i, action) in actions.iter().enumerate() {
                assert!(
                    !actions[..i].contains(action),
                    "{action:?} twice on {}",
                    scope.name()
                );
            }
        }
    }

    #[test]
    fn every_binding_has_a_scope_and_an_explanation() {
        for binding in table() {
            assert!(
                !binding.scopes.is_empty()
                    && !binding.keys.is_empty()
                    && binding.help.ends_with('.'),
                "{:?}",
                binding.action
            );
        }
    }

    #[test]
    fn every_screen_can_be_left_and_suspended() {
        for scope in Scope::ALL {
            for action in [Action::Escape, Action::Suspend] {
                assert!(
                    Keymap::default()
                        .at(scope)
                        .any(|b| b.binding.action == action),
                    "{action:?} on {}",
                    scope.name()
                );
            }
        }
    }

    #[test]
    fn docs_keys_matches_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/keys.md");
        if std::env::var_os("ASTILL_BLESS").is_some_and(|v| v == "1") {
            std::fs::write(path, manual()).unwrap();
        } else {
            assert!(
                std::fs::read_to_string(path).unwrap() == manual(),
                "docs/keys.md is out of date; run ASTILL_BLESS=1 cargo test keys"
            );
        }
    }
}
