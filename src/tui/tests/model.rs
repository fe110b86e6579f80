//! The reducer: what a screen knows after these events.

use crate::tui::model::{Model, ReportedState, Weight};
use crate::tui::series::Series;
use crate::tui::tests::stage::*;
use astill_core::profile::LabelKind;
use astill_core::run::command::{Answer, Command};
use astill_core::run::event::{
    CommandAnswered, EvalSplit, Evaluation, Event, EventKind, ExpertFound, ImageSet, Phase,
};

fn loss(model: &Model) -> &Series {
    &model.steps.of("matching_loss")[0]
}

fn after(whats: Vec<EventKind>) -> Model {
    let mut model = Model::new();
    events(whats).iter().for_each(|e| model.apply(e));
    model
}

#[test]
fn steps_done_again_take_the_place_of_the_old_ones() {
    let mut life = a_run("r", 60);
    life.push(started("r", 50, 100));
    life.push(EventKind::Phase {
        name: Phase::Distill,
    });
    life.extend((51..=55).map(|step| distilled(step, 9.)));
    let model = after(life);
    assert_eq!((model.step, loss(&model).len()), (55, 55));
    assert_eq!(loss(&model).last(), Some((55., 9.)));
    assert!(
        loss(&model)
            .nearest(50.)
            .is_some_and(|(x, y)| x == 50. && y < 1.)
    );
    assert_eq!(model.latest_accuracy().map(|e| e.step), Some(50));
}

#[test]
fn a_roll_back_forgets_what_came_after() {
    let mut life = a_run("r", 100);
    life.push(EventKind::Command(CommandAnswered::new(
        Command::RollBack { step: 50 },
        Answer::changed(100, 50),
    )));
    assert_eq!(after(life.clone()).step, 100, "it has not happened yet");
    life.push(EventKind::RolledBack { from: 100, to: 50 });
    assert_eq!(after(life.clone()).step, 50);
    life.push(distilled(51, 0.2));
    let model = after(life);
    assert_eq!((model.step, loss(&model).len()), (51, 51));
    assert_eq!(
        model.samples.iter().map(|s| s.step).collect::<Vec<_>>(),
        [0, 25, 50]
    );
    assert_eq!(
        model.accuracy[0].curves.of("mean")[0].last(),
        Some((50., 50.))
    );
    assert_eq!(model.latest_accuracy().map(|e| e.step), Some(50));
    assert_eq!(model.baselines().len(), 2);
}

#[test]
fn the_headline_leaves_the_curve_alone_and_has_its_own_baselines() {
    let mut life = a_run("r", 100);
    life.extend([
        EventKind::Phase {
            name: Phase::Evaluate,
        },
        evaluation(50, ImageSet::Distilled, 64.5),
    ]);
    let measured = after(life.clone()).baselines().len();
    assert_eq!(measured, 0, "those of the run are not to be compared");
    life.push(evaluation(50, ImageSet::Random, 27.));
    life.push(finished());
    let model = after(life);
    assert_eq!(model.accuracy[0].curves.points(), 2);
    assert_eq!(model.latest_accuracy().map(|e| e.mean), Some(64.5));
    assert!(
        model
            .baselines()
            .iter()
            .any(|b| b.labels == ImageSet::Random && b.mean == 27.),
        "one set of numbers: the headline has its own baselines"
    );
    let mut stage = AppStage::run((120, 40), "r", Vec::new());
    stage.app.context.session.as_mut().unwrap().model = model;
    for text in ["convnet test during the run", "result 64.5", "random 27"] {
        assert!(stage.screen().contains(text), "{text}: {}", stage.screen());
    }
    let model = &stage.app.context.session.as_ref().unwrap().model;
    assert_eq!(
        (model.state, model.results().len()),
        (ReportedState::Done, 3)
    );
}

#[test]
fn of_several_networks_the_first_is_shown_beside_its_own_baselines() {
    let of = |network: &str, labels, label_kind, mean| {
        EventKind::Evaluation(Evaluation {
            step: 50,
            network: network.into(),
            labels,
            label_kind,
            split: EvalSplit::Test,
            mean,
            std: 0.,
            values: vec![mean],
        })
    };
    let mut life = a_run("r", 0);
    for (network, mean) in [("convnet", 50.), ("resnet18", 40.)] {
        life.push(of(network, ImageSet::Random, LabelKind::Hard, 20.));
        life.push(of(network, ImageSet::Random, LabelKind::Soft, mean - 25.));
        life.push(of(network, ImageSet::Distilled, LabelKind::Soft, mean));
    }
    let model = after(life);
    assert_eq!(model.latest_accuracy().map(|e| e.mean), Some(50.));
    let baselines: Vec<f64> = model.baselines().iter().map(|e| e.mean).collect();
    assert_eq!(baselines, [25.]);
    // one occasion, one mark; one network, no spread
    assert_eq!(model.marks.all().len(), 1);
    let mut stage = AppStage::run((120, 40), "r", Vec::new());
    stage.app.context.session.as_mut().unwrap().model = model;
    assert!(stage.screen().contains("test 50.0 %"), "{}", stage.screen());
}

#[test]
fn accepted_commands_and_their_changes_count() {
    let command = |command, answer| EventKind::Command(CommandAnswered::new(command, answer));
    let mut life = a_run("r", 10);
    life.push(command(Command::Pause, Answer::rejected("no")));
    assert_eq!(after(life.clone()).state, ReportedState::Running);
    life.push(command(Command::Pause, Answer::accepted()));
    assert_eq!(after(life.clone()).state, ReportedState::Paused);
    life.push(command(
        Command::Set {
            edit: "distill.iterations=200".into(),
        },
        Answer::changed(100, 200),
    ));
    let model = after(life);
    assert_eq!(model.iterations, 200);
    let last = model.log.backwards().next().unwrap();
    assert_eq!(
        (last.weight, last.text.as_str()),
        (
            Weight::Command,
            "set distill.iterations=200: accepted: 100 -> 200"
        )
    );
}

#[test]
fn experts_from_the_store_and_trained_ones_look_the_same() {
    let trained = after((0..5).map(|e| epoch(0, e)).collect());
    let records = (0..5).map(|e| match epoch(0, e) {
        EventKind::ExpertEpoch(epoch) => epoch.record,
        _ => unreachable!(),
    });
    let found = after(vec![EventKind::ExpertFound(ExpertFound {
        expert: 0,
        store: "k".into(),
        epochs: records.collect(),
    })]);
    for model in [trained, found] {
        let expert = &model.experts[&0];
        assert_eq!(
            (
                expert.of("step_length")[0].len(),
                expert.of("turn")[0].len(),
                expert.of("curvature")[0].len()
            ),
            (5, 4, 4)
        );
        assert_eq!(expert.of("validation_accuracy")[0].last(), Some((5., 74.)));
    }
}

#[test]
fn progress_ends_with_what_it_was_about_and_tells_how_long_it_takes() {
    let work = |done| EventKind::Progress {
        what: "batches".into(),
        done,
        total: 10,
    };
    let model = after(vec![
        started("r", 0, 100),
        work(2),
        work(4),
        EventKind::Memory {
            host_mib: 1,
            device_mib: None,
        },
    ]);
    assert_eq!(model.work().and_then(|w| w.seconds_left()), Some(3.));
    assert!(after(vec![work(2), epoch(0, 0)]).work().is_none());
}

#[test]
fn a_warning_outlives_a_flood_of_steps() {
    let mut life = vec![EventKind::Warning {
        message: "look here".into(),
    }];
    life.extend((1..=20_000).map(|step| distilled(step, 1.)));
    let model = after(life);
    assert!(model.log.backwards().any(|l| l.text.contains("look here")));
    assert!(model.log.backwards().count() < 3_000);
    let text: Vec<String> = model.log.backwards().take(2).map(|l| l.text).collect();
    assert!(text[0].starts_with("step 20000:") && text[1].starts_with("step 19999:"));
}

#[test]
fn a_million_steps_are_taken_in_little_memory_and_time() {
    let mut model = Model::new();
    let mut event = Event {
        seq: 0,
        time: "2026-01-01T00:00:00.000Z".into(),
        what: distilled(1, 1.),
    };
    for n in 1..=1_000_000_u64 {
        event.seq = n;
        if let EventKind::DistillStep(step) = &mut event.what {
            step.step = n;
            step.matching_loss = if n == 500_000 { 1e6 } else { 1. };
        }
        model.apply(&event);
    }
    assert_eq!(loss(&model).len(), 1_000_000);
    assert_eq!(loss(&model).bounds((1., 1e6)), Some((1., 1e6)));
}

#[test]
fn a_record_with_more_of_everything_than_any_run_is_kept_in_part() {
    let mut model = Model::new();
    let mut seq = 0;
    let mut apply = |what: EventKind| {
        seq += 1;
        model.apply(&Event {
            seq,
            time: "2026-01-01T00:00:00.000Z".into(),
            what,
        });
    };
    for n in 0..30_000 {
        apply(epoch(n, 0));
        let mut judged = evaluation(n, ImageSet::Distilled, 50.);
        if let EventKind::Evaluation(judged) = &mut judged {
            judged.network = format!("network {n}");
        }
        apply(judged);
        apply(evaluation(n, ImageSet::Random, 50.));
    }
    for n in 0..150_000 {
        let file = String::from("samples/0.png");
        apply(EventKind::Checkpoint { step: n, file });
    }
    assert_eq!((model.experts.len(), model.accuracy.len()), (10_000, 100));
    assert_eq!(
        (model.evaluations.len(), model.checkpoints.len()),
        (20_000, 100_000)
    );
    assert_eq!(model.marks.all().len(), 100_000);
    assert_eq!(model.warnings, 1, "it is said once");
    let beyond = after((0..=10_000).map(|expert| epoch(expert, 0)).collect());
    let said = beyond.log.backwards().next().map(|line| line.text);
    assert!(said.is_some_and(|said| said.contains("than any run")));
}
