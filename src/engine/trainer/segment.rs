//! A segment of an iteration: from its draw to its gradient. It depends on the images and the settings
//! alone, so it does not matter which process computes it.

use super::draws_ahead::{DrawRequest, DrawsAhead};
use super::store::Trajectory;
use crate::distill::TrainingSet;
use crate::distill::found::{Found, Outcome};
use crate::distill::iteration::{Draw, DrawSizes, Iteration, Segment, Settings};
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
    /// Where the segments are those of a run in order, so that the next one is known.
    pub ahead: Option<&'a DrawsAhead>,
}

/// A segment that has been computed, with its numbers still on the device.
#[derive(Debug)]
pub struct Unread {
    expert: u64,
    mirrored: bool,
    start_epoch: u64,
    start_part: u64,
    pub found: Found,
}

impl Unread {
    /// Waits for the device and reads all numbers.
    pub fn read(self) -> Solved {
        let (mut solved, _) = Self::read_all(vec![self], &[]);
        solved.remove(0)
    }

    /// Waits for the device and reads all numbers of several at once, with `others` (scalars).
    pub fn read_all(all: Vec<Self>, others: &[&Tensor]) -> (Vec<Solved>, Vec<f64>) {
        let (starts, found): (Vec<_>, Vec<_>) = all
            .into_iter()
            .map(|one| {
                (
                    (one.expert, one.mirrored, one.start_epoch, one.start_part),
                    one.found,
                )
            })
            .unzip();
        let (outcomes, others) = Found::read_all(found, others);
        let solved = starts.into_iter().zip(outcomes).map(|(start, outcome)| {
            let (expert, mirrored, start_epoch, start_part) = start;
            let record = SegmentStep {
                expert,
                mirrored,
                start_epoch,
                start_part,
                matching_loss: outcome.matching_loss,
                final_ratio: outcome.final_ratio,
                reach: outcome.reach,
                alignment: outcome.alignment,
            };
            Solved { record, outcome }
        });
        (solved.collect(), others)
    }
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
    /// The draw of a segment for synthetic `images`, and θ*_t … θ*_{t+M} of the expert that was drawn.
    ///
    /// # Errors
    /// The expert has no such checkpoint.
    pub fn prepare(
        &self,
        settings: &Settings,
        segment: Segment,
        images: &Tensor,
    ) -> Result<(Draw, Vec<Tensor>)> {
        let request = DrawRequest {
            settings: settings.clone(),
            sizes: DrawSizes::of(self.net, self.experts.len() as u64, images),
            segment,
        };
        let mut draw = match self.ahead.filter(|_| self.device != Device::Cpu) {
            Some(ahead) => ahead.take(&request),
            // a CPU has enough to do
            None => request.draw(),
        };
        let trajectory = &self.experts[draw.expert as usize];
        let mut checkpoints = (0..=settings.expert_epochs)
            .map(|j| trajectory.checkpoint(draw.start_epoch + j, draw.start_part))
            .collect::<Result<Vec<Tensor>>>()?;
        draw.move_with(&mut checkpoints, self.device);
        if draw.mirrored {
            for theta in &mut checkpoints {
                *theta = self.net.mirrored(theta);
            }
        }
        Ok((draw, checkpoints))
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
    ) -> Result<Unread> {
        let (draw, checkpoints) = self.prepare(settings, segment, set.images)?;
        let iteration = Iteration {
            net: self.net,
            checkpoints: &checkpoints,
            set,
            settings,
            draw: &draw,
        };
        Ok(Unread {
            found: iteration.align(watch)?,
            expert: draw.expert,
            mirrored: draw.mirrored,
            start_epoch: draw.start_epoch as u64,
            start_part: draw.start_part as u64,
        })
    }
}
