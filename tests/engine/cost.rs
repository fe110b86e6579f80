//! What an iteration costs, in passes through the network, which hold all its convolutions.
#![allow(clippy::expect_used)] // clippy takes only functions with #[test] for tests

use astill_core::profile::AugmentFamily;
use astill_engine::distill::iteration::{Draw, DrawSizes, Iteration, Segment, Settings};
use astill_engine::distill::soft_labels::{expert_logits, initial_logits, logit_gradient};
use astill_engine::distill::{Intermediate, Labels, MatchAt, MatchingOptions, TrainingSet};
use astill_engine::network::{
    Analytic, CachedForward, ConvNet, ConvNetConfig, DirectionalDerivative, LossGradient, Mode,
    Network, Norm, WeightedBatch, Weights,
};
use astill_engine::random;
use rand_chacha::ChaCha8Rng;
use std::cell::RefCell;
use std::ops::ControlFlow;
use tch::{Device, Kind, Tensor};

/// A pass: which one, of how many images, and of how many of them the first half was cached.
type Pass = (&'static str, i64, i64);

/// A network that writes down every pass through it.
#[derive(Debug)]
struct Counted {
    net: ConvNet,
    passes: RefCell<Vec<Pass>>,
}

impl Counted {
    fn new(norm: Norm) -> Self {
        let net = ConvNet::new(ConvNetConfig {
            classes: CLASSES,
            width: 8,
            depth: 2,
            size: 8,
            norm,
            ..ConvNetConfig::default()
        })
        .expect("fits");
        Self {
            net,
            passes: RefCell::default(),
        }
    }

    fn note(&self, pass: &'static str, images: &Tensor, cached: i64) {
        self.passes
            .borrow_mut()
            .push((pass, images.size()[0], cached));
    }
}

impl Network for Counted {
    fn parameters(&self) -> i64 {
        self.net.parameters()
    }

    fn classes(&self) -> i64 {
        self.net.classes()
    }

    fn init(&self, rng: &mut ChaCha8Rng) -> Tensor {
        self.net.init(rng)
    }

    fn shapes(&self) -> Vec<Vec<i64>> {
        self.net.shapes()
    }

    fn conv_outputs(&self) -> Vec<i64> {
        self.net.conv_outputs()
    }

    fn forward_in(&self, mode: Mode<'_>, theta: &Tensor, images: &Tensor) -> Tensor {
        self.note("forward", images, 0);
        self.net.forward_in(mode, theta, images)
    }

    fn conv_weights(&self, flat: &Tensor) -> Vec<Tensor> {
        self.net.conv_weights(flat)
    }

    fn mirrored(&self, theta: &Tensor) -> Tensor {
        self.net.mirrored(theta)
    }

    fn analytic(&self, images: &Tensor) -> Option<Box<dyn Analytic + '_>> {
        let passes = self.net.analytic(images)?;
        Some(Box::new(CountedPasses { net: self, passes }))
    }
}

#[derive(Debug)]
struct CountedPasses<'a> {
    net: &'a Counted,
    passes: Box<dyn Analytic + 'a>,
}

impl Analytic for CountedPasses<'_> {
    fn loss_gradient(
        &self,
        theta: &Tensor,
        batch: WeightedBatch<'_>,
        budget_bytes: usize,
    ) -> LossGradient {
        self.net.note("gradient", batch.images, 0);
        self.passes.loss_gradient(theta, batch, budget_bytes)
    }

    fn logits(&self, theta: &Tensor, images: &Tensor) -> Tensor {
        self.net.note("logits", images, 0);
        self.passes.logits(theta, images)
    }

    fn gradient_along(
        &self,
        theta: &Tensor,
        batch: WeightedBatch<'_>,
        direction: &Tensor,
        cached: Option<CachedForward>,
    ) -> DirectionalDerivative {
        let images = cached.as_ref().map_or(0, |cached| cached.images);
        self.net.note("gradient along", batch.images, images);
        self.passes.gradient_along(theta, batch, direction, cached)
    }

    fn input_gradient_along(
        &self,
        theta: &Tensor,
        images: &Tensor,
        function: &(dyn Fn(&Tensor) -> (Tensor, Tensor) + Sync),
    ) -> (Tensor, Tensor) {
        self.net.note("input gradient along", images, 0);
        self.passes.input_gradient_along(theta, images, function)
    }

    fn cache_bytes(&self, images: &Tensor) -> usize {
        self.passes.cache_bytes(images)
    }
}

const CLASSES: i64 = 4;
const IMAGES: i64 = 12;
const STEPS: usize = 6;

fn settings(at: MatchAt) -> Settings {
    Settings {
        syn_steps: STEPS,
        expert_epochs: 2,
        batch: Some(5),
        momentum: 0.9,
        balance: true,
        augment: AugmentFamily::ALL.to_vec(),
        matching: MatchingOptions {
            intermediate: if at == MatchAt::End {
                Intermediate::Sum
            } else {
                Intermediate::Off
            },
            at,
            drop: 0.,
        },
        perturbation: 1.,
        ..Settings::plain()
    }
}

/// The passes of one iteration and the update of the labels after it, and its nearest point.
fn passes(norm: Norm, soft: bool, settings: &Settings) -> (Vec<Pass>, usize) {
    let net = Counted::new(norm);
    let mut rng = random::generator(3, "cost", &[]);
    let start = net.init(&mut rng);
    let mut walk = || random::normal(&mut rng, start.numel()) * 0.01;
    let checkpoints = [start.shallow_clone(), &start + walk(), &start + walk()];
    let experts = checkpoints.each_ref().map(|theta| Weights {
        theta: theta.shallow_clone(),
        running: net.init_running(),
    });
    let images = random::normal(&mut rng, (IMAGES * 3 * 8 * 8) as usize).view([IMAGES, 3, 8, 8]);
    let classes = Tensor::arange(IMAGES, (Kind::Int64, Device::Cpu)).remainder(CLASSES);
    let logits = initial_logits(&expert_logits(&net.net, &experts, &images), &classes);
    let labels = if soft {
        Labels::of_logits(&logits)
    } else {
        Labels::Hard(classes)
    };
    let sizes = DrawSizes::of(&net, 1, &images);
    let (outcome, _) = Iteration {
        net: &net,
        checkpoints: &checkpoints,
        set: &TrainingSet {
            images: &images,
            labels: &labels,
            lr: 0.02,
        },
        settings,
        draw: &Draw::new(settings, sizes, Segment::first(1, 0)),
    }
    .align(&mut |_| ControlFlow::Continue(()))
    .expect("not stopped")
    .read(&[]);
    assert_eq!(outcome.label_gradient.is_some(), soft);
    if let Some(derivative) = &outcome.label_gradient {
        let gradient = logit_gradient(&logits, derivative);
        assert!(gradient.norm().double_value(&[]) > 0.);
    }
    (net.passes.take(), outcome.nearest as usize)
}

#[test]
fn soft_labels_cost_no_pass_more_than_hard_ones() {
    for norm in [Norm::Instance, Norm::Group] {
        let settings = settings(MatchAt::End);
        let (hard, _) = passes(norm, false, &settings);
        assert_eq!(passes(norm, true, &settings).0, hard, "{norm}");
        assert_eq!(hard.len(), 2 * STEPS, "{norm}: there and back");
    }
}

#[test]
fn the_way_back_from_the_nearest_point_has_no_pass_after_it() {
    for norm in [Norm::Instance, Norm::Group] {
        let (found, nearest) = passes(norm, false, &settings(MatchAt::Nearest));
        assert_eq!(found.len(), STEPS + nearest, "{norm}");
        assert!(nearest < STEPS, "{norm}: nothing is saved in this test");
    }
}
