//! The GPU path on a machine without one: libtorch's CUDA part, unchanged, on libraries that count
//! and compute nothing (tests/gpu/fake). `make gpu-fake` installs what this needs and runs it.

mod place;

use place::{Outcome, Place, assert_status, text};
use serde_json::Value;
use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::ErrorKind;
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
        // a GPU that nobody touches counts nothing
        let lines = match fs::read_to_string(self.counts_file()) {
            Err(error) if error.kind() == ErrorKind::NotFound => String::new(),
            lines => lines?,
        };
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

    /// The sum of several.
    fn sum(&self, names: &[&str]) -> i64 {
        names.iter().map(|name| self.of(name)).sum()
    }
}

/// What one iteration more counts, where `counted` is given a number of iterations.
fn per_iteration(
    counted: impl Fn(i64) -> Result<Counts, Box<dyn Error>>,
    (few, many): (i64, i64),
) -> Result<impl Fn(&[&str]) -> f64, Box<dyn Error>> {
    let (few_counts, many_counts) = (counted(few)?, counted(many)?);
    Ok(move |names: &[&str]| {
        (many_counts.sum(names) - few_counts.sum(names)) as f64 / (many - few) as f64
    })
}

/// Kernels, convolutions and products.
const LAUNCHES: [&str; 3] = ["LAUNCH", "CUDNN", "CUBLAS"];
const COPIES: [&str; 4] = [
    "copyAsync host to device",
    "copyAsync device to host",
    "copy host to device",
    "copy device to host",
];

/// `bench student` with one image per class and 20 steps.
fn bench_student(iterations: i64) -> Result<Counts, Box<dyn Error>> {
    let iterations = iterations.to_string();
    let bench = [
        "bench", "student", "--device", "cuda", "--json", "--ipc", "1",
    ];
    let steps = ["--syn-steps", "20", "--iterations", &iterations];
    Ok(Machine::new(&[])?.engine(&[&bench[..], &steps].concat())?.1)
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
            // long enough for the machine to be asked, which happens once a second
            "--set",
            "distill.iterations=400",
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
        assert!(counts.sum(&LAUNCHES) > 1000);
    }
    Ok(())
}

#[test]
#[ignore = "needs the fake GPU: make gpu-fake"]
fn every_network_passes_every_phase() -> Outcome {
    const OF_THE_FIELD: [&str; 3] = ["dataset.size=32", "distill.iterations=2", "expert.epochs=2"];
    let alone = [
        "network.norm=batch",
        "network.norm=group",
        "network.norm=layer",
        "network.norm=none",
        "network.activation=sigmoid",
        "network.activation=leaky_relu",
        "network.pooling=max",
        "network.pooling=none",
        "network.tf32=true",
        "expert.gsam_rho=0.01",
        "expert.per_epoch=2",
        "distill.labels=soft",
        "distill.parameters=frequency",
        "distill.parameters=tiles",
        "distill.match_at=nearest",
        "distill.drop_parameters=0.1",
        "distill.segments=2",
        "distill.mirror=true",
    ];
    let of_the_field = [
        "network.kind=convnet-bn",
        "network.kind=resnet18",
        "network.kind=resnet18-bn",
        "network.kind=vgg11",
        "network.kind=vgg11-bn",
        "network.kind=alexnet",
    ];
    let settings = alone
        .map(|set| vec![set])
        .into_iter()
        .chain(of_the_field.map(|set| [&[set][..], &OF_THE_FIELD].concat()));
    for (number, sets) in settings.enumerate() {
        let machine = Machine::new(&[("FAKE_GPUS", "2")])?;
        let device = format!("cuda:{}", number % 2);
        let mut run = vec!["run", "tiny.yaml", "--headless", "--device", &device];
        run.extend(sets.iter().flat_map(|set| ["--set", *set]));
        let output = machine.astill(&run)?;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{sets:?}: {said}");
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
fn a_run_whose_gpu_is_gone_continues_on_another_and_says_so() -> Outcome {
    let mut machine = Machine::new(&[("FAKE_GPUS", "2")])?;
    let run = ["run", "tiny.yaml", "--name", "r", "--headless"];
    let on_the_second = [&run[..], &["--device", "cuda:1"]].concat();
    assert_status(&machine.astill(&on_the_second)?, 0);
    machine.environment = vec![("FAKE_GPUS", "1".into())];
    let extend = ["resume", "r", "--headless", "--set", "distill.iterations=8"];
    let output = machine.astill(&extend)?;
    assert_status(&output, 0);
    let said = text(&output.stderr);
    assert!(said.contains("it continues on cuda:0"), "{said}");
    // what was asked for is not replaced
    let refused = machine.astill(&[&extend[..], &["--device", "cuda:1"]].concat())?;
    assert_status(&refused, 2);
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
        let preview = machine.astill(&["check", "tiny.yaml", "--preview"])?;
        let shown = text(&preview.stdout);
        assert!(shown.contains(part), "{shown}");
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

/// A context takes half a gigabyte of a real card, which a run beside it may need.
#[test]
#[ignore = "needs the fake GPU: make gpu-fake"]
fn a_preview_makes_no_context_on_a_gpu_that_it_does_not_measure() -> Outcome {
    for (free, is_measured) in [("80000", true), ("800", false)] {
        let machine = Machine::new(&[("FAKE_GPU_MIB", free)])?;
        let preview = ["check", "tiny.yaml", "--preview", "--device", "cuda"];
        let (shown, counts) = machine.engine(&preview)?;
        assert_eq!(shown["estimate"].is_object(), is_measured, "{shown}");
        let made = counts.of("CONTEXT made on device 0");
        assert_eq!(made, i64::from(is_measured), "{free} MiB");
        let why = shown["not_measured"].as_str().unwrap_or_default();
        assert_eq!(
            why.contains("MiB of memory are free"),
            !is_measured,
            "{why}"
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
    // the first is tried before a GPU is chosen
    let cases = [("FAKE_CUBLAS_FAIL", "3", 2), ("FAKE_CUDNN_FAIL", "1", 1)];
    for (variable, value, status) in cases {
        let machine = Machine::new(&[(variable, value)])?;
        let run = ["run", "tiny.yaml", "--headless", "--device", "cuda"];
        let output = machine.astill(&run)?;
        let said = text(&output.stderr);
        assert_status(&output, status);
        assert!(said.contains("out of memory"), "{variable}: {said}");
    }
    Ok(())
}

#[test]
#[ignore = "needs the fake GPU: make gpu-fake"]
fn memory_is_bounded_and_large_images_are_processed_in_pieces_that_fit() -> Outcome {
    let peak = |mib: &str, options: &[&str]| {
        let (report, _) = Machine::new(&[("FAKE_GPU_MIB", mib)])?
            .engine(&[&["bench"], options, &["--device", "cuda", "--json"]].concat())?;
        let mib = |key: &str| report[key].as_f64().unwrap_or(f64::INFINITY);
        Ok::<_, Box<dyn Error>>([mib("peak_gpu_mib"), mib("peak_gpu_reserved_mib")])
    };
    const GB: f64 = 1e9 / (1 << 20) as f64;
    let cifar100 = [
        "student",
        "--ipc",
        "50",
        "--classes",
        "100",
        "--batch",
        "700",
    ];
    let steps = ["--syn-steps", "80", "--iterations", "1"];
    let [tensors, _] = peak("80000", &[&cifar100[..], &steps].concat())?;
    assert!(tensors <= 4. * GB, "CIFAR-100: {tensors} MiB");

    let imagenette = ["--size", "128", "--depth", "5"];
    let expert = ["expert", "--batch", "256", "--steps", "2"];
    let evaluation = ["evaluate", "--ipc", "10", "--epochs", "3", "--test", "2048"];
    for kind in [&expert[..], &evaluation] {
        let options = [kind, &imagenette].concat();
        let [_, reserved] = peak("24000", &options)?;
        assert!(reserved <= 20. * GB, "{}: {reserved} MiB", kind[0]);
        peak("8000", &options)?;
    }
    // a pass that is larger than all memory
    let large = ["--batch", "64", "--size", "64", "--depth", "4"];
    peak("1500", &[&["expert"], &large[..]].concat())?;
    Ok(())
}

#[test]
#[ignore = "needs the fake GPU: make gpu-fake"]
fn a_student_step_takes_few_launches() -> Outcome {
    const STEPS: f64 = 20.;
    let launches = per_iteration(bench_student, (1, 3))?(&LAUNCHES) / STEPS;
    assert!(launches <= 90., "{launches} launches a student step");
    Ok(())
}

/// The draws and the expert's checkpoints of a segment go to the GPU together, and all numbers come back
/// together.
#[test]
#[ignore = "needs the fake GPU: make gpu-fake"]
fn an_iteration_of_a_run_waits_once_and_copies_once_more_than_it_has_segments() -> Outcome {
    for segments in [1, 3] {
        let run = |iterations: i64| {
            let machine = Machine::new(&[])?;
            // a picture is made 50 times in both runs, an evaluation once
            let sets = [
                format!("distill.iterations={iterations}"),
                format!("evaluate.every={iterations}"),
                format!("distill.segments={segments}"),
                "distill.perturbation=1".into(),
                "distill.clip_gradient=3".into(),
            ];
            let mut arguments = vec!["run", "tiny.yaml", "--headless", "--device", "cuda"];
            sets.iter().for_each(|set| arguments.extend(["--set", set]));
            let output = machine.astill(&arguments)?;
            assert_status(&output, 0);
            let said = text(&output.stderr);
            assert!(!said.contains("Warning"), "libtorch says: {said}");
            machine.counts()
        };
        let counted = per_iteration(run, (100, 200))?;
        let (waits, copies) = (counted(&["WAIT"]), counted(&COPIES));
        assert!(waits <= 1., "{waits} waits an iteration");
        // the draws of every segment, and all numbers
        let most = f64::from(segments + 1);
        assert!(copies <= most, "{copies} copies an iteration");
    }
    Ok(())
}

#[test]
#[ignore = "needs the fake GPU: make gpu-fake"]
fn an_epoch_of_an_evaluation_takes_few_launches_and_hardly_waits() -> Outcome {
    let evaluation = |epochs: i64| {
        let epochs = epochs.to_string();
        let bench = ["bench", "evaluate", "--device", "cuda", "--json"];
        let options = ["--epochs", &epochs, "--test", "100"];
        Ok(Machine::new(&[])?
            .engine(&[&bench[..], &options].concat())?
            .1)
    };
    let counted = per_iteration(evaluation, (100, 300))?;
    let (launches, waits) = (counted(&LAUNCHES), counted(&["WAIT"]));
    assert!(launches <= 35., "{launches} launches an epoch");
    assert!(waits <= 0.1, "{waits} waits an epoch");
    Ok(())
}
