//! Which training images belong to which split.

use super::split::per_class;
use crate::random::{generator, permutation};
use astill_core::{Error, Result};

/// Which training images are used, and for what; rows ascending.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct SplitPlan {
    pub train: Vec<i64>,
    pub validation: Vec<i64>,
}

impl SplitPlan {
    /// Keeps at most `limit` images, as equally many of each class as the set allows, and then
    /// holds out the share `validation` of each class: n · validation rounded, at least one image
    /// of two. Both are drawn with `seed`.
    ///
    /// [`Error::Usage`] if the limit leaves a class without an image.
    pub fn new(
        labels: &[i64],
        classes: usize,
        limit: Option<usize>,
        validation: f64,
        seed: u64,
    ) -> Result<Self> {
        let counts = per_class(labels.iter().copied(), classes);
        let quotas = match limit {
            Some(limit) if limit < classes => {
                return Err(Error::Usage(format!(
                    "dataset.train_limit is {limit}, but the data set has {classes} classes and \
                     needs at least one image of each: set it to {classes} or more, or to null for \
                     all images"
                )));
            }
            Some(limit) => quotas(&counts, limit),
            None => counts,
        };
        let mut of_class = vec![Vec::new(); classes];
        for (row, label) in (0i64..).zip(labels) {
            of_class[*label as usize].push(row);
        }
        let mut plan = Self {
            train: Vec::new(),
            validation: Vec::new(),
        };
        for (class, (rows, quota)) in (0u64..).zip(of_class.into_iter().zip(quotas)) {
            let (kept, _) = choose(rows, quota, seed, "train_limit", class);
            let held_out = held_out(kept.len(), validation);
            let (validation, train) = choose(kept, held_out, seed, "validation", class);
            plan.train.extend(train);
            plan.validation.extend(validation);
        }
        plan.train.sort_unstable();
        plan.validation.sort_unstable();
        Ok(plan)
    }
}

/// The rows of images drawn as test images: the share `share` of each class, rounded, at least one of
/// two and never the last; ascending.
pub(super) fn draw_test(labels: &[i64], classes: usize, share: f64, seed: u64) -> Vec<i64> {
    let mut of_class = vec![Vec::new(); classes];
    for (row, label) in (0i64..).zip(labels) {
        of_class[*label as usize].push(row);
    }
    let mut drawn: Vec<i64> = (0u64..)
        .zip(of_class)
        .flat_map(|(class, rows)| {
            let count = held_out(rows.len(), share);
            choose(rows, count, seed, "test", class).0
        })
        .collect();
    drawn.sort_unstable();
    drawn
}

/// How many of each class to keep for `limit` images in all: small classes whole, what they leave
/// to the others.
fn quotas(counts: &[usize], limit: usize) -> Vec<usize> {
    let mut by_size: Vec<usize> = (0..counts.len()).collect();
    by_size.sort_by_key(|&class| counts[class]);
    let mut quotas = vec![0; counts.len()];
    let mut left = limit;
    for (position, class) in by_size.into_iter().enumerate() {
        quotas[class] = counts[class].min(left / (counts.len() - position));
        left -= quotas[class];
    }
    quotas
}

/// How many images of each class are used and held out, as [`SplitPlan::new`] would choose them of so
/// many `stored` ones; none if the limit leaves a class without an image.
pub(super) fn counts(
    stored: &[usize],
    limit: Option<usize>,
    validation: f64,
) -> Option<(Vec<usize>, Vec<usize>)> {
    let kept = match limit {
        Some(limit) if limit < stored.len() => return None,
        Some(limit) => quotas(stored, limit),
        None => stored.to_vec(),
    };
    let of_class = |n: usize| (n - held_out(n, validation), held_out(n, validation));
    Some(kept.into_iter().map(of_class).unzip())
}

/// How many of `n` images of a class are held out.
fn held_out(n: usize, share: f64) -> usize {
    if share <= 0.0 || n < 2 {
        return 0;
    }
    ((n as f64 * share).round() as usize).clamp(1, n - 1)
}

/// `count` of `rows`, drawn at random, and the others; both in the order of `rows`.
fn choose(
    rows: Vec<i64>,
    count: usize,
    seed: u64,
    purpose: &str,
    class: u64,
) -> (Vec<i64>, Vec<i64>) {
    let mut chosen = vec![false; rows.len()];
    for index in permutation(&mut generator(seed, purpose, &[class]), rows.len())
        .into_iter()
        .take(count)
    {
        chosen[index as usize] = true;
    }
    let (chosen, others): (Vec<_>, Vec<_>) = rows
        .into_iter()
        .zip(chosen)
        .partition(|(_, chosen)| *chosen);
    let rows = |pairs: Vec<(i64, bool)>| pairs.into_iter().map(|(row, _)| row).collect();
    (rows(chosen), rows(others))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(counts: &[usize], limit: Option<usize>, validation: f64) -> (Vec<usize>, Vec<usize>) {
        let labels: Vec<i64> = (0i64..)
            .zip(counts)
            .flat_map(|(class, &n)| vec![class; n])
            .collect();
        let plan = SplitPlan::new(&labels, counts.len(), limit, validation, 5).unwrap();
        assert!(plan.train.iter().all(|row| !plan.validation.contains(row)));
        let count =
            |rows: &[i64]| per_class(rows.iter().map(|&row| labels[row as usize]), counts.len());
        (count(&plan.train), count(&plan.validation))
    }

    #[test]
    fn a_limit_is_shared_equally_and_small_classes_leave_theirs_to_the_others() {
        assert_eq!(plan(&[10, 10, 10], Some(9), 0.0).0, [3, 3, 3]);
        assert_eq!(plan(&[2, 10, 10], Some(12), 0.0).0, [2, 5, 5]);
        assert_eq!(
            plan(&[10, 10, 10], Some(11), 0.0).0.iter().sum::<usize>(),
            11
        );
        assert_eq!(plan(&[3, 3], Some(100), 0.0).0, [3, 3]);
    }

    #[test]
    fn the_held_out_share_is_rounded_per_class_and_never_takes_the_last_image() {
        assert_eq!(
            plan(&[10, 5, 2, 1], None, 0.1),
            (vec![9, 4, 1, 1], vec![1, 1, 1, 0])
        );
        assert_eq!(plan(&[10, 3], None, 0.99).0, [1, 1]);
        assert_eq!(plan(&[10, 3], None, 0.0).1, [0, 0]);
    }

    #[test]
    fn a_limit_below_the_number_of_classes_is_wrong_usage() {
        let error = SplitPlan::new(&[0, 1, 2], 3, Some(2), 0.0, 0).unwrap_err();
        assert!(
            matches!(&error, Error::Usage(text) if text.contains("3 classes")),
            "{error}"
        );
    }

    #[test]
    fn the_draw_depends_on_the_seed_alone() {
        let labels: Vec<i64> = (0..100).map(|row| row % 4).collect();
        let plan = |seed| SplitPlan::new(&labels, 4, Some(40), 0.25, seed).unwrap();
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }
}
