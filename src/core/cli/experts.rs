//! The arguments of `astill experts`.

use super::{DeviceList, ProfileArgs};
use clap::Args;
use std::collections::BTreeSet;
use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Which experts are trained, and on what.
#[derive(Debug, Args)]
pub struct ExpertsArgs {
    #[command(flatten)]
    pub profile: ProfileArgs,
    /// Only the experts of these numbers, from 1, for example 3,5..9 (3 and 5 to 9)
    #[arg(long, value_name = "NUMBERS", conflicts_with = "any")]
    pub only: Option<ExpertNumbers>,
    /// Leave the experts that other processes are training to them, and end without waiting
    #[arg(long)]
    pub any: bool,
    /// auto (a GPU if there is one), cpu, cuda or cuda:N; or several devices, each with a process of
    /// its own: cuda:0,cuda:1, or cpux4 for four processes that share the processors
    #[arg(long, default_value_t)]
    pub device: DeviceList,
}

impl ExpertsArgs {
    /// These arguments for another process, except the device.
    #[must_use]
    pub fn to_arguments(&self) -> Vec<String> {
        let ProfileArgs { profile, set, seed } = &self.profile;
        let mut arguments = vec!["experts".to_string(), profile.clone()];
        arguments.extend(set.iter().map(|s| format!("--set={s}")));
        arguments.extend(seed.iter().map(|s| format!("--seed={s}")));
        arguments.extend(self.only.iter().map(|only| format!("--only={only}")));
        arguments.extend(self.any.then(|| "--any".to_string()));
        arguments
    }
}

/// Numbers of experts, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpertNumbers(Vec<RangeInclusive<u64>>);

/// Not a list of numbers.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected numbers from 1 and ranges of them, for example 3,5..9")]
pub struct NotNumbers;

impl ExpertNumbers {
    /// The experts of a profile with `count` experts, from 0, in ascending order.
    ///
    /// # Errors
    /// The first number that is larger than `count`.
    pub fn indices(&self, count: u64) -> Result<Vec<u64>, u64> {
        // looked at first: a range may be as long as numbers go
        if let Some(last) = self.0.iter().map(|r| *r.end()).find(|last| *last > count) {
            return Err(last);
        }
        let all: BTreeSet<u64> = self.0.iter().cloned().flatten().map(|n| n - 1).collect();
        Ok(all.into_iter().collect())
    }
}

impl FromStr for ExpertNumbers {
    type Err = NotNumbers;

    fn from_str(text: &str) -> Result<Self, NotNumbers> {
        let number = |text: &str| text.trim().parse::<u64>().ok().filter(|n| *n > 0);
        let ranges = text.split(',').map(|part| {
            let (first, last) = part.split_once("..").unwrap_or((part, part));
            let range = number(first)?..=number(last)?;
            (!range.is_empty()).then_some(range)
        });
        ranges.collect::<Option<_>>().map(Self).ok_or(NotNumbers)
    }
}

impl fmt::Display for ExpertNumbers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, range) in self.0.iter().enumerate() {
            let comma = if number == 0 { "" } else { "," };
            match range.start() == range.end() {
                true => write!(f, "{comma}{}", range.start())?,
                false => write!(f, "{comma}{}..{}", range.start(), range.end())?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_messages_name() {
        let indices = |text: &str| text.parse::<ExpertNumbers>().unwrap().indices(9);
        assert_eq!(indices("3,5..9"), Ok(vec![2, 4, 5, 6, 7, 8]));
        assert_eq!(indices(" 2, 1..2"), Ok(vec![0, 1]));
        assert_eq!(indices("10"), Err(10));
        assert_eq!(indices("1..18446744073709551615"), Err(u64::MAX));
        for wrong in ["", "0", "a", "1,", "..3", "3..", "9..5", "-1", "1..2..3"] {
            assert_eq!(wrong.parse::<ExpertNumbers>(), Err(NotNumbers), "{wrong}");
        }
        for text in ["3,5..9", "1"] {
            let numbers: ExpertNumbers = text.parse().unwrap();
            assert_eq!(numbers.to_string(), text);
        }
    }
}
