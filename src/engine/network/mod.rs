//! Networks over one flat parameter vector, and the derivatives of the common one by hand.

mod by_hand;
mod convnet;
mod convolution;
mod floor;
mod pieces;
mod planes;
mod tangent;

pub use astill_core::profile::{Activation, Norm, Pooling};
pub use by_hand::{Batch, ByHand, KeptPass, LossGradient};
pub use convnet::ConvNet;
pub use floor::{Convolutions, Way};
pub use pieces::PIECE_THREAD;
