//! From one normalisation to another, through pixels.

use super::DistilledSet;
use crate::data::Normalisation;
use astill_core::cli::Space;
use tch::{Device, Kind};

impl DistilledSet {
    /// The same images as `target` normalises them. Nothing is clipped: a pixel darker than black
    /// stays so.
    #[must_use]
    pub fn converted(self, target: &Normalisation, space: Space) -> Self {
        let target = target.to_device(Device::Cpu);
        let images = match (&self.normalisation, &target) {
            (a, b) if a.is_same(b) => self.images,
            (Normalisation::Channels { .. }, Normalisation::Channels { .. }) => {
                let pixels = self
                    .normalisation
                    .invert_unclamped(&self.images.to_kind(Kind::Double));
                target.apply(&pixels).to_kind(Kind::Float)
            }
            _ => target.apply(&self.normalisation.invert_unclamped(&self.images)),
        };
        let mut provenance = self.provenance;
        provenance.normalisation = target.name().into();
        provenance.space = space;
        Self {
            images,
            normalisation: target,
            provenance,
            ..self
        }
    }
}
