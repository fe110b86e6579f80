//! A segment of an iteration: from its draw to its gradient. It depends on the images and the settings
//! alone, so it does not matter which process computes it.

use super::store::Trajectory;
use crate::distill::TrainingSet;
use crate::distill::iteration::{Draw, Iteration, Outcome, Segment, Settings};
use crate::network::Network;
use crate::progress::Watch;
use astill_core::Result;
use astill_core::run::event::SegmentStep;
use tch::{Device, Tensor};

/// What segments are computed with.
#[derive(Debug, Clone, Copy)]
pub struct Solver<'a> {
    pub net: &'a dyn Network,
    pub experts: &'a [Trajectory],
    pub device: Device,
}

/// A segment that has been computed.
#[derive(Debug)]
pub struct Solved {
    pub record: SegmentStep,
    pub outcome: Outcome,
}

impl Solved {
    /// The same with its tensors on this device.
    pub fn to_device(mut self, device: Device) -> Self {
        let outcome = &mut self.outcome;
        outcome.gradient = outcome.gradient.to_device(device);
        outcome.label_gradient = outcome.label_gradient.take().map(|g| g.to_device(device));
        self
    }
}

impl Solver<'_> {
    /// The draw of a segment.
    pub fn draw(&self, settings: &Settings, segment: Segment, images: &Tensor) -> Draw {
        let experts = self.experts.len() as u64;
        Draw::new(settings, self.net, segment, experts, images)
    }

    /// θ*_t … θ*_{t+M} of the expert that was drawn.
    ///
    /// # Errors
    /// The expert has no such checkpoint.
    pub fn checkpoints(&self, settings: &Settings, draw: &Draw) -> Result<Vec<Tensor>> {
        let trajectory = &self.experts[draw.expert as usize];
        (0..=settings.expert_epochs)
            .map(|j| {
                let theta = trajectory.checkpoint(draw.start_epoch + j, draw.start_part)?;
                let theta = theta.to_device(self.device);
                Ok(if draw.mirrored {
                    self.net.mirrored(&theta)
                } else {
                    theta
                })
            })
            .collect()
    }

    /// Computes a segment for `set`, which is on the solver's device.
    ///
    /// # Errors
    /// `watch` asks to stop, or the expert has no such checkpoint.
    pub fn solve(
        &self,
        settings: &Settings,
        segment: Segment,
        set: &TrainingSet<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Solved> {
        let draw = self.draw(settings, segment, set.images);
        let checkpoints = self.checkpoints(settings, &draw)?;
        let iteration = Iteration {
            net: self.net,
            checkpoints: &checkpoints,
            set,
            settings,
            draw: &draw,
        };
        let outcome = iteration.align(watch)?;
        let record = SegmentStep {
            expert: draw.expert,
            mirrored: draw.mirrored,
            start_epoch: draw.start_epoch as u64,
            start_part: draw.start_part as u64,
            matching_loss: outcome.matching_loss,
            final_ratio: outcome.final_ratio,
            reach: outcome.reach,
            alignment: outcome.alignment,
        };
        Ok(Solved { record, outcome })
    }
}
