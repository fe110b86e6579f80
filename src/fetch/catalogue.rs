//! The data sets that can be fetched by name: where their files are, and how they are recognised.

use super::http::Client;
use super::hub;
use super::set::{Checksum, DataSet, Packing, SourceFile};
use astill_core::{Error, Result};
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
                    "data_batch_1.bin",
                    "data_batch_5.bin",
                    "test_batch.bin",
                    "batches.meta.txt",
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
                &["train.bin", "test.bin", "fine_label_names.txt"],
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
            proof: ["wnids.txt", "words.txt", "train", "val/val_annotations.txt"]
                .map(|p| format!("tiny-imagenet-200/{p}"))
                .to_vec(),
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
            proof: vec!["imagenette2-160/train".into(), "imagenette2-160/val".into()],
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
            hub: Some("hf:ufldl-stanford/svhn/cropped_digits"),
            commit: None,
        },
    ]
});

fn cifar(
    (name, about): (&str, &str),
    file: &str,
    (bytes, md5): (u64, &'static str),
    (root, proof): (&str, &[&str]),
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
        proof: proof.iter().map(|p| format!("{root}/{p}")).collect(),
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
        proof: FILES.map(String::from).to_vec(),
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

impl DataSet {
    /// The same with its files, which a set that is on the Hub asks the Hub for.
    ///
    /// # Errors
    /// The Hub does not answer.
    pub fn resolved(self, client: &Client) -> Result<Self> {
        let Some(repository) = self.hub.and_then(hub::Repository::named) else {
            return Ok(self);
        };
        let found = repository?.data_set(client)?;
        Ok(Self {
            files: found.files,
            proof: found.proof,
            commit: found.commit,
            ..self
        })
    }
}
