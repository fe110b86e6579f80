//! Data sets of the Hugging Face Hub: which files they consist of.

use super::download::FAILURES;
use super::http::Client;
use super::set::{Checksum, DataSet, Packing, SourceFile};
use astill_core::{Error, Result};
use serde::Deserialize;
use std::io::Read;

/// The list of a repository's files, all pages together, has at most so many bytes.
const LARGEST_LIST: u64 = 64 << 20;
const MOST_PAGES: usize = 1000;
const MOST_FILES: usize = 1 << 20;

/// A repository of the Hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    owner: String,
    name: String,
    /// The folder of one configuration; none for all of it.
    config: Option<String>,
    revision: String,
}

/// A file in the list.
#[derive(Debug, Deserialize)]
struct Listed {
    #[serde(rename = "type")]
    kind: String,
    path: String,
    #[serde(default)]
    size: u64,
    lfs: Option<Lfs>,
}

#[derive(Debug, Deserialize)]
struct Lfs {
    /// SHA-256.
    oid: String,
    size: u64,
}

#[derive(Debug, Deserialize)]
struct Revision {
    /// The commit.
    sha: String,
}

impl Repository {
    /// The one that "hf:OWNER/NAME" or "hf:OWNER/NAME/CONFIG" names; none for a name without "hf:".
    pub fn named(text: &str) -> Option<Result<Self>> {
        let path = text.strip_prefix("hf:")?;
        let parts: Vec<&str> = path.split('/').collect();
        let allowed = |part: &&str| {
            let is_safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            !part.is_empty() && !part.starts_with('.') && part.chars().all(is_safe)
        };
        let is_valid = matches!(parts.len(), 2 | 3) && parts.iter().all(allowed);
        Some(match is_valid {
            true => Ok(Self {
                owner: parts[0].into(),
                name: parts[1].into(),
                config: parts.get(2).map(|c| (*c).into()),
                revision: "main".into(),
            }),
            false => Err(Error::Usage(format!(
                "found \"{text}\", expected hf:OWNER/NAME or hf:OWNER/NAME/CONFIG"
            ))),
        })
    }

    #[must_use]
    pub fn at(self, revision: Option<&str>) -> Self {
        Self {
            revision: revision.map_or(self.revision, str::to_string),
            ..self
        }
    }

    /// Below the data folder.
    pub fn folder(&self) -> String {
        match &self.config {
            None => format!("{}--{}", self.owner, self.name),
            Some(config) => format!("{}--{}--{config}", self.owner, self.name),
        }
    }

    /// Its parquet files, those of the commit that the revision names now.
    ///
    /// # Errors
    /// [`Error::Network`] if the Hub does not answer, [`Error::Usage`] if there is no such
    /// repository or it has no parquet files; [`Error::Interrupted`] if `is_ended` says so.
    pub fn data_set(&self, client: &Client, is_ended: &dyn Fn() -> bool) -> Result<DataSet> {
        let at = format!("{}/api/datasets/{}/{}", client.hub, self.owner, self.name);
        let revision = encoded(&self.revision);
        let mut left = LARGEST_LIST;
        let url = format!("{at}/revision/{revision}");
        let Revision { sha } = parsed(&self.ask(client, &url, &mut left, is_ended)?.0)?;
        if !sha.bytes().all(|b| b.is_ascii_hexdigit()) || sha.is_empty() {
            return Err(Error::Network(format!(
                "the Hub named the commit {sha:?}, expected hexadecimal digits"
            )));
        }
        let mut listed: Vec<Listed> = Vec::new();
        let mut next = Some(format!("{at}/tree/{sha}?recursive=true"));
        for _ in 0..MOST_PAGES {
            let Some(url) = next.take() else { break };
            let (text, link) = self.ask(client, &url, &mut left, is_ended)?;
            listed.extend(parsed::<Vec<Listed>>(&text)?);
            next = link.as_deref().and_then(next_page);
            let is_elsewhere = |url: &String| !url.starts_with(&format!("{}/", client.hub));
            if next.as_ref().is_some_and(is_elsewhere) || listed.len() > MOST_FILES {
                break;
            }
        }
        if next.is_some() {
            return Err(Error::Network(format!(
                "the Hub's list of the files of {} has more than {MOST_FILES} entries or goes on at \
                 another address, so it cannot be read whole",
                self.folder()
            )));
        }
        self.of_listed(&client.hub, &sha, &listed)
    }

    /// The parquet files in a list of the Hub at the address `hub`, as JSON, of the commit `sha`.
    ///
    /// # Errors
    /// [`Error::Network`] if it is not such a list, [`Error::Usage`] if it has no parquet files.
    pub fn listed(&self, hub: &str, sha: &str, list: &str) -> Result<DataSet> {
        self.of_listed(hub, sha, &parsed::<Vec<Listed>>(list)?)
    }

    fn of_listed(&self, hub: &str, sha: &str, listed: &[Listed]) -> Result<DataSet> {
        let files = self.chosen(listed)?;
        let source = |file: &&Listed| {
            let path = encoded_path(&file.path);
            SourceFile {
                name: file.path.clone(),
                urls: vec![format!(
                    "{hub}/datasets/{}/{}/resolve/{sha}/{path}",
                    self.owner, self.name
                )],
                bytes: Some(file.lfs.as_ref().map_or(file.size, |l| l.size)),
                checksums: file
                    .lfs
                    .iter()
                    .map(|l| Checksum::sha256(l.oid.trim_start_matches("sha256:")))
                    .collect(),
                packing: Packing::Plain,
            }
        };
        Ok(DataSet {
            name: self.folder(),
            about: format!("{}/{} of the Hugging Face Hub", self.owner, self.name),
            folder: self.folder(),
            proof: files.iter().map(|f| f.path.clone().into()).collect(),
            files: files.iter().map(source).collect(),
            hub: None,
            commit: Some(sha.to_owned()),
        })
    }

    /// The parquet files of the configuration.
    fn chosen<'a>(&self, listed: &'a [Listed]) -> Result<Vec<&'a Listed>> {
        // what is hidden or left behind is passed over where the files are read, too
        let is_junk = |part: &str| part.starts_with(['.', '@']) || part.starts_with("__");
        let is_data = |f: &&Listed| {
            f.kind == "file" && f.path.ends_with(".parquet") && !f.path.split('/').any(is_junk)
        };
        if let Some(odd) = listed.iter().filter(is_data).find(|f| !is_safe(&f.path)) {
            return Err(Error::Network(format!(
                "the Hub lists a file of {} with the name {:?}, which no file may have here",
                self.folder(),
                odd.path
            )));
        }
        let all: Vec<&Listed> = listed.iter().filter(is_data).collect();
        let folder = |f: &Listed| {
            f.path
                .rsplit_once('/')
                .map_or("", |(folder, _)| folder)
                .to_string()
        };
        let mut folders: Vec<String> = all.iter().map(|f| configuration(&f.path)).collect();
        folders.sort();
        folders.dedup();
        let of_config: Vec<&Listed> = match &self.config {
            None => all,
            Some(config) => all
                .into_iter()
                .filter(|f| folder(f).split('/').any(|part| part == config))
                .collect(),
        };
        let name = format!("hf:{}/{}", self.owner, self.name);
        match (of_config.is_empty(), &self.config, folders.len()) {
            (true, None, _) => Err(Error::Usage(format!(
                "{name} has no parquet files at the revision {}; try --revision refs/convert/parquet, \
                 where the Hub keeps converted ones",
                self.revision
            ))),
            (true, Some(config), _) => Err(Error::Usage(format!(
                "{name} has no parquet files in a folder {config}, only in {}",
                folders.join(", ")
            ))),
            // one folder is one configuration; several are to be chosen from
            (false, None, 2..) => {
                let named: Vec<&str> = folders.iter().map(String::as_str).collect();
                let named = named.into_iter().filter(|folder| !folder.is_empty());
                let beside = match folders[0].is_empty() {
                    true => ", and files outside of them",
                    false => "",
                };
                Err(Error::Usage(format!(
                    "{name} has several configurations: {}{beside}; name one, {name}/CONFIG",
                    named.collect::<Vec<_>>().join(", ")
                )))
            }
            _ => Ok(of_config),
        }
    }

    /// The text at an address of the Hub, and the header that names the next page. `left` is how many
    /// bytes may still come.
    fn ask(
        &self,
        client: &Client,
        url: &str,
        left: &mut u64,
        is_ended: &dyn Fn() -> bool,
    ) -> Result<(String, Option<String>)> {
        let mut failures = 0;
        loop {
            if is_ended() {
                return Err(Error::Interrupted);
            }
            let problem = match self.answer(client, url, left)? {
                Ok(answer) => return Ok(answer),
                Err(problem) => problem,
            };
            failures += 1;
            if failures >= FAILURES {
                return Err(no_answer(url, &problem));
            }
            client.pause_after(failures, is_ended)?;
        }
    }

    /// The same, asked for once; in the inner `Err` a problem that may pass.
    fn answer(
        &self,
        client: &Client,
        url: &str,
        left: &mut u64,
    ) -> Result<std::result::Result<(String, Option<String>), String>> {
        // without a network, nobody should wait for more tries
        let answer = client.get(url, 0, None);
        let answer = answer.map_err(|problem| no_answer(url, &problem))?;
        let name = format!("hf:{}/{}", self.owner, self.name);
        match answer.status {
            200 => {}
            401 | 403 => {
                return Err(Error::Usage(format!(
                    "{name} does not exist or is not public; set HF_TOKEN to a token that may read it, \
                     and accept its terms on its page"
                )));
            }
            404 => {
                return Err(Error::Usage(format!(
                    "the Hub has no data set {name} with the revision {}",
                    self.revision
                )));
            }
            status => return Ok(Err(format!("it answers with status {status}"))),
        }
        let mut bytes = Vec::new();
        // one more shows a list that goes on
        if let Err(error) = answer.body.take(*left + 1).read_to_end(&mut bytes) {
            return Ok(Err(error.to_string()));
        }
        *left = left.checked_sub(bytes.len() as u64).ok_or_else(|| {
            Error::Network(format!(
                "the Hub's list of the files of {name} has more than {} MiB, so it is not read",
                LARGEST_LIST >> 20
            ))
        })?;
        match (String::from_utf8(bytes), answer.length) {
            (Err(_), _) => Ok(Err("it answers with something that is not text".into())),
            (Ok(text), Some(length)) if (text.len() as u64) < length => {
                Ok(Err(format!("ended after {} of {length} bytes", text.len())))
            }
            (Ok(text), _) => Ok(Ok((text, answer.link))),
        }
    }
}

fn no_answer(url: &str, problem: &str) -> Error {
    Error::Network(format!(
        "cannot ask the Hugging Face Hub ({url}): {problem}; try again later, or set HF_ENDPOINT to a \
         mirror"
    ))
}

fn parsed<T: for<'a> Deserialize<'a>>(text: &str) -> Result<T> {
    serde_json::from_str(text).map_err(|e| {
        Error::Network(format!(
            "the Hugging Face Hub answered something unexpected: {e}"
        ))
    })
}

/// The folder of the configuration that a file is of: the one that it is in, or the one above where that
/// is named after a split, as in `default/train/0000.parquet`.
fn configuration(path: &str) -> String {
    const SPLITS: [&str; 10] = [
        "train",
        "training",
        "validation",
        "valid",
        "val",
        "dev",
        "eval",
        "evaluation",
        "test",
        "testing",
    ];
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let (above, last) = folder.rsplit_once('/').unwrap_or(("", folder));
    // the Hub numbers the files that it has converted, whatever their split is called
    let stem = file.trim_end_matches(".parquet");
    let is_split = stem.bytes().all(|b| b.is_ascii_digit()) || SPLITS.contains(&last);
    // the usual folder for the files of all splits is no configuration
    let named = if is_split { above } else { folder }.split('/');
    let named: Vec<&str> = named.filter(|name| *name != "data").collect();
    named.join("/")
}

/// A path that stays in its folder, and that a terminal can show.
fn is_safe(path: &str) -> bool {
    let is_name = |part: &str| !part.is_empty() && part != "." && part != "..";
    path.split('/').all(is_name) && !path.contains(|c: char| c == '\\' || c.is_control())
}

fn encoded_path(path: &str) -> String {
    path.split('/').map(encoded).collect::<Vec<_>>().join("/")
}

/// With everything that has a meaning in an address written as %XX.
fn encoded(text: &str) -> String {
    let byte = |b: u8| match b {
        b if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~') => {
            char::from(b).to_string()
        }
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// `<https://…>; rel="next"`
fn next_page(link: &str) -> Option<String> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    let (_, rest) = next.split_once('<')?;
    rest.split_once('>').map(|(url, _)| url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_hub_are_read_and_strange_ones_refused() {
        let named = |text| Repository::named(text);
        assert!(named("cifar10").is_none());
        let found = named("hf:uoft-cs/cifar10").and_then(Result::ok);
        assert_eq!(found.map(|r| r.folder()), Some("uoft-cs--cifar10".into()));
        let found = named("hf:a/b/c").and_then(Result::ok);
        assert_eq!(found.map(|r| r.folder()), Some("a--b--c".into()));
        for strange in [
            "hf:",
            "hf:a",
            "hf:a/..",
            "hf:a/b/c/d",
            "hf:a/b?x",
            "hf:/b",
            "hf:a/ b",
        ] {
            assert!(
                matches!(named(strange), Some(Err(Error::Usage(_)))),
                "{strange}"
            );
        }
    }

    #[test]
    fn folders_of_splits_are_no_configurations_and_odd_names_are_refused() {
        let repository = named_well("hf:o/n");
        let listed = |paths: &[&str]| {
            let files: Vec<serde_json::Value> = paths
                .iter()
                .map(|path| serde_json::json!({ "type": "file", "path": path, "size": 1 }))
                .collect();
            repository.listed("https://hub", "0", &serde_json::json!(files).to_string())
        };
        let found = listed(&["default/train/0000.parquet", "default/extra/0000.parquet"]);
        assert_eq!(found.map(|set| set.files.len()).ok(), Some(2));
        let found = listed(&["train/a.parquet", "test/a.parquet"]);
        assert_eq!(found.map(|set| set.files.len()).ok(), Some(2));
        let several = listed(&["a/train/0000.parquet", "b/train/0000.parquet"]);
        assert!(matches!(several, Err(Error::Usage(text)) if text.contains("a, b")));
        let found = listed(&["train.parquet", "data/test.parquet", ".tmp/train.parquet"]);
        let names = found.map(|set| set.files.into_iter().map(|file| file.name).collect());
        let wanted: Vec<String> = ["train.parquet", "data/test.parquet"]
            .map(String::from)
            .to_vec();
        assert_eq!(names.ok(), Some(wanted));
        let beside = listed(&["train.parquet", "a/train.parquet"]);
        let wanted = "configurations: a, and files outside of them; name one";
        assert!(matches!(beside, Err(Error::Usage(text)) if text.contains(wanted)));
        let odd = listed(&["data/\u{1b}[2J.parquet", "data/train.parquet"]);
        assert!(matches!(odd, Err(Error::Network(text)) if !text.contains('\u{1b}')));
    }

    fn named_well(text: &str) -> Repository {
        let found = Repository::named(text).and_then(Result::ok);
        found.unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn the_next_page_is_found() {
        let link = "<https://h/x?cursor=1>; rel=\"next\", <https://h/y>; rel=\"last\"";
        assert_eq!(next_page(link), Some("https://h/x?cursor=1".into()));
        assert_eq!(next_page("<https://h/y>; rel=\"last\""), None);
    }
}
