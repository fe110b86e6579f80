//! astill distils an image data set into a few synthetic images per class with AST (arXiv 2310.10541), on libtorch.

pub mod bench;
pub mod data;
pub mod distill;
pub mod engine;
pub mod error;
pub mod headless;
mod json;
pub mod network;
pub mod profile;
pub mod progress;
pub mod random;
pub mod tensor_file;
pub mod tui;

pub use error::{Error, Result};
