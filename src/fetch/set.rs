//! What a data set that can be fetched consists of.

/// A data set.
#[derive(Debug, Clone)]
pub struct DataSet {
    pub name: String,
    /// One line for people.
    pub about: String,
    /// Below the data folder, where it goes; empty for the data folder itself.
    pub folder: String,
    pub files: Vec<SourceFile>,
    /// What is in `folder` if and only if the set is complete.
    pub proof: Vec<Proof>,
    /// The repository of the Hub whose files it consists of; `files` is then still empty.
    pub hub: Option<OnHub>,
    /// The commit of that repository whose files these are.
    pub commit: Option<String>,
}

impl DataSet {
    /// The files that stay as they are.
    pub fn plain(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter().filter(|f| f.packing == Packing::Plain)
    }
}

/// A set of the catalogue that is on the Hub.
#[derive(Debug, Clone, Copy)]
pub struct OnHub {
    /// As [`Repository::named`](super::Repository::named) takes it.
    pub repository: &'static str,
    /// The address of its page, for people.
    pub page: &'static str,
    /// The folder of its files there.
    pub folder: &'static str,
    /// The splits that are fetched, of those that are there.
    pub splits: &'static [&'static str],
}

/// A file or folder that shows that a set is complete.
#[derive(Debug, Clone)]
pub struct Proof {
    /// Below the set's folder.
    pub path: String,
    /// The length of a file, where it is published.
    pub bytes: Option<u64>,
    /// How many entries a folder has at least.
    pub entries: usize,
}

impl From<String> for Proof {
    fn from(path: String) -> Self {
        Self {
            path,
            bytes: None,
            entries: 1,
        }
    }
}

impl From<&str> for Proof {
    fn from(path: &str) -> Self {
        path.to_owned().into()
    }
}

impl Proof {
    /// A folder with at least so many entries.
    pub fn folder(path: &str, entries: usize) -> Self {
        Self {
            entries,
            ..path.into()
        }
    }
}

/// A file to download.
#[derive(Debug, Clone)]
pub struct SourceFile {
    /// Its name; for files that stay as they are, their path in the set's folder.
    pub name: String,
    /// In the order in which they are tried.
    pub urls: Vec<String>,
    /// None where nobody has published it.
    pub bytes: Option<u64>,
    pub checksums: Vec<Checksum>,
    pub packing: Packing,
}

/// What happens to a file once it is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    TarGz,
    Zip,
    /// It stays as it is.
    Plain,
}

/// A published checksum, in lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checksum {
    Md5(String),
    Sha256(String),
}

impl Checksum {
    pub fn md5(digits: &str) -> Self {
        Self::Md5(digits.to_ascii_lowercase())
    }

    pub fn sha256(digits: &str) -> Self {
        Self::Sha256(digits.to_ascii_lowercase())
    }

    /// Its kind and its digits.
    pub fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Md5(digits) => ("MD5", digits),
            Self::Sha256(digits) => ("SHA-256", digits),
        }
    }
}
