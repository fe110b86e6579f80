use super::*;
use astill_core::run::event::{DistillStep, EventKind, Perturbation, Phase};
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use tempfile::TempDir;

const PLENTY: usize = 1 << 20;

fn step(seq: u64) -> Event {
    let what = EventKind::DistillStep(DistillStep {
        step: seq,
        expert: 3,
        start_epoch: 7,
        matching_loss: if seq % 5 == 3 {
            f64::NAN
        } else {
            1. / (seq as f64 + 3.)
        },
        final_ratio: 0.91,
        intermediate: vec![1.25, f64::NAN, 0.1],
        student_lr: 0.012345,
        perturbation: Perturbation {
            relative: 0.3,
            per_layer: vec![0.1, 0.2, 0.3],
        },
        reach: 0.7,
        alignment: -0.2,
        image_gradient: 1e-7,
        seconds: 0.25,
        ..DistillStep::default()
    });
    Event {
        seq,
        time: "2026-01-01T00:00:00.000Z".into(),
        what,
    }
}

fn line(event: &Event) -> String {
    serde_json::to_string(event).expect("serialises") + "\n"
}

fn phase(seq: u64) -> Event {
    Event {
        seq,
        time: "2026-01-01T00:00:00.000Z".into(),
        what: EventKind::Phase {
            name: Phase::Distill,
        },
    }
}

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("events.jsonl");
    (folder, path)
}

fn append(path: &Path, text: &str) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .expect("opens");
    file.write_all(text.as_bytes()).expect("writes");
}

fn poll(events: &mut EventsFile) -> Vec<u64> {
    events
        .poll(PLENTY)
        .expect("reads")
        .iter()
        .map(|e| e.seq)
        .collect()
}

#[test]
fn what_is_appended_comes_once_and_in_order() {
    let (_folder, path) = folder();
    let mut events = EventsFile::open(&path);
    assert!(poll(&mut events).is_empty(), "no file yet");
    append(&path, &(line(&phase(0)) + &line(&step(1))));
    assert_eq!(poll(&mut events), [0, 1]);
    assert!(poll(&mut events).is_empty());
    append(&path, &line(&step(2)));
    assert_eq!(poll(&mut events), [2]);
    assert!(events.at_end() && !events.restarted() && events.skipped() == 0);
}

#[test]
fn the_fast_way_reads_what_the_general_way_reads() {
    let (_folder, path) = folder();
    append(&path, &line(&step(3)));
    let read = EventsFile::open(&path).poll(PLENTY).expect("reads");
    // NaN is unequal to itself, so the text decides
    assert_eq!(read.iter().map(line).collect::<String>(), line(&step(3)));
}

#[test]
fn keys_in_another_order_are_read_the_general_way() {
    let (_folder, path) = folder();
    let mut value = serde_json::to_value(step(4)).expect("serialises");
    let kind = value["kind"].take();
    let keys = value.as_object_mut().expect("an object");
    keys.shift_remove("kind");
    keys.insert("kind".into(), kind);
    append(&path, &format!("{value}\n"));
    let read = EventsFile::open(&path).poll(PLENTY).expect("reads");
    assert_eq!(read.iter().map(line).collect::<String>(), line(&step(4)));
}

#[test]
fn a_torn_line_is_left_until_it_is_whole() {
    let (_folder, path) = folder();
    let whole = line(&step(1));
    let mut events = EventsFile::open(&path);
    append(&path, &(line(&step(0)) + &whole[..40]));
    assert_eq!(poll(&mut events), [0]);
    assert!(poll(&mut events).is_empty());
    append(&path, &whole[40..]);
    assert_eq!((poll(&mut events), events.skipped()), (vec![1], 0));
}

#[test]
fn a_line_that_stays_torn_costs_only_itself() {
    let (_folder, path) = folder();
    let mut events = EventsFile::open(&path);
    append(&path, &(line(&step(0)) + &line(&step(1))[..40]));
    assert_eq!(poll(&mut events), [0]);
    // the next engine closes the line and goes on
    append(&path, &("\n".to_string() + &line(&step(1))));
    assert_eq!((poll(&mut events), events.skipped()), (vec![1], 1));
}

#[test]
fn a_torn_line_may_be_cut_off_again() {
    let (_folder, path) = folder();
    let mut events = EventsFile::open(&path);
    append(&path, &(line(&step(0)) + &line(&step(1))[..40]));
    assert_eq!(poll(&mut events), [0]);
    OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|f| f.set_len(line(&step(0)).len() as u64))
        .expect("cut");
    append(&path, &line(&step(1)));
    assert_eq!((poll(&mut events), events.restarted()), (vec![1], false));
}

#[test]
fn lines_that_are_no_events_are_counted() {
    let (_folder, path) = folder();
    let newer = r#"{"seq":1,"time":"2026-01-01T00:00:00.000Z","kind":"teleported","where":"moon"}"#;
    let broken_step =
        r#"{"seq":1,"time":"2026-01-01T00:00:00.000Z","kind":"distill_step","step":"one"}"#;
    append(
        &path,
        &format!("{newer}\n\u{0}\u{1}garbage\n{{}}\n\n{broken_step}\n"),
    );
    let file = OpenOptions::new()
        .append(true)
        .open(&path)
        .and_then(|mut f| f.write_all(b"\xff\xfe\n"));
    file.expect("writes");
    append(&path, &line(&step(2)));
    let mut events = EventsFile::open(&path);
    assert_eq!((poll(&mut events), events.skipped()), (vec![2], 5));
}

#[test]
fn unknown_fields_of_a_newer_version_are_passed_over() {
    let (_folder, path) = folder();
    append(
        &path,
        &line(&step(4)).replacen(r#""step":4"#, r#""mood":{"good":true},"step":4"#, 1),
    );
    assert_eq!(poll(&mut EventsFile::open(&path)), [4]);
}

#[test]
fn the_budget_bounds_a_poll_and_loses_nothing() {
    let (_folder, path) = folder();
    let text: String = (0..100).map(|i| line(&step(i))).collect();
    append(&path, &text);
    let mut events = EventsFile::open(&path);
    let first = events.poll(3_000).expect("reads").len();
    assert!((5..12).contains(&first) && !events.at_end(), "{first}");
    let mut seen: Vec<u64> = (0..first as u64).collect();
    // a budget below a line still gets on
    while !events.at_end() {
        seen.extend(events.poll(10).expect("reads").iter().map(|e| e.seq));
    }
    assert_eq!(seen, (0..100).collect::<Vec<u64>>());
}

#[test]
fn a_file_that_is_cut_replaced_or_rewritten_begins_anew() {
    let (_folder, path) = folder();
    let mut events = EventsFile::open(&path);
    append(&path, &(line(&step(0)) + "garbage\n" + &line(&step(1))));
    assert_eq!((poll(&mut events), events.skipped()), (vec![0, 1], 1));
    std::fs::write(&path, line(&phase(5))).expect("rewritten, shorter");
    assert_eq!(
        (poll(&mut events), events.restarted(), events.skipped()),
        (vec![5], true, 0)
    );
    assert_eq!((poll(&mut events), events.restarted()), (vec![], false));
    std::fs::write(&path, line(&step(6)) + &line(&step(7))).expect("rewritten, longer");
    assert_eq!((poll(&mut events), events.restarted()), (vec![6, 7], true));
    let other = path.with_extension("new");
    append(
        &other,
        &(line(&step(6)) + &line(&step(7)) + &line(&step(8))),
    );
    std::fs::rename(&other, &path).expect("replaced");
    assert_eq!(
        (poll(&mut events), events.restarted()),
        (vec![6, 7, 8], true)
    );
    std::fs::remove_file(&path).expect("removed");
    assert_eq!((poll(&mut events), events.restarted()), (vec![], false));
}

#[test]
fn an_endless_line_is_no_event_and_is_not_kept() {
    let (_folder, path) = folder();
    append(
        &path,
        &("x".repeat(LONGEST_LINE + LONGEST_LINE / 2) + "\n" + &line(&step(1))),
    );
    let mut events = EventsFile::open(&path);
    let mut seen = poll(&mut events);
    while !events.at_end() {
        seen.extend(poll(&mut events));
    }
    assert_eq!((seen, events.skipped()), (vec![1], 1));
}

#[test]
fn many_lines_come_in_order_from_several_threads() {
    let (_folder, path) = folder();
    let text: String = (0..4_000)
        .map(|i| line(&if i % 7 == 0 { phase(i) } else { step(i) }))
        .collect();
    append(&path, &text);
    let mut events = EventsFile::open(&path);
    assert_eq!(
        events
            .poll(text.len() + 1)
            .expect("reads")
            .iter()
            .map(|e| e.seq)
            .collect::<Vec<_>>(),
        (0..4_000).collect::<Vec<u64>>()
    );
    assert!(events.at_end());
}
