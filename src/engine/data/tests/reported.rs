//! Folders as people have them, that programs like this one have read smaller or different than meant:
//! what each of them gives here.

use super::*;
use crate::data::{Survey, Unreadable};
use image::{ImageFormat, Rgba, RgbaImage};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;

const CLASSES: [&str; 3] = ["a", "b", "c"];
const IDS: [&str; 3] = ["n01443537", "n02124075", "n07734744"];

/// Stripes and a tint that tell the class, and something that tells the image.
fn picture(class: usize, index: usize) -> RgbImage {
    RgbImage::from_fn(8, 8, |x, y| {
        let mut pixel = [0, 0, 0].map(|_: u8| ((7 * index as u32 + 3 * x + 5 * y) % 30) as u8);
        pixel[class % 3] += 60 + 60 * (class % 3) as u8;
        let stripe = (x + index as u32 % 3) / (2 + class as u32 % 4);
        if stripe.is_multiple_of(2) {
            pixel = pixel.map(|value| value.saturating_add(40));
        }
        Rgb(pixel)
    })
}

/// Three classes with so many images in each of these parts; those that are not "train" have others.
fn folder(parts: &[(&str, usize)], extension: &str) -> TempDir {
    let home = TempDir::new().unwrap();
    for (part, count) in parts {
        let first = if *part == "train" { 0 } else { 100 };
        for (class, name) in CLASSES.iter().enumerate() {
            for index in 0..*count {
                let file = format!("{part}/{name}/{index}.{extension}");
                save(&home.path().join(file), picture(class, first + index));
            }
        }
    }
    home
}

fn usual() -> TempDir {
    folder(&[("train", 4), ("test", 2)], "png")
}

fn of(home: &TempDir) -> DatasetRequest {
    request(Kind::ImageFolder, home.path(), 8)
}

/// Training, validation and test images.
fn counts(request: &DatasetRequest) -> [usize; 3] {
    let found = request.inspect().unwrap();
    [found.train, found.validation, found.test].map(|split| split.iter().sum())
}

fn survey(request: &DatasetRequest) -> Survey {
    request
        .survey(Duration::MAX / 4, &mut ignore_progress)
        .unwrap()
}

/// The number of images that each kind of warning is about.
fn warnings(request: &DatasetRequest) -> Vec<(String, u64)> {
    let warnings = survey(request).warnings.into_iter();
    warnings
        .map(|warning| (warning.kind, warning.count))
        .collect()
}

#[test]
fn no_image_is_lost_for_its_format_or_its_depth() {
    // three of four images of a class are WebP
    let home = usual();
    for index in 1..4 {
        fs::remove_file(home.path().join(format!("train/c/{index}.png"))).unwrap();
        save(
            &home.path().join(format!("train/c/{index}.webp")),
            picture(2, index),
        );
    }
    assert_eq!(counts(&of(&home)), [12, 0, 6]);
    // three of four are one folder deeper; all are
    for (class, first) in [("c", 1), ("a", 0)] {
        fs::create_dir(home.path().join(format!("train/{class}/part2"))).unwrap();
        for index in first..4 {
            for end in ["png", "webp"] {
                let from = home.path().join(format!("train/{class}/{index}.{end}"));
                if from.exists() {
                    let to = home
                        .path()
                        .join(format!("train/{class}/part2/{index}.{end}"));
                    fs::rename(from, to).unwrap();
                }
            }
        }
        assert_eq!(counts(&of(&home)), [12, 0, 6], "{class}");
    }
    for extension in ["webp", "bmp"] {
        let home = folder(&[("train", 4), ("test", 2)], extension);
        assert_eq!(counts(&of(&home)), [12, 0, 6], "{extension}");
    }
    // what a file holds counts, not how it is called
    let home = usual();
    let path = home.path().join("train/a/0.png");
    picture(0, 0)
        .save_with_format(&path, ImageFormat::WebP)
        .unwrap();
    assert_eq!(
        of(&home).load(&mut ignore_progress).unwrap().train.len(),
        12
    );
}

#[test]
fn parts_are_found_under_all_their_names_or_drawn() {
    for (parts, wanted) in [
        (&[("train", 4), ("val", 2), ("test", 2)][..], [12, 6, 6]),
        (&[("train", 4), ("valid", 2)], [12, 0, 6]),
        (&[("train", 4), ("Test", 2)], [12, 0, 6]),
        (&[("Train", 4), ("Test", 2)], [12, 0, 6]),
    ] {
        assert_eq!(counts(&of(&folder(parts, "png"))), wanted, "{parts:?}");
    }
    for parts in [[("train", 4)], [(".", 4)]] {
        let home = folder(&parts, "png");
        let problem = of(&home).inspect().unwrap_err().to_string();
        assert!(problem.contains("dataset.test: 0.2"), "{problem}");
        let drawn = DatasetRequest {
            test: Some(0.25),
            ..of(&home)
        };
        assert_eq!(counts(&drawn), [9, 0, 3], "{parts:?}");
    }
    // test images without labels do not hide those of val
    let home = folder(&[("train", 4), ("val", 2)], "png");
    save(&home.path().join("test/unknown/7.png"), picture(0, 7));
    assert_eq!(counts(&of(&home)), [12, 0, 6]);
    assert!(
        survey(&of(&home))
            .notes
            .iter()
            .any(|note| note.contains("test is left out"))
    );
}

#[test]
fn what_makes_figures_too_high_or_worthless_is_a_warning() {
    let home = usual();
    for class in CLASSES {
        let at = |part: &str| home.path().join(part).join(class).join("0.png");
        fs::copy(at("train"), at("test")).unwrap();
    }
    let at = |class: &str| home.path().join("train").join(class).join("1.png");
    fs::copy(at("a"), at("b")).unwrap();
    let found = warnings(&of(&home));
    assert!(
        found.contains(&("equal-across-parts".into(), 3)),
        "{found:?}"
    );
    assert!(
        found.contains(&("equal-across-labels".into(), 2)),
        "{found:?}"
    );

    let home = usual();
    fs::remove_dir_all(home.path().join("test/c")).unwrap();
    assert_eq!(warnings(&of(&home)), [("class-without-test".into(), 1)]);

    // all black
    let home = usual();
    for part in ["train", "test"] {
        for class in CLASSES {
            for entry in fs::read_dir(home.path().join(part).join(class)).unwrap() {
                save(&entry.unwrap().path(), RgbImage::new(8, 8));
            }
        }
    }
    assert!(warnings(&of(&home)).contains(&("all-equal".into(), 12)));

    // a drawing in black ink whose shape is its alpha
    let home = TempDir::new().unwrap();
    for (part, count) in [("train", 4), ("test", 2)] {
        for (class, name) in CLASSES.iter().enumerate() {
            for index in 0..count {
                let drawn = picture(class, index + 100 * usize::from(part == "test"));
                let ink = RgbaImage::from_fn(8, 8, |x, y| {
                    Rgba([0, 0, 0, drawn.get_pixel(x, y).0[class % 3]])
                });
                save(&home.path().join(format!("{part}/{name}/{index}.png")), ink);
            }
        }
    }
    assert_eq!(warnings(&of(&home)), [("transparent".into(), 18)]);
    let dataset = of(&home).load(&mut ignore_progress).unwrap();
    assert!(!dataset.train.all_equal());
}

#[test]
fn other_labels_of_the_test_images_make_another_test_set_of_the_same_training_set() {
    let load = |home: &TempDir| of(home).load(&mut ignore_progress).unwrap();
    let (one, other) = (usual(), usual());
    let class = |name: &str| other.path().join("test").join(name);
    for (from, to) in [("a", "x"), ("b", "a"), ("x", "b")] {
        fs::rename(class(from), class(to)).unwrap();
    }
    let (one, other) = (load(&one), load(&other));
    assert_eq!(one.fingerprint, other.fingerprint);
    assert_ne!(one.test_content, other.test_content);
}

#[test]
fn tiny_imagenet_as_other_programs_sort_it() {
    for (place, is_annotated) in [("images", true), ("images/{}", true), ("{}", false)] {
        let home = TempDir::new().unwrap();
        let root = home.path().join("tiny-imagenet-200");
        save(&root.join("test/images/test_0.JPEG"), picture(0, 200));
        write(
            &root.join("wnids.txt"),
            IDS.map(|id| format!("{id}\n")).concat(),
        );
        let mut lines = String::new();
        for (class, id) in IDS.iter().enumerate() {
            for index in 0..4 {
                let file = format!("train/{id}/images/{id}_{index}.JPEG");
                save(&root.join(file), picture(class, index));
            }
            for index in 0..2 {
                let file = format!("val_{}.JPEG", 2 * class + index);
                let folder = root.join("val").join(place.replace("{}", id));
                save(&folder.join(&file), picture(class, 100 + index));
                lines += &format!("{file}\t{id}\t0\t0\t7\t7\n");
            }
        }
        if is_annotated {
            write(&root.join("val/val_annotations.txt"), lines);
        }
        let request = request(Kind::TinyImagenet, home.path(), 8);
        let dataset = request.load(&mut ignore_progress).unwrap();
        assert_eq!(dataset.classes, IDS);
        assert_eq!(dataset.test.labels(), [0, 0, 1, 1, 2, 2], "{place}");
        assert_eq!(dataset.train.len(), 12);
    }
}

/// A batch of CIFAR-10 in its Python version, as Python 3 writes it again in protocol 2: ten black
/// images, labels as a list, keys as bytes.
fn python_batch() -> Vec<u8> {
    const BEGIN: &[u8] = b"\x80\x02}q\x00(c_codecs\nencode\nq\x01X\x04\x00\x00\x00dataq\x02X\x06\x00\x00\
        \x00latin1q\x03\x86q\x04Rq\x05cnumpy._core.multiarray\n_reconstruct\nq\x06cnumpy\nndarray\nq\x07\
        K\x00\x85q\x08h\x01X\x01\x00\x00\x00bq\th\x03\x86q\nRq\x0b\x87q\x0cRq\r(K\x01K\nM\x00\x0c\x86q\
        \x0ecnumpy\ndtype\nq\x0fX\x02\x00\x00\x00u1q\x10\x89\x88\x87q\x11Rq\x12(K\x03X\x01\x00\x00\x00|q\
        \x13NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\x14b\x89h\x01X\x00x\x00\x00";
    const END: &[u8] = b"q\x15h\x03\x86q\x16Rq\x17tq\x18bh\x01X\x06\x00\x00\x00labelsq\x19h\x03\x86q\x1aRq\
        \x1b]q\x1c(K\x00K\x01K\x02K\x03K\x04K\x05K\x06K\x07K\x08K\teh\x01X\t\x00\x00\x00filenamesq\x1dh\
        \x03\x86q\x1eRq\x1f]q (c__builtin__\nbytes\nq!)Rq\"h\"h\"h\"h\"h\"h\"h\"h\"h\"eu.";
    [BEGIN, &[0; 10 * 3072], END].concat()
}

#[test]
fn cifar_as_torchvision_leaves_it_may_name_no_classes() {
    let home = TempDir::new().unwrap();
    let root = home.path().join("cifar-10-batches-py");
    for batch in 1..=5 {
        write(&root.join(format!("data_batch_{batch}")), python_batch());
    }
    write(&root.join("test_batch"), python_batch());
    let names: &[u8] =
        b"\x80\x02}q\x00c_codecs\nencode\nq\x01X\x0b\x00\x00\x00label_namesq\x02X\x06\x00\
        \x00\x00latin1q\x03\x86q\x04Rq\x05]q\x06s.";
    write(&root.join("batches.meta"), names);
    let request = request(Kind::Cifar10, home.path(), 32);
    let found = request.inspect().unwrap();
    let numbers: Vec<String> = (0..10).map(|class| class.to_string()).collect();
    assert_eq!((found.classes, found.train), (numbers, vec![5; 10]));
    let survey = survey(&request);
    assert!(survey.notes[0].contains("the classes are numbered"));
    assert!(
        survey
            .warnings
            .iter()
            .any(|warning| warning.kind == "all-equal")
    );
}

#[test]
fn images_of_mnist_alone_are_refused_with_what_is_missing() {
    let home = TempDir::new().unwrap();
    let header = [[0, 0, 8, 3], [0, 0, 0, 2], [0, 0, 0, 28], [0, 0, 0, 28]].concat();
    let path = home.path().join("train-images-idx3-ubyte");
    write(&path, [header, vec![0; 1568]].concat());
    let problem = request(Kind::Idx, home.path(), 28)
        .inspect()
        .unwrap_err()
        .to_string();
    let wanted = "images or labels of the training part are missing";
    assert!(
        problem.contains(wanted) && problem.contains("astill fetch mnist"),
        "{problem}"
    );
}

#[test]
fn a_hundred_and_thirty_classes_are_read_in_the_order_of_their_names() {
    let home = TempDir::new().unwrap();
    for class in 0..130 {
        for (part, index) in [("train", 0), ("test", 1)] {
            let file: PathBuf = home.path().join(format!("{part}/c{class:03}/0.png"));
            save(&file, picture(class, index));
        }
    }
    let skipping = DatasetRequest {
        unreadable: Unreadable::Skip,
        ..of(&home)
    };
    let found = skipping.inspect().unwrap();
    assert_eq!((found.train, found.test), (vec![1; 130], vec![1; 130]));
    assert_eq!(found.classes[129], "c129");
}
