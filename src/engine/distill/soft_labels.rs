//! Soft labels: what trained experts say about an image, kept as logits so that they can be learned.

use super::evaluate::test_batch;
use crate::network::{Network, Weights};
use tch::{Kind, Tensor};

/// The logits (n, K) of `images` (n, C, H, W) by each of these experts, batch by batch.
pub fn expert_logits(net: &dyn Network, experts: &[Weights], images: &Tensor) -> Vec<Tensor> {
    let analytic = net.analytic(images);
    let batches = images.split(test_batch(images.device(), analytic.is_some()) as i64, 0);
    let of_batch =
        |expert: &Weights, batch: &Tensor| net.tested(expert, analytic.as_deref(), batch);
    let of_expert = |expert: &Weights| {
        let logits: Vec<Tensor> = batches.iter().map(|b| of_batch(expert, b)).collect();
        Tensor::cat(&logits, 0)
    };
    experts.iter().map(of_expert).collect()
}

/// The logits (n, K) that soft labels begin with: for every image, the mean over the experts that
/// find its class, or over all experts where none does.
///
/// `logits` are those of each expert (n, K), `classes` the images' true classes, i64 (n). There must
/// be an expert. Source: DATM, arXiv 2310.05773; for images that no expert labels right it has no
/// label, and astill takes the mean.
pub fn initial_logits(logits: &[Tensor], classes: &Tensor) -> Tensor {
    let all = Tensor::stack(logits, 0); // (E, n, K)
    let right = all
        .argmax(2, false)
        .eq_tensor(classes)
        .to_kind(all.kind())
        .unsqueeze(2); // (E, n, 1)
    let count = right.sum_dim_intlist([0i64].as_slice(), false, None::<Kind>); // (n, 1)
    let sum = (&all * right).sum_dim_intlist([0i64].as_slice(), false, None::<Kind>);
    let mean = all.mean_dim([0i64].as_slice(), false, None::<Kind>);
    (sum / count.clamp_min(1.)).where_self(&count.gt(0.), &mean)
}

/// The derivative (n, K) with respect to logits of a loss whose derivative with respect to their
/// softmax (n, K) is `derivative`: p ⊙ (d − ⟨p, d⟩).
pub fn logit_gradient(logits: &Tensor, derivative: &Tensor) -> Tensor {
    let p = logits.softmax(1, None::<Kind>);
    let mean = (&p * derivative).sum_dim_intlist([1i64].as_slice(), true, None::<Kind>);
    p * (derivative - mean)
}

/// How many of the images of these true `classes`, i64 (n), no expert labels right; `logits` are those
/// of each expert (n, K). There must be an expert.
pub fn unrecognised(logits: &[Tensor], classes: &Tensor) -> usize {
    let right = Tensor::stack(logits, 0).argmax(2, false).eq_tensor(classes);
    let by_none = right.any_dim(0, false).logical_not();
    by_none.sum(Kind::Int64).int64_value(&[]) as usize
}

/// Those of `rows` whose image is labelled right by `logits` (N, K) as `class`; none where fewer than
/// `fewest` are. Source: DATM.
pub fn right_rows(logits: &Tensor, rows: &[i64], class: i64, fewest: usize) -> Option<Vec<i64>> {
    let said = super::to_vec(&logits.argmax(1, false));
    let right: Vec<i64> = rows
        .iter()
        .copied()
        .filter(|row| said[*row as usize] == class as f64)
        .collect();
    (right.len() >= fewest).then_some(right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows<const N: usize>(values: [[f64; 3]; N]) -> Tensor {
        Tensor::from_slice(values.as_flattened()).view([N as i64, 3])
    }

    #[test]
    fn only_experts_that_find_the_class_say_what_else_is_likely() {
        let experts = [
            rows([[3., 1., 0.], [0., 1., 2.], [5., 0., 0.]]),
            rows([[5., 0., 2.], [2., 1., 0.], [4., 0., 2.]]),
        ];
        let classes = Tensor::from_slice(&[0i64, 2, 1]);
        let found = initial_logits(&experts, &classes);
        // both find the first class, one the second, none the third
        assert!(found.equal(&rows([[4., 0.5, 1.], [0., 1., 2.], [4.5, 0., 1.]])));
        assert_eq!(unrecognised(&experts, &classes), 1);
    }

    #[test]
    fn the_gradient_of_the_logits_is_that_of_autograd() {
        let logits = rows([[0.5, -1., 2.], [0., 3., -2.]]).set_requires_grad(true);
        let weights = rows([[1., -2., 0.5], [3., 0.25, -1.]]);
        let loss = (logits.softmax(1, None::<Kind>) * &weights).sum(None::<Kind>);
        let wanted = Tensor::run_backward(&[loss], &[&logits], false, false).remove(0);
        let got = logit_gradient(&logits.detach(), &weights);
        assert!((got - wanted).abs().max().double_value(&[]) < 1e-15);
    }

    #[test]
    fn rows_that_are_labelled_right_are_kept_unless_they_are_too_few() {
        let logits = rows([[3., 1., 0.], [0., 1., 2.], [5., 0., 0.]]);
        assert_eq!(right_rows(&logits, &[0, 1, 2], 0, 2), Some(vec![0, 2]));
        assert_eq!(right_rows(&logits, &[0, 1, 2], 0, 3), None);
    }
}
