//! ZCA whitening: images whose pixels are uncorrelated, and that people still recognise.

use tch::{Device, Kind, Tensor};

/// A fitted whitening of images of D = C·H·W pixels. All tensors are on one device and of one kind.
///
/// With U diag(S) Uᵀ the covariance, an image x becomes (x − mean) · U diag((S + eps)^−½) Uᵀ. N
/// images vary in at most R = min(N, D) directions, and only these are kept: in every other one S is
/// 0, which scales it by eps^−½.
#[derive(Debug)]
pub struct Zca {
    /// (1, D), of pixels in [0, 1].
    pub mean: Tensor,
    /// (D, R), U: orthonormal columns, or 0 where the variance is 0.
    pub directions: Tensor,
    /// (R), S: the variance along every direction, at least 0 but for rounding.
    pub variances: Tensor,
    /// Added to every variance, above 0.
    pub eps: f64,
    /// [`Zca::transform`], where applying it takes less time than U and Uᵀ one by one.
    whole: Option<Tensor>,
}

impl Zca {
    /// Of its parts, each as the field says.
    pub fn new(mean: Tensor, directions: Tensor, variances: Tensor, eps: f64) -> Self {
        let is_quicker = 2 * variances.numel() > mean.numel();
        let mut zca = Self {
            mean,
            directions,
            variances,
            eps,
            whole: None,
        };
        zca.whole = is_quicker.then(|| zca.transform());
        zca
    }

    /// (D, D), symmetric: what x − mean, (N, D), is multiplied by.
    pub fn transform(&self) -> Tensor {
        if let Some(whole) = &self.whole {
            return whole.shallow_clone();
        }
        let rest = self.eps.powf(-0.5);
        let scaled = &self.directions * (scales(&self.variances, self.eps, -0.5) - rest);
        let whole = scaled.matmul(&self.directions.tr());
        let _ = whole.diagonal(0, 0, 1).g_add_scalar_(rest);
        whole
    }

    /// Fits the whitening to `pixels` (N, C, H, W) in [0, 1], in their kind and on their device; N
    /// ≥ 2.
    pub fn fit(pixels: &Tensor, eps: f64) -> Self {
        let size = pixels.size();
        let mut moments = Moments::new(
            size[0],
            size[1..].iter().product(),
            pixels.kind(),
            pixels.device(),
        );
        moments.add(pixels);
        moments.whitening(eps)
    }

    /// Whitened images, shaped like `pixels` (N, C, H, W) in [0, 1] and of the kind of the fit.
    pub fn apply(&self, pixels: &Tensor) -> Tensor {
        let centred = pixels.flatten(1, -1) - &self.mean;
        match &self.whole {
            Some(whole) => centred.matmul(whole),
            None => self.scaled(&centred, -0.5),
        }
        .view_as(pixels)
    }

    /// The pixels of whitened images (N, C, H, W), not clamped.
    pub fn invert(&self, images: &Tensor) -> Tensor {
        (self.scaled(&images.flatten(1, -1), 0.5) + &self.mean).view_as(images)
    }

    /// `x` (N, D) · U diag((S + eps)^`power`) Uᵀ, over all D directions.
    fn scaled(&self, x: &Tensor, power: f64) -> Tensor {
        let rest = self.eps.powf(power);
        let along = x.matmul(&self.directions) * (scales(&self.variances, self.eps, power) - rest);
        x * rest + along.matmul(&self.directions.tr())
    }

    /// A copy on `device` (shared if it is there already).
    pub fn to_device(&self, device: Device) -> Self {
        let moved = |tensor: &Tensor| tensor.to_device(device);
        Self {
            mean: moved(&self.mean),
            directions: moved(&self.directions),
            variances: moved(&self.variances),
            eps: self.eps,
            whole: self.whole.as_ref().map(moved),
        }
    }
}

/// About how many bytes it takes to fit and keep the whitening of `images` images of `pixels` = D numbers
/// each, in single precision.
pub fn bytes_to_fit(images: usize, pixels: usize) -> f64 {
    let (n, d) = (images as f64, pixels as f64);
    let numbers = match images < pixels {
        // the images twice, without their mean, their directions before and after scaling; the products
        // and their eigenvectors
        true => 5. * n * d + 3. * n * n,
        // the scatter, its symmetric copy, the eigenvectors and what finds them
        false => 4. * d * d,
    };
    let whole = match 2. * n.min(d) > d {
        true => 2. * d * d,
        false => 0.,
    };
    4. * (numbers + whole)
}

/// (S + eps)^`power`, shaped like `variances`.
fn scales(variances: &Tensor, eps: f64, power: f64) -> Tensor {
    (variances.clamp_min(0.0) + eps).pow_tensor_scalar(power)
}

/// What the whitening of images is fitted from, which come in parts: a large training set is never
/// held as floating-point numbers.
#[derive(Debug)]
pub(super) enum Moments {
    /// Fewer images than pixels: their parts, (n, D) each. Products of images, N × N, have the
    /// eigenvalues of the covariance, D × D.
    Images(Vec<Tensor>),
    /// At least as many images as pixels.
    Covariance(Covariance),
}

impl Moments {
    /// For `images` images of `pixels` = D numbers each, none of which is added yet.
    pub fn new(images: i64, pixels: i64, kind: Kind, device: Device) -> Self {
        match images < pixels {
            true => Self::Images(Vec::new()),
            false => Self::Covariance(Covariance::new(pixels, kind, device)),
        }
    }

    /// Adds images (N, C, H, W); N ≥ 1.
    pub fn add(&mut self, images: &Tensor) {
        let flat = images.flatten(1, -1);
        match self {
            Self::Images(parts) => parts.push(flat),
            Self::Covariance(covariance) => covariance.add(&flat),
        }
    }

    /// The whitening of the images added so far, at least one; `eps` is added to every variance.
    pub fn whitening(self, eps: f64) -> Zca {
        let (mean, directions, variances) = match self {
            Self::Images(parts) => principal(Tensor::cat(&parts, 0)),
            Self::Covariance(covariance) => covariance.principal(),
        };
        Zca::new(mean, directions, variances, eps)
    }
}

/// The mean (1, D) of `images` (N, D), the directions (D, N) in which they vary, and the variance
/// (N) along each.
fn principal(images: Tensor) -> (Tensor, Tensor, Tensor) {
    let mean = images.mean_dim(0i64, true, None);
    let centred = images - &mean;
    let (_, weights) = centred.matmul(&centred.tr()).linalg_eigh("L");
    let directions = centred.tr().matmul(&weights);
    let lengths = directions.norm_scalaropt_dim(2, 0i64, false);
    let degrees = (centred.size()[0] - 1).max(1) as f64;
    let variances = lengths.square() / degrees;
    // a direction without any variance has no length, and needs none
    (
        mean,
        directions / lengths.clamp_min(f64::from(f32::MIN_POSITIVE)),
        variances,
    )
}

/// Rows of the covariance that are worked out together.
const BLOCK: i64 = 512;

/// Mean and covariance of images that come in parts.
#[derive(Debug)]
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
    fn new(pixels: i64, kind: Kind, device: Device) -> Self {
        Self {
            count: 0,
            mean: Tensor::zeros([1, pixels], (kind, device)),
            scatter: Tensor::zeros([pixels, pixels], (kind, device)),
        }
    }

    /// Adds images (N, D); N ≥ 1. Merges the two means and scatters (Chan, Golub, LeVeque 1979),
    /// which loses no digits.
    fn add(&mut self, images: &Tensor) {
        let n = images.size()[0];
        let mean = images.mean_dim(0i64, true, None);
        let centred = images - &mean;
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

    /// The mean (1, D), the directions (D, D) in which the images vary, and the variance (D) along
    /// each.
    fn principal(self) -> (Tensor, Tensor, Tensor) {
        let covariance = self.scatter / (self.count - 1).max(1) as f64;
        // it reads nothing above the diagonal
        let (variances, directions) = covariance.linalg_eigh("L");
        (self.mean, directions, variances)
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
        let flat = x.flatten(1, -1);
        let mut covariance = Covariance::new(1200, Kind::Double, Device::Cpu);
        flat.split(4, 0)
            .iter()
            .for_each(|part| covariance.add(part));
        let centred = &flat - flat.mean_dim(0i64, true, None);
        let whole = centred.tr().matmul(&centred);
        assert!(1200 > 2 * BLOCK && error(&covariance.scatter.tril(0), &whole.tril(0)) < 1e-14);
    }

    #[test]
    fn images_that_come_in_parts_give_the_same_whitening() {
        let x = golden("zca")["x"].shallow_clone();
        for count in [60, x.size()[0]] {
            let x = x.narrow(0, 0, count);
            let mut moments = Moments::new(count, 108, Kind::Double, Device::Cpu);
            for part in x.split(37, 0) {
                moments.add(&part);
            }
            let (whole, parts) = (Zca::fit(&x, 0.1), moments.whitening(0.1));
            assert!(error(&parts.apply(&x), &whole.apply(&x)) < 1e-12);
            assert!(error(&parts.mean, &whole.mean) < 1e-12);
        }
    }

    #[test]
    fn fewer_images_than_pixels_give_the_whitening_of_their_covariance() {
        let seen = Tensor::rand([7, 3, 6, 6], (Kind::Double, Device::Cpu));
        let others = Tensor::rand([4, 3, 6, 6], (Kind::Double, Device::Cpu));
        let mut covariance = Covariance::new(108, Kind::Double, Device::Cpu);
        covariance.add(&seen.flatten(1, -1));
        let want = Moments::Covariance(covariance).whitening(0.1);
        for (kind, tolerance) in [(Kind::Double, 1e-12), (Kind::Float, 1e-5)] {
            let got = Zca::fit(&seen.to_kind(kind), 0.1);
            assert_eq!(got.directions.size(), [108, 7]);
            for images in [&seen, &others] {
                let images_of_kind = images.to_kind(kind);
                assert!(error(&got.apply(&images_of_kind), &want.apply(images)) < tolerance);
                let there_and_back = got.invert(&got.apply(&images_of_kind));
                assert!(error(&there_and_back, images) < tolerance);
            }
        }
    }
}
