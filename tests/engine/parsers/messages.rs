//! Messages between an engine and its workers.

use super::Parser;
use astill_engine::distill::found::Outcome;
use astill_engine::distill::iteration::{Segment, Settings};
use astill_engine::distill::perturb::PerturbationStatistics;
use astill_engine::network::Weights;
use astill_engine::tensor_file::Tensors;
use astill_engine::wire::{self, FromWorker, Greeting, NetworkTask, ToWorker};
use tch::{Device, Kind, Tensor};

/// What a worker sends to the engine.
pub fn from_worker() -> Parser {
    let outcome = Outcome {
        matching_loss: 1.,
        final_ratio: 0.9,
        intermediate: vec![0.5],
        reach: 0.4,
        alignment: 0.5,
        balance_factor: 1.,
        perturbation: PerturbationStatistics {
            relative: 0.1,
            per_layer: vec![0.1],
        },
        gradient: Tensor::ones([1, 1, 2, 2], (Kind::Float, Device::Cpu)),
        label_gradient: Some(Tensor::ones([1, 2], (Kind::Float, Device::Cpu))),
        image_gradient: 2.,
        lr_gradient: 3.,
        curvature: 4.,
        nearest: 5.,
    };
    let tensors = wire::outcome_tensors(&outcome);
    let tensors: Vec<(&str, &Tensor)> = tensors.iter().map(|(name, t)| (*name, t)).collect();
    let record = astill_core::run::event::SegmentStep::default();
    let greeting = Greeting {
        token: "t".into(),
        version: "0".into(),
        name: "n".into(),
    };
    let frame = |message: &FromWorker, tensors| wire::frame(message, tensors).expect("is encoded");
    let weights = Weights {
        theta: Tensor::ones([7], (Kind::Float, Device::Cpu)),
        running: Tensor::zeros([0], (Kind::Float, Device::Cpu)),
    };
    let trained = wire::weight_tensors(&weights);
    let valid = vec![
        frame(&FromWorker::Solved { record }, &tensors),
        frame(&FromWorker::Trained, &trained),
    ];
    let odd = vec![
        frame(&FromWorker::Ready, &[]),
        frame(&FromWorker::Failed("why".into()), &[]),
        wire::frame(&greeting, &[]).expect("is encoded"),
        u64::MAX.to_le_bytes().to_vec(),
        (1_u64 << 34).to_le_bytes().to_vec(),
    ];
    Parser {
        name: "a worker's message".into(),
        valid,
        odd,
        parse: Box::new(|mut input| {
            let _ = wire::receive::<Greeting>(&mut &*input, wire::LONGEST_GREETING);
            let Ok((message, mut tensors)) = wire::receive(&mut input, wire::LONGEST) else {
                return false;
            };
            match message {
                FromWorker::Solved { .. } => wire::outcome(&mut tensors).is_ok(),
                FromWorker::Trained => wire::weights(&mut tensors).is_ok(),
                FromWorker::Ready | FromWorker::Failed(_) => false,
            }
        }),
        load: None,
    }
}

/// What an engine sends to a worker.
pub fn to_worker() -> Parser {
    let settings = Settings {
        syn_steps: 2,
        momentum: 0.9,
        balance: true,
        segments: 2,
        ..Settings::plain()
    };
    let network = NetworkTask {
        network: "convnet".into(),
        index: [0, 5, 2],
    };
    let segment = Segment::first(1, 2);
    let images = Tensor::ones([1, 1, 2, 2], (Kind::Float, Device::Cpu));
    let rate = Tensor::from_slice(&[0.5]);
    let tensors = [("images", &images), ("labels", &rate), ("lr", &rate)];
    let frame = |message: &ToWorker, tensors| wire::frame(message, tensors).expect("is encoded");
    let valid = vec![
        frame(&ToWorker::Segment { segment, settings }, &[]),
        frame(&ToWorker::Set { is_soft: true }, &tensors),
        frame(&ToWorker::Network(network), &[]),
        frame(&ToWorker::End, &[]),
    ];
    Parser {
        name: "an engine's message".into(),
        valid,
        odd: Vec::new(),
        parse: Box::new(|mut input| {
            let received: Result<(ToWorker, Tensors), _> = wire::receive(&mut input, wire::LONGEST);
            received.is_ok_and(|(_, mut tensors)| {
                let _ = wire::numbers(&mut tensors, "lr");
                true
            })
        }),
        load: None,
    }
}
