//! Every parser takes whatever it is given: profiles, settings, commands, edits, pictures.

use super::inputs::{folder, try_many};
use super::place::{Outcome, row};
use super::run_in;
use astill::fetch::{Packing, Repository, unpack};
use astill::tui::picture::Picture;
use astill_core::profile::{self, Kind, Profile};
use astill_core::run::command::{Answer, Command};
use astill_core::run::edits::{Edits, Moment};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::fs;
use std::io::{Cursor, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::time::{Duration, Instant};

#[test]
fn profiles() {
    let seeds = [
        "dataset: {kind: cifar10, path: null, size: 32, validation: 0.1}\ndistill: {ipc: 10, \
         lr_lr: 1.0e-6}\nseed: 1\n",
        "dataset:\n  kind: &a image-folder\n  path: 'x'\nevaluate:\n  networks: [convnet]\n",
        "# text\ndistill: &d\n  ipc: 1\ndataset: {kind: shapes}\nexpert: {count: 2, clipping: \
         true}\n",
    ];
    let mut seeds: Vec<Vec<u8>> = seeds.map(|s| s.into()).into();
    seeds.push(Profile::new(Kind::TinyImagenet).to_yaml().into());
    try_many("profile (YAML)", seeds, Vec::new(), |input| {
        Profile::from_resolved(&String::from_utf8_lossy(input), Path::new("profile.yaml")).is_ok()
    });
}

/// Archives that `astill fetch` unpacks, and what the Hub says about its files.
#[test]
fn archives() -> Outcome {
    let tar_gz = {
        let mut tar = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::none()));
        for name in ["set/a", "set/b/c"] {
            let mut header = tar::Header::new_gnu();
            header.set_size(4);
            header.set_mode(0o644);
            tar.append_data(&mut header, name, &b"text"[..])?;
        }
        tar.into_inner()?.finish()?
    };
    let zip = {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for name in ["set/a", "set/b/c"] {
            zip.start_file(name, zip::write::SimpleFileOptions::default())?;
            zip.write_all(b"text")?;
        }
        zip.finish()?.into_inner()
    };
    for (name, packing, seed) in [
        ("archives (tar.gz)", Packing::TarGz, tar_gz),
        ("archives (zip)", Packing::Zip, zip),
    ] {
        let home = folder()?;
        let (path, into) = (home.path().join("archive"), home.path().join("in/to"));
        let is_outside =
            |entry: fs::DirEntry| entry.file_name() != "archive" && entry.file_name() != "in";
        try_many(name, vec![seed], Vec::new(), |input| {
            let _ = fs::remove_dir_all(&into);
            fs::create_dir_all(&into).expect("is created");
            fs::write(&path, input).expect("is written");
            let taken =
                unpack(&path, packing, &into, &mut |_, _| ControlFlow::Continue(())).is_ok();
            let all = fs::read_dir(home.path()).into_iter().flatten().flatten();
            assert!(
                !all.into_iter().any(is_outside),
                "nothing is written outside"
            );
            taken
        });
    }
    Ok(())
}

#[test]
fn lists_of_files_of_the_hub() -> Outcome {
    let list = br#"[{"type":"directory","path":"data"},
        {"type":"file","path":"data/train-00000-of-00001.parquet","size":9,"lfs":{"oid":"aa","size":900}},
        {"type":"file","path":"data/test-00000-of-00001.parquet","size":90}]"#;
    let other =
        br#"[{"type":"file","path":"../../x.parquet"},{"type":"file","path":"a/b.parquet"}]"#;
    let repository = Repository::named("hf:someone/pets").ok_or("no repository")??;
    let (valid, odd) = (vec![list.to_vec()], vec![other.to_vec()]);
    try_many("lists of the Hub", valid, odd, |input| {
        let text = String::from_utf8_lossy(input);
        let Ok(set) = repository.listed("https://hub", "0123", &text) else {
            return false;
        };
        for file in &set.files {
            let leads_out = file
                .name
                .split('/')
                .any(|part| matches!(part, "" | "." | ".."));
            assert!(!leads_out, "{:?}", file.name);
        }
        true
    });
    Ok(())
}

/// What multiplies, nests or repeats itself, up to the largest file that is read.
#[test]
fn a_profile_that_grows_in_the_reading_is_refused_at_once() {
    let most = 1 << 20;
    let laughs: String = (1..40)
        .map(|n| format!("a{n}: &a{n} [{}]\n", format!("*a{},", n - 1).repeat(10)))
        .collect();
    let fill = |unit: &str| unit.repeat(most / unit.len());
    let deeper: String = (0..1400)
        .map(|n| format!("{}a:\n", " ".repeat(n)))
        .collect();
    let bombs = [
        format!("a0: &a0 lol\n{laughs}"),
        "a: &a [*a]\nb: *a\n".to_string(),
        fill("["),
        fill("{a: "),
        fill("- "),
        fill("? "),
        fill("a: &a "),
        fill("!!a "),
        fill("&a *a "),
        fill("a: 1\n"),
        fill("[]"),
        fill("\"\\n"),
        fill("|\n "),
        fill("a: [1, "),
        fill("--- a\n"),
        fill("%YAML 1.1\n"),
        fill("#"),
        fill("\t"),
        fill("'"),
        format!("dataset: {{size: {}}}", fill("9")),
        format!("dataset: {{kind: shapes, size: 1{}}}", fill("0")),
        format!("dataset: {{kind: {}}}", fill("x")),
        format!("{}: 1", fill("k")),
        deeper,
        (0..100_000)
            .map(|n| format!("k{n}: 1\n"))
            .take(60_000)
            .collect(),
    ];
    let (mut slowest, mut worst) = (Duration::ZERO, 0);
    for (number, bomb) in bombs.iter().enumerate() {
        let begin = Instant::now();
        // as on a thread of the app, whose stack is smaller
        let refused = std::thread::scope(|scope| {
            let small = std::thread::Builder::new().stack_size(512 << 10);
            let thread = small.spawn_scoped(scope, || {
                Profile::from_resolved(bomb, Path::new("profile.yaml")).map_err(|e| e.to_string())
            });
            thread.expect("starts").join().expect("no panic")
        });
        let message = refused.expect_err("no such profile");
        assert!(
            message.len() < 1 << 20,
            "bomb {number}: a message of {} bytes",
            message.len()
        );
        if begin.elapsed() > slowest {
            (slowest, worst) = (begin.elapsed(), number);
        }
    }
    assert!(
        slowest < Duration::from_secs(10),
        "bomb {worst} took {slowest:?}"
    );
    row(
        "profile: aliases that multiply, depth, length",
        bombs.len() as u64,
        "none",
        &format!("refused; at most {} ms", slowest.as_millis()),
    );
}

#[test]
fn edits_of_settings() {
    let profile = Profile::new(Kind::Shapes);
    let seeds = [
        "distill.lr_images=30",
        "distill.lr_lr = 1.0e-6",
        "evaluate.every=900",
        "distill.batch=null",
        "distill.intermediate=ramp",
    ];
    try_many(
        "a setting (--set, live edits)",
        seeds.map(|s| s.into()).into(),
        Vec::new(),
        |input| {
            let edit = String::from_utf8_lossy(input).into_owned();
            // what a new run takes, a running one may not; both must only say so
            let started = profile::load("shapes", std::slice::from_ref(&edit)).is_ok();
            profile.edited(&edit).is_ok() || started
        },
    );
}

#[test]
fn commands_and_answers() {
    let commands = [
        r#"{"command":"pause"}"#,
        r#"{"command":"stop","reason":"me"}"#,
        r#"{"command":"roll_back","step":40}"#,
        r#"{"command":"set","edit":"distill.lr_images=30"}"#,
    ];
    try_many(
        "a command on the socket",
        commands.map(|s| s.into()).into(),
        Vec::new(),
        |input| {
            serde_json::from_slice::<Command>(input)
                .map(|c| c.to_string())
                .is_ok()
        },
    );
    let answers = [
        r#"{"status":"accepted","reason":null,"from":1.0,"to":[1,{"a":2}]}"#,
        r#"{"status":"rejected","reason":"it is paused"}"#,
    ];
    try_many(
        "an answer on the socket",
        answers.map(|s| s.into()).into(),
        Vec::new(),
        |input| {
            serde_json::from_slice::<Answer>(input)
                .map(|a| a.to_string())
                .is_ok()
        },
    );
}

#[test]
fn lists_of_edits() -> Outcome {
    let folder = folder()?;
    let (run, profile) = (run_in(folder.path())?, Profile::new(Kind::Shapes));
    let seeds = [
        r#"[{"at": {"expert": {"expert": 0, "epoch": 2}}, "set": "expert.lr=0.03"}, {"at": {"step": 3}, "set": "distill.lr_images=30"}]"#,
        r#"[{"at":{"step":18446744073709551615},"set":"evaluate.every = 7"}]"#,
        "[]",
    ];
    try_many(
        "edits.json",
        seeds.map(|s| s.into()).into(),
        Vec::new(),
        |input| {
            fs::write(run.edits(), input).expect("is written");
            Edits::read(&run)
                .and_then(|e| e.apply(&profile, Moment::Step(u64::MAX)))
                .is_ok()
        },
    );
    fs::write(run.edits(), "garbage")?;
    let message = Edits::read(&run).expect_err("garbage").to_string();
    assert!(
        message.contains("edits.json: not a list of edits")
            && message.contains("restore it from a copy"),
        "{message}"
    );
    Ok(())
}

#[test]
fn pictures() -> Outcome {
    let folder = folder()?;
    let path = folder.path().join("p.png");
    let mut seeds = Vec::new();
    for image in [
        image::DynamicImage::ImageRgb8(image::RgbImage::from_fn(20, 10, |x, y| {
            image::Rgb([x as u8 * 9, y as u8 * 20, 7])
        })),
        image::DynamicImage::ImageLuma16(image::ImageBuffer::from_fn(9, 9, |x, _| {
            image::Luma([x as u16 * 7000])
        })),
        image::DynamicImage::ImageRgba8(image::RgbaImage::from_pixel(
            5,
            7,
            image::Rgba([1, 2, 3, 4]),
        )),
    ] {
        image.save(&path)?;
        seeds.push(fs::read(&path)?);
    }
    // 60,000 × 60,000 in the header of a small file
    let mut bomb = seeds[0].clone();
    bomb[16..24].copy_from_slice(&[0, 0, 0xEA, 0x60, 0, 0, 0xEA, 0x60]);
    fix_header(&mut bomb);
    fs::write(&path, &bomb)?;
    let refused = Picture::open(&path).expect_err("too large").to_string();
    assert!(
        refused.contains("limit") || refused.contains("large"),
        "{refused}"
    );
    try_many("a picture of samples (PNG)", seeds, Vec::new(), |input| {
        // with a right checksum of the header, so that more than that is reached
        let mut input = input.to_vec();
        fix_header(&mut input);
        fs::write(&path, input).expect("is written");
        Picture::open(&path)
            .map(|p| assert_eq!(p.rgb.len(), 3 * p.width * p.height))
            .is_ok()
    });
    Ok(())
}

/// Sets the checksum of a PNG's first chunk.
fn fix_header(png: &mut [u8]) {
    if let Some(header) = png.get(12..29) {
        let crc = !header.iter().fold(!0u32, |crc, &b| {
            (0..8).fold(crc ^ u32::from(b), |crc, _| {
                (crc >> 1) ^ (0xEDB8_8320 & (crc & 1).wrapping_neg())
            })
        });
        if let Some(place) = png.get_mut(29..33) {
            place.copy_from_slice(&crc.to_be_bytes());
        }
    }
}
