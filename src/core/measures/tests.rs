use super::*;
use crate::EpochRecord;
use crate::profile::LabelKind;
use crate::run::event::{EvalSplit, GpuUsage, HostUsage, ImageSet, Perturbation};
use serde_json::Value;
use std::collections::BTreeSet;

fn step() -> DistillStep {
    DistillStep {
        step: 3,
        expert: 4,
        start_epoch: 5,
        matching_loss: 0.415_678,
        final_ratio: 0.02,
        intermediate: vec![0.03, 0.04],
        student_lr: 0.010_5,
        balance_factor: 0.06,
        perturbation: Perturbation {
            relative: 0.07,
            per_layer: vec![0.08, 0.09],
        },
        reach: 0.11,
        alignment: 0.12,
        image_gradient: 0.13,
        nearest: 9.,
        best_ratio: vec![0.9, 0.8],
        image_scale: 1.2,
        start_part: 0,
        mirrored: false,
        segments: Vec::new(),
        seconds: 0.14,
    }
}

fn epoch() -> ExpertEpoch {
    ExpertEpoch {
        expert: 1,
        epoch: 2,
        record: EpochRecord {
            train_loss: 0.21,
            train_accuracy: 22.04,
            validation_accuracy: Some(23.),
            clip_factor: 0.24,
            gradient_penalty: 0.25,
            step_length: 0.26,
            turn: Some(0.27),
            curvature: Some(0.28),
            tortuosity: 1.29,
        },
        seconds: 0.31,
    }
}

fn evaluation() -> Evaluation {
    Evaluation {
        step: 9,
        network: "convnet".into(),
        labels: ImageSet::Distilled,
        label_kind: LabelKind::Hard,
        split: EvalSplit::Test,
        mean: 41.5,
        std: 0.42,
        values: vec![41., 42.],
    }
}

fn usage() -> Usage {
    Usage {
        gpu: Some(GpuUsage {
            used_gib: Some(21.5),
            total_gib: Some(79.6),
            load: Some(97.5),
            temperature: Some(64.),
        }),
        host: HostUsage {
            used_gib: Some(12.3),
            total_gib: Some(128.),
            load: Some(31.5),
            oom_kills: None,
        },
    }
}

/// The numbers in a JSON object by their keys, as the table spells them.
fn numbers(prefix: &str, json: &Value, found: &mut Vec<(String, Value)>) {
    for (key, value) in json.as_object().into_iter().flatten() {
        let key = format!("{prefix}{key}");
        match value {
            Value::Object(_) => numbers(&format!("{key}."), value, found),
            Value::Number(n) if n.is_f64() => found.push((key, value.clone())),
            Value::Array(_) => found.push((key, value.clone())),
            _ => {}
        }
    }
}

#[test]
fn every_measured_number_of_an_event_is_in_the_table_and_read_from_its_place() {
    let (step, epoch, evaluation, usage) = (step(), epoch(), evaluation(), usage());
    for (event, json) in [
        (MeasuredEvent::Step(&step), serde_json::to_value(&step)),
        (MeasuredEvent::Epoch(&epoch), serde_json::to_value(epoch)),
        (
            MeasuredEvent::Evaluation(&evaluation),
            serde_json::to_value(&evaluation),
        ),
        (MeasuredEvent::Usage(&usage), serde_json::to_value(usage)),
    ] {
        let mut found = Vec::new();
        numbers("", &json.expect("serialises"), &mut found);
        let known: BTreeSet<String> = of_axis(event.axis()).map(|m| m.name.into()).collect();
        let keys: BTreeSet<String> = found.iter().map(|f| f.0.clone()).collect();
        assert_eq!(known, keys);
        for (key, value) in found {
            let measure = find(event.axis(), &key).expect("in the table");
            let read = match measure.read(event) {
                Reading::One(one) => Value::from(one),
                Reading::Each(each) => Value::from(each),
                Reading::Missing => Value::Null,
            };
            assert_eq!(read, value, "{key}");
            assert_eq!(measure.is_list(), value.is_array(), "{key}");
        }
    }
}

#[test]
fn every_entry_is_explained() {
    for measure in MEASURES {
        assert!(
            measure.meaning.len() > 20 && !measure.meaning.ends_with('.'),
            "{}",
            measure.name
        );
        assert!(!measure.source.is_empty(), "{}", measure.name);
        assert!(
            measure.meaning.is_ascii(),
            "{}: some terminals show nothing else",
            measure.name
        );
        assert!(
            !(measure.logged && measure.is_list()),
            "{}: a list has no place in a line of the log",
            measure.name
        );
    }
    let reach = find(Axis::Step, "reach").expect("in the table");
    assert!(reach.explanation().ends_with("equals alignment."));
    let turn = find(Axis::Epoch, "turn").expect("in the table");
    assert!(turn.explanation().ends_with("Best near 1."));
}

#[test]
fn the_line_of_the_log_follows_from_the_table() {
    let (step, mut epoch) = (step(), epoch());
    assert_eq!(
        in_words(MeasuredEvent::Step(&step)),
        "matching loss 0.4157, reach 0.11, alignment 0.12, student rate 0.0105, time 0.14 s"
    );
    epoch.record.turn = None;
    epoch.record.train_loss = f64::NAN;
    assert_eq!(
        in_words(MeasuredEvent::Epoch(&epoch)),
        "train loss NaN, train accuracy 22.0 %, validation accuracy 23.0 %, gradient penalty 0.25, step \
         length 0.26, time 0.31 s"
    );
}

#[test]
fn an_event_of_another_axis_does_not_hold_it() {
    let (step, evaluation) = (step(), evaluation());
    let reach = find(Axis::Step, "reach").expect("in the table");
    assert_eq!(reach.read(MeasuredEvent::Step(&step)), Reading::One(0.11));
    assert_eq!(
        reach.read(MeasuredEvent::Evaluation(&evaluation)),
        Reading::Missing
    );
    assert_eq!(
        value("mean", MeasuredEvent::Evaluation(&evaluation)),
        "41.5"
    );
    assert_eq!(value("mean", MeasuredEvent::Step(&step)), "-");
    assert!(find(Axis::Evaluation, "reach").is_none());
}
