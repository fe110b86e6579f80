//! Others' work in: `astill import experts`, `distill.init` from a file; and sets judged by several
//! networks: `astill evaluate`. The files are those of tests/buffers/make.py, written by PyTorch.

mod place;

use astill_core::profile::NetworkKind;
use astill_core::run::event::EventKind;
use place::{Outcome, Place, assert_status, text};
use serde_json::Value;
use std::fs;
use std::path::Path;

fn buffers(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/buffers");
    folder.join(name).to_string_lossy().into_owned()
}

fn refused(place: &Place, arguments: &[&str], parts: &[&str]) -> Outcome {
    let output = place.run(arguments)?;
    let said = text(&output.stderr);
    assert_status(&output, 2);
    for part in parts {
        assert!(said.contains(part), "{part:?} is not in {said}");
    }
    Ok(())
}

#[test]
fn imported_experts_have_the_smoothness_that_pytorch_computes_and_are_distilled() -> Outcome {
    let place = Place::new()?;
    let from = buffers("shapes");
    let import = ["import", "experts", &from, "--profile", "tiny.yaml"];
    let output = place.run(&import)?;
    assert_status(&output, 0);
    let (yaml, said) = (text(&output.stdout), text(&output.stderr));
    assert!(said.contains("3 experts of 3 epochs are now in"), "{said}");
    let line = |name: &str| {
        let found = yaml.lines().find_map(|l| l.trim().strip_prefix(name));
        found
            .map(str::to_string)
            .ok_or(format!("no {name} in {yaml}"))
    };
    let key = line("from: ")?;
    assert_eq!(line("count: ")?, "3");
    assert_eq!(line("normalisation: ")?, "field");
    let again = place.run(&import)?;
    assert!(text(&again.stderr).contains("are already in"));
    // one that another process is still importing is left as it is
    let store = place.path("data/trajectories").join(&key);
    let (manifest, aside) = (store.join("manifest.json"), place.path("aside"));
    fs::rename(&manifest, &aside)?;
    let lock = fs::File::open(store.join("lock"))?;
    lock.lock()?;
    refused(&place, &import, &["another astill is importing"])?;
    drop(lock);
    assert!(store.join("expert_000.safetensors").exists());
    fs::rename(&aside, &manifest)?;

    let from_key = format!("expert.from={key}");
    let with = |sets: &[&str]| {
        let sets = sets
            .iter()
            .flat_map(|set| ["--set".to_string(), (*set).to_string()]);
        ["run", "tiny.yaml", "--name", "r"]
            .map(str::to_string)
            .into_iter()
            .chain(sets)
            .collect::<Vec<_>>()
    };
    let run = |sets: &[&str]| {
        let arguments = with(sets);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        place.run(&arguments)
    };
    let field = "dataset.normalisation=field";
    for (sets, part) in [
        (&[&from_key[..]][..], "dataset.normalisation"),
        (&[&from_key, field, "network.width=4"], "network.width=8"),
        (&[&from_key, field, "expert.count=4"], "holds 3 experts"),
        (&[&from_key, field, "expert.epochs=4"], "has 3 epochs"),
        (
            &[&from_key, field, "expert.per_epoch=2"],
            "expert.per_epoch",
        ),
        (&["expert.from=import-nothing"], "holds no imported experts"),
    ] {
        let output = run(sets)?;
        assert_status(&output, 2);
        let said = text(&output.stderr);
        assert!(said.contains(part), "{part:?} is not in {said}");
        assert!(!place.path("runs/r").exists());
    }
    let output = run(&[&from_key, field, "expert.count=3"])?;
    assert_status(&output, 0);

    let wanted: Value = serde_json::from_slice(&fs::read(buffers("shapes/smoothness.json"))?)?;
    let mut experts = 0;
    for event in place.events("r")? {
        let EventKind::ExpertFound(found) = event.what else {
            continue;
        };
        let of_expert = wanted[found.expert as usize]
            .as_array()
            .ok_or("no expert")?;
        assert_eq!(found.epochs.len(), of_expert.len());
        for (got, want) in found.epochs.iter().zip(of_expert) {
            let close = |got: Option<f64>, want: &Value| match (got, want.as_f64()) {
                (Some(got), Some(want)) => (got - want).abs() <= 1e-9 * want.abs(),
                (got, want) => got == want,
            };
            assert!(close(Some(got.step_length), &want["step_length"]));
            assert!(close(got.turn, &want["turn"]), "{:?} {want}", got.turn);
            assert!(close(got.curvature, &want["curvature"]));
            assert!(close(Some(got.tortuosity), &want["tortuosity"]));
        }
        assert!(found.epochs[2].validation_accuracy.is_some());
        experts += 1;
    }
    assert_eq!(experts, 3);
    Ok(())
}

#[test]
fn buffers_that_cannot_be_used_are_refused_with_the_reason() -> Outcome {
    let place = Place::new()?;
    for (name, parts) in [
        ("shared", &["share", "clone()"][..]),
        ("old", &["torch before 1.6"]),
        ("other", &["width", "--profile", "[4, 3, 3, 3]"]),
        ("distilled", &["replay_buffer_N.pt", "found none"]),
        ("", &["replay_buffer_N.pt", "give one of these", "shapes"]),
        ("distilled/images_best.pt", &["list of experts"]),
        ("nothing", &["nothing"]),
    ] {
        let from = buffers(name);
        let parts: Vec<&str> = parts.iter().filter(|p| **p != "width").copied().collect();
        refused(
            &place,
            &["import", "experts", &from, "--profile", "tiny.yaml"],
            &parts,
        )?;
    }
    refused(
        &place,
        &["import", "experts", &buffers("shapes")],
        &["which data set", "--profile"],
    )?;
    assert!(!place.path("data/trajectories").exists());

    // a good expert beside one that diverged, and parameters in dicts and state dicts
    for (name, count, said) in [
        ("diverged", "count: 1", "expert 2: not finite after epoch 2"),
        ("parameters", "count: 1", ""),
        ("states", "count: 1", ""),
    ] {
        let from = buffers(name);
        let output = place.run(&["import", "experts", &from, "--profile", "tiny.yaml"])?;
        assert_status(&output, 0);
        assert!(text(&output.stdout).contains(count));
        assert!(text(&output.stderr).contains(said));
    }
    Ok(())
}

#[test]
fn a_folder_as_mtt_names_it_needs_no_profile() -> Outcome {
    let place = Place::new()?;
    let folder = place.path("buffers/CIFAR10_NO_ZCA/ConvNet");
    fs::create_dir_all(&folder)?;
    let buffer = folder.join("replay_buffer_0.pt");
    let import = ["import", "experts", "buffers/CIFAR10_NO_ZCA/ConvNet"];
    // of images of 16×16, which CIFAR's are not
    fs::copy(buffers("shapes/replay_buffer_0.pt"), &buffer)?;
    refused(&place, &import, &["no network has the shapes"])?;
    fs::copy(buffers("width-4/replay_buffer_0.pt"), &buffer)?;
    let output = place.run(&import)?;
    assert_status(&output, 0);
    let yaml = text(&output.stdout);
    for line in [
        "kind: cifar10",
        "size: 32",
        "zca: false",
        "normalisation: field",
        "kind: convnet",
        "width: 4",
        "depth: 3",
        "count: 1",
        "epochs: 1",
    ] {
        assert!(yaml.contains(&format!("  {line}\n")), "no {line} in {yaml}");
    }
    // what is printed is a part of a profile
    fs::write(place.path("imported.yaml"), &yaml)?;
    let checked = place.run(&[
        "check",
        "imported.yaml",
        "--set",
        "distill.expert_epochs=1",
        "--set",
        "distill.max_start_epoch=1",
    ])?;
    let said = text(&checked.stderr);
    assert!(said.contains("the data set cifar10 is not in"), "{said}");
    Ok(())
}

#[test]
fn a_stated_normalisation_of_imported_experts_is_kept() -> Outcome {
    let place = Place::new()?;
    let from = buffers("shapes");
    let own = ["--set", "dataset.normalisation=own"];
    let import = ["import", "experts", &from, "--profile", "tiny.yaml"];
    for (more, wanted) in [
        (&own[..], "normalisation: own"),
        (&[], "normalisation: field"),
    ] {
        let output = place.run(&[&import[..], more].concat())?;
        assert_status(&output, 0);
        let yaml = text(&output.stdout);
        assert!(yaml.contains(wanted), "no {wanted} in {yaml}");
    }
    Ok(())
}

#[test]
fn labels_that_are_not_a_tensor_are_not_taken_for_none() -> Outcome {
    let listed = buffers("listed");
    let evaluate = [
        "evaluate",
        &listed,
        "--profile",
        "tiny.yaml",
        "--lr",
        "0.01",
    ];
    refused(
        &Place::new()?,
        &evaluate,
        &["expected its labels as one tensor"],
    )
}

/// Every kind of network as an expert, one epoch of a few images each.
#[test]
fn every_kind_of_network_is_trained_as_an_expert() -> Outcome {
    let place = Place::new()?;
    for kind in NetworkKind::NAMES {
        let kind = format!("network.kind={kind}");
        let output = place.run(&[
            "experts",
            "tiny.yaml",
            "--set",
            &kind,
            "--set",
            "dataset.size=32",
            "--set",
            "dataset.train_limit=40",
            "--set",
            "expert.batch=16",
            "--set",
            "distill.ipc=1",
            "--set",
            "dataset.zca=false",
            "--set",
            "expert.count=1",
            "--set",
            "expert.epochs=1",
            "--set",
            "distill.expert_epochs=1",
            "--set",
            "distill.max_start_epoch=1",
        ])?;
        assert_status(&output, 0);
    }
    let stores = fs::read_dir(place.path("data/trajectories"))?.count();
    assert_eq!(stores, NetworkKind::NAMES.len());
    Ok(())
}

/// `dataset.augment` is one list for experts, students and evaluation; null is none.
#[test]
fn the_families_of_augmentation_reach_experts_and_students() -> Outcome {
    let place = Place::new()?;
    let none = "dataset.augment=null";
    let imported = place.run(&[
        "import",
        "experts",
        &buffers("shapes"),
        "--profile",
        "tiny.yaml",
    ])?;
    assert_status(&imported, 0);
    let yaml = text(&imported.stdout);
    let key = yaml
        .lines()
        .find_map(|line| line.trim().strip_prefix("from: "));
    let from = format!("expert.from={}", key.ok_or("no key")?);
    let run = |name: &str, sets: &[&str]| -> Outcome {
        let sets = sets.iter().flat_map(|set| ["--set", set]);
        let arguments: Vec<&str> = ["run", "tiny.yaml", "--name", name]
            .into_iter()
            .chain(sets)
            .collect();
        assert_status(&place.run(&arguments)?, 0);
        Ok(())
    };
    // experts of its own, and the same experts for both
    run("experts", &[])?;
    run("experts-without", &[none])?;
    let same = [&from[..], "dataset.normalisation=field"];
    run("students", &same)?;
    run("students-without", &[&same[..], &[none]].concat())?;
    let losses = |name: &str, of_experts: bool| -> Result<Vec<f64>, Box<dyn std::error::Error>> {
        let events = place.events(name)?.into_iter();
        let losses = events.filter_map(|event| match event.what {
            EventKind::ExpertEpoch(epoch) if of_experts => Some(epoch.record.train_loss),
            EventKind::DistillStep(step) if !of_experts => Some(step.matching_loss),
            _ => None,
        });
        // before anything that follows from it
        Ok(losses.take(1).collect())
    };
    for (name, of_experts) in [("experts", true), ("students", false)] {
        let (with, without) = (
            losses(name, of_experts)?,
            losses(&format!("{name}-without"), of_experts)?,
        );
        assert!(with.len() == 1 && without.len() == 1, "{name}");
        assert_ne!(with, without, "{name}");
    }
    Ok(())
}

#[test]
fn the_families_of_augmentation_reach_evaluation() -> Outcome {
    let place = Place::new()?;
    let set = buffers("distilled");
    let judged = |more: &[&str]| -> Result<Value, Box<dyn std::error::Error>> {
        let usual = [&set, "--profile", "tiny.yaml", "--lr", "0.01"];
        let found = evaluated(&place, &[&usual, more].concat())?;
        Ok(found["networks"][0]["values"].clone())
    };
    let (with, without) = (judged(&[])?, judged(&["--set", "dataset.augment=null"])?);
    assert!(with.is_array() && without.is_array());
    assert_ne!(with, without);
    Ok(())
}

#[test]
fn several_networks_judge_a_set_and_the_runs_own_figure_comes_out_again() -> Outcome {
    let place = Place::new()?;
    assert_status(&place.run(&["run", "tiny.yaml", "--name", "r"])?, 0);
    let json = |arguments: &[&str]| -> Result<Value, Box<dyn std::error::Error>> {
        let output = place.run(arguments)?;
        assert_status(&output, 0);
        Ok(serde_json::from_slice(&output.stdout)?)
    };
    let own = json(&["evaluate", "r", "--json"])?;
    let mut headline = None;
    for event in place.events("r")? {
        if let EventKind::RunFinished(done) = event.what {
            headline = done.results.first().map(|h| h.values.clone());
        }
    }
    let values: Vec<f64> = serde_json::from_value(own["networks"][0]["values"].clone())?;
    assert_eq!(Some(values), headline);

    let file = "runs/r/distilled/best.safetensors";
    let several = ["--networks", "convnet-bn,alexnet,convnet", "--repeats", "1"];
    let found = json(&[&["evaluate", file, "--json"][..], &several].concat())?;
    let networks = found["networks"].as_array().ok_or("no networks")?;
    let names: Vec<_> = networks.iter().map(|n| n["network"].as_str()).collect();
    assert_eq!(
        names,
        [Some("convnet-bn"), Some("alexnet"), Some("convnet")]
    );
    assert_eq!(networks[2]["values"][0], own["networks"][0]["values"][0]);
    let table = place.run(&[&["evaluate", "r", "--epochs", "2"][..], &several].concat())?;
    assert!(
        text(&table.stdout).contains("alexnet"),
        "{}",
        text(&table.stdout)
    );

    fs::create_dir(place.path("runs/done1"))?;
    fs::copy(
        place.path("runs/r/profile.yaml"),
        place.path("runs/done1/profile.yaml"),
    )?;
    for (arguments, part) in [
        (&["evaluate", "don"][..], "whole name"),
        (&["evaluate", "r", "--networks", "mlp"][..], "resnet18"),
        (&["evaluate", "r", "--networks", "vgg11"], "at least 32×32"),
        (&["evaluate", "nothing"], "nothing"),
        (&["evaluate", "tiny.yaml"], "zip archive"),
        (&["evaluate", "r", "--lr", "0"], "above 0"),
    ] {
        refused(&place, arguments, &[part])?;
    }
    Ok(())
}

/// The JSON of `astill evaluate`, called so.
fn evaluated(place: &Place, arguments: &[&str]) -> Result<Value, Box<dyn std::error::Error>> {
    let output = place.run(&[&["evaluate", "--json"][..], arguments].concat())?;
    assert_status(&output, 0);
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[test]
fn whatever_export_writes_is_judged_like_the_run() -> Outcome {
    for set in [
        &["--set", "dataset.zca=false"][..],
        &["--set", "dataset.zca=true", "--set", "distill.labels=soft"],
    ] {
        let place = Place::new()?;
        assert_status(
            &place.run(&[&["run", "tiny.yaml", "--name", "r"][..], set].concat())?,
            0,
        );
        let values = |arguments: &[&str]| -> Result<Value, Box<dyn std::error::Error>> {
            Ok(evaluated(&place, arguments)?["networks"][0]["values"].clone())
        };
        let own = values(&["r"])?;
        for format in ["pt", "npz", "hf", "safetensors"] {
            assert_status(
                &place.run(&["export", "r", "--to", format, "--format", format])?,
                0,
            );
            assert_eq!(values(&[format])?, own, "{format}");
        }
        assert_eq!(values(&["pt/images_best.pt"])?, own);
        assert_eq!(values(&["npz/distilled.npz"])?, own);
        for more in [["--profile", "tiny.yaml"], ["--set", "dataset.size=8"]] {
            refused(
                &place,
                &[&["evaluate", "pt"][..], &more].concat(),
                &["holds the profile of its run", "dataset.path"],
            )?;
        }
        // its data may be elsewhere (these are drawn, wherever they are)
        assert_eq!(values(&["pt", "--set", "dataset.path=data"])?, own);
        // pixels go back into the space of the run, and are not judged as if they were in it
        let to_pixels = ["--format", "npz", "--space", "pixels"];
        assert_status(
            &place.run(&[&["export", "r", "--to", "pixels"][..], &to_pixels].concat())?,
            0,
        );
        let mean = |values: &Value| -> f64 {
            let values = values.as_array().into_iter().flatten();
            let values: Vec<f64> = values.filter_map(Value::as_f64).collect();
            values.iter().sum::<f64>() / values.len() as f64
        };
        let (own, of_pixels) = (mean(&own), mean(&values(&["pixels"])?));
        assert!((own - of_pixels).abs() < 5., "{own} and {of_pixels}");
    }
    Ok(())
}

#[test]
fn a_set_of_another_program_is_judged_by_the_profile_that_is_named() -> Outcome {
    let place = Place::new()?;
    let (hard, soft, parts) = (buffers("distilled"), buffers("soft"), buffers("parts"));
    let tiny = ["--profile", "tiny.yaml", "--repeats", "2"];
    let found = |set: &str, more: &[&str]| evaluated(&place, &[&[set][..], &tiny, more].concat());
    let of_hard = found(&hard, &["--lr", "0.01"])?;
    assert_eq!(
        (&of_hard["images"], &of_hard["classes"]),
        (&json(20), &json(10))
    );
    let of_parts = found(&parts, &["--lr", "0.01"])?;
    assert_eq!(of_parts["networks"], of_hard["networks"]);
    // a number in a name is not that of a part, unless the names are those of parts
    for (from, to) in [
        ("distilled/images_best.pt", "mtt/images_5000.pt"),
        ("distilled/labels_best.pt", "mtt/labels_5000.pt"),
        ("parts/images_best_0.pt", "mtt/images_0.pt"),
        ("parts/images_best_0.pt", "gap/images_best_0.pt"),
        ("parts/images_best_1.pt", "gap/images_best_2.pt"),
    ] {
        let to = place.path(to);
        fs::create_dir_all(to.parent().ok_or("no folder")?)?;
        fs::copy(buffers(from), to)?;
    }
    let of_number = found("mtt/images_5000.pt", &["--lr", "0.01"])?;
    assert_eq!(of_number["networks"], of_hard["networks"]);
    refused(
        &place,
        &[&["evaluate", "gap", "--lr", "0.01"][..], &tiny].concat(),
        &["images_best_1.pt", "is missing"],
    )?;
    for other in ["set.safetensors", "numbers"] {
        let found = found(&buffers(other), &["--lr", "0.01"])?;
        assert_eq!(found["networks"], of_hard["networks"], "{other}");
    }
    let of_number = found(&buffers("numbers"), &[])?;
    assert_eq!(of_number["lr"].as_f64(), Some(0.02));
    let of_soft = found(&soft, &[])?;
    assert!((of_soft["lr"].as_f64().ok_or("no rate")? - 0.02).abs() < 1e-6);
    assert_ne!(of_soft["networks"], of_hard["networks"]);
    for (arguments, part) in [
        (&[&hard[..]][..], "--profile"),
        (&[&hard, "--profile", "tiny.yaml"], "--lr"),
        (
            &[
                &hard,
                "--profile",
                "tiny.yaml",
                "--lr",
                "0.01",
                "--set",
                "dataset.size=32",
            ],
            "holds images of [3, 16, 16]",
        ),
        (&[&buffers("small.pt")], "expected images"),
        (&[&hard, "--set", "dataset.size=16"], "--profile"),
    ] {
        refused(&place, &[&["evaluate"], arguments].concat(), &[part])?;
    }
    Ok(())
}

fn json(number: u64) -> Value {
    Value::from(number)
}

#[test]
fn experts_with_batch_norm_are_trained_distilled_and_found_again() -> Outcome {
    let place = Place::new()?;
    let set = [
        "--set",
        "network.kind=convnet-bn",
        "--set",
        "evaluate.networks=[convnet-bn]",
    ];
    let run = |name| place.run(&[&["run", "tiny.yaml", "--name", name][..], &set].concat());
    assert_status(&run("a")?, 0);
    let result =
        |name: &str| fs::read(place.path(&format!("runs/{name}/distilled/best.safetensors")));
    // from the store, to the same bytes
    assert_status(&run("b")?, 0);
    assert_eq!(result("a")?, result("b")?);
    Ok(())
}

#[test]
fn distillation_starts_from_a_set_of_another_program_or_run() -> Outcome {
    let place = Place::new()?;
    let run = |name: &str, init: &str, more: &[&str]| {
        let init = format!("distill.init={init}");
        place.run(
            &[
                &["run", "tiny.yaml", "--name", name, "--set", &init][..],
                more,
            ]
            .concat(),
        )
    };
    let field = ["--set", "dataset.normalisation=field"];
    let images = buffers("distilled/images_best.pt");
    assert_status(&run("a", &images, &field)?, 0);
    assert_status(&run("b", &buffers("distilled"), &field)?, 0);
    assert_status(&run("c", "runs/a", &[])?, 0);
    let set = |name: &str| fs::read(place.path(&format!("runs/{name}/distilled/best.safetensors")));
    // all but the name of the file in the metadata
    for tensor in ["images", "pixels", "labels", "student_lr"] {
        let of = |name: &str| tensor_of(&set(name)?, tensor);
        assert!(of("a")? == of("b")?, "{tensor}");
    }
    for (init, more, part) in [
        (
            "representatve",
            &[][..],
            "one of representative, real, noise",
        ),
        (&images[..], &[], "dataset.normalisation=field"),
        (
            "runs/a",
            &["--set", "distill.ipc=3"],
            "holds 2 images of class 0, expected 3",
        ),
        (
            "runs/a",
            &["--set", "dataset.size=32"],
            "dataset.size is 32",
        ),
        ("./tiny.yaml", &field, "zip archive"),
    ] {
        let output = run("x", init, more)?;
        assert_status(&output, 2);
        let said = text(&output.stderr);
        assert!(said.contains(part), "{part:?} is not in {said}");
        assert!(!place.path("runs/x").exists());
    }
    Ok(())
}

/// The bytes of a tensor in a safetensors file.
fn tensor_of(file: &[u8], name: &str) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let length = u64::from_le_bytes(file[..8].try_into()?) as usize;
    let header: Value = serde_json::from_slice(&file[8..8 + length])?;
    let place = |at: usize| {
        header[name]["data_offsets"][at]
            .as_u64()
            .map(|n| n as usize)
    };
    let (from, to) = place(0).zip(place(1)).ok_or(format!("no {name}"))?;
    Ok(file[8 + length + from..8 + length + to].to_vec())
}

/// Changes every stamp and every accuracy in the file of an expert, and seals it again.
fn as_of_other_images(file: &Path) -> Outcome {
    let mut bytes = fs::read(file)?;
    let length = u64::from_le_bytes(bytes[..8].try_into()?) as usize;
    let header: Value = serde_json::from_slice(&bytes[8..8 + length])?;
    let seal = header["blake3"]["data_offsets"][0]
        .as_u64()
        .ok_or("no seal")? as usize;
    for (name, characters) in [
        (r#"measured_on\":\""#, "0123"),
        (r#"validation_accuracy\":"#, "98"),
    ] {
        let places: Vec<usize> = (8..8 + length - name.len())
            .filter(|at| bytes[*at..].starts_with(name.as_bytes()))
            .map(|at| at + name.len())
            .collect();
        assert!(!places.is_empty(), "no {name}");
        for at in places {
            let other = characters.bytes().find(|c| *c != bytes[at]);
            bytes[at] = other.ok_or("no other character")?;
        }
    }
    let seal = 8 + length + seal..8 + length + seal + blake3::OUT_LEN;
    bytes[seal.clone()].fill(0);
    let hash = blake3::hash(&bytes);
    bytes[seal].copy_from_slice(hash.as_bytes());
    fs::write(file, bytes)?;
    Ok(())
}

#[test]
fn accuracies_in_the_store_that_are_of_other_images_are_measured_again() -> Outcome {
    let place = Place::new()?;
    let accuracies = |run: &str| -> Result<Vec<Vec<Option<f64>>>, Box<dyn std::error::Error>> {
        let found = place
            .events(run)?
            .into_iter()
            .filter_map(|event| match event.what {
                EventKind::ExpertFound(found) => Some(found.epochs),
                _ => None,
            });
        let of = |epochs: Vec<astill_core::EpochRecord>| {
            epochs.iter().map(|e| e.validation_accuracy).collect()
        };
        Ok(found.map(of).collect())
    };
    for name in ["a", "b"] {
        assert_status(&place.run(&["run", "tiny.yaml", "--name", name])?, 0);
    }
    let store = fs::read_dir(place.path("data/trajectories"))?
        .next()
        .ok_or("no store")??;
    let file = store.path().join("expert_000.safetensors");
    let before = fs::read(&file)?;
    as_of_other_images(&file)?;
    assert_ne!(fs::read(&file)?, before);
    assert_status(&place.run(&["run", "tiny.yaml", "--name", "c"])?, 0);
    assert_eq!(accuracies("c")?, accuracies("b")?);
    assert_eq!(accuracies("c")?.len(), 2);
    // and the store has them, too
    assert_eq!(fs::read(&file)?, before);
    Ok(())
}
