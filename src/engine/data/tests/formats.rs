//! Files of other programs, which `tests/formats/make.py` writes with those programs.

use super::*;
use crate::data::Inventory;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/formats")
        .join(name)
}

/// A request for these files, whose cache goes elsewhere.
fn of(kind: Kind, name: &str) -> (TempDir, DatasetRequest) {
    let home = TempDir::new().unwrap();
    let size = match kind {
        Kind::Cifar10 | Kind::Cifar100 => 32,
        Kind::Idx => 28,
        _ => 8,
    };
    let request = DatasetRequest::new(kind, file(name), size, home.path());
    (home, request)
}

fn counts(inventory: &Inventory) -> [Vec<usize>; 3] {
    [&inventory.train, &inventory.validation, &inventory.test].map(Clone::clone)
}

/// The first red, green and blue of a row, or its first grey.
fn colour(dataset: &Dataset, split: &DataSplit, row: i64) -> Vec<i64> {
    let all = pixels(dataset, split, row);
    let plane = all.len() / dataset.channels as usize;
    all.iter()
        .step_by(plane)
        .map(|value| value.round() as i64)
        .collect()
}

/// What `picture` of make.py draws as image `index` of class `class`.
fn drawn(class: i64, index: i64) -> Vec<i64> {
    vec![2 * class, 10 * index, 100]
}

/// Checks the files that hold image 0 to 3 of three classes for training and 8 and 9 for the rest.
fn three_classes(dataset: &Dataset, is_grey: bool, has_validation: bool) {
    let look = |class, index| match is_grey {
        true => vec![20 * class + index],
        false => drawn(class, index),
    };
    assert_eq!(dataset.channels, if is_grey { 1 } else { 3 });
    assert_eq!(dataset.train.labels(), [0, 1, 2].repeat(4));
    for row in 0..12 {
        assert_eq!(colour(dataset, &dataset.train, row), look(row % 3, row / 3));
    }
    let rest: Vec<Vec<i64>> = [&dataset.validation, &dataset.test]
        .into_iter()
        .flat_map(|split| (0..split.len() as i64).map(move |row| colour(dataset, split, row)))
        .collect();
    let want: Vec<Vec<i64>> = (0..6).map(|row| look(row % 3, 8 + row / 3)).collect();
    assert_eq!(rest, want);
    assert_eq!(dataset.validation.len(), if has_validation { 3 } else { 0 });
    assert!(dataset.left_out.is_empty(), "{:?}", dataset.left_out);
}

#[test]
fn the_python_version_of_cifar_is_read_from_its_archive_and_unpacked() {
    for (kind, archive, classes) in [
        (Kind::Cifar10, "cifar-10-python.tar.gz", 10),
        (Kind::Cifar10, "cifar-10-bytes/cifar-10-python.tar.gz", 10),
        (
            Kind::Cifar10,
            "cifar-10-protocol-5/cifar-10-python.tar.gz",
            10,
        ),
        (Kind::Cifar100, "cifar-100-python.tar.gz", 100),
    ] {
        let (home, request) = of(kind, archive);
        let unpacked = home.path().join("unpacked");
        let packed = flate2::read::GzDecoder::new(fs::File::open(file(archive)).unwrap());
        tar::Archive::new(packed).unpack(&unpacked).unwrap();
        let beside = home.path().join("beside");
        fs::create_dir(&beside).unwrap();
        let name = file(archive).file_name().unwrap().to_owned();
        fs::copy(file(archive), beside.join(name)).unwrap();
        for folder in [file(archive), unpacked, beside] {
            let request = DatasetRequest {
                folder,
                ..request.clone()
            };
            let dataset = request.load(&mut ignore_progress).unwrap();
            assert_eq!(counts(&request.inspect().unwrap())[2], vec![1; classes]);
            assert_eq!(dataset.classes.len(), classes);
            match kind {
                Kind::Cifar10 => {
                    assert_eq!(dataset.classes[3], "class 3");
                    assert_eq!(
                        dataset.train.labels(),
                        (0..10).collect::<Vec<_>>().repeat(5)
                    );
                    assert_eq!(colour(&dataset, &dataset.train, 23), drawn(3, 3));
                    assert_eq!(colour(&dataset, &dataset.test, 0), drawn(9, 9));
                }
                _ => {
                    assert_eq!(dataset.classes[42], "fine 42");
                    assert_eq!(colour(&dataset, &dataset.train, 42), drawn(42, 1));
                    assert_eq!(colour(&dataset, &dataset.test, 7), drawn(7, 2));
                }
            }
        }
    }
}

#[test]
fn folders_of_every_format_that_pillow_writes_and_of_pngs_that_are_not_quite_right() {
    let (_home, request) = of(Kind::ImageFolder, "folders");
    let dataset = request.load(&mut ignore_progress).unwrap();
    assert_eq!(dataset.classes, ["cat", "dog", "owl"]);
    assert_eq!(dataset.channels, 3);
    assert!(dataset.left_out.is_empty(), "{:?}", dataset.left_out);
    for (split, per_class) in [(&dataset.train, 16), (&dataset.test, 3)] {
        assert_eq!(split.len(), 3 * per_class as usize);
        for row in 0..3 * per_class {
            let (class, index) = (row / per_class, row % per_class);
            let found = colour(&dataset, split, row);
            let wanted = drawn(class, index);
            // JPEG rounds, and once more where it is for print
            let is_close = found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() <= 3);
            assert!(is_close, "{found:?} is not {wanted:?}");
            let is_jpeg = split.len() > 9 && matches!(index, 7 | 8 | 11);
            assert!(is_jpeg || found == wanted, "{found:?} is not {wanted:?}");
        }
    }
}

#[test]
fn parquet_of_hugging_face() {
    let (_home, request) = of(Kind::Parquet, "parquet");
    let inventory = request.inspect().unwrap();
    assert_eq!(inventory.classes, ["cat", "dog", "owl"]);
    assert_eq!(counts(&inventory), [vec![4; 3], vec![0; 3], vec![2; 3]]);
    for _fresh_and_cached in 0..2 {
        three_classes(&request.load(&mut ignore_progress).unwrap(), false, false);
    }
    let chosen = DatasetRequest {
        classes: Some(vec!["owl".into(), "cat".into()]),
        ..request
    };
    let dataset = chosen.load(&mut ignore_progress).unwrap();
    assert_eq!(dataset.train.labels(), [1, 0].repeat(4));
    assert_eq!(colour(&dataset, &dataset.train, 1), drawn(2, 0));
}

#[test]
fn of_several_columns_of_labels_one_has_to_be_chosen() {
    let (_home, request) = of(Kind::Parquet, "parquet-zstd");
    let problem = request.inspect().unwrap_err().to_string();
    assert!(
        problem.contains("label, coarse; set dataset.label"),
        "{problem}"
    );
    let label = |name: &str| DatasetRequest {
        label: Some(name.into()),
        ..request.clone()
    };
    three_classes(
        &label("label").load(&mut ignore_progress).unwrap(),
        true,
        true,
    );
    let coarse = label("coarse").inspect().unwrap();
    assert_eq!(coarse.classes, ["mammal", "bird"]);
    assert_eq!(coarse.train, [8, 4]);
    let problem = label("colour").inspect().unwrap_err().to_string();
    assert!(problem.contains("dataset.label is colour"), "{problem}");
}

#[test]
fn the_local_cache_of_the_hub() {
    let (_home, request) = of(Kind::Parquet, "hub/datasets--someone--pets");
    let problem = request.inspect().unwrap_err().to_string();
    assert!(
        problem.contains("several configurations: other, plain"),
        "{problem}"
    );
    let plain = DatasetRequest {
        configuration: Some("plain".into()),
        ..request
    };
    three_classes(&plain.load(&mut ignore_progress).unwrap(), false, false);
}

#[test]
fn idx_of_mnist() {
    let (home, request) = of(Kind::Idx, "mnist");
    three_classes(&request.load(&mut ignore_progress).unwrap(), true, false);
    assert_eq!(request.inspect().unwrap().classes, ["0", "1", "2"]);
    let rgb = DatasetRequest {
        color: astill_core::profile::Color::Rgb,
        size: 32,
        ..request.clone()
    };
    let dataset = rgb.load(&mut ignore_progress).unwrap();
    assert_eq!(colour(&dataset, &dataset.train, 4), [21, 21, 21]);
    // unpacked, as torchvision leaves them
    let raw = home.path().join("MNIST/raw");
    fs::create_dir_all(&raw).unwrap();
    for entry in fs::read_dir(file("mnist")).unwrap() {
        let path = entry.unwrap().path();
        let mut packed = flate2::read::GzDecoder::new(fs::File::open(&path).unwrap());
        let unpacked = raw.join(path.file_stem().unwrap());
        std::io::copy(&mut packed, &mut fs::File::create(unpacked).unwrap()).unwrap();
        fs::copy(&path, raw.join(path.file_name().unwrap())).unwrap();
    }
    let unpacked = DatasetRequest {
        folder: home.path().to_path_buf(),
        ..request.clone()
    };
    three_classes(&unpacked.load(&mut ignore_progress).unwrap(), true, false);
    // one file alone is named, with the others that belong to it
    let alone = TempDir::new().unwrap();
    write(
        &alone.path().join("train-images-idx3-ubyte"),
        [
            &[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 28, 0, 0, 0, 28][..],
            &[0; 1568],
        ]
        .concat(),
    );
    let request_alone = DatasetRequest {
        folder: alone.path().to_path_buf(),
        ..request.clone()
    };
    let problem = request_alone.inspect().unwrap_err().to_string();
    assert!(
        problem.contains("images or labels of the training part are missing"),
        "{problem}"
    );
    write(
        &raw.join("t10k-labels-idx1-ubyte"),
        [0, 0, 8, 1, 0, 0, 0, 9],
    );
    let problem = unpacked.inspect().unwrap_err().to_string();
    assert!(problem.contains("expected 9 labels, found 0"), "{problem}");
}

#[test]
fn npz_of_medmnist_and_keras() {
    let (_home, request) = of(Kind::Npz, "medmnist.npz");
    three_classes(&request.load(&mut ignore_progress).unwrap(), false, true);
    let (_home, request) = of(Kind::Npz, "grey.npz");
    three_classes(&request.load(&mut ignore_progress).unwrap(), true, false);
    let (_home, request) = of(Kind::Npz, ".");
    let problem = request.inspect().unwrap_err().to_string();
    assert!(problem.contains("two arrays for the same"), "{problem}");
}

#[test]
fn webdataset_of_several_shards() {
    let (home, request) = of(Kind::Webdataset, "webdataset");
    three_classes(&request.load(&mut ignore_progress).unwrap(), false, false);
    let names = home.path().join("names");
    fs::create_dir(&names).unwrap();
    for entry in fs::read_dir(file("webdataset")).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, names.join(path.file_name().unwrap())).unwrap();
    }
    write(&names.join("classnames.txt"), "cat\ndog\nowl\n");
    let named = DatasetRequest {
        folder: names.clone(),
        ..request
    };
    assert_eq!(named.inspect().unwrap().classes, ["cat", "dog", "owl"]);
    // a long name is read, as Python's tarfile writes it; one of a megabyte is refused
    for (length, kind) in [(200, None), (1 << 20, Some("longer than any file's"))] {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, content) in [("png", &b"not looked at"[..]), ("cls", b"1")] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            let path = format!("{}.{name}", "k".repeat(length));
            tar.append_data(&mut header, path, content).unwrap();
        }
        fs::write(names.join("train-000002.tar"), tar.into_inner().unwrap()).unwrap();
        let found = named.inspect();
        match kind {
            None => assert_eq!(found.unwrap().train, [4, 5, 4]),
            Some(part) => assert!(found.unwrap_err().to_string().contains(part)),
        }
    }
    fs::remove_file(names.join("train-000002.tar")).unwrap();
    // a label that is empty is not a class of its own
    let shard = names.join("train-000001.tar");
    let whole = fs::read(&shard).unwrap();
    let mut unlabelled = whole.clone();
    let header = unlabelled
        .windows(7)
        .position(|w| w == b"_2.cls\0")
        .unwrap();
    let header = header - header % 512;
    unlabelled[header + 512] = b' ';
    fs::write(&shard, &unlabelled).unwrap();
    let problem = named.inspect().unwrap_err().to_string();
    assert!(problem.contains("its .cls is empty"), "{problem}");
    fs::write(&shard, &whole[..700]).unwrap();
    let problem = named.inspect().unwrap_err().to_string();
    assert!(problem.contains("train-000001.tar"), "{problem}");
}
