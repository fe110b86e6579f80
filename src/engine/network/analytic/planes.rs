//! Everything between two convolutions, fused: instance norm with its affine part, relu and 2×2
//! average pooling are one pass over the planes (one channel of one sample, H × W values), which
//! stay in the first-level cache.
//!
//! For a plane z, with the mean over the plane written ⟨·⟩: n = (z − ⟨z⟩) / s with s² = ⟨(z −
//! ⟨z⟩)²⟩ + ε, v = γ n + β, a = pool(relu(v)). A name with a dot is a derivative along a direction,
//! `d_` is the gradient of the loss, `d_…_dot` the derivative of that gradient along the direction.

use super::real::Real;
use crate::network::blocks::EPS;
use tch::{Device, Kind, Tensor};

/// The planes before a pooling.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planes {
    pub samples: usize,
    pub channels: usize,
    pub height: usize,
    pub width: usize,
}

/// How a tensor holds two things of every plane: (2, N, C, H, W), or (N, 2, C, H, W), where a
/// convolution can take both as channels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PairLayout {
    ByBatch,
    ByChannel,
}

impl Planes {
    /// Of a contiguous tensor (N, C, H, W).
    pub fn of(t: &Tensor) -> Self {
        let size = t.size();
        let [samples, channels, height, width] = [0, 1, 2, 3].map(|i| size[i] as usize);
        Self {
            samples,
            channels,
            height,
            width,
        }
    }

    /// After the pooling.
    pub fn pooled(self) -> Self {
        Self {
            height: self.height / 2,
            width: self.width / 2,
            ..self
        }
    }

    /// Values in a plane.
    fn len(self) -> usize {
        self.height * self.width
    }

    /// Index of plane (sample, channel) and its channel, for all planes in order.
    fn each(self) -> impl Iterator<Item = (usize, usize)> {
        (0..self.samples * self.channels).map(move |plane| (plane, plane % self.channels))
    }

    /// A new tensor (N, C, H, W) that is not filled.
    pub fn empty(self, kind: Kind) -> Tensor {
        Tensor::empty(
            [self.samples, self.channels, self.height, self.width].map(|n| n as i64),
            (kind, Device::Cpu),
        )
    }

    /// A new tensor for two things of every plane, not filled.
    pub fn empty_pair(self, layout: PairLayout, kind: Kind) -> Tensor {
        let [n, c, h, w] = [self.samples, self.channels, self.height, self.width].map(|n| n as i64);
        let size = if layout == PairLayout::ByBatch {
            [2, n, c, h, w]
        } else {
            [n, 2, c, h, w]
        };
        Tensor::empty(size, (kind, Device::Cpu))
    }

    /// Both things of a plane in the values of such a tensor.
    fn both<T>(self, pair: &mut [T], layout: PairLayout, plane: usize) -> (&mut [T], &mut [T]) {
        let (sample, channel) = (plane / self.channels, plane % self.channels);
        let (first, apart) = match layout {
            PairLayout::ByBatch => (plane, self.samples * self.channels),
            PairLayout::ByChannel => (sample * 2 * self.channels + channel, self.channels),
        };
        let (before, from) = pair[first * self.len()..].split_at_mut(apart * self.len());
        (&mut before[..self.len()], &mut from[..self.len()])
    }
}

/// γ and β, or their derivatives, of all channels.
#[derive(Debug, Clone, Copy)]
pub(super) struct Affine<'a, T> {
    pub gamma: &'a [T],
    pub beta: &'a [T],
}

/// What the plane passes add up per channel: the gradient with respect to γ and to β.
#[derive(Debug)]
pub(super) struct AffineGradient<T> {
    pub gamma: Vec<T>,
    pub beta: Vec<T>,
}

impl<T: Real> AffineGradient<T> {
    fn zero(channels: usize) -> Self {
        Self {
            gamma: vec![T::of(0.); channels],
            beta: vec![T::of(0.); channels],
        }
    }
}

/// Defines a pass that is compiled twice, the second time for processors with wider vectors, and
/// takes what the processor has.
macro_rules! pass {
    ($(#[$doc:meta])* fn $name:ident<T>($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$doc])*
        #[allow(clippy::too_many_arguments)]
        pub(super) fn $name<T: Real>($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            #[allow(clippy::too_many_arguments)]
            fn plain<T: Real>($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                #[allow(clippy::too_many_arguments)]
                fn wide<T: Real>($($argument: $type),*) $(-> $result)? {
                    plain($($argument),*)
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the processor has AVX2, the only feature that `wide` is compiled for.
                    return unsafe { wide($($argument),*) };
                }
            }
            plain($($argument),*)
        }
    };
}

pass! {
    /// z → n in place, and a; returns 1/s of every plane.
    fn forward<T>(planes: Planes, affine: Affine<'_, T>, z: &mut [T], a: &mut [T]) -> Vec<T> {
        let (len, pooled) = (planes.len(), planes.pooled().len());
        let share = T::of(1. / len as f64);
        let mut scales = Vec::with_capacity(planes.samples * planes.channels);
        for (plane, c) in planes.each() {
            let z = &mut z[plane * len..][..len];
            let [mean] = sums([&*z], |[z]| [z]).map(|s| s * share);
            let [variance] = sums([&*z], |[z]| [(z - mean) * (z - mean)]).map(|s| s * share);
            let scale = T::of(1.) / (variance + T::of(EPS)).sqrt();
            for z in z.iter_mut() {
                *z = (*z - mean) * scale;
            }
            scales.push(scale);
            let (gamma, beta) = (affine.gamma[c], affine.beta[c]);
            pool(
                planes.width,
                [z],
                &mut a[plane * pooled..][..pooled],
                |[n]| relu(gamma * n + beta),
            );
        }
        scales
    }
}

pass! {
    /// d_a → d_z; returns d_γ and d_β. `scales` are 1/s.
    ///
    /// d_z = (γ d_v − ⟨γ d_v⟩ − n ⟨γ d_v n⟩) / s. As ⟨d_z⟩ = 0, the gradient with respect to
    /// the bias of the convolution is 0.
    fn backward<T>(
        planes: Planes,
        affine: Affine<'_, T>,
        n: &[T],
        scales: &[T],
        d_a: &[T],
        d_z: &mut [T],
    ) -> AffineGradient<T> {
        let (len, pooled) = (planes.len(), planes.pooled().len());
        let share = T::of(1. / len as f64);
        let mut gradient = AffineGradient::zero(planes.channels);
        for (plane, c) in planes.each() {
            let (n, d_z) = (&n[plane * len..][..len], &mut d_z[plane * len..][..len]);
            let (gamma, beta) = (affine.gamma[c], affine.beta[c]);
            unpool(
                planes.width,
                n,
                &d_a[plane * pooled..][..pooled],
                d_z,
                |n| is_on(gamma * n + beta),
            );
            let [d_v, d_v_n] = sums([&*d_z, n], |[d_v, n]| [d_v, d_v * n]);
            gradient.beta[c] += d_v;
            gradient.gamma[c] += d_v_n;
            let (mean, mean_n, scale) = (d_v * share, d_v_n * share, gamma * scales[plane]);
            for (d, &n) in d_z.iter_mut().zip(n) {
                *d = (*d - mean - n * mean_n) * scale;
            }
        }
        gradient
    }
}

pass! {
    /// z_dot → n_dot in place, and [a, a_dot] into `pair`; returns ⟨n z_dot⟩ = s_dot of every
    /// plane.
    ///
    /// n_dot = (z_dot − ⟨z_dot⟩ − n s_dot) / s; v_dot = γ_dot n + γ n_dot + β_dot.
    fn forward_tangent<T>(
        planes: Planes,
        affine: Affine<'_, T>,
        affine_dot: Affine<'_, T>,
        n: &[T],
        scales: &[T],
        z_dot: &mut [T],
        pair: &mut [T],
        layout: PairLayout,
    ) -> Vec<T> {
        let len = planes.len();
        let share = T::of(1. / len as f64);
        let mut s_dots = Vec::with_capacity(planes.samples * planes.channels);
        for (plane, c) in planes.each() {
            let (n, z_dot) = (&n[plane * len..][..len], &mut z_dot[plane * len..][..len]);
            let [mean, s_dot] =
                sums([&*z_dot, n], |[z_dot, n]| [z_dot, z_dot * n]).map(|s| s * share);
            let scale = scales[plane];
            for (z_dot, &n) in z_dot.iter_mut().zip(n) {
                *z_dot = (*z_dot - mean - n * s_dot) * scale;
            }
            s_dots.push(s_dot);
            let (gamma, beta, gamma_dot, beta_dot) = (
                affine.gamma[c],
                affine.beta[c],
                affine_dot.gamma[c],
                affine_dot.beta[c],
            );
            let (a, a_dot) = planes.pooled().both(pair, layout, plane);
            pool(planes.width, [n], a, |[n]| relu(gamma * n + beta));
            pool(planes.width, [n, z_dot], a_dot, |[n, n_dot]| {
                // computed in any case: a choice between two values needs no jump, so the loop can
                // be vectorised
                let v_dot = gamma_dot * n + gamma * n_dot + beta_dot;
                if is_on(gamma * n + beta) {
                    v_dot
                } else {
                    T::of(0.)
                }
            });
        }
        s_dots
    }
}

pass! {
    /// d_a and d_a_dot → [d_z_dot, d_z] into `pair`; returns the derivatives of d_γ and d_β along
    /// the direction.
    ///
    /// With d_n = γ d_v, d_n_dot = γ d_v_dot + γ_dot d_v and e = d_n − ⟨d_n⟩ − n ⟨d_n n⟩: e_dot =
    /// d_n_dot − ⟨d_n_dot⟩ − n_dot ⟨d_n n⟩ − n ⟨d_n_dot n + d_n n_dot⟩; d_z = e / s; d_z_dot =
    /// e_dot / s − e s_dot / s².
    fn backward_tangent<T>(
        planes: Planes,
        affine: Affine<'_, T>,
        gamma_dot: &[T],
        n: &[T],
        n_dot: &[T],
        scales: &[T],
        s_dots: &[T],
        d_a: &[T],
        d_a_dot: &[T],
        pair: &mut [T],
        layout: PairLayout,
    ) -> AffineGradient<T> {
        let (len, pooled) = (planes.len(), planes.pooled().len());
        let share = T::of(1. / len as f64);
        let mut gradient = AffineGradient::zero(planes.channels);
        for (plane, c) in planes.each() {
            let (n, n_dot) = (&n[plane * len..][..len], &n_dot[plane * len..][..len]);
            let (gamma, beta, gamma_dot) = (affine.gamma[c], affine.beta[c], gamma_dot[c]);
            let (d_z_dot, d_z) = planes.both(pair, layout, plane);
            // d_v and d_v_dot first, in the places of d_z and d_z_dot
            unpool(
                planes.width,
                n,
                &d_a[plane * pooled..][..pooled],
                d_z,
                |n| is_on(gamma * n + beta),
            );
            unpool(
                planes.width,
                n,
                &d_a_dot[plane * pooled..][..pooled],
                d_z_dot,
                |n| is_on(gamma * n + beta),
            );
            let [d_v, d_v_n, d_v_dot, d_v_n_dot] =
                sums([&*d_z, &*d_z_dot, n, n_dot], |[d_v, d_v_dot, n, n_dot]| {
                    [d_v, d_v * n, d_v_dot, d_v_dot * n + d_v * n_dot]
                });
            gradient.beta[c] += d_v_dot;
            gradient.gamma[c] += d_v_n_dot;
            let (mean, mean_n) = (gamma * d_v * share, gamma * d_v_n * share);
            let mean_dot = (gamma * d_v_dot + gamma_dot * d_v) * share;
            let mean_n_dot = (gamma * d_v_n_dot + gamma_dot * d_v_n) * share;
            let scale = scales[plane];
            let shrink = s_dots[plane] * scale;
            for ((d, d_dot), (&n, &n_dot)) in d_z
                .iter_mut()
                .zip(d_z_dot.iter_mut())
                .zip(n.iter().zip(n_dot))
            {
                let e = gamma * *d - mean - n * mean_n;
                let e_dot =
                    gamma * *d_dot + gamma_dot * *d - mean_dot - n_dot * mean_n - n * mean_n_dot;
                *d = e * scale;
                *d_dot = (e_dot - e * shrink) * scale;
            }
        }
        gradient
    }
}

/// Not a number stays so, as in libtorch's relu: a loss that explodes must be seen.
#[inline(always)]
fn relu<T: Real>(v: T) -> T {
    if is_on(v) { v } else { T::of(0.) }
}

#[inline(always)]
#[allow(clippy::neg_cmp_op_on_partial_ord)]
fn is_on<T: Real>(v: T) -> bool {
    !(v <= T::of(0.))
}

/// Values that are added up side by side: twice the number that the widest vector holds.
const LANES: usize = 16;

/// Sums over slices of equal length, in an order that depends on the length alone.
#[inline(always)]
fn sums<T: Real, const K: usize, const S: usize>(
    slices: [&[T]; K],
    term: impl Fn([T; K]) -> [T; S],
) -> [T; S] {
    let split = slices.map(|s| s.as_chunks::<LANES>());
    let mut lanes = [[T::of(0.); LANES]; S];
    for i in 0..split[0].0.len() {
        let chunks = split.map(|(chunks, _)| &chunks[i]);
        for l in 0..LANES {
            let terms = term(chunks.map(|c| c[l]));
            for s in 0..S {
                lanes[s][l] += terms[s];
            }
        }
    }
    for i in 0..split[0].1.len() {
        let terms = term(split.map(|(_, rest)| rest[i]));
        for s in 0..S {
            lanes[s][i] += terms[s];
        }
    }
    let mut width = LANES;
    while width > 1 {
        width /= 2;
        for lane in &mut lanes {
            let (low, high) = lane.split_at_mut(width);
            low.iter_mut()
                .zip(high)
                .for_each(|(low, high)| *low += *high);
        }
    }
    lanes.map(|lane| lane[0])
}

/// Means over 2×2 squares of f of planes with rows of `width`; an odd last row or column is left
/// out.
#[inline(always)]
fn pool<T: Real, const K: usize>(
    width: usize,
    planes: [&[T]; K],
    pooled: &mut [T],
    f: impl Fn([T; K]) -> T,
) {
    let quarter = T::of(0.25);
    for (row, pooled) in pooled.chunks_exact_mut((width / 2).max(1)).enumerate() {
        let top = planes.map(|p| p[2 * row * width..][..width].as_chunks::<2>().0);
        let bottom = planes.map(|p| p[(2 * row + 1) * width..][..width].as_chunks::<2>().0);
        for (j, pooled) in pooled.iter_mut().enumerate() {
            let (t, b) = (top.map(|t| t[j]), bottom.map(|b| b[j]));
            *pooled = ((f(t.map(|t| t[0])) + f(t.map(|t| t[1])))
                + (f(b.map(|b| b[0])) + f(b.map(|b| b[1]))))
                * quarter;
        }
    }
}

/// The gradient of [`pool`] of relu: a quarter of the square's value where `on(n)`, else 0.
#[inline(always)]
fn unpool<T: Real>(width: usize, n: &[T], pooled: &[T], plane: &mut [T], on: impl Fn(T) -> bool) {
    let (quarter, zero) = (T::of(0.25), T::of(0.));
    let covered = pooled.len() / (width / 2).max(1) * 2;
    for (row, (plane, n)) in plane
        .chunks_exact_mut(width)
        .zip(n.chunks_exact(width))
        .enumerate()
    {
        if row >= covered {
            plane.fill(zero);
            continue;
        }
        let pooled = &pooled[row / 2 * (width / 2)..][..width / 2];
        let (squares, odd) = plane.as_chunks_mut::<2>();
        for ((square, n), &d) in squares.iter_mut().zip(n.as_chunks::<2>().0).zip(pooled) {
            let d = d * quarter;
            *square = [
                if on(n[0]) { d } else { zero },
                if on(n[1]) { d } else { zero },
            ];
        }
        odd.fill(zero);
    }
}
