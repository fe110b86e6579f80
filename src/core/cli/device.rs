//! What `--device` accepts.

use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The device that a user requests. Only the engine knows whether it exists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum DeviceChoice {
    /// The first GPU if there is one, else the CPU.
    #[default]
    Auto,
    Cpu,
    /// The GPU with this number, from 0.
    Cuda(usize),
}

impl DeviceChoice {
    /// What can be chosen on this machine, as far as the system shows its GPUs.
    #[must_use]
    pub fn here() -> Vec<Self> {
        let names = std::fs::read_dir("/dev").into_iter().flatten().flatten();
        let number = |name: std::ffi::OsString| {
            let digits = name.to_str()?.strip_prefix("nvidia")?.to_string();
            digits.parse::<usize>().ok()
        };
        let gpus = names.filter_map(|entry| number(entry.file_name())).count();
        let gpus = (0..gpus).map(Self::Cuda);
        [Self::Auto, Self::Cpu].into_iter().chain(gpus).collect()
    }
}

/// Not the name of a device.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected auto (a GPU if there is one), cpu, cuda or cuda:N, for example cuda:1")]
pub struct NotADevice;

impl FromStr for DeviceChoice {
    type Err = NotADevice;

    fn from_str(name: &str) -> Result<Self, NotADevice> {
        match name {
            "auto" => Ok(Self::Auto),
            "cpu" => Ok(Self::Cpu),
            "cuda" => Ok(Self::Cuda(0)),
            _ => {
                let number = name.strip_prefix("cuda:").and_then(|n| n.parse().ok());
                number.map(Self::Cuda).ok_or(NotADevice)
            }
        }
    }
}

impl fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Auto => f.write_str("auto"),
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl Serialize for DeviceChoice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
