//! The constant-memory gradient against the full autograd graph of all student steps.
#![allow(clippy::expect_used)] // clippy takes only functions with #[test] for tests

use astill_core::profile::AugmentFamily;
use astill_core::profile::Parameters;
use astill_engine::data::Augmentation;
use astill_engine::distill::soft_labels::logit_gradient;
use astill_engine::distill::{
    Budget, Gradient, Intermediate, Labels, MatchAt, MatchingOptions, Operation, Parameterisation,
    Student, StudentStep, TrainingSet, matching_loss,
};
use astill_engine::network::{ConvNet, ConvNetConfig, Network, Norm, Pooling};
use astill_engine::random;
use tch::{Device, Kind, Tensor};

struct Problem {
    net: ConvNet,
    start: Tensor,
    targets: Vec<Tensor>,
    images: Tensor,
    labels: Labels,
    steps: Vec<StudentStep>,
}

impl Problem {
    fn set(&self) -> TrainingSet<'_> {
        TrainingSet {
            images: &self.images,
            labels: &self.labels,
            lr: LR,
        }
    }

    fn student<'a>(&'a self, set: &'a TrainingSet<'a>) -> Student<'a> {
        Student {
            net: &self.net,
            set,
            momentum: MOMENTUM,
            loss_factor: FACTOR,
        }
    }
}

/// Ten steps on mini-batches out of 12 images, every augmentation drawn at least once over the
/// seeds, in float64.
fn problem(seed: u64, norm: Norm, pooling: Pooling, size: i64, batch: usize) -> Problem {
    let net = ConvNet::new(ConvNetConfig {
        classes: CLASSES,
        width: 8,
        depth: 2,
        size,
        norm,
        pooling,
        ..ConvNetConfig::default()
    })
    .expect("fits");
    let mut rng = random::generator(seed, "adjoint test", &[]);
    let parameters = net.parameters() as usize;
    let start = net.init(&mut rng).to_kind(Kind::Double);
    let mut targets = vec![];
    let mut point = start.shallow_clone();
    for _ in 0..3 {
        point = &point + random::normal(&mut rng, parameters).to_kind(Kind::Double) * 0.01;
        targets.push(point.shallow_clone());
    }
    let images = random::normal(&mut rng, (12 * 3 * size * size) as usize)
        .view([12, 3, size, size])
        .to_kind(Kind::Double);
    let labels = (0..12).map(|i| i % CLASSES).collect::<Vec<_>>();
    let labels = Labels::Hard(Tensor::from_slice(&labels));
    let steps = (0..10)
        .map(|_| StudentStep {
            rows: Tensor::from_slice(&random::permutation(&mut rng, 12)[..batch]),
            augmentation: Augmentation::draw(&mut rng, AugmentFamily::ALL, batch, size),
        })
        .collect();
    Problem {
        net,
        start,
        targets,
        images,
        labels,
        steps,
    }
}

const CLASSES: i64 = 4;
const LR: f64 = 0.05;
const MOMENTUM: f64 = 0.9;
const FACTOR: f64 = 1.3;

/// What every published program does: the whole unroll in one graph, up to the matching loss.
fn full_graph(
    p: &Problem,
    images: &Tensor,
    labels: &Labels,
    lr: &Tensor,
    options: MatchingOptions,
) -> Tensor {
    let mut points = vec![p.start.detach().set_requires_grad(true)];
    let mut velocity: Option<Tensor> = None;
    for step in &p.steps {
        let theta = &points[points.len() - 1];
        let batch = images.index_select(0, &step.rows);
        let seen = step
            .augmentation
            .as_ref()
            .map_or_else(|| batch.shallow_clone(), |a| a.apply(&batch));
        let logits = p.net.forward(theta, &seen);
        let loss = labels.index_select(&step.rows).cross_entropy(&logits) * FACTOR;
        let g = Tensor::run_backward(&[loss], &[theta], true, true).remove(0);
        let v = match velocity {
            Some(before) => before * MOMENTUM + g,
            None => g,
        };
        let next = theta - lr * &v;
        points.push(next);
        velocity = Some(v);
    }
    matching_loss(&points, &p.targets, options).total
}

fn rate() -> Tensor {
    Tensor::from_slice(&[LR]).set_requires_grad(true)
}

/// The gradient of that by autograd.
fn full_gradient(p: &Problem, options: MatchingOptions) -> Gradient {
    let labels = match &p.labels {
        Labels::Hard(labels) => Labels::Hard(labels.shallow_clone()),
        Labels::Soft(labels) => Labels::Soft(labels.detach().set_requires_grad(true)),
    };
    let images = p.images.detach().set_requires_grad(true);
    let lr = rate();
    let total = full_graph(p, &images, &labels, &lr, options);
    let mut inputs = vec![&images, &lr];
    inputs.extend(matches!(labels, Labels::Soft(_)).then(|| labels.tensor()));
    let mut gradients = Tensor::run_backward(&[total], &inputs, false, false).into_iter();
    let mut next = || gradients.next();
    Gradient {
        images: next().expect("of the images"),
        lr: next().expect("of the rate"),
        labels: next(),
    }
}

fn relative(got: &Tensor, want: &Tensor) -> f64 {
    ((got - want.view_as(got)).norm() / want.norm()).double_value(&[])
}

/// The constant-memory gradient of the same.
fn adjoint(p: &Problem, options: MatchingOptions) -> Gradient {
    observed_adjoint(p, options, &mut 0)
}

/// The same, with the number of steps that it went back.
fn observed_adjoint(p: &Problem, options: MatchingOptions, steps_back: &mut usize) -> Gradient {
    let set = p.set();
    let student = p.student(&set);
    let mut rollout = student
        .unroll(&p.start, &p.steps, &mut |_| Ok(()))
        .expect("not stopped");
    let derivatives = matching_loss(&rollout.points, &p.targets, options).derivatives;
    student
        .adjoint(&mut rollout, &p.steps, &derivatives, &mut |operation| {
            *steps_back += usize::from(operation == Operation::Step);
            Ok(())
        })
        .expect("not stopped")
}

fn matched(intermediate: Intermediate) -> MatchingOptions {
    MatchingOptions {
        intermediate,
        ..MatchingOptions::END
    }
}

const PROBLEMS: [(u64, Norm, Pooling, Intermediate, i64, usize); 6] = [
    (1, Norm::Instance, Pooling::Avg, Intermediate::Sum, 16, 5),
    (2, Norm::Instance, Pooling::Avg, Intermediate::Ramp, 16, 5),
    (3, Norm::Layer, Pooling::Max, Intermediate::Sum, 16, 5),
    (4, Norm::Group, Pooling::Avg, Intermediate::Off, 16, 5),
    (5, Norm::None, Pooling::Avg, Intermediate::Ramp, 16, 5),
    (6, Norm::Instance, Pooling::Avg, Intermediate::Sum, 13, 7),
];

#[test]
fn the_constant_memory_gradient_is_that_of_the_full_graph() {
    for (seed, norm, pooling, intermediate, size, batch) in PROBLEMS {
        let p = problem(seed, norm, pooling, size, batch);
        let (want, got) = (
            full_gradient(&p, matched(intermediate)),
            adjoint(&p, matched(intermediate)),
        );
        let (images, lr) = (
            relative(&got.images, &want.images),
            relative(&got.lr, &want.lr),
        );
        assert!(
            images < 1e-9 && lr < 1e-9,
            "seed {seed}: images {images:.1e}, student rate {lr:.1e}"
        );
        assert!(got.images.norm().double_value(&[]) > 0.);
        assert!(got.labels.is_none());
        assert_eq!(got.images.device(), Device::Cpu);
    }
}

#[test]
fn the_same_holds_for_soft_labels_and_the_gradient_with_respect_to_them() {
    for (seed, norm, pooling, intermediate, size, batch) in PROBLEMS {
        let mut p = problem(seed, norm, pooling, size, batch);
        let mut rng = random::generator(seed, "soft labels", &[]);
        let logits = random::normal(&mut rng, 12 * CLASSES as usize).view([12, CLASSES]);
        p.labels = Labels::Soft(logits.to_kind(Kind::Double).softmax(1, None::<Kind>));
        let (want, got) = (
            full_gradient(&p, matched(intermediate)),
            adjoint(&p, matched(intermediate)),
        );
        let differences = [
            relative(&got.images, &want.images),
            relative(&got.lr, &want.lr),
            relative(
                &got.labels.expect("soft labels have a gradient"),
                &want.labels.expect("soft labels have a gradient"),
            ),
        ];
        assert!(
            differences.iter().all(|d| *d < 1e-9),
            "seed {seed}: images, student rate, labels {differences:?}"
        );
    }
}

#[test]
fn the_same_holds_for_the_nearest_point_and_with_parameters_left_out() {
    for (seed, norm, pooling, intermediate, size, batch) in PROBLEMS {
        for (at, drop) in [
            (MatchAt::Nearest, 0.),
            (MatchAt::End, 0.4),
            (MatchAt::Nearest, 0.25),
        ] {
            let mut p = problem(seed, norm, pooling, size, batch);
            let set = p.set();
            let student = p.student(&set);
            let path = student.unroll(&p.start, &p.steps, &mut |_| Ok(()));
            let near = path.expect("not stopped").points.swap_remove(7);
            let mut rng = random::generator(seed, "near the seventh point", &[]);
            let noise = random::normal(&mut rng, near.numel()).to_kind(Kind::Double);
            *p.targets.last_mut().expect("has targets") = near + noise * 1e-4;
            let options = MatchingOptions {
                intermediate,
                at,
                drop,
            };
            let mut steps_back = 0;
            let (want, got) = (
                full_gradient(&p, options),
                observed_adjoint(&p, options, &mut steps_back),
            );
            let differences = [
                relative(&got.images, &want.images),
                relative(&got.lr, &want.lr),
            ];
            assert!(
                differences.iter().all(|d| *d < 1e-9),
                "seed {seed}, {at}, {drop}: images, student rate {differences:?}"
            );
            // the way back begins at the last point that is matched
            assert_eq!(steps_back, if at == MatchAt::Nearest { 7 } else { 10 });
        }
    }
}

/// What the method learns: variables of the images, and logits of the labels.
#[test]
fn the_same_holds_for_frequencies_and_tiles_and_for_the_logits_of_soft_labels() {
    for (seed, norm, pooling, intermediate, size, batch) in PROBLEMS {
        for (kind, factor) in [(Parameters::Frequency, 3), (Parameters::Tiles, 4)] {
            if kind == Parameters::Tiles && size % 2 == 1 {
                continue;
            }
            let mut p = problem(seed, norm, pooling, size, batch);
            let real = p.images.shallow_clone();
            let budget = Budget {
                images_per_class: 12 / CLASSES as usize,
                images_per_room: factor,
                side: size,
            };
            let map = Parameterisation::new(kind, budget, CLASSES as usize, &mut |class| {
                Ok(real.roll(class as i64, 0))
            })
            .expect("fits");
            let variables = map.fit(&p.images).detach().set_requires_grad(true);
            let mut rng = random::generator(seed, "logits", &[]);
            let logits = random::normal(&mut rng, 12 * CLASSES as usize)
                .view([12, CLASSES])
                .to_kind(Kind::Double)
                .set_requires_grad(true);
            let (images, labels) = (map.images(&variables), Labels::of_logits(&logits));
            let options = matched(intermediate);
            let total = full_graph(&p, &images, &labels, &rate(), options);
            let want = Tensor::run_backward(&[total], &[&variables, &logits], false, false);

            (p.images, p.labels) = (images.detach(), Labels::of_logits(&logits.detach()));
            let got = adjoint(&p, options);
            let of_labels = got.labels.expect("soft labels have a gradient");
            let differences = [
                relative(&map.pull_back(&got.images), &want[0]),
                relative(&logit_gradient(&logits.detach(), &of_labels), &want[1]),
            ];
            assert!(
                differences.iter().all(|d| *d < 1e-9),
                "seed {seed}, {kind}: variables, logits {differences:?}"
            );
        }
    }
}

#[test]
fn soft_labels_that_name_one_class_give_the_gradient_of_hard_ones() {
    for (seed, norm, pooling, intermediate, size, batch) in PROBLEMS {
        let mut p = problem(seed, norm, pooling, size, batch);
        let hard = adjoint(&p, matched(intermediate));
        p.labels = Labels::Soft(p.labels.probabilities(CLASSES, Kind::Double));
        let soft = adjoint(&p, matched(intermediate));
        if norm == Norm::Instance {
            // the analytic passes
            assert!(
                soft.images.equal(&hard.images) && soft.lr.equal(&hard.lr),
                "seed {seed}"
            );
        }
        assert!(relative(&soft.images, &hard.images) < 1e-12, "seed {seed}");
        assert!(relative(&soft.lr, &hard.lr) < 1e-12, "seed {seed}");
    }
}

#[test]
fn a_rollout_that_is_told_to_stop_stops() {
    let p = problem(1, Norm::Instance, Pooling::Avg, 16, 5);
    let set = p.set();
    let student = p.student(&set);
    let mut calls = 0;
    let mut stop_at_third = |operation| {
        calls += usize::from(operation == Operation::Step);
        if calls == 3 {
            Err(astill_core::Error::Interrupted)
        } else {
            Ok(())
        }
    };
    assert!(matches!(
        student.unroll(&p.start, &p.steps, &mut stop_at_third),
        Err(astill_core::Error::Interrupted)
    ));
}
