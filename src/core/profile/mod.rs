//! Profiles: what a run does, as typed settings read from YAML, with one table of all keys.
//!
//! [`schema()`] is that table; a profile file, `--set` and a live change are checked against it by
//! the same code and so give the same message.

mod auto;
mod builtin;
mod check;
mod choices;
mod draft;
mod key;
mod load;
#[cfg(test)]
mod manual;
mod memory;
mod problem;
mod rules;
mod schema;
mod source;
#[cfg(test)]
mod tests;
mod variants;
mod yaml;

pub use auto::Auto;
pub use builtin::{Builtin, builtin};
pub use choices::{
    Activation, AugmentFamily, Background, Color, EvalNetwork, Init, Intermediate, Kind, LabelKind,
    MatchAt, NetworkKind, Norm, Parameters, Pooling, Unreadable,
};
pub use key::{ProfileKey, Range};
pub use load::{Loaded, load};
pub use memory::{MEMORY_KEYS, memory_advice};
pub use problem::{Location, Origin, Problem, Problems};
pub use schema::{
    DatasetSettings, DistillSettings, EvaluateSettings, ExpertSettings, NetworkSettings, Profile,
    key, schema,
};
pub use variants::{BASE, Variant, Variants, load_variants};
