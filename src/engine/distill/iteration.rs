//! Student alignment: one iteration of distillation, from its random draws to the gradient of the
//! synthetic images.

use super::one_copy::move_together;
use super::perturb::{self, PerturbationStatistics};
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
use tch::{Device, Kind, Tensor};

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

/// Which expert a segment follows, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Start {
    pub expert: u64,
    /// Whether the mirror image of the expert is followed.
    pub mirrored: bool,
    /// t, the epoch that the student starts in, and how many checkpoints later.
    pub epoch: usize,
    pub part: usize,
}

impl Start {
    /// That of a segment where there are so many experts. It is stratified: every pair of expert and
    /// start comes once before any comes again.
    #[must_use]
    pub fn draw(settings: &Settings, segment: Segment, experts: u64) -> Self {
        let (starts, index) = (settings.starts, segment.index(settings));
        let followed = experts * if settings.mirror { 2 } else { 1 };
        let pairs = (followed * starts.count_at(segment.iteration)).max(1);
        let order = random::permutation(
            &mut random::generator(segment.seed, "expert and start", &[index / pairs]),
            pairs as usize,
        );
        let pair = order[(index % pairs) as usize] as u64;
        let (followed, start) = (pair % followed, (pair / followed) as usize);
        Self {
            expert: followed % experts.max(1),
            mirrored: followed >= experts,
            epoch: starts.first + start / starts.per_epoch,
            part: start % starts.per_epoch,
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
    /// Standard normal (P).
    pub noise: Tensor,
    pub steps: Vec<StudentStep>,
}

impl Draw {
    /// The draw of a segment, for synthetic `images` (n, C, H, W), on their device. What is switched
    /// on and off draws last, so that it shifts no other draw.
    pub fn new(
        settings: &Settings,
        net: &dyn Network,
        segment: Segment,
        experts: u64,
        images: &Tensor,
    ) -> Self {
        let (n, side, device) = (images.size()[0] as usize, images.size()[3], images.device());
        let start = Start::draw(settings, segment, experts);
        let index = segment.index(settings);
        let mut rng = random::generator(segment.seed, "distill", &[index]);
        let batch = settings.batch.unwrap_or(n).clamp(1, n.max(1));
        let mut left: Vec<i64> = Vec::new();
        let mut steps: Vec<StudentStep> = (0..settings.syn_steps)
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
        let mut noise = if settings.perturbation > 0. {
            random::normal(&mut rng, net.parameters() as usize)
        } else {
            Tensor::zeros([net.parameters()], (Kind::Float, Device::Cpu))
        };
        let mut moved = vec![&mut noise];
        for step in &mut steps {
            moved.push(&mut step.rows);
            let numbers = step.augmentation.iter_mut();
            moved.extend(numbers.flat_map(Augmentation::numbers_mut));
        }
        move_together(moved, device);
        Self {
            expert: start.expert,
            mirrored: start.mirrored,
            start_epoch: start.epoch,
            start_part: start.part,
            noise,
            steps,
        }
    }
}

/// What one iteration found.
#[derive(Debug)]
pub struct Outcome {
    pub matching_loss: f64,
    pub final_ratio: f64,
    pub intermediate: Vec<f64>,
    pub reach: f64,
    pub alignment: f64,
    pub balance_factor: f64,
    pub perturbation: PerturbationStatistics,
    /// ∂ matching loss / ∂ synthetic images (n, C, H, W).
    pub gradient: Tensor,
    /// ∂ matching loss / ∂ soft labels (n, K); none for hard ones.
    pub label_gradient: Option<Tensor>,
    /// ‖gradient‖.
    pub image_gradient: f64,
    /// ∂ matching loss / ∂ α.
    pub lr_gradient: f64,
    /// 2 Σ_j w_j ρ_j² over the matched epochs j, with their weights and reaches: the Gauss-Newton
    /// curvature of the matching loss in ln α.
    pub curvature: f64,
    /// The student step after which it is nearest to the expert's last checkpoint.
    pub nearest: f64,
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
    pub fn align(&self, watch: &mut Watch<'_>) -> Result<Outcome> {
        let (mut done, total) = (0, 2 * self.draw.steps.len() as u64);
        let outcome = self.align_observed(&mut |operation| match operation {
            Operation::Step => {
                done += 1;
                report(watch, "student steps", done - 1, total)
            }
            _ => Ok(()),
        })?;
        // the backward pass is shorter where the nearest point is matched
        report(watch, "student steps", total, total)?;
        Ok(outcome)
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
        match self.settings.perturbation {
            0. => expert.shallow_clone(),
            strength => perturb::perturb(self.net, expert, &self.draw.noise, strength),
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
    pub fn align_observed(&self, observe: &mut Observer<'_>) -> Result<Outcome> {
        let Self {
            net,
            checkpoints,
            settings,
            draw,
            ..
        } = *self;
        observe(Operation::Update)?;
        let expert = &checkpoints[0];
        let (start, student) = (self.start(), self.student());
        let loss_factor = student.loss_factor;
        let mut rollout = student.unroll(&start, &draw.steps, observe)?;
        let matching = matching_loss(&rollout.points, &checkpoints[1..], settings.matching);
        let Gradient {
            images: gradient,
            lr: lr_gradient,
            labels: label_gradient,
        } = student.adjoint(&mut rollout, &draw.steps, &matching.derivatives, observe)?;

        let mut scalars = vec![
            &matching.total,
            &matching.final_ratio,
            &matching.reach,
            &matching.alignment,
            &lr_gradient,
        ];
        scalars.extend(&matching.intermediate);
        scalars.push(&matching.curvature);
        let norm = gradient.norm();
        scalars.push(&norm);
        let numbers = to_vec(&Tensor::stack(&scalars, 0));
        Ok(Outcome {
            matching_loss: numbers[0],
            final_ratio: numbers[1],
            reach: numbers[2],
            alignment: numbers[3],
            lr_gradient: numbers[4],
            intermediate: numbers[5..numbers.len() - 2].to_vec(),
            curvature: numbers[numbers.len() - 2],
            image_gradient: numbers[numbers.len() - 1],
            nearest: matching.nearest as f64,
            balance_factor: loss_factor,
            perturbation: perturb::statistics(net, expert, &start),
            gradient,
            label_gradient,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::{ConvNet, ConvNetConfig};

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
            expert_epochs: 1,
            starts: Starts {
                first: 0,
                end: 3,
                from: None,
                until: 1,
                per_epoch: 1,
            },
            mirror: false,
            batch: Some(4),
            momentum: 0.,
            balance: false,
            matching: MatchingOptions::END,
            augment: AugmentFamily::ALL.to_vec(),
            perturbation: 0.,
            segments: 1,
        };
        let draw = Draw::new(
            &settings,
            &net,
            Segment::first(1, 5),
            2,
            &Tensor::zeros([10, 3, 8, 8], (Kind::Float, Device::Cpu)),
        );
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
