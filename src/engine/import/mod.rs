//! Expert trajectories of other programs, into the trajectory store.
//!
//! The trajectory-matching family (MTT, FTD, DATM and others) records its experts as
//! `replay_buffer_N.pt`: a list of experts, each a list of checkpoints, the initialisation first and
//! then one per epoch, each a list of the network's parameters in the order of its modules.

mod buffer;
mod recognise;

use crate::distill::ExpertPath;
use crate::network::{self, Network, Task};
use crate::torch_file::TorchFile;
use crate::trainer::imported::{ImportSettings, Manifest, stated};
use crate::trainer::store::{MANIFEST, Store, StoredEpoch};
use astill_core::files::{atomic, untrusted};
use astill_core::profile::{NormalisedBy, Profile, channel_constants, key};
use astill_core::text::{count, harmless};
use astill_core::{EpochRecord, Error, Result, yaml};
use buffer::{Buffer, Point};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor};

/// What is to be imported.
#[derive(Debug)]
pub struct ImportRequest {
    /// A folder of files, or one of them.
    pub from: PathBuf,
    /// The data set and the network that the experts were trained with; none where the files say it.
    pub profile: Option<Profile>,
    /// Whether the profile says itself how its images are normalised; otherwise they are taken to be
    /// in the normalisation of the field.
    pub states_normalisation: bool,
    /// The folder of all data.
    pub data: PathBuf,
}

/// What has been imported.
#[derive(Debug, Serialize)]
pub struct Imported {
    /// What `expert.from` is to be.
    pub name: String,
    pub folder: PathBuf,
    /// How many epochs each expert has.
    pub epochs: Vec<usize>,
    /// What was left out, and why.
    pub left_out: Vec<String>,
    /// Whether it was there already.
    pub was_there: bool,
    /// The keys that a profile needs to use them.
    pub profile: Value,
}

/// Imports experts; `tell` gets a line for each file.
///
/// # Errors
/// A file is not such a buffer, its tensors are not those of the network, its checkpoints share
/// their memory, or it is not clear what they were trained for.
pub fn experts(request: &ImportRequest, tell: &mut dyn FnMut(String)) -> Result<Imported> {
    let paths = buffer::files(&request.from)?;
    let buffers = paths
        .iter()
        .map(|path| Buffer::open(path))
        .collect::<Result<Vec<_>>>()?;
    let shapes = buffers[0].shapes()?;
    let profile = match &request.profile {
        Some(profile) if request.states_normalisation => profile.clone(),
        Some(profile) => with_field(profile.clone()),
        None => recognise::profile(&request.from, &shapes)?,
    };
    let classes = shapes.last().and_then(|s| s.first()).copied().unwrap_or(0);
    let net = network::build(
        profile.network.kind,
        &profile.network,
        Task {
            channels: shapes.first().and_then(|s| s.get(1)).copied().unwrap_or(3),
            size: profile.dataset.size,
            classes: classes.max(1),
        },
    )?;
    if net.has_batch_norm() {
        return Err(Error::Usage(format!(
            "{} has batch norm, whose running statistics these files do not hold; import experts of \
             a network without it",
            profile.network.kind
        )));
    }
    for buffer in &buffers {
        buffer.check(&net.shapes(), &profile.network.kind.to_string())?;
    }
    let settings = statement(&profile, &paths)?;
    let store = Store::of_import(&request.data, &json!(settings));
    if let Ok(manifest) = crate::trainer::imported::read(store.folder()) {
        return Ok(imported(&store, manifest, true));
    }
    store.create_folder()?;
    let busy = || Error::Usage("another astill is importing these experts; wait for it".into());
    let _alone = store.join_alone()?.ok_or_else(busy)?;
    // another process may have finished it meanwhile
    if let Ok(manifest) = crate::trainer::imported::read(store.folder()) {
        return Ok(imported(&store, manifest, true));
    }
    let manifest = write(&store, settings, &buffers, net.as_ref(), tell).inspect_err(|_| {
        // without its manifest nothing of it could be used
        let _ = fs::remove_dir_all(store.folder());
    })?;
    Ok(imported(&store, manifest, false))
}

fn imported(store: &Store, manifest: Manifest, was_there: bool) -> Imported {
    let mut keys =
        json!({ "dataset": manifest.settings.dataset, "network": manifest.settings.network });
    let fewest = manifest.epochs.iter().min().copied().unwrap_or(0);
    keys["expert"] = json!({
        "from": store.key(),
        "count": manifest.epochs.len(),
        "epochs": fewest,
    });
    Imported {
        name: store.key().to_string(),
        folder: store.folder().to_path_buf(),
        epochs: manifest.epochs,
        left_out: manifest.left_out,
        was_there,
        profile: keys,
    }
}

/// Experts of others live in the normalisation of the field, where it has one.
fn with_field(mut profile: Profile) -> Profile {
    let set = &mut profile.dataset;
    if set.zca || channel_constants(set.kind, set.path.as_deref()).is_some() {
        set.normalisation = NormalisedBy::Field;
    }
    profile
}

/// What the key of the store is made of.
fn statement(profile: &Profile, paths: &[PathBuf]) -> Result<ImportSettings> {
    let mut sections = [Map::new(), Map::new()];
    for path in stated(profile.network.kind) {
        let (section, name) = path.split_once('.').unwrap_or_default();
        let value = key(path).map(|key| key.json(profile)).unwrap_or_default();
        sections[usize::from(section == "network")].insert(name.to_string(), value);
    }
    let [dataset, network] = sections.map(Value::Object);
    let files = paths
        .iter()
        .map(|path| {
            let mut hash = blake3::Hasher::new();
            let file = untrusted::open(path).map_err(Error::io("open", path))?;
            hash.update_reader(file).map_err(Error::io("read", path))?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Ok((name.into_owned(), hash.finalize().to_hex().to_string()))
        })
        .collect::<Result<_>>()?;
    Ok(ImportSettings {
        dataset,
        network,
        files,
    })
}

/// Writes all experts into a store whose lock is held, and at last the manifest, which makes the import complete.
fn write(
    store: &Store,
    settings: ImportSettings,
    buffers: &[Buffer],
    net: &dyn Network,
    tell: &mut dyn FnMut(String),
) -> Result<Manifest> {
    let (mut epochs, mut left_out) = (Vec::new(), Vec::new());
    for buffer in buffers {
        let name = harmless(&buffer.name());
        for (number, points) in buffer.experts.iter().enumerate() {
            match measured(&buffer.file, points)? {
                Ok(of_expert) => {
                    let points = points.iter().map(|point| flat(&buffer.file, point));
                    let (index, parameters) = (epochs.len() as u64, net.parameters() as usize);
                    store.put(index, parameters, points, &of_expert)?;
                    epochs.push(of_expert.len());
                }
                Err(epoch) => left_out.push(format!(
                    "{name}, expert {}: not finite after epoch {epoch}, so its training diverged",
                    number + 1
                )),
            }
        }
        tell(format!(
            "{name}: {} read, {} in all",
            count(buffer.experts.len(), "expert"),
            epochs.len()
        ));
    }
    if epochs.is_empty() {
        return Err(Error::Usage(format!(
            "nothing is left to import: {}",
            left_out.join("; ")
        )));
    }
    let manifest = Manifest {
        key: store.key().to_string(),
        settings,
        epochs,
        left_out,
    };
    let path = store.folder().join(MANIFEST);
    let text = format!("{:#}\n", json!(manifest));
    atomic::write_atomically(&path, text.as_bytes())?;
    Ok(manifest)
}

/// A checkpoint as one vector (P), f32.
fn flat(file: &TorchFile, point: &Point) -> Result<Tensor> {
    let parts = point
        .iter()
        .map(|t| Ok(file.tensor(t)?.to_kind(Kind::Float).reshape([-1])))
        .collect::<Result<Vec<_>>>()?;
    Ok(Tensor::cat(&parts, 0))
}

/// The smoothness of an expert's path, epoch after epoch; or the epoch after which it is not finite.
/// Only a few of its checkpoints are in memory at a time.
fn measured(
    file: &TorchFile,
    points: &[Point],
) -> Result<std::result::Result<Vec<StoredEpoch>, usize>> {
    let mut path: Option<ExpertPath> = None;
    let mut epochs = Vec::new();
    for (epoch, point) in points.iter().enumerate() {
        let point = flat(file, point)?;
        if !crate::distill::all_finite(&point) {
            return Ok(Err(epoch));
        }
        let Some(path) = &mut path else {
            path = Some(ExpertPath::new(&point));
            continue;
        };
        let smooth = path.push(&point);
        let record = EpochRecord {
            train_loss: f64::NAN,
            train_accuracy: f64::NAN,
            validation_accuracy: None,
            clip_factor: 1.,
            gradient_penalty: f64::NAN,
            step_length: smooth.step_length,
            turn: smooth.turn,
            curvature: smooth.curvature,
            tortuosity: smooth.tortuosity,
        };
        epochs.push(StoredEpoch {
            record,
            measured_on: None,
        });
    }
    Ok(Ok(epochs))
}

/// What to write into a profile, as YAML.
impl fmt::Display for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(yaml::emit(&self.profile).trim_end())
    }
}

/// The name of a file, for messages.
fn name_of(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
