//! Networks over one flat parameter vector, and the derivatives of the common one by hand.

mod convnet;
mod convolution;
mod pieces;
mod planes;
mod tangent;

pub use convnet::{Activation, ConvNet, Norm, Pooling};
pub use tangent::{Batch, ByHand, KeptPass, LossGradient};
