//! `astill slurm`: its script, submitted to programs that stand in for those of Slurm.

mod place;

use astill_core::run::event::{Event, EventKind};
use place::{Outcome, Place, assert_status, text};
use std::error::Error;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

/// Keeps the script and the options of a job, and names it by its number.
const SBATCH: &str = r#"#!/bin/sh
mkdir -p jobs
n=$(($(ls jobs | wc -l) / 2 + 1))
cat > jobs/$n.sh
printf '%s\n' "$@" > jobs/$n.options
echo "$n;cluster"
"#;
/// Runs what it is given.
const SRUN: &str = "#!/bin/sh\nshift\nexec \"$@\"\n";
/// Runs what it is given as three tasks of a step, the first of which begins last, and fails if one does.
const SRUN_TASKS: &str = r#"#!/bin/sh
shift
export SLURM_STEP_NUM_TASKS=3
SLURM_PROCID=1 "$@" & first=$!
SLURM_PROCID=2 "$@" & second=$!
SLURM_PROCID=0 "$@" || exit
wait $first && wait $second
"#;
/// Is stopped before its time limit.
const SRUN_STOPPED: &str = "#!/bin/sh\nexit 140\n";
const SCONTROL: &str = "#!/bin/sh\necho \"$@\" >> requeued\n";

fn place() -> Result<Place, Box<dyn Error>> {
    let place = Place::new()?;
    fs::create_dir(place.path("bin"))?;
    for (name, script) in [("sbatch", SBATCH), ("srun", SRUN), ("scontrol", SCONTROL)] {
        put(&place, name, script)?;
    }
    Ok(place)
}

fn put(place: &Place, name: &str, script: &str) -> Outcome {
    let path = place.path("bin").join(name);
    fs::write(&path, script)?;
    Ok(fs::set_permissions(
        &path,
        fs::Permissions::from_mode(0o755),
    )?)
}

fn bash(place: &Place) -> Command {
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = place.command("bash");
    command
        .env("PATH", format!("{}:{path}", place.path("bin").display()))
        .env("SLURM_CPUS_PER_TASK", "1")
        .env("SLURM_JOB_ID", "7");
    command
}

fn job(place: &Place, number: u32) -> Result<Output, Box<dyn Error>> {
    Ok(bash(place).arg(format!("jobs/{number}.sh")).output()?)
}

#[test]
fn the_jobs_train_the_experts_then_distil_and_continue_when_they_are_queued_again() -> Outcome {
    let place = place()?;
    let options = ["slurm", "tiny.yaml", "--name", "r", "--time", "1:00:00"];
    let more = ["--array=2", "--sbatch=--comment=two words", "--seed", "3"];
    let script = place.run(&[&options[..], &more].concat())?;
    assert_status(&script, 0);
    fs::write(place.path("job.sh"), &script.stdout)?;
    assert_status(&bash(&place).arg("job.sh").output()?, 0);
    let options = |number: u32| fs::read_to_string(place.path(&format!("jobs/{number}.options")));
    for wanted in [
        "--array=1-2",
        "--time=1:00:00",
        "--comment=two words",
        "--requeue",
    ] {
        assert!(options(1)?.contains(wanted), "{}", options(1)?);
    }
    assert!(
        options(2)?.contains("--dependency=afterok:1\n"),
        "{}",
        options(2)?
    );

    // the second task finds that nothing is left
    for _ in 0..2 {
        assert_status(&job(&place, 1)?, 0);
    }
    assert!(!place.path("runs").exists(), "the experts alone are no run");
    assert_status(&job(&place, 2)?, 0);
    let events = place.events("r")?;
    assert_eq!(place::epochs_trained(&events), 0, "all experts were there");
    assert_status(&job(&place, 2)?, 0);

    // one that was stopped before its time limit is queued again, and no other
    assert!(!place.path("requeued").exists());
    put(&place, "srun", SRUN_STOPPED)?;
    assert_status(&job(&place, 2)?, 140);
    // of an array one task alone, also the one whose number is that of the array
    let mut task = bash(&place);
    task.env("SLURM_ARRAY_JOB_ID", "7")
        .env("SLURM_ARRAY_TASK_ID", "2");
    assert_status(&task.arg("jobs/1.sh").output()?, 140);
    assert_eq!(
        fs::read_to_string(place.path("requeued"))?,
        "requeue 7\nrequeue 7_2\n"
    );
    Ok(())
}

#[test]
fn the_tasks_of_a_job_share_its_experts_and_segments() -> Outcome {
    let place = place()?;
    put(&place, "srun", SRUN_TASKS)?;
    let profile = place::TINY.replace("distill: {", "distill: {segments: 3, ");
    fs::write(place.path("tiny.yaml"), profile)?;
    let alone = ["run", "tiny.yaml", "--headless", "--name", "alone"];
    let alone = place.astill(&alone).env("OMP_NUM_THREADS", "1").output()?;
    assert_status(&alone, 0);

    fs::remove_dir_all(place.path("data/trajectories"))?;
    let script = place.run(&["slurm", "tiny.yaml", "--name", "r", "--tasks", "3"])?;
    assert_status(&script, 0);
    fs::write(place.path("job.sh"), &script.stdout)?;
    assert_status(&bash(&place).arg("job.sh").output()?, 0);
    let options = fs::read_to_string(place.path("jobs/2.options"))?;
    assert!(
        options.contains("--ntasks=3\n") && !options.contains("--nodes"),
        "{options}"
    );
    let mut job = bash(&place);
    let ended = job.arg("jobs/2.sh").env("OMP_NUM_THREADS", "1").output()?;
    assert_status(&ended, 0);
    let events = place.events("r")?;
    let joined = |event: &&Event| matches!(&event.what, EventKind::Worker(w) if w.has_joined);
    assert_eq!(
        events.iter().filter(joined).count(),
        2,
        "{}",
        text(&ended.stderr)
    );
    let distilled =
        |run: &str| fs::read(place.path(&format!("runs/{run}/distilled/best.safetensors")));
    assert!(
        distilled("r")? == distilled("alone")?,
        "the bytes of one process"
    );

    // outside a step, in the script of a job, only one process would work
    let script = place.run(&["run", "tiny.yaml", "--name", "s", "--workers", "slurm"])?;
    assert_status(&script, 2);
    assert!(
        text(&script.stderr).contains("srun"),
        "{}",
        text(&script.stderr)
    );
    assert!(!place.path("runs/s").exists());
    Ok(())
}

#[test]
fn the_script_names_gpus_and_refuses_what_slurm_could_not_run() -> Outcome {
    let place = Place::new()?;
    let script = place.run(&["slurm", "tiny.yaml", "--gpus", "a100:2"])?;
    assert_status(&script, 0);
    let script = text(&script.stdout);
    for wanted in [
        "--gpus=a100:2",
        "--nodes=1",
        "--device=cuda:0,cuda:1",
        "--gpus=a100:1",
        "--device=cuda:0 ",
    ] {
        let is_there = script.replace('\n', " ").contains(wanted);
        assert!(is_there, "{wanted}: {script}");
    }
    let in_image = "--program=apptainer exec --nv astill.sif astill";
    let script = text(&place.run(&["slurm", "tiny.yaml", in_image])?.stdout);
    assert!(
        script.contains(" apptainer exec --nv astill.sif astill --data"),
        "{script}"
    );
    for (arguments, problem) in [
        (&["--array=3"][..], "expected at most 2"),
        (&["--tasks=2"], "distill.segments"),
        (&["--name=../x"], "--name"),
        (&["--time=1\n2"], "control character"),
        (&["--gpus=many"], "expected a number from 1 to 64"),
    ] {
        let refused = place.run(&[&["slurm", "tiny.yaml"], arguments].concat())?;
        assert_status(&refused, 2);
        assert!(
            text(&refused.stderr).contains(problem),
            "{}",
            text(&refused.stderr)
        );
    }
    Ok(())
}
