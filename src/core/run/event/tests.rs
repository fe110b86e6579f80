use super::*;
use crate::run::command::{Answer, Command, CommandStatus};

fn event(seq: u64, what: EventKind) -> Event {
    Event {
        seq,
        time: "2026-01-01T00:00:00.000Z".into(),
        what,
    }
}

/// The event of a line whose keys after the time are `rest`.
fn read(rest: &str) -> Option<EventKind> {
    let line = format!(r#"{{"seq":7,"time":"2026-01-01T00:00:00.000Z",{rest}}}"#);
    serde_json::from_str::<Event>(&line).ok().map(|e| e.what)
}

fn command(command: Command, answer: Answer) -> EventKind {
    EventKind::Command(CommandAnswered::new(command, answer))
}

#[test]
fn a_step_that_exploded_survives_the_round_trip() {
    let step = DistillStep {
        step: 3,
        expert: 0,
        start_epoch: 1,
        matching_loss: f64::NAN,
        final_ratio: f64::INFINITY,
        intermediate: vec![1., f64::NAN],
        student_lr: 0.01,
        balance_factor: 1.,
        perturbation: Perturbation {
            relative: 0.1,
            per_layer: vec![0.2],
        },
        reach: 1.,
        alignment: 0.5,
        image_gradient: f64::NAN,
        nearest: 9.,
        best_ratio: vec![0.9, 0.8],
        image_scale: 1.2,
        start_part: 0,
        mirrored: false,
        segments: Vec::new(),
        seconds: 0.1,
    };
    let line = serde_json::to_string(&event(7, EventKind::DistillStep(step))).expect("serialises");
    assert_eq!(
        line,
        r#"{"seq":7,"time":"2026-01-01T00:00:00.000Z","kind":"distill_step","step":3,"expert":0,"start_epoch":1,"start_part":0,"mirrored":false,"matching_loss":null,"final_ratio":null,"intermediate":[1.0,null],"student_lr":0.01,"balance_factor":1.0,"perturbation":{"relative":0.1,"per_layer":[0.2]},"reach":1.0,"alignment":0.5,"nearest":9.0,"best_ratio":[0.9,0.8],"image_scale":1.2,"image_gradient":null,"seconds":0.1}"#
    );
    let back: Event = serde_json::from_str(&line).expect("parses");
    let EventKind::DistillStep(step) = back.what else {
        panic!("another kind")
    };
    assert!(
        step.step == 3
            && step.matching_loss.is_nan()
            && step.intermediate[0] == 1.
            && step.intermediate[1].is_nan()
    );
}

#[test]
fn the_keys_of_a_command_stand_beside_those_of_its_answer() {
    for (what, keys) in [
        (
            command(
                Command::Set {
                    edit: "distill.lr_images=30".into(),
                },
                Answer::changed(100., 30.),
            ),
            r#""command":"set","edit":"distill.lr_images=30","status":"accepted","reason":null,"from":100.0,"to":30.0"#,
        ),
        (
            command(Command::RollBack { step: 7 }, Answer::rejected("no")),
            r#""command":"roll_back","step":7,"status":"rejected","reason":"no","from":null,"to":null"#,
        ),
        (
            command(
                Command::Stop {
                    reason: "SIGTERM".into(),
                },
                Answer::accepted(),
            ),
            r#""command":"stop","status":"accepted","reason":"SIGTERM","from":null,"to":null"#,
        ),
    ] {
        let line = serde_json::to_string(&event(7, what.clone())).expect("serialises");
        let rest = format!(r#""kind":"command",{keys}"#);
        assert!(line.ends_with(&format!("{rest}}}")), "{line}");
        assert_eq!(read(&rest), Some(what));
    }
}

/// Lines of engines that wrote a command as one text, and nothing once the run had gone back.
#[test]
fn old_records_stay_readable() {
    let old = |command: &str, rest: &str| {
        read(&format!(r#""kind":"command","command":"{command}",{rest}"#))
    };
    let accepted = r#""status":"accepted","reason":null,"from":null,"to":null"#;
    assert_eq!(
        old("pause", accepted),
        Some(command(Command::Pause, Answer::accepted()))
    );
    let set = old(
        "set distill.lr_images=30",
        r#""status":"accepted","reason":null,"from":100.0,"to":30.0"#,
    );
    let Some(EventKind::Command(set)) = set else {
        panic!("{set:?}")
    };
    assert_eq!(
        (&set.command, set.answer.to.as_ref()),
        (
            &Command::Set {
                edit: "distill.lr_images=30".into()
            },
            Some(&30.0.into())
        )
    );
    assert_eq!(
        old(
            "roll_back 7",
            r#""status":"accepted","reason":null,"from":12,"to":7"#
        ),
        Some(EventKind::RolledBack { from: 12, to: 7 })
    );
    let refused = old(
        "roll_back 8",
        r#""status":"rejected","reason":"there is no checkpoint of step 8","from":null,"to":null"#,
    );
    assert!(
        matches!(&refused, Some(EventKind::Command(c)) if c.command == Command::RollBack { step: 8 } && !c.is_accepted()),
        "{refused:?}"
    );
    let stop = old(
        "stop",
        r#""status":"accepted","reason":"astill send","from":null,"to":null"#,
    );
    assert!(
        matches!(&stop, Some(EventKind::Command(c)) if c.reason() == Some("astill send")),
        "{stop:?}"
    );
}

#[test]
fn what_a_newer_engine_may_write_is_not_read() {
    let accepted = r#""status":"accepted","reason":null,"from":null,"to":null"#;
    for rest in [
        r#""kind":"teleported","to":"moon""#.to_string(),
        format!(r#""kind":"command","command":"explode",{accepted}"#),
        format!(r#""kind":"command","command":"roll_back",{accepted}"#),
        format!(r#""kind":"command","command":"roll_back x",{accepted}"#),
    ] {
        assert_eq!(read(&rest), None, "{rest}");
    }
    assert_eq!(
        read(r#""kind":"rolled_back","from":9,"to":4,"mood":"good""#),
        Some(EventKind::RolledBack { from: 9, to: 4 })
    );
}

#[test]
fn names_are_those_of_the_protocol() {
    assert_eq!(Phase::Distill.to_string(), "distill");
    assert_eq!(ImageSet::Representative.to_string(), "representative");
    assert_eq!(RunOutcome::Done.to_string(), "done");
    assert_eq!(CommandStatus::Accepted.to_string(), "accepted");
}
