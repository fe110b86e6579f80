//! MNIST and data sets like it in idx (http://yann.lecun.com/exdb/mnist): 00 00, the kind of the values (08 for
//! u8), the number of dimensions, each length as a big-endian u32, and the values, row by row; usually
//! compressed with gzip.

use super::archive::unpacked;
use super::layout::{BySplit, MissingFiles};
use super::left_out::{LeftOutFile, PassedOver, relative_name, without_part};
use super::parts::{Part, part};
use super::plain::{Plain, PlainBytes, PlainImages, numbered_classes};
use super::request::DatasetRequest;
use super::walk::files_below;
use astill_core::{Error, Result, files::untrusted};
use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Far more than any such set has, in every dimension.
const LONGEST: u32 = 1 << 26;

/// Folders below the given one that are looked into.
const DEEPEST: usize = 3;

/// The classes of Fashion-MNIST, which its files do not name.
const FASHION: [&str; 10] = [
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
];

/// The part (none if the name has none) and whether it holds images, by the file's name:
/// `train-images-idx3-ubyte.gz`, `t10k-labels.idx1-ubyte`.
fn role(name: &str) -> Option<(Option<Part>, bool)> {
    let name = name.to_lowercase();
    let stem = name.strip_suffix(".gz").unwrap_or(&name);
    if !stem.contains("idx") && !stem.ends_with("ubyte") {
        return None;
    }
    let is_images = stem.contains("images");
    if is_images == stem.contains("labels") {
        return None;
    }
    let mut words = stem.split(['-', '_', '.']);
    let part = words.find_map(|word| match word {
        "t10k" => Some(Part::Test),
        word => part(word),
    });
    Some((part, is_images))
}

/// What is left of a name without its part and role: "emnist-letters" of
/// `emnist-letters-train-images-idx3-ubyte`, "" of MNIST's own files.
fn set_name(name: &str) -> String {
    let name = name.to_lowercase();
    let is_role = |word: &&str| {
        let roles = ["t10k", "gz"];
        let begins = ["images", "labels", "idx", "ubyte"];
        roles.contains(word)
            || begins.iter().any(|begin| word.starts_with(begin))
            || part(word).is_some()
    };
    let words = name.split(['-', '_', '.']).filter(|word| !is_role(word));
    words.collect::<Vec<_>>().join("-")
}

/// The files of a set.
#[derive(Debug, Default)]
struct Sorted {
    /// The labels and the images of each part.
    found: BySplit<[Option<PathBuf>; 2]>,
    /// Images whose names give no part.
    without: Vec<PathBuf>,
    passed_over: Vec<LeftOutFile>,
}

/// Of the files of several sets in one folder, as torchvision leaves EMNIST, those of the set that
/// dataset.configuration names.
///
/// # Errors
/// [`Error::Usage`] if it names none of them.
fn of_one_set(
    files: Vec<PathBuf>,
    folder: &Path,
    configuration: Option<&String>,
) -> Result<Vec<PathBuf>> {
    let name = |path: &PathBuf| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    // one that could be trained on
    let of_train = |images: bool| -> BTreeSet<String> {
        let is_it = |path: &&PathBuf| role(&name(path)) == Some((Some(Part::Train), images));
        files
            .iter()
            .filter(is_it)
            .map(|path| set_name(&name(path)))
            .collect()
    };
    let sets: BTreeSet<String> = &of_train(true) & &of_train(false);
    let chosen = configuration.map(|name| name.to_lowercase());
    if sets.is_empty() || (chosen.is_none() && sets.len() == 1) {
        return Ok(files);
    }
    let is_meant = |set: &&String| {
        chosen
            .as_ref()
            .is_some_and(|chosen| shown(set) == chosen || set.ends_with(&format!("-{chosen}")))
    };
    let Some(meant) = sets.iter().find(is_meant) else {
        let all: Vec<String> = sets
            .iter()
            .map(|set| format!("\"{}\"", shown(set)))
            .collect();
        return Err(Error::Usage(format!(
            "{} holds several data sets, by the names of its files: {}; set dataset.configuration to one of them, \
             or to its last word{}",
            folder.display(),
            all.join(", "),
            configuration.map_or(String::new(), |name| format!(" (found {name})"))
        )));
    };
    // files without a name go with any set, unless they are one
    let is_of_it = |path: &PathBuf| {
        let own = set_name(&name(path));
        own == *meant || (own.is_empty() && !sets.contains(&own))
    };
    Ok(files.into_iter().filter(is_of_it).collect())
}

/// What a set is called in messages and settings: one without a name has those of MNIST's own files.
fn shown(set: &str) -> &str {
    match set {
        "" => "mnist",
        named => named,
    }
}

/// The files in `folder` or up to three folders below it, as torchvision leaves them in MNIST/raw.
fn sorted(folder: &Path, configuration: Option<&String>) -> Result<Sorted> {
    if !folder.exists() {
        return Ok(Sorted::default());
    }
    let below = files_below(folder, DEEPEST, &|name| role(name).is_some())?;
    let mut sorted = Sorted {
        passed_over: below.passed_over,
        ..Sorted::default()
    };
    for path in of_one_set(below.files, folder, configuration)? {
        let role = role(&path.file_name().unwrap_or_default().to_string_lossy());
        let split = match role {
            Some((Some(Part::Train), is_images)) => (&mut sorted.found.train, is_images),
            Some((Some(Part::Validation), is_images)) => (&mut sorted.found.validation, is_images),
            Some((Some(Part::Test), is_images)) => (&mut sorted.found.test, is_images),
            Some((None, true)) => {
                sorted.without.push(path);
                continue;
            }
            Some((None, false)) => {
                sorted.passed_over.push(LeftOutFile {
                    name: relative_name(folder, &path),
                    part: "",
                    class: None,
                    reason: "labels of no part".to_owned(),
                    is_lost: false,
                });
                continue;
            }
            None => continue,
        };
        let (files, is_images) = split;
        take(&mut files[usize::from(is_images)], path)?;
    }
    Ok(sorted)
}

/// Finds the files in `folder` or below it.
///
/// # Errors
/// [`Error::Usage`] if files are missing or there are several sets, [`Error::File`] if one is
/// malformed.
pub fn find(request: &DatasetRequest) -> Result<Plain> {
    let folder = &request.folder;
    let Sorted {
        found,
        without,
        passed_over,
    } = sorted(folder, request.configuration.as_ref())?;
    let is_complete = |files: &[Option<PathBuf>; 2]| files.iter().all(Option::is_some);
    if !is_complete(&found.train) {
        return Err(MissingFiles {
            name: "idx",
            folder,
            expected: "train-images-idx3-ubyte, train-labels-idx1-ubyte, and t10k-… or test-…, with \
                       or without .gz",
            found: match found.train == [None, None] {
                true => "no such file is there",
                false => "images or labels of the training part are missing",
            },
            remedy: "Run `astill fetch mnist` and set dataset.path: mnist, or put the files of MNIST or \
                     of a data set like it there",
        }
        .into_error());
    }
    let whole = std::path::absolute(folder).unwrap_or_default();
    let last = whole.file_name().unwrap_or_default();
    let is_fashion = found.train.iter().flatten().any(|path| {
        let path = Path::new(last).join(path.strip_prefix(folder).unwrap_or(path));
        path.to_string_lossy().to_lowercase().contains("fashion")
    });
    let (found, note) = found.tested_on_validation(|files| files.iter().all(Option::is_none));
    let read = found.try_map(|files| match files {
        [Some(labels), Some(images)] => read_part(&labels, images),
        [None, None] => Ok((Vec::new(), Vec::new())),
        [Some(alone), None] | [None, Some(alone)] => Err(Error::file(
            alone,
            "expected images and labels, found one of the two; get the other",
        )),
    })?;
    let names: &[&str] = if is_fashion { &FASHION } else { &[] };
    let of_names = "the classes have the names of Fashion-MNIST's, because \"fashion\" is in the names of \
                    the files or folders";
    let labels = read.as_ref().map(|(labels, _)| labels.clone());
    let is_named =
        numbered_classes(&labels, names).first().map(String::as_str) == names.first().copied();
    let of_names = (is_fashion && is_named).then(|| of_names.to_owned());
    let passed_over = PassedOver {
        files: [passed_over, without_part(folder, &without)].concat(),
        notes: note.into_iter().chain(of_names).collect(),
    };
    Ok(Plain::new(read, names, passed_over, request.color))
}

/// Notes a file; of one and the same file the unpacked one is taken.
fn take(place: &mut Option<PathBuf>, path: PathBuf) -> Result<()> {
    let unpacked = |path: &Path| path.with_extension("").as_os_str().to_owned();
    let stem = |path: &Path| match path.extension().is_some_and(|end| end == "gz") {
        true => unpacked(path),
        false => path.as_os_str().to_owned(),
    };
    match place {
        Some(other) if stem(other) != stem(&path) => Err(Error::Usage(format!(
            "expected one data set, found {} and {}: set dataset.path to the folder of one",
            other.display(),
            path.display()
        ))),
        // sorted, so the unpacked one came first
        Some(_) => Ok(()),
        None => {
            *place = Some(path);
            Ok(())
        }
    }
}

/// The labels and the images of a part; the images are read later.
///
/// # Errors
/// [`Error::File`] if a file is malformed, or the two have different lengths.
pub fn read_part(labels: &Path, images: PathBuf) -> Result<(Vec<i64>, Vec<PlainImages>)> {
    let mut reader = open(labels)?;
    let shape = header::<1>(labels, &mut reader)?;
    let mut values = Vec::new();
    let count = u64::from(shape[0]);
    // one more shows a file that goes on
    reader
        .take(count + 1)
        .read_to_end(&mut values)
        .map_err(|e| {
            Error::file(
                labels,
                format!("expected {count} labels: {e}; get it again"),
            )
        })?;
    if values.len() as u64 != count {
        let found = match values.len() as u64 > count {
            true => "more".to_owned(),
            false => values.len().to_string(),
        };
        return Err(Error::file(
            labels,
            format!("expected {count} labels, found {found}; get it again"),
        ));
    }
    let [count, rows, columns] = header::<3>(&images, &mut open(&images)?)?;
    if count as usize != values.len() {
        return Err(Error::file(
            &images,
            format!(
                "expected as many images as labels, found {count} images and {} labels in {}",
                values.len(),
                labels.display()
            ),
        ));
    }
    let images = PlainImages {
        bytes: Box::new(IdxBytes(images.clone())),
        path: images,
        count: count as usize,
        rows: rows as usize,
        columns: columns as usize,
        channels: 1,
        is_interleaved: false,
    };
    Ok((values.into_iter().map(i64::from).collect(), vec![images]))
}

fn open(path: &Path) -> Result<Box<dyn Read>> {
    let file = untrusted::open(path).map_err(Error::io("open", path))?;
    unpacked(file).map_err(Error::io("read", path))
}

/// The lengths of an array of u8 with `N` dimensions.
fn header<const N: usize>(path: &Path, reader: &mut dyn Read) -> Result<[u32; N]> {
    let malformed = |found: String| {
        Error::file(
            path,
            format!("expected idx of u8 with {N} dimensions, found {found}; get it again"),
        )
    };
    let mut word = [0; 4];
    let mut next = || match reader.read_exact(&mut word) {
        Ok(()) => Ok(word),
        Err(error) => Err(malformed(error.to_string())),
    };
    let begin = next()?;
    if begin != [0, 0, 8, N as u8] {
        return Err(malformed(format!("{begin:02x?} at its beginning")));
    }
    let mut shape = [0; N];
    for length in &mut shape {
        *length = u32::from_be_bytes(next()?);
        if *length == 0 || *length > LONGEST {
            return Err(malformed(format!("a length of {length}")));
        }
    }
    if N == 3 && (shape[1] > 4096 || shape[2] > 4096) {
        return Err(malformed(format!("images of {} × {}", shape[1], shape[2])));
    }
    Ok(shape)
}

/// The values of an idx file.
#[derive(Debug)]
struct IdxBytes(PathBuf);

impl PlainBytes for IdxBytes {
    fn open(&self) -> Result<Box<dyn Read>> {
        let mut reader = open(&self.0)?;
        header::<3>(&self.0, &mut reader)?;
        Ok(reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_sets_in_a_folder_one_is_chosen() {
        let files = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
        let both = files(&[
            "emnist-digits-train-images-idx3-ubyte.gz",
            "emnist-digits-train-labels-idx1-ubyte",
            "emnist-letters-train-images-idx3-ubyte",
            "emnist-letters-train-labels-idx1-ubyte",
        ]);
        let of = |all: &[PathBuf], chosen: Option<&str>| {
            let chosen = chosen.map(str::to_owned);
            of_one_set(all.to_vec(), Path::new("raw"), chosen.as_ref())
        };
        for chosen in ["letters", "Letters", "emnist-letters"] {
            assert_eq!(of(&both, Some(chosen)).unwrap(), both[2..]);
        }
        let names = "\"emnist-digits\", \"emnist-letters\"; set dataset.configuration";
        for (chosen, part) in [(None, names), (Some("fashion"), "(found fashion)")] {
            let refused = of(&both, chosen).unwrap_err().to_string();
            assert!(refused.contains(part), "{refused}");
        }
        let alone = files(&["t10k-images-idx3-ubyte", "train-images.idx3-ubyte"]);
        assert_eq!(of(&alone, None).unwrap(), alone);
        // names that do not belong together are none of sets
        let odd = files(&["train-images-28x28-idx3-ubyte", "train-labels-idx1-ubyte"]);
        assert_eq!(of(&odd, None).unwrap(), odd);
        // MNIST's own files have no name, and files without one go with a set that has
        let own = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte"];
        let beside = [files(&own), both.clone()].concat();
        assert_eq!(of(&beside, Some("mnist")).unwrap(), files(&own));
        let test = files(&["t10k-images-idx3-ubyte"]);
        let with_test = [test.clone(), both.clone()].concat();
        assert_eq!(
            of(&with_test, Some("digits")).unwrap(),
            [&test[..], &both[..2]].concat()
        );
    }

    #[test]
    fn files_are_known_by_their_usual_names() {
        for (name, want) in [
            (
                "train-images-idx3-ubyte.gz",
                Some((Some(Part::Train), true)),
            ),
            ("t10k-labels.idx1-ubyte", Some((Some(Part::Test), false))),
            (
                "emnist-letters-test-images-idx3-ubyte",
                Some((Some(Part::Test), true)),
            ),
            (
                "kmnist-train-labels-ubyte",
                Some((Some(Part::Train), false)),
            ),
            ("train-images.png", None),
            ("images-idx3-ubyte", Some((None, true))),
        ] {
            assert_eq!(role(name), want, "{name}");
        }
    }
}
