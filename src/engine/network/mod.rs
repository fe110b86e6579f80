//! Networks over one flat parameter vector, and the derivatives of the common one by hand.

mod analytic;
mod convnet;
mod convolution;
mod floor;
mod pieces;
mod planes;
mod tangent;

pub use analytic::{Analytic, Batch, CachedForward, LossGradient};
pub use astill_core::profile::{Activation, Norm, Pooling};
pub use convnet::ConvNet;
pub use floor::{Convolutions, Pass};
pub use pieces::PIECE_THREAD;
