//! Networks over one flat parameter vector.

mod convnet;

pub use crate::profile::{Activation, Norm, Pooling};
pub use convnet::ConvNet;
