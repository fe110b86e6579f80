//! Decoding: colours, shapes, sizes, and files that cannot be read.

use super::*;
use image::{GrayImage, ImageBuffer, Luma, Rgba, RgbaImage};
use std::fs;
use tempfile::TempDir;

#[test]
fn every_colour_mode_becomes_rgb() {
    let home = TempDir::new().unwrap();
    let at = |name: &str| home.path().join(format!("train/a/{name}"));
    save(&at("0-grey.png"), GrayImage::from_pixel(4, 4, Luma([80])));
    save(
        &at("1-deep.png"),
        DynamicImage::ImageRgb16(ImageBuffer::from_pixel(
            4,
            4,
            Rgb([257 * 9, 257 * 8, 257 * 7]),
        )),
    );
    save(
        &at("2-alpha.png"),
        RgbaImage::from_pixel(4, 4, Rgba([200, 100, 50, 51])),
    );
    save(&at("3-grey.JPEG"), GrayImage::from_pixel(4, 4, Luma([80])));
    save(
        &at("4-deep-grey.png"),
        DynamicImage::ImageLuma16(ImageBuffer::from_pixel(4, 4, Luma([257 * 30]))),
    );
    // A JPEG that is called png: the content decides.
    RgbImage::from_pixel(4, 4, Rgb([80, 80, 80]))
        .save_with_format(at("5-named-wrongly.png"), image::ImageFormat::Jpeg)
        .unwrap();
    save(
        &home.path().join("train/b/0.png"),
        RgbImage::from_pixel(4, 4, Rgb([1, 2, 3])),
    );
    save(&home.path().join("test/a/0.png"), RgbImage::new(4, 4));
    save(&home.path().join("test/b/0.png"), RgbImage::new(4, 4));
    let dataset = request(Kind::ImageFolder, home.path(), 4)
        .load(&mut ignore_progress)
        .unwrap();
    let colours = [
        [80., 80., 80.],
        [9., 8., 7.],
        [244., 224., 214.],
        [80., 80., 80.],
        [30., 30., 30.],
        [80., 80., 80.],
        [1., 2., 3.],
    ];
    for (row, colour) in (0..).zip(colours) {
        let want: Vec<f32> = colour.iter().flat_map(|&value| [value; 16]).collect();
        assert_pixels(&pixels(&dataset, &dataset.train, row), &want);
    }
}

#[test]
fn the_central_square_is_kept() {
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 1);
    // Red, but for a green square in the middle: 8 × 8 of 24 × 8.
    let wide = RgbImage::from_fn(24, 8, |x, _| {
        if (8..16).contains(&x) {
            Rgb([0, 90, 0])
        } else {
            Rgb([90, 0, 0])
        }
    });
    save(&home.path().join("train/cat/0.png"), wide.clone());
    save(
        &home.path().join("train/dog/0.png"),
        image::imageops::rotate90(&wide),
    );
    for size in [8, 4] {
        let dataset = request(Kind::ImageFolder, home.path(), size)
            .load(&mut ignore_progress)
            .unwrap();
        let plane = (size * size) as usize;
        let want = [vec![0.0; plane], vec![90.0; plane], vec![0.0; plane]].concat();
        assert_pixels(&pixels(&dataset, &dataset.train, 0), &want);
        assert_pixels(&pixels(&dataset, &dataset.train, 1), &want);
    }
}

#[test]
fn unreadable_images_are_counted_and_named() {
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 9);
    for index in 0..7 {
        write(
            &home.path().join(format!("train/dog/{index}.png")),
            "not an image",
        );
    }
    let problem = request(Kind::ImageFolder, home.path(), 4)
        .load(&mut ignore_progress)
        .unwrap_err()
        .to_string();
    assert!(
        problem.contains("7 of 20 images cannot be used: train/dog/0.png (")
            && problem.contains("train/dog/4.png"),
        "{problem}"
    );
    assert!(!problem.contains("train/dog/5.png"), "{problem}");
}

#[test]
fn a_picture_of_absurd_dimensions_is_refused() {
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 1);
    let mut png = fs::read(home.path().join("train/cat/0.png")).unwrap();
    png[16..24].copy_from_slice(&[0, 1, 0, 0, 0, 1, 0, 0]); // width and height 65,536 in the header
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    write(&home.path().join("train/cat/0.png"), png);
    let problem = request(Kind::ImageFolder, home.path(), 4)
        .load(&mut ignore_progress)
        .unwrap_err()
        .to_string();
    assert!(problem.to_lowercase().contains("limit"), "{problem}");
}

/// The checksum of a PNG chunk.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}
