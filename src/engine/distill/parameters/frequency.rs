//! Images made of few frequencies: those that vary most among the real images of a class.

use tch::{Device, Kind, Tensor};

/// Real images that are transformed at a time.
const AT_ONCE: i64 = 512;

/// Images as the kept coefficients of the orthonormal two-dimensional DCT-II of every channel, in
/// variables (n, C, m, 1). Source: FreD, arXiv 2311.08819, whose DCT is not normalised, which only
/// changes the learning rate.
#[derive(Debug)]
pub struct Frequencies {
    side: i64,
    /// The basis (side, side), one frequency per row, in float64.
    basis: Tensor,
    /// Which m coefficients are kept, i64 (K, m), as row · side + column.
    positions: Tensor,
    /// The same for every image, i64 (n, 1, m).
    of_images: Tensor,
}

impl Frequencies {
    /// For images with `side` pixels, `images_per_class` of each class. `positions`, i64 (K, m), are
    /// the coefficients kept for each class, as row · side + column.
    pub fn new(side: i64, positions: Tensor, images_per_class: i64) -> Self {
        let of_images = positions.repeat_interleave_self_int(images_per_class, 0, None);
        Self {
            side,
            basis: basis(side, positions.device()),
            of_images: of_images.unsqueeze(1),
            positions,
        }
    }

    /// Which m coefficients are kept for each class, i64 (K, m): variables mean nothing without
    /// them.
    pub fn positions(&self) -> &Tensor {
        &self.positions
    }

    pub(super) fn images(&self, variables: &Tensor) -> Tensor {
        let (n, channels, kept, _) = four(variables);
        let values = variables.to_kind(Kind::Double).view([n, channels, kept]);
        let none = Tensor::zeros(
            [n, channels, self.side * self.side],
            (Kind::Double, variables.device()),
        );
        let index = self.of_images.expand([n, channels, kept], false);
        let coefficients = none
            .scatter(2, &index, &values)
            .view([n, channels, self.side, self.side]);
        let images = self.basis.tr().matmul(&coefficients).matmul(&self.basis);
        images.to_kind(variables.kind())
    }

    /// The transposed map, which for an orthonormal basis is also the nearest images' coefficients.
    pub(super) fn pull_back(&self, images: &Tensor) -> Tensor {
        let (n, channels, ..) = four(images);
        let coefficients = transform(&self.basis, images).flatten(2, 3);
        let index = self.of_images.expand([n, channels, -1], false);
        coefficients
            .gather(2, &index, false)
            .unsqueeze(3)
            .to_kind(images.kind())
    }
}

/// The `count` coefficients, i64 (count), as row · side + column, that vary most over `images` (N, C,
/// side, side); the first of several that vary alike.
///
/// As in FreD all channels keep the same ones, by the variance of the mean over the channels; but
/// over all real images of a class, where FreD takes the few that it starts from.
pub fn strongest(images: &Tensor, count: i64) -> Tensor {
    let (n, _, side, _) = four(images);
    let basis = basis(side, images.device());
    let mut sums = [0, 1].map(|_| Tensor::zeros([side * side], (Kind::Double, images.device())));
    for from in (0..n).step_by(AT_ONCE as usize) {
        let some = images.narrow(0, from, AT_ONCE.min(n - from));
        let grey = some
            .to_kind(Kind::Double)
            .mean_dim([1i64].as_slice(), true, None::<Kind>);
        let coefficients = transform(&basis, &grey).flatten(1, 3); // (some, side²)
        for (sum, power) in sums.iter_mut().zip([1., 2.]) {
            *sum += coefficients.pow_tensor_scalar(power).sum_dim_intlist(
                [0i64].as_slice(),
                false,
                None::<Kind>,
            );
        }
    }
    let [mean, square] = sums.map(|sum| sum / n.max(1) as f64);
    let variance = super::super::to_vec(&(square - mean.square()));
    let mut order: Vec<usize> = (0..variance.len()).collect();
    order.sort_by(|a, b| variance[*b].total_cmp(&variance[*a]));
    let mut first: Vec<i64> = order
        .iter()
        .map(|i| *i as i64)
        .take(count as usize)
        .collect();
    first.sort_unstable();
    Tensor::from_slice(&first).to_device(images.device())
}

/// The coefficients (…, side, side) of images, in float64.
fn transform(basis: &Tensor, images: &Tensor) -> Tensor {
    basis
        .matmul(&images.to_kind(Kind::Double))
        .matmul(&basis.tr())
}

/// The orthonormal DCT-II: row k is c_k √(2/side) cos(π k (2x + 1) / (2 side)) over the pixels x, with
/// c_0 = 1/√2 and otherwise 1.
fn basis(side: i64, device: Device) -> Tensor {
    let numbers = || Tensor::arange(side, (Kind::Double, Device::Cpu));
    let (k, x) = (numbers().unsqueeze(1), numbers() * 2. + 1.);
    let angle = k * x * (std::f64::consts::PI / (2. * side as f64));
    let rows = angle.cos() * (2. / side as f64).sqrt();
    let _ = rows.get(0).g_mul_scalar_(0.5f64.sqrt());
    rows.to_device(device)
}

fn four(t: &Tensor) -> (i64, i64, i64, i64) {
    let size = t.size();
    (size[0], size[1], size[2], size[3])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_basis_is_orthonormal() {
        for side in [1, 8, 13] {
            let b = basis(side, Device::Cpu);
            let difference = b.matmul(&b.tr()) - Tensor::eye(side, (Kind::Double, Device::Cpu));
            assert!(difference.abs().max().double_value(&[]) < 1e-14);
        }
    }

    #[test]
    fn the_coefficients_that_vary_most_are_kept() {
        // every image is a constant plus a wave of another height; the constant varies less
        let side = 8;
        let b = basis(side, Device::Cpu);
        let wave = b.get(2).unsqueeze(1) * b.get(5).unsqueeze(0);
        let flat = b.get(0).unsqueeze(1) * b.get(0).unsqueeze(0);
        let of = |heights: [f64; 4]| Tensor::from_slice(&heights).view([4, 1, 1, 1]);
        let images = of([9., 9.5, 9., 9.5]) * flat + of([-1., 2., 0., 1.]) * wave;
        let found = |count| super::super::super::to_vec(&strongest(&images, count));
        assert_eq!(found(1), [21.]);
        assert_eq!(found(2), [0., 21.]);
    }
}
