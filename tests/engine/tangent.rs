//! The derivatives by hand against autograd, in float64.

use astill_engine::distill::Recipe;
use astill_engine::distill::expert::{expert_gradient, expert_loss};
use astill_engine::network::{Activation, Batch, CachedForward, ConvNet, Norm, Pooling};
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
        size: 32,
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
    labels: Tensor,
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
    let net = ConvNet::new(
        channels,
        CLASSES,
        width,
        depth,
        size,
        Norm::Instance,
        Activation::Relu,
        Pooling::Avg,
    )
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
    let labels = Tensor::from_slice(&(0..n).map(|i| i % CLASSES).collect::<Vec<_>>());
    Problem {
        net,
        theta,
        direction,
        images,
        labels,
    }
}

fn assert_close(what: &str, got: &Tensor, want: &Tensor) {
    let relative = ((got - want.view_as(got)).norm() / want.norm()).double_value(&[]);
    assert!(
        relative < 1e-11,
        "{what}: relative difference {relative:.1e}"
    );
}

fn mean_loss(p: &Problem, theta: &Tensor, images: &Tensor) -> Tensor {
    astill_engine::distill::cross_entropy(&p.net.forward(theta, images), &p.labels) * FACTOR
}

#[test]
fn the_gradient_and_its_derivative_are_those_of_autograd() {
    for case in &CASES {
        let p = problem(case);
        let hand = p.net.analytic(&p.images).expect("known");
        let (theta, images) = (
            p.theta.detach().set_requires_grad(true),
            p.images.detach().set_requires_grad(true),
        );
        let want = Tensor::run_backward(&[mean_loss(&p, &theta, &images)], &[&theta], true, true)
            .remove(0);
        let want_along =
            Tensor::run_backward(&[want.dot(&p.direction)], &[&theta, &images], false, false);

        let batch = Batch {
            images: &p.images,
            labels: &p.labels,
            factor: FACTOR,
        };
        let got = hand.loss_gradient(&p.theta, batch, usize::MAX);
        assert_close("gradient", &got.parameters, &want.detach());
        for logits in [got.logits, hand.logits(&p.theta, &p.images)] {
            assert_close("logits", &logits, &p.net.forward(&p.theta, &p.images));
        }
        let (n, room) = (p.images.size()[0], hand.kept_bytes(&p.images) / 2);
        let some = hand.loss_gradient(&p.theta, batch, room).kept;
        let images = |kept: &Option<CachedForward>| kept.as_ref().map_or(0, |kept| kept.images);
        assert_eq!(
            (
                images(&got.kept),
                images(&hand.loss_gradient(&p.theta, batch, 0).kept)
            ),
            (n, 0)
        );
        // by pieces of five images
        assert_eq!(images(&some) > 0, n > 5);
        assert!(images(&some) as usize * hand.kept_bytes(&p.images.narrow(0, 0, 1)) <= room);
        for kept in [got.kept, some, None] {
            let (d_theta, d_images) = hand.gradient_along(&p.theta, batch, &p.direction, kept);
            assert_close("in the parameters", &d_theta, &want_along[0]);
            assert_close("in the images", &d_images, &want_along[1]);
        }
    }
}

#[test]
fn the_expert_s_gradient_is_that_of_autograd_with_the_penalty() {
    for case in &CASES {
        let p = problem(case);
        let augmented = p.images.flip([3]);
        for gradient_penalty in [2., 0.] {
            let recipe = Recipe {
                epochs: 9,
                batch: 64,
                lr: 0.1,
                momentum: 0.9,
                weight_decay: 0.,
                clipping: true,
                gradient_penalty,
            };
            let theta = p.theta.detach().set_requires_grad(true);
            let want = expert_loss(&p.net, &theta, &augmented, &p.images, &p.labels, 3, &recipe);
            let d = Tensor::run_backward(&[&want.total], &[&theta], false, false).remove(0);
            let got = expert_gradient(
                &p.net, &p.theta, &augmented, &p.images, &p.labels, 3, &recipe,
            );
            assert_close("gradient", &got.gradient, &d);
            assert_close("cross-entropy", &got.cross_entropy, &want.cross_entropy);
            assert!((got.penalty - want.penalty).abs().double_value(&[]) < 1e-11);
        }
    }
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let p = problem(&CASES[1]);
    let [theta, direction, images] =
        [&p.theta, &p.direction, &p.images].map(|t| t.to_kind(Kind::Float));
    let batch = Batch {
        images: &images,
        labels: &p.labels,
        factor: FACTOR,
    };
    let with = |threads: i32| {
        tch::set_num_threads(threads);
        let hand = p.net.analytic(&images).expect("known");
        let gradient = hand.loss_gradient(&theta, batch, 0).parameters;
        let along = hand.gradient_along(&theta, batch, &direction, None);
        drop(hand);
        assert_eq!(tch::get_num_threads(), threads);
        (gradient, along)
    };
    let (gradient, (d_theta, d_images)) = with(1);
    for threads in [2, 3] {
        let (g, (t, i)) = with(threads);
        assert!(
            g.equal(&gradient) && t.equal(&d_theta) && i.equal(&d_images),
            "{threads} threads"
        );
    }
}

#[test]
fn an_image_that_is_not_a_number_makes_the_gradient_so() {
    let p = problem(&CASES[0]);
    let _ = p.images.get(1).fill_(f64::NAN);
    let batch = Batch {
        images: &p.images,
        labels: &p.labels,
        factor: FACTOR,
    };
    let hand = p.net.analytic(&p.images).expect("known");
    assert!(
        hand.loss_gradient(&p.theta, batch, 0)
            .parameters
            .isnan()
            .any()
            .int64_value(&[])
            == 1
    );
}

#[test]
fn other_networks_are_left_to_autograd() {
    let images = Tensor::zeros([2, 3, 16, 16], (Kind::Float, Device::Cpu));
    let net = |norm, activation, pooling| {
        ConvNet::new(3, 4, 8, 2, 16, norm, activation, pooling).expect("fits")
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
