//! What the app is told about data sets and runs.

use super::*;
use std::fs;
use tempfile::TempDir;

fn local(data: &Path) -> Local {
    Local {
        runs: data.join("runs"),
        data: Some(data.to_path_buf()),
        known: Default::default(),
        known_ablations: Default::default(),
        answers: Default::default(),
        profiles: Default::default(),
    }
}

fn profile_with(name: &str, sets: &[&str]) -> Profile {
    let sets: Vec<String> = sets.iter().map(|set| (*set).to_string()).collect();
    profile::load(name, &sets).unwrap().profile
}

#[test]
fn data_are_ready_only_where_something_of_them_is_there() {
    let home = TempDir::new().unwrap();
    let local = local(home.path());
    let at = |name: &str| home.path().join(name);
    let make = |name: &str| {
        fs::create_dir_all(at(name).parent().unwrap()).unwrap();
        fs::write(at(name), "x").unwrap();
    };
    let cifar = profile_with("cifar10-ipc1", &[]);
    let fetchable = |state: &DataState, of: &str, wanted: Option<u64>| matches!(state, DataState::Fetchable { set, bytes } if set == of && *bytes == wanted);
    let is_fetchable = || fetchable(&local.data_state(&cifar), "cifar10", Some(170_052_171));
    assert!(is_fetchable());
    fs::create_dir(at("cifar10")).unwrap();
    assert!(is_fetchable(), "an empty folder holds no data");
    make("cifar10/.DS_Store");
    assert!(is_fetchable(), "nor does a hidden file");
    make("cifar10/cifar-10-batches-bin/data_batch_1.bin");
    assert!(is_fetchable(), "a part is not the whole");
    fs::remove_dir_all(at("cifar10/cifar-10-batches-bin")).unwrap();
    // another version, which is read too
    make("cifar10/cifar-10-python.tar.gz");
    assert_eq!(local.data_state(&cifar), DataState::Ready);

    // of the Hub: how much it is is not known, and a fetch that was cut off is not all
    let svhn = profile_with(
        "cifar10-ipc1",
        &["dataset.kind=parquet", "dataset.path=svhn"],
    );
    assert!(fetchable(&local.data_state(&svhn), "svhn", None));
    let hub = profile_with(
        "cifar10-ipc1",
        &["dataset.kind=parquet", "dataset.path=hf:o/n"],
    );
    assert!(fetchable(&local.data_state(&hub), "hf:o/n", None));
    for (folder, profile) in [("svhn", &svhn), ("o--n", &hub)] {
        make(&format!("{folder}/.commit"));
        assert!(fetchable(
            &local.data_state(profile),
            profile_set(profile),
            None
        ));
        let note = "abc\n1 cropped_digits/train.parquet\n1 cropped_digits/test.parquet\n";
        fs::write(at(&format!("{folder}/.commit")), note).unwrap();
        make(&format!("{folder}/cropped_digits/train.parquet"));
        assert!(
            fetchable(&local.data_state(profile), profile_set(profile), None),
            "{folder}"
        );
        make(&format!("{folder}/cropped_digits/test.parquet"));
        assert_eq!(local.data_state(profile), DataState::Ready, "{folder}");
    }
    let own = profile_with("cifar10-ipc1", &["dataset.kind=npz", "dataset.path=mine"]);
    assert_eq!(local.data_state(&own), DataState::Missing);
    make("mine/set.npz");
    assert_eq!(local.data_state(&own), DataState::Ready);
    let shapes = profile_with("shapes", &[]);
    assert_eq!(local.data_state(&shapes), DataState::Ready);
}

fn profile_set(profile: &Profile) -> &str {
    profile
        .dataset
        .path
        .as_deref()
        .and_then(Path::to_str)
        .unwrap()
}

#[test]
fn a_folder_of_runs_that_cannot_be_read_is_a_problem_and_none_is_not() {
    let home = TempDir::new().unwrap();
    let local = local(home.path());
    assert!(local.runs().unwrap().is_empty() && local.ablations().unwrap().is_empty());
    fs::write(home.path().join("runs"), "a file").unwrap();
    assert!(local.runs().is_err() && local.ablations().is_err());
}

#[test]
fn what_the_engine_says_is_left_out_is_remarked() {
    let answer = serde_json::json!({
        "data": {
            "classes": 2, "train": 4, "validation": 0, "test": 2,
            "left_out": [{"part": "train", "class": "cat", "reason": "HEIC is not read", "count": 3,
                "first": "train/cat/1.heic", "is_lost": true}],
            "warnings": [{"kind": "class-without-test", "count": 1, "message": "1 of 2 classes"}],
            "notes": ["val chooses"],
        },
    });
    let preview = preview_of(profile_with("shapes", &[]), &answer);
    let wanted = [
        "left out: 3 files of class cat in train: HEIC is not read (train/cat/1.heic)",
        "1 of 2 classes",
        "val chooses",
    ];
    assert_eq!(preview.remarks, wanted);
}

#[test]
fn of_a_long_record_the_latest_picture_is_shown() {
    let home = TempDir::new().unwrap();
    let run = RunDir::create(home.path(), "shapes", Some("long"), "")
        .unwrap()
        .0;
    let dataset = r#"{"seq":0,"time":"2026-01-01T00:00:00Z","kind":"dataset","classes":["a","b"],"train":1,"validation":1,"test":1,"size":2,"normalisation":"channels"}"#;
    let length = usize::try_from(GLANCED_AT).unwrap();
    fs::write(run.events(), format!("{dataset}\n{}", " ".repeat(length))).unwrap();
    fs::create_dir_all(run.path().join(SAMPLES)).unwrap();
    assert_eq!(latest_sample(&run), None);
    for step in ["00100", "99900", "100000"] {
        let path = run.path().join(format!("{SAMPLES}/step_{step}.png"));
        fs::write(path, "no picture").unwrap();
    }
    let latest = latest_sample(&run);
    assert_eq!(latest.as_deref(), Some("samples/step_100000.png"));
    let glance = glance(&run);
    assert!(glance.is_long && glance.loss.is_none());
    assert_eq!(glance.classes, ["a", "b"]);
}
