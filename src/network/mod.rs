//! Networks over one flat parameter vector.

mod convnet;

pub use convnet::{Activation, ConvNet, Norm, Pooling};
