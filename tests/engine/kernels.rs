//! The kernels for GPUs, emulated on the CPU from the same source, against the passes of the CPU and
//! against autograd, in float64.
#![allow(clippy::expect_used)] // clippy takes only functions with #[test] for tests

mod differentiated;

use astill_core::profile::AugmentFamily;
use astill_engine::data::Augmentation;
use astill_engine::data::augment::{add_gradient, augmented_rows};
use astill_engine::distill::{
    Gradient, Intermediate, Labels, MatchingOptions, Student, StudentStep, TrainingSet,
    matching_loss,
};
use astill_engine::network::{Analytic, ConvNet, ConvNetConfig, Network, WeightedBatch};
use astill_engine::random;
use differentiated::{Differentiated, Emulated, Way};
use tch::{Device, Kind, Tensor};

/// Channels, width, depth, side and number of images: with odd sides, where pooling leaves out a row
/// and a column, and planes that are no multiple of a block.
const CASES: [(i64, i64, usize, i64, i64); 4] = [
    (3, 4, 2, 16, 3),
    (3, 3, 2, 19, 2),
    (3, 5, 3, 8, 4),
    (1, 3, 2, 28, 2),
];
const CLASSES: i64 = 5;
/// Threads of a block: they share out a plane and add up together.
const THREADS: u32 = 4;

fn normal(name: &str, size: &[i64]) -> Tensor {
    let mut rng = random::generator(3, name, &[]);
    let n: i64 = size.iter().product();
    random::normal(&mut rng, n as usize)
        .to_kind(Kind::Double)
        .view(size)
}

fn assert_close(what: &str, got: &Tensor, want: &Tensor) {
    let relative = ((got - want.view_as(got)).norm() / want.norm()).double_value(&[]);
    assert!(
        relative < 1e-12,
        "{what}: relative difference {relative:.1e}"
    );
}

fn net((channels, width, depth, size, _): (i64, i64, usize, i64, i64), way: Way) -> Differentiated {
    let net = ConvNet::new(ConvNetConfig {
        channels,
        classes: CLASSES,
        width,
        depth,
        size,
        ..ConvNetConfig::default()
    })
    .expect("fits");
    Differentiated { net, way }
}

#[test]
fn derivatives_by_kernels_are_those_of_the_cpu() {
    for case in CASES {
        let (channels, _, _, size, n) = case;
        let [by_cpu, by_kernels] = [Way::Chosen, Way::Kernels(THREADS)].map(|way| net(case, way));
        let p = by_cpu.parameters();
        let mut rng = random::generator(3, "start", &[]);
        let theta = by_cpu.init(&mut rng).to_kind(Kind::Double) + normal("noise", &[p]) * 0.1;
        let direction = normal("direction", &[p]);
        let images = normal("images", &[n, channels, size, size]);
        let targets = normal("targets", &[n, CLASSES]).softmax(1, None::<Kind>);
        let batch = WeightedBatch {
            images: &images,
            targets: &targets,
            factor: 1.3,
        };
        let cpu = by_cpu.analytic(&images).expect("known");
        let kernels = by_kernels.analytic(&images).expect("known");
        let (want, got) = (
            cpu.loss_gradient(&theta, batch, 0),
            kernels.loss_gradient(&theta, batch, usize::MAX),
        );
        assert_close("gradient", &got.parameters, &want.parameters);
        assert_close("logits", &got.logits, &want.logits);
        assert_close(
            "logits alone",
            &kernels.logits(&theta, &images),
            &want.logits,
        );
        assert_eq!(got.cached.as_ref().map(|cached| cached.images), Some(n));
        let want = cpu.gradient_along(&theta, batch, &direction, None);
        for cached in [got.cached, None] {
            let got = kernels.gradient_along(&theta, batch, &direction, cached);
            assert_close("along: parameters", &got.parameters, &want.parameters);
            assert_close("along: images", &got.images, &want.images);
            assert_close("along: targets", &got.targets, &want.targets);
        }
        let square = |g: &Tensor| (g.square().sum(None::<Kind>), g * 2.);
        let along_images =
            |analytic: &dyn Analytic| analytic.input_gradient_along(&theta, &images, &square);
        let (want, got) = (along_images(cpu.as_ref()), along_images(kernels.as_ref()));
        assert_close("penalty", &got.0, &want.0);
        assert_close("along the images", &got.1, &want.1);
    }
}

#[test]
fn augmentation_by_kernels_and_its_gradient_are_those_of_libtorch() {
    let kernels = Emulated { threads: THREADS };
    for (channels, side) in [(3, 8), (1, 13), (3, 16)] {
        let images = normal("images", &[6, channels, side, side]);
        let rows = Tensor::from_slice(&[4i64, 0, 3]);
        let mut rng = random::generator(5, "draws", &[side as u64]);
        let mut draws = vec![None];
        for family in AugmentFamily::ALL {
            draws.extend((0..4).map(|_| Augmentation::draw(&mut rng, &[*family], 3, side)));
        }
        for drawn in &draws {
            let batch = images.index_select(0, &rows).set_requires_grad(true);
            let want = match drawn {
                Some(augmentation) => augmentation.apply(&batch),
                None => &batch * 1.,
            };
            let got = augmented_rows(&kernels, drawn.as_ref(), &images, &rows);
            assert_close(&format!("{drawn:?}"), &got, &want.detach());

            let d = normal("d", &want.size());
            let d_batch =
                Tensor::run_backward(&[(&want * &d).sum(None::<Kind>)], &[&batch], false, false);
            let want = images.index_add(0, &rows, &d_batch[0]);
            let mut got = images.copy();
            add_gradient(&kernels, drawn.as_ref(), &d, &rows, &mut got);
            assert_close(&format!("back: {drawn:?}"), &got, &want);
        }
    }
}

/// The gradient through eight steps on mini-batches with every family of augmentation.
fn through_steps(way: Way, is_soft: bool) -> Gradient {
    const CASE: (i64, i64, usize, i64, i64) = (3, 4, 2, 8, 12);
    let net = net(CASE, way);
    let mut rng = random::generator(7, "steps", &[]);
    let start = net.init(&mut rng).to_kind(Kind::Double);
    let targets: Vec<Tensor> = (1..3)
        .map(|i| &start + normal("target", &[net.parameters()]) * (0.01 * f64::from(i)))
        .collect();
    let images = normal("images", &[12, 3, 8, 8]);
    let labels = match is_soft {
        true => Labels::Soft(normal("labels", &[12, CLASSES]).softmax(1, None::<Kind>)),
        false => Labels::Hard(Tensor::arange(12, (Kind::Int64, Device::Cpu)).remainder(CLASSES)),
    };
    let steps: Vec<StudentStep> = (0..8)
        .map(|i| StudentStep {
            rows: Tensor::from_slice(&random::permutation(&mut rng, 12)[..5]),
            augmentation: match i {
                0 => None,
                _ => Augmentation::draw(&mut rng, &[AugmentFamily::ALL[i % 6]], 5, 8),
            },
        })
        .collect();
    let set = TrainingSet {
        images: &images,
        labels: &labels,
        lr: 0.05,
    };
    let student = Student {
        net: &net,
        set: &set,
        momentum: 0.9,
        loss_factor: 1.3,
    };
    let mut rollout = student
        .unroll(&start, &steps, &mut |_| Ok(()))
        .expect("not stopped");
    let options = MatchingOptions {
        intermediate: Intermediate::Sum,
        ..MatchingOptions::END
    };
    let derivatives = matching_loss(&rollout.points, &targets, options).derivatives;
    student
        .adjoint(&mut rollout, &steps, &derivatives, &mut |_| Ok(()))
        .expect("not stopped")
}

#[test]
fn the_gradient_through_all_steps_is_the_same_by_kernels_and_by_autograd() {
    for is_soft in [false, true] {
        let want = through_steps(Way::Chosen, is_soft);
        // one thread, as that is fast: the other tests have several in a block
        let got = through_steps(Way::Kernels(1), is_soft);
        assert_close("images", &got.images, &want.images);
        assert_close("student rate", &got.lr, &want.lr);
        assert_eq!(got.labels.is_some(), is_soft);
        if let (Some(got), Some(want)) = (&got.labels, &want.labels) {
            assert_close("labels", got, want);
        }
        let got = through_steps(Way::Autograd, is_soft);
        let difference =
            ((&got.images - &want.images).norm() / want.images.norm()).double_value(&[]);
        assert!(difference < 1e-10, "by autograd: {difference:.1e}");
    }
}
