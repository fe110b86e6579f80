//! Whether characters beyond ASCII can be shown.

/// The variables that say how characters are encoded; the first that is set counts.
const LOCALE: [&str; 3] = ["LC_ALL", "LC_CTYPE", "LANG"];
/// Set inside programs that show something else in the place of characters that the locale lacks.
const MULTIPLEXERS: [&str; 2] = ["TMUX", "STY"];

/// Whether only ASCII characters would be seen: the terminal is the Linux console, whose fonts have no
/// braille; the locale names another encoding than UTF-8; or it names none (C, POSIX or not set), and tmux or screen goes by that. A terminal of its own usually
/// shows UTF-8 whatever the locale says.
#[must_use]
pub fn is_needed(env: &dyn Fn(&str) -> Option<String>) -> bool {
    if env("TERM").is_some_and(|term| term == "linux") {
        return true;
    }
    let set = |name: &&str| env(name).filter(|value| !value.is_empty());
    let locale = LOCALE.iter().find_map(set).unwrap_or_default();
    let encoding = locale.split('@').next().and_then(|l| l.split_once('.'));
    match encoding {
        Some((_, name)) => !name.to_ascii_lowercase().replace('-', "").eq("utf8"),
        None => MULTIPLEXERS.iter().any(|name| set(name).is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locale_decides_and_in_tmux_one_without_an_encoding_too() {
        let needed = |set: &[(&str, &str)]| {
            let find = |name: &str| set.iter().find(|(n, _)| *n == name);
            is_needed(&|name| find(name).map(|(_, value)| value.to_string()))
        };
        let tmux = ("TMUX", "/tmp/tmux-0/default,1,0");
        assert!(!needed(&[]));
        assert!(!needed(&[("LANG", "C")]), "a terminal of its own");
        for set in [
            &[tmux][..],
            &[tmux, ("LANG", "POSIX")],
            &[tmux, ("LC_ALL", "C"), ("LANG", "en_US.UTF-8")],
            &[tmux, ("LC_CTYPE", "en_GB")],
            &[("STY", "1.pts"), ("LANG", "")],
            &[("TERM", "linux"), ("LANG", "en_US.UTF-8")],
            &[("LANG", "de_DE.ISO-8859-15@euro")],
            &[("LC_ALL", "ja_JP.eucJP"), ("LANG", "ja_JP.UTF-8")],
        ] {
            assert!(needed(set), "{set:?}");
        }
        for set in [
            &[tmux, ("LANG", "C.UTF-8")][..],
            &[tmux, ("LC_ALL", ""), ("LC_CTYPE", "de_DE.utf8@euro")],
            &[("LANG", "en_US.UTF-8")],
        ] {
            assert!(!needed(set), "{set:?}");
        }
    }
}
