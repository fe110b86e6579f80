//! Every layout of files: the kind of data set that a profile names, and what opens its files.

use super::layout::Layout;
use super::request::DatasetRequest;
use super::{cifar, idx, image_folder, npz, parquet, shapes, tiny_imagenet, webdataset};
use astill_core::Result;
use astill_core::profile::Kind;

/// Finds the files and reads the labels; decodes nothing and creates nothing.
///
/// # Errors
/// [`astill_core::Error::Usage`] if files are missing; [`astill_core::Error::File`] if one is
/// malformed.
pub fn open(request: &DatasetRequest) -> Result<Box<dyn Layout>> {
    Ok(match request.kind {
        Kind::Shapes => Box::new(shapes::Shapes::new()),
        Kind::Cifar10 => Box::new(cifar::Cifar::find(&cifar::CIFAR10, &request.folder)?),
        Kind::Cifar100 => Box::new(cifar::Cifar::find(&cifar::CIFAR100, &request.folder)?),
        Kind::TinyImagenet => Box::new(tiny_imagenet::find(&request.folder)?),
        Kind::Parquet => Box::new(parquet::find(request)?),
        Kind::Webdataset => Box::new(webdataset::find(request)?),
        Kind::Idx => Box::new(idx::find(request)?),
        Kind::Npz => Box::new(npz::find(request)?),
        Kind::ImageFolder => {
            Box::new(image_folder::find(&request.folder)?.with_color(request.color))
        }
    })
}
