//! The analytic derivatives against autograd, in float64.
#![allow(clippy::expect_used)] // clippy takes only functions with #[test] for tests

use astill_engine::distill::expert::{expert_gradient, expert_loss};
use astill_engine::distill::{ExpertBatch, ExpertSettings, Labels};
use astill_engine::network::{
    Activation, CachedForward, ConvNet, ConvNetConfig, Mode, Network, Norm, Pooling, WeightedBatch,
};
use astill_engine::random;
use tch::{Device, Kind, Tensor};

struct Case {
    channels: i64,
    width: i64,
    depth: usize,
    /// Of the network; of the images too, but for grey ones.
    size: i64,
    pixels: i64,
    n: i64,
}

const CASES: [Case; 6] = [
    Case {
        channels: 3,
        width: 8,
        depth: 2,
        size: 16,
        pixels: 16,
        n: 4,
    },
    // planes that are no multiple of a vector, and more than one piece
    Case {
        channels: 3,
        width: 7,
        depth: 2,
        size: 12,
        pixels: 12,
        n: 11,
    },
    // odd sides: the pooling leaves the last row and column out
    Case {
        channels: 3,
        width: 5,
        depth: 3,
        size: 19,
        pixels: 19,
        n: 6,
    },
    Case {
        channels: 3,
        width: 16,
        depth: 3,
        size: 8,
        pixels: 8,
        n: 16,
    },
    Case {
        channels: 3,
        width: 4,
        depth: 1,
        size: 9,
        pixels: 9,
        n: 1,
    },
    Case {
        channels: 1,
        width: 6,
        depth: 2,
        size: 28,
        pixels: 28,
        n: 7,
    },
];

const CLASSES: i64 = 5;
const FACTOR: f64 = 1.3;

struct Problem {
    net: ConvNet,
    theta: Tensor,
    direction: Tensor,
    images: Tensor,
    labels: Labels,
    /// Probabilities of soft labels (N, K).
    soft: Tensor,
}

fn problem(case: &Case) -> Problem {
    let Case {
        channels,
        width,
        depth,
        size,
        pixels,
        n,
    } = *case;
    let net = ConvNet::new(ConvNetConfig {
        channels,
        classes: CLASSES,
        width,
        depth,
        size,
        ..ConvNetConfig::default()
    })
    .expect("fits");
    let mut rng = random::generator(7, "tangent test", &[size as u64]);
    let mut normal = |n: i64| random::normal(&mut rng, n as usize).to_kind(Kind::Double);
    let direction = normal(net.parameters());
    let noise = normal(net.parameters()) * 0.1;
    let images = normal(n * channels * pixels * pixels).view([n, channels, pixels, pixels]);
    let theta = net
        .init(&mut random::generator(7, "tangent test", &[]))
        .to_kind(Kind::Double)
        + noise;
    let soft = normal(n * CLASSES)
        .view([n, CLASSES])
        .softmax(1, None::<Kind>);
    let labels = (0..n).map(|i| i % CLASSES).collect::<Vec<_>>();
    let labels = Labels::Hard(Tensor::from_slice(&labels));
    Problem {
        net,
        theta,
        direction,
        images,
        labels,
        soft,
    }
}

fn assert_close(what: &str, got: &Tensor, want: &Tensor) {
    let relative = ((got - want.view_as(got)).norm() / want.norm()).double_value(&[]);
    assert!(
        relative < 1e-11,
        "{what}: relative difference {relative:.1e}"
    );
}

#[test]
fn the_gradient_and_its_derivative_are_those_of_autograd() {
    for case in &CASES {
        let p = problem(case);
        for soft in [false, true] {
            let targets = if soft {
                p.soft.shallow_clone()
            } else {
                p.labels.probabilities(CLASSES, Kind::Double)
            };
            is_that_of_autograd(&p, &targets);
        }
    }
}

fn is_that_of_autograd(p: &Problem, targets: &Tensor) {
    let analytic = p.net.analytic(&p.images).expect("known");
    let variable = |t: &Tensor| t.detach().set_requires_grad(true);
    let (theta, images) = (variable(&p.theta), variable(&p.images));
    let labels = Labels::Soft(variable(targets));
    let loss = labels.cross_entropy(&p.net.forward(&theta, &images)) * FACTOR;
    let want = Tensor::run_backward(&[loss], &[&theta], true, true).remove(0);
    let along = want.dot(&p.direction);
    let want_along =
        Tensor::run_backward(&[along], &[&theta, &images, labels.tensor()], false, false);

    let batch = WeightedBatch {
        images: &p.images,
        targets,
        factor: FACTOR,
    };
    let got = analytic.loss_gradient(&p.theta, batch, usize::MAX);
    assert_close("gradient", &got.parameters, &want.detach());
    for logits in [got.logits, analytic.logits(&p.theta, &p.images)] {
        let want = p.net.forward(&p.theta, &p.images);
        assert_close("logits", &logits, &want);
    }
    let (n, budget) = (p.images.size()[0], analytic.cache_bytes(&p.images) / 2);
    let some = analytic.loss_gradient(&p.theta, batch, budget).cached;
    let none = analytic.loss_gradient(&p.theta, batch, 0).cached;
    let images = |cached: &Option<CachedForward>| cached.as_ref().map_or(0, |c| c.images);
    assert_eq!((images(&got.cached), images(&none)), (n, 0));
    // by pieces of five images
    assert_eq!(images(&some) > 0, n > 5);
    let of_image = analytic.cache_bytes(&p.images.narrow(0, 0, 1));
    assert!(images(&some) as usize * of_image <= budget);
    for cached in [got.cached, some, None] {
        let along = analytic.gradient_along(&p.theta, batch, &p.direction, cached);
        assert_close("along: parameters", &along.parameters, &want_along[0]);
        assert_close("along: images", &along.images, &want_along[1]);
        assert_close("along: targets", &along.targets, &want_along[2]);
    }
}

#[test]
fn the_expert_s_gradient_is_that_of_autograd_with_the_penalty() {
    for case in &CASES {
        let p = problem(case);
        let augmented = p.images.flip([3]);
        for gradient_penalty in [2., 0.] {
            let settings = ExpertSettings {
                clipping: true,
                gradient_penalty,
                ..ExpertSettings::default()
            };
            let batch = ExpertBatch {
                augmented: &augmented,
                images: &p.images,
                labels: &p.labels,
                mode: Mode::Train,
            };
            let theta = p.theta.detach().set_requires_grad(true);
            let want = expert_loss(&p.net, &theta, batch, &settings, 3);
            let d = Tensor::run_backward(&[&want.total], &[&theta], false, false).remove(0);
            let got = expert_gradient(&p.net, &p.theta, batch, &settings, 3);
            assert_close("gradient", &got.gradient, &d);
            assert_close("cross-entropy", &got.cross_entropy, &want.cross_entropy);
            assert!((got.penalty - want.penalty).abs().double_value(&[]) < 1e-11);
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let p = problem(&CASES[1]);
    let [theta, direction, images, targets] =
        [&p.theta, &p.direction, &p.images, &p.soft].map(|t| t.to_kind(Kind::Float));
    let batch = WeightedBatch {
        images: &images,
        targets: &targets,
        factor: FACTOR,
    };
    let with = |threads: i32| {
        tch::set_num_threads(threads);
        let analytic = p.net.analytic(&images).expect("known");
        let gradient = analytic.loss_gradient(&theta, batch, 0).parameters;
        let along = analytic.gradient_along(&theta, batch, &direction, None);
        drop(analytic);
        assert_eq!(tch::get_num_threads(), threads);
        [gradient, along.parameters, along.images, along.targets]
    };
    let alone = with(1);
    for threads in [2, 3] {
        let same = with(threads).iter().zip(&alone).all(|(a, b)| a.equal(b));
        assert!(same, "{threads} threads");
    }
}

#[test]
fn an_image_that_is_not_a_number_makes_the_gradient_so() {
    let p = problem(&CASES[0]);
    let _ = p.images.get(1).fill_(f64::NAN);
    let batch = WeightedBatch {
        images: &p.images,
        targets: &p.soft,
        factor: FACTOR,
    };
    let analytic = p.net.analytic(&p.images).expect("known");
    let gradient = analytic.loss_gradient(&p.theta, batch, 0).parameters;
    assert_eq!(gradient.isnan().any().int64_value(&[]), 1);
}

#[test]
fn other_networks_are_left_to_autograd() {
    let images = Tensor::zeros([2, 3, 16, 16], (Kind::Float, Device::Cpu));
    let net = |norm, activation, pooling| {
        ConvNet::new(ConvNetConfig {
            classes: 4,
            width: 8,
            depth: 2,
            size: 16,
            norm,
            activation,
            pooling,
            ..ConvNetConfig::default()
        })
        .expect("fits")
    };
    assert!(
        net(Norm::Instance, Activation::Relu, Pooling::Avg)
            .analytic(&images)
            .is_some()
    );
    for other in [
        net(Norm::Group, Activation::Relu, Pooling::Avg),
        net(Norm::Instance, Activation::Sigmoid, Pooling::Avg),
        net(Norm::Instance, Activation::Relu, Pooling::Max),
    ] {
        assert!(other.analytic(&images).is_none());
    }
}
