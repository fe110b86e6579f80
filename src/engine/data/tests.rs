//! Whole data sets, in temporary folders.

use super::*;
use crate::progress::Progress;
use image::{DynamicImage, GrayImage, ImageBuffer, Luma, Rgb, RgbImage, Rgba, RgbaImage};
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use tempfile::TempDir;

fn go_on(_: Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn request(kind: Kind, folder: &Path, size: i64) -> Request {
    let cache = folder.join(".cache");
    Request {
        kind,
        folder: folder.to_path_buf(),
        size,
        train_limit: None,
        validation: 0.0,
        zca: false,
        seed: 0,
        unreadable: Unreadable::Refuse,
        cache,
    }
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn save(path: &Path, image: impl Into<DynamicImage>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    image.into().save(path).unwrap();
}

/// CIFAR-10 with `n` images a class in the training files together, all pixels of image i being i,
/// and one a class in the test file.
fn cifar10(folder: &Path, n: usize) {
    let record = |label: usize, pixel: usize| [vec![label as u8], vec![pixel as u8; 3072]].concat();
    let records: Vec<_> = (0..10 * n).map(|i| record(i % 10, i)).collect();
    for (file, records) in (1..).zip(records.chunks(2 * n)) {
        write(
            &folder.join(format!("data_batch_{file}.bin")),
            records.concat(),
        );
    }
    write(
        &folder.join("test_batch.bin"),
        (0..10)
            .map(|i| record(i, 100 + i))
            .collect::<Vec<_>>()
            .concat(),
    );
    write(
        &folder.join("batches.meta.txt"),
        "airplane\nb\nc\nd\ne\nf\ng\nh\ni\ntruck\n\n",
    );
}

/// Two classes of `n` training images and one test image of 4 × 4, each of one colour.
fn image_folder(folder: &Path, n: u8) {
    for (class, blue) in [("cat", 0), ("dog", 200)] {
        for index in 0..n {
            save(
                &folder.join(format!("train/{class}/{index}.png")),
                RgbImage::from_pixel(4, 4, Rgb([10 * index, 0, blue])),
            );
        }
        save(
            &folder.join(format!("test/{class}/0.PNG")),
            RgbImage::from_pixel(4, 4, Rgb([5, 0, blue])),
        );
    }
}

/// The pixels (0 … 255, f32) of one row.
fn pixels(dataset: &Dataset, split: &Split, row: i64) -> Vec<f32> {
    let (images, _) = split.batch(&[row]);
    (dataset.normalisation.invert(&images) * 255.0)
        .view([-1])
        .try_into()
        .unwrap()
}

fn assert_pixels(got: &[f32], want: &[f32]) {
    assert_eq!(got.len(), want.len());
    assert!(
        got.iter()
            .zip(want)
            .all(|(got, want)| (got - want).abs() < 0.01),
        "{got:?} is not {want:?}"
    );
}

#[test]
fn cifar_is_read_from_its_folder_and_from_the_parent() {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("cifar-10-batches-bin");
    cifar10(&folder, 3);
    for at in [home.path(), &folder] {
        let dataset = request(Kind::Cifar10, at, 32).load(&mut go_on).unwrap();
        assert_eq!(
            (
                dataset.train.len(),
                dataset.validation.len(),
                dataset.test.len()
            ),
            (30, 0, 10)
        );
        assert_eq!(dataset.classes[9], "truck");
        assert_eq!(dataset.train.rows_of(3), [3, 13, 23]);
        assert_pixels(&pixels(&dataset, &dataset.train, 13), &[13.0; 3072]);
        assert_pixels(&pixels(&dataset, &dataset.test, 4), &[104.0; 3072]);
        let (images, labels) = dataset.train.batch(&[13, 5]);
        assert_eq!(
            (images.size(), images.kind()),
            (vec![2, 3, 32, 32], tch::Kind::Float)
        );
        assert_eq!(Vec::<i64>::try_from(labels).unwrap(), [3, 5]);
    }
}

#[test]
fn cifar_at_another_size_is_resized() {
    let home = TempDir::new().unwrap();
    cifar10(home.path(), 1);
    for size in [16, 48] {
        let dataset = request(Kind::Cifar10, home.path(), size)
            .load(&mut go_on)
            .unwrap();
        assert_pixels(
            &pixels(&dataset, &dataset.train, 7),
            &vec![7.0; (3 * size * size) as usize],
        );
    }
}

#[test]
fn cifar_100_uses_the_fine_labels() {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("cifar-100-binary");
    let records: Vec<u8> = (0..100u8)
        .flat_map(|fine| [vec![99, fine], vec![fine; 3072]].concat())
        .collect();
    write(&folder.join("train.bin"), &records);
    write(&folder.join("test.bin"), &records);
    write(
        &folder.join("fine_label_names.txt"),
        (0..100)
            .map(|class| format!("name {class}\n"))
            .collect::<String>(),
    );
    let dataset = request(Kind::Cifar100, home.path(), 32)
        .load(&mut go_on)
        .unwrap();
    assert_eq!(dataset.train.labels(), (0..100).collect::<Vec<i64>>());
    assert_pixels(&pixels(&dataset, &dataset.train, 42), &[42.0; 3072]);
}

#[test]
fn a_cifar_file_that_is_cut_off_or_has_wrong_labels_is_named() {
    let home = TempDir::new().unwrap();
    cifar10(home.path(), 2);
    let file = home.path().join("data_batch_3.bin");
    let whole = fs::read(&file).unwrap();
    let problem = || {
        request(Kind::Cifar10, home.path(), 32)
            .inspect()
            .unwrap_err()
            .to_string()
    };

    fs::write(&file, &whole[..whole.len() - 1]).unwrap();
    assert!(
        problem().contains("data_batch_3.bin") && problem().contains("3073 bytes, found 12291"),
        "{}",
        problem()
    );

    let mut wrong = whole.clone();
    wrong[3073] = 10;
    fs::write(&file, &wrong).unwrap();
    assert!(
        problem().contains("from 0 to 9, found 10 in record 1"),
        "{}",
        problem()
    );

    fs::write(&file, &whole).unwrap();
    write(&home.path().join("batches.meta.txt"), "airplane\n");
    assert!(
        problem().contains("expected 10 class names, one a line, found 1"),
        "{}",
        problem()
    );
}

#[test]
fn a_missing_data_set_is_wrong_usage_that_says_what_to_do_and_creates_nothing() {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("nowhere");
    for (kind, parts) in [
        (
            Kind::Cifar10,
            [
                "data_batch_1.bin",
                "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            ],
        ),
        (
            Kind::Cifar100,
            [
                "fine_label_names.txt",
                "https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
            ],
        ),
        (
            Kind::TinyImagenet,
            [
                "wnids.txt",
                "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
            ],
        ),
        (
            Kind::ImageFolder,
            ["train/CLASS", "there is no such folder"],
        ),
    ] {
        let error = request(kind, &folder, 32).inspect().unwrap_err();
        let text = error.to_string();
        assert_eq!(error.exit_status(), 2);
        let folder = folder.display().to_string();
        for part in parts.into_iter().chain([folder.as_str(), "dataset.path"]) {
            assert!(text.contains(part), "{part} is not in: {text}");
        }
    }
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn the_counts_of_the_inventory_are_those_of_the_loaded_splits() {
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 9);
    cifar10(home.path(), 7);
    for kind in [Kind::Cifar10, Kind::ImageFolder] {
        for (train_limit, validation) in [
            (None, 0.0),
            (None, 0.1),
            (Some(13), 0.3),
            (Some(10), 0.1),
            (Some(1000), 0.5),
        ] {
            let request = Request {
                train_limit,
                validation,
                ..request(kind, home.path(), 4)
            };
            let (inventory, dataset) = (
                request.inspect().unwrap(),
                request.load(&mut go_on).unwrap(),
            );
            let counts = |split: &Split| {
                (0..)
                    .zip(&dataset.classes)
                    .map(|(class, _)| split.rows_of(class).len())
                    .collect::<Vec<_>>()
            };
            assert_eq!(inventory.classes, dataset.classes);
            assert_eq!(inventory.train, counts(&dataset.train));
            assert_eq!(inventory.validation, counts(&dataset.validation));
            assert_eq!(inventory.test, counts(&dataset.test));
        }
    }
}

#[test]
fn the_fingerprint_is_of_the_whole_training_set() {
    let home = TempDir::new().unwrap();
    cifar10(home.path(), 4);
    let of = |train_limit, seed, size| {
        let request = Request {
            train_limit,
            seed,
            ..request(Kind::Cifar10, home.path(), size)
        };
        request.load(&mut go_on).unwrap().fingerprint
    };
    let whole = of(None, 0, 32);
    assert_eq!(whole, of(Some(20), 1, 32));
    assert_ne!(whole, of(None, 0, 16));
    cifar10(home.path(), 5);
    assert_ne!(whole, of(None, 0, 32));
}

#[test]
fn an_image_folder_may_be_the_only_sub_folder_and_hidden_files_are_left_out() {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("pets");
    image_folder(&folder, 2);
    write(&folder.join("train/cat/.hidden.png"), "");
    write(&folder.join("train/.git/0.png"), "");
    write(&folder.join("train/cat/notes.txt"), "");
    fs::rename(folder.join("test"), folder.join("val")).unwrap();
    let inventory = request(Kind::ImageFolder, home.path(), 4)
        .inspect()
        .unwrap();
    assert_eq!(inventory.classes, ["cat", "dog"]);
    assert_eq!((inventory.train, inventory.test), (vec![2, 2], vec![1, 1]));
}

#[test]
fn test_images_of_an_unknown_class_and_classes_without_images_are_errors() {
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 1);
    fs::create_dir_all(home.path().join("train/empty")).unwrap();
    let problem = || {
        request(Kind::ImageFolder, home.path(), 4)
            .inspect()
            .unwrap_err()
            .to_string()
    };
    assert!(problem().contains("\"empty\""), "{}", problem());
    fs::remove_dir(home.path().join("train/empty")).unwrap();
    fs::create_dir_all(home.path().join("test/bird")).unwrap();
    assert!(problem().contains("test/bird"), "{}", problem());
}

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
    let dataset = request(Kind::ImageFolder, home.path(), 4)
        .load(&mut go_on)
        .unwrap();
    let colours = [
        [80., 80., 80.],
        [9., 8., 7.],
        [40., 20., 10.],
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
            .load(&mut go_on)
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
            "no image",
        );
    }
    let problem = request(Kind::ImageFolder, home.path(), 4)
        .load(&mut go_on)
        .unwrap_err()
        .to_string();
    assert!(
        problem.contains("7 of 20 images cannot be read: train/dog/0.png (")
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
        .load(&mut go_on)
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

#[test]
fn decoded_images_come_from_the_cache_until_a_file_changes_and_damage_is_repaired() {
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 5);
    let load = || {
        let mut read = 0;
        let dataset = request(Kind::ImageFolder, home.path(), 4).load(&mut |progress| {
            read += u64::from(progress.what == "images read");
            ControlFlow::Continue(())
        });
        (dataset.unwrap().fingerprint, read > 0)
    };
    let (fresh, decoded) = load();
    assert!(decoded);
    assert_eq!(load(), (fresh.clone(), false));

    let cached = fs::read_dir(home.path().join(".cache"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    let whole = fs::read(&cached).unwrap();
    for damaged in [&whole[..whole.len() / 2], b"garbage"] {
        fs::write(&cached, damaged).unwrap();
        assert_eq!(load(), (fresh.clone(), true));
        assert_eq!(load(), (fresh.clone(), false));
    }

    save(
        &home.path().join("train/cat/1.png"),
        RgbImage::from_pixel(9, 9, Rgb([1, 2, 3])),
    );
    let (changed, decoded) = load();
    assert!(decoded && changed != fresh);
}

#[test]
fn a_cache_folder_that_cannot_be_made_is_no_error() {
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 3);
    write(&home.path().join("file"), "");
    let request = Request {
        cache: home.path().join("file/cache"),
        zca: true,
        ..request(Kind::ImageFolder, home.path(), 4)
    };
    assert_eq!(request.load(&mut go_on).unwrap().train.len(), 6);
}

#[test]
fn reading_stops_when_asked_to() {
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 1);
    cifar10(home.path(), 1);
    for kind in [Kind::Shapes, Kind::Cifar10, Kind::ImageFolder] {
        let stopped = request(kind, home.path(), 4).load(&mut |_| ControlFlow::Break(()));
        assert!(matches!(stopped, Err(Error::Interrupted)), "{kind:?}");
    }
}

#[test]
fn whitening_is_fitted_on_the_training_share_alone_and_cached() {
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 10);
    let request = Request {
        zca: true,
        validation: 0.3,
        ..request(Kind::ImageFolder, home.path(), 4)
    };
    let load = |request: &Request| {
        let mut fitted = false;
        let dataset = request.load(&mut |progress| {
            fitted |= progress.what == "images whitened";
            ControlFlow::Continue(())
        });
        (dataset.unwrap(), fitted)
    };
    let ((fresh, fitted), (cached, again)) = (load(&request), load(&request));
    assert!(fitted && !again);
    let rows: Vec<i64> = (0..fresh.train.len() as i64).collect();
    assert!(
        fresh
            .train
            .batch(&rows)
            .0
            .equal(&cached.train.batch(&rows).0)
    );
    // The mean of the whitened training share is 0; that of all images would not be.
    let mean = fresh
        .train
        .batch(&rows)
        .0
        .mean_dim(0i64, false, tch::Kind::Float);
    assert!(mean.abs().max().double_value(&[]) < 1e-5);
    let (_, fitted) = load(&Request { seed: 1, ..request });
    assert!(fitted, "other images are held out");
}

/// Tiny ImageNet with two classes and one grey JPEG.
fn tiny_imagenet(folder: &Path) {
    write(&folder.join("wnids.txt"), "n2\nn1\n");
    write(
        &folder.join("words.txt"),
        "n1\tcat, true cat\nn2\tdog, domestic dog\nn3\tbird\n",
    );
    for id in ["n1", "n2"] {
        for index in 0..2 {
            save(
                &folder.join(format!("train/{id}/images/{id}_{index}.JPEG")),
                GrayImage::from_pixel(8, 8, Luma([50])),
            );
        }
        write(&folder.join(format!("train/{id}/{id}_boxes.txt")), "");
    }
    save(
        &folder.join("val/images/val_0.JPEG"),
        GrayImage::from_pixel(8, 8, Luma([10])),
    );
    save(
        &folder.join("val/images/val_1.JPEG"),
        GrayImage::from_pixel(8, 8, Luma([20])),
    );
    write(
        &folder.join("val/val_annotations.txt"),
        "val_0.JPEG\tn1\t0\t0\t5\t5\nval_1.JPEG\tn2\t0\t0\t5\t5\n",
    );
}

#[test]
fn tiny_imagenet_is_tested_on_val_in_the_order_of_wnids() {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("tiny-imagenet-200");
    tiny_imagenet(&folder);
    for at in [home.path(), &folder] {
        let dataset = request(Kind::TinyImagenet, at, 8).load(&mut go_on).unwrap();
        assert_eq!(dataset.classes, ["dog", "cat"]);
        assert_eq!(
            (dataset.train.labels(), dataset.test.labels()),
            (&[0, 0, 1, 1][..], &[1, 0][..])
        );
        assert_pixels(&pixels(&dataset, &dataset.test, 1), &[20.0; 192]);
    }
    fs::remove_file(folder.join("words.txt")).unwrap();
    assert_eq!(
        request(Kind::TinyImagenet, &folder, 8)
            .inspect()
            .unwrap()
            .classes,
        ["n2", "n1"]
    );
    write(
        &folder.join("val/val_annotations.txt"),
        "val_0.JPEG\tn9\t0\n",
    );
    let problem = request(Kind::TinyImagenet, &folder, 8)
        .inspect()
        .unwrap_err()
        .to_string();
    assert!(problem.contains("\"n9\" in line 1"), "{problem}");
}

#[test]
fn shapes_need_no_folder_and_obey_the_limit() {
    let request = Request {
        train_limit: Some(200),
        validation: 0.1,
        ..request(Kind::Shapes, Path::new("/nowhere"), 8)
    };
    let dataset = Request {
        cache: PathBuf::from("/nowhere"),
        ..request
    }
    .load(&mut go_on)
    .unwrap();
    assert_eq!(
        (
            dataset.train.len(),
            dataset.validation.len(),
            dataset.test.len()
        ),
        (180, 20, 1000)
    );
}
