//! Where the time of an iteration goes.

use super::rounded;
use crate::device;
use crate::distill::Operation;
use serde::Serialize;
use std::time::Instant;
use tch::Device;

/// Seconds of an iteration by what is done, without the draws before it and what is reported of it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub struct Phases {
    /// The gradients of the student steps.
    pub forward: f64,
    /// The backward pass through them.
    pub adjoint: f64,
    /// The augmentations and their gradients.
    pub augmentation: f64,
    /// Vectors of parameters, and the matching loss.
    pub update: f64,
}

/// Adds up the times of an iteration's operations.
#[derive(Debug)]
pub(super) struct Stopwatch {
    device: Device,
    now: Option<(Operation, Instant)>,
    phases: Phases,
    /// Images of student steps whose forward passes were in the cache of the backward pass.
    pub cached: i64,
}

impl Stopwatch {
    /// On a GPU it waits for the device before every operation, which takes time itself.
    pub fn new(device: Device) -> Self {
        Self {
            device,
            now: None,
            phases: Phases::default(),
            cached: 0,
        }
    }

    pub fn enter(&mut self, operation: Operation) {
        let now = self.lap();
        if let Operation::Adjoint { cached } = operation {
            self.cached += cached;
        }
        self.now = Some((operation, now));
    }

    fn lap(&mut self) -> Instant {
        device::synchronize(self.device);
        let now = Instant::now();
        if let Some((operation, since)) = self.now.take() {
            let phase = match operation {
                Operation::Forward => &mut self.phases.forward,
                Operation::Adjoint { .. } => &mut self.phases.adjoint,
                Operation::Augmentation => &mut self.phases.augmentation,
                Operation::Step | Operation::Update => &mut self.phases.update,
            };
            *phase += (now - since).as_secs_f64();
        }
        now
    }

    /// The times until now.
    pub fn stop(mut self) -> Phases {
        self.lap();
        let Phases {
            forward,
            adjoint,
            augmentation,
            update,
        } = self.phases;
        let [forward, adjoint, augmentation, update] =
            [forward, adjoint, augmentation, update].map(rounded);
        Phases {
            forward,
            adjoint,
            augmentation,
            update,
        }
    }
}
