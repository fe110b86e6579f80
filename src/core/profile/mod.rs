//! Profiles: what a run is to do, as typed settings, read from YAML, with one table that says what
//! every key may be.
//!
//! [`schema()`] is that table; a profile file, `--set` and a live edit are checked against it by
//! the same code and so give the same message.

mod builtin;
mod check;
mod choices;
mod load;
#[cfg(test)]
mod manual;
mod problem;
mod rules;
mod schema;
mod settings;
mod source;
#[cfg(test)]
mod tests;
mod yaml;

pub use builtin::{Builtin, builtin};
pub use choices::{Activation, Init, Intermediate, Kind, Norm, Pooling, Unreadable};
pub use load::{Loaded, load};
pub use problem::{Location, Problem, Source, problems_text};
pub use schema::{Key, Range, key, schema};
pub use settings::{
    Dataset, Distill, EvalNetwork, Evaluate, Expert, Network, NetworkKind, Profile,
};
