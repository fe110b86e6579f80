//! Folders of images: which files belong to which class and split.

use super::*;
use image::{GrayImage, Luma};
use std::fs;
use tempfile::TempDir;

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
fn tiny_imagenet_is_tested_on_val_in_the_order_of_sorted_ids() {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("tiny-imagenet-200");
    tiny_imagenet(&folder);
    for at in [home.path(), &folder] {
        let dataset = request(Kind::TinyImagenet, at, 8)
            .load(&mut ignore_progress)
            .unwrap();
        assert_eq!(dataset.classes, ["cat", "dog"]);
        assert_eq!(dataset.ids.unwrap(), ["n1", "n2"]);
        assert_eq!(
            (dataset.train.labels(), dataset.test.labels()),
            (&[0, 0, 1, 1][..], &[0, 1][..])
        );
        assert_eq!(dataset.channels, 3, "it is a set of colour images");
        assert!(dataset.left_out.is_empty(), "{:?}", dataset.left_out);
    }
    let as_folders = request(Kind::ImageFolder, &folder, 8)
        .inspect()
        .unwrap_err();
    let text = as_folders.to_string();
    assert!(text.contains("dataset.kind: tiny-imagenet"), "{text}");
    fs::remove_file(folder.join("words.txt")).unwrap();
    let inventory = request(Kind::TinyImagenet, &folder, 8).inspect().unwrap();
    assert_eq!(inventory.classes, ["n1", "n2"]);
    let problem = || {
        let inspected = request(Kind::TinyImagenet, &folder, 8).inspect();
        inspected.unwrap_err().to_string()
    };
    for (line, want) in [
        ("val_0.JPEG\tn9\t0\n", "\"n9\" in line 1"),
        ("val_7.JPEG\tn1\t0\n", "\"val_7.JPEG\" in line 1"),
        (
            "val_0.JPEG\tn1\nval_0.JPEG\tn1\n",
            "\"val_0.JPEG\" in line 2",
        ),
        (
            "val_0.JPEG\tn1\n",
            "val/images/val_1.JPEG (not in val_annotations.txt)",
        ),
    ] {
        write(&folder.join("val/val_annotations.txt"), line);
        assert!(problem().contains(want), "{}", problem());
    }
    write(&folder.join("wnids.txt"), "n1\nn2\nn1\n");
    assert!(problem().contains("n1 twice"), "{}", problem());
    write(&folder.join("wnids.txt"), "\u{feff}n1\r\nn2\r\nn3\r\n");
    assert!(problem().contains("none for n3"), "{}", problem());
}

#[test]
fn tiny_imagenet_may_be_sorted_into_folders_of_classes() {
    for sorted in ["val/images/{}", "val/{}", "val/{}/images"] {
        let home = TempDir::new().unwrap();
        tiny_imagenet(home.path());
        for (image, id) in [("val_0.JPEG", "n1"), ("val_1.JPEG", "n2")] {
            let folder = home.path().join(sorted.replace("{}", id));
            fs::create_dir_all(&folder).unwrap();
            let from = home.path().join("val/images").join(image);
            fs::rename(from, folder.join(image)).unwrap();
        }
        for has_annotations in [true, false] {
            if !has_annotations {
                fs::remove_file(home.path().join("val/val_annotations.txt")).unwrap();
                fs::remove_file(home.path().join("wnids.txt")).unwrap();
            }
            let dataset = request(Kind::TinyImagenet, home.path(), 8)
                .load(&mut ignore_progress)
                .unwrap();
            assert_eq!(dataset.test.labels(), [0, 1], "{sorted}");
            assert_pixels(&pixels(&dataset, &dataset.test, 1), &[20.0; 192]);
        }
    }
}
