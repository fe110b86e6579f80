//! `astill fetch`: brings a data set into the data folder, from the network or from files, and
//! checks every byte on the way.

mod catalogue;
mod digest;
mod download;
mod http;
mod hub;
mod place;
mod presence;
mod progress;
mod set;
mod unpack;

pub use catalogue::{CATALOGUE, keys_of};
pub use http::Client;
pub use hub::Repository;
pub use presence::{is_cut_off, is_partly_there, is_there};
pub use progress::{Lines, Progress, Terminal};
pub use set::{Checksum, DataSet, OnHub, Packing, Proof, SourceFile};
pub use unpack::unpack;

use astill_core::cli::FetchArgs;
use astill_core::{Error, Result};
use place::Place;
use std::path::{Path, PathBuf};

/// What a fetch did.
#[derive(Debug, PartialEq, Eq)]
pub enum Fetched {
    /// All of it was in this folder already.
    AlreadyThere(PathBuf),
    /// It is in this folder now.
    Done(PathBuf),
}

/// Carries out `astill fetch SET`.
///
/// # Errors
/// [`Error::Usage`] for a set that is not known, or files that are not those of the set;
/// [`Error::Network`] if no source gives it; [`Error::Io`] if the system refuses to write.
pub fn run(args: &FetchArgs, data: &Path, progress: &mut dyn Progress) -> Result<Fetched> {
    let name = args.set.as_deref().unwrap_or_default();
    let client = Client::new(|name| std::env::var(name).ok())?;
    let found = match hub::Repository::named(name) {
        Some(repository) => {
            let repository = repository?.at(args.revision.as_deref());
            if !args.from.is_empty() {
                return Err(Error::Usage(format!(
                    "--from: files of a data set of the Hub need no unpacking; put them into {} \
                     yourself",
                    data.join(repository.folder()).display()
                )));
            }
            if !args.mirror.is_empty() {
                return Err(mirror_of_hub());
            }
            let set = repository.data_set(&client, &|| progress.is_ended());
            set.map_err(|error| (error, repository.folder()))
        }
        None => {
            if args.revision.is_some() {
                return Err(Error::Usage(
                    "--revision is for data sets of the Hub, hf:OWNER/NAME".into(),
                ));
            }
            let set = catalogue::find(name)?.clone();
            if set.hub.is_some() && !args.mirror.is_empty() {
                return Err(mirror_of_hub());
            }
            let folder = set.folder.clone();
            match set.hub.is_some() && !args.from.is_empty() {
                // without a network nobody says which files there are
                true => Ok(set.of_files(&args.from)?),
                false => set
                    .resolved(&client, &|| progress.is_ended())
                    .map_err(|error| (error, folder)),
            }
        }
    };
    let set = match found {
        Ok(set) => set,
        Err((error @ Error::Network(_), folder)) => {
            let folder = data.join(folder);
            return match presence::whole_by_its_note(&folder) {
                Some(commit) if args.revision.as_ref().is_none_or(|of| *of == commit) => {
                    progress.say(&format!(
                        "{error}\nAll files of the commit {commit} are there; whether the Hub has another \
                         one is not known"
                    ));
                    Ok(Fetched::AlreadyThere(folder))
                }
                _ => Err(error),
            };
        }
        Err((error, _)) => return Err(error),
    };
    fetch(&set, args, data, &client, progress)
}

fn mirror_of_hub() -> Error {
    Error::Usage(
        "--mirror: for a data set of the Hub, set HF_ENDPOINT to the address of the mirror".into(),
    )
}

/// Brings `set` into `data`.
///
/// # Errors
/// As [`run`].
pub fn fetch(
    set: &DataSet,
    args: &FetchArgs,
    data: &Path,
    client: &Client,
    progress: &mut dyn Progress,
) -> Result<Fetched> {
    let folder = place::shown(set, data);
    if presence::is_whole(set, data)? {
        Place::sweep(set, data);
        return Ok(Fetched::AlreadyThere(folder));
    }
    let place = Place::new(set, data, progress)?;
    // another process may have brought it while this one waited
    if presence::is_whole(set, data)? {
        place.discard();
        return Ok(Fetched::AlreadyThere(folder));
    }
    match bring(set, args, &place, client, progress) {
        Ok(()) => place.finish(set)?,
        Err(error) => {
            place.tidy();
            return Err(error);
        }
    }
    Ok(Fetched::Done(folder))
}

/// Brings every file of `set` and unpacks it beside the set's folder.
fn bring(
    set: &DataSet,
    args: &FetchArgs,
    place: &Place,
    client: &Client,
    progress: &mut dyn Progress,
) -> Result<()> {
    place.check_free(set)?;
    for file in &set.files {
        if place.has(file) {
            continue;
        }
        let archive = match from_files(file, &args.from)? {
            Some(given) => {
                digest::check_file(&given, file)
                    .map_err(|problem| Error::Usage(format!("{}: {problem}", given.display())))?;
                given
            }
            None => download::download(file, &args.mirror, place, client, progress)?,
        };
        place.unpack(set, file, &archive, progress)?;
    }
    Ok(())
}

/// The file that --from names for `file`; none if there is no --from.
fn from_files(file: &SourceFile, given: &[PathBuf]) -> Result<Option<PathBuf>> {
    if given.is_empty() {
        return Ok(None);
    }
    // a file may have a folder in the set
    let base = file.name.rsplit('/').next().unwrap_or(&file.name);
    let mut candidates = given.iter().flat_map(|path| match path.is_dir() {
        true => vec![path.join(&file.name), path.join(base)],
        false => vec![path.clone()],
    });
    let found = candidates
        .clone()
        .find(|path| path.file_name().is_some_and(|name| name == base) && path.is_file())
        // a single file may have been renamed; its checksum decides
        .or_else(|| {
            let is_known = !file.checksums.is_empty();
            candidates.find(|path| given.len() == 1 && is_known && path.is_file())
        });
    found.map(Some).ok_or_else(|| {
        let looked: Vec<String> = given.iter().map(|p| p.display().to_string()).collect();
        let urls: Vec<&str> = file.urls.iter().map(String::as_str).collect();
        Error::Usage(format!(
            "--from: found no {} in {}; download it from {}",
            file.name,
            looked.join(", "),
            urls.join(" or ")
        ))
    })
}
