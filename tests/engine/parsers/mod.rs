//! Every parser of `astill-engine` that reads files from elsewhere, each with a folder that holds
//! everything else it needs: for `tests/engine/hostile.rs` and, with cargo-fuzz, for `fuzz/`.
#![allow(clippy::expect_used)] // clippy takes only functions with #[test] for tests

mod layouts;
mod messages;
mod sets;

pub use layouts::*;
pub use messages::*;
pub use sets::*;

use astill_core::profile::{Auto, Background, Color, Profile};
use astill_engine::data::parsers::{
    BySplit, CIFAR10, CIFAR100, Cifar, Decoder, Encoded, Form, Walk,
};
use astill_engine::data::{self, DatasetRequest, Kind, Normalisation};
use astill_engine::distill::Labels;
use astill_engine::distill::expert::Expert;
use astill_engine::export::{self, DistilledSet};
use astill_engine::network::Weights;
use astill_engine::progress::Progress;
use astill_engine::tensor_file::{self, TensorFile};
use astill_engine::torch_file::{Item, TorchFile};
use astill_engine::trainer::checkpoint::{Average, DistillationState, MadeWith, SyntheticLabels};
use astill_engine::trainer::store::{Partial, Store, StoredEpoch};
use image::{DynamicImage, ImageFormat, RgbImage};
use serde_json::json;
use std::fs;
use std::io::{Cursor, Read, Write};
use std::ops::ControlFlow;
use std::path::Path;
use tch::{Device, Kind as Numbers, Tensor};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

/// Whether an input is accepted.
type Parse = Box<dyn FnMut(&[u8]) -> bool>;

/// A parser.
pub struct Parser {
    pub name: String,
    /// Inputs that it must accept.
    pub valid: Vec<Vec<u8>>,
    /// More inputs to begin with, which it may refuse.
    pub odd: Vec<Vec<u8>>,
    pub parse: Parse,
    /// All that the program does with such a file, where that takes far longer than its parser.
    pub load: Option<Parse>,
}

impl Parser {
    /// With what it was so far as the whole load, of which `parse` is the parser.
    fn parsed_by(self, parse: impl FnMut(&[u8]) -> bool + 'static) -> Self {
        Self {
            parse: Box::new(parse),
            load: Some(self.parse),
            ..self
        }
    }
}

/// A folder for files that are written a million times: in memory, where the system has a
/// folder for that.
fn home() -> TempDir {
    TempDir::new_in("/dev/shm")
        .or_else(|_| TempDir::new())
        .expect("a folder")
}

pub fn ignore_progress(_: Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

pub fn request(kind: Kind, folder: &Path, size: i64) -> DatasetRequest {
    DatasetRequest::new(kind, folder, size, folder.join("cache"))
}

pub fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("is made");
    fs::write(path, bytes).expect("is written");
}

pub fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image
        .into()
        .write_to(&mut bytes, format)
        .expect("is encoded");
    bytes.into_inner()
}

pub fn pattern(side: u32) -> RgbImage {
    RgbImage::from_fn(side, side, |x, y| {
        image::Rgb([(x * 16) as u8, (y * 16) as u8, (x * y) as u8])
    })
}

/// CIFAR-10 with one training and one test image per class.
pub fn cifar10(folder: &Path) {
    let record = |label: u8| [vec![label], vec![label; 3072]].concat();
    for file in 0..5u8 {
        write(
            &folder.join(format!("data_batch_{}.bin", file + 1)),
            [record(2 * file), record(2 * file + 1)].concat(),
        );
    }
    write(
        &folder.join("test_batch.bin"),
        (0..10).flat_map(record).collect::<Vec<u8>>(),
    );
    write(
        &folder.join("batches.meta.txt"),
        "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n",
    );
}

/// Tiny ImageNet with two classes, one training and one test image each.
pub fn tiny_imagenet(folder: &Path) {
    let image = encoded(pattern(8), ImageFormat::Jpeg);
    for id in ["n01443537", "n01629819"] {
        write(
            &folder.join(format!("train/{id}/images/{id}_0.JPEG")),
            &image,
        );
        write(&folder.join(format!("val/images/{id}.JPEG")), &image);
    }
    write(&folder.join("wnids.txt"), "n01443537\nn01629819\n");
    write(
        &folder.join("words.txt"),
        "n01443537\tgoldfish, Carassius auratus\nn01629819\tEuropean fire salamander\n",
    );
    write(
        &folder.join("val/val_annotations.txt"),
        "n01443537.JPEG\tn01443537\t0\t32\t44\t62\nn01629819.JPEG\tn01629819\t1\t2\t3\t4\n",
    );
}

/// Two classes with one good image each; `train/a` holds what a test puts there besides.
pub fn image_folder(folder: &Path) {
    let good = encoded(pattern(8), ImageFormat::Png);
    for file in ["train/a/good.png", "train/b/good.png", "test/a/good.png"] {
        write(&folder.join(file), &good);
    }
}

/// A JPEG in four inks, as made for printing: 8 × 8, all of one colour (cyan and a little black).
pub const CMYK: &[u8] = include_bytes!("cmyk.jpg");
/// 9 × 7 with a palette of three colours.
pub const PALETTE: &[u8] = include_bytes!("palette.png");

/// Small images of every colour mode and format.
pub fn images() -> Vec<Vec<u8>> {
    let rgba = image::RgbaImage::from_fn(9, 7, |x, y| {
        image::Rgba([x as u8 * 20, y as u8 * 30, 9, x as u8 * 25])
    });
    let deep = image::ImageBuffer::from_fn(9, 7, |x, y| image::Luma([(x * 7000 + y) as u16]));
    let grey = image::GrayImage::from_fn(16, 9, |x, y| image::Luma([(x * y) as u8]));
    vec![
        encoded(pattern(16), ImageFormat::Png),
        encoded(pattern(16), ImageFormat::Jpeg),
        encoded(rgba, ImageFormat::Png),
        encoded(DynamicImage::ImageLuma16(deep), ImageFormat::Png),
        encoded(grey, ImageFormat::Jpeg),
        encoded(pattern(16), ImageFormat::WebP),
        encoded(pattern(16), ImageFormat::Bmp),
        encoded(pattern(16), ImageFormat::Tiff),
        encoded(pattern(16), ImageFormat::Pnm),
        encoded(pattern(16), ImageFormat::Gif),
        CMYK.to_vec(),
        PALETTE.to_vec(),
    ]
}

/// The parser of a file that the folder already holds.
fn of_file(
    name: &str,
    home: TempDir,
    file: &str,
    takes: impl Fn(&Path) -> bool + 'static,
) -> Parser {
    let path = home.path().join(file);
    let valid = vec![fs::read(&path).expect("a valid file")];
    let parse = Box::new(move |input: &[u8]| {
        fs::write(&path, input).expect("is written");
        takes(home.path())
    });
    Parser {
        name: name.into(),
        valid,
        odd: Vec::new(),
        parse,
        load: None,
    }
}

/// A parser of the file at a path, in a folder of its own.
fn in_file(
    name: &'static str,
    takes: impl Fn(&Path) -> bool + 'static,
) -> impl FnMut(&[u8]) -> bool + 'static {
    let home = home();
    move |input| {
        let path = home.path().join(name);
        fs::write(&path, input).expect("is written");
        takes(&path)
    }
}

/// The same for a file with a checksum: every input is also tried with the right one, so that the
/// code behind that check is tried too.
fn of_sealed_file(
    name: &str,
    home: TempDir,
    file: &str,
    takes: impl Fn(&Path) -> bool + 'static,
) -> Parser {
    let mut parser = of_file(name, home, file, takes);
    let mut parse = parser.parse;
    parser.parse = Box::new(move |input| {
        let sealed = tensor_file::seal(input.to_vec());
        parse(input) | sealed.is_some_and(|sealed| parse(&sealed))
    });
    parser
}

/// The parser of a file of CIFAR-10, in either version, and of `cifar` alone.
fn cifar10_file(name: &str, home: TempDir, file: &str, parse: fn(&Cifar, &[u8]) -> bool) -> Parser {
    let cifar = Cifar::find(&CIFAR10, home.path()).expect("is found");
    let cache = home.path().join("cache");
    let parser = of_file(name, home, file, move |home| {
        let request = DatasetRequest::new(Kind::Cifar10, home, 32, &cache);
        let is_read = request.load(&mut ignore_progress).is_ok();
        // every input would leave another one
        let _ = fs::remove_dir_all(&cache);
        is_read
    });
    parser.parsed_by(move |input| parse(&cifar, input))
}

fn takes_images(cifar: &Cifar, input: &[u8]) -> bool {
    cifar.records(Path::new("images"), input).is_ok()
}

fn takes_names(cifar: &Cifar, input: &[u8]) -> bool {
    cifar.names(Path::new("names"), input).is_ok()
}

pub fn cifar_images() -> Parser {
    let home = home();
    cifar10(home.path());
    cifar10_file("CIFAR images", home, "data_batch_2.bin", takes_images)
}

pub fn cifar_names() -> Parser {
    let home = home();
    cifar10(home.path());
    cifar10_file(
        "CIFAR names of classes",
        home,
        "batches.meta.txt",
        takes_names,
    )
}

pub fn cifar_100_images() -> Parser {
    let home = home();
    let records: Vec<u8> = (0..100u8)
        .flat_map(|fine| [vec![fine / 5, fine], vec![fine; 3072]].concat())
        .collect();
    write(&home.path().join("train.bin"), &records);
    write(&home.path().join("test.bin"), &records[..3074]);
    write(
        &home.path().join("fine_label_names.txt"),
        (0..100).map(|c| format!("name {c}\n")).collect::<String>(),
    );
    let cifar = Cifar::find(&CIFAR100, home.path()).expect("is found");
    let mut parser = of_file("CIFAR-100 images", home, "test.bin", |home| {
        request(Kind::Cifar100, home, 32).inspect().is_ok()
    });
    parser.valid.push(records[3074..9222].to_vec());
    parser.parsed_by(move |input| takes_images(&cifar, input))
}

/// The parser of a text of Tiny ImageNet, and of that text alone in a folder of the set.
fn tiny_imagenet_file(file: &str, takes: impl Fn(&Path) -> bool + 'static) -> Parser {
    let of_text = |takes: Box<dyn Fn(&Path) -> bool>| {
        let home = home();
        tiny_imagenet(home.path());
        of_file(&format!("Tiny ImageNet, {file}"), home, file, takes)
    };
    let loaded = of_text(Box::new(|home| {
        request(Kind::TinyImagenet, home, 8).inspect().is_ok()
    }));
    loaded.parsed_by(of_text(Box::new(takes)).parse)
}

const IDS: [&str; 2] = ["n01443537", "n01629819"];

pub fn tiny_imagenet_ids() -> Parser {
    tiny_imagenet_file("wnids.txt", |home| data::parsers::ids(home).is_ok())
}

pub fn tiny_imagenet_words() -> Parser {
    let ids = IDS.map(str::to_owned);
    tiny_imagenet_file("words.txt", move |home| {
        data::parsers::names(home, &ids).is_ok()
    })
}

pub fn tiny_imagenet_annotations() -> Parser {
    let labels = IDS.into_iter().zip(0..).collect();
    tiny_imagenet_file("val/val_annotations.txt", move |home| {
        data::parsers::annotated(home, &labels, &mut Walk::default()).is_ok()
    })
}

pub fn image_file() -> Parser {
    let home = home();
    image_folder(home.path());
    write(&home.path().join("train/a/other.png"), PALETTE);
    let mut parser = of_file("an image (PNG, JPEG)", home, "train/a/other.png", |home| {
        // a file that was written right after another may look unchanged to the cache
        let _ = fs::remove_dir_all(home.join("cache"));
        request(Kind::ImageFolder, home, 8)
            .load(&mut ignore_progress)
            .is_ok()
    });
    parser.valid = images();
    let form = Form {
        size: 8,
        channels: 3,
        color: Color::Auto,
        background: Background::White,
    };
    let (decoder, mut pixels) = (Decoder::default(), vec![0; form.bytes_per_image()]);
    parser.parsed_by(move |input| {
        let image = Encoded::Bytes(input.to_vec());
        let _ = decoder.is_grey(image.clone());
        decoder.decode(image, &form, &mut pixels).is_ok()
    })
}

/// Files of tensors: one that the program wrote, and headers that lie.
pub fn tensors() -> Parser {
    let home = home();
    let (t, u) = (
        Tensor::from_slice(&[1f32, 2., 3., 4.]).view([2, 2]),
        Tensor::from_slice(&[7i64]),
    );
    tensor_file::write(
        &home.path().join("t.safetensors"),
        &[("t", &t), ("u", &u)],
        Some(("note", "text".into())),
    )
    .expect("is written");
    let mut parser = of_file("safetensors (any)", home, "t.safetensors", |home| {
        let Ok(file) = TensorFile::open(&home.join("t.safetensors")) else {
            return false;
        };
        let tensors = ["t", "u"].map(|name| {
            (
                file.tensor(name).is_ok(),
                file.row(name, 1).is_ok(),
                file.shape(name).is_ok(),
            )
        });
        let _ = file.metadata("note");
        tensors[0].0
    });
    let file = |header: &str| {
        [
            &(header.len() as u64).to_le_bytes()[..],
            header.as_bytes(),
            &[0; 16],
        ]
        .concat()
    };
    parser.valid.extend(
        [
            r#"{"t":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"u":{"dtype":"U8","shape":[0],"data_offsets":[16,16]}}"#,
            r#"{"t":{"dtype":"BOOL","shape":[16],"data_offsets":[0,16]},"t":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}}"#,
            r#"{"t":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"u":{"dtype":"F32","shape":[3],"data_offsets":[4,16]}}"#,
        ]
        .map(file),
    );
    parser.odd.extend(
        [
            r#"{"t":{"dtype":"F32","shape":[9223372036854775807,0],"data_offsets":[0,0]}}"#,
            r#"{"t":{"dtype":"F32","shape":[18446744073709551615,0],"data_offsets":[0,0]}}"#,
            r#"{"t":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}"#,
            r#"{"t":{"dtype":"F64","shape":[4],"data_offsets":[0,18446744073709551615]}}"#,
            r#"{"t":{"dtype":"F16","shape":[8],"data_offsets":[0,16]}}"#,
            r#"{"t":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]}}"#,
        ]
        .map(file),
    );
    parser
        .odd
        .push([&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    parser
}

/// A set of two images.
fn small_set() -> DistilledSet {
    let provenance = serde_json::json!({
        "program": "astill", "profile": {}, "edits": [], "classes": ["a", "b"],
        "normalisation": "channels", "data_content": "", "step": 1, "validation_accuracy": null,
        "results": [], "paper_style_max": null,
    });
    let numbers = |shape: &[i64]| Tensor::ones(shape, (tch::Kind::Float, tch::Device::Cpu));
    DistilledSet {
        images: numbers(&[2, 3, 2, 2]),
        labels: Labels::Hard(Tensor::from_slice(&[0i64, 1])),
        student_lr: 0.1,
        normalisation: Normalisation::Channels {
            mean: numbers(&[3]),
            std: numbers(&[3]),
        },
        provenance: serde_json::from_value(provenance).expect("a provenance"),
    }
}

/// A result, as `astill export` gets it from anybody.
pub fn distilled_set() -> Parser {
    let home = home();
    export::write(&small_set(), &home.path().join(export::FILE)).expect("is written");
    of_file("distilled sets", home, export::FILE, |home| {
        let Ok(set) = export::read(&home.join(export::FILE)) else {
            return false;
        };
        // what every format does with it
        let (pixels, _) = set.pixels();
        let _ = (set.images_per_class(), set.protocol(), set.profile());
        pixels.size() == set.images.size()
    })
}

pub fn checkpoint() -> Parser {
    let run = home();
    fs::create_dir(run.path().join("checkpoints")).expect("is made");
    let image = || Tensor::zeros([2, 3, 2, 2], (Numbers::Float, Device::Cpu));
    let numbers = json!({
        "data_content": "abc", "step": 7, "student_lr": 0.01,
        "rate": {"velocity": 0.0, "slope": 0.1, "curvature": 0.2, "ratios": [0.9]}, "image_steps": {"updates": 7, "norms": [0.5]},
        "data_rms": 1.0, "best_ratio": [0.5, null], "too_large_since": 3, "best": {"step": 5, "validation": 50.0, "student_lr": 0.01},
        "evaluations": [{"step": 5, "network": "convnet", "labels": "distilled", "split": "test", "mean": 50.0}],
        "headlines": [], "random_rows": [[1], [2]], "representative_rows": [[0], [3]]
    });
    let numbers = serde_json::from_value(numbers).expect("the numbers of a checkpoint");
    let state = DistillationState {
        numbers,
        made_with: Some(MadeWith::now(&Profile::default())),
        images: image(),
        variables: image(),
        image_velocity: image(),
        image_scale: image(),
        average: Some(Average {
            images: image(),
            logits: None,
            student_lr: 0.01,
            updates: 7,
        }),
        labels: SyntheticLabels::Hard(Tensor::from_slice(&[0i64, 1])),
        start: image(),
        best_images: image(),
        best_logits: None,
    };
    let file = state.save(run.path()).expect("is written");
    of_sealed_file("checkpoints", run, &file, |run| {
        DistillationState::load(run, Device::Cpu).is_ok_and(|(state, _)| state.is_some())
    })
}

/// A store with a finished expert and one in training; the names of their files.
fn store(root: &Path) -> (Store, [String; 2]) {
    let store = Store::new(root, &json!({}), 1);
    store.create(&json!({})).expect("is made");
    let theta = || Tensor::from_slice(&[1f32, 2., 3.]);
    let record = json!({
        "train_loss": 1.5, "train_accuracy": 40.0, "validation_accuracy": 39.0, "clip_factor": 0.5, "gradient_penalty": 0.1,
        "step_length": 2.0, "turn": null, "curvature": null, "tortuosity": 1.0
    });
    store
        .save_epoch(
            1,
            0,
            &Expert {
                weights: Weights {
                    theta: theta(),
                    running: theta(),
                },
                velocity: Some(theta()),
            },
            None,
        )
        .expect("is written");
    let record: StoredEpoch = serde_json::from_value(record).expect("a record");
    // of which the first checkpoint is not kept
    let mut late = Profile::new(Kind::Shapes);
    late.expert.train_epochs = Auto::Value(2);
    late.distill.min_start_epoch = 1;
    late.distill.max_start_epoch = 2;
    late.distill.expert_epochs = 1;
    store
        .finish(
            0,
            &Partial {
                expert: Expert {
                    weights: Weights {
                        theta: theta(),
                        running: theta(),
                    },
                    velocity: Some(theta()),
                },
                points: vec![theta(), theta(), theta()],
                kept: None,
                running: vec![theta(), theta(), theta()],
                epochs: vec![record.clone(), record],
            },
            Some(&late.checkpoints_read(0)),
        )
        .expect("is written");
    let files = [
        "expert_000.safetensors",
        "expert_001.partial/epoch_000.safetensors",
    ]
    .map(|file| {
        store
            .folder()
            .join(file)
            .strip_prefix(root)
            .expect("in the root")
            .to_string_lossy()
            .into_owned()
    });
    (store, files)
}

pub fn trajectory() -> Parser {
    let root = home();
    let (store, [finished, _]) = store(root.path());
    of_sealed_file("trajectories of experts", root, &finished, move |_| {
        store
            .finished(0, 2)
            .is_ok_and(|t| t.is_some_and(|t| t.checkpoint(1, 0).is_ok() && t.last().is_ok()))
    })
}

/// A file of torch.save: lists of tensors and numbers.
const TORCH_FILE: &[u8] = include_bytes!("../../buffers/small.pt");

/// The beginning of a pickle that keeps a text of 8 KiB under the number 0.
pub fn long_text() -> Vec<u8> {
    [
        &b"\x80\x02X\x00\x20\x00\x00"[..],
        &[b'n'; 0x2000],
        b"q\x000",
    ]
    .concat()
}

/// Reads every tensor of a file of torch.save.
fn takes_torch_file(path: &Path) -> bool {
    fn takes(file: &TorchFile, item: &Item) -> bool {
        match item {
            Item::Tensor(tensor) => file.tensor(tensor).is_ok(),
            Item::List(items) => items.iter().all(|item| takes(file, item)),
            Item::Dict(entries) => entries.iter().all(|(_, item)| takes(file, item)),
            Item::Number(_) | Item::Other => true,
        }
    }
    TorchFile::open(path).is_ok_and(|file| takes(&file, file.content()))
}

pub fn torch_archive() -> Parser {
    let home = home();
    write(&home.path().join("file.pt"), TORCH_FILE);
    of_file("files of torch.save", home, "file.pt", |home| {
        takes_torch_file(&home.join("file.pt"))
    })
}

/// The pickle in such a file, in an archive whose checksums fit.
pub fn torch_pickle() -> Parser {
    let takes = |home: &Path| takes_torch_file(&home.join("file.pt"));
    let member = "data.pkl";
    let mut parser = of_member(
        "pickles of torch.save",
        home(),
        TORCH_FILE,
        (member, "file.pt"),
        takes,
    );
    parser.odd = [
        &b"\x80\x02cos\nsystem\nX\x04\x00\x00\x00true\x85R."[..],
        b"\x80\x02]q\x00h\x00a.",
        b"\x80\x02Q.",
    ]
    .map(<[u8]>::to_vec)
    .to_vec();
    // one long text as the key of many entries
    let entries = b"h\x00K\x01".repeat(4000);
    parser
        .odd
        .push([&long_text()[..], b"}(", &entries, b"u."].concat());
    parser
}

/// The parser of what a zip archive holds under a name that ends with `member`, in an archive whose
/// checksums fit.
fn of_member(
    name: &str,
    home: TempDir,
    archive: &[u8],
    (member, file): (&str, &str),
    takes: impl Fn(&Path) -> bool + 'static,
) -> Parser {
    let mut archive = ZipArchive::new(Cursor::new(archive)).expect("an archive");
    let mut records = Vec::new();
    for index in 0..archive.len() {
        let mut record = archive.by_index(index).expect("a record");
        let name = String::from_utf8_lossy(record.name_raw()).into_owned();
        let mut bytes = Vec::new();
        record.read_to_end(&mut bytes).expect("is read");
        records.push((name, bytes));
    }
    let place = records.iter().position(|(name, _)| name.ends_with(member));
    let (of_member, valid) = records.remove(place.expect("the member"));
    let path = home.path().join(file);
    Parser {
        name: name.into(),
        valid: vec![valid],
        odd: Vec::new(),
        parse: Box::new(move |input| {
            let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
            let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
            let changed = (&of_member, input);
            let others = records.iter().map(|(name, bytes)| (name, bytes.as_slice()));
            for (name, bytes) in others.chain([changed]) {
                archive.start_file(name.as_str(), stored).expect("begins");
                archive.write_all(bytes).expect("is written");
            }
            let bytes = archive.finish().expect("is finished").into_inner();
            fs::write(&path, bytes).expect("is written");
            takes(home.path())
        }),
        load: None,
    }
}

pub fn expert_in_training() -> Parser {
    let root = home();
    let (store, [_, partial]) = store(root.path());
    of_sealed_file("an expert in training", root, &partial, move |_| {
        store
            .partial(1, 1)
            .is_ok_and(|(partial, _)| partial.is_some())
    })
}

/// A damaged cache costs time only: the same images are loaded, and the damage is reported.
fn cache(of: &'static str, parse: impl FnMut(&[u8]) -> bool + 'static) -> Parser {
    let home = home();
    image_folder(home.path());
    let request = DatasetRequest {
        zca: true,
        ..request(Kind::ImageFolder, home.path(), 2)
    };
    let fingerprint = request
        .load(&mut ignore_progress)
        .expect("is loaded")
        .fingerprint;
    let files: Vec<String> = fs::read_dir(home.path().join("cache"))
        .expect("a cache")
        .map(|file| {
            format!(
                "cache/{}",
                file.expect("a file").file_name().to_string_lossy()
            )
        })
        .collect();
    assert_eq!(files.len(), 2, "images and whitening: {files:?}");
    let file = files
        .iter()
        .find(|file| file.starts_with(&format!("cache/{of}-")))
        .expect("its cache");
    let path = home.path().join(file);
    let loaded = of_file(&format!("cache of {of}"), home, file, move |_| {
        let content = || fs::read(&path).expect("a cache");
        let before = content();
        let dataset = request.load(&mut ignore_progress).expect("is loaded");
        assert_eq!(dataset.fingerprint, fingerprint);
        let is_taken = content() == before;
        assert_eq!(
            dataset.damaged_caches,
            if is_taken { vec![] } else { vec![path.clone()] }
        );
        is_taken
    });
    loaded.parsed_by(parse)
}

pub fn cache_of_images() -> Parser {
    let rows = BySplit {
        train: vec![0, 1],
        validation: Vec::new(),
        test: vec![0],
    };
    let form = Form {
        size: 2,
        channels: 3,
        color: Color::Auto,
        background: Background::White,
    };
    cache(
        "images",
        in_file("images", move |path| {
            data::parsers::read_images(path, &rows, &form).is_some()
        }),
    )
}

pub fn cache_of_whitening() -> Parser {
    cache(
        "zca",
        in_file("whitening", |path| {
            data::parsers::read_zca(path, 2, 12, 0.1).is_some()
        }),
    )
}
