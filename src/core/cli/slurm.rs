//! The arguments of `astill slurm`.

use super::ProfileArgs;
use clap::Args;
use std::fmt;
use std::str::FromStr;

/// What the jobs of a run are, and what they ask for.
#[derive(Debug, Args)]
pub struct SlurmArgs {
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// Name of the run [default: the profile's name]
    #[arg(long)]
    pub name: Option<String>,
    /// Tasks that train experts at the same time [default: one for each expert, at most 10]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub array: Option<u64>,
    /// Tasks that distil, which share the segments of an update (distill.segments), also over several
    /// nodes
    #[arg(long, value_name = "N", default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub tasks: u64,
    /// GPUs of each task that trains experts: a number, or a kind and a number, for example a100:2
    /// [default: none]
    #[arg(long, value_name = "GPUS")]
    pub gpus: Option<Gpus>,
    /// Processors of each task
    #[arg(long, value_name = "N", default_value_t = 4)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub cpus: u64,
    /// Time limit of each job as Slurm takes it, for example 12:00:00; a job continues after it
    #[arg(long, value_name = "TIME")]
    pub time: Option<String>,
    /// Command that is astill on the nodes, for example --program="apptainer exec --nv astill.sif
    /// astill" [default: this program]
    #[arg(long, value_name = "COMMAND")]
    pub program: Option<String>,
    /// Further option of sbatch for both jobs, for example --sbatch=--partition=long (repeatable)
    #[arg(long, value_name = "OPTION", allow_hyphen_values = true)]
    pub sbatch: Vec<String>,
}

/// A number of GPUs, perhaps of a certain kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpus {
    kind: Option<String>,
    pub number: usize,
}

/// Not a number of GPUs.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a number from 1 to 64, or a kind and a number, for example a100:2")]
pub struct NotGpus;

impl Gpus {
    /// One GPU of the same kind.
    #[must_use]
    pub fn one(&self) -> Self {
        Self {
            kind: self.kind.clone(),
            number: 1,
        }
    }
}

impl FromStr for Gpus {
    type Err = NotGpus;

    fn from_str(text: &str) -> Result<Self, NotGpus> {
        let (kind, number) = match text.rsplit_once(':') {
            Some((kind, number)) => (Some(kind), number),
            None => (None, text),
        };
        let is_name = |kind: &str| {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            !kind.is_empty() && kind.chars().all(allowed)
        };
        let number = number.parse().ok().filter(|n| (1..=64).contains(n));
        match (kind.is_none_or(is_name), number) {
            (true, Some(number)) => Ok(Self {
                kind: kind.map(String::from),
                number,
            }),
            _ => Err(NotGpus),
        }
    }
}

impl fmt::Display for Gpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Some(kind) => write!(f, "{kind}:{}", self.number),
            None => write!(f, "{}", self.number),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_counted_and_may_be_of_a_kind() {
        for text in ["1", "a100:2", "nvidia_h100-80gb:4"] {
            assert_eq!(text.parse::<Gpus>().unwrap().to_string(), text);
        }
        assert_eq!(
            "a100:2".parse::<Gpus>().unwrap().one().to_string(),
            "a100:1"
        );
        for wrong in ["", "0", "65", "a100", "a100:", ":2", "a b:1", "a;b:1", "-1"] {
            assert_eq!(wrong.parse::<Gpus>(), Err(NotGpus), "{wrong}");
        }
    }
}
