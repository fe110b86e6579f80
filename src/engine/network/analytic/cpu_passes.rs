//! [`Passes`] on the CPU.

use super::layers::BlockParameters;
use super::passes::{AffineTensors, BlockDirection, Kept, Moved, Passes};
use super::planes::{self, Affine, AffineGradient, Planes};
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

    fn backward(&self, block: &BlockParameters, kept: Kept<'_>) -> (Tensor, AffineTensors) {
        let planes = Planes::of(kept.n);
        let mut d_z = planes.empty(T::KIND);
        let gradient = planes::backward::<T>(
            planes,
            block.affine(),
            values(kept.n),
            values(kept.scales),
            values(kept.d_a),
            values_mut(&mut d_z),
        );
        (d_z, tensors(&gradient))
    }

    fn forward_tangent(&self, along: &BlockDirection<'_>, z_dot: &mut Tensor) -> (Tensor, Tensor) {
        let planes = Planes::of(z_dot);
        let mut pair = planes.pooled().empty_pair(along.layout, T::KIND);
        let zeros = vec![T::of(0.); planes.channels];
        let still = Affine {
            gamma: &zeros,
            beta: &zeros,
        };
        let s_dots = planes::forward_tangent::<T>(
            planes,
            along.block.affine(),
            along.dot.map_or(still, BlockParameters::affine),
            values(along.kept.n),
            values(along.kept.scales),
            values_mut(z_dot),
            values_mut(&mut pair),
            along.layout,
        );
        (pair, Tensor::from_slice(&s_dots))
    }

    fn backward_tangent(
        &self,
        along: &BlockDirection<'_>,
        moved: Moved<'_>,
    ) -> (Tensor, AffineTensors) {
        let planes = Planes::of(moved.n_dot);
        let mut pair = planes.empty_pair(along.layout, T::KIND);
        let zeros = vec![T::of(0.); planes.channels];
        let gradient = planes::backward_tangent::<T>(
            planes,
            along.block.affine(),
            along.dot.map_or(&zeros, |dot| values(&dot.gamma)),
            values(along.kept.n),
            values(moved.n_dot),
            values(along.kept.scales),
            values(moved.s_dots),
            values(along.kept.d_a),
            values(moved.d_a_dot),
            values_mut(&mut pair),
            along.layout,
        );
        (pair, tensors(&gradient))
    }
}
