//! From a request to a data set in memory.

use super::cache;
use super::classes;
use super::facts;
use super::fingerprint::{content_of, fingerprint};
use super::inventory::Inventory;
use super::layout::{BySplit, Labelling, Layout, Surveyed};
use super::left_out::{self, LeftOutFile, PassedOver};
use super::normalisation::Normalisation;
use super::pixels::Pixels;
use super::register;
use super::request::DatasetRequest;
use super::rows::{drawn_hashes, leave_out, lost_images, take_out};
use super::split::{DataSplit, WHITENED_AT_ONCE, to_unit};
use super::split_plan::{SplitPlan, draw_test};
use super::survey::{self, Survey};
use super::zca::{Moments, Zca};
use crate::memory;
use crate::progress::{Watch, report, unless_stopped};
use astill_core::profile::{NormalisedBy, Unreadable};
use astill_core::run::event::DataWarning;
use astill_core::{Error, Result};
use std::path::PathBuf;
use std::time::Duration;
use tch::{Device, Kind, Tensor};

/// What is added to the eigenvalues of the covariance of pixels in [0, 1]; the value of the
/// published programs.
const ZCA_EPS: f64 = 0.1;

/// A data set in memory, on the CPU.
#[derive(Debug)]
pub struct Dataset {
    /// The name of every label.
    pub classes: Vec<String>,
    /// What the files call the classes where `classes` has readable names for them.
    pub ids: Option<Vec<String>>,
    /// The side of every image, in pixels.
    pub size: i64,
    /// 1 (grey) or 3.
    pub channels: i64,
    pub train: DataSplit,
    /// The files' validation part or held-out training images; empty if the request holds out none.
    pub validation: DataSplit,
    pub test: DataSplit,
    pub normalisation: Normalisation,
    /// BLAKE3 (hexadecimal) of size, labels and decoded pixels of the *whole* training set, before
    /// limit and held-out share.
    pub fingerprint: String,
    /// BLAKE3 (hexadecimal) of labels and decoded pixels of the validation share.
    pub validation_content: String,
    /// The same of the test set.
    pub test_content: String,
    /// What the files hold that is not in the data set.
    pub left_out: Vec<LeftOutFile>,
    /// The warning about images among these that may belong to the set.
    pub lost: Option<String>,
    /// Decisions of the layout that the user may not expect.
    pub notes: Vec<String>,
    /// What about the images may hurt.
    pub warnings: Vec<DataWarning>,
    /// Caches that were damaged and have been rebuilt.
    pub damaged_caches: Vec<PathBuf>,
}

/// A data set whose labels are known, and no more.
struct Opened {
    layout: Box<dyn Layout>,
    labelling: Labelling,
    /// The rows of the layout that these labels are of.
    rows: BySplit<Vec<usize>>,
    passed_over: PassedOver,
}

impl Opened {
    fn images(&self) -> usize {
        self.rows.as_ref().into_iter().map(Vec::len).sum()
    }
}

impl DatasetRequest {
    /// Reads the labels, without decoding an image or creating anything; so images that will turn
    /// out to be unreadable are counted.
    ///
    /// # Errors
    /// [`Error::Usage`] if files are missing (it says which, where, and how to get them) or the
    /// limit is below the number of classes; [`Error::File`] if one is malformed.
    pub fn inspect(&self) -> Result<Inventory> {
        let Opened {
            layout,
            mut labelling,
            passed_over,
            ..
        } = self.open()?;
        self.draw_test(&mut labelling, &passed_over.notes)?;
        let plan = self.plan(&labelling)?;
        Ok(Inventory::of(labelling, &plan, layout.channels()))
    }

    /// Reads, splits and normalises.
    ///
    /// # Errors
    /// As [`DatasetRequest::inspect`]; [`Error::File`] for images that cannot be read;
    /// [`Error::Interrupted`] if `watch` asks to stop.
    pub fn load(&self, watch: &mut Watch<'_>) -> Result<Dataset> {
        let request = self.clone();
        let opened = unless_stopped(watch, "data sets opened", 1, move || request.open())??;
        cache::remove_left_over(&self.cache);
        let channels = opened.layout.channels();
        let read = opened.layout.read(&opened.rows, self, watch)?;
        let (
            all,
            Opened {
                mut labelling,
                rows,
                passed_over,
                ..
            },
        ) = (opened.images(), opened);
        let lost = lost_images(&labelling, &rows, &read.unreadable);
        let left_out = [passed_over.files, lost].concat();
        let all = all + left_out.iter().filter(|file| file.is_lost).count()
            - read
                .unreadable
                .as_ref()
                .into_iter()
                .map(Vec::len)
                .sum::<usize>();
        self.judge(&left_out, all)?;
        leave_out(&mut labelling, &rows, &read.unreadable);
        labelling.check(&self.folder)?;
        let notes = &passed_over.notes;
        let (mut pixels, drawn) = (read.pixels, self.draw_test(&mut labelling, notes)?);
        if let Some(drawn) = drawn {
            pixels = take_out(pixels, &drawn);
        }
        let plan = self.plan(&labelling)?;
        let (size, train_labels) = (self.size, labelling.labels.train.clone());
        let count = train_labels.len() as u64;
        let compare = move || {
            let hashes = pixels.as_ref().map(facts::hashes);
            let fingerprint = fingerprint(size, channels, &train_labels, pixels.train.bytes());
            (pixels, hashes, fingerprint)
        };
        let (pixels, hashes, fingerprint) =
            unless_stopped(watch, "images compared", count, compare)?;
        let mut warnings: Vec<DataWarning> = survey::untested(&labelling).into_iter().collect();
        warnings.extend(survey::of_images(&labelling.labels, &hashes, &read.facts));
        let Labelling {
            classes,
            ids,
            labels,
        } = labelling;
        let published = self.published(&pixels.train, &fingerprint, watch)?;
        let (train, held_out) = select(pixels.train, &plan);
        memory::return_freed();
        let (normalisation, damaged_whitening) = match (published, self.zca) {
            (Some(published), _) => published,
            (None, true) => {
                let images = |from: usize, to: usize| {
                    to_unit(&train.narrow(0, from as i64, (to - from) as i64))
                };
                let (zca, damaged) = self.whitening(&images, &plan.train, &fingerprint, watch)?;
                memory::return_freed();
                (Normalisation::Zca(zca), damaged)
            }
            (None, false) => (of_channels(&train, watch)?, None),
        };
        let held_out_labels: Vec<i64> = labels_of(&labels.train, &plan.validation).collect();
        let (validation, validation_labels) = match labels.validation.is_empty() {
            true => (held_out, held_out_labels),
            false => (pixels.validation.into_tensor(), labels.validation),
        };
        let validation_content = content_of(&validation, &validation_labels);
        let train_labels = labels_of(&labels.train, &plan.train).collect();
        let train = DataSplit::new(train, train_labels, &normalisation, watch)?;
        let validation = DataSplit::new(validation, validation_labels, &normalisation, watch)?;
        let test = pixels.test.into_tensor();
        let test_content = content_of(&test, &labels.test);
        let test = DataSplit::new(test, labels.test, &normalisation, watch)?;
        memory::return_freed();
        let damaged = read.damaged_cache.into_iter().chain(damaged_whitening);
        Ok(Dataset {
            classes,
            ids,
            size: self.size,
            channels: channels as i64,
            train,
            validation,
            test,
            normalisation,
            fingerprint,
            validation_content,
            test_content,
            lost: left_out::warn_lost(&self.folder, &left_out, all),
            left_out,
            notes: passed_over.notes,
            warnings,
            damaged_caches: damaged.collect(),
        })
    }

    /// What is known of the data set before an image is looked at.
    ///
    /// # Errors
    /// As [`DatasetRequest::inspect`].
    pub fn survey_labels(&self) -> Result<Survey> {
        let mut opened = self.open()?;
        self.draw_test(&mut opened.labelling, &opened.passed_over.notes)?;
        Ok(Survey {
            looked_at: 0,
            images: opened.images(),
            inventory: None,
            left_out: left_out::count(&opened.passed_over.files),
            notes: opened.passed_over.notes,
            warnings: survey::untested(&opened.labelling).into_iter().collect(),
        })
    }

    /// Looks at the images for up to `budget`, and keeps nothing of them.
    ///
    /// # Errors
    /// As [`DatasetRequest::load`].
    pub fn survey(&self, budget: Duration, watch: &mut Watch<'_>) -> Result<Survey> {
        let opened = self.open()?;
        let Surveyed {
            looked_at,
            hashes,
            facts,
            unreadable,
        } = opened.layout.survey(&opened.rows, self, budget, watch)?;
        let images = opened.images();
        let Opened {
            layout,
            mut labelling,
            rows,
            passed_over,
        } = opened;
        let lost = lost_images(&labelling, &rows, &unreadable);
        let listed = lost.len();
        let left_out = [passed_over.files, lost].concat();
        let all = images + left_out.iter().filter(|file| file.is_lost).count() - listed;
        self.judge(&left_out, all)?;
        // of the images that were looked at
        let mut seen = Labelling {
            labels: labelling.labels.clone(),
            ..Labelling::default()
        };
        let splits = seen.labels.as_mut().zip(looked_at.as_ref());
        splits.map(|(labels, looked_at)| labels.truncate(*looked_at));
        leave_out(&mut seen, &rows, &unreadable);
        // as a run does, so that both draw the same
        leave_out(&mut labelling, &rows, &unreadable);
        let hashes = match self.draw_test(&mut labelling, &passed_over.notes)? {
            Some(drawn) => drawn_hashes(&mut seen.labels, hashes, &drawn),
            None => hashes,
        };
        let mut warnings: Vec<DataWarning> = survey::untested(&labelling).into_iter().collect();
        warnings.extend(survey::of_images(&seen.labels, &hashes, &facts));
        let plan = self.plan(&labelling)?;
        Ok(Survey {
            inventory: Some(Inventory::of(labelling, &plan, layout.channels())),
            looked_at: looked_at.into_iter().sum(),
            images,
            left_out: left_out::count(&left_out),
            notes: passed_over.notes,
            warnings,
        })
    }

    /// How many seconds it takes to decode all image files, extrapolated from some of them.
    ///
    /// # Errors
    /// As [`DatasetRequest::inspect`].
    pub fn seconds_to_decode(&self) -> Result<f64> {
        let Opened { layout, rows, .. } = self.open()?;
        Ok(layout.seconds_to_decode(&rows, self.size as usize))
    }

    fn open(&self) -> Result<Opened> {
        if self.size < 1 {
            return Err(Error::Usage(format!(
                "dataset.size is {}, expected a number of pixels",
                self.size
            )));
        }
        let layout = register::open(self)?;
        self.constants(layout.channels())?;
        let mut passed_over = layout.passed_over();
        let all = layout.labelling();
        all.check_classes(&self.folder)?;
        let (labelling, rows) = match &self.classes {
            None => (
                all.clone(),
                all.labels
                    .as_ref()
                    .map(|labels| (0..labels.len()).collect()),
            ),
            Some(wanted) => {
                let (chosen, rows) = classes::select(all, wanted, &self.folder)?;
                let names = [chosen.ids.as_deref(), Some(&chosen.classes)];
                passed_over.files.retain(|file| {
                    let is_chosen = |class| names.iter().flatten().any(|of| of.contains(class));
                    file.class.as_ref().is_none_or(is_chosen)
                });
                (chosen, rows)
            }
        };
        let opened = Opened {
            layout,
            labelling,
            rows,
            passed_over,
        };
        let lost = opened.passed_over.files.iter().filter(|file| file.is_lost);
        self.judge(&opened.passed_over.files, opened.images() + lost.count())?;
        opened.labelling.check(&self.folder)?;
        Ok(opened)
    }

    /// Refuses a set from which images would be lost, unless the profile skips them.
    fn judge(&self, left_out: &[LeftOutFile], all: usize) -> Result<()> {
        match self.unreadable {
            Unreadable::Refuse => left_out::refuse_lost(&self.folder, left_out, all),
            Unreadable::Skip => Ok(()),
        }
    }

    /// Draws test images from the training ones where the files have no test part; their rows.
    /// `notes` say what the layout decided about the parts.
    fn draw_test(&self, labelling: &mut Labelling, notes: &[String]) -> Result<Option<Vec<i64>>> {
        let Labelling {
            classes, labels, ..
        } = labelling;
        match (self.test, labels.test.is_empty()) {
            (None, false) => Ok(None),
            (Some(share), false) => Err(Error::Usage(format!(
                "dataset.test is {share}, but the data set has {} test images of its own{}: set it \
                 to null",
                labels.test.len(),
                left_out::in_brackets(notes)
            ))),
            (None, true) => Err(Error::file(
                &self.folder,
                format!(
                    "expected test images, found none{}; set dataset.test: 0.2 to draw a fifth of \
                     every class, complete the data set, or set dataset.path to another one",
                    left_out::in_brackets(notes)
                ),
            )),
            (Some(share), true) => {
                let drawn = draw_test(&labels.train, classes.len(), share, self.test_seed);
                let (mut train, mut test, mut next) = (Vec::new(), Vec::new(), drawn.iter());
                let mut wanted = next.next();
                for (row, label) in (0i64..).zip(&labels.train) {
                    if wanted == Some(&row) {
                        test.push(*label);
                        wanted = next.next();
                    } else {
                        train.push(*label);
                    }
                }
                (labels.train, labels.test) = (train, test);
                Ok(Some(drawn))
            }
        }
    }

    fn plan(&self, labelling: &Labelling) -> Result<SplitPlan> {
        let has_validation = !labelling.labels.validation.is_empty();
        SplitPlan::new(
            &labelling.labels.train,
            labelling.classes.len(),
            self.train_limit,
            if has_validation { 0. } else { self.validation },
            self.seed,
        )
    }

    /// The normalisation of published programs, if it is asked for, and the cache's file if it was
    /// damaged and has been rebuilt. `train` is the whole training set, with this fingerprint.
    fn published(
        &self,
        train: &Pixels,
        fingerprint: &str,
        watch: &mut Watch<'_>,
    ) -> Result<Option<(Normalisation, Option<PathBuf>)>> {
        if self.normalisation == NormalisedBy::Own {
            return Ok(None);
        }
        if self.zca {
            let rows: Vec<i64> = (0..train.shape()[0] as i64).collect();
            let images = |from: usize, to: usize| to_unit(&train.rows(&rows[from..to]));
            let (zca, damaged) = self.whitening(&images, &rows, fingerprint, watch)?;
            memory::return_freed();
            return Ok(Some((Normalisation::Zca(zca), damaged)));
        }
        let constants = self.constants(train.shape()[1])?;
        Ok(constants.map(|constants| (Normalisation::of_constants(constants), None)))
    }

    /// The whitening of the training images that are the rows `rows` of the set with this
    /// fingerprint: from the cache, or fitted; and the cache's file if it was damaged and has been
    /// rebuilt. `images` gives those from one place in `rows` to another, in [0, 1].
    fn whitening(
        &self,
        images: &dyn Fn(usize, usize) -> Tensor,
        rows: &[i64],
        fingerprint: &str,
        watch: &mut Watch<'_>,
    ) -> Result<(Zca, Option<PathBuf>)> {
        let mut key = blake3::Hasher::new_derive_key("astill zca 2");
        key.update(fingerprint.as_bytes());
        key.update(&ZCA_EPS.to_le_bytes());
        for row in rows {
            key.update(&row.to_le_bytes());
        }
        let path = self.cache.join(format!(
            "zca-{}.safetensors",
            &key.finalize().to_hex()[..32]
        ));
        let at = |chunk: usize| (chunk * WHITENED_AT_ONCE as usize).min(rows.len());
        let pixels = images(0, rows.len().min(1)).numel() as i64;
        let was_there = path.exists();
        if let Some(zca) = cache::read_zca(&path, rows.len() as i64, pixels, ZCA_EPS) {
            return Ok((zca, None));
        }
        // f32 halves time and memory; on CIFAR-10 the transform differs from that of f64 by 5e-5
        // (relative norm), as eps dwarfs the error.
        let mut moments = Moments::new(rows.len() as i64, pixels, Kind::Float, Device::Cpu);
        let total = rows.len() as u64;
        for chunk in 0..rows.len().div_ceil(WHITENED_AT_ONCE as usize) {
            report(watch, "images whitened", at(chunk) as u64, total)?;
            moments.add(&images(at(chunk), at(chunk + 1)));
        }
        report(watch, "images whitened", total, total)?;
        let zca = unless_stopped(watch, "images whitened", total, move || {
            moments.whitening(ZCA_EPS)
        })?;
        let is_written = cache::write_zca(&path, &zca);
        Ok((zca, (was_there && is_written).then_some(path)))
    }
}

/// The images of the two parts of `plan`, u8.
///
/// If most of `all` is trained on, those images are moved together where they are: a large set
/// would not fit into memory twice.
fn select(mut all: Pixels, plan: &SplitPlan) -> (Tensor, Tensor) {
    const MOST: f64 = 0.8;
    let count = all.shape()[0];
    let validation = all.rows(&plan.validation);
    if (plan.train.len() as f64) < MOST * count as f64 {
        return (all.rows(&plan.train), validation);
    }
    let mut is_kept = vec![false; count];
    for &row in &plan.train {
        is_kept[row as usize] = true;
    }
    all.retain(&is_kept);
    (all.into_tensor(), validation)
}

fn labels_of(labels: &[i64], rows: &[i64]) -> impl Iterator<Item = i64> {
    rows.iter().map(|&row| labels[row as usize])
}
/// The mean and deviation of each channel of `images` (N, C, H, W).
fn of_channels(images: &Tensor, watch: &mut Watch<'_>) -> Result<Normalisation> {
    let (images, count) = (images.shallow_clone(), images.size()[0] as u64);
    let measure = move || Normalisation::of_channels(&images);
    unless_stopped(watch, "images measured", count, measure)
}
