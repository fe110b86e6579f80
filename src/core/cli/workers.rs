//! Which processes compute the segments of a run.

use super::{DeviceChoice, DeviceList};
use clap::Args;
use std::fmt;
use std::str::FromStr;

/// How many processes may be asked for at once.
const MOST: usize = 1024;

#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct WorkersArgs {
    /// Compute the segments of an update (distill.segments) in N processes at once, or in one on
    /// each of these devices, for example cuda:0,cuda:1; the result stays the same, and the experts
    /// are trained by as many
    #[arg(long, value_name = "N|DEVICES")]
    pub workers: Option<WorkersChoice>,
    /// Let `astill work RUN` help from other machines, which reach this one at ADDRESS, for example
    /// 0.0.0.0 for all its networks
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
}

impl WorkersArgs {
    /// These arguments for another process.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<String> {
        let Self { workers, listen } = self;
        let mut arguments = Vec::new();
        arguments.extend(workers.iter().map(|w| format!("--workers={w}")));
        arguments.extend(listen.iter().map(|l| format!("--listen={l}")));
        arguments
    }

    /// Whether anything was asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.workers.is_none() && self.listen.is_none()
    }
}

/// The processes that compute a run's segments, the engine's first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkersChoice {
    /// So many, all on the engine's device.
    Count(usize),
    /// One on each of these.
    Devices(DeviceList),
}

impl FromStr for WorkersChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = format!(
            "expected a number from 1 to {MOST}, or devices with commas between them, for example \
             cuda:0,cuda:1"
        );
        if let Ok(count) = text.parse::<usize>() {
            return match (1..=MOST).contains(&count) {
                true => Ok(Self::Count(count)),
                false => Err(expected),
            };
        }
        text.parse().map(Self::Devices).map_err(|_| expected)
    }
}

impl fmt::Display for WorkersChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => count.fmt(f),
            Self::Devices(devices) => devices.fmt(f),
        }
    }
}

#[derive(Debug, Args)]
pub struct WorkArgs {
    /// Name or path of the run
    pub run: String,
    /// auto (a GPU if there is one), cpu, cuda or cuda:N
    #[arg(long, default_value_t)]
    pub device: DeviceChoice,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_are_a_number_or_devices() {
        let parse = |text: &str| text.parse::<WorkersChoice>();
        assert_eq!(parse("3"), Ok(WorkersChoice::Count(3)));
        let two = "cuda:0,cuda:1".parse().unwrap();
        assert_eq!(parse("cuda:0,cuda:1"), Ok(WorkersChoice::Devices(two)));
        assert_eq!(parse("cpux2"), parse("cpu,cpu"));
        for text in ["3", "cuda:0,cpu"] {
            assert_eq!(parse(text).map(|w| w.to_string()), Ok(text.into()));
        }
        for bad in ["0", "1025", "-1", "", "cuda:0,", "gpu"] {
            assert!(
                parse(bad).is_err_and(|e| e.contains("expected a number")),
                "{bad}"
            );
        }
    }
}
