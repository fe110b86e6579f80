//! Files: written as a whole or not at all, and read with a bound where anybody may have made them.

pub mod atomic;
pub mod untrusted;
