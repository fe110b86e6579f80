//! Input that nobody meant, for every parser of `astill-engine`: data sets, images, safetensors files. `make faults` tries all of it,
//! `make test` a part.

mod inputs;
#[path = "place/table.rs"]
mod place;

use astill_engine::data::{Kind, Request, Unreadable};
use astill_engine::distill::expert::Expert;
use astill_engine::distill::trajectory::Store;
use astill_engine::engine::checkpoint::State;
use astill_engine::progress::Progress;
use astill_engine::tensor_file::{self, TensorFile};
use image::{DynamicImage, ImageFormat, RgbImage};
use inputs::{Inputs, count, folder, tell, try_many};
use serde_json::json;
use std::error::Error;
use std::fs;
use std::io::Cursor;
use std::ops::ControlFlow;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};
use tch::{Device, Kind as Numbers, Tensor};

type Outcome = Result<(), Box<dyn Error>>;

fn go_on(_: Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

fn request(kind: Kind, folder: &Path, size: i64) -> Request {
    let cache = folder.join("cache");
    let (folder, unreadable) = (folder.to_path_buf(), Unreadable::Refuse);
    Request { kind, folder, size, train_limit: None, validation: 0.0, zca: false, seed: 0, unreadable, cache }
}

fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a folder")).expect("is made");
    fs::write(path, bytes).expect("is written");
}

fn encoded(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    image.into().write_to(&mut bytes, format).expect("is encoded");
    bytes.into_inner()
}

fn pattern(side: u32) -> RgbImage {
    RgbImage::from_fn(side, side, |x, y| image::Rgb([(x * 16) as u8, (y * 16) as u8, (x * y) as u8]))
}

/// CIFAR-10 with one training and one test image a class.
fn cifar10(folder: &Path) {
    let record = |label: u8| [vec![label], vec![label; 3072]].concat();
    for file in 0..5u8 {
        write(&folder.join(format!("data_batch_{}.bin", file + 1)), [record(2 * file), record(2 * file + 1)].concat());
    }
    write(&folder.join("test_batch.bin"), (0..10).flat_map(record).collect::<Vec<u8>>());
    write(&folder.join("batches.meta.txt"), "a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n");
}

#[test]
fn cifar_files() -> Outcome {
    let home = folder()?;
    cifar10(home.path());
    for (file, name) in [("data_batch_2.bin", "CIFAR images"), ("batches.meta.txt", "CIFAR names of classes")] {
        let path = home.path().join(file);
        let whole = fs::read(&path)?;
        try_many(name, vec![whole.clone()], |input| {
            fs::write(&path, input).expect("is written");
            request(Kind::Cifar10, home.path(), 32).load(&mut go_on).is_ok()
        });
        fs::write(&path, whole)?;
    }

    let problem = |kind| request(kind, home.path(), 32).inspect().expect_err("refused").to_string();
    let path = home.path().join("data_batch_1.bin");
    // empty, cut, much too large, of the other release
    for (length, said) in [(0, "whole records"), (3072, "whole records"), (3073 * 500_001, "at most 500000 records")] {
        fs::File::create(&path)?.set_len(length)?;
        assert!(problem(Kind::Cifar10).contains(said), "{length}: {}", problem(Kind::Cifar10));
    }
    fs::write(&path, vec![11; 3073])?;
    assert!(problem(Kind::Cifar10).contains("from 0 to 9, found 11"));
    fs::remove_file(&path)?;
    symlink("/dev/zero", &path)?;
    assert!(problem(Kind::Cifar10).contains("lacks data_batch_1.bin"));
    Ok(())
}

#[test]
fn cifar_100_files() -> Outcome {
    let home = folder()?;
    let records: Vec<u8> = (0..100u8).flat_map(|fine| [vec![fine / 5, fine], vec![fine; 3072]].concat()).collect();
    write(&home.path().join("train.bin"), &records);
    write(&home.path().join("test.bin"), &records[..3074]);
    write(&home.path().join("fine_label_names.txt"), (0..100).map(|c| format!("name {c}\n")).collect::<String>());
    let path = home.path().join("test.bin");
    try_many("CIFAR-100 images", vec![records[..3074].to_vec(), records[3074..9222].to_vec()], |input| {
        fs::write(&path, input).expect("is written");
        request(Kind::Cifar100, home.path(), 32).inspect().is_ok()
    });
    Ok(())
}

/// Tiny ImageNet with two classes, one training and one test image each.
fn tiny_imagenet(folder: &Path) {
    let image = encoded(pattern(8), ImageFormat::Jpeg);
    for id in ["n01443537", "n01629819"] {
        write(&folder.join(format!("train/{id}/images/{id}_0.JPEG")), &image);
        write(&folder.join(format!("val/images/{id}.JPEG")), &image);
    }
    write(&folder.join("wnids.txt"), "n01443537\nn01629819\n");
    write(&folder.join("words.txt"), "n01443537\tgoldfish, Carassius auratus\nn01629819\tEuropean fire salamander\n");
    write(&folder.join("val/val_annotations.txt"), "n01443537.JPEG\tn01443537\t0\t32\t44\t62\nn01629819.JPEG\tn01629819\t1\t2\t3\t4\n");
}

#[test]
fn texts_of_tiny_imagenet() -> Outcome {
    let home = folder()?;
    tiny_imagenet(home.path());
    for file in ["wnids.txt", "words.txt", "val/val_annotations.txt"] {
        let path = home.path().join(file);
        let whole = fs::read(&path)?;
        try_many(&format!("Tiny ImageNet, {file}"), vec![whole.clone()], |input| {
            fs::write(&path, input).expect("is written");
            request(Kind::TinyImagenet, home.path(), 8).inspect().is_ok()
        });
        fs::write(&path, whole)?;
    }
    // paths that lead elsewhere
    for (file, text) in [
        ("wnids.txt", "../val\nn01629819\n"),
        ("wnids.txt", "/etc\nn01629819\n"),
        ("val/val_annotations.txt", "../../../etc/passwd\tn01443537\n"),
        ("val/val_annotations.txt", "/etc/passwd\tn01443537\n"),
    ] {
        let path = home.path().join(file);
        let whole = fs::read(&path)?;
        fs::write(&path, text)?;
        let problem = request(Kind::TinyImagenet, home.path(), 8).inspect().expect_err("refused").to_string();
        assert!(problem.contains("expected") && problem.contains(file), "{problem}");
        fs::write(&path, whole)?;
    }
    Ok(())
}

/// Two classes; `train/a` holds what a test puts there besides one good image.
fn image_folder(folder: &Path) {
    let good = encoded(pattern(8), ImageFormat::Png);
    for file in ["train/a/good.png", "train/b/good.png", "test/a/good.png"] {
        write(&folder.join(file), &good);
    }
}

/// A JPEG in four inks, as made for printing: 8 × 8, all of one colour (cyan and a little black).
const CMYK: &[u8] = include_bytes!("inputs/cmyk.jpg");
/// 9 × 7 with a palette of three colours.
const PALETTE: &[u8] = include_bytes!("inputs/palette.png");

#[test]
fn image_files() -> Outcome {
    let home = folder()?;
    image_folder(home.path());
    let rgba = image::RgbaImage::from_fn(9, 7, |x, y| image::Rgba([x as u8 * 20, y as u8 * 30, 9, x as u8 * 25]));
    let deep = image::ImageBuffer::from_fn(9, 7, |x, y| image::Luma([(x * 7000 + y) as u16]));
    let grey = image::GrayImage::from_fn(16, 9, |x, y| image::Luma([(x * y) as u8]));
    let seeds = vec![
        encoded(pattern(16), ImageFormat::Png),
        encoded(pattern(16), ImageFormat::Jpeg),
        encoded(rgba, ImageFormat::Png),
        encoded(DynamicImage::ImageLuma16(deep), ImageFormat::Png),
        encoded(grey, ImageFormat::Jpeg),
        CMYK.to_vec(),
        PALETTE.to_vec(),
    ];
    let skipping = Request { unreadable: Unreadable::Skip, ..request(Kind::ImageFolder, home.path(), 8) };
    for (number, seed) in seeds.iter().enumerate() {
        write(&home.path().join("train/a/0.png"), seed);
        let dataset = skipping.load(&mut go_on)?;
        assert_eq!((dataset.train.len(), dataset.left_out), (3, None), "image {number}");
    }

    // many at a time: the others go on where one is refused
    let mut inputs = Inputs::new(seeds);
    let (mut tried, mut taken, mut longest) = (0, 0, Duration::ZERO);
    while tried < count() {
        for file in 0..128 {
            write(&home.path().join(format!("train/a/{file}.png")), inputs.next());
        }
        let begin = Instant::now();
        let dataset = skipping.load(&mut go_on)?;
        longest = longest.max(begin.elapsed());
        tried += 128;
        taken += dataset.train.len() as u64 - 2;
    }
    tell("images (PNG, JPEG), 128 at a time", tried, taken, longest);
    Ok(())
}

#[test]
fn the_colours_of_cmyk_and_palette_images_are_kept() -> Outcome {
    let home = folder()?;
    image_folder(home.path());
    write(&home.path().join("train/a/cmyk.png"), CMYK);
    write(&home.path().join("train/a/palette.png"), PALETTE);
    let dataset = request(Kind::ImageFolder, home.path(), 8).load(&mut go_on)?;
    let colour = |row: i64| -> Result<Vec<f64>, Box<dyn Error>> {
        let pixels = dataset.normalisation.invert(&dataset.train.batch(&[row]).0);
        Ok((pixels.mean_dim(&[0i64, 2, 3][..], false, Numbers::Double) * 255.).try_into()?)
    };
    // 80 % cyan, 20 % black
    let cmyk = colour(0)?;
    assert!(cmyk.iter().zip([41., 204., 204.]).all(|(got, want)| (got - want).abs() < 8.), "{cmyk:?}");
    let palette = colour(2)?;
    assert!(palette[0] > 60. && palette[1] < 40., "{palette:?}");
    Ok(())
}

/// What a header promises and a file of a few hundred bytes cannot hold.
#[test]
fn images_that_lie_about_their_size_are_refused() -> Outcome {
    let home = folder()?;
    image_folder(home.path());
    let mut png = encoded(pattern(16), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60]);
    let crc = png_checksum(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    // within the limit of a side, but not in memory
    let mut wide = png.clone();
    wide[16..24].copy_from_slice(&[0, 0, 0x7F, 0xFF, 0, 0, 0x7F, 0xFF]);
    let crc = png_checksum(&wide[12..29]);
    wide[29..33].copy_from_slice(&crc.to_be_bytes());
    let mut jpeg = encoded(pattern(16), ImageFormat::Jpeg);
    let size = jpeg.windows(2).position(|w| w == [0xFF, 0xC0]).ok_or("no size in the JPEG")? + 5;
    jpeg[size..size + 4].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF]);
    let whole = encoded(pattern(64), ImageFormat::Jpeg);
    let mut files = vec![("size.png", png), ("memory.png", wide), ("size.jpg", jpeg)];
    files.extend([("cut.jpg", whole[..whole.len() / 2].to_vec()), ("empty.png", Vec::new()), ("text.jpg", b"<html>404</html>".to_vec())]);
    for (name, bytes) in &files {
        write(&home.path().join("train/a").join(name), bytes);
    }
    let begin = Instant::now();
    let problem = request(Kind::ImageFolder, home.path(), 8).load(&mut go_on).expect_err("refused").to_string();
    assert!(begin.elapsed() < Duration::from_secs(5));
    assert!(problem.contains("6 of 9 images cannot be read: train/a/cut.jpg (the file is cut off), train/a/empty.png ("), "{problem}");
    assert!(problem.contains("dataset.unreadable: skip"), "{problem}");
    place::row(
        "images that lie about their size, cut, empty, no images",
        files.len() as u64,
        "none",
        "counted and named; refused or skipped",
    );

    // one of them missing, the others are learned from
    let skipping = Request { unreadable: Unreadable::Skip, ..request(Kind::ImageFolder, home.path(), 8) };
    let dataset = skipping.load(&mut go_on)?;
    assert_eq!((dataset.train.labels(), dataset.test.len()), (&[0, 1][..], 1));
    let left_out = dataset.left_out.ok_or("no warning")?;
    assert!(left_out.contains("6 of 9") && left_out.ends_with("the run goes on without them"), "{left_out}");
    // a class that has none left
    write(&home.path().join("train/b/good.png"), "no image");
    let problem = skipping.load(&mut go_on).expect_err("refused").to_string();
    assert!(problem.contains("found none of \"b\""), "{problem}");
    Ok(())
}

fn png_checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &b| (0..8).fold(crc ^ u32::from(b), |crc, _| (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())))
}

/// Seeds for safetensors: a file that the program wrote, and headers that lie.
fn tensor_files(whole: Vec<u8>) -> Vec<Vec<u8>> {
    let file = |header: &str| [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &[0; 16]].concat();
    let lies = [
        r#"{"t":{"dtype":"F32","shape":[9223372036854775807,0],"data_offsets":[0,0]}}"#,
        r#"{"t":{"dtype":"F32","shape":[18446744073709551615,0],"data_offsets":[0,0]}}"#,
        r#"{"t":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]},"u":{"dtype":"U8","shape":[0],"data_offsets":[16,16]}}"#,
        r#"{"t":{"dtype":"F32","shape":[4],"data_offsets":[16,0]}}"#,
        r#"{"t":{"dtype":"F64","shape":[4],"data_offsets":[0,18446744073709551615]}}"#,
        r#"{"t":{"dtype":"F16","shape":[8],"data_offsets":[0,16]}}"#,
        r#"{"t":{"dtype":"BOOL","shape":[16],"data_offsets":[0,16]},"t":{"dtype":"I64","shape":[2],"data_offsets":[0,16]}}"#,
        r#"{"t":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]}}"#,
        r#"{"t":{"dtype":"F32","shape":[],"data_offsets":[0,4]},"u":{"dtype":"F32","shape":[3],"data_offsets":[4,16]}}"#,
    ];
    let mut seeds: Vec<Vec<u8>> = lies.map(file).into();
    seeds.push([&u64::MAX.to_le_bytes()[..], b"{}"].concat());
    seeds.push(whole);
    seeds
}

#[test]
fn tensors() -> Outcome {
    let home = folder()?;
    let path = home.path().join("t.safetensors");
    let (t, u) = (Tensor::from_slice(&[1f32, 2., 3., 4.]).view([2, 2]), Tensor::from_slice(&[7i64]));
    tensor_file::write(&path, &[("t", &t), ("u", &u)], Some(("note", "text".into())))?;
    let parse = |input: &[u8]| {
        fs::write(&path, input).expect("is written");
        let Ok(file) = TensorFile::open(&path) else { return false };
        let tensors = ["t", "u"].map(|name| (file.tensor(name).is_ok(), file.row(name, 1).is_ok(), file.shape(name).is_ok()));
        let _ = file.metadata("note");
        tensors[0].0
    };
    let seeds = tensor_files(fs::read(&path)?);
    for (number, seed) in seeds.iter().enumerate() {
        // no header that lies about an absurd size gives a tensor of that size
        let read = parse(seed);
        assert_eq!(read, [2, 6, 8, 10].contains(&number), "seed {number}");
    }
    let valid = [2, 6, 8, 10].map(|n: usize| seeds[n].clone()).into();
    let mut rest = Inputs::new(seeds);
    let mut turn = 0;
    try_many("safetensors (any)", valid, |input| {
        turn += 1;
        if turn > 4 && turn % 2 == 0 { parse(&rest.next()) } else { parse(input) }
    });
    Ok(())
}

/// Every other input with the right checksum, so that what lies behind it is tried too.
fn behind_the_seal(input: &[u8], turn: &mut u64) -> Vec<u8> {
    *turn += 1;
    Some(input.to_vec()).filter(|_| turn.is_multiple_of(2)).and_then(tensor_file::seal).unwrap_or_else(|| input.to_vec())
}

#[test]
fn checkpoints() -> Outcome {
    let run = folder()?;
    fs::create_dir(run.path().join("checkpoints"))?;
    let image = || Tensor::zeros([2, 3, 2, 2], (Numbers::Float, Device::Cpu));
    let numbers = json!({
        "data_content": "abc", "step": 7, "student_lr": 0.01, "lr_velocity": 0.0, "best": {"step": 5, "validation": 50.0, "student_lr": 0.01},
        "evaluations": [{"step": 5, "network": "convnet", "labels": "distilled", "split": "test", "mean": 50.0}],
        "headlines": [], "random_rows": [[1], [2]], "representative_rows": [[0], [3]]
    });
    let state =
        State { numbers: serde_json::from_value(numbers)?, images: image(), image_velocity: image(), start: image(), best_images: image() };
    let path = run.path().join(state.save(run.path())?);
    let whole = fs::read(&path)?;
    let mut turn = 0;
    try_many("checkpoints", vec![whole.clone()], |input| {
        fs::write(&path, behind_the_seal(input, &mut turn)).expect("is written");
        State::load(run.path(), Device::Cpu).is_ok()
    });
    Ok(())
}

#[test]
fn trajectories() -> Outcome {
    let root = folder()?;
    let store = Store::new(root.path(), &json!({}), 1);
    store.create(&json!({}))?;
    let theta = || Tensor::from_slice(&[1f32, 2., 3.]);
    let record = serde_json::from_value(json!({
        "train_loss": 1.5, "train_accuracy": 40.0, "test_accuracy": 39.0, "clip_factor": 0.5, "gradient_penalty": 0.1,
        "step_length": 2.0, "turn": null, "curvature": null, "tortuosity": 1.0
    }))?;
    store.save_epoch(1, 0, &Expert { theta: theta(), velocity: Some(theta()) }, None)?;
    store.finish(0, &[theta(), theta()], &[record])?;
    let finished = store.folder().join("expert_000.safetensors");
    let seeds = vec![fs::read(&finished)?];
    let mut turn = 0;
    try_many("trajectories of experts", seeds, |input| {
        fs::write(&finished, behind_the_seal(input, &mut turn)).expect("is written");
        store.finished(0).is_ok_and(|t| t.is_some_and(|t| t.checkpoint(0).is_ok() && t.last().is_ok()))
    });
    let partial = store.folder().join("expert_001.partial/epoch_000.safetensors");
    try_many("an expert in training", vec![fs::read(&partial)?], |input| {
        fs::write(&partial, behind_the_seal(input, &mut turn)).expect("is written");
        store.partial(1).is_ok_and(|(partial, _)| partial.is_some())
    });
    Ok(())
}

/// A damaged cache costs time only: what is loaded is the same.
#[test]
fn caches() -> Outcome {
    let home = folder()?;
    image_folder(home.path());
    let request = Request { zca: true, ..request(Kind::ImageFolder, home.path(), 2) };
    let fingerprint = request.load(&mut go_on)?.fingerprint;
    let files: Vec<_> = fs::read_dir(home.path().join("cache"))?.collect::<Result<_, _>>()?;
    assert_eq!(files.len(), 2, "images and whitening");
    for file in files {
        let (path, name) = (file.path(), file.file_name().to_string_lossy().split('-').next().unwrap_or_default().to_string());
        try_many(&format!("cache of {name}"), vec![fs::read(&path)?], |input| {
            fs::write(&path, input).expect("is written");
            request.load(&mut go_on).is_ok_and(|d| d.fingerprint == fingerprint)
        });
    }
    Ok(())
}
