//! The labels of a run's synthetic images, and of the real images that they are compared with.

use super::checkpoint::SyntheticLabels;
use super::store::Trajectory;
use crate::distill::Labels;
use crate::distill::soft_labels::{expert_logits, initial_logits};
use crate::network::Network;
use astill_core::Result;
use astill_core::profile::{DistillSettings, LabelKind};
use tch::{Device, Tensor};

/// What gives images of known classes their labels.
#[derive(Debug)]
pub struct Labelling<'a> {
    net: &'a dyn Network,
    /// The classes in order, ipc times each: i64 (n).
    classes: Tensor,
    /// The trained experts (P) that give soft labels; none for hard ones.
    experts: Vec<Tensor>,
}

impl<'a> Labelling<'a> {
    /// For `classes` classes, on `device`.
    ///
    /// # Errors
    /// A checkpoint cannot be read.
    pub fn new(
        settings: &DistillSettings,
        net: &'a dyn Network,
        experts: &[Trajectory],
        classes: usize,
        device: Device,
    ) -> Result<Self> {
        let experts = match settings.labels {
            LabelKind::Hard => Vec::new(),
            LabelKind::Soft => experts
                .iter()
                .take(settings.label_experts)
                .map(|expert| Ok(expert.last()?.to_device(device)))
                .collect::<Result<_>>()?,
        };
        let in_order = Labels::in_class_order(classes, settings.ipc).to_device(device);
        Ok(Self {
            net,
            classes: in_order.classes(),
            experts,
        })
    }

    /// The kind of the synthetic images' labels.
    pub fn kind(&self) -> LabelKind {
        if self.experts.is_empty() {
            LabelKind::Hard
        } else {
            LabelKind::Soft
        }
    }

    /// The labels that these images (n, C, H, W), class after class, begin with.
    pub fn begin(&self, images: &Tensor) -> SyntheticLabels {
        if self.experts.is_empty() {
            return SyntheticLabels::Hard(self.classes.shallow_clone());
        }
        let logits = expert_logits(self.net, &self.experts, images);
        let logits = initial_logits(&logits, &self.classes);
        SyntheticLabels::Soft {
            velocity: logits.zeros_like(),
            logits,
        }
    }

    /// The labels of this kind of real images (n, C, H, W), class after class.
    pub fn of(&self, images: &Tensor, kind: LabelKind) -> Labels {
        match kind {
            LabelKind::Hard => Labels::Hard(self.classes.shallow_clone()),
            LabelKind::Soft => self.begin(images).labels(),
        }
    }
}
