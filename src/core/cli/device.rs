//! What `--device` accepts.

use serde::{Serialize, Serializer};
use std::fmt;
use std::str::FromStr;

/// The device that a user requests. Only the engine knows whether it exists.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub enum DeviceChoice {
    /// The GPU with the most free memory on which no run of this user computes, if there is a GPU that
    /// works, else the CPU.
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

/// Devices that work at the same time, each with a process of its own; mostly there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeviceList(Vec<DeviceChoice>);

/// More processes than any machine has use for.
pub(super) const MOST_PROCESSES: usize = 1024;

/// Not a list of devices.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected auto (a GPU if there is one), cpu, cuda or cuda:N, several of them separated by commas, \
     or cpuxN for N processes on the CPU, for example cuda:0,cuda:1 or cpux4"
)]
pub struct NotDevices;

impl DeviceList {
    /// One device for every process, at least one.
    #[must_use]
    pub fn each(&self) -> &[DeviceChoice] {
        &self.0
    }

    /// That of the first process.
    #[must_use]
    pub fn first(&self) -> DeviceChoice {
        self.0.first().cloned().unwrap_or_default()
    }

    /// Those of all processes but the first; none where there is only one.
    #[must_use]
    pub fn others(&self) -> &[DeviceChoice] {
        self.0.get(1..).unwrap_or_default()
    }

    /// How many processes are on the CPU.
    #[must_use]
    pub fn on_cpu(&self) -> usize {
        let cpu = |device: &&DeviceChoice| **device == DeviceChoice::Cpu;
        self.0.iter().filter(cpu).count()
    }
}

impl Default for DeviceList {
    fn default() -> Self {
        Self(vec![DeviceChoice::default()])
    }
}

impl FromStr for DeviceList {
    type Err = NotDevices;

    fn from_str(names: &str) -> Result<Self, NotDevices> {
        let mut all = Vec::new();
        for name in names.split(',') {
            let (name, times) = match name.split_once(['x', '×']) {
                Some((name, times)) => (name, times.parse().map_err(|_| NotDevices)?),
                None => (name, 1),
            };
            if !(1..=MOST_PROCESSES).contains(&times) {
                return Err(NotDevices);
            }
            let device: DeviceChoice = name.parse().map_err(|_| NotDevices)?;
            all.extend(std::iter::repeat_n(device, times));
        }
        // which device is meant must be clear if there are several
        match all.len() > 1 && all.contains(&DeviceChoice::Auto) || all.len() > MOST_PROCESSES {
            true => Err(NotDevices),
            false => Ok(Self(all)),
        }
    }
}

impl fmt::Display for DeviceList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, device) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            write!(f, "{comma}{device}")?;
        }
        Ok(())
    }
}
