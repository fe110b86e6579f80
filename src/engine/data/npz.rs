//! Arrays of NumPy in .npz files (a zip of .npy), as MedMNIST and Keras have them: u8 images
//! (n, rows, columns), (n, rows, columns, 1 or 3) or (n, 1 or 3, rows, columns), and whole labels (n)
//! or (n, 1).

use super::layout::{BySplit, MissingFiles};
use super::left_out::{LeftOutFile, PassedOver, relative_name};
use super::parts::{Part, part};
use super::plain::{Plain, PlainBytes, PlainImages};
use super::request::DatasetRequest;
use super::walk::files_below;
use crate::npy::{Member, damaged, names};
use astill_core::{Error, Result};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Far more than any such set has.
const MOST_IMAGES: u64 = 1 << 27;
const LARGEST_SIDE: u64 = 4096;
const MOST_CLASSES: i64 = 1 << 16;

/// What an array holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Role {
    Images,
    Labels,
}

/// The part (none if the name has none) and role of an array, by its name: "train_images",
/// "y_test", "images".
fn role(name: &str) -> Option<(Option<Part>, Role)> {
    let mut role = None;
    let mut of_part = None;
    for word in name.to_lowercase().split(['_', '-', '.']) {
        match word {
            "images" | "image" | "imgs" | "x" | "data" => role = Some(Role::Images),
            "labels" | "label" | "targets" | "target" | "y" => role = Some(Role::Labels),
            word => of_part = of_part.or(part(word)),
        }
    }
    Some((of_part, role?))
}

/// The images and labels of a part.
type Found = BTreeMap<Role, Member>;

/// Finds the arrays in `folder`, which may be the file itself, and reads the labels.
///
/// # Errors
/// [`Error::Usage`] if there are none, or several sets; [`Error::File`] if one is malformed.
pub fn find(request: &DatasetRequest) -> Result<Plain> {
    let mut found: BySplit<Found> = BySplit::default();
    let (archives, mut others) = archives(&request.folder)?;
    for archive in &archives {
        let stem = archive.file_stem().unwrap_or_default().to_string_lossy();
        let of_file = stem.split(['_', '-', '.']).find_map(part);
        let mut leave_out = |name: &str, reason: &str| {
            others.push(LeftOutFile {
                name: relative_name(&request.folder, &archive.join(name)),
                part: "",
                class: None,
                reason: reason.to_owned(),
                is_lost: false,
            });
        };
        let (arrays, no_arrays) = names(archive)?;
        for name in no_arrays {
            leave_out(&name, "not an array");
        }
        // as in Kuzushiji-MNIST: kmnist-train-imgs.npz with an array arr_0
        let alone = match arrays.len() {
            1 => role(&stem),
            _ => None,
        };
        for name in arrays {
            let Some((of_array, role)) = role(&name).or(alone) else {
                leave_out(&name, "an array whose name says neither images nor labels");
                continue;
            };
            let split = match of_array.or(of_file).unwrap_or(Part::Train) {
                Part::Train => &mut found.train,
                Part::Validation => &mut found.validation,
                Part::Test => &mut found.test,
            };
            let member = Member {
                archive: archive.clone(),
                name,
            };
            if let Some(other) = split.insert(role, member) {
                return Err(Error::Usage(format!(
                    "expected one data set, found two arrays for the same: {} in {} and one in {}; \
                     set dataset.path to one .npz file",
                    other.name,
                    other.archive.display(),
                    archive.display()
                )));
            }
        }
    }
    if found.train.len() < 2 {
        return Err(missing(
            &request.folder,
            "no arrays of training images and labels are there",
        ));
    }
    let (found, note) = found.tested_on_validation(BTreeMap::is_empty);
    let read = found.try_map(|mut members| {
        match (members.remove(&Role::Images), members.remove(&Role::Labels)) {
            (Some(images), Some(labels)) => read_part(&images, &labels),
            (None, None) => Ok((Vec::new(), Vec::new())),
            (Some(alone), None) | (None, Some(alone)) => Err(Error::file(
                alone.archive.join(alone.name),
                "expected images and labels of every part, found one of the two",
            )),
        }
    })?;
    let passed_over = PassedOver {
        files: others,
        notes: note.into_iter().collect(),
    };
    Ok(Plain::new(read, &[], passed_over, request.color))
}

fn missing(folder: &Path, found: &str) -> Error {
    MissingFiles {
        name: "npz",
        folder,
        expected: "an .npz file with train_images, train_labels, test_images and test_labels, or \
                   x_train, y_train, x_test and y_test",
        found,
        remedy: "Put it there",
    }
    .into_error()
}

/// The .npz files in a folder, or the one that it is; and what else is there.
fn archives(folder: &Path) -> Result<(Vec<PathBuf>, Vec<LeftOutFile>)> {
    if folder.is_file() {
        return Ok((vec![folder.to_path_buf()], Vec::new()));
    }
    if !folder.exists() {
        return Err(missing(folder, "that folder does not exist"));
    }
    let is_npz = |name: &str| {
        let end = Path::new(name).extension();
        end.is_some_and(|end| end.eq_ignore_ascii_case("npz"))
    };
    let found = files_below(folder, 0, &is_npz)?;
    match found.files.is_empty() {
        true => Err(missing(folder, "no .npz file is there")),
        false => Ok((found.files, found.passed_over)),
    }
}

impl PlainBytes for Member {
    fn open(&self) -> Result<Box<dyn Read>> {
        Ok(self.read()?.1)
    }
}

fn read_part(images: &Member, labels: &Member) -> Result<(Vec<i64>, Vec<PlainImages>)> {
    let labels = read_labels(labels)?;
    let path = images.path();
    let (header, _) = images.read()?;
    let refused = |what: &str| {
        Err(Error::file(
            &path,
            format!(
                "expected u8 images (n, rows, columns), (n, rows, columns, 1 or 3) or \
                 (n, 1 or 3, rows, columns), found {} {:?}{what}; save them so",
                header.kind, header.shape
            ),
        ))
    };
    if header.is_by_columns {
        return refused(" in Fortran order");
    }
    if !matches!(header.kind.as_str(), "|u1" | "u1" | "<u1" | ">u1") {
        return refused("");
    }
    let (count, rows, columns, channels, is_interleaved) = match *header.shape.as_slice() {
        [count, rows, columns] => (count, rows, columns, 1, true),
        [count, rows, columns, channels @ (1 | 3)] => (count, rows, columns, channels, true),
        [count, channels @ (1 | 3), rows, columns] => (count, rows, columns, channels, false),
        _ => return refused(""),
    };
    let sides = [rows, columns];
    if count > MOST_IMAGES || sides.iter().any(|side| !(1..=LARGEST_SIDE).contains(side)) {
        return refused("");
    }
    if count != labels.len() as u64 {
        return Err(Error::file(
            &path,
            format!(
                "expected as many images as labels, found {count} and {}",
                labels.len()
            ),
        ));
    }
    let images = PlainImages {
        path,
        bytes: Box::new(images.clone()),
        count: count as usize,
        rows: rows as usize,
        columns: columns as usize,
        channels: channels as usize,
        is_interleaved,
    };
    Ok((labels, vec![images]))
}

fn read_labels(member: &Member) -> Result<Vec<i64>> {
    let path = member.path();
    let (header, reader) = member.read()?;
    let count = match *header.shape.as_slice() {
        [count] | [count, 1] if count <= MOST_IMAGES => count,
        _ => {
            return Err(Error::file(
                path,
                format!(
                    "expected one label of each image, (n) or (n, 1), found {:?}; sets with several \
                     labels per image are not read",
                    header.shape
                ),
            ));
        }
    };
    let mut kind = header.kind.chars();
    let is_big = kind.next() == Some('>');
    let (sign, width) = (
        kind.next(),
        kind.as_str().parse::<usize>().unwrap_or_default(),
    );
    if !matches!(sign, Some('i' | 'u' | 'b')) || !matches!(width, 1 | 2 | 4 | 8) {
        return Err(Error::file(
            path,
            format!("expected whole numbers as labels, found {}", header.kind),
        ));
    }
    let mut bytes = Vec::new();
    reader
        .take(count * width as u64)
        .read_to_end(&mut bytes)
        .map_err(|error| damaged(&path, error))?;
    if bytes.len() as u64 != count * width as u64 {
        return Err(damaged(
            &path,
            format!("expected {count} labels, found fewer"),
        ));
    }
    let labels = bytes.chunks_exact(width).map(|bytes| {
        let mut bytes = bytes.to_vec();
        if is_big {
            bytes.reverse();
        }
        let is_negative = sign == Some('i') && bytes.last().is_some_and(|last| last & 0x80 != 0);
        let mut all = [if is_negative { 0xFF } else { 0 }; 8];
        all[..width].copy_from_slice(&bytes);
        i64::from_le_bytes(all)
    });
    let labels: Vec<i64> = labels.collect();
    match labels
        .iter()
        .find(|label| !(0..MOST_CLASSES).contains(*label))
    {
        None => Ok(labels),
        Some(label) => Err(Error::file(
            path,
            format!(
                "expected labels from 0 to {}, found {label}",
                MOST_CLASSES - 1
            ),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_are_known_by_their_usual_names() {
        use Part::{Test, Train, Validation};
        for (name, want) in [
            ("train_images", Some((Some(Train), Role::Images))),
            ("val_labels", Some((Some(Validation), Role::Labels))),
            ("x_test", Some((Some(Test), Role::Images))),
            ("y_train", Some((Some(Train), Role::Labels))),
            ("X", Some((None, Role::Images))),
            ("labels", Some((None, Role::Labels))),
            ("mean", None),
        ] {
            assert_eq!(role(name), want, "{name}");
        }
    }
}
