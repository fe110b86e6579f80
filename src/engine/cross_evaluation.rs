//! What networks of several kinds learn from a distilled set: `astill evaluate`.
//!
//! Each is trained and tested as for the result of a run, with the same random numbers, so the
//! figures of a run's own networks come out again.

use crate::data::{Dataset, DatasetRequest};
use crate::device;
use crate::distill::evaluate::{self, Course};
use crate::distill::{Labels, TrainingSet, all_finite};
use crate::network::Network;
use crate::progress::Progress;
use crate::set_files::FoundSet;
use crate::trainer::{self, HEADLINE};
use astill_core::cli::Space;
use astill_core::profile::{NetworkKind, NormalisedBy, Profile, channel_constants};
use astill_core::text::{count, duration, number, percent};
use astill_core::{Error, Result};
use serde::Serialize;
use std::fmt;
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Instant;
use tch::{Device, Tensor};

/// A distilled set that is to be judged.
#[derive(Debug)]
pub struct Judged {
    pub set: FoundSet,
    /// That of the run which distilled it; for a set of another program, the one that the user names.
    pub profile: Profile,
    /// Where caches are.
    pub data: PathBuf,
    /// The folder of the data set.
    pub folder: PathBuf,
}

/// How the networks are trained.
#[derive(Debug)]
pub struct Protocol {
    pub networks: Vec<NetworkKind>,
    pub repeats: u64,
    pub epochs: u64,
    /// None means the one that was learned with the set.
    pub lr: Option<f64>,
    pub device: Device,
    /// Intra-op threads; libtorch's own choice if none.
    pub threads: Option<i64>,
}

/// The accuracies of networks that learned from a set.
#[derive(Debug, Serialize)]
pub struct CrossEvaluation {
    pub file: PathBuf,
    /// Of the set.
    pub images: usize,
    pub classes: usize,
    /// In the test set.
    pub tested: usize,
    pub epochs: u64,
    pub lr: f64,
    /// "cpu", "cuda:0".
    pub device: String,
    pub version: &'static str,
    pub networks: Vec<NetworkAccuracy>,
}

/// The test accuracies in per cent of fresh networks of one kind.
#[derive(Debug, Serialize)]
pub struct NetworkAccuracy {
    pub network: NetworkKind,
    /// Its weights.
    pub parameters: i64,
    pub mean: f64,
    /// Sample standard deviation; 0 for a single network.
    pub std: f64,
    pub values: Vec<f64>,
    /// How many of them were no longer finite when they were tested.
    pub diverged: usize,
}

/// Trains and tests the networks; `tell` gets a line for each.
///
/// # Errors
/// The data are not there or not those of the set, or its images are too small for a network.
pub fn evaluate(
    judged: &Judged,
    protocol: &Protocol,
    tell: &mut dyn FnMut(String),
) -> Result<CrossEvaluation> {
    tch::set_num_threads(
        protocol
            .threads
            .map_or_else(tch::get_num_threads, |t| t.clamp(1, 4096) as i32),
    );
    let Judged { set, profile, .. } = judged;
    device::allow_tf32(profile.network.tf32);
    let lr = protocol.lr.or(set.student_lr).ok_or_else(|| {
        Error::Usage(format!(
            "no file beside {} has a learned rate; name the one that networks train with (--lr)",
            set.file.display()
        ))
    })?;
    let data = request(judged);
    let classes = match set.classes() {
        Some(classes) => classes,
        None => data.inspect()?.classes.len(),
    };
    set.labels_of(classes)?;
    let size = set.images.size();
    let task = trainer::task(profile, classes, size[1]);
    let nets: Vec<(NetworkKind, Box<dyn Network>)> = protocol
        .networks
        .iter()
        .map(|kind| {
            let net = crate::network::build(*kind, &profile.network, task)?;
            Ok((*kind, net))
        })
        .collect::<Result<_>>()?;
    let expected = [task.channels, task.size, task.size];
    if size[1..] != expected {
        return Err(Error::file(
            &set.file,
            format!(
                "holds images of {:?} (channels, rows, columns), expected {expected:?}",
                &size[1..]
            ),
        ));
    }
    let mut dataset = data.load(&mut |_: Progress<'_>| ControlFlow::Continue(()))?;
    let (images, labels) = fitting(judged, &dataset)?;
    dataset.test.to_device(protocol.device);
    let mut work = Work {
        judged,
        protocol,
        dataset: &dataset,
        images: images.to_device(protocol.device),
        labels: labels.to_device(protocol.device),
        lr,
        tell,
        done: 0,
        begin: Instant::now(),
    };
    let networks = nets
        .iter()
        .map(|(kind, net)| work.network(*kind, net.as_ref()))
        .collect::<Result<_>>()?;
    Ok(CrossEvaluation {
        file: set.file.clone(),
        images: size[0] as usize,
        classes,
        tested: dataset.test.len(),
        epochs: protocol.epochs,
        lr,
        device: device::name(protocol.device),
        version: env!("CARGO_PKG_VERSION"),
        networks,
    })
}

/// The data set whose test images are normalised like the set.
fn request(judged: &Judged) -> DatasetRequest {
    let Judged { set, profile, .. } = judged;
    let mut request = trainer::data_request(profile, &judged.folder, &judged.data);
    if set.space() == Space::Field {
        request.normalisation = NormalisedBy::Field;
    }
    if let (Some(provenance), Space::Own | Space::Field) = (&set.provenance, set.space()) {
        // benchmarks that do not whiten get channels of a set that was whitened
        request.zca = provenance.normalisation == "zca";
    }
    let constants = channel_constants(request.kind, Some(&request.folder));
    if set.provenance.is_none() && !request.zca && constants.is_none() {
        request.normalisation = NormalisedBy::Own;
    }
    request
}

/// The images of the set as this data set is normalised, and their labels.
///
/// # Errors
/// The data set is not the one that the set was made of.
fn fitting(judged: &Judged, dataset: &Dataset) -> Result<(Tensor, Labels)> {
    let set = &judged.set;
    let images = &set.images;
    if let Some(provenance) = &set.provenance {
        if dataset.fingerprint != provenance.data_content {
            return Err(Error::file(
                &judged.folder,
                "holds different training images from those that this set was distilled from, so \
                 its test images may not be normalised as the set is; restore those to evaluate it",
            ));
        }
        let images = match (set.space(), &set.normalisation) {
            (Space::Pixels, Some(of_pixels)) => {
                let pixels = of_pixels.invert_unclamped(images);
                dataset.normalisation.apply(&pixels)
            }
            (Space::Pixels, None) => dataset.normalisation.apply(images),
            (Space::Own | Space::Field, _) => images.shallow_clone(),
        };
        return Ok((images, set.labels_of(dataset.classes.len())?));
    }
    if dataset.channels != images.size()[1] {
        return Err(Error::file(
            &set.file,
            format!(
                "holds images of {} channels, and the data set has {}; set dataset.color",
                images.size()[1],
                dataset.channels
            ),
        ));
    }
    Ok((
        images.shallow_clone(),
        set.labels_of(dataset.classes.len())?,
    ))
}

struct Work<'a> {
    judged: &'a Judged,
    protocol: &'a Protocol,
    dataset: &'a Dataset,
    /// Those of the set, on the device.
    images: Tensor,
    labels: Labels,
    lr: f64,
    tell: &'a mut dyn FnMut(String),
    /// Networks that have been tested since `begin`.
    done: usize,
    begin: Instant,
}

impl Work<'_> {
    fn network(&mut self, kind: NetworkKind, net: &dyn Network) -> Result<NetworkAccuracy> {
        let (images, labels) = (self.images.shallow_clone(), self.labels.shallow_clone());
        let set = TrainingSet {
            images: &images,
            labels: &labels,
            lr: self.lr,
        };
        let profile = &self.judged.profile;
        let course = Course {
            epochs: self.protocol.epochs as usize,
            augment: profile.augmentation(),
        };
        let mut watch = |_: Progress<'_>| ControlFlow::Continue(());
        let (mut values, mut diverged) = (Vec::new(), 0);
        for repeat in 0..self.protocol.repeats {
            let index = [HEADLINE, 0, repeat];
            let weights = evaluate::train(net, &set, course, profile.seed, &index, &mut watch)?;
            let value = evaluate::accuracy(net, &weights, &self.dataset.test, &mut watch)?;
            let is_finite = all_finite(&weights.theta);
            diverged += usize::from(!is_finite);
            values.push(value);
            self.report(kind, repeat, value, is_finite);
        }
        let (mean, std) = evaluate::mean_std(&values);
        Ok(NetworkAccuracy {
            network: kind,
            parameters: net.parameters(),
            mean,
            std,
            values,
            diverged,
        })
    }

    fn report(&mut self, kind: NetworkKind, repeat: u64, value: f64, is_finite: bool) {
        self.done += 1;
        let repeats = self.protocol.repeats;
        let of_kind = repeats - repeat - 1;
        let each = self.begin.elapsed().as_secs_f64() / self.done as f64;
        let left = match of_kind {
            0 => String::new(),
            left => format!(", about {} left for {kind}", duration(each * left as f64)),
        };
        let problem = match is_finite {
            true => "",
            false => " (its training diverged)",
        };
        (self.tell)(format!(
            "{kind}, network {} of {repeats}: {} %{problem}{left}",
            repeat + 1,
            percent(value)
        ));
        if of_kind == 0 {
            (self.done, self.begin) = (0, Instant::now());
        }
    }
}

fn classes(number: usize) -> String {
    match number {
        1 => "1 class".into(),
        n => format!("{n} classes"),
    }
}

/// As a table for people.
impl fmt::Display for CrossEvaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{} of {}, {} each, learning rate {}, on {} test images",
            count(self.images, "image"),
            classes(self.classes),
            count(self.epochs as usize, "epoch"),
            number(self.lr),
            self.tested
        )?;
        let width = self.networks.iter().map(|n| n.network.name().len()).max();
        for found in &self.networks {
            let spread = match found.values.len() {
                1 => "of one network".into(),
                n => format!("± {} of {n} networks", percent(found.std)),
            };
            let problem = match found.diverged {
                0 => String::new(),
                n => format!("  ({n} diverged; choose a lower --lr)"),
            };
            write!(
                f,
                "\n{:width$}  {:>11} weights  {:>5} % {spread}{problem}",
                found.network.name(),
                found.parameters,
                percent(found.mean),
                width = width.unwrap_or(0)
            )?;
        }
        Ok(())
    }
}
