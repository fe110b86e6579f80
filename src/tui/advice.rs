//! Advice that names commands, as engines record it for everybody, in the keys of this app. The app's own
//! texts name what a key does in the same way, so that they are right with any keys.

use crate::tui::keys::{Action, Keymap, Scope};

/// `text` with the keys that do here what its commands do in a shell.
pub fn in_keys(text: &str, keys: &Keymap) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    // an even number of marks encloses every second part
    if parts.len().is_multiple_of(2) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    for (i, part) in parts.iter().enumerate() {
        match (i % 2, key_for(part, keys)) {
            (0, _) => out.push_str(part),
            (_, Some(key)) => out.push_str(&key),
            (_, None) => out.push_str(&format!("`{part}`")),
        }
    }
    out
}

/// The key that does what a command does.
fn key_for(command: &str, keys: &Keymap) -> Option<String> {
    let mut words = command.split_whitespace();
    let verb = match words.next()? {
        "astill" => match words.next()? {
            // after the name of the run
            "send" => words.nth(1)?,
            other => other,
        },
        other => other,
    };
    let (action, scope) = match verb {
        "resume" | "pause" => (Action::Pause, Scope::Run),
        "set" => (Action::Tweak, Scope::Run),
        "roll-back" => (Action::RollBack, Scope::Run),
        "stop" => (Action::Stop, Scope::Run),
        "checkpoint" => (Action::Checkpoint, Scope::Run),
        "evaluate" => (Action::Evaluate, Scope::Run),
        "attach" => (Action::Open, Scope::Home),
        "fetch" => (Action::Fetch, Scope::Home),
        // what no command does
        "extend" => (Action::Extend, Scope::Run),
        "clone" => (Action::Clone, Scope::Run),
        "mark" => (Action::Mark, Scope::Home),
        "next-line" => (Action::NextLine, Scope::Chart),
        "hide-line" => (Action::HideLine, Scope::Chart),
        "help" => (Action::Help, Scope::Chart),
        "log" => (Action::Log, Scope::Run),
        "compare" => (Action::Compare, Scope::Home),
        "previous-run" => (Action::Up, Scope::Compare),
        "next-run" => (Action::Down, Scope::Compare),
        "hide-run" => (Action::HideLine, Scope::Compare),
        _ => return None,
    };
    let key = keys.name(action, scope);
    Some(match verb {
        "attach" | "fetch" => format!("{key} in the menu"),
        _ => key,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_become_the_keys_that_do_the_same() {
        let text = "There is a checkpoint of step 20. Lower distill.lr_student (`astill send boom set \
                    distill.lr_student=…`), or roll back first (`roll-back 10`), then `astill resume \
                    boom`";
        assert_eq!(
            in_keys(text, &Keymap::default()),
            "There is a checkpoint of step 20. Lower distill.lr_student (t), or roll back first (r), then \
             Space"
        );
        for unchanged in ["a `odd one", "`ls` lists files", "`astill doctor`", ""] {
            assert_eq!(in_keys(unchanged, &Keymap::default()), unchanged);
        }
        assert_eq!(
            in_keys("end it first with `astill send r stop`", &Keymap::default()),
            "end it first with x"
        );
    }
}
