//! The parsers of data sets that other programs write, on the files of `tests/formats`.

use super::{
    Parser, cifar10_file, home, ignore_progress, in_file, long_text, of_file, of_member,
    takes_images, takes_names, write,
};
use astill_engine::data::parsers::{
    CIFAR10, Cifar, ImageList, Layout, PlainImages, find_npz, find_parquet, find_webdataset,
    read_idx,
};
use astill_engine::data::{DatasetRequest, Kind, Unreadable};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The folder of the files that `tests/formats/make.py` writes.
fn formats() -> PathBuf {
    let engine = Path::new(env!("CARGO_MANIFEST_DIR"));
    let places = ["../../tests/formats", "../tests/formats"].map(|place| engine.join(place));
    let found = places.into_iter().find(|place| place.is_dir());
    found.expect("the folder tests/formats")
}

/// A folder with these files of the folder `of`.
fn with_files(of: &str, files: &[&str]) -> TempDir {
    let home = home();
    for file in files {
        let to = home.path().join(file);
        fs::create_dir_all(to.parent().expect("a folder")).expect("is made");
        fs::copy(formats().join(of).join(file), to).expect("is copied");
    }
    home
}

fn request(kind: Kind, folder: &Path, cache: &Path) -> DatasetRequest {
    DatasetRequest {
        unreadable: Unreadable::Skip,
        color: astill_core::profile::Color::Rgb,
        label: (kind == Kind::Parquet).then(|| "label".into()),
        ..DatasetRequest::new(kind, folder, 8, cache)
    }
}

/// Loads the whole set of `file`, with these files of the folder `of` beside it.
fn parser(name: &str, kind: Kind, of: &str, files: &[&str], file: &str) -> Parser {
    let home = with_files(of, files);
    let cache = home.path().join("cache");
    of_file(name, home, file, move |home| {
        let request = request(kind, home, &cache);
        let is_read = request.load(&mut ignore_progress).is_ok();
        // every input would leave another one
        let _ = fs::remove_dir_all(&cache);
        is_read
    })
}

/// An archive with images of a hundred classes, which takes too long to unpack for a million inputs.
pub fn cifar_100_archive() -> Parser {
    let file = "cifar-100-python.tar.gz";
    parser("CIFAR-100 archive", Kind::Cifar100, "", &[file], file)
}

/// An archive of CIFAR-10's Python version, compressed or not.
pub fn cifar_python_archive() -> Parser {
    const FILE: &str = "cifar-10-python.tar.gz";
    let mut tar = tar::Builder::new(Vec::new());
    let mut add = |name: &str, bytes: Vec<u8>| {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let path = format!("cifar-10-batches-py/{name}");
        tar.append_data(&mut header, path, bytes.as_slice())
            .expect("is added");
    };
    // one image in all, so that unpacking takes no time
    for (file, bytes) in python_files(|file| if file == 0 { vec![3] } else { Vec::new() }) {
        add(file, bytes);
    }
    let plain = tar.into_inner().expect("is finished");
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&plain).expect("is packed");
    let packed = packed.finish().expect("is finished");
    Parser {
        name: "CIFAR-10 archive".into(),
        valid: vec![plain, packed],
        odd: Vec::new(),
        parse: Box::new(in_file(FILE, |path| {
            let folder = path.parent().expect("a folder");
            Cifar::find(&CIFAR10, folder).is_ok()
        })),
        load: None,
    }
}

pub fn parquet_file() -> Parser {
    let files = [
        "train-00000-of-00002.parquet",
        "train-00001-of-00002.parquet",
        "test-00000-of-00002.parquet",
        "test-00001-of-00002.parquet",
    ];
    let parser = parser("parquet", Kind::Parquet, "parquet/data", &files, files[0]);
    parser.parsed_by(in_file("train.parquet", takes_parquet))
}

/// Reads one parquet file up to the bytes of its images.
fn takes_parquet(path: &Path) -> bool {
    find_parquet(&request(Kind::Parquet, path, path)).is_ok_and(|list| takes_encoded(&list))
}

/// Whether the training images can be fetched; they are not decoded.
fn takes_encoded(list: &ImageList) -> bool {
    let rows: Vec<usize> = (0..list.labelling().labels.train.len()).collect();
    let mut left = rows.as_slice();
    while !left.is_empty() {
        let Ok(fetched) = list.images.train.fetch(left) else {
            return false;
        };
        left = &left[fetched.len().clamp(1, left.len())..];
    }
    true
}

pub fn parquet_of_zstd() -> Parser {
    let files = [
        "train-00000-of-00001.parquet",
        "validation-00000-of-00001.parquet",
        "test-00000-of-00001.parquet",
    ];
    let parser = parser(
        "parquet, zstd",
        Kind::Parquet,
        "parquet-zstd/data",
        &files,
        files[2],
    );
    parser.parsed_by(in_file("test.parquet", takes_parquet))
}

pub fn webdataset_tar() -> Parser {
    let files = ["train-000000.tar", "train-000001.tar", "test-000000.tar"];
    let parser = parser(
        "WebDataset",
        Kind::Webdataset,
        "webdataset",
        &files,
        files[1],
    );
    parser.parsed_by(in_file("train.tar", |path| {
        let list = find_webdataset(&request(Kind::Webdataset, path, path));
        list.is_ok_and(|list| takes_encoded(&list))
    }))
}

const MNIST: [&str; 4] = [
    "train-images-idx3-ubyte.gz",
    "train-labels-idx1-ubyte.gz",
    "t10k-images-idx3-ubyte.gz",
    "t10k-labels-idx1-ubyte.gz",
];

/// The parser of one of the files of MNIST.
fn idx(name: &str, file: &str) -> Parser {
    let [_, _, images, labels] = MNIST;
    let home = with_files("mnist", &[images, labels]);
    let alone = of_file(name, home, file, move |home| {
        let read = read_idx(&home.join(labels), home.join(images));
        read.is_ok_and(|(_, images)| images.iter().all(takes_bytes))
    });
    parser(name, Kind::Idx, "mnist", &MNIST, file).parsed_by(alone.parse)
}

/// Whether there are as many bytes as the images take.
fn takes_bytes(images: &PlainImages) -> bool {
    let bytes = images.count * images.rows * images.columns * images.channels;
    let Ok(reader) = images.bytes.open() else {
        return false;
    };
    let read = io::copy(&mut reader.take(bytes as u64 + 1), &mut io::sink());
    read.is_ok_and(|read| read == bytes as u64)
}

pub fn idx_images() -> Parser {
    let mut parser = idx("idx images", MNIST[2]);
    let header = [0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 0, 28, 0, 0, 0, 28];
    parser.valid.push([&header[..], &[7; 6 * 784]].concat());
    let absurd = [0, 0, 8, 3, 0, 0, 0, 6, 0, 0, 16, 0, 0, 0, 16, 0];
    parser.odd.push(absurd.to_vec());
    parser
}

pub fn idx_labels() -> Parser {
    let mut parser = idx("idx labels", MNIST[3]);
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
    parser.parsed_by(in_file("set.npz", takes_npz))
}

/// Reads one file of arrays up to the bytes of its images.
fn takes_npz(path: &Path) -> bool {
    let found = find_npz(&request(Kind::Npz, path, path));
    found.is_ok_and(|found| {
        found
            .images
            .into_iter()
            .flatten()
            .all(|images| takes_bytes(&images))
    })
}

/// An array in an .npz whose checksums fit.
pub fn npz_array() -> Parser {
    let archive = fs::read(formats().join("grey.npz")).expect("a valid file");
    let of_array = |home: TempDir, takes: Box<dyn Fn(&Path) -> bool>| {
        let place = ("x_train.npy", "set.npz");
        of_member("npz, images", home, &archive, place, takes)
    };
    let home_of_load = home();
    let cache = home_of_load.path().join("cache");
    let loaded = of_array(
        home_of_load,
        Box::new(move |home| {
            let request = DatasetRequest::new(Kind::Npz, home, 8, &cache);
            let is_read = request.load(&mut ignore_progress).is_ok();
            let _ = fs::remove_dir_all(&cache);
            is_read
        }),
    );
    let alone = of_array(home(), Box::new(|home| takes_npz(&home.join("set.npz"))));
    loaded.parsed_by(alone.parse)
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
    let mut parser = cifar_python("CIFAR-10, Python version", "data_batch_2", takes_images);
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
    let name = "CIFAR-10, Python version, names";
    let mut parser = cifar_python(name, "batches.meta", takes_names);
    let names = b"h\x00".repeat(4000);
    let list = [&b"}U\x0blabel_names]("[..], &names, b"es."].concat();
    parser.odd.push([&long_text()[..], &list].concat());
    parser
}

/// The files of CIFAR-10's Python version; `labels` gives those of each of the six with images, the
/// last of which has the test images.
fn python_files(labels: fn(u8) -> Vec<u8>) -> Vec<(&'static str, Vec<u8>)> {
    let names: Vec<u8> = (b'a'..=b'j').flat_map(|name| [b'U', 1, name]).collect();
    let meta = [&b"\x80\x02}U\x0blabel_names]("[..], &names, b"es."].concat();
    let images = (0..6).map(|file| python_batch(&labels(file)));
    let contents = images.chain([meta]);
    CIFAR10.python.files().into_iter().zip(contents).collect()
}

fn cifar_python(name: &str, file: &str, parse: fn(&Cifar, &[u8]) -> bool) -> Parser {
    let home = home();
    let folder = home.path().join("cifar-10-batches-py");
    let labels = |file| match file {
        5 => (0..10).collect(),
        file => vec![2 * file, 2 * file + 1],
    };
    for (file, bytes) in python_files(labels) {
        write(&folder.join(file), bytes);
    }
    cifar10_file(name, home, &format!("cifar-10-batches-py/{file}"), parse)
}

/// A pickle of CIFAR alone, without an archive around it.
pub fn pickle() -> Parser {
    let batch = b"\x80\x02}q\x00(U\x06labelsq\x01]q\x02(K\x01K\x02eU\x04dataq\x03cnumpy.core.multiarray\n_reconstruct\nq\x04cnumpy\nndarray\nq\x05K\x00\x85q\x06U\x01b\x87q\x07Rq\x08(K\x01K\x02K\x03\x86q\tcnumpy\ndtype\nq\nU\x02u1K\x00K\x01\x87q\x0bRq\x0c(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x06abcdeftbu.";
    Parser {
        name: "pickle".into(),
        valid: vec![batch.to_vec(), b"(dp0\nI1\nI2\ns.".to_vec()],
        odd: vec![b"]q\x00h\x00a.".to_vec(), b")\x85\x85\x85.".to_vec()],
        parse: Box::new(|input| astill_engine::pickle::read(input).is_ok()),
        load: None,
    }
}
