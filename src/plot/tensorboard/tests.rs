use super::record::masked_checksum;
use super::*;
use crate::tui::tests::stage::{a_run, distilled, epoch, evaluation, events, started};
use astill_core::profile::LabelKind;
use astill_core::run::event::ImageSet;

/// What an event of a file says: its step, its tags with their values, and whether it restarts.
#[derive(Debug, Default, PartialEq)]
struct Read {
    step: u64,
    values: Vec<(String, f32)>,
    restarts: bool,
}

/// The fields of a protocol buffer: number and content.
fn fields(mut bytes: &[u8]) -> Vec<(u8, Vec<u8>)> {
    fn varint(bytes: &mut &[u8]) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = bytes[0];
            *bytes = &bytes[1..];
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes) as u8;
        let length = match key & 7 {
            0 => {
                let value = varint(&mut bytes);
                found.push((key >> 3, value.to_le_bytes().to_vec()));
                continue;
            }
            1 => 8,
            5 => 4,
            _ => varint(&mut bytes) as usize,
        };
        found.push((key >> 3, bytes[..length].to_vec()));
        bytes = &bytes[length..];
    }
    found
}

/// Every event of a file, with checked checksums.
fn read(folder: &Path) -> Vec<Read> {
    let file = fs::read_dir(folder)
        .unwrap()
        .flatten()
        .find(|f| f.path().is_file())
        .unwrap();
    assert!(file.file_name().to_string_lossy().contains("tfevents"));
    let bytes = fs::read(file.path()).unwrap();
    let mut bytes = bytes.as_slice();
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        let sum = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
        let content = &bytes[12..12 + length];
        assert_eq!(sum(8), masked_checksum(&bytes[..8]));
        assert_eq!(sum(12 + length), masked_checksum(content));
        let mut event = Read::default();
        for (number, content) in fields(content) {
            match number {
                2 => event.step = u64::from_le_bytes(content.try_into().unwrap()),
                5 => event.values = fields(&content).into_iter().map(|v| value(&v.1)).collect(),
                7 => event.restarts = true,
                _ => {}
            }
        }
        all.push(event);
        bytes = &bytes[16 + length..];
    }
    all
}

fn value(bytes: &[u8]) -> (String, f32) {
    let parts = fields(bytes);
    let part = |number| parts.iter().find(|p| p.0 == number).unwrap().1.clone();
    (
        String::from_utf8(part(1)).unwrap(),
        f32::from_le_bytes(part(2).try_into().unwrap()),
    )
}

fn run_of(folder: &Path, whats: Vec<EventKind>) -> RunDir {
    let path = folder.join("runs/shapes-001");
    fs::create_dir_all(&path).unwrap();
    let line = |e: &Event| serde_json::to_string(e).unwrap() + "\n";
    let text: String = events(whats).iter().map(line).collect();
    let run = RunDir::at(path);
    fs::write(run.events(), text).unwrap();
    run
}

#[test]
fn the_result_soft_labels_and_repeated_work_have_places_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let soft = |what: EventKind| match what {
        EventKind::Evaluation(e) => EventKind::Evaluation(Evaluation {
            label_kind: LabelKind::Soft,
            ..e
        }),
        other => other,
    };
    let mut life = a_run("shapes-001", 3);
    // resumed before the first checkpoint, while experts were trained again
    life.extend([started("shapes-001", 0, 100), epoch(1, 2), epoch(1, 3)]);
    life.push(soft(evaluation(0, ImageSet::Random, 20.)));
    life.push(EventKind::Phase {
        name: Phase::Evaluate,
    });
    life.push(evaluation(0, ImageSet::Random, 27.));
    let run = run_of(folder.path(), life);
    let to = folder.path().join("tb");
    write(std::slice::from_ref(&run), &to).unwrap();
    let steps = read(&to.join("shapes-001"));
    let restarts =
        |of: &[Read]| -> Vec<u64> { of.iter().filter(|e| e.restarts).map(|e| e.step).collect() };
    assert_eq!(restarts(&steps), [1]);
    let value = |tag: &str| {
        let mut values = steps.iter().flat_map(|e| &e.values);
        values.find(|v| v.0 == tag).map(|v| v.1)
    };
    assert_eq!(value("evaluate/random/hard/convnet/test/mean"), Some(26.1));
    assert_eq!(value("evaluate/random/soft/convnet/test/mean"), Some(20.));
    assert_eq!(value("headline/random/hard/convnet/test/mean"), Some(27.));
    assert_eq!(restarts(&read(&to.join("shapes-001/expert-002"))), [3]);
}

#[test]
fn two_runs_of_one_name_are_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let of = |place: &str| run_of(&folder.path().join(place), a_run("shapes-001", 2));
    let to = folder.path().join("tb");
    let refused = write(&[of("a"), of("b")], &to).unwrap_err();
    assert_eq!(refused.exit_status(), 2);
    assert!(
        refused
            .to_string()
            .contains("two runs of the name shapes-001")
    );
    assert!(!to.exists());
}

#[test]
fn checksums_are_those_of_tfrecord() {
    // the test vector of RFC 3720, masked
    let plain: u32 = 0x8A91_36AA;
    let masked = plain.rotate_right(15).wrapping_add(0xA282_EAD8);
    assert_eq!(masked_checksum(&[0; 32]), masked);
}

#[test]
fn steps_evaluations_and_experts_are_where_tensorboard_looks() {
    let folder = tempfile::tempdir().unwrap();
    let mut life = a_run("shapes-001", 60);
    life.push(EventKind::RolledBack { from: 60, to: 50 });
    life.push(distilled(51, 0.5));
    let run = run_of(folder.path(), life);
    let to = folder.path().join("boards/tb");
    write(std::slice::from_ref(&run), &to).unwrap();
    let steps = read(&to.join("shapes-001"));
    let loss = |step: u64| {
        let of_step = steps.iter().filter(|e| e.step == step);
        let values = of_step.flat_map(|e| &e.values);
        let found = values.rev().find(|v| v.0 == "distill/matching_loss");
        found.map(|v| v.1)
    };
    assert!(loss(1).is_some() && loss(0).is_none());
    assert_eq!(loss(51), Some(0.5));
    let restart = steps.iter().find(|e| e.restarts).unwrap();
    assert_eq!(restart.step, 51, "what came after step 50 no longer counts");
    let tags: Vec<&str> = steps
        .iter()
        .flat_map(|e| &e.values)
        .map(|v| v.0.as_str())
        .collect();
    for tag in [
        "distill/perturbation/per_layer/3",
        "distill/reach",
        "evaluate/distilled/hard/convnet/test/mean",
        "evaluate/random/hard/convnet/test/mean",
    ] {
        assert!(tags.contains(&tag), "{tag}: {tags:?}");
    }
    let expert = read(&to.join("shapes-001/expert-002"));
    assert_eq!(expert.last().unwrap().step, 5, "epochs count from 1");

    let again = write(&[run], &to).unwrap_err();
    assert_eq!(again.exit_status(), 2);
    assert!(again.to_string().contains("is there already"));
    let left = fs::read_dir(&to).unwrap().count();
    assert_eq!(left, 1, "nothing half written is left");
}
