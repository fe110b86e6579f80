//! The constant-memory gradient against the full autograd graph of all student steps.

use astill_engine::data::Augmentation;
use astill_engine::distill::{Intermediate, Part, Step, Student, TrainingSet, matching_loss};
use astill_engine::network::{Activation, ConvNet, Norm, Pooling};
use astill_engine::random;
use tch::{Device, Kind, Tensor};

struct Problem {
    net: ConvNet,
    start: Tensor,
    targets: Vec<Tensor>,
    images: Tensor,
    labels: Tensor,
    steps: Vec<Step>,
}

/// Ten steps on mini-batches out of 12 images, every augmentation drawn at least once over the
/// seeds, in float64.
fn problem(seed: u64, norm: Norm, pooling: Pooling, size: i64, batch: usize) -> Problem {
    let net = ConvNet::new(3, 4, 8, 2, size, norm, Activation::Relu, pooling).expect("fits");
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
    let labels = Tensor::from_slice(&(0..12i64).map(|i| i % 4).collect::<Vec<_>>());
    let steps = (0..10)
        .map(|_| Step {
            rows: Tensor::from_slice(&random::permutation(&mut rng, 12)[..batch]),
            augmentation: Some(Augmentation::draw(&mut rng, batch, size)),
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

const LR: f64 = 0.05;
const MOMENTUM: f64 = 0.9;
const FACTOR: f64 = 1.3;

/// What every published program does: the whole unroll in one graph.
fn full_graph(p: &Problem, intermediate: Intermediate) -> (Tensor, Tensor) {
    let images = p.images.detach().set_requires_grad(true);
    let lr = Tensor::from_slice(&[LR]).set_requires_grad(true);
    let mut points = vec![p.start.detach().set_requires_grad(true)];
    let mut velocity: Option<Tensor> = None;
    for step in &p.steps {
        let theta = &points[points.len() - 1];
        let batch = images.index_select(0, &step.rows);
        let seen = step
            .augmentation
            .as_ref()
            .map_or_else(|| batch.shallow_clone(), |a| a.apply(&batch));
        let loss = astill_engine::distill::cross_entropy(
            &p.net.forward(theta, &seen),
            &p.labels.index_select(0, &step.rows),
        ) * FACTOR;
        let g = Tensor::run_backward(&[loss], &[theta], true, true).remove(0);
        let v = match velocity {
            Some(before) => before * MOMENTUM + g,
            None => g,
        };
        let next = theta - &lr * &v;
        points.push(next);
        velocity = Some(v);
    }
    let total = matching_loss(&points, &p.targets, intermediate).total;
    let mut gradients = Tensor::run_backward(&[total], &[&images, &lr], false, false);
    (gradients.remove(0), gradients.remove(0))
}

fn relative(got: &Tensor, want: &Tensor) -> f64 {
    ((got - want.view_as(got)).norm() / want.norm()).double_value(&[])
}

#[test]
fn the_constant_memory_gradient_is_that_of_the_full_graph() {
    for (seed, norm, pooling, intermediate, size, batch) in [
        (1, Norm::Instance, Pooling::Avg, Intermediate::Sum, 16, 5),
        (2, Norm::Instance, Pooling::Avg, Intermediate::Ramp, 16, 5),
        (3, Norm::Layer, Pooling::Max, Intermediate::Sum, 16, 5),
        (4, Norm::Group, Pooling::Avg, Intermediate::Off, 16, 5),
        (5, Norm::None, Pooling::Avg, Intermediate::Ramp, 16, 5),
        (6, Norm::Instance, Pooling::Avg, Intermediate::Sum, 13, 7),
    ] {
        let p = problem(seed, norm, pooling, size, batch);
        let (want_images, want_lr) = full_graph(&p, intermediate);
        let set = TrainingSet {
            images: &p.images,
            labels: &p.labels,
            lr: LR,
        };
        let student = Student {
            net: &p.net,
            set: &set,
            momentum: MOMENTUM,
            loss_factor: FACTOR,
        };
        let mut rollout = student
            .unroll(&p.start, &p.steps, &mut |_| Ok(()))
            .expect("not stopped");
        let matching = matching_loss(&rollout.points, &p.targets, intermediate);
        let got = student
            .adjoint(&mut rollout, &p.steps, &matching.derivatives, &mut |_| {
                Ok(())
            })
            .expect("not stopped");
        let (images, lr) = (
            relative(&got.images, &want_images),
            relative(&got.lr, &want_lr),
        );
        assert!(
            images < 1e-9 && lr < 1e-9,
            "seed {seed}: images {images:.1e}, student rate {lr:.1e}"
        );
        assert!(got.images.norm().double_value(&[]) > 0.);
        assert_eq!(got.images.device(), Device::Cpu);
    }
}

#[test]
fn a_rollout_that_is_told_to_stop_stops() {
    let p = problem(1, Norm::Instance, Pooling::Avg, 16, 5);
    let set = TrainingSet {
        images: &p.images,
        labels: &p.labels,
        lr: LR,
    };
    let student = Student {
        net: &p.net,
        set: &set,
        momentum: MOMENTUM,
        loss_factor: FACTOR,
    };
    let mut calls = 0;
    let mut stop_at_third = |part| {
        calls += usize::from(part == Part::Step);
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
