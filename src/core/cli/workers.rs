//! Which processes compute the segments of a run.

use super::device::MOST_PROCESSES;
use super::{DeviceChoice, DeviceList};
use clap::Args;
use std::fmt;
use std::str::FromStr;

#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct WorkersArgs {
    /// Compute the segments of an update (distill.segments) in N processes at once, the engine among
    /// them, in one on each of these devices, for example cuda:0,cuda:1, or, with "slurm", in all tasks
    /// of the job step that srun started with this command; the result stays the same, and the experts
    /// are trained by as many
    #[arg(long, value_name = "N|DEVICES|slurm")]
    pub workers: Option<WorkersChoice>,
    /// Let `astill work RUN` help from other machines, which reach this one at ADDRESS, for example
    /// 0.0.0.0 for all its networks; without PORT, at any port that is free
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    pub listen: Option<ListenAddress>,
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
    /// The tasks of a job step of Slurm, each of which was started with the same command.
    Slurm,
}

/// How [`WorkersChoice::Slurm`] is written.
const SLURM: &str = "slurm";

impl FromStr for WorkersChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = format!(
            "expected a number from 1 to {MOST_PROCESSES}, devices with commas between them, for example \
             cuda:0,cuda:1, or slurm"
        );
        if text == SLURM {
            return Ok(Self::Slurm);
        }
        if let Ok(count) = text.parse::<usize>() {
            return match (1..=MOST_PROCESSES).contains(&count) {
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
            Self::Slurm => f.write_str(SLURM),
        }
    }
}

/// An address of this machine, or the name of one, and perhaps a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenAddress {
    pub host: String,
    pub port: Option<u16>,
}

/// Not an address to listen on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected an address and perhaps a port from 1 to 65535, for example 0.0.0.0, 10.0.0.5:7000 or \
     [::1]:7000"
)]
pub struct NotAListenAddress;

impl FromStr for ListenAddress {
    type Err = NotAListenAddress;

    fn from_str(text: &str) -> Result<Self, NotAListenAddress> {
        let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(None) => return Err(NotAListenAddress),
            Some(Some((host, ""))) => (host, None),
            Some(Some((host, rest))) => {
                (host, Some(rest.strip_prefix(':').ok_or(NotAListenAddress)?))
            }
            // an IPv6 address has several
            None => match text.split_once(':').filter(|(_, port)| !port.contains(':')) {
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        let port = port.map(str::parse::<u16>).transpose();
        let port = port.ok().filter(|port| *port != Some(0));
        let is_allowed = |c: char| c.is_ascii_alphanumeric() || ".:-_%".contains(c);
        match (host.is_empty() || !host.chars().all(is_allowed), port) {
            (false, Some(port)) => Ok(Self {
                host: host.into(),
                port,
            }),
            _ => Err(NotAListenAddress),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = &self.host;
        match self.port {
            None => f.write_str(host),
            Some(port) if host.contains(':') => write!(f, "[{host}]:{port}"),
            Some(port) => write!(f, "{host}:{port}"),
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
    /// Wait until the run begins, if it does within five minutes, and train experts until it has all
    #[arg(long)]
    pub from_start: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port_or_not() {
        for (text, host, port) in [
            ("0.0.0.0", "0.0.0.0", None),
            ("10.0.0.5:7000", "10.0.0.5", Some(7000)),
            ("node-7", "node-7", None),
            ("::1", "::1", None),
            ("[::1]:7000", "::1", Some(7000)),
        ] {
            let address: ListenAddress = text.parse().unwrap();
            assert_eq!((address.host.as_str(), address.port), (host, port));
            assert_eq!(address.to_string(), text);
        }
        for wrong in [
            "", ":7000", "a:0", "a:x", "a:70000", "[::1", "[::1]7", "a b", "http://a",
        ] {
            assert_eq!(
                wrong.parse::<ListenAddress>(),
                Err(NotAListenAddress),
                "{wrong}"
            );
        }
    }

    #[test]
    fn workers_are_a_number_or_devices() {
        let parse = |text: &str| text.parse::<WorkersChoice>();
        assert_eq!(parse("3"), Ok(WorkersChoice::Count(3)));
        let two = "cuda:0,cuda:1".parse().unwrap();
        assert_eq!(parse("cuda:0,cuda:1"), Ok(WorkersChoice::Devices(two)));
        assert_eq!(parse("cpux2"), parse("cpu,cpu"));
        for text in ["3", "cuda:0,cpu", "slurm"] {
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
