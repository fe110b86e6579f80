//! Advice that names commands, as engines record it for everybody, in the keys of this app.

/// `text` with the keys that do here what its commands do in a shell.
pub fn in_keys(text: &str) -> String {
    let parts: Vec<&str> = text.split('`').collect();
    // an even number of marks encloses every second part
    if parts.len().is_multiple_of(2) {
        return text.into();
    }
    let mut out = String::with_capacity(text.len());
    for (i, part) in parts.iter().enumerate() {
        match (i % 2, key_for(part)) {
            (0, _) => out.push_str(part),
            (_, Some(key)) => out.push_str(key),
            (_, None) => out.push_str(&format!("`{part}`")),
        }
    }
    out
}

/// The key that does what a command does.
fn key_for(command: &str) -> Option<&'static str> {
    let mut words = command.split_whitespace();
    let verb = match words.next()? {
        "astill" => match words.next()? {
            // after the name of the run
            "send" => words.nth(1)?,
            other => other,
        },
        other => other,
    };
    Some(match verb {
        "resume" | "pause" => "Space",
        "set" => "t",
        "roll-back" => "r",
        "stop" => "x",
        "checkpoint" => "c",
        "evaluate" => "e",
        "attach" => "Enter in the menu",
        "fetch" => "f in the menu",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_become_the_keys_that_do_the_same() {
        let text = "There is a checkpoint of step 20. While an engine is running (start one with \
                    `astill resume boom --detach`), lower distill.lr_student (`astill send boom set \
                    distill.lr_student=…`), or roll back first (`roll-back 10`), then `astill send \
                    boom resume`";
        assert_eq!(
            in_keys(text),
            "There is a checkpoint of step 20. While an engine is running (start one with Space), \
             lower distill.lr_student (t), or roll back first (r), then Space"
        );
        for unchanged in ["a `odd one", "`ls` lists files", "`astill doctor`", ""] {
            assert_eq!(in_keys(unchanged), unchanged);
        }
        assert_eq!(
            in_keys("end it first with `astill send r stop`"),
            "end it first with x"
        );
    }
}
