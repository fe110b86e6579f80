//! Presets: the folders that published benchmarks read, in the space that they test in.

use super::pytorch::{labels, rate, save};
use super::{Content, DistilledSet, Export, card};
use crate::data::Normalisation;
use crate::distill::Labels;
use astill_core::cli::Space;
use astill_core::files::atomic::write_atomically;
use astill_core::imagenet::subset_ids;
use astill_core::profile::{AugmentFamily, ChannelConstants, Kind, Pooling, published};
use astill_core::{Error, Result};
use serde_json::json;
use std::path::{Path, PathBuf};

/// `images.pt`, `labels.pt`, `lr.pt` and `config.yaml` for the package ddranking.
///
/// Source: github.com/NUS-HPC-AI-Lab/DD-Ranking, ddranking/utils/data.py and demo_hard.py.
#[derive(Debug)]
pub struct DdRanking;

/// `TM/SET/IPCn/images_best.pt` and `labels_best.pt`, to be put into the folder `distilled_results`.
///
/// Source: github.com/justincui03/dc_benchmark, data_loader/tm_data_loader.py and
/// evaluator/evaluator_utils.py.
#[derive(Debug)]
pub struct DcBench;

/// What a benchmark calls the data set of `set`.
fn benchmark_name<'a>(
    set: &DistilledSet,
    benchmark: &str,
    names: &[(Kind, i64, &'a str)],
) -> Result<&'a str> {
    let profile = set.profile()?;
    let kind = profile.dataset.kind;
    let [.., height, _] = set.shape()?;
    let ids = set.provenance.class_ids.as_ref();
    let ids = ids.unwrap_or(&set.provenance.classes);
    let is_imagenette = || subset_ids("nette").is_some_and(|nette| ids.iter().eq(nette));
    let of_kind = |name: &&(Kind, i64, &'a str)| {
        name.0 == kind && (kind != Kind::ImageFolder || is_imagenette())
    };
    let found = names.iter().find(of_kind);
    if found.is_some() && !has_all_classes(kind, profile.dataset.classes.as_deref(), ids) {
        return Err(Error::Usage(format!(
            "{benchmark} tests all classes of {kind} in their own order, but dataset.classes of this set chose \
             {}; use --format pt",
            ids.join(", ")
        )));
    }
    match found {
        Some((_, side, name)) if *side == height => Ok(*name),
        Some((_, side, name)) => Err(Error::Usage(format!(
            "{benchmark} tests {name} at {side} pixels, but these images have {height}; use \
             --format pt --space field"
        ))),
        None => {
            let known: Vec<&str> = names.iter().map(|(.., name)| *name).collect();
            Err(Error::Usage(format!(
                "{benchmark} has no data set like this one (dataset.kind {kind}, {} classes); it \
                 knows {}. Use --format pt",
                set.provenance.classes.len(),
                known.join(", ")
            )))
        }
    }
}

/// Whether the classes of a set are those of the whole data set in their own order, which is that of their
/// names: others are numbered differently. An image folder is known by its classes alone.
fn has_all_classes(kind: Kind, chosen: Option<&[String]>, ids: &[String]) -> bool {
    let all = [
        (Kind::Cifar10, 10),
        (Kind::Cifar100, 100),
        (Kind::TinyImagenet, 200),
    ];
    let is_whole = || all.contains(&(kind, ids.len())) && ids.is_sorted();
    kind == Kind::ImageFolder || chosen.is_none() || is_whole()
}

impl DdRanking {
    fn set_name(set: &DistilledSet) -> Result<&'static str> {
        benchmark_name(
            set,
            "DD-Ranking",
            &[
                (Kind::Cifar10, 32, "CIFAR10"),
                (Kind::Cifar100, 32, "CIFAR100"),
                (Kind::TinyImagenet, 64, "TinyImageNet"),
                (Kind::ImageFolder, 128, "ImageNette"),
            ],
        )
    }

    /// Its settings, in YAML (of which JSON is a part).
    fn config(set: &DistilledSet) -> Result<String> {
        let profile = set.profile()?;
        let [_, _, height, width] = set.shape()?;
        let network = &profile.network;
        let is_dsa = AugmentFamily::ALL
            .iter()
            .all(|family| profile.augmentation().contains(family));
        let config = json!({
            "dataset": Self::set_name(set)?,
            "real_data_path": "./dataset/",
            "ipc": set.images_per_class()?,
            "im_size": [height, width],
            "model_name": format!("ConvNet-{}", network.depth),
            "use_torchvision": false,
            "data_aug_func": is_dsa.then_some("dsa"),
            "aug_params": {
                "flip": 0.5, "rotate": 15.0, "saturation": 2.0, "brightness": 1.0, "contrast": 0.5,
                "scale": 1.2, "crop": 0.125, "cutout": 0.5, "siamese": false, "latestseed": -1,
            },
            "use_zca": matches!(set.normalisation, Normalisation::Zca(_)),
            "custom_train_trans": null,
            "custom_val_trans": null,
            "optimizer": "sgd",
            "lr_scheduler": "step",
            "step_size": profile.evaluate.epochs / 2,
            "weight_decay": crate::distill::evaluate::WEIGHT_DECAY,
            "momentum": crate::distill::evaluate::MOMENTUM,
            "num_eval": profile.evaluate.repeats,
            "num_epochs": profile.evaluate.epochs,
            "syn_batch_size": crate::distill::evaluate::BATCH,
            "real_batch_size": 256,
            "default_lr": set.student_lr,
            "num_workers": 4,
            "device": "cuda",
            "dist": false,
            "eval_full_data": true,
            "random_data_path": "./random_data/",
            "random_data_format": "tensor",
            "save_path": "./scores.csv",
        });
        let lines = config.as_object().into_iter().flatten();
        Ok(lines
            .map(|(key, value)| format!("{key}: {value}\n"))
            .collect())
    }
}

impl Export for DdRanking {
    fn name(&self) -> &'static str {
        "dd-ranking"
    }

    fn description(&self) -> &'static str {
        "images.pt, labels.pt, lr.pt and config.yaml for the package ddranking"
    }

    fn spaces(&self) -> &'static [Space] {
        &[Space::Field]
    }

    /// Those of CIFAR-10 for CIFAR-100 too.
    fn constants(&self, set: &DistilledSet) -> Result<ChannelConstants> {
        Ok(match Self::set_name(set)? {
            "CIFAR10" | "CIFAR100" => published::CIFAR10,
            _ => published::IMAGENET,
        })
    }

    fn folder(&self, set: &DistilledSet) -> Result<PathBuf> {
        Self::set_name(set)?;
        set.images_per_class()?;
        Ok(PathBuf::new())
    }

    fn write(&self, content: &Content<'_>, folder: &Path) -> Result<Vec<String>> {
        let set = content.set;
        save(&folder.join("images.pt"), &set.images)?;
        save(&folder.join("labels.pt"), labels(&set.labels))?;
        save(&folder.join("lr.pt"), &rate(set.student_lr))?;
        write_atomically(&folder.join("config.yaml"), Self::config(set)?.as_bytes())?;
        card::write_metadata(content, folder)?;
        let mut notes = vec![
            "config.yaml repeats the protocol of this set; adapt real_data_path and device".into(),
        ];
        let network = set.profile()?.network;
        if network.width != 128 || network.pooling != Pooling::Avg {
            notes.push(format!(
                "DD-Ranking trains a ConvNet of width 128 with average pooling, and this set was made \
                 for width {} and pooling {}",
                network.width, network.pooling
            ));
        }
        if let Labels::Soft(_) = set.labels {
            notes.push(
                "labels.pt holds soft labels: give it to LabelRobustScoreSoft as soft_labels"
                    .into(),
            );
        }
        Ok(notes)
    }
}

/// DC-BENCH reads this set in as many files.
const TINY_IPC_50_FILES: i64 = 5;

impl DcBench {
    fn set_name(set: &DistilledSet) -> Result<&'static str> {
        benchmark_name(
            set,
            "DC-BENCH",
            &[
                (Kind::Cifar10, 32, "CIFAR10"),
                (Kind::Cifar100, 32, "CIFAR100"),
                (Kind::TinyImagenet, 64, "tinyimagenet"),
            ],
        )
    }
}

impl Export for DcBench {
    fn name(&self) -> &'static str {
        "dc-bench"
    }

    fn description(&self) -> &'static str {
        "TM/SET/IPCn/images_best.pt and labels_best.pt, for the folder distilled_results of DC-BENCH"
    }

    fn spaces(&self) -> &'static [Space] {
        &[Space::Field]
    }

    fn reads_whitened(&self) -> bool {
        false
    }

    fn constants(&self, set: &DistilledSet) -> Result<ChannelConstants> {
        Ok(match Self::set_name(set)? {
            "CIFAR10" => published::CIFAR10,
            "CIFAR100" => published::CIFAR100,
            _ => published::IMAGENET,
        })
    }

    fn folder(&self, set: &DistilledSet) -> Result<PathBuf> {
        let ipc = set.images_per_class()?;
        Ok(Path::new("TM")
            .join(Self::set_name(set)?)
            .join(format!("IPC{ipc}")))
    }

    fn write(&self, content: &Content<'_>, folder: &Path) -> Result<Vec<String>> {
        let set = content.set;
        let hard = set.labels.classes();
        let is_split = Self::set_name(set)? == "tinyimagenet" && set.images_per_class()? == 50;
        if is_split {
            let length = set.images.size()[0] / TINY_IPC_50_FILES;
            for part in 0..TINY_IPC_50_FILES {
                let from = part * length;
                let file = |what: &str| folder.join(format!("{what}_best_{part}.pt"));
                save(&file("images"), &set.images.narrow(0, from, length))?;
                save(&file("labels"), &hard.narrow(0, from, length))?;
            }
        } else {
            save(&folder.join("images_best.pt"), &set.images)?;
            save(&folder.join("labels_best.pt"), &hard)?;
        }
        card::write_metadata(content, folder)?;
        let mut notes = vec![format!(
            "move the folder TM into distilled_results; DC-BENCH normalises its test images only with \
             --normalize_data, and the learned rate is --lr_net {}",
            set.student_lr
        )];
        if let Labels::Soft(_) = set.labels {
            notes.push(
                "DC-BENCH reads hard labels only, so the most probable class was written for each \
                 image"
                    .into(),
            );
        }
        if set.profile()?.dataset.zca {
            notes.push(
                "this set was made of whitened images, and DC-BENCH does not whiten: networks will \
                 learn less from it there; set dataset.zca to false for a set that is scored there"
                    .into(),
            );
        }
        Ok(notes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chosen_classes_are_all_of_a_set_only_in_its_own_order() {
        let names = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let ten = names("airplane automobile bird cat deer dog frog horse ship truck");
        let mut turned = ten.clone();
        turned.reverse();
        let two = names("dog cat");
        for (chosen, ids, has_all) in [
            (None, &ten, true),
            (Some(&ten), &ten, true),
            (Some(&turned), &turned, false),
            (Some(&two), &two, false),
        ] {
            let chosen = chosen.map(Vec::as_slice);
            assert_eq!(
                has_all_classes(Kind::Cifar10, chosen, ids),
                has_all,
                "{ids:?}"
            );
        }
        assert!(has_all_classes(Kind::ImageFolder, Some(&two), &two));
    }
}
