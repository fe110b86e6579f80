//! The method, a file per idea, in the order of the paper.

mod matching;
mod representative;

pub use matching::Intermediate;
pub use representative::Init;
