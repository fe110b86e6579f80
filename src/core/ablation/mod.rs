//! Ablations: variants of a profile, each run with several seeds and compared with the profile
//! itself.
//!
//! The unit of replication is the seed: the split of the data, the experts and every draw. Within a
//! seed all variants share what they do not change, so their differences are paired.
//!
//! ```text
//! NAME/ablation.json      what is compared
//!      profiles/          each run's profile, every key: no-clipping-s0.yaml …
//!      base-s0/ …         the runs
//!      table.md           the comparison, for people
//!      summary.csv        the same numbers, one row per variant
//!      runs.csv           one row per run, with the hash of its events
//!      lock               held by the program that runs it
//! ```

mod csv;
mod folder;
mod outcome;
mod statistics;
mod summary;
mod table;

pub use csv::{runs_csv, summary_csv};
pub use folder::{
    AblationFolder, AblationState, AblationSummary, KnownAblations, Record, RecordedVariant, list,
};
pub use outcome::{Late, Outcome};
pub use statistics::{Paired, Spread};
pub use summary::{Summary, VariantSummary, columns};
pub use table::table;

use crate::profile::{Profile, Variants, load_variants};
use crate::run::name_stem;
use crate::{Error, Result};
use std::path::Path;

/// What is compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Ablation {
    /// The profile, its variants, and the name of the profile.
    pub variants: Variants,
    /// Seeds 0 … `seeds` − 1.
    pub seeds: u64,
    /// Only `seed` differs from seed to seed, not the seeds of data and experts.
    pub same_experts: bool,
}

/// One run of an ablation.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedRun {
    /// "no-clipping-s0".
    pub name: String,
    /// The index of its variant.
    pub variant: usize,
    pub seed: u64,
    pub profile: Profile,
}

impl Ablation {
    /// Checks the profile and all variants; creates nothing.
    ///
    /// # Errors
    /// [`Error::Profile`] with everything that is wrong with them; [`Error::Usage`] if they set a seed
    /// that the ablation counts itself.
    pub fn load(
        reference: &str,
        sets: &[String],
        variants: Option<&Path>,
        seeds: u64,
        same_experts: bool,
    ) -> Result<Self> {
        let loaded = load_variants(reference, sets, variants).map_err(Error::Profile)?;
        let counted: &[&str] = match same_experts {
            true => &["seed"],
            false => &["seed", "expert.seed", "dataset.seed"],
        };
        let set = sets.iter().map(|set| (set, format!("--set {set}")));
        let changes = loaded.variants.iter().flat_map(|variant| {
            let named = |change| (change, format!("variant {}: {change}", variant.name));
            variant.changes.iter().map(named)
        });
        for (change, place) in set.chain(changes) {
            let key = change.split(['=', ':']).next().unwrap_or_default().trim();
            if counted.contains(&key) {
                return Err(Error::Usage(format!(
                    "{place}: an ablation runs with the seeds 0 to {} by itself; remove this, and \
                     choose how many with --seeds",
                    seeds.saturating_sub(1)
                )));
            }
        }
        Ok(Self {
            variants: loaded,
            seeds,
            same_experts,
        })
    }

    /// Its name unless the user gives another: that of the profile and that of the file of
    /// variants.
    #[must_use]
    pub fn default_name(&self, variants: Option<&Path>) -> String {
        let stem = variants.and_then(Path::file_stem);
        let stem = stem.map_or("seeds".into(), |s| s.to_string_lossy());
        let [profile, variants] = [&self.variants.profile, &*stem].map(name_stem);
        format!("{profile}-{variants}")
    }

    /// All runs in the order in which they are done: seed by seed, so that an ablation that is
    /// stopped has whole pairs, and within a seed those that share experts one after the other.
    #[must_use]
    pub fn runs(&self) -> Vec<PlannedRun> {
        let order = self.variants_by_experts();
        let of_seed = |seed| order.iter().map(move |variant| (seed, *variant));
        let all = (0..self.seeds).flat_map(of_seed);
        all.map(|(seed, variant)| self.run(variant, seed)).collect()
    }

    fn run(&self, variant: usize, seed: u64) -> PlannedRun {
        let of = &self.variants.variants[variant];
        let mut profile = of.profile.clone();
        profile.seed = seed;
        if !self.same_experts {
            profile.expert.seed = seed;
            profile.dataset.seed = seed;
        }
        PlannedRun {
            name: format!("{}-s{seed}", of.name),
            variant,
            seed,
            profile,
        }
    }

    /// The variants, those that share experts with an earlier one behind it.
    fn variants_by_experts(&self) -> Vec<usize> {
        let variants = &self.variants.variants;
        let first_with = |variant: usize| {
            variants[..variant]
                .iter()
                .position(|v| shares_experts(&v.profile, &variants[variant].profile))
        };
        let mut order: Vec<usize> = (0..variants.len()).collect();
        order.sort_by_key(|variant| first_with(*variant).unwrap_or(*variant));
        order
    }

    /// How many pools of experts all runs need.
    #[must_use]
    pub fn pools(&self) -> u64 {
        let variants = &self.variants.variants;
        let is_new = |(i, v): &(usize, &crate::profile::Variant)| {
            !variants[..*i]
                .iter()
                .any(|before| shares_experts(&before.profile, &v.profile))
        };
        let pools = variants.iter().enumerate().filter(is_new).count() as u64;
        pools * if self.same_experts { 1 } else { self.seeds }
    }
}

/// Whether runs with these profiles train the same experts.
fn shares_experts(a: &Profile, b: &Profile) -> bool {
    a.dataset == b.dataset && a.network == b.network && a.expert == b.expert
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn ablation(text: &str, seeds: u64, same_experts: bool) -> Ablation {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("parts.yaml");
        fs::write(&file, text).unwrap();
        let ablation = Ablation::load("shapes", &[], Some(&file), seeds, same_experts).unwrap();
        assert_eq!(ablation.default_name(Some(&file)), "shapes-parts");
        ablation
    }

    const TEXT: &str = "
no-clipping: {expert.clipping: false}
real: {distill.init: real}
no-clipping-real: {expert.clipping: false, distill.init: real}
";

    #[test]
    fn seeds_come_one_after_the_other_and_shared_experts_together() {
        let names: Vec<String> = ablation(TEXT, 2, false)
            .runs()
            .into_iter()
            .map(|r| r.name)
            .collect();
        assert_eq!(
            names,
            [
                "base-s0",
                "real-s0",
                "no-clipping-s0",
                "no-clipping-real-s0",
                "base-s1",
                "real-s1",
                "no-clipping-s1",
                "no-clipping-real-s1"
            ]
        );
        assert_eq!(ablation(TEXT, 2, false).pools(), 4);
        assert_eq!(ablation(TEXT, 2, true).pools(), 2);
    }

    #[test]
    fn seeds_that_the_ablation_counts_are_refused() {
        let load = |set: &str, same_experts| {
            Ablation::load("shapes", &[set.into()], None, 2, same_experts)
                .err()
                .map(|e| e.to_string())
        };
        for set in ["seed=3", "expert.seed=1", "dataset.seed = 1"] {
            let problem = load(set, false).unwrap_or_default();
            assert!(
                problem.contains("seeds 0 to 1 by itself"),
                "{set}: {problem}"
            );
        }
        assert_eq!(load("expert.seed=1", true), None);
        assert!(load("seed=1", true).is_some());
    }

    #[test]
    fn a_seed_is_that_of_data_and_experts_too_unless_they_are_to_be_the_same() {
        let seeds = |same_experts| {
            let run = ablation(TEXT, 2, same_experts).runs().swap_remove(6);
            let profile = run.profile;
            (profile.seed, profile.expert.seed, profile.dataset.seed)
        };
        assert_eq!(seeds(false), (1, 1, 1));
        assert_eq!(seeds(true), (1, 0, 0));
    }
}
