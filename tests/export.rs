//! `astill export` from outside, and with the programs that read what it writes.

mod place;

use place::{Outcome, Place, assert_status, text};
use safetensors::SafeTensors;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const CHANNELS: [&str; 2] = ["--set", "dataset.zca=false"];
const FORMATS: [&str; 5] = ["pt", "npz", "png", "hf", "safetensors"];

fn finished(sets: &[&str]) -> Result<Place, Box<dyn std::error::Error>> {
    let place = Place::new()?;
    let run = [&["run", "tiny.yaml", "--name", "r"], sets].concat();
    assert_status(&place.run(&run)?, 0);
    Ok(place)
}

/// The files below a folder, by their paths.
fn files(folder: &Path) -> Vec<String> {
    let (mut open, mut found) = (vec![folder.to_path_buf()], Vec::new());
    while let Some(next) = open.pop() {
        for path in fs::read_dir(next)
            .into_iter()
            .flatten()
            .flatten()
            .map(|e| e.path())
        {
            match path.is_dir() {
                true => open.push(path),
                false => found.push(
                    path.strip_prefix(folder)
                        .unwrap_or(&path)
                        .display()
                        .to_string(),
                ),
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_format_is_written_and_the_same_set_gives_the_same_bytes() -> Outcome {
    let place = finished(&CHANNELS)?;
    for format in FORMATS {
        for folder in ["a", "b"] {
            let to = format!("{folder}/{format}");
            let output = place.run(&["export", "r", "--to", &to, "--format", format])?;
            assert_status(&output, 0);
            assert_eq!(text(&output.stdout).trim(), to);
            let notes = text(&output.stderr);
            assert!(notes.contains("the set of the run r"), "{notes}");
            // these shapes have no constants, so nothing may advise to export with them
            assert!(!notes.contains("--space field"), "{notes}");
        }
    }
    let found = files(&place.path("a"));
    for file in [
        "pt/images_best.pt",
        "pt/labels_best.pt",
        "pt/lr_best.pt",
        "pt/mean.pt",
        "pt/std.pt",
        "pt/astill.json",
        "pt/use_astill.py",
        "npz/distilled.npz",
        "png/0000-disc/0000-00000.png",
        "png/0009-arrow/0009-00001.png",
        "png/labels.csv",
        "hf/README.md",
        "hf/data/train-00000-of-00001.parquet",
        "hf/samples.png",
        "safetensors/best.safetensors",
    ] {
        assert!(found.iter().any(|f| f == file), "{file}: {found:?}");
    }
    assert_eq!(found, files(&place.path("b")));
    for file in &found {
        let bytes = ["a", "b"].map(|folder| fs::read(place.path(folder).join(file)).ok());
        assert_eq!(bytes[0], bytes[1], "{file}");
    }
    // in its own space, it is the file of the run
    assert_eq!(
        fs::read(place.path("a/safetensors/best.safetensors"))?,
        place.distilled("r")?
    );
    assert_eq!(
        fs::read(place.path("a/hf/best.safetensors"))?,
        place.distilled("r")?
    );
    let card = fs::read_to_string(place.path("a/hf/README.md"))?;
    assert!(
        !card.contains("<<") && card.contains("± ") && card.contains("samples.png"),
        "{card}"
    );
    Ok(())
}

/// The numbers of one tensor.
fn numbers(bytes: &[u8], name: &str) -> Result<Vec<f32>, Box<dyn std::error::Error>> {
    let file = SafeTensors::deserialize(bytes)?;
    let (parts, _) = file.tensor(name)?.data().as_chunks::<4>();
    Ok(parts.iter().map(|b| f32::from_le_bytes(*b)).collect())
}

#[test]
fn a_set_goes_into_another_space_through_pixels() -> Outcome {
    let place = finished(&CHANNELS)?;
    let file = "runs/r/distilled/best.safetensors";
    let to_pixels = [
        "export",
        file,
        "--to",
        "p",
        "--format",
        "safetensors",
        "--space",
        "pixels",
    ];
    assert_status(&place.run(&to_pixels)?, 0);
    let (own, converted) = (
        place.distilled("r")?,
        fs::read(place.path("p/best.safetensors"))?,
    );
    let (images, pixels) = (numbers(&own, "images")?, numbers(&converted, "images")?);
    let (mean, std) = (numbers(&own, "mean")?, numbers(&own, "std")?);
    let area = 16 * 16;
    for (i, (image, pixel)) in images.iter().zip(&pixels).enumerate() {
        let channel = i / area % 3;
        assert!((image * std[channel] + mean[channel] - pixel).abs() < 1e-5);
    }
    assert_eq!(numbers(&converted, "mean")?, [0.; 3]);
    // numbers that stay as they are stay what they are
    let again = [
        "export",
        "p/best.safetensors",
        "--to",
        "q",
        "--format",
        "pt",
    ];
    let output = place.run(&again)?;
    assert_status(&output, 0);
    let said = text(&output.stderr);
    assert!(said.contains("the images are pixels from 0 to 1"), "{said}");
    let metadata: Value = serde_json::from_slice(&fs::read(place.path("q/astill.json"))?)?;
    assert_eq!(metadata["space"], "pixels");
    // and from there to what other programs would want, were these shapes in any publication
    let output = place.run(&["export", "r", "--to", "f", "--space", "field"])?;
    assert_status(&output, 2);
    assert!(
        text(&output.stderr).contains("--space own"),
        "{}",
        text(&output.stderr)
    );
    assert!(!place.path("f").exists());
    Ok(())
}

#[test]
fn whitened_and_soft_sets_are_exported_too() -> Outcome {
    let place = finished(&["--set", "distill.labels=soft"])?;
    for format in FORMATS {
        assert_status(
            &place.run(&[
                "export",
                "r",
                "--to",
                &format!("o/{format}"),
                "--format",
                format,
            ])?,
            0,
        );
    }
    let found = files(&place.path("o/pt"));
    assert!(found.contains(&"zca_directions.pt".into()), "{found:?}");
    // the field whitens with all training images, so this needs the data
    let field = [
        "export",
        "r",
        "--to",
        "f",
        "--format",
        "safetensors",
        "--space",
        "field",
    ];
    assert_status(&place.run(&field)?, 0);
    let (own, field) = (
        place.distilled("r")?,
        fs::read(place.path("f/best.safetensors"))?,
    );
    assert_ne!(numbers(&own, "zca_mean")?, numbers(&field, "zca_mean")?);
    assert_eq!(
        numbers(&own, "soft_labels")?,
        numbers(&field, "soft_labels")?
    );
    Ok(())
}

#[test]
fn wrong_uses_say_what_to_do_and_leave_nothing() -> Outcome {
    let place = finished(&CHANNELS)?;
    fs::create_dir(place.path("full"))?;
    fs::write(place.path("full/mine"), "mine")?;
    fs::write(place.path("garbage"), "no tensors")?;
    fs::create_dir_all(place.path("runs/new"))?;
    fs::copy(
        place.path("runs/r/profile.yaml"),
        place.path("runs/new/profile.yaml"),
    )?;
    let cases: [(&[&str], &str); 10] = [
        (&["ne", "--to", "x"], "whole name"),
        (&["r", "--to", "x", "--format", "tiff"], "safetensors"),
        (&["r", "--to", "full"], "empty"),
        (&["r", "--to", "full/mine"], "empty"),
        (&["garbage", "--to", "x"], "garbage"),
        (&["nobody", "--to", "x"], "nobody"),
        (&["new", "--to", "x"], "astill resume"),
        (
            &["r", "--to", "x", "--format", "png", "--with-test"],
            "--with-test",
        ),
        (
            &["r", "--to", "x", "--format", "png", "--space", "field"],
            "--space",
        ),
        (&["r", "--to", "x/y", "--preset", "dd-ranking"], "CIFAR10"),
    ];
    for (arguments, part) in cases {
        let output = place.run(&[&["export"], arguments].concat())?;
        assert_status(&output, 2);
        assert!(
            text(&output.stderr).contains(part),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        assert!(!place.path("x").exists(), "{arguments:?}");
    }
    assert_eq!(files(&place.path("full")), ["mine"]);
    Ok(())
}

#[test]
fn what_a_killed_export_leaves_is_used_by_the_next_one() -> Outcome {
    let place = finished(&CHANNELS)?;
    let export = ["export", "r", "--to", "o/x", "--format", "npz"];
    let left = place.path("o/.part-x");
    fs::create_dir_all(left.join("data/deep"))?;
    fs::write(left.join("data/deep/file"), "half")?;
    fs::write(left.join("distilled.npz"), "half")?;
    assert_status(&place.run(&export)?, 0);
    assert_eq!(files(&place.path("o")), ["x/distilled.npz"]);
    assert!(!left.exists());
    fs::remove_dir_all(place.path("o/x"))?;

    // one that is still at work is left alone
    fs::create_dir(&left)?;
    let lock = fs::File::open(&left)?;
    lock.lock()?;
    let output = place.run(&export)?;
    assert_status(&output, 2);
    assert!(text(&output.stderr).contains("another export is writing to"));
    drop(lock);
    // and so is what no export wrote
    fs::remove_dir(&left)?;
    fs::create_dir(place.path("mine"))?;
    fs::write(place.path("mine/file"), "mine")?;
    std::os::unix::fs::symlink(place.path("mine"), &left)?;
    let output = place.run(&export)?;
    assert_status(&output, 2);
    assert!(text(&output.stderr).contains("is in the way"));
    assert_eq!(fs::read(place.path("mine/file"))?, b"mine");
    assert!(!place.path("o/x").exists());
    Ok(())
}

/// A Python that has `module`: PYTHON, that of scripts/exchange_test or of the benchmarks, or python3.
/// Without one, a test is skipped, except by scripts/exchange_test.
fn python(module: &str) -> Result<Option<PathBuf>, Box<dyn std::error::Error>> {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = [".exchange-python", ".bench-python"].map(|own| project.join(own).join("bin/python"));
    let named = std::env::var_os("PYTHON").map(PathBuf::from);
    let import = format!("import {module}");
    let has = |python: &PathBuf| {
        let tried = Command::new(python).args(["-c", &import]).output();
        tried.is_ok_and(|output| output.status.success())
    };
    let all = named.into_iter().chain(own).chain(["python3".into()]);
    let found = all.into_iter().find(has);
    if found.is_none() {
        let problem = format!("no Python with {module}; set PYTHON to one");
        if is_needed() {
            return Err(problem.into());
        }
        eprintln!("skipped: {problem}");
    }
    Ok(found)
}

/// Whether nothing may be skipped.
fn is_needed() -> bool {
    std::env::var_os("ASTILL_PYTHON_NEEDED").is_some()
}

#[test]
fn the_programs_that_people_use_read_every_format() -> Outcome {
    let Some(python) = python("numpy")? else {
        return Ok(());
    };
    for labels in ["hard", "soft"] {
        let set = format!("distill.labels={labels}");
        let place = finished(&[CHANNELS[0], CHANNELS[1], "--set", &set])?;
        for format in FORMATS {
            let mut export = vec!["export", "r", "--format", format, "--to"];
            let to = format!("o/{format}");
            export.push(&to);
            if ["pt", "npz", "safetensors"].contains(&format) {
                export.push("--with-test");
            }
            assert_status(&place.run(&export)?, 0);
        }
        let readers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/export/readers.py");
        let output = Command::new(&python)
            .arg(readers)
            .arg(place.path("o"))
            .output()?;
        assert_status(&output, 0);
        let said = text(&output.stdout);
        assert!(!is_needed() || !said.contains("without"), "{said}");
        eprintln!("{said}");
    }
    Ok(())
}

/// With modules that only pretend to be numpy and torch: it has to stop before it uses them.
#[test]
fn the_script_refuses_networks_that_it_cannot_train_and_sets_without_test_images() -> Outcome {
    let has_python = Command::new("python3").arg("--version").output();
    if !has_python.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: no python3");
        return Ok(());
    }
    let place = Place::new()?;
    for (module, content) in [
        ("numpy.py", ""),
        ("torch/__init__.py", "def load(file): return None"),
        ("torch/nn/__init__.py", ""),
        ("torch/nn/functional.py", ""),
    ] {
        let path = place.path("modules").join(module);
        fs::create_dir_all(path.parent().ok_or("no parent")?)?;
        fs::write(path, content)?;
    }
    fs::create_dir(place.path("set"))?;
    for file in ["images_best.pt", "labels_best.pt"] {
        fs::write(place.path("set").join(file), "")?;
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/use_astill.py");
    for (networks, norm, wanted) in [
        ("convnet", "instance", "--with-test"),
        ("resnet18", "instance", "resnet18"),
        ("convnet", "batch", "batch norm"),
    ] {
        let protocol = serde_json::json!({
            "protocol": { "networks": [networks], "network": { "norm": norm } },
        });
        fs::write(place.path("set/astill.json"), protocol.to_string())?;
        let output = Command::new("python3")
            .args([script.as_os_str(), place.path("set").as_os_str()])
            .env("PYTHONPATH", place.path("modules"))
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .output()?;
        assert_status(&output, 1);
        let said = text(&output.stderr);
        assert!(
            said.contains(wanted) && !said.contains("Traceback"),
            "{said}"
        );
        fs::write(place.path("set/test_images.pt"), "")?;
    }
    Ok(())
}

/// Of the same set, by the same protocol: PyTorch's networks agree with those of the run.
#[test]
fn networks_of_pytorch_reach_the_accuracy_of_the_run() -> Outcome {
    let Some(python) = python("torch")? else {
        return Ok(());
    };
    for whitened in ["dataset.zca=false", "dataset.zca=true"] {
        let place = finished(&[
            "--set",
            whitened,
            "--set",
            "evaluate.repeats=6",
            "--set",
            "evaluate.epochs=80",
            "--set",
            "distill.iterations=1",
        ])?;
        assert_status(&place.run(&["export", "r", "--to", "o", "--with-test"])?, 0);
        let metadata: Value = serde_json::from_slice(&fs::read(place.path("o/astill.json"))?)?;
        let results = metadata["results"].as_array().ok_or("no results")?;
        let own = results
            .iter()
            .find(|r| r["labels"] == "distilled")
            .ok_or("no result")?;
        let (own_mean, own_std) = (
            own["mean"].as_f64().ok_or("no mean")?,
            own["std"].as_f64().ok_or("no std")?,
        );
        let script = place.path("o/use_astill.py");
        let output = Command::new(&python)
            .arg(script)
            .arg(place.path("o"))
            .env("OMP_NUM_THREADS", "1")
            .output()?;
        assert_status(&output, 0);
        let said = text(&output.stdout);
        let words: Vec<f64> = said
            .split_whitespace()
            .filter_map(|w| w.parse().ok())
            .collect();
        let [mean, std] = words[..] else {
            return Err(said.into());
        };
        eprintln!("{whitened}: astill {own_mean:.1} ± {own_std:.1}, PyTorch {mean:.1} ± {std:.1}");
        // four standard errors of the difference of two means of six
        let error = ((own_std.powi(2) + std.powi(2)) / 6.).sqrt();
        assert!(
            (mean - own_mean).abs() < 4. * error + 0.5,
            "{said} against {own_mean} ± {own_std}"
        );
    }
    Ok(())
}

/// The preset is what DD-Ranking's own package reads, with its protocol, and trains on.
#[test]
fn dd_ranking_scores_its_preset() -> Outcome {
    let Some(python) = python("ddranking")? else {
        return Ok(());
    };
    let place = Place::new()?;
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let archive = fs::File::open(project.join("tests/formats/cifar-10-python.tar.gz"))?;
    tar::Archive::new(flate2::read::GzDecoder::new(archive)).unpack(place.path("cifar"))?;
    let profile = "extends: cifar10\n\
        dataset: {path: cifar, validation: 0.2}\n\
        expert: {count: 1, epochs: 2, batch: 16}\n\
        distill: {ipc: 1, iterations: 2, syn_steps: 2, expert_epochs: 1, max_start_epoch: 1}\n\
        evaluate: {every: 2, repeats: 1, epochs: 4}\n";
    fs::write(place.path("cifar.yaml"), profile)?;
    assert_status(&place.run(&["run", "cifar.yaml", "--name", "r"])?, 0);
    assert_status(
        &place.run(&["export", "r", "--format", "dd-ranking", "--to", "o"])?,
        0,
    );
    let output = Command::new(&python)
        .arg(project.join("tests/export/dd_ranking.py"))
        .args([place.path("o"), place.path("cifar")])
        .args(["--epochs", "2", "--repeats", "1"])
        .env("OMP_NUM_THREADS", "1")
        .output()?;
    assert_status(&output, 0);
    let said = text(&output.stdout);
    let mean = said
        .lines()
        .last()
        .and_then(|line| line.strip_prefix("mean "));
    let mean = mean.and_then(|line| line.split(' ').next()?.parse::<f64>().ok());
    assert!(
        mean.is_some_and(|mean| (0. ..=100.).contains(&mean)),
        "{said}"
    );
    Ok(())
}
