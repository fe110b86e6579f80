//! The socket of an engine under attack.

use super::inputs::Inputs;
use super::place::{Background, Outcome, PATIENCE, Place, assert_status, in_full};
use super::place::{last_step, row, text, wait_until};
use astill::tui::events_file::EventsFile;
use astill_core::run::command::Answer;
use astill_core::run::event::{Event, EventKind};
use astill_core::run::{RunDir, socket};
use rustix::process::{Pid, Resource, Rlimit, Signal};
use rustix::thread::{Uid, set_thread_res_uid};
use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

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
    stream.set_read_timeout(Some(PATIENCE))?;
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
    let Rlimit { maximum, .. } = rustix::process::getrlimit(Resource::Nofile);
    let limit = Rlimit {
        current: maximum,
        maximum,
    };
    Ok(rustix::process::setrlimit(Resource::Nofile, limit)?)
}

/// The run has made steps since `before`, and a proper user is answered.
fn goes_on(place: &Place, path: &Path, before: u64) -> Outcome {
    wait_until("a step", || {
        (last_step(place, "r") > before + 1).then_some(())
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
    let attacks = [
        garbage,
        endless_line,
        silent_clients,
        deaf_clients,
        busy_clients,
    ];
    attacks.iter().try_for_each(|attack| attack(&place, &path))
}

/// Hundreds of connections with garbage and half commands.
fn garbage(place: &Place, path: &Path) -> Outcome {
    let mut inputs = Inputs::new(vec![
        b"{\"command\":\"explode\"}\n".into(),
        b"{\"command\":\"set\"}\n".into(),
    ]);
    let (before, mut tried) = (last_step(place, "r"), 0);
    for _ in 0..if in_full() { 2000 } else { 200 } {
        let mut stream = UnixStream::connect(path)?;
        // an engine that has heard enough closes before it has read all
        let _ = stream.write_all(&inputs.next());
        tried += 1;
    }
    goes_on(place, path, before)?;
    row(
        "socket: garbage and half commands",
        tried,
        "none",
        "answered or closed; steps go on, a proper user is answered",
    );
    Ok(())
}

/// A line that does not end, sent for as long as somebody takes it.
fn endless_line(place: &Place, path: &Path) -> Outcome {
    let before = last_step(place, "r");
    let mut stream = UnixStream::connect(path)?;
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
    goes_on(place, path, before)?;
    row(
        "socket: a gigabyte without a line end",
        1,
        "none",
        &format!("closed after {} KiB; steps go on", sent >> 10),
    );
    Ok(())
}

/// A thousand connections that send nothing whole, beside one client that gets its answers.
fn silent_clients(place: &Place, path: &Path) -> Outcome {
    raise_the_number_of_files()?;
    let before = last_step(place, "r");
    let mut silent = Vec::new();
    for number in 0..1000 {
        let mut stream = UnixStream::connect(path)?;
        if number % 3 == 0 {
            let _ = stream.write_all(b"{\"command\":\"pau");
        }
        silent.push(stream);
        if number % 100 == 99 {
            assert!(
                ask(path, b"{\"command\":\"explode\"}\n").is_ok(),
                "not answered beside {} others",
                silent.len()
            );
        }
    }
    goes_on(place, path, before)?;
    row(
        "socket: connections that stay silent, at a time",
        silent.len() as u64,
        "none",
        "the longest silent is closed; all others answered",
    );
    Ok(())
}

/// Clients that send commands and never read the answers.
fn deaf_clients(place: &Place, path: &Path) -> Outcome {
    let before = last_step(place, "r");
    let line = b"{\"command\":\"explode\"}\n".repeat(1000);
    let mut deaf = Vec::new();
    for _ in 0..100 {
        let mut stream = UnixStream::connect(path)?;
        stream.set_nonblocking(true)?;
        while stream.write(&line).is_ok() {}
        deaf.push(stream);
    }
    goes_on(place, path, before)?;
    row(
        "socket: clients that ask and do not read",
        deaf.len() as u64,
        "none",
        "steps go on, a proper user is answered",
    );
    Ok(())
}

/// Clients that send commands for the trainer without a pause.
fn busy_clients(place: &Place, path: &Path) -> Outcome {
    let before = last_step(place, "r");
    let ended = AtomicBool::new(false);
    let asked = thread::scope(|scope| -> Result<u64, Box<dyn std::error::Error>> {
        let busy = || {
            let mut asked = 0;
            while !ended.load(Ordering::Relaxed) {
                asked += u64::from(ask(path, b"{\"command\":\"resume\"}\n").is_ok());
            }
            asked
        };
        let threads: Vec<_> = (0..16).map(|_| scope.spawn(busy)).collect();
        let went_on = wait_until("steps", || {
            (last_step(place, "r") > before + 3).then_some(())
        });
        ended.store(true, Ordering::Relaxed);
        let asked = threads.into_iter().map(|t| t.join().unwrap_or(0)).sum();
        went_on.map(|()| asked)
    })?;
    assert!(asked > 0);
    goes_on(place, path, before)?;
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
    let before = last_step(&place, "r");
    wait_until("a step", || (last_step(&place, "r") > before).then_some(()))?;
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
    let worker = || {
        // of this thread alone
        let nobody = Uid::from_raw(65534);
        set_thread_res_uid(nobody, nobody, nobody)?;
        work()
    };
    thread::scope(|scope| scope.spawn(worker).join())
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
        let process = Pid::from_raw(i32::try_from(process)?).ok_or("no process")?;
        rustix::process::kill_process(process, Signal::KILL)?;
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
