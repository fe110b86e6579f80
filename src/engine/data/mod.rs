//! Data sets: from files (or from nothing, for the drawn shapes) to normalised splits on a device.
//!
//! A [`DatasetRequest`] gets the layout of its files from the `register`, plans which training
//! images belong to which split, reads the pixels as u8, fits the normalisation on the training
//! images alone, and returns a [`Dataset`]. A layout of files is one file that implements
//! `layout::Layout` and has one line in the `register`; it knows neither the register nor the other
//! layouts.

mod archive;
pub mod augment;
mod cache;
mod cifar;
mod cifar_python;
mod classes;
mod content;
mod decode;
mod facts;
mod fingerprint;
mod idx;
mod image_folder;
mod image_list;
mod image_source;
mod inventory;
mod known;
mod layout;
mod left_out;
mod load;
mod normalisation;
mod npz;
mod parquet;
mod parts;
mod pixels;
mod plain;
mod png;
mod register;
mod release;
mod request;
mod rows;
mod shapes;
mod split;
mod split_plan;
mod survey;
mod tiny_imagenet;
mod walk;
mod webdataset;
mod zca;

pub use astill_core::profile::{Kind, NormalisedBy, Unreadable};
pub use augment::Augmentation;
pub use inventory::Inventory;
pub use known::known_inventory;
pub use left_out::{LeftOutFile, count as count_left_out, list as list_left_out};
pub use load::Dataset;
pub use normalisation::Normalisation;
pub use request::DatasetRequest;
pub use split::{DataSplit, WHITENED_AT_ONCE};
pub use survey::Survey;
pub use zca::Zca;

/// The parsers of foreign files, without the layouts around them: tests give each of them a million
/// inputs, for which loading a data set every time would take hours.
#[doc(hidden)]
pub mod parsers {
    pub use super::cache::{read_images, read_zca};
    pub use super::cifar::{CIFAR10, CIFAR100, Cifar};
    pub use super::decode::{Decoder, Encoded, Form};
    pub use super::idx::read_part as read_idx;
    pub use super::image_list::ImageList;
    pub use super::layout::{BySplit, Layout};
    pub use super::npz::find as find_npz;
    pub use super::parquet::find as find_parquet;
    pub use super::plain::PlainImages;
    pub use super::tiny_imagenet::{annotated, ids, names};
    pub use super::walk::Walk;
    pub use super::webdataset::find as find_webdataset;
}

#[cfg(test)]
mod tests;
