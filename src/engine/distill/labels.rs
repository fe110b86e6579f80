//! Labels of a set of images: one class each, or a probability of every class.

use tch::{Device, Kind, Reduction, Tensor};

/// The labels of N images.
#[derive(Debug)]
pub enum Labels {
    /// One class each: i64 (N).
    Hard(Tensor),
    /// Probabilities (N, K) with a sum of 1 for every image. Soft labels that are kept as logits
    /// become these by a softmax.
    Soft(Tensor),
}

impl Labels {
    /// Soft labels that are kept as logits (N, K).
    pub fn of_logits(logits: &Tensor) -> Self {
        Self::Soft(logits.softmax(1, None::<Kind>))
    }

    /// 0 × `ipc`, 1 × `ipc`, … for `classes` classes, on the CPU.
    pub fn in_class_order(classes: usize, ipc: usize) -> Self {
        let classes = Tensor::arange(classes as i64, (Kind::Int64, Device::Cpu));
        Self::Hard(classes.repeat_interleave_self_int(ipc as i64, 0, None))
    }

    pub fn is_soft(&self) -> bool {
        matches!(self, Self::Soft(_))
    }

    /// What is stored, i64 (N) or (N, K).
    pub fn tensor(&self) -> &Tensor {
        match self {
            Self::Hard(labels) | Self::Soft(labels) => labels,
        }
    }

    fn map(&self, f: impl Fn(&Tensor) -> Tensor) -> Self {
        match self {
            Self::Hard(labels) => Self::Hard(f(labels)),
            Self::Soft(labels) => Self::Soft(f(labels)),
        }
    }

    /// Another handle to the same labels.
    pub fn shallow_clone(&self) -> Self {
        self.map(Tensor::shallow_clone)
    }

    pub fn to_device(&self, device: Device) -> Self {
        self.map(|labels| labels.to_device(device))
    }

    /// The labels of these rows, i64 (n).
    pub fn index_select(&self, rows: &Tensor) -> Self {
        self.map(|labels| labels.index_select(0, rows))
    }

    /// The labels of `length` images from number `from` on.
    pub fn narrow(&self, from: i64, length: i64) -> Self {
        self.map(|labels| labels.narrow(0, from, length))
    }

    /// The class of every image, i64 (N): the most probable one where labels are soft.
    pub fn classes(&self) -> Tensor {
        match self {
            Self::Hard(labels) => labels.shallow_clone(),
            Self::Soft(labels) => labels.argmax(1, false),
        }
    }

    /// The probability of each of `classes` classes, (N, K) of this `kind`.
    pub fn probabilities(&self, classes: i64, kind: Kind) -> Tensor {
        match self {
            Self::Hard(labels) => labels.one_hot(classes).to_kind(kind),
            Self::Soft(labels) => labels.to_kind(kind),
        }
    }

    /// Mean cross-entropy (scalar) of logits (N, K), in the precision of the logits: for soft
    /// labels p, the mean of −Σ_k p_k ln softmax(f)_k.
    pub fn cross_entropy(&self, logits: &Tensor) -> Tensor {
        match self {
            // not `cross_entropy_for_logits`: that computes in f32 whatever it is given
            Self::Hard(labels) => {
                logits.cross_entropy_loss(labels, None::<Tensor>, Reduction::Mean, -100, 0.)
            }
            Self::Soft(labels) => {
                let log_q = logits.log_softmax(1, None::<Kind>);
                let each = (labels * log_q).sum_dim_intlist([1i64].as_slice(), false, None::<Kind>);
                -each.mean(None::<Kind>)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hard() -> Labels {
        Labels::Hard(Tensor::from_slice(&[2i64, 0, 1]))
    }

    fn one_hot() -> Labels {
        Labels::Soft(hard().probabilities(3, Kind::Double))
    }

    fn logits() -> Tensor {
        Tensor::from_slice(&[0.5, -1., 2., 0., 3., -2., 1., 1., 0.]).view([3, 3])
    }

    #[test]
    fn soft_labels_that_name_one_class_are_worth_the_hard_ones() {
        let [hard_loss, soft_loss] =
            [hard(), one_hot()].map(|l| l.cross_entropy(&logits()).double_value(&[]));
        assert!((hard_loss - soft_loss).abs() < 1e-15);
        assert!(one_hot().classes().equal(&hard().classes()));
        assert!(
            one_hot()
                .probabilities(3, Kind::Double)
                .equal(one_hot().tensor())
        );
    }

    #[test]
    fn the_loss_of_uniform_labels_is_the_mean_over_the_classes() {
        let uniform = Labels::Soft(Tensor::full([3, 3], 1. / 3., (Kind::Double, Device::Cpu)));
        let each = (0..3i64).map(|class| {
            Labels::Hard(Tensor::full([3], class, (Kind::Int64, Device::Cpu)))
                .cross_entropy(&logits())
                .double_value(&[])
        });
        let mean = each.sum::<f64>() / 3.;
        assert!((uniform.cross_entropy(&logits()).double_value(&[]) - mean).abs() < 1e-15);
    }

    #[test]
    fn rows_of_labels_are_taken_in_the_order_that_is_given() {
        let rows = Tensor::from_slice(&[2i64, 0]);
        for labels in [hard(), one_hot()] {
            let some = labels.index_select(&rows).classes();
            assert!(some.equal(&Tensor::from_slice(&[1i64, 2])));
            assert!(
                labels
                    .narrow(1, 2)
                    .classes()
                    .equal(&Tensor::from_slice(&[0i64, 1]))
            );
        }
    }

    #[test]
    fn labels_in_class_order_repeat_every_class() {
        let labels = Labels::in_class_order(3, 2);
        assert!(
            labels
                .tensor()
                .equal(&Tensor::from_slice(&[0i64, 0, 1, 1, 2, 2]))
        );
    }
}
