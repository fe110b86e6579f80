//! Data sets as other programs and archives leave them, besides the usual ways.

use super::writers::{idx, npy, npz, parquet_of_floats, tar};
use super::*;
use astill_core::profile::Unreadable;
use image::{DynamicImage, GrayImage, Luma, RgbImage};
use std::time::Duration;
use tempfile::TempDir;

/// Images of these classes, all different, below `root`.
fn draw(root: &Path, folders: &[&str]) {
    for (number, folder) in (0u8..).zip(folders) {
        for index in 0..3 {
            let colour = Rgb([number * 10, index, 0]);
            save(
                &root.join(folder).join(format!("{index}.png")),
                RgbImage::from_pixel(4, 4, colour),
            );
        }
    }
}

fn problem(request: &DatasetRequest) -> String {
    request.inspect().unwrap_err().to_string()
}

#[test]
fn training_images_in_several_archives_are_one_set_where_they_share_no_class() {
    let home = TempDir::new().unwrap();
    let set = request(Kind::ImageFolder, home.path(), 4);
    let all = [
        "train.X1/a",
        "train.X1/c",
        "train.X2/b",
        "val.X/a",
        "val.X/b",
        "val.X/c",
    ];
    draw(home.path(), &all);
    let found = set.inspect().unwrap();
    assert_eq!(found.classes, ["a", "b", "c"]);
    assert_eq!((found.train, found.test), (vec![3; 3], vec![3; 3]));
    let notes = set.survey_labels().unwrap().notes;
    assert!(
        notes
            .iter()
            .any(|note| note.contains("train.X1, train.X2, which have no class in common")),
        "{notes:?}"
    );
    draw(home.path(), &["train.X2/a"]);
    let refused = problem(&set);
    assert!(
        refused.contains("expected one folder of train images, found train.X1 and train.X2"),
        "{refused}"
    );
}

#[test]
fn parts_below_the_classes_are_refused_and_other_folders_of_the_same_names_noted() {
    let home = TempDir::new().unwrap();
    let set = request(Kind::ImageFolder, home.path(), 4);
    draw(home.path(), &["a/train", "a/test", "b/train", "b/test"]);
    let refused = problem(&set);
    assert!(refused.contains("hold test and train each"), "{refused}");

    let home = TempDir::new().unwrap();
    let set = DatasetRequest {
        test: Some(0.4),
        ..request(Kind::ImageFolder, home.path(), 4)
    };
    draw(home.path(), &["learn/a", "learn/b", "exam/a", "exam/b"]);
    assert_eq!(set.inspect().unwrap().classes, ["exam", "learn"]);
    let notes = set.survey_labels().unwrap().notes;
    assert!(
        notes
            .iter()
            .any(|note| note.contains("the same names (a, b)")),
        "{notes:?}"
    );
}

#[test]
fn a_tar_file_without_its_end_is_cut_off_and_one_after_another_is_named() {
    let home = TempDir::new().unwrap();
    let set = request(Kind::Webdataset, home.path(), 4);
    let members: Vec<(String, &[u8])> = (0..4)
        .flat_map(|i| {
            [
                (format!("{i}.png"), &b"not looked at"[..]),
                (format!("{i}.cls"), [&b"0"[..], b"1"][i % 2]),
            ]
        })
        .collect();
    let members: Vec<(&str, &[u8])> = members.iter().map(|(n, c)| (n.as_str(), *c)).collect();
    let path = home.path().join("train.tar");
    tar(&home.path().join("test.tar"), &members);
    tar(&path, &members);
    let whole = fs::read(&path).unwrap();
    // a header and a block for each member: wherever it is cut
    for blocks in 0..=4 * members.len() / 2 {
        write(&path, &whole[..512 * blocks]);
        let refused = problem(&set);
        assert!(
            refused.contains("cut off") || refused.contains("end of file"),
            "{blocks}: {refused}"
        );
    }
    write(&path, [&whole[..], &whole[..]].concat());
    assert!(
        problem(&set).contains("two of them were joined"),
        "{}",
        problem(&set)
    );
    // one block of zeros is an end, too
    write(&path, &whole[..512 * (2 * members.len() + 1)]);
    assert_eq!(set.inspect().unwrap().stored, 4);

    let hidden = [("@user.png", &b"x"[..]), ("@user.cls", b"1")];
    tar(&path, &[&members[..], &hidden].concat());
    let left_out = set.survey_labels().unwrap().left_out;
    assert_eq!((left_out.len(), left_out[0].count), (1, 2));
    assert!(left_out[0].reason.contains("hidden"));
}

#[test]
fn grey_images_with_a_palette_or_in_formats_without_grey_have_one_channel() {
    let grey = |index: u8| GrayImage::from_fn(4, 4, |x, y| Luma([index * 40 + (4 * y + x) as u8]));
    for format in ["gif", "bmp", "webp"] {
        let home = TempDir::new().unwrap();
        for (class, part) in [("a", "train"), ("b", "train"), ("a", "test"), ("b", "test")] {
            for index in 0..2 {
                let image = DynamicImage::from(grey(index + u8::from(class == "b")));
                let path = home.path().join(format!("{part}/{class}/{index}.{format}"));
                save(&path, image.to_rgb8());
            }
        }
        let set = request(Kind::ImageFolder, home.path(), 4);
        assert_eq!(set.inspect().unwrap().channels, 1, "{format}");
        let coloured = home.path().join(format!("train/a/2.{format}"));
        save(&coloured, RgbImage::from_pixel(4, 4, Rgb([200, 0, 0])));
        assert_eq!(set.inspect().unwrap().channels, 3, "{format}");
    }
}

#[test]
fn arrays_whose_files_say_what_they_hold_are_read() {
    let home = TempDir::new().unwrap();
    for (part, count) in [("train", 4), ("test", 2)] {
        let images = npy(&format!("{count}, 2, 2"), &vec![7; 4 * count]);
        let labels = npy(&format!("{count},"), &[0, 1].repeat(count / 2));
        for (what, array) in [("imgs", images), ("labels", labels)] {
            let name = format!("kmnist-{part}-{what}.npz");
            npz(&home.path().join(name), &[("arr_0.npy", array)]);
        }
    }
    let found = request(Kind::Npz, home.path(), 2).inspect().unwrap();
    assert_eq!((found.train, found.test), (vec![2, 2], vec![1, 1]));
}

#[test]
fn one_of_several_sets_in_a_folder_of_idx_is_chosen_and_labels_may_count_from_1() {
    let home = TempDir::new().unwrap();
    for (set, labels) in [("letters", [1, 2]), ("digits", [0, 1])] {
        for part in ["train", "test"] {
            let file = |what: &str| {
                home.path()
                    .join(format!("EMNIST/raw/emnist-{set}-{part}-{what}-ubyte"))
            };
            write(&file("images-idx3"), idx(&[2, 2, 2], &[7; 8]));
            write(&file("labels-idx1"), idx(&[2], &labels));
        }
    }
    let of = |configuration: Option<&str>| DatasetRequest {
        configuration: configuration.map(str::to_owned),
        ..request(Kind::Idx, home.path(), 2)
    };
    let refused = problem(&of(None));
    assert!(
        refused.contains("\"emnist-digits\", \"emnist-letters\"; set dataset.configuration"),
        "{refused}"
    );
    let letters = of(Some("letters")).inspect().unwrap();
    assert_eq!(
        (letters.classes, letters.train),
        (vec!["1".into(), "2".into()], vec![1, 1])
    );
    assert!(of(Some("letters")).survey_labels().unwrap().notes[0].contains("count from 1"));
    assert_eq!(of(Some("digits")).inspect().unwrap().classes, ["0", "1"]);
}

#[test]
fn labels_of_parquet_may_be_whole_numbers_that_are_stored_as_others() {
    let home = TempDir::new().unwrap();
    let set = DatasetRequest {
        test: Some(0.5),
        unreadable: Unreadable::Skip,
        ..request(Kind::Parquet, home.path(), 4)
    };
    let file = home.path().join("train.parquet");
    let [zero, one] = [0., 1.].map(Some);
    parquet_of_floats(&file, &[zero, one, None, Some(f64::NAN), zero, one]);
    let found = set.inspect().unwrap();
    assert_eq!((found.train, found.test), (vec![1, 1], vec![1, 1]));
    parquet_of_floats(&file, &[zero, Some(1.5), zero, one]);
    assert!(
        problem(&set).contains("expected whole numbers as labels, found 1.5"),
        "{}",
        problem(&set)
    );
}

#[test]
fn a_check_counts_what_a_run_has() {
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 6);
    write(
        &home.path().join("train/cat/0.png"),
        "not a picture any more",
    );
    let broken = home.path().join("train/dog/1.png");
    let bytes = fs::read(&broken).unwrap();
    write(&broken, &bytes[..bytes.len() - 20]);
    let set = DatasetRequest {
        unreadable: Unreadable::Skip,
        ..request(Kind::ImageFolder, home.path(), 4)
    };
    let survey = set.survey(Duration::MAX / 4, &mut ignore_progress).unwrap();
    let dataset = set.load(&mut ignore_progress).unwrap();
    assert_eq!(survey.inventory.unwrap().train, dataset.train.per_class(2));
}

#[test]
fn hidden_data_files_and_files_of_another_kind_are_counted() {
    let home = TempDir::new().unwrap();
    let set = request(Kind::Idx, home.path(), 2);
    for part in ["train", "t10k"] {
        write(
            &home.path().join(format!("{part}-images-idx3-ubyte")),
            idx(&[2, 2, 2], &[7; 8]),
        );
        write(
            &home.path().join(format!("{part}-labels-idx1-ubyte")),
            idx(&[2], &[0, 1]),
        );
    }
    for name in [
        "README.md",
        "._train-images-idx3-ubyte",
        "train.tar.bz2",
        ".DS_Store",
    ] {
        write(&home.path().join(name), "x");
    }
    let left_out = set.survey_labels().unwrap().left_out;
    let names: Vec<&str> = left_out.iter().map(|files| files.first.as_str()).collect();
    assert_eq!(names, ["._train-images-idx3-ubyte", "train.tar.bz2"]);
}
