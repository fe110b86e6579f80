//! Memory and processors of the host, as Linux reports them in /proc.

use astill_core::cgroup::MemoryGroup;
use std::fs::read_to_string;

/// In bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Memory {
    pub used: u64,
    /// Of the host, or the limit of this process's control group where that is less.
    pub total: u64,
}

impl Memory {
    /// None where the system does not say.
    pub fn read() -> Option<Self> {
        let host = Self::of(&read_to_string("/proc/meminfo").ok()?)?;
        let group = MemoryGroup::own().and_then(|group| group.limit_and_use());
        Some(match group {
            Some((total, used)) if total < host.total => Self { used, total },
            _ => host,
        })
    }

    /// From the text of /proc/meminfo.
    fn of(text: &str) -> Option<Self> {
        let bytes = |key: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(key))?;
            let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
            kib.checked_mul(1024)
        };
        let total = bytes("MemTotal:")?;
        Some(Self {
            used: total.saturating_sub(bytes("MemAvailable:")?),
            total,
        })
    }
}

/// What the processors that this process may use have counted since the machine started, in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processors {
    busy: u64,
    all: u64,
}

impl Processors {
    /// None where the system does not say.
    pub fn read() -> Option<Self> {
        let status = read_to_string("/proc/self/status").ok()?;
        Self::of(&read_to_string("/proc/stat").ok()?, &status)
    }

    /// From the texts of /proc/stat and /proc/self/status.
    fn of(stat: &str, status: &str) -> Option<Self> {
        let list = status
            .lines()
            .find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
        let mut counted = Self { busy: 0, all: 0 };
        for line in stat.lines().filter_map(|line| line.strip_prefix("cpu")) {
            let mut words = line.split(' ');
            // the first line sums up all processors and has no number
            let Some(Ok(number)) = words.next().map(str::parse::<u64>) else {
                continue;
            };
            if !contains(list, number) {
                continue;
            }
            // user nice system idle iowait irq softirq steal; what follows is in user and nice already
            let ticks: Vec<u64> = words.take(8).map_while(|word| word.parse().ok()).collect();
            let all: u64 = ticks.iter().sum();
            let idle: u64 = ticks.iter().skip(3).take(2).sum();
            counted.all += all;
            counted.busy += all - idle;
        }
        (counted.all > 0).then_some(counted)
    }

    /// The share of the time since `before` in which they were at work, in per cent; none where no
    /// time was counted.
    pub fn load_since(&self, before: &Self) -> Option<f64> {
        let all = self.all.checked_sub(before.all).filter(|all| *all > 0)?;
        // the system may count idle time back
        let busy = self.busy.saturating_sub(before.busy).min(all);
        Some(100. * busy as f64 / all as f64)
    }
}

/// Whether a list such as "0-3,8" has this number.
fn contains(list: &str, number: u64) -> bool {
    list.trim().split(',').any(|part| {
        let (from, to) = part.split_once('-').unwrap_or((part, part));
        let bounds = from.parse::<u64>().ok().zip(to.parse::<u64>().ok());
        bounds.is_some_and(|(from, to)| (from..=to).contains(&number))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "cpu  30 0 30 100 20 0 0 0 0 0\n\
                        cpu0 10 0 10 70 10 0 0 0 5 0\n\
                        cpu1 20 0 20 30 10 0 0 0 0 0\n\
                        cpu11 99 0 0 1 0 0 0 0 0 0\n\
                        intr 5\n";

    #[test]
    fn only_the_processors_that_the_process_may_use_count() {
        let of = |list: &str| {
            let status = format!("Name: x\nCpus_allowed_list:\t{list}\n");
            Processors::of(STAT, &status)
        };
        assert_eq!(of("0"), Some(Processors { busy: 20, all: 100 }));
        assert_eq!(of("0-1"), Some(Processors { busy: 60, all: 180 }));
        assert_eq!(
            of("1,11-12"),
            Some(Processors {
                busy: 139,
                all: 180
            })
        );
        assert_eq!(of("7"), None);
        assert_eq!(Processors::of("nonsense", "nonsense"), None);
    }

    #[test]
    fn the_load_is_that_of_the_time_between() {
        let before = Processors { busy: 20, all: 100 };
        let now = Processors { busy: 50, all: 140 };
        assert_eq!(now.load_since(&before), Some(75.));
        assert_eq!(before.load_since(&before), None);
        let counted_back = Processors { busy: 10, all: 110 };
        assert_eq!(counted_back.load_since(&before), Some(0.));
    }

    #[test]
    fn memory_that_is_available_is_not_used() {
        let text = "MemTotal:  100 kB\nMemFree:  10 kB\nMemAvailable:  70 kB\n";
        let expected = Memory {
            used: 30 << 10,
            total: 100 << 10,
        };
        assert_eq!(Memory::of(text), Some(expected));
        assert_eq!(Memory::of("MemTotal: 100 kB\n"), None);
    }
}
