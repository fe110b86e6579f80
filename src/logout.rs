//! Whether a run survives the end of the login session: systemd can be set to end everything that a
//! user leaves behind.

use rustix::process::getuid;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folders of logind's settings, those that count most last.
const FOLDERS: [&str; 4] = [
    "usr/lib/systemd",
    "usr/local/lib/systemd",
    "run/systemd",
    "etc/systemd",
];
/// Exists where systemd runs.
const RUNNING: &str = "run/systemd/system";
/// Has a file for every user whose programs go on after the logout.
const LINGERING: &str = "var/lib/systemd/linger";

/// What to know before logging out while a run is at work; none where runs survive it.
#[must_use]
pub fn warning() -> Option<String> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let user = user_name(&passwd, getuid().as_raw()).or_else(name_of_directory)?;
    warning_in(Path::new("/"), &user)
}

fn warning_in(root: &Path, user: &str) -> Option<String> {
    let is_concerned = root.join(RUNNING).is_dir()
        && kills(root, user)
        && !root.join(LINGERING).join(user).exists();
    is_concerned.then(|| {
        format!(
            "this machine ends all programs of a user at logout (KillUserProcesses=yes), runs \
             included: `loginctl enable-linger {user}` lets them go on"
        )
    })
}

/// Whether logind ends the programs of this user.
fn kills(root: &Path, user: &str) -> bool {
    let (mut kill, mut only, mut except) = (false, Vec::new(), vec!["root".to_string()]);
    for file in files(root) {
        let text = fs::read_to_string(file).unwrap_or_default();
        for line in text.lines() {
            let Some((key, value)) = line.split_once('=') else {
                continue;
            };
            let value = value.trim();
            let names = || value.split_whitespace().map(str::to_string).collect();
            match key.trim() {
                "KillUserProcesses" => {
                    let value = value.to_ascii_lowercase();
                    kill = matches!(value.as_str(), "1" | "yes" | "y" | "true" | "t" | "on");
                }
                "KillOnlyUsers" => only = names(),
                "KillExcludeUsers" => except = names(),
                _ => {}
            }
        }
    }
    let names = |users: &[String]| users.iter().any(|name| name == user);
    kill && (only.is_empty() || names(&only)) && !names(&except)
}

/// logind.conf, of which the last counts, then the files beside it in the order of their names.
fn files(root: &Path) -> Vec<PathBuf> {
    let folders = FOLDERS.map(|folder| root.join(folder));
    let whole = folders.iter().map(|f| f.join("logind.conf"));
    let mut files: Vec<PathBuf> = whole.filter(|f| f.is_file()).collect();
    files.drain(..files.len().saturating_sub(1));
    let parts = folders.iter().map(|f| f.join("logind.conf.d"));
    let entries = parts
        .filter_map(|f| fs::read_dir(f).ok())
        .flatten()
        .flatten();
    let mut parts: Vec<PathBuf> = entries
        .map(|e| e.path())
        .filter(|f| f.extension().is_some_and(|e| e == "conf"))
        .collect();
    parts.sort_by(|a, b| a.file_name().cmp(&b.file_name()));
    files.extend(parts);
    files
}

/// The name of this user where a directory service has it, and not /etc/passwd.
fn name_of_directory() -> Option<String> {
    let output = Command::new("id").arg("-un").output().ok()?;
    let name = String::from_utf8(output.stdout).ok()?;
    Some(name.trim().to_string()).filter(|name| output.status.success() && !name.is_empty())
}

/// The name of a user in the text of /etc/passwd.
fn user_name(passwd: &str, user: u32) -> Option<String> {
    passwd.lines().find_map(|line| {
        let mut parts = line.split(':');
        let (name, _, number) = (parts.next()?, parts.next()?, parts.next()?);
        (number.parse() == Ok(user)).then(|| name.to_string())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_ends_programs_at_logout_is_noticed() {
        let root = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let is_warned = |user: &str| warning_in(root.path(), user).is_some();
        write("run/systemd/system/x", "");
        assert!(!is_warned("ann"), "the usual setting");
        write(
            "etc/systemd/logind.conf",
            "[Login]\n#KillUserProcesses=yes\n",
        );
        assert!(!is_warned("ann"), "a comment");
        write(
            "usr/lib/systemd/logind.conf.d/50-kill.conf",
            "[Login]\nKillUserProcesses = Yes\n",
        );
        let text = warning_in(root.path(), "ann").unwrap();
        assert!(text.contains("KillUserProcesses=yes") && text.contains("enable-linger ann"));
        assert!(
            !is_warned("root"),
            "exempt unless another list says otherwise"
        );
        write(
            "etc/systemd/logind.conf.d/60.conf",
            "KillExcludeUsers=bob\nKillOnlyUsers=root ann\n",
        );
        assert!(is_warned("root") && is_warned("ann") && !is_warned("bob"));
        write("var/lib/systemd/linger/ann", "");
        assert!(!is_warned("ann"), "told to go on");
    }

    #[test]
    fn users_are_found_by_their_number() {
        let passwd = "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\nbroken\n";
        assert_eq!(user_name(passwd, 1000).as_deref(), Some("ann"));
        assert_eq!(user_name(passwd, 5), None);
    }
}
