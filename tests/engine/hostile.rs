//! Hostile input for every parser of `astill-engine`: data sets, images, safetensors files. `make
//! faults` tries all of it, `make test` a part.

#[path = "../inputs/mod.rs"]
mod inputs;
mod parsers;
#[path = "../place/table.rs"]
mod place;

use astill_engine::data::{DatasetRequest, Kind, Unreadable};
use image::ImageFormat;
use inputs::{SHORT, count, folder, tell, try_as_many_as, try_many};
use parsers::{
    CMYK, PALETTE, Parser, cifar10, encoded, ignore_progress, image_folder, images, pattern,
    request, tiny_imagenet, write,
};
use std::error::Error;
use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::time::{Duration, Instant};
use tch::Kind as Numbers;

type Outcome = Result<(), Box<dyn Error>>;

/// Of the inputs of a parser, the first and then one in so many are loaded whole too.
const LOADED: u64 = SHORT;
const ONE_LOADED_IN: u64 = 200;

fn try_out(parser: Parser) {
    let Parser {
        name,
        valid,
        odd,
        mut parse,
        load,
    } = parser;
    let Some(mut load) = load else {
        return try_many(&name, valid, odd, parse);
    };
    for input in &valid {
        assert!(load(input), "{name}: inputs that are valid must be loaded");
    }
    let (mut number, mut tried, mut taken, mut longest) = (0, 0, 0, Duration::ZERO);
    try_many(&name, valid, odd, |input| {
        number += 1;
        if number <= LOADED || number % ONE_LOADED_IN == 0 {
            let begin = Instant::now();
            tried += 1;
            taken += u64::from(load(input));
            longest = longest.max(begin.elapsed());
        }
        parse(input)
    });
    tell(&format!("{name}, loaded"), tried, taken, longest, None);
}

/// A parser that takes milliseconds for an input gets as many as others load.
fn try_slow(parser: Parser) {
    let loaded = (LOADED + count() / ONE_LOADED_IN).min(count());
    try_as_many_as(loaded, &parser.name, parser.valid, parser.odd, parser.parse);
}

#[test]
fn cifar_files() -> Outcome {
    try_out(parsers::cifar_images());
    try_out(parsers::cifar_names());
    try_out(parsers::cifar_100_images());

    let home = folder()?;
    cifar10(home.path());
    let problem = |kind| {
        request(kind, home.path(), 32)
            .inspect()
            .expect_err("refused")
            .to_string()
    };
    let path = home.path().join("data_batch_1.bin");
    // empty, cut, much too large, of the other release
    for (length, message) in [
        (0, "whole records"),
        (3072, "whole records"),
        (3073 * 500_001, "at most 500000 records"),
    ] {
        fs::File::create(&path)?.set_len(length)?;
        assert!(
            problem(Kind::Cifar10).contains(message),
            "{length}: {}",
            problem(Kind::Cifar10)
        );
    }
    fs::write(&path, vec![11; 3073])?;
    assert!(problem(Kind::Cifar10).contains("from 0 to 9, found 11"));
    fs::remove_file(&path)?;
    symlink("/dev/zero", &path)?;
    assert!(problem(Kind::Cifar10).contains("lacks data_batch_1.bin"));
    Ok(())
}

#[test]
fn texts_of_tiny_imagenet() -> Outcome {
    try_out(parsers::tiny_imagenet_ids());
    try_out(parsers::tiny_imagenet_words());
    try_out(parsers::tiny_imagenet_annotations());

    let home = folder()?;
    tiny_imagenet(home.path());
    // paths that lead elsewhere
    for (file, text) in [
        ("wnids.txt", "../val\nn01629819\n"),
        ("wnids.txt", "/etc\nn01629819\n"),
        (
            "val/val_annotations.txt",
            "../../../etc/passwd\tn01443537\n",
        ),
        ("val/val_annotations.txt", "/etc/passwd\tn01443537\n"),
    ] {
        let path = home.path().join(file);
        let whole = fs::read(&path)?;
        fs::write(&path, text)?;
        let problem = request(Kind::TinyImagenet, home.path(), 8)
            .inspect()
            .expect_err("refused")
            .to_string();
        assert!(
            problem.contains("expected") && problem.contains(file),
            "{problem}"
        );
        fs::write(&path, whole)?;
    }
    Ok(())
}

#[test]
fn data_sets_of_other_programs() {
    for parser in [
        parsers::cifar_python_archive(),
        parsers::cifar_python_file(),
        parsers::cifar_python_names(),
        parsers::pickle(),
        parsers::parquet_file(),
        parsers::parquet_of_zstd(),
        parsers::webdataset_tar(),
        parsers::idx_images(),
        parsers::idx_labels(),
        parsers::npz(),
        parsers::npz_array(),
    ] {
        try_out(parser);
    }
    try_slow(parsers::cifar_100_archive());
}

#[test]
fn image_files() -> Outcome {
    let home = folder()?;
    image_folder(home.path());
    let seeds = images();
    let skipping = DatasetRequest {
        unreadable: Unreadable::Skip,
        ..request(Kind::ImageFolder, home.path(), 8)
    };
    for (number, seed) in seeds.iter().enumerate() {
        write(&home.path().join("train/a/0.png"), seed);
        let dataset = skipping.load(&mut ignore_progress)?;
        assert_eq!(
            (dataset.train.len(), dataset.lost),
            (3, None),
            "image {number}"
        );
    }

    try_out(parsers::image_file());
    Ok(())
}

#[test]
fn the_colours_of_cmyk_and_palette_images_are_kept() -> Outcome {
    let home = folder()?;
    image_folder(home.path());
    write(&home.path().join("train/a/cmyk.png"), CMYK);
    write(&home.path().join("train/a/palette.png"), PALETTE);
    let dataset = request(Kind::ImageFolder, home.path(), 8).load(&mut ignore_progress)?;
    let colour = |row: i64| -> Result<Vec<f64>, Box<dyn Error>> {
        let pixels = dataset.normalisation.invert(&dataset.train.batch(&[row]).0);
        Ok((pixels.mean_dim(&[0i64, 2, 3][..], false, Numbers::Double) * 255.).try_into()?)
    };
    // 80 % cyan, 20 % black
    let cmyk = colour(0)?;
    assert!(
        cmyk.iter()
            .zip([41., 204., 204.])
            .all(|(got, want)| (got - want).abs() < 8.),
        "{cmyk:?}"
    );
    let palette = colour(2)?;
    assert!(palette[0] > 60. && palette[1] < 40., "{palette:?}");
    Ok(())
}

/// Headers that promise more than a file of a few hundred bytes can hold.
#[test]
fn images_that_lie_about_their_size_are_refused() -> Outcome {
    let home = folder()?;
    image_folder(home.path());
    let mut png = encoded(pattern(16), ImageFormat::Png);
    png[16..24].copy_from_slice(&[0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60]);
    let crc = png_checksum(&png[12..29]);
    png[29..33].copy_from_slice(&crc.to_be_bytes());
    // each side within its limit, but too many pixels
    let mut wide = png.clone();
    wide[16..24].copy_from_slice(&[0, 0, 0x7F, 0xFF, 0, 0, 0x7F, 0xFF]);
    let crc = png_checksum(&wide[12..29]);
    wide[29..33].copy_from_slice(&crc.to_be_bytes());
    let mut jpeg = encoded(pattern(16), ImageFormat::Jpeg);
    let size = jpeg
        .windows(2)
        .position(|w| w == [0xFF, 0xC0])
        .ok_or("no size in the JPEG")?
        + 5;
    jpeg[size..size + 4].copy_from_slice(&[0xFF, 0xFF, 0xFF, 0xFF]);
    let whole = encoded(pattern(64), ImageFormat::Jpeg);
    let mut files = vec![("size.png", png), ("memory.png", wide), ("size.jpg", jpeg)];
    files.extend([
        ("cut.jpg", whole[..whole.len() / 2].to_vec()),
        ("empty.png", Vec::new()),
        ("text.jpg", b"<html>404</html>".to_vec()),
    ]);
    for (name, bytes) in &files {
        write(&home.path().join("train/a").join(name), bytes);
    }
    let begin = Instant::now();
    let problem = request(Kind::ImageFolder, home.path(), 8)
        .load(&mut ignore_progress)
        .expect_err("refused")
        .to_string();
    assert!(begin.elapsed() < Duration::from_secs(60));
    assert!(
        problem.contains(
            "6 of 9 images cannot be used: train/a/cut.jpg (the file is cut off), \
             train/a/empty.png ("
        ),
        "{problem}"
    );
    assert!(problem.contains("dataset.unreadable: skip"), "{problem}");
    place::row(
        "images that lie about their size, cut, empty, not images",
        files.len() as u64,
        "none",
        "counted and named; refused or skipped",
    );

    // without them, the others are trained on
    let skipping = DatasetRequest {
        unreadable: Unreadable::Skip,
        ..request(Kind::ImageFolder, home.path(), 8)
    };
    let dataset = skipping.load(&mut ignore_progress)?;
    assert_eq!(
        (dataset.train.labels(), dataset.test.len()),
        (&[0, 1][..], 1)
    );
    let left_out = dataset.lost.ok_or("no warning")?;
    assert!(
        left_out.contains("6 of 9") && left_out.ends_with("the run continues without them"),
        "{left_out}"
    );
    // a class without any image left
    write(&home.path().join("train/b/good.png"), "not an image");
    let problem = skipping
        .load(&mut ignore_progress)
        .expect_err("refused")
        .to_string();
    assert!(problem.contains("found none of \"b\""), "{problem}");
    Ok(())
}

fn png_checksum(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &b| {
        (0..8).fold(crc ^ u32::from(b), |crc, _| {
            (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
        })
    })
}

#[test]
fn tensors() {
    let Parser { odd, mut parse, .. } = parsers::tensors();
    // no header that lies about an absurd size gives a tensor of that size
    for lie in &odd {
        assert!(!parse(lie), "{}", lie.escape_ascii());
    }
    try_out(parsers::tensors());
}

#[test]
fn distilled_sets() {
    try_out(parsers::distilled_set());
    try_out(parsers::set_metadata());
    try_out(parsers::set_tensor());
    try_out(parsers::set_npz_images());
    try_out(parsers::set_npz_metadata());
}

#[test]
fn checkpoints() {
    try_out(parsers::checkpoint());
}

#[test]
fn trajectories() {
    try_out(parsers::trajectory());
    try_out(parsers::expert_in_training());
}

#[test]
fn files_of_torch() {
    try_out(parsers::torch_archive());
    try_out(parsers::torch_pickle());
}

/// A damaged cache costs time only: the same images are loaded, and the damage is reported.
#[test]
fn caches() {
    try_out(parsers::cache_of_images());
    try_out(parsers::cache_of_whitening());
}

#[test]
fn messages_of_workers() {
    try_out(parsers::from_worker());
    try_out(parsers::to_worker());
}

/// A few kilobytes can stand for gigabytes: what is in memory at a time is bounded by bytes, not by a
/// number of images.
#[test]
fn small_files_of_large_images_do_not_fill_the_memory() -> Outcome {
    // in a process of its own: memory is that of the whole process
    if std::env::var_os("ASTILL_TEST_ALONE").is_none() {
        let name = "small_files_of_large_images_do_not_fill_the_memory";
        let mut alone = std::process::Command::new(std::env::current_exe()?);
        let output = alone
            .args(["--exact", name, "--nocapture"])
            .env("ASTILL_TEST_ALONE", "1")
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        return Ok(());
    }
    const IMAGES: usize = 30;
    const LARGE: usize = 4096 * 4096;
    let home = folder()?;
    let (arrays, table) = (home.path().join("idx"), home.path().join("parquet"));
    let labels: Vec<u8> = (0..IMAGES).map(|image| (image % 2) as u8).collect();
    let (count, side) = ((IMAGES as u32).to_be_bytes(), 4096u32.to_be_bytes());
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&[&[0, 0, 8, 3][..], &count, &side, &side].concat())?;
    let image = vec![0; LARGE];
    for _ in 0..IMAGES {
        packed.write_all(&image)?;
    }
    let packed = packed.finish()?;
    for part in ["train", "t10k"] {
        write(
            &arrays.join(format!("{part}-images-idx3-ubyte.gz")),
            &packed,
        );
        let of_labels = [&[0, 0, 8, 1][..], &count, &labels].concat();
        write(&arrays.join(format!("{part}-labels-idx1-ubyte")), of_labels);
    }
    large_values(&table.join("train.parquet"), &labels, LARGE)?;
    fs::copy(table.join("train.parquet"), table.join("test.parquet"))?;
    let before = peak_memory()?;
    let budget = Duration::from_secs(1);
    request(Kind::Idx, &arrays, 8).survey(budget, &mut ignore_progress)?;
    let table = DatasetRequest {
        image: Some("image".into()),
        label: Some("label".into()),
        ..request(Kind::Parquet, &table, 8)
    };
    let problem = table
        .survey(budget, &mut ignore_progress)
        .expect_err("no images");
    assert!(problem.to_string().contains("cannot be used"), "{problem}");
    table.seconds_to_decode()?;
    let grown = peak_memory()?.saturating_sub(before) >> 20;
    assert!(
        grown < 400,
        "{grown} MiB more, of {} in the files",
        (IMAGES * LARGE) >> 20
    );
    Ok(())
}

/// A parquet file of zeros, so many bytes for each of these labels.
fn large_values(path: &std::path::Path, labels: &[u8], bytes: usize) -> Outcome {
    use parquet::basic::{Compression, ZstdLevel};
    use parquet::data_type::{ByteArray, ByteArrayType, Int32Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    let schema = "message schema { required binary image; required int32 label; }";
    let schema = parquet::schema::parser::parse_message_type(schema)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_dictionary_enabled(false)
        .build();
    write(path, []);
    let file = fs::File::create(path)?;
    let mut writer = SerializedFileWriter::new(file, schema.into(), properties.into())?;
    let mut group = writer.next_row_group()?;
    let mut column = group.next_column()?.ok_or("no column")?;
    for _ in labels {
        let value = ByteArray::from(vec![0; bytes]);
        column
            .typed::<ByteArrayType>()
            .write_batch(&[value], None, None)?;
    }
    column.close()?;
    let mut column = group.next_column()?.ok_or("no column")?;
    let numbers: Vec<i32> = labels.iter().map(|label| i32::from(*label)).collect();
    column
        .typed::<Int32Type>()
        .write_batch(&numbers, None, None)?;
    column.close()?;
    group.close()?;
    writer.close()?;
    Ok(())
}

/// The most memory that this process has had, in bytes.
fn peak_memory() -> Result<u64, Box<dyn Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let peak = peak.ok_or("no VmHWM")?.trim().trim_end_matches(" kB");
    Ok(peak.parse::<u64>()? << 10)
}
