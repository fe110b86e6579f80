//! The scores by which benchmarks compare distilled sets: what they are made of, how, and as a
//! table.
//!
//! - DD-Ranking (arXiv 2505.13300, github.com/NUS-HPC-AI-Lab/DD-Ranking): how much of a set's
//!   accuracy is in its images, and not in its labels or in augmentation.
//! - DC-BENCH (arXiv 2207.09639, github.com/justincui03/dc_benchmark): the accuracy under several
//!   augmentations.

use crate::cli::ScoresProtocol;
use crate::profile::LabelKind;
use crate::statistics::{mean, sd};
use crate::text::{count, percent, significant};
use serde::{Deserialize, Serialize};
use std::f64::consts::E;

/// The weight of IOR against HLR in LRS, and of the difference with augmentation in ARS.
/// Source: DD-Ranking's leaderboard.
const WEIGHT: f64 = 0.5;

/// The scores of one distilled set. Accuracies and their differences in per cent and percentage
/// points.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    pub run: String,
    /// The network that judges.
    pub network: String,
    pub labels: LabelKind,
    pub protocol: ScoresProtocol,
    pub device: String,
    pub threads: i64,
    pub version: String,
    /// BLAKE3 (hexadecimal) of the file of the set.
    pub set: String,
    /// Of a network that was trained on all real images with hard labels.
    pub full_accuracy: f64,
    /// What was measured with small sets.
    pub measured: Vec<Measured>,
    /// Hard label recovery: the accuracy of all real images less that of the distilled images with
    /// hard labels. Smaller is better.
    pub hlr: Score,
    /// Improvement over random: the accuracy of the distilled set less that of as many random real
    /// images with labels of the same kind.
    pub ior: Score,
    /// Label robust score, 0 to 1.
    pub lrs: Score,
    /// Augmentation robust score, 0 to 1.
    pub ars: Score,
    /// Accuracies of the distilled set under DC-BENCH's augmentations.
    pub dc_bench: DcBench,
}

/// One accuracy, measured with several networks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    pub what: Trained,
    pub lr: f64,
    pub mean: f64,
    pub std: f64,
    /// One per network.
    pub values: Vec<f64>,
}

/// What networks were trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trained {
    /// The distilled set as it is, with the run's augmentation.
    Distilled,
    /// Its images with hard labels.
    DistilledHard,
    /// The distilled set, without augmentation.
    DistilledPlain,
    /// Random real images with labels of the same kind, with the run's augmentation.
    Random,
    /// The same without augmentation.
    RandomPlain,
    /// The distilled set, with an augmentation of DC-BENCH.
    Bench(BenchAugmentation),
}

/// The augmentations under which DC-BENCH's program compares sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BenchAugmentation {
    None,
    /// That of distillation.
    Dsa,
    /// Crop and flip, then cutout.
    CifarAug,
    /// Crop and flip, then brightness, contrast, saturation and hue.
    ImagenetAug,
    AutoAug,
    RandAug,
}

impl BenchAugmentation {
    pub const ALL: [Self; 6] = [
        Self::None,
        Self::Dsa,
        Self::CifarAug,
        Self::ImagenetAug,
        Self::AutoAug,
        Self::RandAug,
    ];

    /// Its name in that program.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Dsa => "dsa",
            Self::CifarAug => "cifar_aug",
            Self::ImagenetAug => "imagenet_aug",
            Self::AutoAug => "autoaug",
            Self::RandAug => "randaug",
        }
    }
}

impl Trained {
    /// For people: "distilled images, autoaug".
    #[must_use]
    pub fn describe(self) -> String {
        match self {
            Self::Distilled => "distilled set".into(),
            Self::DistilledHard => "distilled images, hard labels".into(),
            Self::DistilledPlain => "distilled set, no augmentation".into(),
            Self::Random => "random real images".into(),
            Self::RandomPlain => "random real images, no augmentation".into(),
            Self::Bench(augmentation) => format!("DC-BENCH, {}", augmentation.name()),
        }
    }
}

/// A score: its mean over the networks, and their sample standard deviation (0 for one).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    pub mean: f64,
    pub std: f64,
}

/// What DC-BENCH compares: the best and the mean accuracy over its augmentations.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DcBench {
    pub best: f64,
    pub best_augmentation: BenchAugmentation,
    pub average: f64,
}

impl Score {
    /// Of the values of each network.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        Self {
            mean: mean(values).unwrap_or(0.),
            std: sd(values).unwrap_or(0.),
        }
    }
}

/// DD-Ranking's scores of the networks with the same number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DdRanking {
    pub hlr: Score,
    pub ior: Score,
    pub lrs: Score,
    pub ars: Score,
}

impl DdRanking {
    /// Of the accuracy `full` of all real images, and those of each kind of [`Trained`] but
    /// DC-BENCH's.
    ///
    /// HLR = real-hard − syn-hard and IOR = syn-any − rdm-any, where *any* is the set's own kind of
    /// labels; LRS normalises w · IOR − (1 − w) · HLR, and ARS the same combination of
    /// syn − rdm with augmentation and without. The differences are taken as shares here: only then
    /// is the normalised score between 0 and 1, as it is defined (the program at version 0.2.0
    /// takes percentages).
    #[must_use]
    pub fn new(full: f64, of: impl Fn(Trained) -> Vec<f64>) -> Self {
        let less = |a: Vec<f64>, b: Vec<f64>| -> Vec<f64> {
            a.iter().zip(&b).map(|(a, b)| a - b).collect()
        };
        let syn_hard = of(Trained::DistilledHard);
        let hlr: Vec<f64> = syn_hard.iter().map(|a| full - a).collect();
        let ior = less(of(Trained::Distilled), of(Trained::Random));
        let plain = less(of(Trained::DistilledPlain), of(Trained::RandomPlain));
        let weighted = |a: &[f64], b: &[f64], sign: f64| -> Vec<f64> {
            let pairs = a.iter().zip(b);
            pairs
                .map(|(a, b)| normalised((WEIGHT * a + sign * (1. - WEIGHT) * b) / 100.))
                .collect()
        };
        Self {
            lrs: Score::of(&weighted(&ior, &hlr, -1.)),
            ars: Score::of(&weighted(&ior, &plain, 1.)),
            hlr: Score::of(&hlr),
            ior: Score::of(&ior),
        }
    }
}

/// From −1 … 1 to 0 … 1: (eˣ − e⁻¹) / (e − e⁻¹).
fn normalised(x: f64) -> f64 {
    (x.exp() - 1. / E) / (E - 1. / E)
}

impl DcBench {
    /// Of the mean accuracy under each augmentation; none without any.
    #[must_use]
    pub fn of(means: &[(BenchAugmentation, f64)]) -> Option<Self> {
        let best = means.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        Some(Self {
            best: best.1,
            best_augmentation: best.0,
            average: means.iter().map(|(_, mean)| mean).sum::<f64>() / means.len() as f64,
        })
    }
}

/// The scores as a table for people.
#[must_use]
pub fn table(scores: &Scores) -> String {
    let networks = scores.protocol.repeats as usize;
    // one network has no spread
    let spread = |std: String| match networks {
        1 => String::new(),
        _ => format!(" ± {std}"),
    };
    let accuracy = |mean: f64, std: f64| format!("{}{}", percent(mean), spread(percent(std)));
    let row = |name: &str, value: String| format!("  {name:<36} {value}\n");
    let mut text = format!(
        "Test accuracy of {} ({}), {} labels:\n",
        count(networks, "fresh network"),
        scores.network,
        scores.labels
    );
    for Measured {
        what,
        lr,
        mean,
        std,
        ..
    } in &scores.measured
    {
        let accuracy = accuracy(*mean, *std);
        let value = format!("{accuracy:<11} %  learning rate {}", significant(*lr, 3));
        text += &row(&what.describe(), value);
    }
    let full = percent(scores.full_accuracy);
    text += &row("all real images, hard labels", format!("{full:<11} %"));
    let points = |s: Score| format!("{} points", accuracy(s.mean, s.std));
    let share = |s: Score| format!("{:.3}{} of 1", s.mean, spread(format!("{:.3}", s.std)));
    text += "DD-Ranking\n";
    text += &row(
        "hard label recovery (HLR)",
        points(scores.hlr) + ", less is better",
    );
    text += &row("improvement over random (IOR)", points(scores.ior));
    text += &row("label robust score (LRS)", share(scores.lrs));
    text += &row("augmentation robust score (ARS)", share(scores.ars));
    let bench = scores.dc_bench;
    let best = format!(
        "{} %, {}",
        percent(bench.best),
        bench.best_augmentation.name()
    );
    let average = format!(
        "average over {} augmentations",
        BenchAugmentation::ALL.len()
    );
    text += "DC-BENCH\n";
    text += &row("best augmentation", best);
    text += &row(&average, format!("{} %", percent(bench.average)));
    text.pop();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accuracies(what: Trained) -> Vec<f64> {
        match what {
            Trained::Distilled | Trained::DistilledHard => vec![50., 52.],
            Trained::DistilledPlain => vec![40., 44.],
            Trained::Random => vec![30., 28.],
            Trained::RandomPlain => vec![25., 24.],
            Trained::Bench(_) => Vec::new(),
        }
    }

    #[test]
    fn scores_are_those_of_their_definitions() {
        let found = DdRanking::new(85., accuracies);
        assert_eq!((found.hlr.mean, found.ior.mean), (34., 22.));
        // ((np.exp(a) - np.exp(-1)) / (np.exp(1) - np.exp(-1))).mean() with
        // a = (0.5 * np.array([20, 24]) - 0.5 * np.array([35, 33])) / 100, and
        // a = (0.5 * np.array([20, 24]) + 0.5 * np.array([15, 20])) / 100
        assert!(
            (found.lrs.mean - 0.2442096919292946).abs() < 1e-12,
            "{found:?}"
        );
        assert!(
            (found.ars.mean - 0.3619729272868215).abs() < 1e-12,
            "{found:?}"
        );
        assert_eq!([-1., 1.].map(normalised), [0., 1.]);
    }

    #[test]
    fn the_table_has_a_spread_only_where_there_are_several_networks() {
        let score = Score {
            mean: 0.25,
            std: 0.5,
        };
        let scores = |repeats| Scores {
            run: "r".into(),
            network: "convnet".into(),
            labels: LabelKind::Hard,
            protocol: ScoresProtocol {
                repeats,
                epochs: 1000,
                full_epochs: 200,
                full_accuracy: None,
            },
            device: "cpu".into(),
            threads: 1,
            version: "0".into(),
            set: String::new(),
            full_accuracy: 85.,
            measured: vec![Measured {
                what: Trained::Bench(BenchAugmentation::AutoAug),
                lr: 0.01,
                mean: 34.5,
                std: 1.5,
                values: vec![34.5],
            }],
            hlr: score,
            ior: score,
            lrs: score,
            ars: score,
            dc_bench: DcBench {
                best: 34.5,
                best_augmentation: BenchAugmentation::AutoAug,
                average: 34.5,
            },
        };
        let (several, one) = (table(&scores(5)), table(&scores(1)));
        assert!(
            several.contains("5 fresh networks (convnet), hard labels"),
            "{several}"
        );
        assert!(
            several.contains("autoaug                    34.5 ± 1.5"),
            "{several}"
        );
        assert!(several.contains("0.250 ± 0.500 of 1"), "{several}");
        assert!(
            !one.contains('±') && one.contains("34.5        %  learning rate 0.01"),
            "{one}"
        );
    }

    #[test]
    fn the_best_and_the_mean_augmentation_are_told() {
        let means = [
            (BenchAugmentation::None, 30.),
            (BenchAugmentation::Dsa, 36.),
            (BenchAugmentation::RandAug, 33.),
        ];
        let bench = DcBench::of(&means).unwrap();
        assert_eq!((bench.best, bench.average), (36., 33.));
        assert_eq!(bench.best_augmentation, BenchAugmentation::Dsa);
        assert_eq!(DcBench::of(&[]), None);
    }
}
