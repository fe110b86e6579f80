//! Whether characters beyond ASCII can be shown.

/// The variables that say how characters are encoded; the first that is set counts.
const LOCALE: [&str; 3] = ["LC_ALL", "LC_CTYPE", "LANG"];
/// Set inside programs that show something else in the place of characters that the locale lacks.
const MULTIPLEXERS: [&str; 2] = ["TMUX", "STY"];

/// Why only ASCII characters would be seen, if so. Where no locale is set, or one that names no encoding,
/// a terminal of its own usually shows UTF-8; tmux and screen do not.
#[must_use]
pub fn reason(env: &dyn Fn(&str) -> Option<String>) -> Option<&'static str> {
    if env("TERM").is_some_and(|term| term == "linux") {
        return Some("the fonts of the Linux console have no more");
    }
    let set = |name: &&str| env(name).filter(|value| !value.is_empty());
    let locale = LOCALE.iter().find_map(set).unwrap_or_default();
    let name = locale.split('@').next().unwrap_or_default();
    let encoding = name.split_once('.').map(|(_, encoding)| encoding);
    let is_utf_8 = |name: &str| name.to_ascii_lowercase().replace('-', "") == "utf8";
    let is_needed = match encoding {
        Some(encoding) => !is_utf_8(encoding),
        None if is_utf_8(name) => false,
        None if matches!(name, "C" | "POSIX") => true,
        None => MULTIPLEXERS.iter().any(|name| set(name).is_some()),
    };
    is_needed.then_some("the locale is not UTF-8")
}

/// Whether only ASCII characters would be seen.
#[must_use]
pub fn is_needed(env: &dyn Fn(&str) -> Option<String>) -> bool {
    reason(env).is_some()
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
        for set in [
            &[tmux][..],
            &[tmux, ("LANG", "POSIX")],
            &[("LANG", "C")],
            &[("LC_ALL", "POSIX"), ("LANG", "en_US.UTF-8")],
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
            &[tmux, ("LC_CTYPE", "UTF-8")],
            &[("LANG", "en_GB")],
        ] {
            assert!(!needed(set), "{set:?}");
        }
    }
}
