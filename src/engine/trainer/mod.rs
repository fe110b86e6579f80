//! A run from its first phase to its last: data, experts, init, distill, evaluate.

pub mod checkpoint;
mod control;
mod distillation;
mod divergence;
mod evaluation;
mod experts;
mod picture;
mod recorder;
pub mod store;
mod thread;

pub use control::Request;
pub use thread::{Engine, TRAINER_THREAD};

use self::checkpoint::{DistillationState, StateNumbers};
use self::control::{Control, Stage};
use self::distillation::Distillation;
use self::evaluation::{Evaluator, Occasion};
use self::experts::Training;
use crate::data::{self, Dataset, Normalisation};
use crate::device;
use crate::distill::{Init, Labels, TrainingSet, evaluate, representatives};
use crate::network::{self, Network, Task};
use crate::{random, tensor_file};
use astill_core::profile::Profile;
use astill_core::run::edits::Moment;
use astill_core::run::event::{
    DatasetLoaded, EvalSplit, EventKind, Headline, ImageSet, Phase, RunFinished, RunOutcome,
    RunStarted,
};
use astill_core::run::{RunDir, checkpoints};
use astill_core::{Error, Result};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tch::{Device, Tensor};

/// More than any machine has; a record that names more is not to be believed.
const MOST_THREADS: i64 = 4096;

/// A run that is to be started or resumed.
#[derive(Debug)]
pub struct Plan {
    pub run: RunDir,
    pub profile_name: String,
    pub profile: Profile,
    /// Where caches and trajectories are.
    pub data: PathBuf,
    /// The folder of the data set.
    pub folder: PathBuf,
    pub device: Device,
    /// Intra-op threads; libtorch's own choice if none.
    pub threads: Option<i64>,
    /// Somebody can answer when the run pauses by itself: it is not a batch job.
    pub attended: bool,
}

/// The folder of a profile's data set, with `data` as the folder of data sets.
pub fn data_folder(profile: &Profile, data: &Path) -> PathBuf {
    match &profile.dataset.path {
        // a relative path is looked for where the user stands, then among the data sets
        Some(path) if path.is_relative() && !path.exists() => data.join(path),
        Some(path) => std::path::absolute(path).unwrap_or_else(|_| path.clone()),
        None => data.join(kind_name(profile.dataset.kind)),
    }
}

/// What to load for a profile: its data set in `folder`, with a cache in `data`.
pub fn data_request(profile: &Profile, folder: &Path, data: &Path) -> data::DatasetRequest {
    let set = &profile.dataset;
    data::DatasetRequest {
        kind: set.kind,
        folder: folder.to_path_buf(),
        size: set.size,
        train_limit: set.train_limit,
        validation: set.validation,
        zca: set.zca,
        seed: profile.seed,
        unreadable: set.unreadable,
        cache: data.join("cache"),
    }
}

fn kind_name(kind: data::Kind) -> String {
    json!(kind).as_str().unwrap_or_default().to_string()
}

/// The network of a profile for a data set with `classes` classes. Errors: an image too small for
/// the depth.
pub fn network(profile: &Profile, classes: usize) -> Result<Box<dyn Network>> {
    network::distilled_with(&profile.network, task(profile, classes))
}

fn task(profile: &Profile, classes: usize) -> Task {
    Task {
        channels: 3,
        size: profile.dataset.size,
        classes: classes as i64,
    }
}

/// Does the whole run, or what is left of it.
pub fn run(plan: &Plan, control: &mut Control) -> Result<()> {
    let begin = Instant::now();
    // set even where it is libtorch's own choice: setting it also ends MKL's own choice, and a
    // resumed run must not differ
    tch::set_num_threads(
        plan.threads
            .map_or_else(tch::get_num_threads, |t| t.clamp(1, MOST_THREADS) as i32),
    );
    device::allow_tf32(plan.profile.network.tf32);
    let (saved, damaged) = DistillationState::load(plan.run.path(), plan.device)?;
    let profile = &plan.profile;
    control.record(EventKind::RunStarted(RunStarted {
        run: plan.run.name(),
        profile: plan.profile_name.clone(),
        seed: profile.seed,
        device: device::name(plan.device),
        threads: i64::from(tch::get_num_threads()),
        version: env!("CARGO_PKG_VERSION").into(),
        process: std::process::id(),
        data: plan.data.to_string_lossy().into_owned(),
        folder: plan.folder.to_string_lossy().into_owned(),
        step: saved.as_ref().map_or(0, |s| s.numbers.step),
        iterations: control
            .profile_at(Moment::Step(u64::MAX))?
            .distill
            .iterations as u64,
    }))?;
    if let Some(state) = &saved {
        control.resume_at(state.numbers.step);
    }
    for problem in damaged {
        let step = saved.as_ref().map_or(0, |s| s.numbers.step);
        control.warn(format!(
            "{problem}; the run goes on from step {step}, nothing else is lost"
        ))?;
    }

    phase(Phase::Data, Stage::Data, control)?;
    let dataset = load(plan, control)?;
    let net = network(profile, dataset.classes.len())?;
    let net = net.as_ref();

    phase(
        Phase::Experts,
        Stage::Experts {
            next: Moment::Expert {
                expert: 0,
                epoch: 0,
            },
        },
        control,
    )?;
    control.set_classes(
        dataset.classes.clone(),
        dataset.train.per_class(dataset.classes.len()),
    );
    let training = Training {
        net,
        dataset: &dataset,
        profile,
        data: &plan.data,
        device: plan.device,
    };
    let experts = training.experts(control)?;
    distillation::memory(control)?;

    let networks = profile
        .evaluate
        .networks
        .iter()
        .map(|name| {
            let task = task(profile, dataset.classes.len());
            let net = network::evaluated_with(*name, &profile.network, task)?;
            Ok((name.to_string(), net))
        })
        .collect::<Result<Vec<_>>>()?;
    let evaluators: Vec<Evaluator<'_>> = networks
        .iter()
        .map(|(network, net)| Evaluator {
            network,
            net: net.as_ref(),
            dataset: &dataset,
            repeats: profile.evaluate.repeats as u64,
            epochs: profile.evaluate.epochs,
            seed: profile.seed,
        })
        .collect();
    let baseline_labels =
        Labels::in_class_order(dataset.classes.len(), profile.distill.ipc).to_device(plan.device);
    let distillation = Distillation {
        run: &plan.run,
        net,
        dataset: &dataset,
        experts: &experts,
        evaluators: &evaluators,
        baseline_labels: &baseline_labels,
        seed: profile.seed,
        device: plan.device,
    };

    let mut state = match saved {
        Some(state) if state.numbers.data_content == dataset.fingerprint => state,
        Some(_) => {
            return Err(Error::file(
                &plan.folder,
                "holds other training images than those that this run began with; bring those \
                 back, or start a new run",
            ));
        }
        None => {
            phase(Phase::Init, Stage::Init, control)?;
            let state = initial_state(plan, &distillation, control)?;
            distillation.samples(&state, control)?;
            baselines(&dataset, &distillation, &state, control)?;
            distillation.checkpoint(&state, control)?;
            state
        }
    };

    let done = state.numbers.step;
    phase(
        Phase::Distill,
        Stage::Distill {
            done,
            next: Moment::Step(done),
        },
        control,
    )?;
    let distilled = distillation.run(&mut state, control);
    if let Err(Error::Interrupted) = distilled {
        distillation.checkpoint(&state, control).map_err(|e| {
            let step = state.numbers.step;
            // one of before an evaluation may be there
            let kept = checkpoints::steps(plan.run.path()).is_ok_and(|steps| steps.contains(&step));
            let what = if kept {
                "what was done since its checkpoint is not kept"
            } else {
                "there is no checkpoint of it"
            };
            let problem = format!("stopped after step {step}, but {what}: {e}");
            Error::file(
                plan.run.path(),
                format!(
                    "{problem}; `astill resume` goes on from the last one that could be written"
                ),
            )
        })?;
        control.clear_lost_work();
    }
    distilled?;

    phase(Phase::Evaluate, Stage::Evaluate, control)?;
    headlines(&dataset, &distillation, &mut state, control)?;
    let paper_style_max = paper_style_max(&state.numbers);
    let file = save_distilled(plan, &dataset, &state, paper_style_max, control)?;
    control.record(EventKind::RunFinished(RunFinished {
        status: RunOutcome::Done,
        reason: None,
        best_step: state.numbers.best.as_ref().map(|b| b.step),
        best_validation: state.numbers.best.as_ref().and_then(|b| b.validation),
        results: state.numbers.headlines.clone(),
        paper_style_max,
        file: Some(file),
        seconds: begin.elapsed().as_secs_f64(),
    }))
}

fn phase(name: Phase, stage: Stage, control: &mut Control) -> Result<()> {
    // first, so that nothing is accepted that has no effect any more
    control.enter(stage);
    control.hold()?;
    control.record(EventKind::Phase { name })
}

fn load(plan: &Plan, control: &mut Control) -> Result<Dataset> {
    let request = data_request(&plan.profile, &plan.folder, &plan.data);
    let mut watch = control.watch("", Duration::ZERO);
    let mut dataset = request.load(&mut watch)?;
    drop(watch);
    for path in &dataset.damaged_caches {
        control.warn(format!(
            "{} was damaged; it has been made again from the same images",
            path.display()
        ))?;
    }
    dataset.train.to_device(plan.device);
    dataset.validation.to_device(plan.device);
    dataset.test.to_device(plan.device);
    dataset.normalisation = dataset.normalisation.to_device(plan.device);
    if let Some(left_out) = &dataset.left_out {
        control.warn(left_out)?;
        // the counts that the profile was checked against were those of the files
        plan.profile.check_classes(
            &dataset.classes,
            &dataset.train.per_class(dataset.classes.len()),
            "dataset.unreadable=skip",
        )?;
    }
    control.record(EventKind::Dataset(DatasetLoaded {
        classes: dataset.classes.clone(),
        train: dataset.train.len() as u64,
        validation: dataset.validation.len() as u64,
        test: dataset.test.len() as u64,
        size: dataset.size,
        normalisation: normalisation_name(&dataset.normalisation).into(),
    }))?;
    distillation::memory(control)?;
    Ok(dataset)
}

fn normalisation_name(normalisation: &Normalisation) -> &'static str {
    match normalisation {
        Normalisation::Channels { .. } => "channels",
        Normalisation::Zca(_) => "zca",
    }
}

fn initial_state(
    plan: &Plan,
    distillation: &Distillation<'_>,
    control: &mut Control,
) -> Result<DistillationState> {
    let Distillation {
        net,
        dataset,
        experts,
        ..
    } = distillation;
    let (seed, ipc) = (plan.profile.seed, plan.profile.distill.ipc);
    let rows_of_class: Vec<Vec<i64>> = (0..dataset.classes.len())
        .map(|c| dataset.train.rows_of(c as i64))
        .collect();
    let expert = experts
        .first()
        .ok_or_else(|| Error::Usage("expert.count is 0".into()))?
        .last()?
        .to_device(plan.device);
    let logits = evaluate::logits(
        *net,
        &expert,
        &dataset.train,
        &mut control.watch("logits of ", Duration::ZERO),
    )?;
    let representative_rows = representatives(&logits, &rows_of_class, ipc, seed);
    let random_rows: Vec<Vec<i64>> = rows_of_class
        .iter()
        .enumerate()
        .map(|(class, rows)| {
            let order = random::permutation(
                &mut random::generator(seed, "random real images", &[class as u64]),
                rows.len(),
            );
            order.iter().take(ipc).map(|i| rows[*i as usize]).collect()
        })
        .collect();
    let start = match plan.profile.distill.init {
        Init::Representative => dataset.train.batch(&representative_rows.concat()).0,
        Init::Real => dataset.train.batch(&random_rows.concat()).0,
        Init::Noise => {
            let shape = [
                (dataset.classes.len() * ipc) as i64,
                3,
                dataset.size,
                dataset.size,
            ];
            let n = shape.iter().product::<i64>() as usize;
            random::normal(&mut random::generator(seed, "noise images", &[]), n)
                .view(shape)
                .to_device(plan.device)
        }
    };
    let numbers = StateNumbers {
        data_content: dataset.fingerprint.clone(),
        step: 0,
        student_lr: control.profile_at(Moment::Step(0))?.distill.lr_student,
        lr_velocity: 0.,
        best: None,
        evaluations: Vec::new(),
        headlines: Vec::new(),
        random_rows,
        representative_rows,
    };
    Ok(DistillationState {
        numbers,
        image_velocity: start.zeros_like(),
        best_images: start.copy(),
        images: start.copy(),
        labels: distillation.baseline_labels.shallow_clone(),
        start,
    })
}

/// The real images that distilled ones are compared with.
fn baseline_images(labels: ImageSet, dataset: &Dataset, state: &DistillationState) -> Tensor {
    match labels {
        ImageSet::Distilled => state.best_images.shallow_clone(),
        ImageSet::Random => dataset.train.batch(&state.numbers.random_rows.concat()).0,
        ImageSet::Representative => {
            dataset
                .train
                .batch(&state.numbers.representative_rows.concat())
                .0
        }
    }
}

/// Evaluates both baselines with the rate that the student starts with, for the curves of a
/// watcher.
fn baselines(
    dataset: &Dataset,
    distillation: &Distillation<'_>,
    state: &DistillationState,
    control: &mut Control,
) -> Result<()> {
    for evaluator in distillation.evaluators {
        for labels in [ImageSet::Random, ImageSet::Representative] {
            let images = baseline_images(labels, dataset, state);
            let set = TrainingSet {
                images: &images,
                labels: distillation.baseline_labels,
                lr: state.numbers.student_lr,
            };
            evaluator.evaluate(&set, labels, 0, Occasion::Step(0), control)?;
        }
    }
    Ok(())
}

/// The headline figures: networks that chose nothing, on the test set, all three sets with the
/// learned rate.
fn headlines(
    dataset: &Dataset,
    distillation: &Distillation<'_>,
    state: &mut DistillationState,
    control: &mut Control,
) -> Result<()> {
    let (step, lr) = state
        .numbers
        .best
        .as_ref()
        .map_or((0, state.numbers.student_lr), |b| (b.step, b.student_lr));
    for evaluator in distillation.evaluators {
        for labels in [
            ImageSet::Distilled,
            ImageSet::Random,
            ImageSet::Representative,
        ] {
            let network = evaluator.network.to_string();
            if state
                .numbers
                .headlines
                .iter()
                .any(|h| h.network == network && h.labels == labels)
            {
                continue;
            }
            let images = baseline_images(labels, dataset, state);
            let set = TrainingSet {
                images: &images,
                labels: match labels {
                    ImageSet::Distilled => &state.labels,
                    ImageSet::Random | ImageSet::Representative => distillation.baseline_labels,
                },
                lr,
            };
            let values = evaluator
                .evaluate(&set, labels, step, Occasion::Headline, control)?
                .test;
            let (mean, std) = evaluate::mean_std(&values);
            state.numbers.headlines.push(Headline {
                network,
                labels,
                mean,
                std,
                values,
            });
            distillation.checkpoint(state, control)?;
        }
    }
    Ok(())
}

/// The highest mean test accuracy of distilled images over all evaluations on the way.
fn paper_style_max(numbers: &StateNumbers) -> Option<f64> {
    let test = numbers
        .evaluations
        .iter()
        .filter(|m| m.labels == ImageSet::Distilled && m.split == EvalSplit::Test);
    test.map(|m| m.mean).max_by(f64::total_cmp)
}

/// Writes the distilled set with all that is needed to use it; returns its path relative to the run
/// directory.
fn save_distilled(
    plan: &Plan,
    dataset: &Dataset,
    state: &DistillationState,
    paper_style_max: Option<f64>,
    control: &mut Control,
) -> Result<String> {
    let best = state.numbers.best.as_ref();
    let lr = Tensor::from_slice(&[best.map_or(state.numbers.student_lr, |b| b.student_lr)]);
    let labels = state.labels.classes();
    let mut tensors = vec![
        ("images", &state.best_images),
        ("labels", &labels),
        ("student_lr", &lr),
    ];
    if let Labels::Soft(probabilities) = &state.labels {
        tensors.push(("soft_labels", probabilities));
    }
    match &dataset.normalisation {
        Normalisation::Channels { mean, std } => tensors.extend([("mean", mean), ("std", std)]),
        Normalisation::Zca(zca) => {
            tensors.extend([
                ("zca_mean", &zca.mean),
                ("zca_transform", &zca.transform),
                ("zca_inverse", &zca.inverse),
            ]);
        }
    }
    let settings = json!({
        "program": concat!("astill ", env!("CARGO_PKG_VERSION")),
        "profile": plan.profile,
        "edits": control.edits().all(),
        "classes": dataset.classes,
        "normalisation": normalisation_name(&dataset.normalisation),
        "data_content": dataset.fingerprint,
        "step": best.map(|b| b.step),
        "validation_accuracy": best.and_then(|b| b.validation),
        "results": state.numbers.headlines,
        "paper_style_max": paper_style_max,
    });
    let file = "distilled/best.safetensors";
    let settings = settings.to_string();
    control.write_with_retry(|_| {
        tensor_file::write(
            &plan.run.path().join(file),
            &tensors,
            Some(("astill", settings.clone())),
        )
    })?;
    Ok(file.into())
}
