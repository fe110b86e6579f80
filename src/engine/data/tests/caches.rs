//! Decoded images and whitenings in the cache.

use super::*;
use std::fs;
use tempfile::TempDir;

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
fn an_image_that_the_system_did_not_give_is_not_kept_as_unreadable() {
    use crate::data::layout::{BySplit, Layout};
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 2);
    let request = request(Kind::ImageFolder, home.path(), 4);
    let found = crate::data::image_folder::find(home.path()).unwrap();
    let rows = BySplit {
        train: vec![0, 1, 2, 3],
        validation: Vec::new(),
        test: vec![0, 1],
    };
    let read = || found.read(&rows, &request, &mut ignore_progress).unwrap();
    let path = home.path().join("train/cat/1.png");
    fs::remove_file(&path).unwrap();
    assert!(read().unreadable.train[0].may_pass);
    assert!(!home.path().join(".cache").exists());
    // what is in a file stays as it is
    write(&path, "no image");
    assert!(!read().unreadable.train[0].may_pass);
    assert_eq!(fs::read_dir(home.path().join(".cache")).unwrap().count(), 1);
}

#[test]
fn a_cache_folder_that_cannot_be_created_is_not_an_error() {
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 3);
    write(&home.path().join("file"), "");
    let request = DatasetRequest {
        cache: home.path().join("file/cache"),
        zca: true,
        ..request(Kind::ImageFolder, home.path(), 4)
    };
    assert_eq!(request.load(&mut ignore_progress).unwrap().train.len(), 6);
}

#[test]
fn whitening_is_fitted_on_the_training_share_alone_and_cached() {
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 10);
    let request = DatasetRequest {
        zca: true,
        validation: 0.3,
        ..request(Kind::ImageFolder, home.path(), 4)
    };
    let load = |request: &DatasetRequest| {
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
    let (_, fitted) = load(&DatasetRequest { seed: 1, ..request });
    assert!(fitted, "other images are held out");
}
