//! Keys and what they ask for, all from one table. Dispatch, the footer, the help screen and
//! docs/keys.md read it.

mod binding;
mod charts;
mod entry;
mod moves;
mod table;

pub use binding::{Action, Binding, KeyPress, Scope};

use crossterm::event::KeyEvent;

/// Every binding, in the order of the footer and the docs.
pub fn table() -> impl Iterator<Item = &'static Binding> {
    let parts = [
        charts::COMPARISON,
        table::TABLE,
        charts::TABLE,
        moves::TABLE,
        table::LAST,
    ];
    parts.into_iter().flatten()
}

/// The binding of a key in a scope.
pub fn action(event: &KeyEvent, scope: Scope) -> Option<&'static Binding> {
    table().find(|b| b.scopes.contains(&scope) && b.keys.iter().any(|k| k.is(event)))
}

/// The bindings of a scope.
pub fn at(scope: Scope) -> impl Iterator<Item = &'static Binding> {
    table().filter(move |b| b.scopes.contains(&scope))
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
        for binding in at(scope) {
            _ = writeln!(
                text,
                "| {} | {} |",
                binding
                    .keys
                    .iter()
                    .map(|k| format!("`{}`", k.name()))
                    .collect::<Vec<_>>()
                    .join(" "),
                binding.help
            );
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_has_two_meanings_in_one_scope() {
        for scope in Scope::ALL {
            let keys: Vec<KeyPress> = at(scope).flat_map(|b| b.keys).copied().collect();
            for (i, key) in keys.iter().enumerate() {
                assert!(
                    !keys[..i].contains(key),
                    "{} twice on {}",
                    key.name(),
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
                "{}",
                binding.names()
            );
        }
    }

    #[test]
    fn every_screen_can_be_left_and_suspended() {
        for scope in Scope::ALL {
            for action in [Action::Escape, Action::Suspend] {
                assert!(
                    at(scope).any(|b| b.action == action),
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
