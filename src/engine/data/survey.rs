//! What hurts later and is seen only when the images themselves are looked at.

use super::facts::ImageFacts;
use super::inventory::Inventory;
use super::layout::{BySplit, Labelling};
use astill_core::run::event::{DataWarning, LeftOut};
use std::collections::{HashMap, HashSet};

/// 16-bit images are called dark if their largest value is below this share of the range.
const MUCH_OF_THE_RANGE: f64 = 0.25;

/// What a look at a data set has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// How many of the images were looked at.
    pub looked_at: usize,
    pub images: usize,
    /// Without the images that turned out to be unreadable; none where none was looked at.
    pub inventory: Option<Inventory>,
    pub left_out: Vec<LeftOut>,
    /// Decisions of the layout that the user may not expect.
    pub notes: Vec<String>,
    pub warnings: Vec<DataWarning>,
}

/// The warnings about images with these labels, hashes and facts; the parts are those of the files,
/// before a share is held out.
pub fn of_images(
    labels: &BySplit<Vec<i64>>,
    hashes: &BySplit<Vec<u128>>,
    facts: &BySplit<Vec<ImageFacts>>,
) -> Vec<DataWarning> {
    let mut warnings = Vec::new();
    let first = hashes.train.first();
    if hashes.train.len() > 1 && hashes.train.iter().all(|hash| Some(hash) == first) {
        warnings.push(warning(
            "all-equal",
            hashes.train.len(),
            format!(
                "all {} training images are the same, so there is nothing to learn from them",
                hashes.train.len()
            ),
        ));
    } else {
        warnings.extend(shared(hashes));
        warnings.extend(contradicting(labels, hashes));
    }
    let facts: Vec<ImageFacts> = facts.as_ref().into_iter().flatten().copied().collect();
    warnings.extend(of_files(&facts));
    warnings
}

fn warning(kind: &str, count: usize, message: String) -> DataWarning {
    DataWarning {
        kind: kind.to_owned(),
        count: count as u64,
        message,
    }
}

/// "1 image is", "2 images are": what comes after the number is `one` or `several`.
fn counted(count: usize, one: &str, several: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{count} {several}"),
    }
}

/// Classes that the accuracy says nothing about.
pub fn untested(labelling: &Labelling) -> Option<DataWarning> {
    const NAMED: usize = 5;
    let mut is_tested = vec![false; labelling.classes.len()];
    for label in &labelling.labels.test {
        is_tested[*label as usize] = true;
    }
    let untested: Vec<&str> = labelling
        .classes
        .iter()
        .zip(is_tested)
        .filter(|(_, is_tested)| !is_tested)
        .map(|(class, _)| class.as_str())
        .collect();
    let more = if untested.len() > NAMED { ", …" } else { "" };
    let named = untested[..untested.len().min(NAMED)].join(", ");
    (!untested.is_empty()).then(|| {
        warning(
            "class-without-test",
            untested.len(),
            format!(
                "{} of {} classes {} no test images, so test accuracies are those of the others: \
                 {named}{more}",
                untested.len(),
                labelling.classes.len(),
                if untested.len() == 1 { "has" } else { "have" }
            ),
        )
    })
}

/// Images that one is trained on, or chosen by, and judged by.
fn shared(hashes: &BySplit<Vec<u128>>) -> Vec<DataWarning> {
    let BySplit {
        train,
        validation,
        test,
    } = hashes;
    let pairs = [
        ("test", test, "training", train, "test accuracies are"),
        (
            "validation",
            validation,
            "training",
            train,
            "validation accuracies are",
        ),
        (
            "validation",
            validation,
            "test",
            test,
            "the test accuracy of the iteration that validation chooses is",
        ),
    ];
    let warnings = pairs.map(|(part, of_part, other, of_other, consequence)| {
        let others: HashSet<u128> = of_other.iter().copied().collect();
        let count = of_part.iter().filter(|hash| others.contains(hash)).count();
        let (are, them) = match count {
            1 => (format!("is also a {other} image"), "it"),
            _ => (format!("are also {other} images"), "them"),
        };
        (count > 0).then(|| {
            warning(
                "equal-across-parts",
                count,
                format!(
                    "{count} of {} {part} images {are}, so {consequence} too high; remove {them} from \
                     one of the two",
                    of_part.len()
                ),
            )
        })
    });
    warnings.into_iter().flatten().collect()
}

/// Images that have an equal one under another label.
fn contradicting(labels: &BySplit<Vec<i64>>, hashes: &BySplit<Vec<u128>>) -> Option<DataWarning> {
    let all = || {
        let splits = labels.as_ref().zip(hashes.as_ref()).into_iter();
        splits.flat_map(|(labels, hashes)| labels.iter().zip(hashes))
    };
    let mut of_hash: HashMap<u128, (i64, bool)> = HashMap::new();
    for (&label, &hash) in all() {
        let (first, differs) = of_hash.entry(hash).or_insert((label, false));
        *differs |= *first != label;
    }
    let count = all().filter(|(_, hash)| of_hash[hash].1).count();
    (count > 0).then(|| {
        warning(
            "equal-across-labels",
            count,
            format!(
                "{} another image with a different label; keep each under one label",
                counted(count, "image equals", "images equal")
            ),
        )
    })
}

fn of_files(facts: &[ImageFacts]) -> Vec<DataWarning> {
    let count = |is: fn(&ImageFacts) -> bool| facts.iter().filter(|facts| is(facts)).count();
    let mut warnings = Vec::new();
    let deep: Vec<u16> = facts.iter().filter_map(|facts| facts.deepest).collect();
    let share = f64::from(deep.iter().copied().max().unwrap_or(u16::MAX)) / f64::from(u16::MAX);
    if share < MUCH_OF_THE_RANGE {
        warnings.push(warning(
            "dark-16-bit",
            deep.len(),
            format!(
                "{} at most {:.1} % of the range, so only {} of 256 levels are left; scale the values \
                 to the whole range",
                counted(
                    deep.len(),
                    "image with 16 bits per value uses",
                    "images with 16 bits per value use"
                ),
                100. * share,
                (255. * share).round() as u64 + 1
            ),
        ));
    }
    let transparent = count(|facts| facts.is_transparent);
    if transparent > 0 {
        warnings.push(warning(
            "transparent",
            transparent,
            format!(
                "{} laid over dataset.background",
                counted(
                    transparent,
                    "image with transparent pixels is",
                    "images with transparent pixels are"
                )
            ),
        ));
    }
    let turned = count(|facts| facts.is_turned);
    if turned > 0 {
        warnings.push(warning(
            "orientation",
            turned,
            format!(
                "{} used as stored, not turned as viewers show them",
                counted(
                    turned,
                    "image with an EXIF orientation is",
                    "images with an EXIF orientation are"
                )
            ),
        ));
    }
    warnings
}
