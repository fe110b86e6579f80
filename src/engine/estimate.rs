//! How long a profile will run and how much memory it needs: its steps are timed on a few images,
//! and counted.

use crate::data::{Inventory, WHITENED_AT_ONCE};
use crate::device;
use crate::distill::evaluate::test_batch;
use crate::distill::expert::{CPU_PIECE, GRAPH};
use crate::distill::path_vectors;
use crate::network::WORKING;
use crate::rates::{NetworkRates, Rates};
use crate::trainer::{ROLLOUTS, network};
use astill_core::Result;
use astill_core::profile::MEMORY_KEYS;
use astill_core::profile::{Auto, Keep, LabelKind, Profile};
use serde::Serialize;
use tch::Device;

const MIB: f64 = (1 << 20) as f64;
/// The eigenvalues and products of an n × n matrix take as long as about this many products of two
/// such matrices.
const EIGEN: f64 = 9.;

/// An estimate, for a run that finds neither experts in the store nor whitening and decoded images
/// in the cache.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Estimate {
    /// "cpu", "cuda:0".
    pub device: String,
    /// Wall time of the whole run, and of its phases.
    pub seconds: f64,
    pub data_seconds: f64,
    pub experts_seconds: f64,
    pub distill_seconds: f64,
    pub evaluate_seconds: f64,
    /// One iteration of distillation.
    pub iteration_seconds: f64,
    /// The most resident memory of the engine on the host.
    pub host_mib: f64,
    /// The most memory of its tensors on a GPU; none on a CPU.
    pub device_mib: Option<f64>,
    /// The memory that limits the run: that of the GPU, or of the host where it computes on that.
    pub memory_mib: f64,
    /// How much of it is free now, where the system reports it.
    pub free_mib: Option<f64>,
    /// What the experts take on disk.
    pub experts_mib: f64,
    /// What they would take if all their checkpoints were kept, and if only those that are needed
    /// were.
    pub experts_all_mib: f64,
    pub experts_needed_mib: f64,
}

/// The sizes that determine time and memory.
struct Sizes<'a> {
    profile: &'a Profile,
    /// Real images: those used, and all in the files of the training set.
    train: f64,
    validation: f64,
    test: f64,
    stored: f64,
    /// Numbers per image.
    pixels: f64,
    /// Synthetic images: all of them, and those of one step, at most and on average.
    synthetic: f64,
    batch: f64,
    mean_batch: f64,
    /// Bytes of one vector of parameters.
    vector: usize,
    /// Outputs per image of every convolution of the network.
    outputs: Vec<i64>,
    has_batch_norm: bool,
}

impl<'a> Sizes<'a> {
    fn of(profile: &'a Profile, inventory: &Inventory) -> Result<Self> {
        let count = |split: &[usize]| split.iter().sum::<usize>() as f64;
        let classes = inventory.classes.len();
        let synthetic = (classes * profile.images_per_class()) as f64;
        let batch = profile
            .distill
            .batch
            .map_or(synthetic, |b| (b as f64).min(synthetic));
        let net = network(profile, classes, inventory.channels as i64)?;
        Ok(Self {
            profile,
            train: count(&inventory.train),
            validation: count(&inventory.validation),
            test: count(&inventory.test),
            stored: inventory.stored as f64,
            pixels: (inventory.channels as i64 * profile.dataset.size * profile.dataset.size)
                as f64,
            synthetic,
            batch,
            // the last of the steps that share a permutation gets the remaining images
            mean_batch: synthetic / (synthetic / batch).ceil(),
            vector: net.parameters() as usize * 4,
            outputs: net.conv_outputs(),
            has_batch_norm: net.has_batch_norm(),
        })
    }

    /// Seconds that whitening takes.
    fn data_seconds(&self, rates: &Rates) -> f64 {
        let Self { train, pixels, .. } = *self;
        let images = train + self.validation + self.test;
        let directions = train.min(pixels);
        let (products, applied) = match self.transform() {
            // a little more than half of the covariance, or the products of images and their sums
            true if train < pixels => (2. * train * train * pixels, pixels),
            true => (0.6 * train * pixels * pixels, pixels),
            false => (2. * train * train * pixels, 2. * directions),
        };
        let multiplications = products + EIGEN * directions.powi(3) + images * pixels * applied;
        if self.profile.dataset.zca {
            multiplications * rates.product
        } else {
            0.
        }
    }

    /// Whether the whitening is applied as one matrix.
    fn transform(&self) -> bool {
        2. * self.train.min(self.pixels) > self.pixels
    }

    fn experts_seconds(&self, rates: &Rates) -> f64 {
        let experts = 0..self.profile.expert.count as u64;
        let epochs: usize = experts
            .map(|index| self.profile.epochs_trained(index))
            .sum();
        epochs as f64 * (self.train * rates.expert + self.validation * rates.forward)
    }

    /// What the experts take on disk: a vector for each checkpoint, and one to train them on.
    fn experts_bytes(&self, keep: Keep) -> f64 {
        let expert = &self.profile.expert;
        // imported ones are there already
        let count = match expert.from {
            Some(_) => 0,
            None => expert.count as u64,
        };
        let vectors = (0..count)
            .map(|index| match keep {
                Keep::All => self.profile.epochs_trained(index) * expert.per_epoch + 2,
                Keep::Needed => self.profile.checkpoints_read(index).iter().count() + 1,
            })
            .sum::<usize>();
        vectors as f64 * self.vector as f64
    }

    /// The rollouts that calibrate the student rate.
    fn calibration_seconds(&self, rates: &Rates) -> f64 {
        let distill = &self.profile.distill;
        match distill.lr_student {
            Auto::Auto => (ROLLOUTS * distill.syn_steps) as f64 * self.mean_batch * rates.gradient,
            Auto::Value(_) => 0.,
        }
    }

    fn iteration_seconds(&self, rates: &Rates) -> f64 {
        let steps = self.profile.distill.syn_steps as f64;
        self.profile.distill.segments as f64
            * self.mean_batch
            * (steps * (rates.gradient + rates.adjoint)
                + (steps - self.kept_steps(rates)) * rates.again)
    }

    fn evaluate_seconds(&self, rates: &Rates) -> f64 {
        let (distill, evaluate) = (&self.profile.distill, &self.profile.evaluate);
        let per_network = (
            evaluate.epochs as f64 * self.synthetic,
            evaluate.repeats as f64,
        );
        // both baselines and the evaluations during the run, then the sets of the result: the distilled
        // and the real ones, these with labels of each kind
        let during_the_run = 2. + distill.iterations.div_ceil(evaluate.every) as f64;
        let of_the_result = match distill.labels {
            LabelKind::Hard => 3.,
            LabelKind::Soft => 5.,
        };
        let tested = if evaluate.paper_style || self.validation == 0. {
            during_the_run + of_the_result
        } else {
            of_the_result
        };
        let (images, repeats) = per_network;
        let of_network = |network: &NetworkRates| {
            let training = (during_the_run + of_the_result) * images * network.gradient;
            let testing = tested * self.test + during_the_run * self.validation;
            repeats * (training + testing * network.forward)
        };
        rates.evaluated.iter().map(of_network).sum::<f64>() + self.train * rates.forward
    }

    /// Bytes of the cached forward pass of a student step; none where nothing is cached.
    fn pass(&self, rates: &Rates) -> Option<f64> {
        rates.pass.map(|of_image| of_image * self.mean_batch)
    }

    /// How many student steps cache their forward pass.
    fn kept_steps(&self, rates: &Rates) -> f64 {
        let steps = self.profile.distill.syn_steps;
        self.pass(rates)
            .map_or(0., |pass| (rates.budget as f64 / pass).min(steps as f64))
    }

    /// Bytes of all real images in memory, and the most that loading them takes.
    fn images(&self) -> (f64, f64) {
        let bytes = (self.train + self.validation + self.test) * self.pixels;
        // once as read from the files, once as a tensor
        let read = 2. * (self.stored + self.test) * self.pixels;
        if !self.profile.dataset.zca {
            return (bytes, read.max(bytes));
        }
        let directions = self.train.min(self.pixels);
        let factor = 4. * self.pixels * directions;
        let matrix = if self.transform() {
            4. * self.pixels.powi(2)
        } else {
            0.
        };
        // images in floating point: those of one part, or all of them where they are few
        let some = 4. * self.pixels * directions.max(self.train.min(WHITENED_AT_ONCE as f64));
        // these images, their products, eigenvectors, work space, and the result
        let fit = bytes + 5. * some + 5. * 4. * directions.powi(2) + factor + matrix;
        // the images in floating point; the whitening
        let kept = 4. * bytes + factor + matrix;
        (kept, read.max(fit).max(bytes + kept))
    }

    /// Bytes of the parameter vectors of an iteration: the student's path, the expert's
    /// checkpoints, derivatives and gradients.
    fn vectors(&self) -> f64 {
        let distill = &self.profile.distill;
        (path_vectors(distill.syn_steps) + distill.expert_epochs + 12) as f64 * self.vector as f64
    }

    /// Outputs per image of the first convolution, and of all convolutions together.
    fn outputs(&self) -> (f64, f64) {
        let first = self.outputs.first().copied().unwrap_or(0);
        (first as f64, self.outputs.iter().sum::<i64>() as f64)
    }

    /// Bytes of a step on `images` images that autograd differentiates.
    fn graph(&self, images: f64) -> f64 {
        images * self.outputs().1 * 4. * GRAPH
    }

    /// The most resident memory on the CPU, in bytes, besides that of the program itself.
    fn host_bytes(&self, rates: &Rates) -> f64 {
        let (images, loading) = self.images();
        let pass = self.pass(rates);
        let steps = match pass {
            Some(pass) => self.vectors() + self.kept_steps(rates) * pass,
            None => (self.vectors() + self.graph(self.batch))
                .max(self.graph((self.profile.expert.batch as f64).min(CPU_PIECE as f64))),
        };
        // a batch of real images and, where they are stored as bytes, the copies that convert them
        let tested = test_batch(Device::Cpu, pass.is_some()) as f64
            * self.pixels
            * 4.
            * if self.profile.dataset.zca { 1. } else { 5. };
        loading.max(images + steps.max(tested))
    }

    /// The most memory on the GPU `on`, in bytes, where `free` of them are free. What is processed in
    /// pieces takes no more than is free, and at least what one image takes.
    fn device_bytes(&self, on: Device, rates: &Rates, free: Option<f64>) -> f64 {
        let images = self.images().0;
        let in_pieces = |besides: f64, count: f64, of_image: f64| match free {
            Some(free) => (count * of_image).min((free - besides).max(of_image)),
            None => count * of_image,
        };
        let expert_batch = self.profile.expert.batch as f64;
        if let (Some(of_image), Some(pass)) = (rates.pass, self.pass(rates)) {
            let kept = images + self.vectors() + self.kept_steps(rates) * pass;
            return kept + in_pieces(kept, self.batch.max(expert_batch), WORKING * of_image);
        }
        let expert = match self.has_batch_norm {
            true => self.graph(expert_batch),
            false => in_pieces(images, expert_batch, self.graph(1.)),
        };
        // an operation's input, its output, and one more
        let tested = test_batch(on, false) as f64;
        let tested = in_pieces(images, tested, self.outputs().0 * 4. * 3.);
        images
            + (self.vectors() + self.graph(self.batch))
                .max(expert)
                .max(tested)
    }
}

impl Estimate {
    /// For `profile` on the device `on`, with data as in `inventory`, without the decoding of image
    /// files. Takes a second or two on the device.
    ///
    /// # Errors
    /// The images are too small for the network.
    pub fn measure(profile: &Profile, inventory: &Inventory, on: Device) -> Result<Self> {
        device::allow_tf32(profile.network.tf32);
        let sizes = Sizes::of(profile, inventory)?;
        let rates = Rates::measure(
            profile,
            (inventory.classes.len(), inventory.channels as i64),
            sizes.mean_batch as usize,
            on,
        )?;
        let (data_seconds, experts_seconds) =
            (sizes.data_seconds(&rates), sizes.experts_seconds(&rates));
        let (iteration_seconds, evaluate_seconds) = (
            sizes.iteration_seconds(&rates),
            sizes.evaluate_seconds(&rates),
        );
        let distill_seconds = profile.distill.iterations as f64 * iteration_seconds
            + sizes.calibration_seconds(&rates);
        // the program itself, with what the measurement has allocated
        let own = device::peak_resident_mib() as f64;
        let free_mib = device::free_mib(on);
        let (host_mib, device_mib) = match on {
            Device::Cpu => (own + sizes.host_bytes(&rates) / MIB, None),
            _ => {
                let free = free_mib.map(|mib| mib * MIB);
                let device = sizes.device_bytes(on, &rates, free) / MIB;
                (own + sizes.images().1 / MIB, Some(device))
            }
        };
        Ok(Self {
            device: device::name(on),
            seconds: data_seconds + experts_seconds + distill_seconds + evaluate_seconds,
            data_seconds,
            experts_seconds,
            distill_seconds,
            evaluate_seconds,
            iteration_seconds,
            host_mib,
            device_mib,
            memory_mib: device_mib.unwrap_or(host_mib),
            free_mib,
            experts_mib: sizes.experts_bytes(profile.expert.keep) / MIB,
            experts_all_mib: sizes.experts_bytes(Keep::All) / MIB,
            experts_needed_mib: sizes.experts_bytes(Keep::Needed) / MIB,
        })
    }

    /// Adds further seconds that loading the data takes.
    pub fn add_data_seconds(&mut self, seconds: f64) {
        self.data_seconds += seconds;
        self.seconds += seconds;
    }

    /// A warning where less memory is free than the run needs, as far as that is known.
    pub fn warning(&self) -> Option<String> {
        let free = self.free_mib.filter(|free| *free < self.memory_mib)?;
        Some(format!(
            "the run needs about {:.0} MiB on {}, but only {free:.0} MiB are free: lower \
             {MEMORY_KEYS}; or dataset.train_limit",
            self.memory_mib, self.device
        ))
    }
}
