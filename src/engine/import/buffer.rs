//! The files `replay_buffer_N.pt`.

use super::name_of;
use crate::torch_file::{Item, StoredTensor, TorchFile};
use astill_core::{Error, Result};
use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The tensors of one checkpoint.
pub type Point = Vec<StoredTensor>;

/// One file.
#[derive(Debug)]
pub struct Buffer {
    path: PathBuf,
    pub file: TorchFile,
    /// The checkpoints of every expert.
    pub experts: Vec<Vec<Point>>,
}

/// The files in a folder by their number, or the one that is named.
///
/// # Errors
/// There are none.
pub fn files(from: &Path) -> Result<Vec<PathBuf>> {
    if from.is_file() {
        return Ok(vec![from.to_path_buf()]);
    }
    let unreadable = |e| Error::Usage(format!("cannot read the folder {}: {e}", from.display()));
    let found = numbered(from).map_err(unreadable)?;
    if !found.is_empty() {
        return Ok(found);
    }
    let below = below(from);
    let hint = match below.as_slice() {
        [] => String::new(),
        some => format!("; they are in {}: give one of these", some.join(", ")),
    };
    Err(Error::Usage(format!(
        "expected files named replay_buffer_N.pt in {}, found none{hint}",
        from.display()
    )))
}

fn numbered(folder: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let name = name_of(&path);
        let number = name.strip_prefix("replay_buffer_");
        let number = number.and_then(|n| n.strip_suffix(".pt")?.parse::<u64>().ok());
        found.extend(number.map(|number| (number, path)));
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

/// Folders up to three levels below that hold such files.
fn below(folder: &Path) -> Vec<String> {
    const MOST: usize = 5;
    let mut level = vec![folder.to_path_buf()];
    let mut found = Vec::new();
    for _ in 0..3 {
        let children = level.iter().filter_map(|folder| fs::read_dir(folder).ok());
        level = children
            .flat_map(|entries| entries.flatten().map(|entry| entry.path()))
            .filter(|path| path.is_dir() && !path.is_symlink())
            .collect();
        let with = level
            .iter()
            .filter(|path| numbered(path).is_ok_and(|files| !files.is_empty()));
        found.extend(with.map(|path| path.display().to_string()));
    }
    found.sort();
    found.truncate(MOST);
    found
}

impl Buffer {
    /// Reads what a file holds, but no numbers.
    ///
    /// # Errors
    /// It is not a list of experts, each a list of checkpoints.
    pub fn open(path: &Path) -> Result<Self> {
        let file = TorchFile::open(path)?;
        let wrong = |what: String| {
            Error::file(
                path,
                format!(
                    "expected a list of experts, each a list of checkpoints, each a list of tensors; \
                     {what}"
                ),
            )
        };
        let Item::List(experts) = file.content() else {
            return Err(wrong("found no list".into()));
        };
        if experts.is_empty() {
            return Err(wrong("found no expert".into()));
        }
        let of_expert = |(e, expert): (usize, &Item)| match expert {
            Item::List(points) if points.len() > 1 => points
                .iter()
                .enumerate()
                .map(|(p, point)| {
                    let found = || {
                        wrong(format!(
                            "found something else as checkpoint {p} of expert {}",
                            e + 1
                        ))
                    };
                    tensors(point).ok_or_else(found)
                })
                .collect::<Result<Vec<Point>>>(),
            Item::List(points) => Err(wrong(format!(
                "found {} checkpoints of expert {}, expected the initialisation and every epoch",
                points.len(),
                e + 1
            ))),
            _ => Err(wrong(format!("expert {} is not a list", e + 1))),
        };
        let experts = experts.iter().enumerate().map(of_expert);
        let experts = experts.collect::<Result<Vec<_>>>()?;
        let path = path.to_path_buf();
        let buffer = Self {
            path,
            file,
            experts,
        };
        buffer.check_memory()?;
        Ok(buffer)
    }

    /// Its name, for messages.
    pub fn name(&self) -> String {
        name_of(&self.path)
    }

    /// The shapes of the tensors of its first checkpoint.
    ///
    /// # Errors
    /// There are none.
    pub fn shapes(&self) -> Result<Vec<Vec<i64>>> {
        let first = self.experts.first().and_then(|points| points.first());
        let shapes = first.map(|point| point.iter().map(|t| t.shape.clone()).collect());
        shapes
            .filter(|shapes: &Vec<Vec<i64>>| !shapes.is_empty())
            .ok_or_else(|| Error::file(&self.path, "its first checkpoint holds no tensors"))
    }

    /// Checks that every checkpoint has these tensors, of the network `kind`.
    ///
    /// # Errors
    /// The first that differs.
    pub fn check(&self, shapes: &[Vec<i64>], kind: &str) -> Result<()> {
        for (e, points) in self.experts.iter().enumerate() {
            for (p, point) in points.iter().enumerate() {
                let differs = |(t, tensor): (usize, &StoredTensor)| {
                    shapes.get(t).is_none_or(|shape| *shape != tensor.shape)
                };
                let first = point.iter().enumerate().position(differs);
                let found = match first {
                    Some(t) => format!(
                        "tensor {} of {} has the shape {:?}, expected {}",
                        t + 1,
                        point.len(),
                        point[t].shape,
                        shapes
                            .get(t)
                            .map_or("no further tensor".into(), |s| format!("{s:?}"))
                    ),
                    None if point.len() < shapes.len() => {
                        format!("found {} tensors, expected {}", point.len(), shapes.len())
                    }
                    None => continue,
                };
                return Err(Error::file(
                    &self.path,
                    format!(
                        "expert {}, checkpoint {p} is not of the network {kind}: {found}; name the \
                         profile that these experts were trained with (--profile, --set network.…)",
                        e + 1
                    ),
                ));
            }
        }
        Ok(())
    }

    /// No two checkpoints may have the same numbers in the file.
    fn check_memory(&self) -> Result<()> {
        let mut seen: HashMap<(usize, usize), (usize, usize)> = HashMap::new();
        for (e, points) in self.experts.iter().enumerate() {
            for (p, point) in points.iter().enumerate() {
                for tensor in point {
                    let first = seen
                        .entry((tensor.storage, tensor.offset))
                        .or_insert((e, p));
                    if *first != (e, p) {
                        return Err(Error::file(
                            &self.path,
                            format!(
                                "checkpoint {p} of expert {} shares its numbers with checkpoint {} of \
                                 expert {}, so they are all the last ones and the trajectory is lost. \
                                 This happens where experts are recorded on a CPU, where .cpu() makes \
                                 no copy: record them again with p.detach().cpu().clone()",
                                e + 1,
                                first.1,
                                first.0 + 1
                            ),
                        ));
                    }
                }
            }
        }
        Ok(())
    }
}

/// The tensors of a checkpoint: a list of them, or a dict by name.
fn tensors(item: &Item) -> Option<Point> {
    let tensor = |item: &Item| match item {
        Item::Tensor(tensor) => Some(tensor.clone()),
        _ => None,
    };
    match item {
        Item::List(items) => items.iter().map(tensor).collect(),
        Item::Dict(entries) => entries.iter().map(|(_, item)| tensor(item)).collect(),
        _ => None,
    }
}
