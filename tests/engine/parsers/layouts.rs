//! The parsers of data sets that other programs write, on the files of `tests/formats`.

use super::{Parser, home, ignore_progress, long_text, of_file, of_member, write};
use astill_engine::data::{DatasetRequest, Kind, Unreadable};
use std::fs;
use std::path::{Path, PathBuf};

/// The folder of the files that `tests/formats/make.py` writes.
fn formats() -> PathBuf {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = ["../../tests/formats", "../tests/formats"].map(|place| engine.join(place));
    let found = places.into_iter().find(|place| place.is_dir());
    found.expect("the folder tests/formats")
}

/// The parser of `file`, with these files of the folder `of` beside it.
fn parser(name: &str, kind: Kind, of: &str, files: &[&str], file: &str) -> Parser {
    let home = home();
    for file in files {
        let to = home.path().join(file);
        fs::create_dir_all(to.parent().expect("a folder")).expect("is made");
        fs::copy(formats().join(of).join(file), to).expect("is copied");
    }
    let cache = home.path().join("cache");
    of_file(name, home, file, move |home| {
        let request = DatasetRequest {
            unreadable: Unreadable::Skip,
            color: astill_core::profile::Color::Rgb,
            label: (kind == Kind::Parquet).then(|| "label".into()),
            ..DatasetRequest::new(kind, home, 8, &cache)
        };
        let is_read = request.load(&mut ignore_progress).is_ok();
        // every input would leave another one
        let _ = fs::remove_dir_all(&cache);
        is_read
    })
}

pub fn cifar_python_archive() -> Parser {
    let file = "cifar-100-python.tar.gz";
    parser("CIFAR-100 archive", Kind::Cifar100, "", &[file], file)
}

pub fn parquet_file() -> Parser {
    let files = [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
        "test-00000-of-00002.parquet",
        "test-00001-of-00002.parquet",
    ];
    parser("parquet", Kind::Parquet, "parquet/data", &files, files[0])
}

pub fn parquet_of_zstd() -> Parser {
    let files = [
        "train-00000-of-00001.parquet",
        "validation-00000-of-00001.parquet",
        "test-00000-of-00001.parquet",
    ];
    parser(
        "parquet, zstd",
        Kind::Parquet,
        "parquet-zstd/data",
        &files,
        files[2],
    )
}

pub fn webdataset_tar() -> Parser {
    let files = ["train-000000.tar", "train-000001.tar", "test-000000.tar"];
    parser(
        "WebDataset",
        Kind::Webdataset,
        "webdataset",
        &files,
        files[1],
    )
}

const MNIST: [&str; 4] = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
];

pub fn idx_images() -> Parser {
    let mut parser = parser("idx images", Kind::Idx, "mnist", &MNIST, MNIST[2]);
    let header = [0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 0, 28, 0, 0, 0, 28];
    parser.valid.push([&header[..], &[7; 6 * 784]].concat());
    let absurd = [0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 16, 0, 0, 0, 16, 0];
    parser.odd.push(absurd.to_vec());
    parser
}

pub fn idx_labels() -> Parser {
    let mut parser = parser("idx labels", Kind::Idx, "mnist", &MNIST, MNIST[3]);
    parser
        .valid
        .push(vec![0, 0, 8, 1, 0, 0, 0, 6, 0, 1, 2, 0, 1, 2]);
    parser
        .odd
        .push(vec![0, 0, 8, 1, 255, 255, 255, 255, 0, 1, 2]);
    parser
}

pub fn npz() -> Parser {
    let mut parser = parser("npz", Kind::Npz, "", &["medmnist.npz"], "medmnist.npz");
    // not compressed, so that changes reach the headers of the arrays
    let grey = formats().join("grey.npz");
    parser.valid.push(fs::read(grey).expect("a valid file"));
    parser
}

/// An array in an .npz whose checksums fit.
pub fn npz_array() -> Parser {
    let archive = fs::read(formats().join("grey.npz")).expect("a valid file");
    let home = home();
    let cache = home.path().join("cache");
    of_member(
        "npz, images",
        home,
        &archive,
        ("x_train.npy", "set.npz"),
        move |home| {
            let request = DatasetRequest::new(Kind::Npz, home, 8, &cache);
            let is_read = request.load(&mut ignore_progress).is_ok();
            let _ = fs::remove_dir_all(&cache);
            is_read
        },
    )
}

/// A file of CIFAR-10's Python version, as Python 2 writes it.
fn python_batch(labels: &[u8]) -> Vec<u8> {
    let (n, pixels) = (labels.len() as u8, 3072 * labels.len() as u32);
    let mut pickle = b"\x80\x02}q\x00(U\x06labelsq\x01]q\x02(".to_vec();
    labels
        .iter()
        .for_each(|label| pickle.extend([b'K', *label]));
    pickle.extend(b"eU\x04dataq\x03cnumpy.core.multiarray\n_reconstruct\nq\x04cnumpy\nndarray\nq\x05K\x00\x85q\x06U\x01b\x87q\x07Rq\x08(K\x01");
    pickle.extend([b'K', n, b'M', 0x00, 0x0C, 0x86]);
    pickle.extend(b"cnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89T");
    pickle.extend(pixels.to_le_bytes());
    pickle.extend((0..pixels).map(|at| (at % 251) as u8));
    pickle.extend(b"tbu.");
    pickle
}

/// A file of images of CIFAR-10's Python version that is unpacked.
pub fn cifar_python_file() -> Parser {
    let mut parser = cifar_python("CIFAR-10, Python version", "data_batch_2");
    // one long text, as Python 3 writes bytes, as the key of many entries
    let encoded = b"c_codecs\nencode\nh\x00X\x06\x00\x00\x00latin1\x86R";
    let entries = [
        &encoded[..],
        b"q\x010",
        &b"}("[..],
        &b"h\x01K\x01".repeat(4000),
        b"u.",
    ];
    parser
        .odd
        .push([&long_text()[..], &entries.concat()].concat());
    parser
}

/// Its names of classes.
pub fn cifar_python_names() -> Parser {
    let mut parser = cifar_python("CIFAR-10, Python version, names", "batches.meta");
    let names = b"h\x00".repeat(4000);
    let list = [&b"}U\x0blabel_names]("[..], &names, b"es."].concat();
    parser.odd.push([&long_text()[..], &list].concat());
    parser
}

fn cifar_python(name: &str, file: &str) -> Parser {
    let home = home();
    let folder = home.path().join("cifar-10-batches-py");
    for file in 0..5u8 {
        let batch = python_batch(&[2 * file, 2 * file + 1]);
        write(&folder.join(format!("data_batch_{}", file + 1)), batch);
    }
    let all: Vec<u8> = (0..10).collect();
    write(&folder.join("test_batch"), python_batch(&all));
    let names: Vec<u8> = (b'a'..=b'j').flat_map(|name| [b'U', 1, name]).collect();
    let meta = [&b"\x80\x02}U\x0blabel_names]("[..], &names, b"es."].concat();
    write(&folder.join("batches.meta"), meta);
    let file = format!("cifar-10-batches-py/{file}");
    let cache = home.path().join("cache");
    of_file(name, home, &file, move |home| {
        let request = DatasetRequest::new(Kind::Cifar10, home, 32, &cache);
        let is_read = request.load(&mut ignore_progress).is_ok();
        let _ = fs::remove_dir_all(&cache);
        is_read
    })
}

/// A pickle of CIFAR alone, without an archive around it.
pub fn pickle() -> Parser {
    let batch = b"\x80\x02}q\x00(U\x06labelsq\x01]q\x02(K\x01K\x02eU\x04dataq\x03cnumpy.core.multiarray\n_reconstruct\nq\x04cnumpy\nndarray\nq\x05K\x00\x85q\x06U\x01b\x87q\x07Rq\x08(K\x01K\x02K\x03\x86q\tcnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06abcdeftbu.";
    Parser {
        name: "pickle".into(),
        valid: vec![batch.to_vec(), b"(dp0\nI1\nI2\ns.".to_vec()],
        odd: vec![b"]q\x00h\x00a.".to_vec(), b")\x85\x85\x85.".to_vec()],
        parse: Box::new(|input| astill_engine::pickle::read(input).is_ok()),
    }
}
