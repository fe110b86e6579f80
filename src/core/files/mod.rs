//! Files: written completely or not at all, and read with limits where they cannot be trusted.

pub mod atomic;
pub mod sharing;
pub mod untrusted;
