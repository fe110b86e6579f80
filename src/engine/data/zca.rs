//! ZCA whitening: images whose pixels are uncorrelated, and that people still recognise.

use tch::{Device, Kind, Tensor};

/// A fitted whitening of images of D = C·H·W pixels. The three tensors are on one device and of one
/// kind.
#[derive(Debug)]
pub struct Zca {
    /// (1, D), of pixels in [0, 1].
    pub mean: Tensor,
    /// (D, D), symmetric: U diag((S + eps)^−½) Uᵀ, where U diag(S) Uᵀ is the covariance.
    pub transform: Tensor,
    /// (D, D), the inverse of `transform`: U diag((S + eps)^½) Uᵀ.
    pub inverse: Tensor,
}

impl Zca {
    /// Fits the whitening to `pixels` (N, C, H, W) in [0, 1], in their kind and on their device; N
    /// ≥ 2.
    pub fn fit(pixels: &Tensor, eps: f64) -> Self {
        let mut covariance = Covariance::new(
            pixels.size().iter().skip(1).product(),
            pixels.kind(),
            pixels.device(),
        );
        covariance.add(pixels);
        covariance.whitening(eps)
    }

    /// Whitened images, shaped like `pixels` (N, C, H, W) in [0, 1] and of the kind of the fit: (x
    /// − mean) · transform.
    pub fn apply(&self, pixels: &Tensor) -> Tensor {
        (pixels.flatten(1, -1) - &self.mean)
            .matmul(&self.transform)
            .view_as(pixels)
    }

    /// The pixels of whitened images (N, C, H, W), not clamped: x · inverse + mean.
    pub fn invert(&self, images: &Tensor) -> Tensor {
        (images.flatten(1, -1).matmul(&self.inverse) + &self.mean).view_as(images)
    }

    /// A copy on `device` (shared if it is there already).
    pub fn to_device(&self, device: Device) -> Self {
        let moved = |tensor: &Tensor| tensor.to_device(device);
        Self {
            mean: moved(&self.mean),
            transform: moved(&self.transform),
            inverse: moved(&self.inverse),
        }
    }
}

/// Rows of the covariance that are worked out together.
const BLOCK: i64 = 512;

/// Mean and covariance of images that come in parts, so that a whole training set is never held as
/// floating-point numbers.
pub(super) struct Covariance {
    count: i64,
    /// (1, D)
    mean: Tensor,
    /// (D, D), the sum over images of (x − mean)ᵀ(x − mean), which is symmetric: what lies in
    /// blocks wholly above the diagonal stays 0 and is never read.
    scatter: Tensor,
}

impl Covariance {
    /// Of no images yet, of `pixels` = D numbers each.
    pub fn new(pixels: i64, kind: Kind, device: Device) -> Self {
        Self {
            count: 0,
            mean: Tensor::zeros([1, pixels], (kind, device)),
            scatter: Tensor::zeros([pixels, pixels], (kind, device)),
        }
    }

    /// Adds images (N, C, H, W); N ≥ 1. Merges the two means and scatters (Chan, Golub, LeVeque
    /// 1979), which loses no digits.
    pub fn add(&mut self, images: &Tensor) {
        let flat = images.flatten(1, -1); // (N,D)
        let n = flat.size()[0];
        let mean = flat.mean_dim(0i64, true, None);
        let centred = flat - &mean;
        let difference = mean - &self.mean;
        let (before, after) = (self.count as f64, (self.count + n) as f64);
        let parts = Tensor::cat(
            &[centred, &difference * (before * n as f64 / after).sqrt()],
            0,
        ); // (N+1,D)
        let pixels = parts.size()[1];
        for first in (0..pixels).step_by(BLOCK as usize) {
            let length = BLOCK.min(pixels - first);
            let (rows, columns) = (
                parts.narrow(1, first, length),
                parts.narrow(1, 0, first + length),
            );
            let _ = self
                .scatter
                .narrow(0, first, length)
                .narrow(1, 0, first + length)
                .addmm_(&rows.tr(), &columns);
        }
        self.mean += difference * (n as f64 / after);
        self.count += n;
    }

    /// The whitening of the images added so far; `eps` is added to every eigenvalue.
    pub fn whitening(self, eps: f64) -> Zca {
        let covariance = self.scatter / (self.count - 1).max(1) as f64;
        // it reads nothing above the diagonal
        let (eigenvalues, vectors) = covariance.linalg_eigh("L");
        let spread = (eigenvalues.clamp_min(0.0) + eps).sqrt();
        let transform = (&vectors / &spread).matmul(&vectors.tr());
        let inverse = (&vectors * &spread).matmul(&vectors.tr());
        Zca {
            mean: self.mean,
            transform,
            inverse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::tests::golden::golden;

    fn error(got: &Tensor, want: &Tensor) -> f64 {
        let got = got.to_kind(Kind::Double);
        ((&got - want).norm() / want.norm()).double_value(&[])
    }

    #[test]
    fn the_whitening_equals_the_reference() {
        let golden = golden("zca");
        for (kind, tolerance) in [(Kind::Double, 1e-8), (Kind::Float, 2e-3)] {
            let x = golden["x"].to_kind(kind);
            let zca = Zca::fit(&x, 0.1);
            let whitened = zca.apply(&x);
            for (got, want) in [
                (&zca.mean, "mean"),
                (&whitened, "whitened"),
                (&zca.invert(&whitened), "restored"),
            ] {
                let error = error(got, &golden[want]);
                assert!(error < tolerance, "{want} in {kind:?}: {error:e}");
            }
        }
    }

    #[test]
    fn the_lower_half_of_several_blocks_is_that_of_the_whole_product() {
        let x = Tensor::rand([6, 3, 20, 20], (Kind::Double, Device::Cpu));
        let mut covariance = Covariance::new(1200, Kind::Double, Device::Cpu);
        x.split(4, 0).iter().for_each(|part| covariance.add(part));
        let flat = x.flatten(1, -1);
        let centred = &flat - flat.mean_dim(0i64, true, None);
        let whole = centred.tr().matmul(&centred);
        assert!(1200 > 2 * BLOCK && error(&covariance.scatter.tril(0), &whole.tril(0)) < 1e-14);
    }

    #[test]
    fn images_that_come_in_parts_give_the_same_whitening() {
        let x = golden("zca")["x"].shallow_clone();
        let mut covariance = Covariance::new(108, Kind::Double, Device::Cpu);
        for part in x.split(37, 0) {
            covariance.add(&part);
        }
        let (whole, parts) = (Zca::fit(&x, 0.1), covariance.whitening(0.1));
        assert!(error(&parts.transform, &whole.transform) < 1e-12);
        assert!(error(&parts.mean, &whole.mean) < 1e-12);
    }
}
