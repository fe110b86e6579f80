//! Sockets that vanish, other users, other names of the machine, and names that are too short.

use crate::place::{Background, Outcome, Place, assert_status, row, text, wait_until};
use crate::{ENDLESS, engine_of, is_step, wait_for_the_end_of};
use astill_core::run::event::EventKind;
use astill_core::run::{RunDir, inbox, socket};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

#[test]
fn sockets_that_vanish_are_made_again_and_either_is_enough() -> Outcome {
    let place = Place::new()?;
    let engine = Background::start(&place, &ENDLESS)?;
    engine.wait_for("a step", 0, is_step)?;
    let run = RunDir::at(place.path("runs/r"));
    let (beside, in_tmp) = (socket::beside(&run), socket::path(&run, false)?);
    for gone in [vec![&beside], vec![&in_tmp], vec![&beside, &in_tmp]] {
        gone.iter().try_for_each(fs::remove_file)?;
        if gone.len() == 1 {
            engine.accepts(&["checkpoint"], "");
        }
        wait_until("the sockets", || {
            (beside.exists() && in_tmp.exists()).then_some(())
        })?;
        engine.accepts(&["checkpoint"], "");
    }
    engine.accepts(&["stop"], "");
    wait_until("the engine ends", || (!run.has_engine()).then_some(()))?;
    assert!(!beside.exists() && !in_tmp.exists());
    let (status, said) = engine.send(&["pause"])?;
    assert!(
        status == Some(2) && said.contains("no engine is running"),
        "{said}"
    );
    Ok(())
}

/// Whether a process waits for what comes over a socket.
fn waits_at_a_socket(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let is_asleep = state
        .rsplit_once(") ")
        .is_some_and(|(_, rest)| rest.starts_with('S'));
    let open = fs::read_dir(format!("/proc/{process}/fd"));
    let mut open = open.into_iter().flatten().flatten();
    is_asleep
        && open.any(|file| {
            let leads_to = fs::read_link(file.path()).unwrap_or_default();
            leads_to.to_string_lossy().starts_with("socket:")
        })
}

#[test]
fn a_command_whose_engine_is_killed_says_that_it_was_not_answered() -> Outcome {
    let place = Place::new()?;
    let engine = Background::start(&place, &ENDLESS)?;
    engine.wait_for("a step", 0, is_step)?;
    let process = engine_of(&place, "r")?;
    let id = Pid::from_raw(process as i32).ok_or("no process")?;
    // so that it cannot answer before it is killed
    kill_process(id, Signal::STOP)?;
    let mut command = place.astill(&["send", "r", "checkpoint"]);
    let sent = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    wait_until("the command is sent", || {
        waits_at_a_socket(sent.id()).then_some(())
    })?;
    kill_process(id, Signal::KILL)?;
    let output = sent.wait_with_output()?;
    assert_status(&output, 2);
    let said = text(&output.stderr);
    assert!(
        said.contains("ended before it answered") && said.contains("astill resume r"),
        "{said}"
    );
    wait_for_the_end_of(process)?;
    assert_status(&place.run(&["resume", "r", "--detach"])?, 0);
    engine.accepts(&["pause"], "");
    row(
        "killed while it is sent a command",
        1,
        "since the last checkpoint",
        "told; resumed",
    );
    Ok(())
}

#[test]
fn what_changes_a_run_takes_its_whole_name() -> Outcome {
    let place = Place::new()?;
    let engine = Background::start(&place, &ENDLESS)?;
    fs::create_dir(place.path("runs/exp10"))?;
    fs::copy(
        place.path("runs/r/profile.yaml"),
        place.path("runs/exp10/profile.yaml"),
    )?;
    for change in [
        &["send", "exp1", "stop"][..],
        &["resume", "exp1", "--detach"],
    ] {
        let refused = place.run(change)?;
        assert_status(&refused, 2);
        let said = text(&refused.stderr);
        assert!(
            said.contains("exp10") && said.contains("whole name"),
            "{said}"
        );
    }
    engine.accepts(&["stop"], "");
    Ok(())
}

#[test]
fn an_engine_of_another_user_is_said_to_be_one() -> Outcome {
    let fault = "engine of another user";
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
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755))?;
    let refused = place.astill(&["send", "r", "stop"]).uid(4242).output();
    match refused {
        Ok(refused) => {
            assert_status(&refused, 2);
            let said = text(&refused.stderr);
            assert!(said.contains("belongs to the user 0"), "{said}");
            row(fault, 1, "none", "refused, with the user's number");
        }
        Err(_) => row(
            fault,
            0,
            "none",
            "not tried: others may not start the program",
        ),
    }
    engine.accepts(&["pause"], "");
    Ok(())
}

#[test]
fn root_reaches_an_engine_of_another_user_and_its_own_is_not_taken_for_theirs() -> Outcome {
    const FAULT: &str = "root and an engine of another user";
    const USER: u32 = 4242;
    let place = Place::new()?;
    if socket::user() != 0 {
        row(FAULT, 0, "none", "not tried: it takes root");
        return Ok(());
    }
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o777))?;
    let mut begin = vec!["run", "tiny.yaml", "--name", "r", "--detach"];
    begin.extend(ENDLESS.iter().flat_map(|set| ["--set", *set]));
    let Ok(begun) = place.astill(&begin).uid(USER).gid(USER).output() else {
        let why = "not tried: others may not start the program";
        row(FAULT, 0, "none", why);
        return Ok(());
    };
    assert_status(&begun, 0);
    let engine = Background::of(&place, "r");
    engine.wait_for("a step", 0, is_step)?;
    engine.accepts(&["checkpoint"], "");
    // also over the other folder of sockets: nothing can be bound where a folder is
    let run = RunDir::at(place.path("runs/r"));
    let beside = socket::beside(&run);
    fs::remove_file(&beside).and_then(|()| fs::create_dir(&beside))?;
    engine.accepts(&["stop"], "");
    wait_until("the engine ends", || (!run.has_engine()).then_some(()))?;
    fs::remove_dir(&beside)?;

    // the run is theirs, its engine now root's
    assert_status(&place.run(&["resume", "r", "--detach"])?, 0);
    let mut asked = place.astill(&["send", "r", "stop"]);
    let refused = asked.uid(USER).gid(USER).output()?;
    assert_status(&refused, 1);
    let said = text(&refused.stdout);
    assert!(said.contains("only the user 0 and root"), "{said}");
    engine.accepts(&["stop"], "");
    row(FAULT, 3, "none", "answered; refused with the user's number");
    Ok(())
}

#[test]
fn a_lock_that_cannot_be_read_does_not_pass_for_a_run_without_an_engine() -> Outcome {
    let fault = "lock of another user that cannot be read";
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
    fs::set_permissions(place.path(""), fs::Permissions::from_mode(0o755))?;
    let lock = place.path("runs/r/lock");
    fs::set_permissions(&lock, fs::Permissions::from_mode(0o600))?;
    let as_another = |arguments: &[&str]| place.astill(arguments).uid(4242).output();
    match (as_another(&["list"]), as_another(&["send", "r", "stop"])) {
        (Ok(listed), Ok(refused)) => {
            let said = text(&listed.stdout);
            assert!(
                said.contains("elsewhere (its lock cannot be read)")
                    && !said.contains("interrupted"),
                "{said}"
            );
            assert_status(&refused, 2);
            let said = text(&refused.stderr);
            assert!(
                said.contains("chmod a+r") && said.contains("the user 0"),
                "{said}"
            );
            row(fault, 2, "none", "said, with the way out");
        }
        _ => row(
            fault,
            0,
            "none",
            "not tried: others may not start the program",
        ),
    }
    engine.accepts(&["stop"], "");
    Ok(())
}

/// Runs a shell script in namespaces of its own; none where that is not possible.
fn apart(place: &Place, namespaces: &str, script: &str) -> Option<std::process::Output> {
    let possible = Command::new("unshare").args([namespaces, "true"]).status();
    if !possible.is_ok_and(|status| status.success()) {
        return None;
    }
    let mut shell = place.command("unshare");
    shell.args([namespaces, "sh", "-ec", script]).output().ok()
}

#[test]
fn an_engine_is_reached_from_a_machine_with_another_name_and_from_another_tmp() -> Outcome {
    let place = Place::new()?;
    let engine = Background::start(&place, &ENDLESS)?;
    engine.wait_for("a step", 0, is_step)?;
    let ask = "astill --data data --runs runs send r checkpoint; astill --runs runs list";
    let hidden = format!("mount -t tmpfs none /tmp/astill-{}", socket::user());
    for (fault, namespaces, script) in [
        (
            "machine with another name",
            "-u",
            format!("hostname elsewhere; {ask}"),
        ),
        (
            "socket folder of another container",
            "-m",
            format!("{hidden}; {ask}"),
        ),
    ] {
        let Some(output) = apart(&place, namespaces, &script) else {
            row(fault, 0, "none", "not tried: no namespaces here");
            continue;
        };
        assert_status(&output, 0);
        let said = text(&output.stdout);
        assert!(
            said.starts_with("accepted") && said.contains("running, distill"),
            "{said}"
        );
        row(fault, 1, "none", "answered");
    }
    Ok(())
}

#[test]
fn an_engine_that_cannot_write_to_tmp_is_reached_in_its_folder() -> Outcome {
    let fault = "read-only folder of sockets";
    let place = Place::new()?;
    let folder = format!("/tmp/astill-{}", socket::user());
    let sets = ENDLESS.map(|set| format!("--set {set}")).join(" ");
    let script = format!(
        "mkdir -p -m 700 {folder}; mount -t tmpfs -o ro,mode=700 none {folder}; \
         astill --data data --runs runs run tiny.yaml --name r --detach {sets}"
    );
    let Some(output) = apart(&place, "-m", &script) else {
        row(fault, 0, "none", "not tried: no namespaces here");
        return Ok(());
    };
    assert_status(&output, 0);
    assert_eq!(text(&output.stderr), "");
    Background::of(&place, "r").accepts(&["pause"], "");
    row(fault, 1, "none", "answered");
    Ok(())
}

#[test]
fn an_engine_that_can_make_no_socket_says_so_and_takes_commands_as_files() -> Outcome {
    let fault = "no socket can be made";
    let place = Place::new()?;
    drop(Background::start(&place, &ENDLESS)?);
    // in the place of the one, and read-only where the other would be
    fs::create_dir(place.path("runs/r/engine.sock"))?;
    let folder = format!("/tmp/astill-{}", socket::user());
    let script = format!(
        "mkdir -p -m 700 {folder}; mount -t tmpfs -o ro,mode=700 none {folder}; \
         astill --data data --runs runs resume r --detach"
    );
    let Some(output) = apart(&place, "-m", &script) else {
        row(fault, 0, "none", "not tried: no namespaces here");
        return Ok(());
    };
    assert_status(&output, 0);
    let engine = Background::of(&place, "r");
    engine.accepts(&["pause"], "");
    engine.wait_for("the warning", 0, |what| {
        matches!(what, EventKind::Warning { message } if message.contains("can make no socket"))
    })?;
    row(fault, 1, "none", "told; answered through files");
    Ok(())
}

#[test]
fn an_engine_on_another_machine_is_steered_through_the_folder_of_its_run() -> Outcome {
    let fault = "engine on another machine";
    let place = Place::new()?;
    let engine = Background::start(&place, &ENDLESS)?;
    engine.wait_for("a step", 0, is_step)?;
    let run = RunDir::at(place.path("runs/r"));
    wait_until("the inbox", || inbox::is_read(&run).then_some(()))?;
    // what another machine sees: its own name, and no socket that leads anywhere
    let lock = fs::read_to_string(place.path("runs/r/lock"))?;
    let others: String = lock
        .lines()
        .map(|line| match line.split_once(' ') {
            Some(("boot", _)) => "boot of-another\n".to_string(),
            _ => format!("{line}\n"),
        })
        .collect();
    fs::write(place.path("lock-of-another"), others)?;
    let script = format!(
        "hostname elsewhere; mount -t tmpfs none /tmp/astill-{}; \
         mount --bind lock-of-another runs/r/lock; mount --bind /dev/null runs/r/engine.sock; \
         astill --data data --runs runs send r pause; astill --data data --runs runs send r pause || true; \
         astill --data data --runs runs send r set distill.lr_images=7",
        socket::user()
    );
    let Some(output) = apart(&place, "-um", &script) else {
        row(fault, 0, "none", "not tried: no namespaces here");
        return Ok(());
    };
    assert_status(&output, 0);
    let said = text(&output.stdout);
    assert!(
        said.starts_with("accepted\nrejected: the run is already paused\naccepted: "),
        "{said}"
    );
    assert!(text(&output.stderr).contains("may take a minute or two"));
    engine.accepts(&["resume"], "");
    row(fault, 3, "none", "answered");
    Ok(())
}
