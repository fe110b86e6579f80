//! The limits of the control group that this process is in, as containers and batch systems set
//! them. (That of processors is known to `std::thread::available_parallelism`.)

use serde::{Deserialize, Serialize};
use std::fs;
use std::path::{Path, PathBuf};

/// A memory limit from here on (4 EiB, in bytes) is none: version 1 writes nearly 2^63 for it.
const NO_LIMIT: u64 = 1 << 62;

/// The control group of memory that a process is in, and those above it.
#[derive(Debug, Clone)]
pub struct MemoryGroup {
    /// From the group itself up to the root of the hierarchy.
    folders: Vec<PathBuf>,
    is_v2: bool,
}

/// How often the system had ended programs for lack of memory, when an engine started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OomKills {
    /// The boot of the machine that the count belongs to.
    pub boot: String,
    /// The folder of the control group; none for the whole machine.
    pub group: Option<PathBuf>,
    pub count: u64,
}

impl MemoryGroup {
    /// That of this process; none where there are no control groups, or none for memory.
    #[must_use]
    pub fn own() -> Option<Self> {
        let text = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).ok();
        Self::found(&text("cgroup")?, &text("mountinfo")?)
    }

    /// From the texts of /proc/self/cgroup and /proc/self/mountinfo.
    fn found(groups: &str, mounts: &str) -> Option<Self> {
        let lines = groups.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':');
            Some((parts.next()?, parts.next()?, parts.next()?))
        });
        let of_memory = |controllers: &str| controllers.split(',').any(|c| c == "memory");
        let (is_v2, group) = lines
            .filter_map(|(number, controllers, path)| match controllers {
                "" if number == "0" => Some((true, path)),
                controllers if of_memory(controllers) => Some((false, path)),
                _ => None,
            })
            // where both are mounted, the memory belongs to version 1
            .min_by_key(|(is_v2, _)| *is_v2)?;
        let (root, mounted) = mounts.lines().find_map(|line| {
            // 30 25 0:26 ROOT MOUNTED OPTIONS … - TYPE SOURCE SUPER
            let (left, right) = line.split_once(" - ")?;
            let mut left = left.split(' ').skip(3);
            let (root, mounted) = (left.next()?, left.next()?);
            let mut right = right.split(' ');
            let is_it = match right.next()? {
                "cgroup2" => is_v2,
                "cgroup" => !is_v2 && of_memory(right.nth(1)?),
                _ => false,
            };
            is_it.then_some((root, mounted))
        })?;
        // a container sees a part of the hierarchy, perhaps with the path that it has outside
        let inside = Path::new(group).strip_prefix(root);
        let inside = inside
            .or_else(|_| Path::new(group).strip_prefix("/"))
            .ok()?;
        let mounted = Path::new(mounted);
        let own = mounted.join(inside);
        let own = if own.is_dir() {
            own
        } else {
            mounted.to_path_buf()
        };
        let folders = own.ancestors().take_while(|f| f.starts_with(mounted));
        Some(Self {
            folders: folders.map(Path::to_path_buf).collect(),
            is_v2,
        })
    }

    /// Bytes that may still be used before the tightest of the limits; none without a limit.
    #[must_use]
    pub fn free_bytes(&self) -> Option<u64> {
        self.limit_and_use().map(|(limit, used)| limit - used)
    }

    /// The tightest of the limits, and what is used of it, in bytes; none without a limit.
    #[must_use]
    pub fn limit_and_use(&self) -> Option<(u64, u64)> {
        let (limit, usage) = match self.is_v2 {
            true => ("memory.max", "memory.current"),
            false => ("memory.limit_in_bytes", "memory.usage_in_bytes"),
        };
        let of = |folder: &PathBuf| {
            let limit = number(&folder.join(limit)).filter(|limit| *limit < NO_LIMIT)?;
            let usage = number(&folder.join(usage)).unwrap_or(0);
            // what is only cached can be dropped
            let stat = fs::read_to_string(folder.join("memory.stat")).unwrap_or_default();
            let cached =
                value(&stat, "total_inactive_file").or_else(|| value(&stat, "inactive_file"));
            Some((limit, usage.saturating_sub(cached.unwrap_or(0)).min(limit)))
        };
        let limits = self.folders.iter().filter_map(of);
        limits.min_by_key(|(limit, used)| limit - used)
    }

    /// How often a process of this group was ended for lack of memory.
    fn oom_kills(&self) -> Option<u64> {
        let file = match self.is_v2 {
            true => "memory.events",
            false => "memory.oom_control",
        };
        kills(&self.folders.first()?.join(file))
    }
}

impl OomKills {
    /// The count now: of this process's control group, or else of the machine; none where the
    /// system does not count.
    #[must_use]
    pub fn now() -> Option<Self> {
        let boot = boot()?;
        let group = MemoryGroup::own().and_then(|group| {
            let count = group.oom_kills()?;
            Some((group.folders.into_iter().next(), count))
        });
        let (group, count) = match group {
            Some(found) => found,
            None => (None, kills(Path::new("/proc/vmstat"))?),
        };
        Some(Self { boot, group, count })
    }

    /// Whether programs have been ended for lack of memory since: none where that cannot be known
    /// any more, because the machine was started again or the control group is gone.
    #[must_use]
    pub fn has_grown(&self) -> Option<bool> {
        if boot()? != self.boot {
            return None;
        }
        Some(self.current()? > self.count)
    }

    /// The count of the same group, or machine, now.
    #[must_use]
    pub fn current(&self) -> Option<u64> {
        match &self.group {
            Some(folder) => ["memory.events", "memory.oom_control"]
                .iter()
                .find_map(|file| kills(&folder.join(file))),
            None => kills(Path::new("/proc/vmstat")),
        }
    }
}

fn boot() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_string())
}

fn kills(file: &Path) -> Option<u64> {
    value(&fs::read_to_string(file).ok()?, "oom_kill")
}

fn number(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// The number after `key` in lines of the form "key number".
fn value(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|l| l.strip_prefix(key)?.strip_prefix(' '))?
        .trim()
        .parse()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A group of a hierarchy in a folder, with these files in it.
    fn group(files: &[(&str, &str)], is_v2: bool) -> (tempfile::TempDir, MemoryGroup) {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("job/step");
        fs::create_dir_all(&folder).unwrap();
        for (name, text) in files {
            fs::write(root.path().join(name), text).unwrap();
        }
        let mounted = root.path().display();
        let (groups, mounts) = match is_v2 {
            true => (
                "0::/job/step\n".to_string(),
                format!("30 25 0:26 / {mounted} rw shared:4 - cgroup2 cgroup rw\n"),
            ),
            false => (
                "9:cpu,cpuacct:/other\n5:memory:/job/step\n0::/\n".to_string(),
                format!(
                    "29 25 0:25 / /nowhere rw - cgroup2 cgroup rw\n\
                     30 25 0:26 / {mounted} rw shared:4 - cgroup cgroup rw,memory\n"
                ),
            ),
        };
        let group = MemoryGroup::found(&groups, &mounts).unwrap();
        (root, group)
    }

    #[test]
    fn the_tightest_limit_of_a_group_and_those_above_it_counts() {
        let (_root, group) = group(
            &[
                ("job/step/memory.max", "max\n"),
                ("job/step/memory.current", "100\n"),
                ("job/memory.max", "1000\n"),
                ("job/memory.current", "700\n"),
                ("job/memory.stat", "anon 500\ninactive_file 200\n"),
                ("job/step/memory.events", "oom 2\noom_kill 1\n"),
            ],
            true,
        );
        assert_eq!(
            group.free_bytes(),
            Some(500),
            "what is cached can be dropped"
        );
        assert_eq!(group.limit_and_use(), Some((1000, 500)));
        assert_eq!(group.oom_kills(), Some(1));
    }

    #[test]
    fn version_1_is_read_too_and_its_largest_number_is_no_limit() {
        let files = [
            ("memory.limit_in_bytes", "9223372036854771712\n"),
            ("job/step/memory.limit_in_bytes", "600\n"),
            ("job/step/memory.usage_in_bytes", "250\n"),
            (
                "job/step/memory.oom_control",
                "oom_kill_disable 0\noom_kill 3\n",
            ),
        ];
        let (_root, limited) = group(&files, false);
        assert_eq!(limited.free_bytes(), Some(350));
        assert_eq!(limited.oom_kills(), Some(3));
        let (_root, free) = group(&files[..1], false);
        assert_eq!(free.free_bytes(), None);
    }

    #[test]
    fn a_group_that_is_gone_or_of_an_earlier_boot_says_nothing() {
        let of = |boot: &str| OomKills {
            boot: boot.into(),
            group: Some("/nowhere".into()),
            count: 0,
        };
        assert_eq!(of("an earlier one").has_grown(), None);
        assert_eq!(of(&boot().unwrap_or_default()).has_grown(), None);
        assert!(MemoryGroup::found("nonsense", "nonsense").is_none());
    }
}
