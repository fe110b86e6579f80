//! The life of a run, as events.

use crate::tui::picture::Picture;
use astill_core::EpochRecord;
use astill_core::profile::LabelKind;
use astill_core::run::command::{Answer, Command};
use astill_core::run::event::{
    CommandAnswered, DatasetLoaded, DistillStep, EvalSplit, Evaluation, Event, EventKind,
    ExpertEpoch, Headline, ImageSet, Perturbation, Phase, RunFinished, RunOutcome, RunStarted,
};

/// Events, numbered and a second apart.
pub fn events(whats: Vec<EventKind>) -> Vec<Event> {
    let time = |i: u64| {
        format!(
            "2026-01-01T{:02}:{:02}:{:02}.000Z",
            i / 3600 % 24,
            i / 60 % 60,
            i % 60
        )
    };
    (0..)
        .zip(whats)
        .map(|(seq, what)| Event {
            seq,
            time: time(seq),
            what,
        })
        .collect()
}

pub fn started(name: &str, step: u64, iterations: u64) -> EventKind {
    EventKind::RunStarted(RunStarted {
        run: name.into(),
        profile: "shapes".into(),
        seed: 0,
        device: "cpu".into(),
        threads: 2,
        version: "0.1.0".into(),
        process: 4711,
        data: "/data".into(),
        folder: "/data/shapes".into(),
        step,
        iterations,
        oom_kills: None,
        settings: None,
    })
}

pub fn dataset(classes: &[&str]) -> EventKind {
    let classes = classes.iter().map(|c| c.to_string()).collect();
    EventKind::Dataset(DatasetLoaded {
        classes,
        train: 1800,
        validation: 200,
        test: 1000,
        size: 8,
        normalisation: "channels".into(),
        left_out: Vec::new(),
        notes: Vec::new(),
        warnings: Vec::new(),
        content: String::new(),
    })
}

pub fn epoch(expert: u64, epoch: u64) -> EventKind {
    let e = epoch as f64;
    let record = EpochRecord {
        train_loss: 2. / (e + 1.),
        train_accuracy: 40. + 10. * e,
        validation_accuracy: Some(38. + 9. * e + expert as f64),
        clip_factor: 1.,
        gradient_penalty: 0.3,
        step_length: 3. / (e + 1.),
        turn: (epoch > 0).then_some(0.2 + 0.1 * e),
        curvature: (epoch > 0).then_some(2. / (e + 1.) + expert as f64 * 0.1),
        tortuosity: 1.2,
    };
    EventKind::ExpertEpoch(ExpertEpoch {
        expert,
        epoch,
        record,
        seconds: 2.,
    })
}

pub fn distilled(step: u64, loss: f64) -> EventKind {
    EventKind::DistillStep(DistillStep {
        step,
        expert: 0,
        start_epoch: 1,
        matching_loss: loss,
        final_ratio: loss * 0.6,
        intermediate: vec![loss * 0.4],
        student_lr: 0.01 + step as f64 * 1e-5,
        perturbation: Perturbation {
            relative: 0.06,
            per_layer: vec![0.05, 0.06, 0.07],
        },
        reach: 0.5 + step as f64 * 1e-3,
        alignment: 0.6,
        image_gradient: 0.02,
        nearest: 9.,
        best_ratio: vec![0.9, 0.8],
        image_scale: 1.2,
        start_part: 0,
        mirrored: false,
        seconds: 0.5,
        ..DistillStep::default()
    })
}

pub fn evaluation(step: u64, labels: ImageSet, mean: f64) -> EventKind {
    EventKind::Evaluation(Evaluation {
        step,
        network: "convnet".into(),
        labels,
        label_kind: LabelKind::Hard,
        split: EvalSplit::Test,
        mean,
        std: 0.5,
        values: vec![mean; 3],
    })
}

pub fn headline(labels: ImageSet, mean: f64) -> Headline {
    Headline {
        network: "convnet".into(),
        labels,
        label_kind: LabelKind::Hard,
        mean,
        std: 0.5,
        values: vec![mean; 5],
    }
}

pub fn finished() -> EventKind {
    let result = headline;
    EventKind::RunFinished(RunFinished {
        status: RunOutcome::Done,
        reason: None,
        best_step: Some(100),
        best_validation: Some(61.),
        results: vec![
            result(ImageSet::Distilled, 64.5),
            result(ImageSet::Random, 26.1),
            result(ImageSet::Representative, 31.),
        ],
        paper_style_max: Some(60.),
        cautions: Vec::new(),
        file: Some("distilled/best.safetensors".into()),
        seconds: 110.,
    })
}

/// The last phase of a run: what its result was measured from, and its end.
pub fn ending() -> Vec<EventKind> {
    vec![
        EventKind::Phase {
            name: Phase::Evaluate,
        },
        evaluation(100, ImageSet::Distilled, 64.5),
        evaluation(100, ImageSet::Random, 26.1),
        evaluation(100, ImageSet::Representative, 31.),
        finished(),
    ]
}

/// A run up to and with `steps` distillation steps of 100, with two experts and pictures every 25
/// steps.
pub fn a_run(name: &str, steps: u64) -> Vec<EventKind> {
    let mut all = vec![
        started(name, 0, 100),
        EventKind::Phase { name: Phase::Data },
        dataset(&["circle", "square", "triangle", "cross"]),
        EventKind::Phase {
            name: Phase::Experts,
        },
    ];
    all.extend((0..2).flat_map(|expert| (0..5).map(move |e| epoch(expert, e))));
    all.push(EventKind::Phase { name: Phase::Init });
    all.push(EventKind::Samples {
        step: 0,
        file: "samples/step_00000.png".into(),
    });
    all.push(evaluation(0, ImageSet::Random, 26.1));
    all.push(evaluation(0, ImageSet::Representative, 31.));
    all.push(EventKind::Phase {
        name: Phase::Distill,
    });
    for step in 1..=steps {
        all.push(distilled(step, 0.3 + 0.7 * (-(step as f64) / 30.).exp()));
        if step % 25 == 0 {
            all.push(EventKind::Samples {
                step,
                file: format!("samples/step_{step:05}.png"),
            });
        }
        if step % 50 == 0 {
            all.push(EventKind::Checkpoint {
                step,
                file: format!("checkpoints/step_{step:05}.safetensors"),
            });
            all.push(EventKind::Memory {
                host_mib: 612,
                device_mib: None,
            });
            all.push(evaluation(
                step,
                ImageSet::Distilled,
                40. + step as f64 / 5.,
            ));
        }
    }
    all
}

/// Images of 8 pixels in the colours of their class: one row per class, `columns` of each.
pub fn picture(classes: usize, columns: usize) -> Picture {
    let (width, height) = (columns * 8, classes * 8);
    let rgb = (0..width * height).flat_map(|i| {
        let (x, y) = (i % width, i / width);
        [
            (x * 255 / width) as u8,
            (y * 255 / height) as u8,
            if (x + y) % 8 < 4 { 200 } else { 40 },
        ]
    });
    Picture {
        width,
        height,
        rgb: rgb.collect(),
    }
}

/// A command that the engine has accepted.
pub fn accepted(command: Command) -> EventKind {
    EventKind::Command(CommandAnswered::new(command, Answer::accepted()))
}
