//! Student alignment: one iteration of distillation, from its random draws to the gradient of the
//! synthetic images.

use super::perturb::{self, PerturbationStatistics};
use super::{
    Gradient, Intermediate, Observer, Operation, Student, StudentStep, TrainingSet, balance_factor,
    matching_loss, to_vec,
};
use crate::data::Augmentation;
use crate::network::Network;
use crate::progress::{Watch, report};
use crate::random;
use astill_core::Result;
use tch::{Device, Kind, Tensor};

/// The settings of an iteration.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// N, student steps.
    pub syn_steps: usize,
    /// M, expert epochs to match over.
    pub expert_epochs: usize,
    /// T⁺: the start epoch is one of 0 … T⁺ − 1.
    pub max_start_epoch: usize,
    /// Synthetic images per student step; none means all of them.
    pub batch: Option<usize>,
    /// μ of the student.
    pub momentum: f64,
    pub balance: bool,
    pub intermediate: Intermediate,
    /// a of the weight perturbation; 0 switches it off.
    pub perturbation: f64,
}

/// Everything that an iteration draws at random, before it starts.
#[derive(Debug)]
pub struct Draw {
    /// Which expert is followed.
    pub expert: u64,
    /// t, where the student starts.
    pub start_epoch: usize,
    /// Standard normal (P).
    pub noise: Tensor,
    pub steps: Vec<StudentStep>,
}

impl Draw {
    /// The draw of iteration `index` of a run with `seed`, for synthetic `images` (n, C, H, W), on
    /// their device.
    pub fn new(
        settings: &Settings,
        net: &dyn Network,
        seed: u64,
        index: u64,
        experts: u64,
        images: &Tensor,
    ) -> Self {
        let (n, side, device) = (images.size()[0] as usize, images.size()[3], images.device());
        let mut rng = random::generator(seed, "distill", &[index]);
        let expert = random::below(&mut rng, experts);
        let start_epoch = random::below(&mut rng, settings.max_start_epoch as u64) as usize;
        let batch = settings.batch.unwrap_or(n).clamp(1, n.max(1));
        let mut left: Vec<i64> = Vec::new();
        let steps = (0..settings.syn_steps)
            .map(|_| {
                if left.is_empty() {
                    left = random::permutation(&mut rng, n);
                }
                let rows: Vec<i64> = left.drain(..batch.min(left.len())).collect();
                let augmentation = Some(Augmentation::draw(&mut rng, rows.len(), side));
                StudentStep {
                    rows: Tensor::from_slice(&rows).to_device(device),
                    augmentation,
                }
            })
            .collect();
        let noise = if settings.perturbation > 0. {
            random::normal(&mut rng, net.parameters() as usize)
        } else {
            Tensor::zeros([net.parameters()], (Kind::Float, Device::Cpu))
        };
        Self {
            expert,
            start_epoch,
            noise: noise.to_device(device),
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
    /// ‖gradient‖.
    pub image_gradient: f64,
    /// ∂ matching loss / ∂ α.
    pub lr_gradient: f64,
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
        self.align_observed(&mut |operation| match operation {
            Operation::Step => {
                done += 1;
                report(watch, "student steps", done - 1, total)
            }
            _ => Ok(()),
        })
    }

    /// [`Iteration::align`], with an observer of every operation.
    ///
    /// # Errors
    /// What `observe` returns.
    pub fn align_observed(&self, observe: &mut Observer<'_>) -> Result<Outcome> {
        let Self {
            net,
            checkpoints,
            set,
            settings,
            draw,
        } = *self;
        observe(Operation::Update)?;
        let expert = &checkpoints[0];
        let start = match settings.perturbation {
            0. => expert.shallow_clone(),
            strength => perturb::perturb(net, expert, &draw.noise, strength),
        };
        let loss_factor = if settings.balance {
            balance_factor(draw.start_epoch, settings.max_start_epoch)
        } else {
            1.
        };
        let student = Student {
            net,
            set,
            momentum: settings.momentum,
            loss_factor,
        };
        let mut rollout = student.unroll(&start, &draw.steps, observe)?;
        let matching = matching_loss(&rollout.points, &checkpoints[1..], settings.intermediate);
        let Gradient {
            images: gradient,
            lr: lr_gradient,
            ..
        } = student.adjoint(&mut rollout, &draw.steps, &matching.derivatives, observe)?;

        let mut scalars = vec![
            &matching.total,
            &matching.final_ratio,
            &matching.reach,
            &matching.alignment,
            &lr_gradient,
        ];
        scalars.extend(&matching.intermediate);
        let norm = gradient.norm();
        scalars.push(&norm);
        let numbers = to_vec(&Tensor::stack(&scalars, 0));
        Ok(Outcome {
            matching_loss: numbers[0],
            final_ratio: numbers[1],
            reach: numbers[2],
            alignment: numbers[3],
            lr_gradient: numbers[4],
            intermediate: numbers[5..numbers.len() - 1].to_vec(),
            image_gradient: numbers[numbers.len() - 1],
            balance_factor: loss_factor,
            perturbation: perturb::statistics(net, expert, &start),
            gradient,
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
            max_start_epoch: 3,
            batch: Some(4),
            momentum: 0.,
            balance: false,
            intermediate: Intermediate::Off,
            perturbation: 0.,
        };
        let draw = Draw::new(
            &settings,
            &net,
            1,
            5,
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
