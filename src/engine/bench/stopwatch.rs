//! Where the time of an iteration goes.

use super::rounded;
use crate::device;
use crate::distill::Part;
use serde::Serialize;
use std::time::Instant;
use tch::Device;

/// Seconds of an iteration by what is done. The draws before it and what is told of it are not in
/// it.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize)]
pub struct Phases {
    /// The gradients of the student steps.
    pub forward: f64,
    /// The way back through them.
    pub adjoint: f64,
    /// The augmentations and their gradients.
    pub augmentation: f64,
    /// Vectors of parameters, and the matching loss.
    pub update: f64,
}

/// Told of every part of an iteration, it adds up their times.
#[derive(Debug)]
pub(super) struct Stopwatch {
    device: Device,
    now: Option<(Part, Instant)>,
    phases: Phases,
    /// Images of student steps whose passes were kept for the way back.
    pub kept: i64,
}

impl Stopwatch {
    /// On a GPU it waits for the device at every part, which takes time itself.
    pub fn new(device: Device) -> Self {
        Self {
            device,
            now: None,
            phases: Phases::default(),
            kept: 0,
        }
    }

    pub fn enter(&mut self, part: Part) {
        let now = self.lap();
        if let Part::Adjoint { kept } = part {
            self.kept += kept;
        }
        self.now = Some((part, now));
    }

    fn lap(&mut self) -> Instant {
        device::synchronize(self.device);
        let now = Instant::now();
        if let Some((part, since)) = self.now.take() {
            let phase = match part {
                Part::Forward => &mut self.phases.forward,
                Part::Adjoint { .. } => &mut self.phases.adjoint,
                Part::Augmentation => &mut self.phases.augmentation,
                Part::Step | Part::Update => &mut self.phases.update,
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
