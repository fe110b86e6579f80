//! What the releases of CIFAR-10 and CIFAR-100 differ in.

use crate::data::layout::BySplit;

/// The bytes of an image.
pub const PIXELS: usize = 3 * 32 * 32;
/// Ten times the number in the largest official file.
pub const MOST_RECORDS: u64 = 500_000;

/// What the two releases differ in.
#[derive(Debug)]
pub struct CifarFormat {
    /// The data set's kind, as a profile names it.
    pub name: &'static str,
    pub binary: Version,
    pub python: Version,
    pub classes: usize,
    /// Bytes before the label that is used.
    pub before_label: usize,
    /// The keys of labels and names in the Python version.
    pub python_labels: &'static str,
    pub python_names: &'static str,
}

/// The files of a version.
#[derive(Debug)]
pub struct Version {
    /// The folder to which the archive unpacks.
    pub folder: &'static str,
    pub archive: &'static str,
    pub images: BySplit<&'static [&'static str]>,
    pub names: &'static str,
}

impl Version {
    /// All of its files: those with images, and then that with the names.
    pub fn files(&self) -> Vec<&'static str> {
        let images = self
            .images
            .as_ref()
            .into_iter()
            .flat_map(|files| files.iter());
        images.chain([&self.names]).copied().collect()
    }
}

pub const CIFAR10: CifarFormat = CifarFormat {
    name: "cifar10",
    binary: Version {
        folder: "cifar-10-batches-bin",
        archive: "cifar-10-binary.tar.gz",
        images: BySplit {
            train: &[
                "data_batch_1.bin",
                "data_batch_2.bin",
                "data_batch_3.bin",
                "data_batch_4.bin",
                "data_batch_5.bin",
            ],
            validation: &[],
            test: &["test_batch.bin"],
        },
        names: "batches.meta.txt",
    },
    python: Version {
        folder: "cifar-10-batches-py",
        archive: "cifar-10-python.tar.gz",
        images: BySplit {
            train: &[
                "data_batch_1",
                "data_batch_2",
                "data_batch_3",
                "data_batch_4",
                "data_batch_5",
            ],
            validation: &[],
            test: &["test_batch"],
        },
        names: "batches.meta",
    },
    classes: 10,
    before_label: 0,
    python_labels: "labels",
    python_names: "label_names",
};

pub const CIFAR100: CifarFormat = CifarFormat {
    name: "cifar100",
    binary: Version {
        folder: "cifar-100-binary",
        archive: "cifar-100-binary.tar.gz",
        images: BySplit {
            train: &["train.bin"],
            validation: &[],
            test: &["test.bin"],
        },
        names: "fine_label_names.txt",
    },
    python: Version {
        folder: "cifar-100-python",
        archive: "cifar-100-python.tar.gz",
        images: BySplit {
            train: &["train"],
            validation: &[],
            test: &["test"],
        },
        names: "meta",
    },
    classes: 100,
    before_label: 1,
    python_labels: "fine_labels",
    python_names: "fine_label_names",
};

impl CifarFormat {
    /// The length of a record and where in it the pixels start.
    pub fn record(&self) -> (usize, usize) {
        (self.before_label + 1 + PIXELS, self.before_label + 1)
    }

    pub fn version(&self, is_python: bool) -> &Version {
        match is_python {
            true => &self.python,
            false => &self.binary,
        }
    }

    /// The most bytes of a file: a pickle is a little longer than its pixels.
    pub fn largest(&self) -> u64 {
        MOST_RECORDS * (self.record().0 as u64 + 64)
    }
}
