//! Student alignment: one iteration of distillation, from its random draws to the gradient of the
//! synthetic images.

mod start;

pub use start::Start;

use super::found::Found;
use super::one_copy::move_together;
use super::perturb;
use super::rates::Fit;
use super::{
    Gradient, MatchAt, Matching, MatchingOptions, Observer, Operation, Student, StudentStep,
    TrainingSet, balance_factor, matching_loss, to_vec,
};
use crate::data::Augmentation;
use crate::network::Network;
use crate::progress::{Watch, report};
use crate::random;
use astill_core::Result;
use astill_core::profile::AugmentFamily;
use serde::{Deserialize, Serialize};
use tch::{Device, Tensor};

/// The settings of an iteration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// N, student steps.
    pub syn_steps: usize,
    /// M, expert epochs to match over.
    pub expert_epochs: usize,
    pub starts: Starts,
    /// Whether the mirror images of the experts are followed too.
    pub mirror: bool,
    /// Synthetic images per student step; none means all of them.
    pub batch: Option<usize>,
    /// μ of the student.
    pub momentum: f64,
    pub balance: bool,
    pub matching: MatchingOptions,
    /// Families of augmentation; may be empty.
    pub augment: Vec<AugmentFamily>,
    /// a of the weight perturbation; 0 switches it off.
    pub perturbation: f64,
    /// K, how many draws of expert and start an update takes the mean of.
    pub segments: usize,
}

impl Settings {
    /// One student step towards the expert's next epoch, from the initialisation, with nothing of what
    /// can be left out.
    #[must_use]
    pub fn plain() -> Self {
        Self {
            syn_steps: 1,
            expert_epochs: 1,
            starts: Starts::before(1),
            mirror: false,
            batch: None,
            momentum: 0.,
            balance: false,
            matching: MatchingOptions::END,
            augment: Vec::new(),
            perturbation: 0.,
            segments: 1,
        }
    }
}

/// Where iterations may start: every checkpoint of the epochs from `first` to T⁺ − 1, and of those
/// inside the epochs all but the ones after that of T⁺ − 1.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Starts {
    /// T⁻.
    pub first: usize,
    /// T⁺, above `first`.
    pub end: usize,
    /// The end grows from this T₀ …
    pub from: Option<usize>,
    /// … to T⁺ at this iteration.
    pub until: u64,
    /// Checkpoints per epoch.
    pub per_epoch: usize,
}

impl Starts {
    /// Every epoch before this one, from the initialisation on, at all iterations.
    #[must_use]
    pub fn before(end: usize) -> Self {
        Self {
            first: 0,
            end,
            from: None,
            until: 1,
            per_epoch: 1,
        }
    }

    /// The end at iteration `index`. Source: DATM, arXiv 2310.05773.
    #[must_use]
    pub fn end_at(&self, index: u64) -> usize {
        let Some(from) = self.from else {
            return self.end;
        };
        let wide = self.end.saturating_sub(from) as u64;
        let grown = (wide.saturating_mul(index) / self.until.max(1)) as usize;
        from.saturating_add(grown).min(self.end)
    }

    /// How many there are at iteration `index`; the first and then that many after it are
    /// consecutive checkpoints.
    fn count_at(&self, index: u64) -> u64 {
        let epochs = self.end_at(index).saturating_sub(self.first).max(1);
        ((epochs - 1) * self.per_epoch + 1) as u64
    }
}

/// One of the segments of an iteration: a student that is trained from one start towards one expert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Of the run.
    pub seed: u64,
    /// Which iteration it belongs to, from 0.
    pub iteration: u64,
    /// Which of its segments it is, from 0.
    pub number: u64,
}

impl Segment {
    /// The first of an iteration.
    #[must_use]
    pub fn first(seed: u64, iteration: u64) -> Self {
        Self {
            seed,
            iteration,
            number: 0,
        }
    }

    /// Which one it is of all segments of the run.
    fn index(self, settings: &Settings) -> u64 {
        self.iteration * settings.segments as u64 + self.number
    }
}

/// What a draw depends on besides settings and segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrawSizes {
    /// P.
    pub parameters: i64,
    /// How many experts there are.
    pub experts: u64,
    /// Synthetic images, and the pixels of a side.
    pub images: usize,
    pub side: i64,
}

impl DrawSizes {
    /// For synthetic `images` (n, C, H, W).
    pub fn of(net: &dyn Network, experts: u64, images: &Tensor) -> Self {
        let size = images.size();
        Self {
            parameters: net.parameters(),
            experts,
            images: size[0] as usize,
            side: size[3],
        }
    }
}

/// Everything that a segment draws at random, before it starts.
#[derive(Debug)]
pub struct Draw {
    /// Which expert is followed, and whether its mirror image is.
    pub expert: u64,
    pub mirrored: bool,
    /// t, the epoch that the student starts in, and how many checkpoints later.
    pub start_epoch: usize,
    pub start_part: usize,
    /// Standard normal (P), where the start is perturbed.
    pub noise: Option<Tensor>,
    pub steps: Vec<StudentStep>,
}

impl Draw {
    /// The draw of a segment, on the CPU. What is switched on and off draws last, so that it shifts no
    /// other draw.
    pub fn new(settings: &Settings, sizes: DrawSizes, segment: Segment) -> Self {
        let DrawSizes {
            parameters,
            experts,
            images: n,
            side,
        } = sizes;
        let start = Start::draw(settings, segment, experts);
        let index = segment.index(settings);
        let mut rng = random::generator(segment.seed, "distill", &[index]);
        let batch = settings.batch.unwrap_or(n).clamp(1, n.max(1));
        let mut left: Vec<i64> = Vec::new();
        let steps: Vec<StudentStep> = (0..settings.syn_steps)
            .map(|_| {
                if left.is_empty() {
                    left = random::permutation(&mut rng, n);
                }
                let rows: Vec<i64> = left.drain(..batch.min(left.len())).collect();
                let augmentation =
                    Augmentation::draw(&mut rng, &settings.augment, rows.len(), side);
                StudentStep {
                    rows: Tensor::from_slice(&rows),
                    augmentation,
                }
            })
            .collect();
        let noise =
            (settings.perturbation > 0.).then(|| random::normal(&mut rng, parameters as usize));
        Self {
            expert: start.expert,
            mirrored: start.mirrored,
            start_epoch: start.epoch,
            start_part: start.part,
            noise,
            steps,
        }
    }

    /// Moves the draw to `device`, together with the expert's `checkpoints`.
    pub fn move_with(&mut self, checkpoints: &mut [Tensor], device: Device) {
        let mut moved: Vec<&mut Tensor> = checkpoints.iter_mut().collect();
        moved.extend(&mut self.noise);
        moved.extend(self.steps.iter_mut().flat_map(StudentStep::tensors_mut));
        move_together(moved, device);
    }
}

/// Where one rollout of a calibration ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rehearsal {
    pub reach: f64,
    pub alignment: f64,
}

/// What one iteration is made of. All tensors are on one device and of one kind.
#[derive(Debug, Clone, Copy)]
pub struct Iteration<'a> {
    pub net: &'a dyn Network,
    /// θ*_t … θ*_{t+M} (M + 1 flat vectors).
    pub checkpoints: &'a [Tensor],
    /// The synthetic images with their labels and α.
    pub set: &'a TrainingSet<'a>,
    pub settings: &'a Settings,
    pub draw: &'a Draw,
}

impl Iteration<'_> {
    /// Perturbs the start, trains the student, compares, and goes back through all its steps.
    /// `watch` is called before every student step, forwards and backwards.
    ///
    /// # Errors
    /// [`Error::Interrupted`](astill_core::Error::Interrupted) if `watch` asks to stop.
    pub fn align(&self, watch: &mut Watch<'_>) -> Result<Found> {
        let (mut done, total) = (0, 2 * self.draw.steps.len() as u64);
        let found = self.align_observed(&mut |operation| match operation {
            Operation::Step => {
                done += 1;
                report(watch, "student steps", done - 1, total)
            }
            _ => Ok(()),
        })?;
        // the backward pass is shorter where the nearest point is matched
        report(watch, "student steps", total, total)?;
        Ok(found)
    }

    /// Trains the student alone, without a backward pass, and adds to `fit` how far and in which
    /// direction it went at every epoch that is matched. Its end counts, even where the nearest point
    /// is matched: that point is as good with any rate that is too large.
    ///
    /// # Errors
    /// [`Error::Interrupted`](astill_core::Error::Interrupted) if `watch` asks to stop.
    pub fn rehearse(&self, fit: &mut Fit, watch: &mut Watch<'_>) -> Result<Rehearsal> {
        let (mut done, total) = (0, self.draw.steps.len() as u64);
        let rollout = self
            .student()
            .unroll(&self.start(), &self.draw.steps, &mut |operation| {
                if operation == Operation::Step {
                    done += 1;
                    report(watch, "student steps", done - 1, total)?;
                }
                Ok(())
            })?;
        let matching = matching_loss(
            &rollout.points,
            &self.checkpoints[1..],
            MatchingOptions {
                at: MatchAt::End,
                ..self.settings.matching
            },
        );
        let Matching {
            reach,
            alignment,
            along,
            curvature,
            ..
        } = matching;
        let found = to_vec(&Tensor::stack(&[reach, alignment, along, curvature], 0));
        fit.add(found[2], found[3] / 2.);
        Ok(Rehearsal {
            reach: found[0],
            alignment: found[1],
        })
    }

    /// θ_0: the checkpoint that the student starts from, perturbed.
    fn start(&self) -> Tensor {
        let expert = &self.checkpoints[0];
        match &self.draw.noise {
            None => expert.shallow_clone(),
            Some(noise) => perturb::perturb(self.net, expert, noise, self.settings.perturbation),
        }
    }

    fn student(&self) -> Student<'_> {
        let loss_factor = if self.settings.balance {
            balance_factor(self.draw.start_epoch, self.settings.starts.end)
        } else {
            1.
        };
        Student {
            net: self.net,
            set: self.set,
            momentum: self.settings.momentum,
            loss_factor,
        }
    }

    /// [`Iteration::align`], with an observer of every operation.
    ///
    /// # Errors
    /// What `observe` returns.
    pub fn align_observed(&self, observe: &mut Observer<'_>) -> Result<Found> {
        let Self {
            net,
            checkpoints,
            settings,
            draw,
            ..
        } = *self;
        observe(Operation::Update)?;
        let (start, student) = (self.start(), self.student());
        let mut rollout = student.unroll(&start, &draw.steps, observe)?;
        let matching = matching_loss(&rollout.points, &checkpoints[1..], settings.matching);
        let Gradient {
            images: gradient,
            lr: lr_gradient,
            labels: label_gradient,
        } = student.adjoint(&mut rollout, &draw.steps, &matching.derivatives, observe)?;
        Ok(Found {
            norm: gradient.norm(),
            gradient,
            label_gradient,
            balance_factor: student.loss_factor,
            matching,
            lr_gradient,
            perturbation: perturb::numbers(net, &checkpoints[0], &start),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{ConvNet, ConvNetConfig};
    use tch::Kind;

    #[test]
    fn batches_are_cut_from_permutations_that_are_used_up() {
        let net = ConvNet::new(ConvNetConfig {
            classes: 2,
            width: 4,
            depth: 1,
            size: 8,
            ..ConvNetConfig::default()
        })
        .expect("fits");
        let settings = Settings {
            syn_steps: 6,
            starts: Starts::before(3),
            batch: Some(4),
            augment: AugmentFamily::ALL.to_vec(),
            ..Settings::plain()
        };
        let images = Tensor::zeros([10, 3, 8, 8], (Kind::Float, Device::Cpu));
        let sizes = DrawSizes::of(&net, 2, &images);
        let draw = Draw::new(&settings, sizes, Segment::first(1, 5));
        let rows: Vec<Vec<f64>> = draw.steps.iter().map(|s| to_vec(&s.rows)).collect();
        assert_eq!(
            rows.iter().map(Vec::len).collect::<Vec<_>>(),
            [4, 4, 2, 4, 4, 2]
        );
        for set in [rows[..3].concat(), rows[3..].concat()] {
            let mut sorted = set;
            sorted.sort_by(f64::total_cmp);
            assert_eq!(sorted, (0..10).map(f64::from).collect::<Vec<_>>());
        }
        assert!(draw.expert < 2 && draw.start_epoch < 3);
    }
}
