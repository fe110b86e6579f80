//! [`Passes`] on the CPU.

use super::layers::BlockParameters;
use super::passes::{AffineTensors, Kept, Moved, Passes};
use super::planes::{self, Affine, AffineGradient, PairLayout, Planes};
use super::real::{Real, values, values_mut};
use std::marker::PhantomData;
use tch::{Kind, Tensor};

#[derive(Debug)]
struct CpuPasses<T>(PhantomData<T>);

/// Those for values of this kind.
pub(super) fn of(kind: Kind) -> &'static dyn Passes {
    match kind {
        Kind::Double => &CpuPasses::<f64>(PhantomData),
        _ => &CpuPasses::<f32>(PhantomData),
    }
}

fn tensors<T: Real>(gradient: &AffineGradient<T>) -> AffineTensors {
    AffineTensors {
        gamma: Tensor::from_slice(&gradient.gamma),
        beta: Tensor::from_slice(&gradient.beta),
    }
}

impl<T: Real + std::fmt::Debug> Passes for CpuPasses<T> {
    fn forward(&self, block: &BlockParameters, z: &mut Tensor) -> (Tensor, Tensor) {
        let planes = Planes::of(z);
        let mut a = planes.pooled().empty(T::KIND);
        let (z, out) = (values_mut(z), values_mut(&mut a));
        let scales = planes::forward::<T>(planes, block.affine(), z, out);
        (a, Tensor::from_slice(&scales))
    }

    fn backward(
        &self,
        block: &BlockParameters,
        n: &Tensor,
        scales: &Tensor,
        d_a: &Tensor,
    ) -> (Tensor, AffineTensors) {
        let planes = Planes::of(n);
        let mut d_z = planes.empty(T::KIND);
        let gradient = planes::backward::<T>(
            planes,
            block.affine(),
            values(n),
            values(scales),
            values(d_a),
            values_mut(&mut d_z),
        );
        (d_z, tensors(&gradient))
    }

    fn forward_tangent(
        &self,
        block: &BlockParameters,
        dot: Option<&BlockParameters>,
        kept: Kept<'_>,
        z_dot: &mut Tensor,
        layout: PairLayout,
    ) -> (Tensor, Tensor) {
        let planes = Planes::of(z_dot);
        let mut pair = planes.pooled().empty_pair(layout, T::KIND);
        let zeros = vec![T::of(0.); planes.channels];
        let still = Affine {
            gamma: &zeros,
            beta: &zeros,
        };
        let s_dots = planes::forward_tangent::<T>(
            planes,
            block.affine(),
            dot.map_or(still, BlockParameters::affine),
            values(kept.n),
            values(kept.scales),
            values_mut(z_dot),
            values_mut(&mut pair),
            layout,
        );
        (pair, Tensor::from_slice(&s_dots))
    }

    fn backward_tangent(
        &self,
        block: &BlockParameters,
        dot: Option<&BlockParameters>,
        kept: Kept<'_>,
        moved: Moved<'_>,
        layout: PairLayout,
    ) -> (Tensor, AffineTensors) {
        let planes = Planes::of(moved.n_dot);
        let mut pair = planes.empty_pair(layout, T::KIND);
        let zeros = vec![T::of(0.); planes.channels];
        let gradient = planes::backward_tangent::<T>(
            planes,
            block.affine(),
            dot.map_or(&zeros, |dot| values(&dot.gamma)),
            values(kept.n),
            values(moved.n_dot),
            values(kept.scales),
            values(moved.s_dots),
            values(kept.d_a),
            values(moved.d_a_dot),
            values_mut(&mut pair),
            layout,
        );
        (pair, tensors(&gradient))
    }
}
