//! What batch systems, containers and other users do to a run: signals, limits, descriptors,
//! folders that are not one's own, libraries that are not the right ones.

use crate::place::{
    Background, Outcome, Place, assert_status, epochs_trained, in_full, last_step, row, text,
    wait_until,
};
use astill_core::run::RunDir;
use astill_core::run::event::{Event, EventKind};
use rustix::process::{Pid, Signal, kill_process};
use std::error::Error;
use std::ffi::OsStr;
use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

const ENDLESS: [&str; 3] = [
    "distill.iterations=1000000",
    "evaluate.every=1000000",
    "evaluate.repeats=1",
];

/// A user that owns nothing, and a group.
const STRANGER: &str = "4242";
const GROUP: &str = "4300";
const NO_GROUP: &str = "not tried: no control group of version 1 can be made here";
/// Other experts than those of the tiny profile.
const OTHERS: &str = "expert.lr=0.02";

fn arguments(name: &str) -> Vec<&str> {
    let mut arguments = vec!["run", "tiny.yaml", "--headless", "--name", name];
    ENDLESS.iter().for_each(|s| arguments.extend(["--set", s]));
    arguments
}

/// Starts a program that prints nowhere.
fn silent(command: &mut Command) -> Result<Child, Box<dyn Error>> {
    Ok(command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?)
}

fn has_steps(place: &Place, run: &str, count: u64) -> Outcome {
    wait_until("a step", || (last_step(place, run) >= count).then_some(()))
}

fn checkpoints(events: &[Event]) -> usize {
    let is_one = |e: &&Event| matches!(e.what, EventKind::Checkpoint { .. });
    events.iter().filter(is_one).count()
}

fn ended(child: &mut Child) -> Result<Option<i32>, Box<dyn Error>> {
    let status = wait_until("the engine ends", || child.try_wait().ok().flatten())?;
    Ok(status.code())
}

#[test]
fn the_signals_of_batch_systems_write_a_checkpoint_and_those_before_a_limit_stop() -> Outcome {
    let place = Place::new()?;
    let mut child = silent(&mut place.astill(&arguments("r")))?;
    has_steps(&place, "r", 3)?;
    let before = checkpoints(&place.events("r")?);
    kill_process(Pid::from_child(&child), Signal::USR1)?;
    wait_until("a checkpoint", || {
        (checkpoints(&place.events("r").ok()?) > before).then_some(())
    })?;
    assert!(child.try_wait()?.is_none(), "it goes on");
    for (signal, status) in [(Signal::USR2, 140), (Signal::XCPU, 152)] {
        // as often as the system likes
        for _ in 0..3 {
            let _ = kill_process(Pid::from_child(&child), signal);
        }
        assert_eq!(ended(&mut child)?, Some(status));
        let step = last_step(&place, "r");
        let file = format!("runs/r/checkpoints/step_{step:05}.safetensors");
        assert!(place.path(&file).exists(), "{file}");
        child = silent(&mut place.astill(&["resume", "r", "--headless"]))?;
        has_steps(&place, "r", step + 2)?;
    }
    kill_process(Pid::from_child(&child), Signal::TERM)?;
    assert_eq!(ended(&mut child)?, Some(143));
    row(
        "SIGUSR1, SIGUSR2, SIGXCPU",
        3,
        "nothing",
        "checkpoint; stops; resumed",
    );
    Ok(())
}

#[test]
fn signals_that_the_starter_has_blocked_or_ignored_count_again() -> Outcome {
    let place = Place::new()?;
    for signal in [Signal::TERM, Signal::INT] {
        let mut command = place.astill(&arguments(&format!("r{}", signal.as_raw())));
        let number = signal.as_raw();
        // SAFETY: between fork and exec only system calls are made, and nothing is allocated
        unsafe {
            command.pre_exec(move || {
                let mut set: libc::sigset_t = std::mem::zeroed();
                libc::sigfillset(&raw mut set);
                libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
                libc::signal(number, libc::SIG_IGN);
                Ok(())
            });
        }
        let mut child = silent(&mut command)?;
        has_steps(&place, &format!("r{number}"), 1)?;
        kill_process(Pid::from_child(&child), signal)?;
        assert_eq!(ended(&mut child)?, Some(128 + number));
    }
    Ok(())
}

#[test]
fn an_engine_in_the_background_keeps_nothing_of_its_starter() -> Outcome {
    let place = Place::new()?;
    let _engine = Background::of(&place, "r");
    let lock = File::create(place.path("starters-lock"))?;
    lock.lock()?;
    let mut command = place.astill(&["run", "tiny.yaml", "--name", "r", "--detach"]);
    ENDLESS.iter().for_each(|s| _ = command.args(["--set", s]));
    let number = lock.as_raw_fd();
    // SAFETY: between fork and exec only this system call is made, which allocates nothing
    unsafe {
        command.pre_exec(move || match libc::dup2(number, 9) {
            9 => Ok(()),
            _ => Err(std::io::Error::last_os_error()),
        });
    }
    assert_status(&command.output()?, 0);
    drop(lock);
    let again = File::open(place.path("starters-lock"))?;
    // a program that another test is starting may hold it for a moment
    wait_until("the engine lets go of the lock of its starter", || {
        again.try_lock().ok()
    })
}

#[test]
fn a_reader_that_does_not_read_never_holds_up_a_signal() -> Outcome {
    let place = Place::new()?;
    // a pipe that is full before the first line
    let (reader, writer) = std::io::pipe()?;
    // SAFETY: it sets the flags of a pipe that is open
    unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
    while (&writer).write(&[b'x'; 4096]).is_ok() {}
    // SAFETY: as above
    unsafe { libc::fcntl(writer.as_raw_fd(), libc::F_SETFL, 0) };
    let mut command = place.astill(&arguments("r"));
    let mut child = command.stdout(Stdio::null()).stderr(writer).spawn()?;
    has_steps(&place, "r", 3)?;
    kill_process(Pid::from_child(&child), Signal::TERM)?;
    assert_eq!(ended(&mut child)?, Some(143));
    let step = last_step(&place, "r");
    assert!(
        place
            .path(&format!("runs/r/checkpoints/step_{step:05}.safetensors"))
            .exists()
    );
    drop(reader);
    row(
        "stderr that nobody reads, then SIGTERM",
        1,
        "nothing",
        "checkpoint; ends",
    );
    Ok(())
}

#[test]
fn a_working_directory_that_was_deleted_is_named() -> Outcome {
    let place = Place::new()?;
    let program = env!("CARGO_BIN_EXE_astill");
    for arguments in ["list", "run shapes --headless", "doctor"] {
        let script =
            format!("mkdir gone && cd gone && rmdir ../gone && exec {program} {arguments}");
        let output = place.command("sh").args(["-c", &script]).output()?;
        assert_status(&output, 2);
        let said = text(&output.stderr);
        assert!(
            said.contains("the working directory has been deleted"),
            "{said}"
        );
    }
    Ok(())
}

#[test]
fn paths_that_are_not_utf_8_are_refused_before_anything_is_made() -> Outcome {
    let place = Place::new()?;
    let odd = place.path("").join(OsStr::from_bytes(b"d\xff"));
    fs::create_dir(&odd)?;
    fs::copy(place.path("tiny.yaml"), odd.join("tiny.yaml"))?;
    let program = env!("CARGO_BIN_EXE_astill");
    for (option, other) in [("--data", "--runs"), ("--runs", "--data")] {
        let output = Command::new(program)
            .current_dir(place.path(""))
            .arg(option)
            .arg(&odd)
            .args([other, "other", "run", "tiny.yaml", "--headless"])
            .output()?;
        assert_status(&output, 2);
        let said = text(&output.stderr);
        assert!(
            said.contains("not UTF-8") && said.contains(option),
            "{said}"
        );
        assert!(!place.path("other").exists());
    }
    let output = Command::new(program)
        .current_dir(&odd)
        .args(["--data", "data", "run", "tiny.yaml", "--headless"])
        .output()?;
    assert_status(&output, 2);
    let said = text(&output.stderr);
    assert!(said.contains("the working directory"), "{said}");
    assert_eq!(fs::read_dir(&odd)?.count(), 1, "only the profile");
    Ok(())
}

#[test]
fn another_libtorch_in_the_environment_is_not_taken() -> Outcome {
    let place = Place::new()?;
    let other = place.path("other");
    fs::create_dir(&other)?;
    for name in ["libc10.so", "libtorch_cpu.so"] {
        fs::write(other.join(name), "not a library")?;
    }
    let output = place
        .astill(&["doctor"])
        .env("LD_LIBRARY_PATH", &other)
        .output()?;
    assert_status(&output, 0);
    Ok(())
}

#[test]
fn folders_that_may_not_be_written_are_refused_and_those_of_a_group_are_shared() -> Outcome {
    let place = Place::new()?;
    if !may_be(STRANGER) {
        row("another user", 0, "", "not tried: it takes root");
        return Ok(());
    }
    fs::set_permissions(place.path(""), Permissions::from_mode(0o755))?;
    let runs = place.path("theirs");
    fs::create_dir(&runs)?;
    fs::set_permissions(&runs, Permissions::from_mode(0o777))?;
    let refused = |data: &str, runs: &str, option: &str| -> Outcome {
        let output = as_user(&place, STRANGER, &["--data", data, "--runs", runs])
            .args(["run", "tiny.yaml", "--headless", "--name", "r"])
            .output()?;
        assert_status(&output, 2);
        let said = text(&output.stderr);
        assert!(
            said.contains("Permission denied") && said.contains(&format!("with {option} DIR")),
            "{said}"
        );
        assert!(!place.path(&format!("{runs}/r")).exists());
        Ok(())
    };
    // neither can be made
    refused("data", "theirs", "--data")?;
    refused("theirs/data", "runs", "--runs")?;

    // experts of the first user in a folder that only he may write to
    let first = as_user(
        &place,
        STRANGER,
        &["--data", "theirs/data", "--runs", "theirs"],
    )
    .args(["run", "tiny.yaml", "--headless", "--name", "first"])
    .output()?;
    assert_status(&first, 0);
    let second = as_user(
        &place,
        "4243",
        &["--data", "theirs/data", "--runs", "theirs"],
    )
    .args([
        "run",
        "tiny.yaml",
        "--headless",
        "--name",
        "second",
        "--set",
        OTHERS,
    ])
    .output()?;
    assert_status(&second, 2);
    let said = text(&second.stderr);
    assert!(
        said.contains("Permission denied") && said.contains("chmod -R g+rwX"),
        "{said}"
    );

    // a folder of the group: the second goes on where the first stopped
    let shared = place.path("shared");
    fs::create_dir(&shared)?;
    std::os::unix::fs::chown(&shared, None, Some(GROUP.parse()?))?;
    fs::set_permissions(&shared, Permissions::from_mode(0o2775))?;
    for (user, name) in [(STRANGER, "a"), ("4243", "b")] {
        let set = if name == "a" { "seed=0" } else { OTHERS };
        let output = as_user(&place, user, &["--data", "shared", "--runs", "theirs"])
            .args([
                "run",
                "tiny.yaml",
                "--headless",
                "--name",
                name,
                "--set",
                set,
            ])
            .output()?;
        assert_status(&output, 0);
        assert!(
            !text(&output.stderr).contains("waiting"),
            "{}",
            text(&output.stderr)
        );
    }
    row(
        "data folders of another user and of a group",
        5,
        "nothing",
        "refused with the way out; shared",
    );
    Ok(())
}

/// Whether this user may act as another one.
fn may_be(user: &str) -> bool {
    let tried = Command::new("setpriv")
        .args(["--reuid", user, "--clear-groups", "true"])
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|s| s.success())
}

/// `astill` as another user of the group.
fn as_user(place: &Place, user: &str, options: &[&str]) -> Command {
    let mut command = place.command("setpriv");
    command
        .args(["--reuid", user, "--regid", user, "--groups", GROUP])
        .args(["sh", "-c", "umask 022; exec \"$@\"", "sh"])
        .arg(env!("CARGO_BIN_EXE_astill"))
        .args(options)
        .stdin(Stdio::null());
    command
}

#[test]
fn a_limit_on_processes_is_named_before_anything_is_made() -> Outcome {
    let place = Place::new()?;
    if !may_be(STRANGER) {
        row("limit on processes", 0, "", "not tried: it takes root");
        return Ok(());
    }
    fs::set_permissions(place.path(""), Permissions::from_mode(0o777))?;
    let is_refused = |limit: u32, arguments: &[&str]| -> Outcome {
        let nproc = format!("--nproc={limit}");
        let output = place
            .command("setpriv")
            .args(["--reuid", STRANGER, "--clear-groups", "prlimit", &nproc])
            .arg(env!("CARGO_BIN_EXE_astill"))
            .args(["--data", "data"])
            .args(arguments)
            .output()?;
        assert_status(&output, 2);
        let said = text(&output.stderr);
        assert!(
            said.contains("threads") && said.contains("ulimit -u"),
            "{said}"
        );
        Ok(())
    };
    for limit in [3, 5, 8] {
        for way in [&["run", "--headless"][..], &["run", "--detach"], &["check"]] {
            is_refused(limit, &[way, &["tiny.yaml"]].concat())?;
            assert!(!place.path("runs").exists());
        }
    }
    // the threads that a run was begun with count
    let mut child = silent(&mut place.astill(&arguments("r")))?;
    has_steps(&place, "r", 1)?;
    child.kill()?;
    child.wait()?;
    let path = place.path("runs/r/events.jsonl");
    let record = fs::read_to_string(&path)?.replacen("\"threads\":1", "\"threads\":64", 1);
    assert!(record.contains("\"threads\":64"));
    fs::write(&path, &record)?;
    let owned = Command::new("chown")
        .arg("-R")
        .arg(STRANGER)
        .arg(place.path(""))
        .status()?;
    assert!(owned.success());
    is_refused(40, &["resume", "r", "--headless"])?;
    assert_eq!(fs::read_to_string(&path)?, record);
    row(
        "limit on processes (3, 5, 8, 40)",
        10,
        "nothing",
        "refused with its name",
    );
    Ok(())
}

#[test]
fn a_limit_on_open_files_is_raised_or_named_and_a_small_stack_is_enough() -> Outcome {
    let place = Place::new()?;
    let limited = |limit: &str, arguments: &str| {
        let program = env!("CARGO_BIN_EXE_astill");
        let script = format!("ulimit {limit} && exec {program} --data data {arguments}");
        place.command("sh").args(["-c", &script]).output()
    };
    for limit in ["-n 10", "-n 16"] {
        for way in ["run --headless", "run --detach"] {
            let refused = limited(limit, &format!("{way} tiny.yaml"))?;
            assert_status(&refused, 2);
            let said = text(&refused.stderr);
            assert!(
                said.contains("open files") && said.contains("ulimit -n"),
                "{said}"
            );
            assert!(!place.path("runs").exists(), "{limit} {way}");
        }
    }
    let mut borne = 0;
    for (name, limit) in [
        ("soft", "-S -n 16"),
        ("small", "-s 256"),
        ("endless", "-s unlimited"),
    ] {
        let output = limited(limit, &format!("run tiny.yaml --headless --name {name}"))?;
        // some users may not raise the limit on the stack
        if text(&output.stderr).contains("ulimit") {
            continue;
        }
        assert_status(&output, 0);
        borne += 1;
    }
    row(
        "limits on open files and the stack",
        4 + borne,
        "nothing",
        "raised, or refused with its name",
    );
    Ok(())
}

/// The engine under strace, which makes a system call fail: all of them, or those on a file.
fn with_failing(
    place: &Place,
    call: &str,
    file: Option<&Path>,
    arguments: &[&str],
) -> Option<std::process::Output> {
    let engine = Path::new(env!("CARGO_BIN_EXE_astill")).with_file_name("astill-engine");
    let name = call.split(':').next().unwrap_or(call);
    let output = place
        .command("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e"])
        .arg(format!("trace={name}"))
        .arg("-e")
        .arg(format!("inject={call}"))
        .args(file.iter().flat_map(|f| [OsStr::new("-P"), f.as_os_str()]))
        .arg(engine)
        .args(["--data", "data"])
        .args(arguments)
        .output()
        .ok()?;
    // without the right to trace, nothing was started
    (output.status.success() || text(&output.stderr).contains("astill")).then_some(output)
}

#[test]
fn what_a_file_system_lacks_is_named_or_done_without() -> Outcome {
    if !in_full() {
        return Ok(());
    }
    let place = Place::new()?;
    let run = ["run", "tiny.yaml", "--headless", "--name"];
    let with =
        |call: &str, name: &str| with_failing(&place, call, None, &[&run[..], &[name]].concat());
    let Some(no_sync) = with("fsync:error=EINVAL", "a") else {
        row(
            "a file system without fsync or locks",
            0,
            "",
            "not tried: strace cannot trace here",
        );
        return Ok(());
    };
    assert_status(&no_sync, 0);
    // without sockets, commands go through the run's folder
    assert_status(&with("bind:error=EOPNOTSUPP", "d").ok_or("no strace")?, 0);
    let is_said = |e: &Event| matches!(&e.what, EventKind::Warning { message } if message.contains("can make no socket"));
    assert!(place.events("d")?.iter().any(is_said));
    let no_locks = with("flock:error=ENOSYS", "b").ok_or("no strace")?;
    assert_status(&no_locks, 2);
    let said = text(&no_locks.stderr);
    assert!(
        said.contains("has no locks") && said.contains("--runs DIR"),
        "{said}"
    );
    assert!(!place.path("runs/b").exists());
    // experts that are trained once more, in a store that cannot be locked
    let stores = fs::read_dir(place.path("data/trajectories"))?;
    let store = stores
        .flatten()
        .next()
        .ok_or("no store")?
        .path()
        .canonicalize()?;
    for expert in ["expert_000.safetensors", "expert_001.safetensors"] {
        fs::remove_file(store.join(expert))?;
    }
    let lock = store.join("lock");
    let data = [&run[..], &["c"]].concat();
    let only_data =
        with_failing(&place, "flock:error=ENOSYS", Some(&lock), &data).ok_or("no strace")?;
    assert_status(&only_data, 0);
    let trained = epochs_trained(&place.events("c")?);
    assert!(trained > 0, "claims need no locks");
    row(
        "a file system without fsync, locks or sockets",
        4,
        "nothing",
        "goes on, or is named",
    );
    Ok(())
}

/// A control group of this kind (version 1) with a limit, until this is dropped.
struct Group(PathBuf);

impl Group {
    fn new(kind: &str, limits: &[(&str, &str)]) -> Option<Self> {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let process = std::process::id();
        let name = format!("/sys/fs/cgroup/{kind}/astill-test-{process}-{number}");
        let group = Self(name.into());
        fs::create_dir(&group.0).ok()?;
        for (file, value) in limits {
            fs::write(group.0.join(file), value).ok()?;
        }
        Some(group)
    }

    /// A program in this group.
    fn run(&self, place: &Place, arguments: &str) -> Command {
        let tasks = self.0.join("tasks");
        let program = env!("CARGO_BIN_EXE_astill");
        let script = format!(
            "echo $$ > {} && exec {program} --data data {arguments}",
            tasks.display()
        );
        let mut command = place.command("sh");
        command.args(["-c", &script]);
        command
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = wait_until("the group is empty", || fs::remove_dir(&self.0).ok());
    }
}

#[test]
fn limits_of_a_container_count() -> Outcome {
    if !in_full() {
        return Ok(());
    }
    let place = Place::new()?;
    let quota = Group::new(
        "cpu",
        &[
            ("cpu.cfs_period_us", "100000"),
            ("cpu.cfs_quota_us", "50000"),
        ],
    );
    let memory = Group::new("memory", &[("memory.limit_in_bytes", "600M")]);
    let (Some(quota), Some(memory)) = (quota, memory) else {
        row("limits of a container", 0, "", NO_GROUP);
        return Ok(());
    };
    let doctor = |group: &Group| -> Result<String, Box<dyn Error>> {
        let mut command = group.run(&place, "doctor");
        Ok(text(
            &command.env_remove("OMP_NUM_THREADS").output()?.stdout,
        ))
    };
    let (limited, small) = (doctor(&quota)?, doctor(&memory)?);
    assert!(limited.contains("with 1 thread,"), "{limited}");
    assert!(small.contains("limit of this container"), "{small}");
    row("limits of a container", 2, "nothing", "respected and named");
    Ok(())
}

/// That the engine was killed for lack of memory stands in the list, and its successor says so.
fn is_told_afterwards(place: &Place, resume: &mut Command) -> Outcome {
    let listed = text(&place.run(&["list"])?.stdout);
    assert!(
        listed.contains("interrupted (probably out of memory)"),
        "{listed}"
    );
    let mut child = silent(resume)?;
    let is_told = |e: &Event| matches!(&e.what, EventKind::Warning { message } if message.contains("memory ran out"));
    wait_until("it is told", || {
        place.events("r").ok()?.iter().any(is_told).then_some(())
    })?;
    kill_process(Pid::from_child(&child), Signal::TERM)?;
    ended(&mut child)?;
    Ok(())
}

/// The kernel itself ends an engine, in a container whose memory is too small for it.
#[test]
fn an_engine_that_the_kernel_kills_for_lack_of_memory_is_told_afterwards() -> Outcome {
    if !in_full() {
        return Ok(());
    }
    let place = Place::new()?;
    let Some(memory) = Group::new("memory", &[("memory.limit_in_bytes", "2G")]) else {
        row("killed by the kernel for lack of memory", 0, "", NO_GROUP);
        return Ok(());
    };
    let mut child = silent(&mut memory.run(&place, &arguments("r").join(" ")))?;
    has_steps(&place, "r", 1)?;
    // what is in use cannot be pressed below the limit, so an allocation that follows ends the engine
    let limit = memory.0.join("memory.limit_in_bytes");
    wait_until("the kernel has ended the engine", || {
        let usage = fs::read_to_string(memory.0.join("memory.usage_in_bytes")).ok()?;
        let usage: u64 = usage.trim().parse().ok()?;
        let _ = fs::write(&limit, format!("{}", usage / 4096 * 4096));
        child.try_wait().ok().flatten()
    })?;
    fs::write(&limit, "2G")?;
    is_told_afterwards(&place, &mut memory.run(&place, "resume r --headless"))?;
    row(
        "killed by the kernel for lack of memory",
        1,
        "since the last checkpoint",
        "told; resumed",
    );
    Ok(())
}

#[test]
fn an_engine_that_was_killed_for_lack_of_memory_is_told_afterwards() -> Outcome {
    let place = Place::new()?;
    let mut child = silent(&mut place.astill(&arguments("r")))?;
    has_steps(&place, "r", 1)?;
    child.kill()?;
    child.wait()?;
    assert!(!text(&place.run(&["list"])?.stdout).contains("memory"));
    // as if the kernel had counted two since the engine was started, the last of them after its last
    // sign of life
    let group = place.path("group");
    fs::create_dir(&group)?;
    let count = |n: u32| {
        fs::write(
            group.join("memory.events"),
            format!("oom {n}\noom_kill {n}\n"),
        )
    };
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let counted = serde_json::json!({ "boot": boot.trim(), "group": group, "count": 2 });
    let path = place.path("runs/r/events.jsonl");
    let record = fs::read_to_string(&path)?;
    let (first, rest) = record.split_once('\n').ok_or("no events")?;
    let mut started: serde_json::Value = serde_json::from_str(first)?;
    started["oom_kills"] = counted;
    let usage = serde_json::json!({
        "seq": started["seq"], "time": started["time"], "kind": "usage",
        "host": {"used_gib": null, "total_gib": null, "load": null, "oom_kills": 3}
    });
    // whatever the engine itself has counted meanwhile
    let rest: String = rest
        .lines()
        .filter(|line| !line.contains("\"usage\""))
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(&path, format!("{started}\n{rest}{usage}\n"))?;
    count(3)?;
    assert!(!text(&place.run(&["list"])?.stdout).contains("memory"));
    count(4)?;
    is_told_afterwards(&place, &mut place.astill(&["resume", "r", "--headless"]))?;
    row(
        "killed for lack of memory",
        1,
        "since the last checkpoint",
        "told; resumed",
    );
    Ok(())
}

#[test]
fn a_libtorch_that_is_gone_is_named() -> Outcome {
    if !in_full() {
        return Ok(());
    }
    let place = Place::new()?;
    let found: serde_json::Value =
        serde_json::from_slice(&place.run(&["doctor", "--json"])?.stdout)?;
    let folder = found["engine"]["folder"].as_str().ok_or("no libtorch")?;
    let program = env!("CARGO_BIN_EXE_astill");
    for arguments in ["run shapes --headless", "doctor"] {
        let script =
            format!("mount -t tmpfs none '{folder}' && exec {program} --data data {arguments}");
        let output = place
            .command("unshare")
            .args(["-m", "sh", "-c", &script])
            .output()?;
        let said = text(&output.stderr) + &text(&output.stdout);
        if !said.contains("astill") {
            row("libtorch removed", 0, "", "not tried: mounting takes root");
            return Ok(());
        }
        assert!(!output.status.success());
        assert!(
            said.contains("is missing") && said.contains("make build"),
            "{said}"
        );
        assert!(!place.path("runs").exists());
    }
    row("libtorch removed", 2, "nothing", "named, with the way out");
    Ok(())
}

#[test]
fn a_stop_is_answered_within_seconds_while_whitening_is_fitted() -> Outcome {
    if !in_full() {
        return Ok(());
    }
    let place = Place::new()?;
    // a covariance of 3072 × 3072, whose eigenvectors take a while
    let mut command = place.astill(&["run", "tiny.yaml", "--headless", "--name", "r"]);
    for set in [
        "dataset.size=32",
        "dataset.train_limit=4000",
        "network.depth=2",
    ] {
        command.args(["--set", set]);
    }
    let mut child = silent(&mut command)?;
    // all images are in the covariance; what follows is one operation of libtorch
    let is_fitting = |e: &Event| matches!(&e.what, EventKind::Progress { what, done, total, .. } if what == "images whitened" && done == total);
    wait_until("whitening", || {
        place.events("r").ok()?.iter().any(is_fitting).then_some(())
    })?;
    let begin = std::time::Instant::now();
    kill_process(Pid::from_child(&child), Signal::TERM)?;
    assert_eq!(ended(&mut child)?, Some(143));
    assert!(
        begin.elapsed() < std::time::Duration::from_secs(10),
        "{:?}",
        begin.elapsed()
    );
    let run = RunDir::open(&place.path("runs/r")).ok_or("no run")?;
    assert!(!run.has_engine());
    row(
        "SIGTERM while whitening is fitted",
        1,
        "nothing",
        &format!("ended after {:.1} s", begin.elapsed().as_secs_f64()),
    );
    Ok(())
}
