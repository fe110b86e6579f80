//! Files: written completely or not at all, and read with limits where they cannot be trusted.

pub mod atomic;
pub mod clock;
pub mod sharing;
pub mod tar_names;
pub mod untrusted;
