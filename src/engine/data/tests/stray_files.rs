//! Files that do not fit: without a part, of another version, links, and labels that are none.

use super::writers::{Member, idx, npy, npz, parquet, tar};
use super::*;
use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

fn formats(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests/formats")
        .join(name)
}

fn copied(from: &str) -> TempDir {
    let home = TempDir::new().unwrap();
    for entry in fs::read_dir(formats(from)).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, home.path().join(path.file_name().unwrap())).unwrap();
    }
    home
}

#[track_caller]
fn assert_refused(request: &DatasetRequest, parts: &[&str]) {
    let problem = request.inspect().unwrap_err().to_string();
    for part in parts {
        assert!(problem.contains(part), "{part} is not in: {problem}");
    }
}

/// What is left out of a set whose lost images are skipped: part, reason, count and whether it is lost.
fn left_out(request: &DatasetRequest) -> Vec<(String, String, u64, bool)> {
    let skipping = DatasetRequest {
        unreadable: crate::data::Unreadable::Skip,
        ..request.clone()
    };
    let survey = skipping.survey_labels().unwrap();
    let files = survey.left_out.into_iter();
    files
        .map(|files| (files.part, files.reason, files.count, files.is_lost))
        .collect()
}

#[test]
fn images_in_formats_that_are_not_read_are_lost_wherever_they_stand() {
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 2);
    let request = request(Kind::ImageFolder, home.path(), 4);
    let heic = "\0\0\0\x18ftypheic";
    for (name, part) in [
        ("train/1.heic", "train"),
        ("test/bird/1.heic", "test"),
        ("extra/1.heic", ""),
        ("test/bird/2.png.gz", "test"),
    ] {
        let path = home.path().join(name);
        write(&path, heic);
        assert_refused(&request, &["1 of 7 images cannot be used", name]);
        let lost: Vec<_> = left_out(&request)
            .into_iter()
            .filter(|file| file.3)
            .collect();
        assert_eq!((lost.len(), lost[0].0.as_str()), (1, part), "{lost:?}");
        fs::remove_file(&path).unwrap();
        let folder = path.parent().unwrap();
        if fs::read_dir(folder).unwrap().next().is_none() {
            fs::remove_dir(folder).unwrap();
        }
    }
    // a logo beside the parts is no image of the set, and is counted all the same
    write(&home.path().join("logo.svg"), "<svg/>");
    assert_eq!(request.inspect().unwrap().train, [2, 2]);
    let found = left_out(&request);
    assert!(found[0].1.contains("SVG") && !found[0].3, "{found:?}");
}

#[test]
fn images_of_tiny_imagenet_that_were_left_where_they_were_are_lost() {
    let home = TempDir::new().unwrap();
    let image = |name: &str| save(&home.path().join(name), RgbImage::new(8, 8));
    for id in ["n1", "n2"] {
        image(&format!("train/{id}/images/0.JPEG"));
        image(&format!("val/{id}/0.JPEG"));
    }
    let request = request(Kind::TinyImagenet, home.path(), 8);
    assert_eq!(request.inspect().unwrap().test, [1, 1]);
    for name in [
        "val/1.JPEG",
        "val/images/1.JPEG",
        "val/images/n1/1.JPEG",
        "train/1.JPEG",
    ] {
        image(name);
        assert_refused(&request, &["1 of 5 images cannot be used", name]);
        fs::remove_file(home.path().join(name)).unwrap();
    }
    // as released, with images beside those that are annotated
    for id in ["n1", "n2"] {
        fs::remove_dir_all(home.path().join("val").join(id)).unwrap();
        image(&format!("val/images/{id}.JPEG"));
    }
    fs::remove_dir_all(home.path().join("val/images/n1")).unwrap();
    let annotations = "n1.JPEG\tn1\nn2.JPEG\tn2\n";
    write(&home.path().join("val/val_annotations.txt"), annotations);
    assert_eq!(request.inspect().unwrap().test, [1, 1]);
    for name in ["val/1.JPEG", "val/more/1.JPEG"] {
        image(name);
        assert_refused(&request, &["1 of 5 images cannot be used", name]);
        fs::remove_file(home.path().join(name)).unwrap();
    }
}

#[test]
fn what_plain_files_hold_besides_is_counted() {
    let home = TempDir::new().unwrap();
    npz(
        &home.path().join("set.npz"),
        &[
            ("x_train.npy", npy("4, 2, 2", &[7; 16])),
            ("y_train.npy", npy("4,", &[0, 1, 0, 1])),
            ("x_test.npy", npy("2, 2, 2", &[7; 8])),
            ("y_test.npy", npy("2,", &[0, 1])),
            ("masks.npy", npy("4,", &[0; 4])),
            ("about.txt", b"four images".to_vec()),
        ],
    );
    let set = request(Kind::Npz, home.path(), 2);
    assert_eq!(set.inspect().unwrap().train, [2, 2]);
    let found = left_out(&set);
    let reasons: Vec<&str> = found.iter().map(|files| files.1.as_str()).collect();
    let odd = "an array whose name says neither images nor labels";
    assert_eq!(reasons, ["not an array", odd]);

    let home = TempDir::new().unwrap();
    let at = |name: &str| home.path().join(name);
    for part in ["train", "t10k"] {
        write(
            &at(&format!("{part}-images-idx3-ubyte")),
            idx(&[2, 2, 2], &[7; 8]),
        );
        write(
            &at(&format!("{part}-labels-idx1-ubyte")),
            idx(&[2], &[0, 1]),
        );
    }
    write(&at("labels-idx1-ubyte"), idx(&[2], &[0, 1]));
    write(&at("a/b/c/d/train-labels-idx1-ubyte"), idx(&[2], &[0, 1]));
    let reasons: Vec<String> = left_out(&request(Kind::Idx, home.path(), 2))
        .into_iter()
        .map(|file| file.1)
        .collect();
    assert_eq!(
        reasons,
        ["a folder more than 3 folders down", "labels of no part"]
    );
    // a tar file whose image is stored in a way that is not read
    let home = samples(&["0", "1"]);
    let mut tar = ::tar::Builder::new(Vec::new());
    for (name, kind, content) in [
        ("0.png", ::tar::EntryType::GNUSparse, &b""[..]),
        ("0.cls", ::tar::EntryType::Regular, b"0"),
        ("1.png", ::tar::EntryType::Continuous, b"x"),
        ("1.cls", ::tar::EntryType::Regular, b"1"),
    ] {
        let mut header = ::tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        tar.append_data(&mut header, name, content).unwrap();
    }
    write(&home.path().join("train-1.tar"), tar.into_inner().unwrap());
    let wanted = ["train-1.tar/0 (sparse files in tar files are not read"];
    assert_refused(&request(Kind::Webdataset, home.path(), 8), &wanted);
}

#[test]
fn a_folder_that_cannot_be_listed_is_not_taken_for_an_empty_one() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("file");
    write(&file, "");
    assert_refused(&request(Kind::Idx, &file, 2), &["list", "Not a directory"]);
    let found = crate::data::walk::files_below(&file, 3, &|_| true);
    assert!(found.is_err(), "a file is no folder");
}

#[test]
fn parquet_files_without_a_part_are_lost_where_others_have_one() {
    let home = copied("parquet/data");
    let at = |name: &str| home.path().join(name);
    let request = request(Kind::Parquet, home.path(), 8);
    let train = at("train-00000-of-00002.parquet");
    fs::create_dir(at("unlabelled")).unwrap();
    for name in ["mydata.parquet", "0000.parquet", "unsupervised-0.parquet"] {
        fs::copy(&train, at(name)).unwrap();
        let wanted = format!("{name} (its name says neither train, validation nor test");
        assert_refused(&request, &["1 of 19 images cannot be used", &wanted]);
        let skipping = DatasetRequest {
            unreadable: crate::data::Unreadable::Skip,
            ..request.clone()
        };
        let found = skipping.survey_labels().unwrap();
        assert_eq!((found.images, found.left_out[0].count), (18, 1));
        fs::remove_file(at(name)).unwrap();
    }
    // a split with a name of its own is counted, and not taken for training images
    for (name, split) in [
        ("unlabelled/0000.parquet", "unlabelled"),
        ("extra-00000-of-00001.parquet", "extra"),
    ] {
        fs::copy(&train, at(name)).unwrap();
        let found = request.survey_labels().unwrap();
        assert_eq!((found.images, found.left_out[0].count), (18, 1));
        let wanted = format!("the split {split} is left out");
        assert!(found.notes[0].contains(&wanted), "{:?}", found.notes);
        fs::remove_file(at(name)).unwrap();
    }
    // alone, it is the training part, as its own path or in a folder
    let alone = TempDir::new().unwrap();
    let file = alone.path().join("pets.parquet");
    fs::copy(&train, &file).unwrap();
    for folder in [alone.path(), &file] {
        let request = DatasetRequest {
            folder: folder.to_path_buf(),
            test: Some(0.5),
            ..request.clone()
        };
        assert_eq!(request.inspect().unwrap().stored, 3, "{}", folder.display());
    }
}

#[test]
fn shards_that_the_others_count_are_missed() {
    let home = copied("parquet/data");
    let request = request(Kind::Parquet, home.path(), 8);
    let whole = request.inspect().unwrap().stored;
    fs::remove_file(home.path().join("train-00001-of-00002.parquet")).unwrap();
    let parts = [
        "train-00001-of-00002.parquet (it is missing, one of 2 files",
        "dataset.unreadable: skip",
    ];
    assert_refused(&request, &parts);
    let skipping = DatasetRequest {
        unreadable: crate::data::Unreadable::Skip,
        ..request.clone()
    };
    assert!(skipping.inspect().unwrap().stored < whole);
    // a file that is named itself is meant to be alone
    let alone = DatasetRequest {
        folder: home.path().join("train-00000-of-00002.parquet"),
        test: Some(0.5),
        ..request
    };
    assert_eq!(alone.inspect().unwrap().stored, 3);
}

/// A parquet file of one image for each of these labels, which are text, with these class names in its
/// metadata.
fn parquet_of_texts(path: &Path, labels: &[&str], names: Option<&str>) {
    use ::parquet::data_type::{ByteArray, ByteArrayType};
    use ::parquet::file::metadata::KeyValue;
    use ::parquet::file::properties::WriterProperties;
    use ::parquet::file::writer::SerializedFileWriter;
    let schema = "message schema {
        optional group image { optional binary bytes; optional binary path (STRING); }
        optional binary label (STRING);
    }";
    let schema = ::parquet::schema::parser::parse_message_type(schema).unwrap();
    let described = names.map(|names| {
        let features = format!(
            r#"{{"info": {{"features": {{"image": {{"_type": "Image"}},
                "label": {{"names": {names}, "_type": "ClassLabel"}}}}}}}}"#
        );
        vec![KeyValue::new("huggingface".to_owned(), features)]
    });
    let properties = WriterProperties::builder()
        .set_key_value_metadata(described)
        .build();
    let file = fs::File::create(path).unwrap();
    let mut writer = SerializedFileWriter::new(file, schema.into(), properties.into()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    let images: Vec<ByteArray> = labels.iter().map(|_| "not looked at".into()).collect();
    let texts: Vec<ByteArray> = labels.iter().map(|text| (*text).into()).collect();
    for (values, level) in [(&images, 2), (&images, 2), (&texts, 1)] {
        let mut column = group.next_column().unwrap().unwrap();
        let levels = vec![level; labels.len()];
        let typed = column.typed::<ByteArrayType>();
        typed.write_batch(values, Some(&levels), None).unwrap();
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
}

#[test]
fn labels_that_are_texts_have_the_places_of_the_class_names() {
    let home = TempDir::new().unwrap();
    let request = DatasetRequest {
        label: Some("label".into()),
        image: Some("image".into()),
        ..request(Kind::Parquet, home.path(), 8)
    };
    let write_both = |labels: &[&str], names: Option<&str>| {
        for part in ["train", "test"] {
            parquet_of_texts(&home.path().join(format!("{part}.parquet")), labels, names);
        }
    };
    // sorted without names, in their order with them
    write_both(&["cat", "dog", "dog"], None);
    let found = request.inspect().unwrap();
    assert_eq!(
        (found.classes, found.train),
        (vec!["cat".into(), "dog".into()], vec![1, 2])
    );
    write_both(&["cat", "dog", "dog"], Some(r#"["dog", "cat"]"#));
    let found = request.inspect().unwrap();
    assert_eq!(
        (found.classes, found.train),
        (vec!["dog".into(), "cat".into()], vec![2, 1])
    );
    for (labels, names, wanted) in [
        (
            ["x", "y", "z"],
            r#"["a", "b"]"#,
            "the label \"x\", which is none of the 2 class names",
        ),
        (
            ["a", "b", "c"],
            r#"["a", "b"]"#,
            "the label \"c\", which is none",
        ),
        (
            ["a", "b", "b"],
            r#"["a", 7]"#,
            "class names in its metadata as text, found 7",
        ),
        (["a", "b", "b"], r#"["a", "b", "a"]"#, "\"a\" twice"),
    ] {
        write_both(&labels, Some(names));
        assert_refused(&request, &[wanted]);
    }
}

#[test]
fn two_classes_of_one_name_are_refused() {
    let home = samples(&["0", "1", "2"]);
    fs::write(home.path().join("classnames.txt"), "cat\ndog\ncat\n").unwrap();
    let problem = ["expected a name of its own for every class, found \"cat\" twice"];
    assert_refused(&request(Kind::Webdataset, home.path(), 8), &problem);
    let home = TempDir::new().unwrap();
    cifar10(home.path(), 1);
    fs::write(
        home.path().join("batches.meta.txt"),
        "a\nb\nc\nd\ne\nf\ng\nh\ni\na\n",
    )
    .unwrap();
    assert_refused(&request(Kind::Cifar10, home.path(), 32), &["\"a\" twice"]);
}

#[test]
fn a_parquet_test_part_without_labels_gives_way_to_validation() {
    let home = TempDir::new().unwrap();
    for (part, labels) in [
        ("train", &[0, 0, 1, 1][..]),
        ("validation", &[0, 1]),
        ("test", &[-1, -1, -1]),
    ] {
        parquet(&home.path().join(format!("{part}.parquet")), labels);
    }
    let request = DatasetRequest {
        label: Some("label".into()),
        image: Some("image".into()),
        ..request(Kind::Parquet, home.path(), 8)
    };
    let found = request.inspect().unwrap();
    assert_eq!((found.train, found.test), (vec![2, 2], vec![1, 1]));
    let survey = request.survey_labels().unwrap();
    assert_eq!(survey.left_out[0].count, 3);
    let note = "the test part has no labels, so the test images are those of the validation part";
    assert!(survey.notes.iter().any(|n| n == note), "{:?}", survey.notes);
}

#[test]
fn parquet_files_with_other_class_names_are_refused() {
    let home = copied("parquet/data");
    let test = home.path().join("test-00001-of-00002.parquet");
    let mut bytes = fs::read(&test).unwrap();
    let (names, swapped) = (br#"["cat", "dog""#, br#"["dog", "cat""#);
    let at = bytes.windows(names.len()).position(|w| w == names).unwrap();
    bytes[at..at + names.len()].copy_from_slice(swapped);
    fs::write(&test, bytes).unwrap();
    let parts = ["test-00001", "3 with \"cat\" for the label 0", "\"dog\""];
    assert_refused(&request(Kind::Parquet, home.path(), 8), &parts);
}

#[test]
fn links_to_folders_above_bring_nothing_in() {
    let home = copied("parquet/data");
    std::os::unix::fs::symlink(home.path(), home.path().join("again")).unwrap();
    let found = request(Kind::Parquet, home.path(), 8).inspect().unwrap();
    assert_eq!(found.train, [4; 3]);
    let home = copied("webdataset");
    std::os::unix::fs::symlink("..", home.path().join("up")).unwrap();
    std::os::unix::fs::symlink(".", home.path().join("here")).unwrap();
    let found = request(Kind::Webdataset, home.path(), 8).inspect().unwrap();
    assert_eq!(found.train, [4; 3]);
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 3);
    std::os::unix::fs::symlink("..", home.path().join("train/cat/up")).unwrap();
    let request = request(Kind::ImageFolder, home.path(), 4);
    assert_eq!(request.inspect().unwrap().train, [3, 3]);
    let left_out = request.survey_labels().unwrap().left_out;
    assert_eq!(left_out[0].reason, "a link to a folder above it");
}

/// A set of webdataset with one sample of each of these labels for training and for testing.
fn samples(labels: &[&str]) -> TempDir {
    let home = TempDir::new().unwrap();
    let names: Vec<String> = (0..labels.len()).map(|i| format!("{i:02}")).collect();
    let members: Vec<(String, &[u8])> = names
        .iter()
        .zip(labels)
        .flat_map(|(name, label)| {
            let image: &[u8] = b"not looked at";
            [
                (format!("{name}.png"), image),
                (format!("{name}.cls"), label.as_bytes()),
            ]
        })
        .collect();
    let members: Vec<Member<'_>> = members.iter().map(|(n, c)| (n.as_str(), *c)).collect();
    for part in ["train", "test"] {
        tar(&home.path().join(format!("{part}-0.tar")), &members);
    }
    home
}

#[test]
fn tar_files_without_a_part_are_lost_where_others_have_one() {
    let home = samples(&["0", "1", "2"]);
    let request = request(Kind::Webdataset, home.path(), 8);
    assert_eq!(request.inspect().unwrap().train, [1; 3]);
    fs::copy(
        home.path().join("train-0.tar"),
        home.path().join("unsupervised-0.tar"),
    )
    .unwrap();
    let parts = [
        "1 of 7 images cannot be used",
        "unsupervised-0.tar (its name says neither train, validation nor test",
    ];
    assert_refused(&request, &parts);
    // without any part, all are training samples
    fs::remove_file(home.path().join("unsupervised-0.tar")).unwrap();
    for part in ["train", "test"] {
        let from = home.path().join(format!("{part}-0.tar"));
        fs::rename(from, home.path().join(format!("shard-{part}s.tar"))).unwrap();
    }
    let alone = DatasetRequest {
        test: Some(0.5),
        ..request
    };
    assert_eq!(alone.inspect().unwrap().stored, 3);
}

#[test]
fn what_a_sample_lacks_is_named_with_its_tar_file() {
    let home = samples(&["0", "1"]);
    let shard = home.path().join("train-0.tar");
    let request = request(Kind::Webdataset, home.path(), 8);
    let avif: &[u8] = b"\0\0\0\x20ftypavif\0\0";
    let jpeg: &[u8] = b"\xFF\xD8\xFF\xE0";
    let whole: [Member<'_>; 4] = [
        ("0.png", b"x"),
        ("0.cls", b"0"),
        // the content decides, and a field that is no image is none
        ("1.heic", jpeg),
        ("1.cls", b"1"),
    ];
    let cases: [(&[Member<'_>], &str); 4] = [
        (&[("2.png", b"x")], "train-0.tar/2 (no .cls beside it)"),
        (&[("2.avif", avif)], "train-0.tar/2 (AVIF is not read"),
        (
            &[("2.cls", b"1"), ("2.tga", b"\0")],
            "train-0.tar/2 (TGA is not read",
        ),
        (
            &[("2.cls", b"1")],
            "train-0.tar/2 (no image beside its .cls)",
        ),
    ];
    for (more, wanted) in cases {
        tar(&shard, &[&whole, more].concat());
        assert_refused(&request, &[wanted]);
    }
    // beside an image that is read, other files are no images of the set; nor is a description
    let beside: [Member<'_>; 2] = [("1.npy", b"\x93NUMPY"), ("about.json", b"{}")];
    tar(&shard, &[&whole[..], &beside].concat());
    assert_eq!(request.inspect().unwrap().train, [1, 1]);
}

#[test]
fn numbers_that_are_no_labels_and_names_that_do_not_fit_them_are_refused() {
    let home = samples(&["0", "-1", "10"]);
    let of = |home: &TempDir| request(Kind::Webdataset, home.path(), 8);
    let parts = ["train-0.tar/01.png", "from 0 to 65535, found -1"];
    assert_refused(&of(&home), &parts);
    let home = samples(&["0", "1", "2"]);
    let names = home.path().join("classnames.txt");
    fs::write(&names, "cat\ndog\n").unwrap();
    let parts = [
        "classnames.txt",
        "expected the names of 3 classes",
        "found 2",
    ];
    assert_refused(&of(&home), &parts);
    fs::write(&names, "cat\ndog\nowl\nyak\n").unwrap();
    assert_refused(&of(&home), &["found none of \"yak\""]);
    fs::write(&names, "cat\ndog\nowl\n").unwrap();
    assert_eq!(of(&home).inspect().unwrap().classes, ["cat", "dog", "owl"]);
    let home = samples(&["dog", "cat"]);
    fs::write(home.path().join("classes.txt"), "dog\ncat\n").unwrap();
    let survey = of(&home).survey_labels().unwrap();
    assert!(survey.notes[0].contains("classes.txt is not used"));
}

#[test]
fn labels_from_1_are_refused_with_the_classes_to_choose() {
    let home = samples(&["1", "2", "3"]);
    let request = request(Kind::Webdataset, home.path(), 8);
    let wanted = r#"found none of "0"; complete the data set, set dataset.classes to those that have images: ["1", "2", "3"]"#;
    assert_refused(&request, &[wanted]);
    let classes = ["1", "2", "3"].map(str::to_owned).to_vec();
    let chosen = DatasetRequest {
        classes: Some(classes),
        ..request
    };
    assert_eq!(chosen.inspect().unwrap().train, [1; 3]);
}

#[test]
fn idx_files_that_go_on_or_name_no_part_are_refused() {
    let home = TempDir::new().unwrap();
    let at = |name: &str| home.path().join(name);
    for part in ["train", "t10k"] {
        write(
            &at(&format!("{part}-images-idx3-ubyte")),
            idx(&[2, 2, 2], &[7; 8]),
        );
        write(
            &at(&format!("{part}-labels-idx1-ubyte")),
            idx(&[2], &[0, 1]),
        );
    }
    let request = request(Kind::Idx, home.path(), 2);
    request.load(&mut ignore_progress).unwrap();
    write(&at("train-images-idx3-ubyte"), idx(&[2, 2, 2], &[7; 72]));
    let problem = request.load(&mut ignore_progress).unwrap_err().to_string();
    assert!(problem.contains("found more bytes"), "{problem}");
    write(&at("train-images-idx3-ubyte"), idx(&[2, 2, 2], &[7; 8]));
    write(&at("train-labels-idx1-ubyte"), idx(&[2], &[0, 1, 1]));
    assert_refused(&request, &["expected 2 labels, found more"]);
    write(&at("train-labels-idx1-ubyte"), idx(&[2], &[0, 1]));
    write(&at("extra-images-idx3-ubyte"), idx(&[2, 2, 2], &[7; 8]));
    assert_refused(
        &request,
        &["extra-images-idx3-ubyte (its name says neither train, validation nor test"],
    );
}

#[test]
fn only_names_in_the_folder_of_the_set_make_its_classes_clothes() {
    let home = TempDir::new().unwrap();
    for (folder, want) in [
        ("fashion/mnist", "0"),
        ("mnist/fashion-mnist", "T-shirt/top"),
    ] {
        let folder = home.path().join(folder);
        for part in ["train", "t10k"] {
            let labels: Vec<u8> = (0..10).collect();
            let at = |what: &str| folder.join(format!("{part}-{what}-ubyte"));
            write(&at("images-idx3"), idx(&[10, 2, 2], &[7; 40]));
            write(&at("labels-idx1"), idx(&[10], &labels));
        }
        let request = request(Kind::Idx, &folder, 2);
        assert_eq!(request.inspect().unwrap().classes[0], want);
        let notes = request.survey_labels().unwrap().notes;
        assert_eq!(notes.is_empty(), want == "0", "{notes:?}");
    }
}

#[test]
fn a_set_without_test_images_is_refused_with_what_became_of_them() {
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 3);
    let of = |folder: PathBuf| request(Kind::ImageFolder, &folder, 4);
    let train = of(home.path().join("train"));
    assert_refused(
        &train,
        &["found none (", "is read alone; to use the other parts"],
    );
    for class in ["cat", "dog"] {
        let test = home.path().join("test");
        fs::rename(test.join(class), test.join(class.to_uppercase())).unwrap();
    }
    let parts = ["found none (test is left out, because its folders are not classes"];
    assert_refused(&of(home.path().to_path_buf()), &parts);
    fs::rename(home.path().join("test"), home.path().join("valid")).unwrap();
    for class in ["cat", "dog"] {
        let valid = home.path().join("valid");
        fs::rename(valid.join(class.to_uppercase()), valid.join(class)).unwrap();
    }
    let drawn = DatasetRequest {
        test: Some(0.2),
        ..of(home.path().to_path_buf())
    };
    let parts = ["2 test images of its own (the test images are those of valid)"];
    assert_refused(&drawn, &parts);
}

#[test]
fn a_tiff_of_floats_and_compressed_images_are_refused_in_plain_words() {
    let home = TempDir::new().unwrap();
    image_folder(home.path(), 2);
    let request = request(Kind::ImageFolder, home.path(), 4);
    // the tags of a TIFF of 1 × 1: width, height, bits, compression, colours, place, rows, bytes, kind
    let tags: [[u16; 2]; 9] = [
        [256, 1],
        [257, 1],
        [258, 32],
        [259, 1],
        [262, 1],
        [273, 8],
        [278, 1],
        [279, 4],
        [339, 3],
    ];
    let mut tiff = [&b"II*\0\x0C\0\0\0"[..], &0.5f32.to_le_bytes(), &[9, 0]].concat();
    for [tag, value] in tags {
        tiff.extend([tag, 3].map(u16::to_le_bytes).concat());
        tiff.extend([&1u32.to_le_bytes()[..], &value.to_le_bytes(), &[0, 0]].concat());
    }
    tiff.extend([0; 4]);
    let float = home.path().join("train/cat/9.tif");
    write(&float, tiff);
    let problem = request.load(&mut ignore_progress).unwrap_err().to_string();
    assert!(problem.contains("9.tif (its values are"), "{problem}");
    fs::remove_file(float).unwrap();
    write(&home.path().join("train/cat/8.png.gz"), b"\x1F\x8B");
    write(&home.path().join("train/cat/7.tga"), b"\0\0\x02");
    let parts = ["2 of 8 images", "8.png.gz (compressed", "7.tga (TGA"];
    assert_refused(&request, &parts);
}
