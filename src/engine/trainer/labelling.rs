//! The labels of a run's synthetic images, and of the real images that they are compared with.

use super::checkpoint::SyntheticLabels;
use super::store::Trajectory;
use crate::distill::Labels;
use crate::distill::soft_labels::{expert_logits, initial_logits, unrecognised};
use crate::network::{Network, Weights};
use astill_core::Result;
use astill_core::profile::{DistillSettings, LabelKind};
use tch::{Device, Tensor};

/// What gives images of known classes their labels.
#[derive(Debug)]
pub struct Labelling<'a> {
    net: &'a dyn Network,
    classes: usize,
    device: Device,
    /// The trained experts that give soft labels; none for hard ones.
    experts: Vec<Weights>,
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
        Ok(Self {
            net,
            classes,
            device,
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

    /// The classes of these images (n, C, H, W), equally many of each, class after class: i64 (n).
    fn classes_of(&self, images: &Tensor) -> Tensor {
        let of_class = images.size()[0] as usize / self.classes.max(1);
        let in_order = Labels::in_class_order(self.classes, of_class);
        in_order.to_device(self.device).classes()
    }

    /// How many of these images (n, C, H, W), class after class, none of the experts labels right: their
    /// soft labels say that they are something else.
    pub fn unrecognised(&self, images: &Tensor) -> usize {
        match self.experts.is_empty() {
            true => 0,
            false => {
                let logits = expert_logits(self.net, &self.experts, images);
                unrecognised(&logits, &self.classes_of(images))
            }
        }
    }

    /// The labels that these images (n, C, H, W), class after class, begin with.
    pub fn begin(&self, images: &Tensor) -> SyntheticLabels {
        if self.experts.is_empty() {
            return SyntheticLabels::Hard(self.classes_of(images));
        }
        let logits = expert_logits(self.net, &self.experts, images);
        let logits = initial_logits(&logits, &self.classes_of(images));
        SyntheticLabels::Soft {
            velocity: logits.zeros_like(),
            logits,
        }
    }

    /// The labels of this kind of real images (n, C, H, W), class after class.
    pub fn of(&self, images: &Tensor, kind: LabelKind) -> Labels {
        match kind {
            LabelKind::Hard => Labels::Hard(self.classes_of(images)),
            LabelKind::Soft => self.begin(images).labels(),
        }
    }
}
