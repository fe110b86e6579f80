//! What hurts later is counted, by the look at the images and by the run alike.

use super::*;
use crate::data::decode::FIRST_CHUNK;
use image::{GrayImage, ImageBuffer, Luma, Rgba, RgbaImage};
use std::fs;
use std::time::Duration;
use tempfile::TempDir;

/// The kinds and counts of the warnings about a folder, which the look and the load must agree on.
fn warnings(root: &Path) -> Vec<(String, u64)> {
    let request = request(Kind::ImageFolder, root, 4);
    let survey = request
        .survey(Duration::MAX / 4, &mut ignore_progress)
        .unwrap();
    assert_eq!(survey.looked_at, survey.images);
    for _fresh_and_cached in 0..2 {
        let dataset = request.load(&mut ignore_progress).unwrap();
        assert_eq!(dataset.warnings, survey.warnings);
    }
    survey
        .warnings
        .into_iter()
        .map(|warning| (warning.kind, warning.count))
        .collect()
}

fn of(kind: &str, count: u64) -> (String, u64) {
    (kind.to_owned(), count)
}

/// Two classes of three different training images and one test image.
fn folder() -> TempDir {
    let home = TempDir::new().unwrap();
    for (class, green) in [("a", 0), ("b", 100)] {
        for (part, count, blue) in [("train", 3, 0), ("test", 1, 200)] {
            for index in 0..count {
                let path = home.path().join(format!("{part}/{class}/{index}.png"));
                save(&path, RgbImage::from_pixel(4, 4, Rgb([index, green, blue])));
            }
        }
    }
    home
}

#[test]
fn a_good_set_has_none() {
    assert_eq!(warnings(folder().path()), []);
}

#[test]
fn equal_images_across_parts_and_labels() {
    let home = folder();
    let at = |name: &str| home.path().join(name);
    fs::copy(at("train/a/0.png"), at("test/a/9.png")).unwrap();
    fs::copy(at("train/a/1.png"), at("train/b/9.png")).unwrap();
    let want = [of("equal-across-parts", 1), of("equal-across-labels", 2)];
    assert_eq!(warnings(home.path()), want);
}

#[test]
fn validation_images_that_judge_too() {
    let home = folder();
    for class in ["a", "b"] {
        let at = |part: &str| home.path().join(format!("{part}/{class}/0.png"));
        fs::create_dir_all(at("val").parent().unwrap()).unwrap();
        fs::copy(at("test"), at("val")).unwrap();
    }
    assert_eq!(warnings(home.path()), [of("equal-across-parts", 2)]);
    let request = request(Kind::ImageFolder, home.path(), 4);
    let dataset = request.load(&mut ignore_progress).unwrap();
    let message = &dataset.warnings[0].message;
    assert!(
        message.contains("2 of 2 validation images are also test images"),
        "{message}"
    );
}

#[test]
fn one_image_is_spoken_of_as_one() {
    let home = folder();
    let at = |name: &str| home.path().join(name);
    fs::copy(at("train/a/0.png"), at("test/a/9.png")).unwrap();
    let dataset = request(Kind::ImageFolder, home.path(), 4)
        .load(&mut ignore_progress)
        .unwrap();
    let message = &dataset.warnings[0].message;
    assert!(
        message.contains("1 of 3 test images is also a training image"),
        "{message}"
    );
}

#[test]
fn a_class_without_test_images_and_a_set_of_equal_ones() {
    let home = folder();
    fs::remove_dir_all(home.path().join("test/b")).unwrap();
    assert_eq!(warnings(home.path()), [of("class-without-test", 1)]);
    for file in ["a/0", "a/1", "a/2", "b/0", "b/1", "b/2"] {
        let path = home.path().join(format!("train/{file}.png"));
        save(&path, RgbImage::new(4, 4));
    }
    let want = [of("class-without-test", 1), of("all-equal", 6)];
    assert_eq!(warnings(home.path()), want);
}

#[test]
fn deep_transparent_and_turned_images() {
    let home = folder();
    let at = |name: &str| home.path().join(name);
    let deep = ImageBuffer::from_pixel(4, 4, Rgb([4095u16, 100, 0]));
    save(&at("train/a/deep.png"), DynamicImage::ImageRgb16(deep));
    let ink = RgbaImage::from_fn(4, 4, |x, _| Rgba([0, 0, 0, 60 * x as u8]));
    save(&at("train/b/ink.png"), ink);
    let opaque = RgbaImage::from_pixel(4, 4, Rgba([9, 9, 9, 255]));
    save(&at("train/b/opaque.png"), opaque);
    save(
        &at("train/b/turned.jpg"),
        RgbImage::from_pixel(4, 4, Rgb([80, 90, 200])),
    );
    let jpeg = fs::read(at("train/b/turned.jpg")).unwrap();
    let exif =
        b"\xFF\xE1\0\x22Exif\0\0MM\0\x2A\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    write(
        &at("train/b/turned.jpg"),
        [&jpeg[..2], exif, &jpeg[2..]].concat(),
    );
    let want = [
        of("dark-16-bit", 1),
        of("transparent", 1),
        of("orientation", 1),
    ];
    assert_eq!(warnings(home.path()), want);
}

#[test]
fn transparent_images_lie_over_the_background() {
    let home = folder();
    let ink = RgbaImage::from_fn(4, 4, |x, _| Rgba([0, 0, 0, 85 * x as u8]));
    save(&home.path().join("train/a/0.png"), ink);
    for (background, want) in [
        (
            astill_core::profile::Background::White,
            [255., 170., 85., 0.],
        ),
        (astill_core::profile::Background::Black, [0., 0., 0., 0.]),
        (astill_core::profile::Background::Grey, [128., 85., 43., 0.]),
    ] {
        let request = DatasetRequest {
            background,
            ..request(Kind::ImageFolder, home.path(), 4)
        };
        let dataset = request.load(&mut ignore_progress).unwrap();
        assert_pixels(&pixels(&dataset, &dataset.train, 0)[..4], &want);
    }
}

#[test]
fn a_look_that_takes_too_long_ends_and_says_how_far_it_came() {
    let home = folder();
    for index in 0..1100 {
        let image = GrayImage::from_fn(1, 1, |_, _| Luma([index as u8]));
        save(&home.path().join(format!("train/a/x{index}.pgm")), image);
    }
    let request = request(Kind::ImageFolder, home.path(), 1);
    let survey = request
        .survey(Duration::ZERO, &mut ignore_progress)
        .unwrap();
    assert_eq!((survey.looked_at, survey.images), (FIRST_CHUNK, 1108));
}
