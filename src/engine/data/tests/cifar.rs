//! CIFAR-10 and CIFAR-100.

use super::*;
use std::fs;
use tempfile::TempDir;

#[test]
fn cifar_is_read_from_its_folder_and_from_the_parent() {
    let home = TempDir::new().unwrap();
    let folder = home.path().join("cifar-10-batches-bin");
    cifar10(&folder, 3);
    for at in [home.path(), &folder] {
        let dataset = request(Kind::Cifar10, at, 32)
            .load(&mut ignore_progress)
            .unwrap();
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
            .load(&mut ignore_progress)
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
        .load(&mut ignore_progress)
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
        problem().contains("expected 10 class names, one per line, found 1"),
        "{}",
        problem()
    );
}
