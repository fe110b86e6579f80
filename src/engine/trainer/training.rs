//! What the phase of the experts works with.

use crate::data::Dataset;
use crate::network::Network;
use astill_core::profile::Profile;
use std::path::Path;
use tch::Device;

/// What the training of experts needs.
#[derive(Debug)]
pub struct Training<'a> {
    pub net: &'a dyn Network,
    pub dataset: &'a Dataset,
    pub profile: &'a Profile,
    /// Where the store is.
    pub data: &'a Path,
    pub device: Device,
}
