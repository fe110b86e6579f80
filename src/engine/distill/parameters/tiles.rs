//! Small images that are enlarged: k² of them have the pixels of one.

use tch::{Device, Kind, Tensor};

/// Images as smaller ones (n, C, side/k, side/k), enlarged by bilinear interpolation between the
/// centres of their pixels, as PyTorch's `interpolate` without aligned corners. Source: the multi-
/// formation of IDC, arXiv 2205.14959.
#[derive(Debug)]
pub struct Tiles {
    /// Each pixel's share in the pixels of an enlarged row (side, side/k), in float64.
    enlarge: Tensor,
    /// Its pseudo-inverse (side/k, side).
    reduce: Tensor,
}

impl Tiles {
    /// For images with `side` pixels, `images_per_room` = k² in the room of one; none if that is not
    /// a square, or k does not divide `side`. On the CPU; products move it to their device.
    pub fn new(side: i64, images_per_room: usize) -> Option<Self> {
        let k = images_per_room.isqrt() as i64;
        if k < 1 || k * k != images_per_room as i64 || side % k != 0 {
            return None;
        }
        let enlarge = bilinear(side / k, k);
        Some(Self {
            reduce: enlarge.pinverse(f64::EPSILON),
            enlarge,
        })
    }

    pub(super) fn images(&self, variables: &Tensor) -> Tensor {
        both_ways(&self.enlarge, variables)
    }

    pub(super) fn pull_back(&self, images: &Tensor) -> Tensor {
        both_ways(&self.enlarge.tr(), images)
    }

    pub(super) fn fit(&self, images: &Tensor) -> Tensor {
        both_ways(&self.reduce, images)
    }
}

/// M x Mᵀ of every channel x (n, C, H, H), computed in float64.
fn both_ways(matrix: &Tensor, x: &Tensor) -> Tensor {
    let matrix = matrix.to_device(x.device());
    matrix
        .matmul(&x.to_kind(Kind::Double))
        .matmul(&matrix.tr())
        .to_kind(x.kind())
}

/// The shares (small · k, small) that enlarge a row of `small` pixels k times. Pixel i lies at (i +
/// ½)/k − ½ of the small ones, and at the border where that is beyond it.
fn bilinear(small: i64, k: i64) -> Tensor {
    let large = small * k;
    let mut shares = vec![0.; (large * small) as usize];
    for i in 0..large {
        let at = ((i as f64 + 0.5) / k as f64 - 0.5).clamp(0., (small - 1) as f64);
        let left = at.floor();
        let row = (i * small) as usize;
        shares[row + left as usize] += 1. - (at - left);
        if at > left {
            shares[row + left as usize + 1] += at - left;
        }
    }
    Tensor::from_slice(&shares)
        .view([large, small])
        .to_device(Device::Cpu)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random;

    #[test]
    fn enlarging_is_that_of_libtorch_and_so_is_its_derivative() {
        for (side, k) in [(12, 2), (12, 3), (32, 4), (5, 1), (6, 6)] {
            let tiles = Tiles::new(side, (k * k) as usize).expect("divides");
            let normal = |purpose: &str, side: i64| {
                let n = (2 * 3 * side * side) as usize;
                random::normal(&mut random::generator(2, purpose, &[]), n)
                    .view([2, 3, side, side])
                    .to_kind(Kind::Double)
            };
            let small = normal("small", side / k).set_requires_grad(true);
            let derivative = normal("derivative", side);
            let wanted = small.upsample_bilinear2d([side, side], false, None, None);
            let got = tiles.images(&small);
            assert!((&got - &wanted).abs().max().double_value(&[]) < 1e-13);
            let loss = (wanted * &derivative).sum(None::<Kind>);
            let wanted = Tensor::run_backward(&[loss], &[&small], false, false).remove(0);
            let got = tiles.pull_back(&derivative);
            assert!((got - wanted).abs().max().double_value(&[]) < 1e-12);
        }
    }
}
