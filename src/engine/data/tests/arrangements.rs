//! How people arrange folders of images: names of parts, depth, formats, and what stands beside
//! them.

use super::*;
use crate::data::{Inventory, Survey};
use astill_core::profile::Unreadable;
use image::{GrayImage, ImageFormat, Luma};
use std::fs;
use std::os::unix::fs::symlink;
use std::time::Duration;
use tempfile::TempDir;

/// Image `index` of class `class`: different from every other one.
fn drawing(class: usize, index: usize) -> RgbImage {
    RgbImage::from_fn(4, 4, |x, y| {
        Rgb([class as u8 * 50, index as u8, (x * 4 + y) as u8])
    })
}

/// Three classes a, b and c with so many images in each of these folders.
fn classes(root: &Path, folders: &[(&str, usize)]) {
    for (part, (folder, count)) in folders.iter().enumerate() {
        for (class, name) in ["a", "b", "c"].iter().enumerate() {
            for index in 0..*count {
                let path = root.join(folder).join(name).join(format!("{index}.png"));
                save(&path, drawing(class, index + 50 * part));
            }
        }
    }
}

fn folder(folders: &[(&str, usize)]) -> TempDir {
    let home = TempDir::new().unwrap();
    classes(home.path(), folders);
    home
}

fn inspect(root: &Path) -> astill_core::Result<Inventory> {
    request(Kind::ImageFolder, root, 4).inspect()
}

fn problem(root: &Path) -> String {
    inspect(root).unwrap_err().to_string()
}

fn survey(root: &Path) -> Survey {
    request(Kind::ImageFolder, root, 4)
        .survey(Duration::MAX / 4, &mut ignore_progress)
        .unwrap()
}

/// Numbers of training, validation and test images.
fn counts(inventory: &Inventory) -> [usize; 3] {
    [&inventory.train, &inventory.validation, &inventory.test]
        .map(|split| split.iter().sum::<usize>())
}

#[test]
fn parts_have_any_usual_name_in_any_case() {
    for (train, test) in [
        ("train", "test"),
        ("Train", "Test"),
        ("training", "testing"),
        ("TRAIN", "valid"),
        ("train", "validation"),
        ("training_set", "test_set"),
        ("train", "dev"),
    ] {
        let home = folder(&[(train, 4), (test, 2)]);
        let inventory = inspect(home.path()).unwrap();
        assert_eq!(inventory.classes, ["a", "b", "c"]);
        assert_eq!(counts(&inventory), [12, 0, 6], "{train} {test}");
    }
}

#[test]
fn of_three_parts_val_chooses_and_test_judges() {
    let home = folder(&[("train", 4), ("val", 3), ("test", 2)]);
    let request = DatasetRequest {
        validation: 0.5,
        ..request(Kind::ImageFolder, home.path(), 4)
    };
    assert_eq!(counts(&request.inspect().unwrap()), [12, 9, 6]);
    let dataset = request.load(&mut ignore_progress).unwrap();
    let lengths = [&dataset.train, &dataset.validation, &dataset.test].map(DataSplit::len);
    assert_eq!(lengths, [12, 9, 6]);
    assert_eq!(dataset.validation.labels(), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    assert_eq!(pixels(&dataset, &dataset.validation, 4)[16..17], [51.0]);
    assert!(
        dataset.notes[0].contains("val chooses"),
        "{:?}",
        dataset.notes
    );
}

#[test]
fn two_folders_of_one_part_are_refused() {
    let home = folder(&[("train", 2), ("val", 1), ("dev", 1)]);
    assert!(
        problem(home.path()).contains("dev and val"),
        "{}",
        problem(home.path())
    );
    let home = folder(&[
        ("v1/train", 1),
        ("v1/test", 1),
        ("v2/train", 1),
        ("v2/test", 1),
    ]);
    assert!(
        problem(home.path()).contains("v1 and v2"),
        "{}",
        problem(home.path())
    );
}

#[test]
fn without_a_test_part_a_share_of_every_class_is_drawn_by_its_own_seed() {
    for (name, train) in [("flat", "."), ("train alone", "train"), ("deeper", "x/y")] {
        let home = folder(&[(train, 10)]);
        let without = problem(home.path());
        assert!(without.contains("dataset.test: 0.2"), "{name}: {without}");
        let draw = |test_seed, seed| {
            let request = DatasetRequest {
                test: Some(0.2),
                test_seed,
                seed,
                validation: 0.25,
                ..request(Kind::ImageFolder, home.path(), 4)
            };
            assert_eq!(counts(&request.inspect().unwrap()), [18, 6, 6], "{name}");
            let dataset = request.load(&mut ignore_progress).unwrap();
            assert_eq!(dataset.test.labels(), [0, 0, 1, 1, 2, 2]);
            assert_eq!((dataset.train.len(), dataset.validation.len()), (18, 6));
            (
                dataset.fingerprint.clone(),
                pixels(&dataset, &dataset.test, 3),
            )
        };
        assert_eq!(
            draw(0, 0),
            draw(0, 1),
            "the split's seed changes no test image"
        );
        assert_ne!(draw(0, 0).0, draw(1, 0).0);
    }
    let home = folder(&[("train", 4), ("test", 2)]);
    let both = DatasetRequest {
        test: Some(0.2),
        ..request(Kind::ImageFolder, home.path(), 4)
    };
    let refused = both.inspect().unwrap_err().to_string();
    assert!(refused.contains("6 test images of its own"), "{refused}");
}

#[test]
fn a_test_part_without_labels_gives_way_to_val() {
    let home = folder(&[("train", 4), ("val", 2)]);
    save(&home.path().join("test/unknown/7.png"), drawing(0, 9));
    assert_eq!(counts(&inspect(home.path()).unwrap()), [12, 0, 6]);
    let survey = survey(home.path());
    assert_eq!((survey.left_out.len(), survey.left_out[0].count), (1, 1));
    assert_eq!(survey.left_out[0].first, "test/unknown/7.png");
    assert!(
        survey
            .notes
            .iter()
            .any(|note| note.contains("test is left out"))
    );
    // classes may be called like parts
    let home = TempDir::new().unwrap();
    for (index, class) in ["test", "train", "val"].into_iter().enumerate() {
        save(
            &home.path().join(format!("train/{class}/0.png")),
            drawing(index, 0),
        );
        save(
            &home.path().join(format!("test/{class}/0.png")),
            drawing(index, 1),
        );
    }
    assert_eq!(
        inspect(home.path()).unwrap().classes,
        ["test", "train", "val"]
    );
}

#[test]
fn every_format_is_read_by_its_content_however_deep_it_lies() {
    let home = folder(&[("train", 1), ("test", 1)]);
    let formats = [
        ("webp", ImageFormat::WebP),
        ("bmp", ImageFormat::Bmp),
        ("TIFF", ImageFormat::Tiff),
        ("ppm", ImageFormat::Pnm),
        ("gif", ImageFormat::Gif),
        ("jfif", ImageFormat::Jpeg),
        ("", ImageFormat::Png),
        ("jpg", ImageFormat::WebP),
        ("data", ImageFormat::Bmp),
    ];
    for (index, (extension, format)) in formats.into_iter().enumerate() {
        let path = home.path().join(format!("train/c/part{index}/deep"));
        fs::create_dir_all(&path).unwrap();
        let image = RgbImage::from_pixel(4, 4, Rgb([200, 100, 50]));
        let file = path.join("image").with_extension(extension);
        image.save_with_format(file, format).unwrap();
    }
    let dataset = request(Kind::ImageFolder, home.path(), 4)
        .load(&mut ignore_progress)
        .unwrap();
    assert_eq!(dataset.train.rows_of(2).len(), 1 + formats.len());
    assert!(dataset.left_out.is_empty(), "{:?}", dataset.left_out);
    for row in 3..3 + formats.len() as i64 {
        let got = pixels(&dataset, &dataset.train, row);
        let want = [[200.0; 16], [100.0; 16], [50.0; 16]].concat();
        let is_near = got
            .iter()
            .zip(&want)
            .all(|(got, want)| (got - want).abs() < 9.0);
        assert!(is_near, "{row}: {got:?}");
    }
}

#[test]
fn images_are_in_the_order_of_torchvision() {
    let home = folder(&[("train", 1), ("test", 1)]);
    let order = [
        "0.png",
        "10.png",
        "9.png",
        "B.png",
        "z.png",
        "p/0.png",
        "p-1/0.png",
        "p/x/0.png",
    ];
    for file in order.iter().skip(1).rev() {
        save(&home.path().join("train/a").join(file), drawing(0, 3));
    }
    let found = crate::data::image_folder::find(home.path()).unwrap();
    let names: Vec<String> = (0..order.len()).map(|row| found.name(row)).collect();
    assert_eq!(names, order.map(|file| format!("train/a/{file}")));
}

#[test]
fn what_may_be_an_image_is_refused_or_skipped_and_counted_and_the_rest_is_counted() {
    let home = folder(&[("train", 2), ("test", 1)]);
    let at = |name: &str| home.path().join(name);
    write(&at("train/a/phone.heic"), "\0\0\0\x18ftypheic");
    write(&at("train/a/no-name"), "\0\0\0\x18ftypavif");
    write(&at("train/b/notes.txt"), "boxes");
    write(&at("train/b/.DS_Store"), "");
    write(&at("train/b/__MACOSX/0.png"), "");
    write(&at("train/@eaDir/0.png"), "");
    write(&at("train/Thumbs.db"), "");
    write(&at("README.md"), "about");
    save(&at("train/lost.png"), drawing(0, 9));
    save(&at("extra/a/0.png"), drawing(0, 9));
    let refused = problem(home.path());
    for part in [
        "4 of 13 images cannot be used",
        "extra/a/0.png (in a folder that is not a part of the set)",
        "train/lost.png (not in the folder of a class)",
        "train/a/phone.heic (HEIC is not read; convert it to PNG)",
        "train/a/no-name (AVIF",
        "dataset.unreadable: skip",
    ] {
        assert!(refused.contains(part), "{part} is not in: {refused}");
    }
    write(&at("train/c/0.png"), "<html>404</html>");
    let skipping = DatasetRequest {
        unreadable: Unreadable::Skip,
        ..request(Kind::ImageFolder, home.path(), 4)
    };
    let count = |survey: &Survey, part: &str, class: Option<&str>, reason: &str| {
        let of = survey.left_out.iter().filter(|files| {
            files.part == part && files.class.as_deref() == class && files.reason.contains(reason)
        });
        of.map(|files| files.count).sum::<u64>()
    };
    skipping.load(&mut ignore_progress).unwrap(); // makes the cache, which is hidden
    let survey = skipping
        .survey(Duration::MAX / 4, &mut ignore_progress)
        .unwrap();
    for (part, class, reason, want) in [
        ("train", Some("a"), "HEIC", 1),
        ("train", Some("a"), "AVIF", 1),
        ("train", Some("b"), "not an image but .txt", 1),
        ("train", Some("b"), "hidden", 2),
        ("train", Some("c"), "web page", 1),
        ("train", None, "hidden", 2),
        ("train", None, "not in the folder of a class", 1),
        ("", None, "hidden", 1),
        ("", None, "not a part of the set", 1),
    ] {
        assert_eq!(
            count(&survey, part, class, reason),
            want,
            "{reason}: {:?}",
            survey.left_out
        );
    }
    let dataset = skipping.load(&mut ignore_progress).unwrap();
    assert_eq!(dataset.train.labels(), [0, 0, 1, 1, 2]);
    assert_eq!(
        crate::data::count_left_out(&dataset.left_out),
        survey.left_out
    );
    // the good ones come from the cache
    let mut read = 0;
    let again = skipping.load(&mut |progress| {
        read += u64::from(progress.what == "images read");
        ControlFlow::Continue(())
    });
    assert_eq!((again.unwrap().left_out, read), (dataset.left_out, 0));
}

#[test]
fn a_class_of_the_test_images_alone_is_refused_or_skipped() {
    let home = folder(&[("train", 2), ("test", 1)]);
    save(&home.path().join("test/bird/0.png"), drawing(3, 0));
    let refused = problem(home.path());
    let want =
        "1 of 10 images cannot be used: test/bird/0.png (not a class of the training images)";
    assert!(refused.contains(want), "{refused}");
}

#[test]
fn a_class_that_is_called_like_a_part_does_not_hide_the_others() {
    let home = TempDir::new().unwrap();
    for class in ["bus", "car", "train"] {
        for (index, kind) in ["a", "b"].into_iter().enumerate() {
            let path = home.path().join(class).join(kind).join("0.png");
            save(&path, drawing(index, class.len()));
        }
    }
    let refused = problem(home.path());
    let want =
        "4 of 6 images cannot be used: bus/a/0.png (in a folder that is not a part of the set)";
    assert!(refused.contains(want), "{refused}");
}

#[test]
fn parts_without_folders_of_classes_are_refused() {
    let home = TempDir::new().unwrap();
    for (index, name) in ["test/0.png", "train/0.png", "train/1.png"]
        .iter()
        .enumerate()
    {
        save(&home.path().join(name), drawing(0, index));
    }
    let refused = problem(home.path());
    let want = "test and train are named after parts, but have no folders of classes in them";
    assert!(refused.contains(want), "{refused}");
    // one class may have such a name
    fs::rename(home.path().join("test"), home.path().join("bus")).unwrap();
    let drawn = DatasetRequest {
        test: Some(0.5),
        ..request(Kind::ImageFolder, home.path(), 4)
    };
    assert_eq!(drawn.inspect().unwrap().classes, ["bus", "train"]);
}

#[test]
fn classes_are_in_the_order_of_their_names_as_they_are_spelled() {
    let home = TempDir::new().unwrap();
    // composed, the first one would come last
    let spelled = ["cafe\u{301}", "caff"];
    for (class, name) in spelled.into_iter().enumerate() {
        save(
            &home.path().join("train").join(name).join("0.png"),
            drawing(class, 0),
        );
        let composed = crate::data::parts::normal(name);
        save(
            &home.path().join("test").join(composed).join("0.png"),
            drawing(class, 1),
        );
    }
    let dataset = request(Kind::ImageFolder, home.path(), 4)
        .load(&mut ignore_progress)
        .unwrap();
    assert_eq!(dataset.classes, ["caf\u{e9}", "caff"]);
    // each part in the order of its own folders
    for (split, labels) in [(&dataset.train, [0, 1]), (&dataset.test, [1, 0])] {
        assert_eq!(split.labels(), labels);
        for (row, label) in (0i64..).zip(labels) {
            assert_pixels(&pixels(&dataset, split, row)[..1], &[50.0 * label as f32]);
        }
    }
}

#[test]
fn names_are_compared_composed() {
    let home = TempDir::new().unwrap();
    for (part, name) in [("train", "cafe\u{301}"), ("test", "caf\u{e9}")] {
        save(
            &home.path().join(part).join(name).join("0.png"),
            drawing(0, 0),
        );
        save(&home.path().join(part).join("b/0.png"), drawing(1, 0));
    }
    let inventory = inspect(home.path()).unwrap();
    assert_eq!(inventory.classes, ["b", "caf\u{e9}"]);
    assert_eq!(inventory.test, [1, 1]);
}

#[test]
fn links_are_followed_once() {
    let home = folder(&[("train", 2), ("test", 1)]);
    let at = |name: &str| home.path().join(name);
    symlink(at("train/a/0.png"), at("train/a/link.png")).unwrap();
    symlink(at("train"), at("train/b/loop")).unwrap();
    symlink(at("train/b"), at("train/b/self")).unwrap();
    let inventory = inspect(home.path()).unwrap();
    assert_eq!(inventory.train[0], 3);
    symlink(at("nowhere"), at("train/a/broken.png")).unwrap();
    let broken = request(Kind::ImageFolder, home.path(), 4).load(&mut ignore_progress);
    let broken = broken.unwrap_err().to_string();
    assert!(
        broken.contains("train/a/broken.png (No such file"),
        "{broken}"
    );
}

#[test]
fn grey_images_have_one_channel_unless_some_have_colours() {
    let home = TempDir::new().unwrap();
    for part in ["train", "test"] {
        for (class, value) in [("a", 10), ("b", 90)] {
            let path = home.path().join(part).join(class).join("0.png");
            save(
                &path,
                GrayImage::from_fn(4, 4, |x, _| Luma([value + x as u8])),
            );
        }
    }
    let request = request(Kind::ImageFolder, home.path(), 4);
    assert_eq!(request.inspect().unwrap().channels, 1);
    let dataset = request.load(&mut ignore_progress).unwrap();
    assert_eq!(dataset.train.batch(&[0, 1]).0.size(), [2, 1, 4, 4]);
    assert_pixels(
        &pixels(&dataset, &dataset.train, 1)[..4],
        &[90.0, 91.0, 92.0, 93.0],
    );
    let rgb = DatasetRequest {
        color: astill_core::profile::Color::Rgb,
        ..request.clone()
    };
    assert_eq!(rgb.load(&mut ignore_progress).unwrap().channels, 3);
    save(&home.path().join("train/b/1.png"), drawing(1, 1));
    assert_eq!(request.inspect().unwrap().channels, 3);
    let grey = DatasetRequest {
        color: astill_core::profile::Color::Grey,
        ..request
    };
    let dataset = grey.load(&mut ignore_progress).unwrap();
    // Pillow's convert("L") of (50, 1, 0)
    assert_pixels(&pixels(&dataset, &dataset.train, 2)[..1], &[16.0]);
}

#[test]
fn parts_are_found_within_names_and_in_folders_of_the_same_name() {
    for (train, test) in [
        ("seg_train/seg_train", "seg_test/seg_test"),
        ("training_set/training_set", "test_set/test_set"),
        ("train/train", "test/test"),
        ("train2017", "val2017"),
        ("asl_alphabet_train/asl_alphabet_train", "asl_alphabet_test"),
    ] {
        let home = folder(&[(train, 4), (test, 2)]);
        let inventory = inspect(home.path()).unwrap();
        assert_eq!(inventory.classes, ["a", "b", "c"], "{train}");
        assert_eq!(counts(&inventory), [12, 0, 6], "{train} {test}");
    }
}

#[test]
fn classes_whose_names_have_the_words_of_parts_stay_classes() {
    let home = TempDir::new().unwrap();
    for (class, name) in ["cat", "test tube", "train_station", "train"]
        .iter()
        .enumerate()
    {
        for index in 0..4 {
            let path = home.path().join(name).join(format!("{index}.png"));
            save(&path, drawing(class, index));
        }
    }
    let asked = request(Kind::ImageFolder, home.path(), 4);
    let inventory = DatasetRequest {
        test: Some(0.25),
        ..asked
    }
    .inspect()
    .unwrap();
    assert_eq!(
        inventory.classes,
        ["cat", "test tube", "train", "train_station"]
    );
}

#[test]
fn test_images_without_labels_are_left_out_with_a_note() {
    let home = folder(&[("train", 4), ("val", 2)]);
    save(&home.path().join("test/1.png"), drawing(0, 99));
    assert_eq!(counts(&inspect(home.path()).unwrap()), [12, 0, 6]);
    let notes = survey(home.path()).notes.join(" ");
    assert!(notes.contains("test is left out"), "{notes}");
}

#[test]
fn what_is_beside_the_folder_that_is_read_is_noted() {
    let home = folder(&[("pets/train", 4), ("pets/test", 2), ("more", 1)]);
    assert_eq!(counts(&inspect(home.path()).unwrap()), [12, 0, 6]);
    let notes = survey(home.path()).notes.join(" ");
    assert!(
        notes.starts_with("pets is read; what is beside it"),
        "{notes}"
    );
}
