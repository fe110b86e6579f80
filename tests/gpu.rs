//! The GPU path on a machine without one: libtorch's CUDA part, unchanged, on libraries that count
//! and compute nothing (tests/gpu/fake). `make gpu-fake` installs what this needs and runs it.

mod place;

use place::{Outcome, Place, assert_status, text};
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A machine with fake GPUs.
struct Machine {
    place: Place,
    fake: String,
    environment: Vec<(&'static str, String)>,
}

impl Machine {
    fn new(environment: &[(&'static str, &str)]) -> Result<Self, Box<dyn Error>> {
        let owned = environment.iter().map(|(name, v)| (*name, v.to_string()));
        Ok(Self {
            place: Place::new()?,
            fake: std::env::var("ASTILL_FAKE_GPU")
                .map_err(|_| "ASTILL_FAKE_GPU is not set; run `make gpu-fake`")?,
            environment: owned.collect(),
        })
    }

    fn counts_file(&self) -> PathBuf {
        self.place.path("counts")
    }

    fn command(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = self.place.command(&self.fake);
        command
            .arg(program)
            .args(["--data", "data", "--runs", "runs"])
            .args(arguments)
            .envs(self.environment.iter().map(|(name, v)| (*name, v.as_str())))
            .env("FAKE_ZERO", "1")
            .env("FAKE_OUT", self.counts_file());
        command
    }

    fn astill(&self, arguments: &[&str]) -> Result<Output, Box<dyn Error>> {
        Ok(self
            .command(env!("CARGO_BIN_EXE_astill"), arguments)
            .output()?)
    }

    /// What the engine prints as JSON, and what the fake GPU counted.
    fn engine(&self, arguments: &[&str]) -> Result<(Value, Counts), Box<dyn Error>> {
        let engine = PathBuf::from(env!("CARGO_BIN_EXE_astill")).with_file_name("astill-engine");
        let engine = engine.to_string_lossy();
        let output = self.command(&engine, arguments).output()?;
        assert_status(&output, 0);
        Ok((serde_json::from_slice(&output.stdout)?, self.counts()?))
    }

    fn counts(&self) -> Result<Counts, Box<dyn Error>> {
        let lines = fs::read_to_string(self.counts_file())?;
        let count = |line: &str| {
            let (n, name) = line.split_once(' ')?;
            Some((name.to_string(), n.parse().ok()?))
        };
        Ok(Counts(lines.lines().filter_map(count).collect()))
    }
}

/// What happened on a fake GPU, by name.
struct Counts(BTreeMap<String, i64>);

impl Counts {
    fn of(&self, name: &str) -> i64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    /// Kernels, convolutions and products.
    fn launches(&self) -> i64 {
        self.of("LAUNCH") + self.of("CUDNN") + self.of("CUBLAS")
    }
}

/// Per student step, forwards and backwards, of `bench student` with these options: the difference
/// of two numbers of iterations.
fn per_step(options: &[&str], of: impl Fn(&Counts) -> i64) -> Result<f64, Box<dyn Error>> {
    const STEPS: i64 = 20;
    let counted = |iterations: &str| {
        let mut arguments = vec!["bench", "student", "--device", "cuda", "--json"];
        arguments.extend(["--syn-steps", "20", "--iterations", iterations]);
        arguments.extend(options);
        let (_, counts) = Machine::new(&[])?.engine(&arguments)?;
        Ok::<_, Box<dyn Error>>(of(&counts))
    };
    Ok((counted("3")? - counted("1")?) as f64 / (2 * STEPS) as f64)
}

#[test]
#[ignore = "needs the fake GPU: make gpu-fake"]
fn a_whole_run_computes_on_the_gpu_that_is_asked_for_alone() -> Outcome {
    for device in [0, 1] {
        let machine = Machine::new(&[("FAKE_GPUS", "2")])?;
        let device = format!("cuda:{device}");
        let run = [
            "run",
            "tiny.yaml",
            "--name",
            "r",
            "--headless",
            "--device",
            &device,
        ];
        assert_status(&machine.astill(&run)?, 0);
        let events = fs::read_to_string(machine.place.path("runs/r/events.jsonl"))?;
        assert!(
            events.contains(&format!("\"device\":\"{device}\"")),
            "{events}"
        );
        assert!(
            events.contains("\"load\":97.0,\"temperature\":64.0"),
            "{events}"
        );
        let counts = machine.counts()?;
        for other in [0, 1] {
            let made = counts.of(&format!("CONTEXT made on device {other}"));
            assert_eq!(made == 1, device.ends_with(&other.to_string()), "{device}");
        }
        assert!(counts.launches() > 1000);
    }
    Ok(())
}

#[test]
#[ignore = "needs the fake GPU: make gpu-fake"]
fn every_network_passes_every_phase() -> Outcome {
    for set in [
        "network.norm=batch",
        "network.norm=group",
        "network.norm=layer",
        "network.norm=none",
        "network.activation=sigmoid",
        "network.pooling=max",
        "distill.labels=soft",
        "distill.parameters=frequency",
        "network.tf32=true",
    ] {
        let machine = Machine::new(&[])?;
        let run = [
            "run",
            "tiny.yaml",
            "--headless",
            "--device",
            "cuda",
            "--set",
            set,
        ];
        let output = machine.astill(&run)?;
        assert_eq!(
            output.status.code(),
            Some(0),
            "{set}: {}",
            text(&output.stderr)
        );
    }
    Ok(())
}

#[test]
#[ignore = "needs the fake GPU: make gpu-fake"]
fn of_several_gpus_auto_takes_the_one_with_the_most_free_memory() -> Outcome {
    let machine = Machine::new(&[("FAKE_GPUS", "3"), ("FAKE_GPU_MIB", "2000,9000,4000")])?;
    let run = ["run", "tiny.yaml", "--name", "r", "--headless"];
    assert_status(&machine.astill(&run)?, 0);
    let events = fs::read_to_string(machine.place.path("runs/r/events.jsonl"))?;
    assert!(events.contains("\"device\":\"cuda:1\""), "{events}");
    Ok(())
}

#[test]
#[ignore = "needs the fake GPU: make gpu-fake"]
fn memory_that_runs_out_is_said_with_what_to_do() -> Outcome {
    let machine = Machine::new(&[("FAKE_GPU_MIB", "120")])?;
    let output = machine.astill(&[
        "check",
        "tiny.yaml",
        "--device",
        "cuda",
        "--set",
        "network.width=1024",
    ])?;
    assert_status(&output, 1);
    let said = text(&output.stderr);
    assert!(
        said.contains("out of memory") && said.contains("--device"),
        "{said}"
    );
    assert!(!said.contains("bug") && !said.contains("frame #"), "{said}");

    let run = [
        "run",
        "tiny.yaml",
        "--name",
        "r",
        "--headless",
        "--device",
        "cuda",
    ];
    let wide = ["--set", "network.width=1024"];
    let output = machine.astill(&[&run[..], &wide].concat())?;
    assert_status(&output, 1);
    assert!(text(&output.stderr).contains("out of memory"));
    Ok(())
}

#[test]
#[ignore = "needs the fake GPU: make gpu-fake"]
fn a_gpu_that_cannot_be_used_is_said_and_never_passed_over_in_silence() -> Outcome {
    for (variable, value, part) in [
        ("FAKE_LAUNCH_ERROR", "209", "has no kernels for this card"),
        ("FAKE_EXCLUSIVE", "1", "exclusive-process mode"),
        ("FAKE_COUNT_ERROR", "100", "libtorch sees none"),
    ] {
        let machine = Machine::new(&[(variable, value)])?;
        let named = machine.astill(&["check", "tiny.yaml", "--device", "cuda"])?;
        assert_status(&named, 2);
        assert!(
            text(&named.stderr).contains(part),
            "{}",
            text(&named.stderr)
        );
        let auto = machine.astill(&["check", "tiny.yaml", "--no-images"])?;
        assert_status(&auto, 0);
        let said = text(&auto.stderr);
        assert!(said.contains("warning: computing on the CPU"), "{said}");
        assert!(said.contains(part), "{said}");
        let doctor = text(&machine.astill(&["doctor"])?.stdout);
        assert!(
            doctor
                .lines()
                .any(|l| l.starts_with("!!  gpu") && l.contains(part)),
            "{doctor}"
        );
    }
    Ok(())
}

#[test]
#[ignore = "needs the fake GPU: make gpu-fake"]
fn an_old_driver_is_named_with_what_it_supports() -> Outcome {
    let machine = Machine::new(&[("FAKE_COUNT_ERROR", "35"), ("FAKE_DRIVER", "12040")])?;
    let output = machine.astill(&["run", "tiny.yaml", "--name", "r", "--headless"])?;
    assert_status(&output, 0);
    let events = fs::read_to_string(machine.place.path("runs/r/events.jsonl"))?;
    let warning = events.lines().find(|l| l.contains("\"kind\":\"warning\""));
    assert!(
        warning.is_some_and(|l| l.contains("CUDA up to 12.4")),
        "{events}"
    );
    Ok(())
}

#[test]
#[ignore = "needs the fake GPU: make gpu-fake"]
fn libraries_of_cuda_without_memory_are_told_as_such() -> Outcome {
    for (variable, value) in [("FAKE_CUBLAS_FAIL", "3"), ("FAKE_CUDNN_FAIL", "1")] {
        let machine = Machine::new(&[(variable, value)])?;
        let run = ["run", "tiny.yaml", "--headless", "--device", "cuda"];
        let output = machine.astill(&run)?;
        let said = text(&output.stderr);
        assert!(
            !output.status.success() && said.contains("out of memory")
                || said.contains("ALLOC_FAILED"),
            "{variable}: {said}"
        );
    }
    Ok(())
}

#[test]
#[ignore = "needs the fake GPU: make gpu-fake"]
fn large_images_are_processed_in_pieces_that_fit() -> Outcome {
    let expert = |mib: &str| {
        let machine = Machine::new(&[("FAKE_GPU_MIB", mib)])?;
        let large = ["--batch", "64", "--size", "64", "--depth", "4"];
        let bench = ["bench", "expert", "--device", "cuda", "--json"];
        machine.engine(&[&bench[..], &large].concat())?;
        Ok::<_, Box<dyn Error>>(())
    };
    expert("80000")?;
    expert("1500")
}

#[test]
#[ignore = "needs the fake GPU: make gpu-fake"]
fn a_student_step_takes_few_launches() -> Outcome {
    let launches = per_step(&["--ipc", "1"], Counts::launches)?;
    assert!(launches <= 110., "{launches} launches a student step");
    Ok(())
}

#[test]
#[ignore = "needs the fake GPU: make gpu-fake"]
fn nothing_is_waited_for_within_an_iteration() -> Outcome {
    let waits = per_step(&["--ipc", "1"], |counts| counts.of("WAIT"))?;
    let copies = per_step(&["--ipc", "1"], |counts| {
        counts.of("copyAsync host to device") + counts.of("copyAsync device to host")
    })?;
    // an iteration, of 20 steps, copies its draws there and its results back in three parts; bench waits at both
    // ends of it
    assert!(waits <= 6. / 20., "{waits} waits a student step");
    assert!(copies <= 4. / 20., "{copies} copies a student step");
    Ok(())
}
