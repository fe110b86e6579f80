//! Data sets.

mod kind;

pub use kind::Kind;
