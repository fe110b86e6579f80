//! The data sets that can be fetched by name: where their files are, and how they are recognised.

use super::http::Client;
use super::hub;
use super::set::{Checksum, DataSet, OnHub, Packing, Proof, SourceFile};
use astill_core::imagenet::subset_ids;
use astill_core::known_sets::KNOWN_SETS;
use astill_core::profile::Kind;
use astill_core::{Error, Result};
use std::path::PathBuf;
use std::sync::LazyLock;

/// Every data set with a name of its own.
pub static CATALOGUE: LazyLock<Vec<DataSet>> = LazyLock::new(|| {
    vec![
        cifar(
            (
                "cifar10",
                "CIFAR-10: 60,000 images of 10 classes, 32 pixels",
            ),
            "cifar-10-binary.tar.gz",
            (170_052_171, "c32a1d4ab5d03f1284b67883e8d87530"),
            (
                "cifar-10-batches-bin",
                &[
                    ("data_batch_1.bin", Some(30_730_000)),
                    ("data_batch_2.bin", Some(30_730_000)),
                    ("data_batch_3.bin", Some(30_730_000)),
                    ("data_batch_4.bin", Some(30_730_000)),
                    ("data_batch_5.bin", Some(30_730_000)),
                    ("test_batch.bin", Some(30_730_000)),
                    ("batches.meta.txt", None),
                ],
            ),
        ),
        cifar(
            (
                "cifar100",
                "CIFAR-100: 60,000 images of 100 classes, 32 pixels",
            ),
            "cifar-100-binary.tar.gz",
            (168_513_733, "03b5dce01913d631647c71ecec9e9cb8"),
            (
                "cifar-100-binary",
                &[
                    ("train.bin", Some(153_700_000)),
                    ("test.bin", Some(30_740_000)),
                    ("fine_label_names.txt", None),
                ],
            ),
        ),
        DataSet {
            name: "tiny-imagenet".into(),
            about: "Tiny ImageNet: 110,000 images of 200 classes, 64 pixels".into(),
            folder: "tiny-imagenet".into(),
            files: vec![SourceFile {
                name: "tiny-imagenet-200.zip".into(),
                urls: vec![
                    "http://cs231n.stanford.edu/tiny-imagenet-200.zip".into(),
                    "https://cs231n.stanford.edu/tiny-imagenet-200.zip".into(),
                ],
                bytes: Some(248_100_043),
                checksums: vec![Checksum::md5("90528d7ca1a48142e341f4ef8d21d0de")],
                packing: Packing::Zip,
            }],
            proof: vec![
                "tiny-imagenet-200/wnids.txt".into(),
                "tiny-imagenet-200/words.txt".into(),
                Proof::folder("tiny-imagenet-200/train", 200),
                "tiny-imagenet-200/val/val_annotations.txt".into(),
            ],
            hub: None,
            commit: None,
        },
        DataSet {
            name: "imagenette".into(),
            about: "Imagenette: 13,394 images of 10 easy ImageNet classes, 160 pixels".into(),
            folder: String::new(),
            files: vec![SourceFile {
                name: "imagenette2-160.tgz".into(),
                urls: vec!["https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz".into()],
                bytes: None,
                checksums: vec![Checksum::md5("e793b78cc4c9e9a4ccc0c1155377a412")],
                packing: Packing::TarGz,
            }],
            proof: ["train", "val"]
                .iter()
                .flat_map(|part| {
                    let ids = subset_ids("nette").into_iter().flatten();
                    ids.map(move |id| format!("imagenette2-160/{part}/{id}").into())
                })
                .collect(),
            hub: None,
            commit: None,
        },
        idx(
            ("mnist", "MNIST: 70,000 handwritten digits, 28 pixels, grey"),
            &["https://ossci-datasets.s3.amazonaws.com/mnist/"],
            [
                (9_912_422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
                (28_881, "d53e105ee54ea40749a09fcbcd1e9432"),
                (1_648_877, "9fb629c4189551a2d022fa330f9573f3"),
                (4_542, "ec29112dd5afa0611ce80d1b7f02629c"),
            ],
        ),
        idx(
            (
                "fashion-mnist",
                "Fashion-MNIST: 70,000 articles of clothing, 28 pixels, grey",
            ),
            &[
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            ],
            [
                (26_421_880, "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
                (29_515, "25c81989df183df01b3e8a0aad5dffbe"),
                (4_422_102, "bef4ecab320f06d8554ea6380940ec79"),
                (5_148, "bb300cfdad3c16e7a12a480ee83cd310"),
            ],
        ),
        DataSet {
            name: "svhn".into(),
            about: "SVHN: 99,289 house numbers of 10 digits, 32 pixels".into(),
            folder: "svhn".into(),
            files: Vec::new(),
            proof: vec!["cropped_digits".into()],
            hub: Some(OnHub {
                repository: "hf:ufldl-stanford/svhn/cropped_digits",
                page: "https://huggingface.co/datasets/ufldl-stanford/svhn/tree/main/cropped_digits",
                folder: "cropped_digits",
                // the third one, extra, is several times as large, and not trained on
                splits: &["train", "test"],
            }),
            commit: None,
        },
    ]
});

/// The keys with which a profile reads a fetched set; none where they are the default of its kind.
pub fn keys_of(name: &str) -> Option<String> {
    let (kind, path) = match KNOWN_SETS.iter().find(|set| set.name == name) {
        Some(set) => (set.kind, set.path?),
        None if name.starts_with("hf:") => (Kind::Parquet, name),
        None => return None,
    };
    Some(format!("dataset.kind: {kind} and dataset.path: {path}"))
}

fn cifar(
    (name, about): (&str, &str),
    file: &str,
    (bytes, md5): (u64, &'static str),
    (root, proof): (&str, &[(&str, Option<u64>)]),
) -> DataSet {
    DataSet {
        name: name.into(),
        about: about.into(),
        folder: name.into(),
        files: vec![SourceFile {
            name: file.into(),
            urls: vec![
                format!("https://www.cs.toronto.edu/~kriz/{file}"),
                format!("http://www.cs.toronto.edu/~kriz/{file}"),
            ],
            bytes: Some(bytes),
            checksums: vec![Checksum::md5(md5)],
            packing: Packing::TarGz,
        }],
        proof: proof
            .iter()
            .map(|(file, bytes)| Proof {
                bytes: *bytes,
                ..format!("{root}/{file}").into()
            })
            .collect(),
        hub: None,
        commit: None,
    }
}

/// Four files of the MNIST family, with the length and the MD5 of each.
fn idx(
    (name, about): (&str, &str),
    mirrors: &[&str],
    published: [(u64, &'static str); 4],
) -> DataSet {
    const FILES: [&str; 4] = [
        "train-images-idx3-ubyte.gz",
        "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz",
        "t10k-labels-idx1-ubyte.gz",
    ];
    let file = |(file, (bytes, md5)): (&str, (u64, &'static str))| SourceFile {
        name: file.into(),
        urls: mirrors.iter().map(|m| format!("{m}{file}")).collect(),
        bytes: Some(bytes),
        checksums: vec![Checksum::md5(md5)],
        packing: Packing::Plain,
    };
    DataSet {
        name: name.into(),
        about: about.into(),
        folder: name.into(),
        files: FILES.into_iter().zip(published).map(file).collect(),
        proof: FILES.map(Proof::from).to_vec(),
        hub: None,
        commit: None,
    }
}

/// The data set of that name.
///
/// # Errors
/// [`Error::Usage`] for any other name; the message lists those there are.
pub fn find(name: &str) -> Result<&'static DataSet> {
    CATALOGUE.iter().find(|s| s.name == name).ok_or_else(|| {
        let names: Vec<&str> = CATALOGUE.iter().map(|s| s.name.as_str()).collect();
        let hint = match name {
            "imagenet" | "imagenet1k" | "ilsvrc" => {
                " (ImageNet needs an account at image-net.org or Kaggle; put its folders into the data \
                 folder and use dataset.kind image-folder)"
            }
            _ => "",
        };
        Error::Usage(format!(
            "no data set \"{name}\"; expected one of {}, or hf:OWNER/NAME{hint}",
            names.join(", ")
        ))
    })
}

/// Whether a file (`train-00000-of-00001.parquet`, `train/0000.parquet`) is of one of these splits.
fn is_of(splits: &[&str], path: &str) -> bool {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let of_file = file.split(['-', '.']).next().unwrap_or_default();
    let of_folder = folder.rsplit('/').next().unwrap_or_default();
    splits.contains(&of_file) || splits.contains(&of_folder)
}

impl DataSet {
    /// The same with its files, which a set that is on the Hub asks the Hub for.
    ///
    /// # Errors
    /// The Hub does not answer.
    pub fn resolved(self, client: &Client, is_ended: &dyn Fn() -> bool) -> Result<Self> {
        let Some(OnHub {
            repository, splits, ..
        }) = self.hub
        else {
            return Ok(self);
        };
        let Some(repository) = hub::Repository::named(repository) else {
            return Ok(self);
        };
        let mut found = repository?.data_set(client, is_ended)?;
        found.files.retain(|file| is_of(splits, &file.name));
        found.proof.retain(|proof| is_of(splits, &proof.path));
        if found.files.is_empty() {
            return Err(Error::Network(format!(
                "the Hub has no files of the splits {} for {}",
                splits.join(" and "),
                self.name
            )));
        }
        Ok(Self {
            files: found.files,
            proof: found.proof,
            commit: found.commit,
            ..self
        })
    }

    /// The same with the parquet files that `given` names, or that are in the folders that it names:
    /// for a set that is on the Hub, where there is no network. Nobody says then which files it has, and
    /// what is in them.
    ///
    /// # Errors
    /// [`Error::Usage`] if there is none of one of its splits, or one of those that count themselves is
    /// missing.
    pub fn of_files(self, given: &[PathBuf]) -> Result<Self> {
        let Some(OnHub { splits, folder, .. }) = self.hub else {
            return Ok(self);
        };
        let mut paths: Vec<PathBuf> = Vec::new();
        for path in given {
            match path.is_dir() {
                true => {
                    for entry in std::fs::read_dir(path).map_err(Error::io("list", path))? {
                        paths.push(entry.map_err(Error::io("list", path))?.path());
                    }
                }
                false => paths.push(path.clone()),
            }
        }
        let mut names: Vec<String> = paths
            .iter()
            .filter_map(|path| path.file_name()?.to_str())
            .filter(|name| name.ends_with(".parquet") && is_of(splits, name))
            .map(str::to_owned)
            .collect();
        names.sort();
        names.dedup();
        for split in splits {
            let of_split = names.iter().filter(|name| is_of(&[split], name));
            let there = of_split.clone().count();
            // train-00000-of-00002.parquet
            let count = of_split.clone().find_map(|name| {
                let (_, count) = name.strip_suffix(".parquet")?.rsplit_once("-of-")?;
                count.parse::<usize>().ok()
            });
            if there == 0 || count.is_some_and(|count| there < count) {
                return Err(Error::Usage(format!(
                    "--from: found {there} files of the split {split}, expected {}; download all files \
                     of {} from {}",
                    count.map_or(
                        "some, such as train-00000-of-00001.parquet".to_owned(),
                        |n| n.to_string()
                    ),
                    splits.join(" and "),
                    self.hub.map_or("", |hub| hub.page)
                )));
            }
        }
        let names: Vec<String> = names
            .iter()
            .map(|name| format!("{folder}/{name}"))
            .collect();
        Ok(Self {
            files: names
                .iter()
                .map(|name| SourceFile {
                    name: name.clone(),
                    urls: Vec::new(),
                    bytes: None,
                    checksums: Vec::new(),
                    packing: Packing::Plain,
                })
                .collect(),
            proof: names.iter().map(|name| name.as_str().into()).collect(),
            ..self
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_set_is_where_a_profile_reads_it() {
        for (entry, set) in CATALOGUE.iter().zip(KNOWN_SETS) {
            assert_eq!(entry.name, set.name);
            // where the archive has the folder itself
            let below = entry.proof[0].path.split('/').next();
            let own = match entry.folder.as_str() {
                "" => below.unwrap_or_default(),
                folder => folder,
            };
            assert_eq!(own, set.path.unwrap_or(set.kind.name()));
            assert!(entry.hub.is_some() || entry.proof.len() > 1);
        }
        assert_eq!(CATALOGUE.len(), KNOWN_SETS.len());
        let imagenette = CATALOGUE.iter().find(|set| set.name == "imagenette");
        assert_eq!(imagenette.map(|set| set.proof.len()), Some(20));
    }

    #[test]
    fn splits_are_known_by_the_names_of_files_and_folders() {
        let splits = ["train", "test"];
        for path in ["c/train-00000-of-00001.parquet", "c/test/0000.parquet"] {
            assert!(is_of(&splits, path), "{path}");
        }
        for path in ["c/extra-00000-of-00002.parquet", "c/extra/0000.parquet"] {
            assert!(!is_of(&splits, path), "{path}");
        }
    }
}
