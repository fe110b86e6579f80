//! What a request gives, whatever the layout.

use super::*;
use crate::data::{Normalisation, NormalisedBy};
use astill_core::Error;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tch::Tensor;
use tempfile::TempDir;

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
                "train, val",
                "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
            ],
        ),
        (
            Kind::ImageFolder,
            ["train/CLASS", "that folder does not exist"],
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
            let request = DatasetRequest {
                train_limit,
                validation,
                ..request(kind, home.path(), 4)
            };
            let (inventory, dataset) = (
                request.inspect().unwrap(),
                request.load(&mut ignore_progress).unwrap(),
            );
            let counts = |split: &DataSplit| {
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
        let request = DatasetRequest {
            train_limit,
            seed,
            ..request(Kind::Cifar10, home.path(), size)
        };
        request.load(&mut ignore_progress).unwrap().fingerprint
    };
    let whole = of(None, 0, 32);
    assert_eq!(whole, of(Some(20), 1, 32));
    assert_ne!(whole, of(None, 0, 16));
    cifar10(home.path(), 5);
    assert_ne!(whole, of(None, 0, 32));
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
    // when the images are read and the whitening is fitted, too
    let request = DatasetRequest {
        zca: true,
        ..request(Kind::Cifar10, home.path(), 4)
    };
    let whitened = |progress: Progress<'_>| match progress.what {
        "images transformed" => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    };
    let stopped = request.load(&mut { whitened });
    assert!(matches!(stopped, Err(Error::Interrupted)));
}

#[test]
fn whitening_stops_in_the_middle_of_its_factorisation() {
    let home = TempDir::new().unwrap();
    cifar10(home.path(), 200);
    let request = DatasetRequest {
        zca: true,
        ..request(Kind::Cifar10, home.path(), 32)
    };
    // the images are counted up to the last one; what is reported after that comes from a 2000 × 2000
    // problem that is being solved
    let mut whole = 0;
    let stopped = request.load(&mut |progress| {
        let is_whole = progress.what == "images whitened" && progress.done == progress.total;
        whole += u32::from(is_whole);
        match whole > 1 {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    assert!(matches!(stopped, Err(Error::Interrupted)), "{whole}");
}

#[test]
fn a_survey_ends_with_its_time() {
    let home = TempDir::new().unwrap();
    cifar10(home.path(), 200);
    let of = |kind, folder: &Path| request(kind, folder, 32);
    let formats = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/formats");
    for request in [
        of(Kind::Cifar10, home.path()),
        of(Kind::Npz, &formats.join("medmnist.npz")),
        of(Kind::Idx, &formats.join("mnist")),
    ] {
        let survey = |budget| request.survey(budget, &mut ignore_progress).unwrap();
        let (whole, cut) = (survey(Duration::MAX / 4), survey(Duration::ZERO));
        assert_eq!(whole.looked_at, whole.images, "{:?}", request.kind);
        assert!(cut.looked_at < cut.images, "{:?}", request.kind);
    }
    // as a run finds them
    let whole = of(Kind::Cifar10, home.path());
    let found = whole
        .survey(Duration::MAX / 4, &mut ignore_progress)
        .unwrap();
    assert_eq!(
        found.warnings,
        whole.load(&mut ignore_progress).unwrap().warnings
    );
}

#[test]
fn shapes_need_no_folder_and_obey_the_limit() {
    let request = DatasetRequest {
        train_limit: Some(200),
        validation: 0.1,
        ..request(Kind::Shapes, Path::new("/nowhere"), 8)
    };
    let dataset = DatasetRequest {
        cache: PathBuf::from("/nowhere"),
        ..request
    }
    .load(&mut ignore_progress)
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

#[test]
fn the_normalisation_of_the_field_is_that_of_its_constants_or_of_all_training_images() {
    let home = TempDir::new().unwrap();
    cifar10(home.path(), 8);
    let load = |request: &DatasetRequest| request.load(&mut ignore_progress).unwrap();
    let channels = DatasetRequest {
        normalisation: NormalisedBy::Field,
        train_limit: Some(20),
        validation: 0.2,
        ..request(Kind::Cifar10, home.path(), 4)
    };
    let Normalisation::Channels { mean, std } = load(&channels).normalisation else {
        panic!("channels");
    };
    let values = |t: &Tensor| [0, 1, 2].map(|c| (t.double_value(&[c]) * 1e4).round() / 1e4);
    assert_eq!(values(&mean), [0.4914, 0.4822, 0.4465]);
    assert_eq!(values(&std), [0.2023, 0.1994, 0.2010]);

    // neither the limit nor the held-out share nor the seed changes the whitening
    let whitened = DatasetRequest {
        zca: true,
        ..channels.clone()
    };
    let all = DatasetRequest {
        normalisation: NormalisedBy::Own,
        train_limit: None,
        validation: 0.,
        ..whitened.clone()
    };
    let pixels = Tensor::rand([3, 3, 4, 4], (tch::Kind::Float, tch::Device::Cpu));
    let seen = |request: &DatasetRequest| load(request).normalisation.apply(&pixels);
    let of_all = seen(&all);
    for seed in [0, 1] {
        let by_field = seen(&DatasetRequest {
            seed,
            ..whitened.clone()
        });
        assert!((by_field - &of_all).abs().max().double_value(&[]) < 1e-5);
    }
    let own = DatasetRequest {
        normalisation: NormalisedBy::Own,
        ..whitened
    };
    assert!((seen(&own) - &of_all).abs().max().double_value(&[]) > 1e-3);

    let shapes = DatasetRequest {
        normalisation: NormalisedBy::Field,
        ..request(Kind::Shapes, home.path(), 8)
    };
    let refused = shapes.load(&mut ignore_progress).unwrap_err();
    assert!(matches!(refused, Error::Usage(_)), "{refused}");
}

#[test]
fn constants_of_colours_are_refused_for_grey_images_before_anything_is_read() {
    let home = TempDir::new().unwrap();
    for (part, class) in [("train", "a"), ("train", "b"), ("test", "a"), ("test", "b")] {
        save(
            &home.path().join(part).join(class).join("0.png"),
            image::GrayImage::new(4, 4),
        );
    }
    let grey = DatasetRequest {
        normalisation: NormalisedBy::Field,
        ..request(Kind::ImageFolder, home.path(), 4)
    };
    let refused = grey.inspect().unwrap_err();
    assert_eq!(refused.exit_status(), 2);
    let text = refused.to_string();
    assert!(
        text.contains("of 3 channels") && text.contains("dataset.color"),
        "{text}"
    );
    let rgb = DatasetRequest {
        color: astill_core::profile::Color::Rgb,
        ..grey
    };
    rgb.load(&mut ignore_progress).unwrap();
}

#[test]
fn a_look_at_the_images_draws_the_test_images_of_the_run() {
    let home = TempDir::new().unwrap();
    // pairs of equal images, some of which are torn apart
    for class in ["a", "b"] {
        for index in 0..40u8 {
            let image = RgbImage::from_pixel(4, 4, Rgb([index / 2, 9, class.as_bytes()[0]]));
            save(
                &home.path().join(class).join(format!("{index:02}.png")),
                image,
            );
        }
        write(
            &home.path().join(class).join("00.png"),
            b"\x89PNG\r\n\x1a\n",
        );
    }
    let request = DatasetRequest {
        test: Some(0.3),
        unreadable: crate::data::Unreadable::Skip,
        ..request(Kind::ImageFolder, home.path(), 4)
    };
    let budget = std::time::Duration::MAX / 4;
    let look = request.survey(budget, &mut ignore_progress).unwrap();
    let run = request.load(&mut ignore_progress).unwrap();
    assert!(!run.warnings.is_empty());
    assert_eq!(look.warnings, run.warnings);
}
