//! `astill export`: from a run or a file to a folder in another format.

use crate::data::{Dataset, Normalisation, NormalisedBy};
use crate::export::{self, Content, DistilledSet, Export, TestImages};
use crate::progress::Watch;
use crate::trainer;
use astill_core::cli::{ExportArgs, Space};
use astill_core::profile::ChannelConstants;
use astill_core::run::{History, RunDir};
use astill_core::text::count;
use astill_core::{Error, Result};
use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// What was written.
#[derive(Debug)]
pub struct Exported {
    pub folder: PathBuf,
    /// What readers should know about it, a sentence each.
    pub notes: Vec<String>,
}

/// Exports a set. Without a run that says where its data set is, that is looked for in `data`.
///
/// # Errors
/// [`Error::Usage`], with nothing written, if the source is not a distilled set, the folder is not
/// empty, or the format cannot hold the set; [`Error::Io`] if the system refuses to write.
pub fn export(
    args: &ExportArgs,
    runs: &Path,
    data: &Path,
    watch: &mut Watch<'_>,
) -> Result<Exported> {
    let format = export::find(&args.format)?;
    let space = chosen_space(format, args.space)?;
    if args.with_test && !format.holds_test() {
        let holds = export::EXPORTS.iter().filter(|e| e.holds_test());
        let names: Vec<&str> = holds.map(|e| e.name()).collect();
        return Err(Error::Usage(format!(
            "--with-test: the format {} has no place for test images; use one of {}",
            format.name(),
            names.join(", ")
        )));
    }
    let source = Source::open(&args.source, runs, data)?;
    let below = format.folder(&source.set)?;
    let folder = match below.as_os_str().is_empty() {
        true => args.to.clone(),
        false => args.to.join(below),
    };
    check_empty(&folder)?;

    let (target, needs_data) = source.target(format, space)?;
    let dataset = match needs_data || args.with_test {
        true => Some(source.dataset(needs_data, watch)?),
        false => None,
    };
    let test = dataset.as_ref().filter(|_| args.with_test).map(test_images);
    let target = match (target, dataset) {
        (None, Some(dataset)) if needs_data => Some(dataset.normalisation),
        (target, _) => target,
    };
    let Source {
        set, name, about, ..
    } = source;
    // numbers that stay as they are need not be those of the run
    let space = match space {
        Space::Own => set.provenance.space,
        converted => converted,
    };
    let mut set = match target {
        Some(target) => set.converted(&target, space),
        None => set,
    };
    set.provenance.remove_folders();
    let content = Content {
        set: &set,
        space,
        test: test.as_ref(),
        name: &name,
    };
    let mut notes = write(format, &content, &folder)?;
    notes.insert(0, space_note(format, &set, space));
    notes.insert(0, about);
    Ok(Exported { folder, notes })
}

fn chosen_space(format: &dyn Export, wanted: Option<Space>) -> Result<Space> {
    let allowed = format.spaces();
    match wanted {
        None => Ok(allowed.first().copied().unwrap_or(Space::Own)),
        Some(space) if allowed.contains(&space) => Ok(space),
        Some(space) => {
            let names: Vec<String> = allowed.iter().map(Space::to_string).collect();
            Err(Error::Usage(format!(
                "--space: found {space}, but the format {} is always in the space {}; leave --space \
                 out, or use another format",
                format.name(),
                names.join(" or ")
            )))
        }
    }
}

/// What the written numbers are, in a sentence.
fn space_note(format: &dyn Export, set: &DistilledSet, space: Space) -> String {
    let how = match &set.normalisation {
        Normalisation::Zca(_) => "whitened (ZCA)".to_string(),
        Normalisation::Channels { mean, std } => {
            let list = |tensor: &Tensor| {
                let values = (0..tensor.numel() as i64).map(|c| tensor.double_value(&[c]));
                let texts: Vec<String> = values.map(|v| format!("{v:.4}")).collect();
                texts.join(" ")
            };
            format!(
                "(pixel − mean) / deviation, mean {}, deviation {}",
                list(mean),
                list(std)
            )
        }
    };
    match space {
        Space::Pixels if format.stores_bytes() => "the images are pixels, 8 bits a channel".into(),
        Space::Pixels => {
            "the images are pixels from 0 to 1; some lie outside, and none is clipped".into()
        }
        Space::Field => format!("the images are normalised as published programs do it: {how}"),
        Space::Own if has_field(format, set) => format!(
            "the images are normalised as in the run: {how}. For programs with constants of their \
             own, export with --space field"
        ),
        Space::Own => format!("the images are normalised as in the run: {how}"),
    }
}

/// Whether the set can be exported in the space of published programs.
fn has_field(format: &dyn Export, set: &DistilledSet) -> bool {
    let is_whitened = matches!(set.normalisation, Normalisation::Zca(_));
    let has_constants = || format.constants(set).is_ok_and(|c| has_channels(set, &c));
    format.spaces().contains(&Space::Field)
        && ((is_whitened && format.reads_whitened()) || has_constants())
}

/// Whether the constants are for images with the channels of these.
fn has_channels(set: &DistilledSet, constants: &ChannelConstants) -> bool {
    let shape = set.shape();
    shape.is_ok_and(|[_, channels, ..]| channels == constants.mean.len() as i64)
}

/// A set, and where what it was made of can be found.
struct Source {
    set: DistilledSet,
    name: String,
    /// Which set this is, in a sentence.
    about: String,
    /// The folder of caches, and that of the data set if a run knows it.
    data: PathBuf,
    folder: Option<PathBuf>,
}

impl Source {
    fn open(reference: &str, runs: &Path, data: &Path) -> Result<Self> {
        let path = Path::new(reference);
        let is_file = path.is_file();
        let (file, name, folders) = if is_file {
            let name = path.file_stem().unwrap_or_default();
            (
                path.to_path_buf(),
                name.to_string_lossy().into_owned(),
                (None, None),
            )
        } else {
            // what leaves this machine must not be another run that only begins like the wanted one
            let run = RunDir::find_exactly(runs, reference)?;
            let file = export::of_run(&run)?;
            let history = History::of(&run)?;
            (file, run.name(), (history.data, history.folder))
        };
        // nothing has been created yet, so what cannot be read is a wrong use
        let set = export::read(&file).map_err(|e| Error::Usage(e.to_string()))?;
        let (known, folder) = folders;
        Ok(Self {
            about: match is_file {
                true => format!("this is the set in {}", path.display()),
                false => format!("this is the set of the run {name}"),
            },
            set,
            name,
            data: known
                .filter(|d| d.is_dir())
                .unwrap_or_else(|| data.to_path_buf()),
            folder,
        })
    }

    /// What the images are to become, none if they stay as they are; and whether that has to be
    /// fitted on the data set.
    fn target(&self, format: &dyn Export, space: Space) -> Result<(Option<Normalisation>, bool)> {
        let set = &self.set;
        let [_, channels, ..] = set.shape()?;
        match space {
            Space::Own => Ok((None, false)),
            Space::Pixels if format.stores_bytes() => Ok((None, false)),
            Space::Pixels => Ok((Some(Normalisation::of_pixels(channels)), false)),
            Space::Field => {
                let is_whitened = matches!(set.normalisation, Normalisation::Zca(_));
                if is_whitened && format.reads_whitened() {
                    let by_field = set.profile()?.dataset.normalisation == NormalisedBy::Field
                        || set.provenance.space == Space::Field;
                    return Ok((None, !by_field));
                }
                let constants = format.constants(set)?;
                if !has_channels(set, &constants) {
                    return Err(Error::Usage(format!(
                        "the constants of published programs are for images of {}, and these have \
                         {channels}; export with --space own or --space pixels",
                        count(constants.mean.len(), "channel")
                    )));
                }
                Ok((Some(Normalisation::of_constants(constants)), false))
            }
        }
    }

    /// The data set that this was distilled from, normalised as the run did it or as published
    /// programs do.
    fn dataset(&self, by_field: bool, watch: &mut Watch<'_>) -> Result<Dataset> {
        let profile = self.set.profile()?;
        let folder = match &self.folder {
            Some(folder) => folder.clone(),
            None => astill_core::dataset_folder::dataset_folder(&profile, &self.data),
        };
        let mut request = trainer::data_request(&profile, &folder, &self.data);
        if by_field {
            request.normalisation = NormalisedBy::Field;
        }
        let needed = |problem: String| {
            Error::Usage(format!(
                "this export needs the data set that the images were distilled from: {problem}"
            ))
        };
        let dataset = request.load(watch).map_err(|e| match e {
            Error::Interrupted => e,
            other => needed(other.to_string()),
        })?;
        match dataset.fingerprint == self.set.provenance.data_content {
            true => Ok(dataset),
            false => Err(needed(format!(
                "{} holds other training images; restore those of the run, or export without \
                 --with-test and with --space own",
                folder.display()
            ))),
        }
    }
}

/// The test images as bytes.
fn test_images(dataset: &Dataset) -> TestImages {
    let rows: Vec<i64> = (0..dataset.test.len() as i64).collect();
    let parts: Vec<Tensor> = rows
        .chunks(crate::data::WHITENED_AT_ONCE as usize)
        .map(|rows| {
            let images = dataset.test.batch(rows).0;
            (dataset.normalisation.invert(&images) * 255.)
                .round()
                .to_kind(Kind::Uint8)
        })
        .collect();
    TestImages {
        pixels: Tensor::cat(&parts, 0),
        labels: Tensor::from_slice(dataset.test.labels()),
    }
}

fn check_empty(folder: &Path) -> Result<()> {
    let is_free = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(e) => e.kind() == std::io::ErrorKind::NotFound,
    };
    match is_free {
        true => Ok(()),
        false => Err(Error::Usage(format!(
            "--to: {} exists and is not an empty folder; name another one, or remove it",
            folder.display()
        ))),
    }
}

/// Writes into a folder beside the wanted one and renames that, so that there is all of it or
/// nothing.
fn write(format: &dyn Export, content: &Content<'_>, folder: &Path) -> Result<Vec<String>> {
    let folder = std::path::absolute(folder).map_err(Error::io("find", folder))?;
    let parent = folder.parent().unwrap_or(Path::new("/"));
    let missing: Vec<&Path> = parent.ancestors().take_while(|p| !p.exists()).collect();
    let written = fs::create_dir_all(parent)
        .map_err(Error::io("create", parent))
        .and_then(|()| Unfinished::begin(&folder))
        .and_then(|unfinished| {
            let notes = format.write(content, &unfinished.path)?;
            unfinished.complete(&folder)?;
            Ok(notes)
        });
    if written.is_err() {
        // innermost first; one that somebody else has used by now stays
        missing.iter().for_each(|made| _ = fs::remove_dir(made));
    }
    written
}

/// The folder that an export is written into until it is complete: `.part-NAME` beside NAME. It is
/// removed with this value; one that a killed export has left is emptied and used again.
struct Unfinished {
    path: PathBuf,
    /// Locked while an export works on it.
    _lock: File,
    is_complete: bool,
}

impl Unfinished {
    /// # Errors
    /// [`Error::Usage`] if another export is writing to the same place, or something else is there;
    /// [`Error::Io`] where the system refuses to create it.
    fn begin(folder: &Path) -> Result<Self> {
        let mut name = OsString::from(".part-");
        name.push(folder.file_name().unwrap_or_default());
        let path = folder.with_file_name(name);
        let is_left_over = match fs::create_dir(&path) {
            Ok(()) => false,
            Err(e) if e.kind() == ErrorKind::AlreadyExists => true,
            Err(e) => return Err(Error::io("create", &path)(e)),
        };
        let found = fs::symlink_metadata(&path).map_err(Error::io("read", &path))?;
        if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
            return Err(Error::Usage(format!(
                "{} is in the way: it is where an export is written before it is complete; remove it",
                path.display()
            )));
        }
        let lock = File::open(&path).map_err(Error::io("open", &path))?;
        let is_taken = matches!(lock.try_lock(), Err(TryLockError::WouldBlock));
        // it may have become the wanted folder meanwhile
        let is_here = lock
            .metadata()
            .is_ok_and(|opened| opened.ino() == found.ino());
        if is_taken || !is_here {
            return Err(Error::Usage(format!(
                "another export is writing to {}; wait for it, or name another folder",
                folder.display()
            )));
        }
        let unfinished = Self {
            path,
            _lock: lock,
            is_complete: false,
        };
        if is_left_over {
            let path = &unfinished.path;
            for entry in fs::read_dir(path).map_err(Error::io("read", path))? {
                let entry = entry.map_err(Error::io("read", path))?;
                let (left, kind) = (entry.path(), entry.file_type());
                match kind.is_ok_and(|kind| kind.is_dir()) {
                    true => fs::remove_dir_all(&left),
                    false => fs::remove_file(&left),
                }
                .map_err(Error::io("remove", &left))?;
            }
        }
        Ok(unfinished)
    }

    /// Makes it the folder that was wanted; an empty one of that name is replaced.
    fn complete(mut self, folder: &Path) -> Result<()> {
        fs::rename(&self.path, folder).map_err(Error::io("create", folder))?;
        self.is_complete = true;
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.is_complete {
            // what stays is removed by the next export to this place
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::distill::Labels;
    use crate::set_files;
    use astill_core::profile;
    use serde_json::json;

    /// A file with a set of one image a class of CIFAR-10.
    fn cifar10_set(folder: &Path) -> DistilledSet {
        let loaded = profile::load("cifar10-cpu", &["dataset.zca=false".into()]).unwrap();
        let classes: Vec<String> = (0..10).map(|class| format!("c{class}")).collect();
        let provenance = json!({
            "program": "astill", "profile": loaded.profile, "edits": [], "classes": classes,
            "normalisation": "channels", "data_content": "", "step": 1,
            "validation_accuracy": null, "results": [], "paper_style_max": null,
        });
        tch::manual_seed(3);
        let set = DistilledSet {
            images: Tensor::randn([10, 3, 32, 32], (Kind::Float, tch::Device::Cpu)),
            labels: Labels::Hard(Tensor::arange(10, (Kind::Int64, tch::Device::Cpu))),
            student_lr: 0.02,
            normalisation: Normalisation::Channels {
                mean: Tensor::from_slice(&[0.49f32, 0.48, 0.45]),
                std: Tensor::from_slice(&[0.247f32, 0.243, 0.262]),
            },
            provenance: serde_json::from_value(provenance).unwrap(),
        };
        export::write(&set, &folder.join(export::FILE)).unwrap();
        set
    }

    #[test]
    fn presets_have_the_images_of_the_field_with_its_mean_and_deviation() {
        let home = tempfile::tempdir().unwrap();
        let set = cifar10_set(home.path());
        let Normalisation::Channels { mean, std } = &set.normalisation else {
            panic!("channels");
        };
        let per_channel = |values: &Tensor| values.to_kind(Kind::Double).reshape([3, 1, 1]);
        let pixels = set.images.to_kind(Kind::Double) * per_channel(std) + per_channel(mean);
        let [mean, std] = [[0.4914, 0.4822, 0.4465], [0.2023, 0.1994, 0.2010]]
            .map(|values: [f64; 3]| Tensor::from_slice(&values));
        let expected = (pixels - per_channel(&mean)) / per_channel(&std);
        for (format, below) in [("dd-ranking", ""), ("dc-bench", "TM/CIFAR10/IPC1")] {
            let to = home.path().join(format);
            let args = ExportArgs {
                source: home.path().join(export::FILE).display().to_string(),
                to: to.clone(),
                format: format.into(),
                space: None,
                with_test: false,
            };
            let data = home.path().join("data");
            let mut watch = |_: crate::progress::Progress<'_>| std::ops::ControlFlow::Continue(());
            export(&args, home.path(), &data, &mut watch).unwrap();
            let file = set_files::find(&to.join(below)).unwrap();
            let found = set_files::read(&file).unwrap();
            let off =
                (found.images.to_kind(Kind::Double) - &expected) / expected.abs().clamp_min(1.);
            assert!(off.abs().max().double_value(&[]) < 2e-7, "{format}");
            let Some(Normalisation::Channels { mean: own, .. }) = found.normalisation else {
                panic!("{format} does not say how its images are normalised");
            };
            assert!(
                (own - &mean).abs().max().double_value(&[]) < 1e-6,
                "{format}"
            );
        }
    }
}
