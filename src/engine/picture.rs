//! The synthetic images as a PNG: one row per class, one column per image, without gaps.

use astill_core::{Error, Result};
use image::ImageEncoder;
use std::path::Path;
use tch::{Device, Kind, Tensor};

/// Writes pixels in [0, 1], (classes · ipc, 3, H, W) class after class, as one picture.
///
/// # Errors
/// [`Error::File`] for a picture too large for the format, or where the file cannot be written.
pub fn save(path: &Path, pixels: &Tensor, classes: i64) -> Result<()> {
    let size = pixels.size();
    let (channels, height, width) = (size[1], size[2], size[3]);
    let columns = size[0] / classes.max(1);
    let grid = pixels
        .view([classes, columns, channels, height, width])
        .permute([0, 3, 1, 4, 2]) // class, row of pixels, image, column of pixels, channel
        .expand([classes, height, columns, width, 3], false);
    let bytes = (grid * 255.)
        .round()
        .clamp(0., 255.)
        .to_kind(Kind::Uint8)
        .to_device(Device::Cpu)
        .contiguous();
    let png = encoded(&bytes, columns * width, classes * height)?;
    astill_core::files::atomic::write_atomically(path, &png)
}

/// An image of bytes, u8 (C, H, W) of one channel or three, as a PNG.
///
/// # Errors
/// Another number of channels.
pub fn png(pixels: &Tensor) -> Result<Vec<u8>> {
    let size = pixels.size();
    let (height, width) = (size[1], size[2]);
    encoded(&pixels.permute([1, 2, 0]), width, height)
}

/// Of bytes (height, width, channels) in any shape with this order.
fn encoded(bytes: &Tensor, width: i64, height: i64) -> Result<Vec<u8>> {
    let bytes = bytes.to_device(Device::Cpu).contiguous();
    let mut buffer = vec![0u8; bytes.numel()];
    bytes.copy_data_u8(&mut buffer, bytes.numel());
    let channels = buffer.len() as i64 / (width * height).max(1);
    let color = match channels {
        1 => image::ExtendedColorType::L8,
        3 => image::ExtendedColorType::Rgb8,
        other => {
            return Err(Error::Usage(format!(
                "expected images of 1 or 3 channels for a PNG, found {other}"
            )));
        }
    };
    let mut png = Vec::new();
    image::codecs::png::PngEncoder::new(&mut png)
        .write_image(&buffer, width as u32, height as u32, color)
        .map_err(|e| Error::Usage(format!("cannot encode a picture: {e}")))?;
    Ok(png)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_row_per_class() -> Result<()> {
        let folder = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let path = folder.path().join("p.png");
        // 2 classes, 3 images each, of 1×1 pixels whose red is the image's number
        let red = Tensor::from_slice(&[0f32, 1., 2., 3., 4., 5.]).view([6, 1, 1, 1]) / 255.;
        let pixels = Tensor::cat(&[&red, &red.zeros_like(), &red.zeros_like()], 1);
        save(&path, &pixels, 2)?;
        let picture = image::open(&path)
            .map_err(|e| Error::file(&path, e.to_string()))?
            .to_rgb8();
        assert_eq!(picture.dimensions(), (3, 2));
        assert_eq!(
            picture.pixels().map(|p| p.0[0]).collect::<Vec<_>>(),
            [0, 1, 2, 3, 4, 5]
        );
        Ok(())
    }
}
