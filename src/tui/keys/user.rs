//! The user's file of keys: what it changes of the table, checked, and the file to start from.

use crate::tui::keys::binding::{Action, KeyPress, Scope};
use crate::tui::keys::keymap::{BoundKeys, Keymap};
use crate::tui::user_file::{Problems, path_of};
use astill_core::Result;
use astill_core::yaml::{MapEntry, Value};
use std::collections::HashMap;
use std::fmt::Write;
use std::path::Path;

/// What can leave a screen: without a key, nobody gets out of it.
const EXITS: [Action; 2] = [Action::Back, Action::Escape];

/// The lines on which scopes and actions are given keys.
type Lines = HashMap<(Scope, Action), Option<usize>>;

/// The keys of the table with the changes in `text`, the content of the file `path`.
///
/// # Errors
/// Everything that is wrong with the file.
pub fn patched(path: &Path, text: &str) -> Result<Keymap> {
    let (mut keys, mut lines) = (Keymap::default(), Lines::new());
    let mut problems = Problems::of(path);
    for section in problems.document(text) {
        let scope = Scope::ALL.into_iter().find(|s| s.id() == section.key);
        let Some(scope) = scope else {
            problems.unknown("", &section, &Scope::ALL.map(Scope::id));
            continue;
        };
        for entry in problems.entries(&section.key, section.line, section.value) {
            patch(&mut keys, &mut lines, scope, &entry, &mut problems);
        }
    }
    for scope in Scope::ALL {
        check(&keys, &lines, scope, &mut problems);
    }
    problems.refuse()?;
    Ok(keys)
}

/// Gives an action of a scope the keys of `entry`.
fn patch(
    keys: &mut Keymap,
    lines: &mut Lines,
    scope: Scope,
    entry: &MapEntry,
    problems: &mut Problems<'_>,
) {
    let Some(bound) = keys.find(scope, &entry.key) else {
        let names: Vec<String> = keys.of(scope).map(|b| b.binding.action.id()).collect();
        return problems.unknown(&scope.id(), entry, &names);
    };
    let mut given = Vec::new();
    for value in listed(&entry.value) {
        match key_of(value, scope) {
            Ok(key) => given.push(key),
            Err(problem) => {
                problems.push(entry.line, &path_of(&scope.id(), &entry.key), problem);
            }
        }
    }
    lines.insert((scope, bound.binding.action), entry.line);
    bound.keys = given;
}

fn listed(value: &Value) -> &[Value] {
    match value {
        Value::List(values) => values,
        one => std::slice::from_ref(one),
    }
}

fn key_of(value: &Value, scope: Scope) -> Result<KeyPress, String> {
    let name = match value {
        Value::Text(name) => name.clone(),
        Value::Int(digit @ 0..=9) => digit.to_string(),
        other => {
            return Err(format!(
                "expected the name of a key, a list of them, or [] for no key; found {other}"
            ));
        }
    };
    let key = KeyPress::named(&name).ok_or_else(|| {
        format!(
            "expected a character, {}, F1 to F12, or one of these after Ctrl-; found the text {name:?}",
            KeyPress::NAMED.map(|(name, _)| name).join(", ")
        )
    })?;
    match scope.takes_text() && key.is_text() {
        true => Err(format!(
            "expected a key that types no text, such as Tab, F2 or Ctrl-T; found {}",
            key.name()
        )),
        false => Ok(key),
    }
}

/// Checks that no key has two meanings in a scope, and that it can be left.
fn check(keys: &Keymap, lines: &Lines, scope: Scope, problems: &mut Problems<'_>) {
    let mut owners: Vec<(KeyPress, &BoundKeys)> = Vec::new();
    let line_of = |bound: &BoundKeys| lines.get(&(scope, bound.binding.action)).copied();
    let name = |bound: &BoundKeys| path_of(&scope.id(), &bound.binding.action.id());
    for bound in keys.of(scope) {
        for key in &bound.keys {
            if let Some((_, owner)) = owners.iter().find(|(k, _)| k == key) {
                // the default that is in the way is not in the file
                let (blamed, other) = match line_of(bound) {
                    Some(_) => (bound, owner),
                    None => (*owner, &bound),
                };
                let problem = format!(
                    "expected a key with no other meaning; {} is that of {} ({})",
                    key.name(),
                    name(other),
                    other.binding.help.trim_end_matches('.')
                );
                problems.push(line_of(blamed).flatten(), &name(blamed), problem);
            }
            owners.push((*key, bound));
        }
        if EXITS.contains(&bound.binding.action) && bound.keys.is_empty() {
            let problem = "expected at least one key, found none: there would be no way out";
            problems.push(line_of(bound).flatten(), &name(bound), problem);
        }
    }
}

/// The file to start from: all keys as they are, each line a comment until it is needed.
pub fn template() -> String {
    written("# ")
}

fn written(mark: &str) -> String {
    let names = KeyPress::NAMED.map(|(name, _)| name).join(", ");
    let mut text = format!(
        "# The keys of astill. Remove the # before a line and change its keys; what is not given here\n\
         # keeps the keys that astill comes with. A key is a character (\"s\", \"?\"), F1 to F12, or\n\
         # {names};\n\
         # Ctrl- may stand before it. Several keys are a list, and [] is none.\n"
    );
    let keys = Keymap::default();
    for scope in Scope::ALL {
        _ = writeln!(text, "\n# {}\n{}:", scope.name(), scope.id());
        for bound in keys.of(scope) {
            let quoted: Vec<String> = bound
                .keys
                .iter()
                .map(|k| format!("{:?}", k.name()))
                .collect();
            let value = match quoted.as_slice() {
                [one] => one.clone(),
                several => format!("[{}]", several.join(", ")),
            };
            let (action, help) = (bound.binding.action.id(), bound.binding.help);
            _ = writeln!(text, "  # {help}\n  {mark}{action}: {value}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        patched(Path::new("keys.yaml"), text)
            .unwrap_err()
            .to_string()
    }

    fn names(keys: &Keymap, scope: Scope) -> Vec<String> {
        keys.of(scope).map(BoundKeys::names).collect()
    }

    #[test]
    fn the_template_changes_nothing_with_its_lines_as_comments_or_not() {
        for text in [template(), written(""), String::new()] {
            let keys = patched(Path::new("keys.yaml"), &text).unwrap();
            for scope in Scope::ALL {
                assert_eq!(names(&keys, scope), names(&Keymap::default(), scope));
            }
        }
    }

    #[test]
    fn a_file_changes_what_it_names() {
        let text = "run:\n  pause: [p, F5]\n  stop: Ctrl-X\n  evaluate: []\nhome:\n  mark: 3\n";
        let keys = patched(Path::new("keys.yaml"), text).unwrap();
        assert_eq!(keys.name(Action::Pause, Scope::Run), "p");
        assert_eq!(keys.name(Action::Stop, Scope::Run), "Ctrl-X");
        assert_eq!(keys.name(Action::Mark, Scope::Home), "3");
        assert_eq!(keys.name(Action::Evaluate, Scope::Run), "(no key)");
        assert!(
            keys.at(Scope::Run)
                .all(|b| b.binding.action != Action::Evaluate)
        );
        // the same action on another screen keeps its key
        assert_eq!(keys.name(Action::Pause, Scope::Chart), "Space");
    }

    #[test]
    fn a_refusal_says_where_what_was_expected_and_what_was_found() {
        for (text, problem) in [
            (
                "rnu:\n  pause: p\n",
                "keys.yaml:1: rnu: no such name; did you mean \"run\"?",
            ),
            (
                "run:\n  # x\n  paus: p\n",
                "keys.yaml:3: run.paus: no such name; did you mean \"pause\"?",
            ),
            (
                "run:\n  pause: Spcae\n",
                "keys.yaml:2: run.pause: expected a character, Space",
            ),
            (
                "run:\n  pause: 1.5\n",
                "keys.yaml:2: run.pause: expected the name of a key",
            ),
            (
                "run: p\n",
                "keys.yaml:1: run: expected names with values, found the text \"p\"",
            ),
            (
                "run:\n  stop: p\n  stop: o\n",
                "keys.yaml:3: run.stop: expected once, found twice (first on line 2)",
            ),
            (
                "home:\n  open: Enter\nrun:\n  pause: s\n",
                "keys.yaml:4: run.pause: expected a key with no other meaning; s is that of run.samples",
            ),
            (
                "run:\n  escape: []\n",
                "keys.yaml:2: run.escape: expected at least one key",
            ),
            (
                "search:\n  mark: m\n",
                "keys.yaml:2: search.mark: expected a key that types no text",
            ),
            ("run:\n\tpause: p\n", "keys.yaml:2: not valid YAML"),
            ("a: b\n---\nc: d\n", "a second YAML document"),
        ] {
            let said = refused(text);
            assert!(said.contains(problem), "{text:?}: {said}");
        }
        // all problems at once, in the order of the file
        let said = refused("run:\n  stop: nothing\nhome:\n  open: nothing\n");
        assert_eq!(said.lines().count(), 2);
    }

    #[test]
    fn names_of_keys_are_read_as_they_are_written() {
        for bound in Scope::ALL.into_iter().flat_map(names_of) {
            assert_eq!(KeyPress::named(&bound.name()), Some(bound));
        }
        for (name, same) in [
            ("space", " "),
            ("PAGEUP", "PgUp"),
            ("ctrl-a", "Ctrl-A"),
            ("f5", "F5"),
        ] {
            assert_eq!(KeyPress::named(name), KeyPress::named(same), "{name}");
            assert!(KeyPress::named(name).is_some(), "{name}");
        }
        for name in ["", "ab", "Ctrl-", "F0", "F13", "\u{7}"] {
            assert_eq!(KeyPress::named(name), None, "{name:?}");
        }
    }

    fn names_of(scope: Scope) -> Vec<KeyPress> {
        Keymap::default()
            .of(scope)
            .flat_map(|b| b.keys.clone())
            .collect()
    }
}
