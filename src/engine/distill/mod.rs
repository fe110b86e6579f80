//! The method, one file per idea, in the paper's order: experts and how smooth they are, what the
//! synthetic images start from, one student alignment with its exact gradient, evaluation. It takes
//! tensors and numbers and knows nothing of runs.

mod balance;
pub mod evaluate;
pub mod expert;
pub mod found;
pub mod iteration;
mod labels;
mod matching;
mod one_copy;
mod operations;
pub mod parameters;
pub mod perturb;
pub mod rates;
mod representative;
mod segments;
mod smoothness;
pub mod soft_labels;
mod student;

pub use astill_core::profile::{Init, Intermediate, MatchAt};
pub use balance::balance_factor;
pub use expert::{Expert, ExpertBatch, ExpertSettings};
pub use labels::Labels;
pub use matching::{Matching, MatchingOptions, intermediate_steps, matching_loss, nearest};
pub use operations::StudentStep;
pub use parameters::{Budget, Parameterisation};
pub use representative::{kmeans, representatives};
pub use segments::mean_tensor;
pub use smoothness::{ExpertPath, Smoothness};
pub use student::{
    Gradient, Observer, Operation, Rollout, Student, budget_on, cache_budget_bytes, path_vectors,
};

use tch::{Device, Kind, Tensor};

/// A set of images to learn from.
#[derive(Debug)]
pub struct TrainingSet<'a> {
    /// (n, C, H, W) in the network's input space.
    pub images: &'a Tensor,
    pub labels: &'a Labels,
    /// The learning rate to begin with: α, where the images are synthetic.
    pub lr: f64,
}

/// Whether every number of a tensor is finite; waits for the device.
pub fn all_finite(t: &Tensor) -> bool {
    t.isfinite().all().int64_value(&[]) == 1
}

/// The numbers of a tensor, in order; waits for the device.
pub fn to_vec(t: &Tensor) -> Vec<f64> {
    let t = t
        .detach()
        .to_device(Device::Cpu)
        .to_kind(Kind::Double)
        .contiguous()
        .flatten(0, -1);
    let mut values = vec![0.; t.numel()];
    t.copy_data(&mut values, t.numel());
    values
}
