//! Some classes of a data set, in an order of their own.

use super::layout::{BySplit, Labelling};
use super::parts::normal;
use astill_core::imagenet::SUBSETS;
use astill_core::{Error, Result};
use std::collections::HashMap;
use std::path::Path;

/// How many names an error lists.
const NAMED: usize = 10;

/// The classes `wanted` of a data set, which may be given by their names, their ids or as the name of
/// a subset; and the rows of their images.
///
/// # Errors
/// [`Error::Usage`] if the data set lacks one of them.
pub fn select(
    labelling: &Labelling,
    wanted: &[String],
    folder: &Path,
) -> Result<(Labelling, BySplit<Vec<usize>>)> {
    let by_name = labelling.classes.iter().map(|name| normal(name)).zip(0..);
    let ids = labelling.ids.iter().flatten().map(|id| normal(id)).zip(0..);
    let places: HashMap<String, usize> = ids.chain(by_name).collect();
    let subset = match wanted {
        [one] if !places.contains_key(one) => SUBSETS.iter().find(|subset| subset.name == one),
        _ => None,
    };
    let names: Vec<String> = match subset {
        Some(subset) => subset.classes.map(|(id, _)| id.to_owned()).to_vec(),
        None => wanted.iter().map(|name| normal(name)).collect(),
    };
    let absent: Vec<&str> = names
        .iter()
        .filter(|name| !places.contains_key(*name))
        .map(String::as_str)
        .collect();
    if !absent.is_empty() {
        return Err(Error::Usage(format!(
            "dataset.classes names {} of {} classes that are not in {}: {}; it has {}",
            absent.len(),
            names.len(),
            folder.display(),
            listed(&absent),
            listed(
                &labelling
                    .classes
                    .iter()
                    .map(String::as_str)
                    .collect::<Vec<_>>()
            )
        )));
    }
    let chosen: Vec<usize> = names.iter().map(|name| places[name]).collect();
    let mut label_of = vec![None; labelling.classes.len()];
    for (label, class) in (0i64..).zip(&chosen) {
        if label_of[*class].replace(label).is_some() {
            return Err(Error::Usage(format!(
                "dataset.classes names the class {} twice",
                labelling.classes[*class]
            )));
        }
    }
    let label = |old: &i64| label_of[*old as usize];
    let labels = labelling.labels.as_ref();
    let rows = labels.map(|labels| {
        let rows = labels.iter().enumerate();
        let rows = rows.filter(|(_, old)| label(old).is_some());
        rows.map(|(row, _)| row).collect()
    });
    let labels = labelling.labels.as_ref();
    let labels = labels.map(|labels| labels.iter().filter_map(label).collect());
    let of = |names: &Vec<String>| -> Vec<String> {
        chosen.iter().map(|class| names[*class].clone()).collect()
    };
    let (classes, ids) = match subset {
        Some(subset) => (
            subset.classes.map(|(_, name)| name.to_owned()).to_vec(),
            Some(names),
        ),
        None => (of(&labelling.classes), labelling.ids.as_ref().map(of)),
    };
    let selected = Labelling {
        classes,
        ids,
        labels,
    };
    Ok((selected, rows))
}

fn listed(names: &[&str]) -> String {
    let more = if names.len() > NAMED { ", …" } else { "" };
    format!("{}{more}", names[..names.len().min(NAMED)].join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labelling() -> Labelling {
        let classes = ["n01440764", "n02102040", "x", "cafe\u{301}"];
        Labelling {
            classes: classes.map(normal).to_vec(),
            ids: None,
            labels: BySplit {
                train: vec![0, 1, 2, 3, 3, 0],
                validation: vec![2],
                test: vec![3, 1],
            },
        }
    }

    #[test]
    fn labels_follow_the_order_of_the_list() {
        let wanted = ["caf\u{e9}".to_owned(), "n01440764".to_owned()];
        let (selected, rows) = select(&labelling(), &wanted, Path::new("set")).unwrap();
        assert_eq!(selected.classes, ["caf\u{e9}", "n01440764"]);
        assert_eq!(selected.labels.train, [1, 0, 0, 1]);
        assert_eq!(rows.train, [0, 3, 4, 5]);
        assert_eq!((rows.validation, rows.test), (vec![], vec![0]));
    }

    #[test]
    fn what_is_absent_is_named() {
        let problem = |wanted: &str| {
            let wanted = [wanted.to_owned()];
            let selected = select(&labelling(), &wanted, Path::new("set"));
            selected.map(|_| ()).unwrap_err().to_string()
        };
        assert!(
            problem("bird").contains("1 of 1 classes that are not in set: bird; it has n01440764")
        );
        let nette = problem("nette");
        assert!(
            nette.contains("8 of 10") && nette.contains("n02979186"),
            "{nette}"
        );
    }

    #[test]
    fn subsets_have_ten_different_classes() {
        for subset in SUBSETS {
            let ids: std::collections::HashSet<&str> =
                subset.classes.iter().map(|(id, _)| *id).collect();
            assert_eq!(ids.len(), 10, "{}", subset.name);
            assert!(ids.iter().all(|id| id.len() == 9 && id.starts_with('n')));
        }
    }
}
