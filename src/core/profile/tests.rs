mod combinations;
mod published;
mod refusals;

use super::problem::Result;
use super::*;
use crate::yaml;
use rand::{RngExt, SeedableRng};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, text) in files {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn refusal<T: std::fmt::Debug>(result: Result<T>) -> String {
    match result {
        Err(problems) => problems.to_string(),
        Ok(accepted) => panic!("expected a refused profile, found {accepted:?}"),
    }
}

/// The refusal of a.yaml among these files, without the folder's name.
fn refused(files: &[(&str, &str)]) -> String {
    let folder = folder(files);
    let path = folder.path().join("a.yaml");
    let text = refusal(load(path.to_str().unwrap(), &[]));
    text.replace(
        &format!("{}/", folder.path().canonicalize().unwrap().display()),
        "",
    )
    .replace(&format!("{}/", folder.path().display()), "")
}

/// The refusal of a.yaml with this text.
fn refused_text(text: &str) -> String {
    refused(&[("a.yaml", text)])
}

fn with_sets(sets: &[&str]) -> Result<Loaded> {
    load(
        "cifar10",
        &sets.iter().map(|s| s.to_string()).collect::<Vec<_>>(),
    )
}

fn refused_set(set: &str) -> String {
    refusal(with_sets(&[set]))
}

fn accepted(text: &[u8]) -> Profile {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.yaml");
    fs::write(&path, text).unwrap();
    load(path.to_str().unwrap(), &[]).unwrap().profile
}

#[test]
fn every_builtin_loads_and_has_a_description() {
    for b in builtin() {
        let loaded = load(b.name, &[]).unwrap();
        assert_eq!(loaded.name, b.name);
        assert!(
            b.text.starts_with("# ") && !b.description().is_empty(),
            "{}",
            b.name
        );
    }
    let mut files: Vec<_> = fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/profiles"))
        .unwrap()
        .map(|e| {
            e.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_string()
        })
        .collect();
    let mut names: Vec<_> = builtin().iter().map(|b| b.name.to_string()).collect();
    files.sort();
    names.sort();
    assert_eq!(files, names, "every file of profiles/ is built in");
}

#[test]
fn schema_covers_exactly_the_settings_and_their_defaults() {
    let settings = serde_json::to_value(Profile::new(Kind::Shapes)).unwrap();
    let mut paths = Vec::new();
    for (section, value) in settings.as_object().unwrap() {
        match value.as_object() {
            Some(keys) => paths.extend(keys.keys().map(|k| format!("{section}.{k}"))),
            None => paths.push(section.clone()),
        }
    }
    assert_eq!(
        paths,
        schema()
            .iter()
            .map(|k| k.path.to_string())
            .collect::<Vec<_>>()
    );
    for key in schema() {
        let Some(default) = key.default() else {
            continue;
        };
        let value = check::check(key, &yaml::parse(&default).unwrap()).unwrap();
        assert_eq!(
            Some(&value),
            settings.pointer(&format!("/{}", key.path.replace('.', "/"))),
            "{}",
            key.path
        );
    }
}

#[test]
fn every_key_sets_and_gets_its_own_field() {
    let default = Profile::default();
    for key in schema() {
        let other = match key.range {
            Range::Whole { min, max } => (if key.default() == Some(min.to_string()) {
                max
            } else {
                min
            })
            .into(),
            Range::Number { max, .. } | Range::Above { max, .. } => max.into(),
            Range::Switch => (key.default().as_deref() == Some("false")).into(),
            Range::Choice(names) => names[names.len() - 1].into(),
            Range::List(names) => names[names.len() - 1..].into(),
            Range::Path | Range::Text | Range::ChoiceOrPath(_) => "some/path".into(),
            Range::Names => ["a name"].as_slice().into(),
        };
        let mut profile = default.clone();
        (key.set)(&mut profile, other).unwrap();
        for k in schema() {
            let is_only_choice = matches!(k.range, Range::Choice([_]) | Range::List([_]));
            let is_changed = k.value(&profile) != k.value(&default);
            assert_eq!(
                is_changed,
                k.path == key.path && !is_only_choice,
                "{}",
                k.path
            );
        }
    }
}

#[test]
fn the_keys_that_take_memory_exist() {
    let named = MEMORY_KEYS
        .split([' ', ','])
        .filter(|word| word.contains('.'));
    for path in named {
        assert!(key(path).is_some(), "{path}");
    }
}

#[test]
fn choices_are_read_by_their_names() {
    for name in Kind::NAMES {
        let set = format!("dataset.kind={name}");
        assert_eq!(
            with_sets(&[&set]).unwrap().profile.dataset.kind.name(),
            *name
        );
    }
}

#[test]
fn live_keys_are_those_that_a_running_engine_can_take() {
    let live: Vec<_> = schema().iter().filter(|k| k.live).map(|k| k.path).collect();
    let [expert, distill, evaluate] = ["expert", "distill", "evaluate"].map(|section| {
        let of_section = live
            .iter()
            .filter_map(move |path| path.strip_prefix(section));
        of_section
            .filter_map(|name| name.strip_prefix('.'))
            .collect::<Vec<_>>()
            .join(" ")
    });
    assert_eq!(
        expert,
        "lr lr_decay momentum weight_decay clipping gradient_penalty gsam_rho gsam_alpha"
    );
    assert_eq!(
        distill,
        "iterations syn_steps max_start_epoch min_start_epoch expand_from expand_until \
         batch step lr_images clip_gradient lr_student lr_lr lr_labels max_ratio ema momentum balance \
         intermediate match_at drop_parameters perturbation"
    );
    assert_eq!(evaluate, "every");
}

#[test]
fn a_resolved_profile_reads_back_equal() {
    for b in builtin() {
        let profile = load(b.name, &["seed=18446744073709551615".into()])
            .unwrap()
            .profile;
        assert_eq!(
            Profile::from_resolved(&profile.to_yaml(), Path::new("profile.yaml")).unwrap(),
            profile,
            "{}",
            b.name
        );
    }
    for path in [
        "1e3",
        "null",
        "a: b #c",
        "ünï/\u{1f600}",
        "no\nlines",
        " x ",
        "~",
        "!tag",
        "'\"",
    ] {
        let mut profile = Profile::new(Kind::ImageFolder);
        profile.dataset.path = Some(path.into());
        profile.distill.lr_lr = Auto::Value(0.1 + 0.2);
        assert_eq!(
            Profile::from_resolved(&profile.to_yaml(), Path::new("p")).unwrap(),
            profile
        );
    }
    let text = refusal(Profile::from_resolved(
        "extends: shapes\ndistill: {ipc: 0}",
        Path::new("run/profile.yaml"),
    ));
    assert!(
        text.starts_with("run/profile.yaml: dataset.kind: missing, expected one of shapes, "),
        "{text}"
    );
    assert!(
        text.contains(
            "run/profile.yaml:1: found extends, but the profile of a run is complete; remove it"
        ),
        "{text}"
    );
    assert!(
        text.ends_with(
            "run/profile.yaml:2: distill.ipc: found 0, expected a whole number from 1 to 10000"
        ),
        "{text}"
    );
}

#[test]
fn child_wins_over_parent_and_set_over_both() {
    let folder = folder(&[
        ("a.yaml", "extends: b.yaml\ndistill: {ipc: 3}\n"),
        (
            "b.yaml",
            "extends: cifar10-ipc1\ndistill: {ipc: 4, batch: 5}\nseed: 7",
        ),
    ]);
    let loaded = load(
        folder.path().join("a.yaml").to_str().unwrap(),
        &["seed=8".into(), "seed=9".into()],
    )
    .unwrap();
    let p = &loaded.profile;
    assert_eq!(
        (p.distill.ipc, p.distill.batch, p.seed, p.distill.syn_steps),
        (3, Some(5), 9, 20)
    );
    assert_eq!((loaded.name.as_str(), p.dataset.kind), ("a", Kind::Cifar10));
    assert_eq!(
        loaded.locations["distill.batch"].to_string(),
        format!("{}:2", folder.path().join("b.yaml").display())
    );
    assert_eq!(
        loaded.locations["distill.syn_steps"].to_string(),
        "built-in cifar10-ipc1:9"
    );
    assert_eq!(loaded.locations["seed"].to_string(), "--set seed=9");
    assert!(!loaded.locations.contains_key("expert.lr"));
}

#[test]
fn numbers_are_read_without_loss() {
    let p = with_sets(&[
        "distill.iterations=1e3",
        "distill.ipc=10.0",
        "distill.lr_lr=1e-6",
        "distill.lr_images=30",
        "dataset.validation=0",
    ]);
    let p = p.unwrap().profile;
    assert_eq!(
        (
            p.distill.iterations,
            p.distill.ipc,
            p.distill.lr_lr,
            p.distill.lr_images
        ),
        (1000, 10, Auto::Value(1e-6), 30.)
    );
    assert_eq!(
        refused_set("distill.ipc=1.5"),
        "--set distill.ipc=1.5: distill.ipc: found 1.5, expected a whole number from 1 to 10000"
    );
    assert!(with_sets(&["seed=18446744073709551615"]).is_ok_and(|l| l.profile.seed == u64::MAX));
    assert!(
        refused_set("seed=18446744073709551616")
            .contains("found 18446744073709551616, expected a whole number from 0 to 2^64")
    );
    assert!(refused_set("seed=-1").contains("found -1, expected"));
}

#[test]
fn windows_line_ends_and_byte_order_mark_are_accepted() {
    let p =
        accepted(b"\xef\xbb\xbfdataset:\r\n  kind: shapes\r\ndistill:\r\n  ipc: 2\r\nexpert:\r\n");
    assert_eq!((p.dataset.kind, p.distill.ipc), (Kind::Shapes, 2));
    assert_eq!(
        refused_text("dataset:\r\n  kind: shapes\r\nsede: 1\r\n")
            .split(';')
            .next(),
        Some("a.yaml:3: unknown key or section \"sede\"")
    );
}

#[test]
fn live_edits_pass_the_same_checks() {
    let profile = with_sets(&[]).unwrap().profile;
    assert_eq!(
        profile
            .edited("distill.lr_images=30")
            .unwrap()
            .distill
            .lr_images,
        30.
    );
    for set in [
        "distill.lr_images=-1",
        "distill.lr_image=1",
        "distill.syn_steps=1",
        "distill.lr_student=x",
        "nothing",
    ] {
        let as_set = refused_set(set);
        assert_eq!(
            refusal(profile.edited(set)),
            as_set.strip_prefix("--").unwrap()
        );
    }
    assert!(
        refusal(profile.edited("distill.ipc=3"))
            .starts_with("set distill.ipc=3: distill.ipc: cannot change during a run")
    );
}

#[test]
fn mutated_bytes_never_panic() {
    let mut rng = rand_chacha::ChaCha8Rng::seed_from_u64(1);
    const SPICE: &[u8] = b"{}[]:,#&*!|>-?%@`\"'\n\t \\0\xff\xef~<";
    for round in 0..4000 {
        let mut bytes = builtin()[round % builtin().len()].text.as_bytes().to_vec();
        for _ in 0..rng.random_range(1..8) {
            let (at, spice) = (
                rng.random_range(0..bytes.len()),
                SPICE[rng.random_range(0..SPICE.len())],
            );
            match rng.random_range(0..4) {
                0 => bytes[at] = rng.random(),
                1 => bytes.insert(at, spice),
                2 => _ = bytes.drain(at..(at + rng.random_range(0..20_usize)).min(bytes.len())),
                _ => bytes = [&bytes[..at], &bytes[rng.random_range(0..bytes.len())..]].concat(),
            }
            bytes.push(spice);
        }
        if let Ok(text) = source::decode(&bytes) {
            _ = Profile::from_resolved(&text, Path::new("x"));
            _ = with_sets(&[&text]);
        }
    }
}
