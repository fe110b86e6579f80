//! Profiles: what a run does, as typed settings read from YAML, with one table of all keys.
//!
//! [`schema()`] is that table; a profile file, `--set` and a live change are checked against it by
//! the same code and so give the same message.

mod auto;
mod builtin;
mod check;
mod checkpoints_read;
mod choices;
mod difference;
mod draft;
mod key;
mod load;
#[cfg(test)]
mod manual;
mod memory;
mod problem;
pub mod published;
mod recorded;
mod rules;
mod schema;
mod source;
#[cfg(test)]
mod tests;
mod variants;

pub use auto::Auto;
pub use builtin::{Builtin, builtin};
pub use check::did_you_mean;
pub use checkpoints_read::CheckpointsRead;
pub use choices::{
    Activation, AugmentFamily, Background, Color, Init, Intermediate, Keep, Kind, LabelKind,
    MatchAt, NetworkKind, Norm, NormalisedBy, Parameters, Pooling, Start, Unreadable,
};
pub use difference::Difference;
pub use key::{ProfileKey, Range};
pub use load::{Loaded, load};
pub use memory::{MEMORY_KEYS, memory_advice};
pub use problem::{Location, Origin, Problem, Problems};
pub use published::{ChannelConstants, channel_constants};
pub use schema::{
    DatasetSettings, DistillSettings, EvaluateSettings, ExpertSettings, NetworkSettings, Profile,
    key, schema,
};
pub use variants::{BASE, Variant, Variants, load_variants};
