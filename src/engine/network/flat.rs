//! The flat parameter vector of a network, seen as the tensors of its layers.

use tch::Tensor;

/// The shapes of the tensors that make up a flat vector, in order.
#[derive(Debug, Clone)]
pub(super) struct FlatShapes {
    shapes: Vec<Vec<i64>>,
    sizes: Vec<i64>,
}

impl FlatShapes {
    pub fn new(shapes: Vec<Vec<i64>>) -> Self {
        let sizes = shapes.iter().map(|shape| shape.iter().product()).collect();
        Self { shapes, sizes }
    }

    /// P, the length of the flat vector.
    pub fn parameters(&self) -> i64 {
        self.sizes.iter().sum()
    }

    /// The length of every tensor.
    pub fn sizes(&self) -> &[i64] {
        &self.sizes
    }

    /// The flat vector (P) as one view per tensor.
    pub fn unflatten(&self, flat: &Tensor) -> Vec<Tensor> {
        let stretches = flat.split_with_sizes(&self.sizes, 0);
        stretches
            .iter()
            .zip(&self.shapes)
            .map(|(stretch, shape)| stretch.view(shape.as_slice()))
            .collect()
    }
}
