//! Input that nobody meant, for every parser of `astill`; a socket under attack; records that point
//! out of their folder. `make faults` tries all of it, `make test` a part.

mod inputs;
mod place;

use astill::tui::events_file::EventsFile;
use astill::tui::model::Model;
use astill::tui::picture::Picture;
use astill_core::profile::{self, Kind, Profile};
use astill_core::run::command::{Answer, Command};
use astill_core::run::edits::{Edits, Moment};
use astill_core::run::event::{Event, EventKind};
use astill_core::run::{History, RunDir, list, socket};
use inputs::{folder, try_many};
use place::{Background, Outcome, Place, assert_status, in_full, row, stopped, text, wait_until};
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A line of every kind, and what a newer version might write.
const EVENTS: &str = include_str!("inputs/events.jsonl");

/// A folder with a run in it that has only a profile.
fn run_in(folder: &Path) -> Result<RunDir, Box<dyn std::error::Error>> {
    let run = RunDir::create(folder, "shapes", Some("r"))?;
    fs::write(run.profile(), Profile::new(Kind::Shapes).to_yaml())?;
    Ok(run)
}

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

/// Whatever is in the record of a run, the app and `astill list` read it and go on.
#[test]
fn records_of_runs() -> Outcome {
    let folder = folder()?;
    let run = run_in(folder.path())?;
    let newer = r#"{"seq":14,"time":"later","kind":"teleported","to":[1,{"x":null}]}"#;
    let mut seeds: Vec<Vec<u8>> = EVENTS.lines().map(|l| format!("{l}\n").into()).collect();
    seeds.push(EVENTS.into());
    seeds.push(format!("{}\n{newer}\n", EVENTS.lines().next().unwrap_or_default()).into());
    let mut model = Model::new();
    try_many(
        "events.jsonl (app, list, resume)",
        seeds,
        Vec::new(),
        |input| {
            fs::write(run.events(), input).expect("is written");
            let events = EventsFile::open(run.events())
                .poll(usize::MAX / 2)
                .expect("is read");
            // as they come, and all of them one after another
            let mut fresh = Model::new();
            for event in &events {
                fresh.apply(event);
                model.apply(event);
            }
            if model.commands.len() > 5000 || model.evaluations.len() > 5000 {
                model = Model::new();
            }
            let (summary, history) = (list::summary(run.clone()), History::read(&run.events()));
            let _ = (
                fresh.seconds_left(),
                fresh.work().and_then(|w| w.seconds_left()),
                fresh.baselines().len(),
            );
            summary.name == "r" && history.is_ok() && !events.is_empty()
        },
    );
    Ok(())
}

#[test]
fn kinds_and_fields_of_a_newer_version_are_passed_over() -> Outcome {
    let folder = folder()?;
    let run = run_in(folder.path())?;
    let warning = r#"{"seq":2,"time":"2026-01-01T00:00:02Z","kind":"warning","message":"seen","colour":"red","deep":{"er":[1]}}"#;
    let first = EVENTS.lines().next().unwrap_or_default();
    let garbage = "{\"seq\":1,\"kind\":\"teleported\"}\nnot even JSON\n\0\u{1}\n{\"seq\":";
    fs::write(
        run.events(),
        format!(
            "{first}\n{garbage}\n{warning}\n{}\n{{\"torn",
            EVENTS.lines().nth(1).unwrap_or_default()
        ),
    )?;
    let mut file = EventsFile::open(run.events());
    let events = file.poll(1 << 20)?;
    assert_eq!((events.len(), file.skipped()), (3, 4));
    assert!(
        events
            .iter()
            .any(|e| matches!(&e.what, EventKind::Warning { message } if message == "seen"))
    );
    let summary = list::summary(run);
    assert_eq!(
        (summary.profile.as_str(), summary.phase),
        ("shapes", Some(astill_core::run::event::Phase::Experts))
    );
    Ok(())
}

/// `astill list` of a run that somebody made to steer the terminal of who looks.
#[test]
fn a_record_cannot_steer_the_terminal() -> Outcome {
    let place = Place::new()?;
    let run = run_in(&place.path("runs"))?;
    let escape = r"\u001b[2J\u009b1m";
    fs::write(
        run.events(),
        EVENTS
            .replace("shapes", escape)
            .replace("2026-01-01T00:00:00", escape),
    )?;
    fs::create_dir(place.path("runs/\u{1b}[2J"))?;
    fs::copy(run.profile(), place.path("runs/\u{1b}[2J/profile.yaml"))?;
    for arguments in [
        &["list"][..],
        &["attach", "nowhere"],
        &["send", "r", "pause"],
    ] {
        let said = place.run(arguments)?;
        let said = text(&said.stdout) + &text(&said.stderr);
        assert!(
            !said.is_empty() && !said.contains(['\u{1b}', '\u{9b}']),
            "{arguments:?}: {said:?}"
        );
    }
    Ok(())
}

/// A gigabyte without a line end is passed over by everything that reads a record, without being
/// kept.
#[test]
fn a_gigabyte_without_a_line_end_is_not_kept_in_memory() -> Outcome {
    // in a process of its own: memory is that of the whole process
    if std::env::var_os("ASTILL_TEST_ALONE").is_none() {
        let name = "a_gigabyte_without_a_line_end_is_not_kept_in_memory";
        let mut alone = std::process::Command::new(std::env::current_exe()?);
        let output = alone
            .args(["--exact", name, "--nocapture"])
            .env("ASTILL_TEST_ALONE", "1")
            .output()?;
        print!("{}", text(&output.stdout));
        assert!(output.status.success(), "{}", text(&output.stderr));
        return Ok(());
    }
    let folder = folder()?;
    let run = run_in(folder.path())?;
    let size: u64 = if in_full() { 1 << 30 } else { 128 << 20 };
    let lines: Vec<&str> = EVENTS.lines().collect();
    let mut events = fs::File::create(run.events())?;
    writeln!(events, "{}", lines[0])?;
    // a hole: it takes no room on the disk
    events.set_len(size)?;
    let mut events = fs::OpenOptions::new().append(true).open(run.events())?;
    writeln!(events, "\n{}", lines[1])?;
    let before = peak_memory()?;
    let mut file = EventsFile::open(run.events());
    let mut read = 0;
    while {
        read += file.poll(2 << 20)?.len();
        !file.at_end()
    } {}
    assert_eq!(read, 2);
    assert_eq!(
        History::read(&run.events())?.profile.as_deref(),
        Some("shapes")
    );
    assert_eq!(list::summary(run).profile, "shapes");
    let grown = peak_memory()?.saturating_sub(before) >> 20;
    assert!(grown < 110, "{grown} MiB more");
    row(
        &format!("a line of {} MiB in events.jsonl", size >> 20),
        3,
        "none",
        &format!("passed over; {grown} MiB more memory at most"),
    );
    Ok(())
}

/// The most memory that this process has had, in bytes.
fn peak_memory() -> Result<u64, Box<dyn std::error::Error>> {
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status
        .lines()
        .find_map(|l| l.strip_prefix("VmHWM:"))
        .ok_or("no VmHWM")?;
    Ok(peak.trim().trim_end_matches(" kB").parse::<u64>()? << 10)
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

#[test]
fn names_of_runs_and_of_their_files_stay_in_their_folder() -> Outcome {
    let folder = folder()?;
    let (runs, outside) = (folder.path().join("runs"), folder.path().join("outside"));
    fs::create_dir(&outside)?;
    fs::write(outside.join("secret.png"), "secret")?;
    let seeds = [
        "mine",
        "shapes-001",
        "a.b_c-9",
        "A",
        "..",
        "../x",
        "a/b",
        "/tmp/x",
        ".hidden",
        "-rf",
        "a\nb",
        "ä",
    ];
    let valid = seeds[..4].iter().map(|s| s.as_bytes().to_vec()).collect();
    try_many("a name of a run", valid, Vec::new(), |input| {
        let name = String::from_utf8_lossy(input);
        let Ok(run) = RunDir::create(&runs, "p", Some(&name)) else {
            return false;
        };
        assert_eq!(run.path().parent(), Some(runs.as_path()), "{name:?}");
        assert_eq!(run.name(), name);
        fs::remove_dir_all(run.path()).is_ok()
    });
    for bad in &seeds[4..] {
        assert!(RunDir::create(&runs, "p", Some(bad)).is_err(), "{bad}");
    }
    assert_eq!(fs::read_dir(folder.path())?.count(), 2);

    // what the record of a run calls its file
    let run = RunDir::create(&runs, "p", Some("r"))?;
    fs::write(run.path().join("samples/s.png"), "mine")?;
    symlink("s.png", run.path().join("samples/inner.png"))?;
    symlink(
        outside.join("secret.png"),
        run.path().join("samples/link.png"),
    )?;
    symlink(&outside, run.path().join("folder"))?;
    symlink("/dev/zero", run.path().join("samples/zero.png"))?;
    let pipe = std::ffi::CString::new(
        run.path()
            .join("samples/pipe.png")
            .into_os_string()
            .into_encoded_bytes(),
    )?;
    assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
    let secret = outside.join("secret.png").to_string_lossy().into_owned();
    let refused = [
        "../../outside/secret.png",
        "samples/../../../outside/secret.png",
        &secret,
        "/dev/zero",
        "/etc/passwd",
        "samples/link.png",
        "folder/secret.png",
        "samples/zero.png",
        "samples/pipe.png",
        "samples",
        "",
        ".",
        "./samples/s.png",
        "none",
        "samples/s.png/x",
        "a\0b",
    ];
    for name in refused {
        assert!(run.own_file(name).is_err(), "{name:?}");
    }
    for name in ["samples/s.png", "samples/inner.png"] {
        assert_eq!(fs::read(run.own_file(name)?)?, b"mine");
    }
    row(
        "a record that names files outside its folder",
        refused.len() as u64,
        "none",
        "refused, nothing opened",
    );

    // a run that is reached by a link is the same run
    symlink(run.path(), folder.path().join("other-name"))?;
    let linked = RunDir::at(folder.path().join("other-name"));
    assert_eq!(fs::read(linked.own_file("samples/s.png")?)?, b"mine");
    assert_eq!(socket::path(&linked, false)?, socket::path(&run, false)?);
    let held = run.lock()?;
    assert!(linked.lock().is_err());
    drop(held);
    Ok(())
}

/// A run that was copied from somebody: its own files lead elsewhere.
#[test]
fn a_run_whose_files_are_pipes_devices_or_links_is_neither_waited_for_nor_written_through()
-> Outcome {
    let run = [
        "run",
        "tiny.yaml",
        "--name",
        "r",
        "--set",
        "distill.iterations=1",
    ];
    let place = stopped(Place::new, &run, "phase data", |_| true)?;
    let mine = place.path("mine.txt");
    fs::write(&mine, "mine")?;
    let refused = |file: &str| -> Outcome {
        assert_status(&place.run(&["list"])?, 0);
        let resumed = place.run(&["resume", "r", "--detach"])?;
        let said = text(&resumed.stderr);
        assert!(
            !resumed.status.success() && said.contains(file),
            "{file}: {said}"
        );
        assert_eq!(fs::read(&mine)?, b"mine", "{file}");
        Ok(())
    };
    let files = ["lock", "events.jsonl", "run.log", "edits.json"];
    for file in files {
        let path = place.path("runs/r").join(file);
        let kept = fs::read(&path).ok();
        for target in [&mine, Path::new("/dev/zero")] {
            let _ = fs::remove_file(&path);
            symlink(target, &path)?;
            refused(file)?;
        }
        fs::remove_file(&path)?;
        let pipe = std::ffi::CString::new(path.clone().into_os_string().into_encoded_bytes())?;
        assert_eq!(unsafe { libc::mkfifo(pipe.as_ptr(), 0o600) }, 0);
        refused(file)?;
        fs::remove_file(&path)?;
        kept.iter().try_for_each(|bytes| fs::write(&path, bytes))?;
    }
    // folders that lead elsewhere
    let other = place.path("other");
    fs::create_dir(&other)?;
    for file in [".part-x", "step_00000.safetensors", "best.safetensors"] {
        fs::write(other.join(file), "mine")?;
    }
    let folders = ["samples", "checkpoints", "distilled"];
    for folder in folders {
        let path = place.path("runs/r").join(folder);
        let kept = place.path("kept");
        fs::rename(&path, &kept)?;
        symlink(&other, &path)?;
        refused(folder)?;
        assert_eq!(fs::read_dir(&other)?.count(), 3, "{folder}");
        fs::remove_file(&path)?;
        fs::rename(&kept, &path)?;
    }
    assert_status(&place.run(&["resume", "r"])?, 0);
    row(
        "a run with links, devices, pipes for files and folders",
        (3 * files.len() + folders.len()) as u64,
        "none",
        "refused with a reason, nothing waits or is overwritten",
    );
    Ok(())
}

const ENDLESS: [&str; 4] = [
    "distill.iterations=1000000",
    "evaluate.every=1000000",
    "evaluate.repeats=1",
    "expert.count=1",
];

/// The socket of the run.
fn socket_of(place: &Place) -> Result<PathBuf, Box<dyn std::error::Error>> {
    Ok(socket::path(
        &RunDir::open(&place.path("runs/r")).ok_or("no run")?,
        false,
    )?)
}

/// What is asked on a connection of its own, as `astill send` does it.
fn ask(path: &Path, line: &[u8]) -> Result<Answer, Box<dyn std::error::Error>> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(place::PATIENCE))?;
    match stream.write_all(line) {
        // whoever turns this away answers without reading, and closes
        Err(e) if e.kind() == ErrorKind::BrokenPipe => {}
        written => written?,
    }
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}

/// Tests that run beside this one need files too.
fn raise_the_number_of_files() -> Outcome {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: two system calls that know `limit` only
    let raised = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) == 0 && {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit) == 0
        }
    };
    if raised {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error().into())
    }
}

/// The run has made steps since `before`, and a proper user is answered.
fn goes_on(place: &Place, path: &Path, before: u64) -> Outcome {
    wait_until("a step", || {
        (place::last_step(place, "r") > before + 1).then_some(())
    })?;
    let said = place.run(&["send", "r", "set", "distill.lr_images=9"])?;
    assert_status(&said, 0);
    assert!(
        ask(
            path,
            b"{\"command\":\"set\",\"edit\":\"distill.lr_images=10\"}\n"
        )?
        .is_accepted()
    );
    Ok(())
}

#[test]
fn whatever_comes_over_the_socket_the_training_goes_on_and_a_proper_user_is_answered() -> Outcome {
    let place = Place::new()?;
    let engine = Background::start(&place, &ENDLESS)?;
    let path = socket_of(&place)?;
    engine.wait_for("a step", 0, |w| matches!(w, EventKind::DistillStep { .. }))?;
    let step = || place::last_step(&place, "r");

    // garbage, half commands, hundreds of them
    let mut inputs = inputs::Inputs::new(vec![
        b"{\"command\":\"explode\"}\n".into(),
        b"{\"command\":\"set\"}\n".into(),
    ]);
    let (before, mut tried) = (step(), 0);
    for _ in 0..if in_full() { 2000 } else { 200 } {
        let mut stream = UnixStream::connect(&path)?;
        // an engine that has heard enough closes before it has read all
        let _ = stream.write_all(&inputs.next());
        tried += 1;
    }
    goes_on(&place, &path, before)?;
    row(
        "socket: garbage and half commands",
        tried,
        "none",
        "answered or closed; steps go on, a proper user is answered",
    );

    // a line that does not end, as long as somebody takes it
    let before = step();
    let mut stream = UnixStream::connect(&path)?;
    let (block, mut sent) = (vec![b'x'; 1 << 16], 0u64);
    while sent < 1 << 30 {
        match stream.write(&block) {
            Ok(n) => sent += n as u64,
            Err(e) if matches!(e.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset) => {
                break;
            }
            Err(e) => return Err(e.into()),
        }
    }
    assert!(sent < 64 << 20, "{sent} bytes were taken");
    goes_on(&place, &path, before)?;
    row(
        "socket: a gigabyte without a line end",
        1,
        "none",
        &format!("closed after {} KiB; steps go on", sent >> 10),
    );

    // a thousand that say nothing, beside one who asks
    raise_the_number_of_files()?;
    let before = step();
    let mut silent = Vec::new();
    for number in 0..1000 {
        let mut stream = UnixStream::connect(&path)?;
        if number % 3 == 0 {
            let _ = stream.write_all(b"{\"command\":\"pau");
        }
        silent.push(stream);
        if number % 100 == 99 {
            assert!(
                ask(&path, b"{\"command\":\"explode\"}\n").is_ok(),
                "not answered beside {} others",
                silent.len()
            );
        }
    }
    goes_on(&place, &path, before)?;
    row(
        "socket: connections that stay silent, at a time",
        silent.len() as u64,
        "none",
        "the longest silent is closed; all others answered",
    );
    drop(silent);

    // clients that ask and ask and never read
    let before = step();
    let line = b"{\"command\":\"explode\"}\n".repeat(1000);
    let mut deaf = Vec::new();
    for _ in 0..100 {
        let mut stream = UnixStream::connect(&path)?;
        stream.set_nonblocking(true)?;
        while stream.write(&line).is_ok() {}
        deaf.push(stream);
    }
    goes_on(&place, &path, before)?;
    row(
        "socket: clients that ask and do not read",
        deaf.len() as u64,
        "none",
        "steps go on, a proper user is answered",
    );
    drop(deaf);

    // clients that ask what the trainer must answer, without a pause
    let before = step();
    let ended = std::sync::atomic::AtomicBool::new(false);
    let asked = std::thread::scope(|scope| -> Result<u64, Box<dyn std::error::Error>> {
        let busy = || {
            let mut asked = 0;
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                asked += u64::from(ask(&path, b"{\"command\":\"resume\"}\n").is_ok());
            }
            asked
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(busy)).collect();
        let went_on = wait_until("steps", || (step() > before + 3).then_some(()));
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        let asked = threads.into_iter().map(|t| t.join().unwrap_or(0)).sum();
        went_on.map(|()| asked)
    })?;
    assert!(asked > 0);
    goes_on(&place, &path, before)?;
    row(
        "socket: commands without a pause, 16 clients",
        asked,
        "none",
        "answered; steps go on",
    );
    Ok(())
}

#[test]
fn another_user_is_refused() -> Outcome {
    let fault = "socket: another user";
    if socket::user() != 0 {
        row(
            fault,
            0,
            "none",
            "not tried: only root can act as somebody else",
        );
        return Ok(());
    }
    let place = Place::new()?;
    let engine = Background::start(&place, &ENDLESS)?;
    let path = socket_of(&place)?;
    engine.wait_for("a step", 0, |w| matches!(w, EventKind::DistillStep { .. }))?;
    assert!(
        as_nobody(|| UnixStream::connect(&path).map(drop))
            .is_err_and(|e| e.kind() == ErrorKind::PermissionDenied)
    );

    // by a door that somebody left open: the engine asks the system who is there
    let open = place.path("open.sock");
    if fs::hard_link(&path, &open).is_err() {
        row(
            fault,
            1,
            "none",
            "refused by the permissions; not tried where those are open: the sockets are on \
             another disk",
        );
        return Ok(());
    }
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(&open, fs::Permissions::from_mode(0o666))?;
    let stop = b"{\"command\":\"stop\",\"reason\":\"nobody\"}\n";
    let said = as_nobody(|| ask(&open, stop).map_err(|e| std::io::Error::other(e.to_string())))?;
    assert_eq!(said, Answer::rejected("this run belongs to another user"));
    let before = place::last_step(&place, "r");
    wait_until("a step", || {
        (place::last_step(&place, "r") > before).then_some(())
    })?;
    row(
        fault,
        2,
        "none",
        "refused by the permissions, and by name where those are open",
    );
    Ok(())
}

/// Does something on a thread that acts as the user nobody.
fn as_nobody<T: Send>(work: impl FnOnce() -> std::io::Result<T> + Send) -> std::io::Result<T> {
    let thread = || {
        // the bare system call changes this thread alone
        let nobody = 65534u32;
        if unsafe { libc::syscall(libc::SYS_setresuid, nobody, nobody, nobody) } != 0 {
            return Err(std::io::Error::last_os_error());
        }
        work()
    };
    std::thread::scope(|scope| scope.spawn(thread).join())
        .unwrap_or_else(|_| Err(std::io::Error::other("a panic")))
}

#[test]
fn a_second_engine_is_refused_until_the_first_is_gone_however_it_went() -> Outcome {
    let place = Place::new()?;
    let engine = Background::start(&place, &ENDLESS)?;
    let id = |e: &Event| {
        if let EventKind::RunStarted(started) = &e.what {
            Some(started.process)
        } else {
            None
        }
    };
    let times = if in_full() { 10 } else { 2 };
    for time in 0..times {
        engine.wait_for("a step", 0, |w| matches!(w, EventKind::DistillStep { .. }))?;
        for how in [&["resume", "r"][..], &["resume", "r", "--detach"]] {
            let refused = place.run(how)?;
            assert_status(&refused, 2);
            let said = text(&refused.stderr);
            assert!(
                said.contains("already has an engine") && said.contains("astill attach"),
                "{said}"
            );
        }
        let events = events_of(&place)?;
        let process = events.iter().rev().find_map(id).ok_or("no process")?;
        assert_eq!(
            unsafe { libc::kill(i32::try_from(process)?, libc::SIGKILL) },
            0
        );
        let run = RunDir::open(&place.path("runs/r")).ok_or("no run")?;
        wait_until("the lock of the killed engine is free", || {
            (!run.has_engine()).then_some(())
        })?;
        let resumed = place.run(&["resume", "r", "--detach"])?;
        assert_status(&resumed, 0);
        let again = events_of(&place)?
            .iter()
            .filter(|e| id(e).is_some())
            .count();
        assert_eq!(again, time + 2);
    }
    row(
        "two engines on one run; SIGKILL of the first",
        times as u64,
        "since the last checkpoint",
        "the second is refused; after the kill it starts at once",
    );
    Ok(())
}

/// The events of the run, of which a killed engine may have left one torn.
fn events_of(place: &Place) -> Result<Vec<Event>, Box<dyn std::error::Error>> {
    Ok(EventsFile::open(place.path("runs/r/events.jsonl")).poll(usize::MAX / 2)?)
}
