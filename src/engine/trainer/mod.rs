//! A run from its first phase to its last: data, experts, init, distill, evaluate.

mod baselines;
mod beginning;
mod best_ratio;
mod calibration;
mod cautions;
pub mod checkpoint;
mod control;
mod dataset;
mod distillation;
mod divergence;
pub mod draws_ahead;
mod evaluation;
mod expert_helpers;
mod expert_slot;
mod expert_training;
mod experts;
mod found;
mod helped;
mod helper_process;
pub mod imported;
mod initial;
mod labelling;
mod local_workers;
mod places;
mod recorder;
mod result;
mod resumption;
mod schedule;
pub mod segment;
pub mod starting_set;
mod step;
pub mod store;
mod thread;
mod training;
mod update;
pub mod without_engine;
mod worker_server;
mod workers;

pub use calibration::ROLLOUTS;
pub use control::CommandRequest;
pub use dataset::{data_request, with_data_in};
pub use evaluation::HEADLINE;
pub use local_workers::WorkersPlan;
pub use places::check_places;
pub use resumption::{Resumption, resumption};
pub use thread::{Engine, TRAINER_THREAD};
pub use worker_server::Listener;

use self::checkpoint::DistillationState;
use self::control::{Control, RunStage};
use self::distillation::Distillation;
use self::draws_ahead::DrawsAhead;
use self::evaluation::Evaluator;
use self::labelling::Labelling;
use self::store::Trajectory;
use self::training::Training;
use self::workers::Workers;
use crate::data::Dataset;
use crate::device;
use crate::distill::evaluate::Course;
use crate::distill::parameters::{Budget, Parameterisation};
use crate::network::{self, Network, Task};
use crate::threads;
use astill_core::profile::Profile;
use astill_core::run::edits::Moment;
use astill_core::run::event::{EventKind, Phase, RunFinished, RunOutcome};
use astill_core::run::{EngineLock, RunDir, checkpoints};
use astill_core::text::count;
use astill_core::{Error, Result};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;
use tch::Device;

/// The moment that experts begin with.
const FIRST: Moment = Moment::Expert {
    expert: 0,
    epoch: 0,
};

/// A run that is to be started or resumed.
#[derive(Debug)]
pub struct RunPlan {
    /// The run behind the lock.
    pub run: RunDir,
    /// Its lock, which says before every write whether the run is still this engine's.
    pub held: Arc<EngineLock>,
    pub profile_name: String,
    pub profile: Profile,
    /// Where caches and trajectories are.
    pub data: PathBuf,
    /// The folder of the data set.
    pub folder: PathBuf,
    pub device: Device,
    /// Intra-op threads; libtorch's own choice if none.
    pub threads: Option<i64>,
    /// Who helps.
    pub workers: WorkersPlan,
    /// Somebody can answer when the run pauses by itself: it is not a batch job.
    pub attended: bool,
    /// Changes of live settings that hold from here on, each "section.key=value".
    pub sets: Vec<String>,
    /// Whether profile.yaml is to be written again.
    pub is_profile_edited: bool,
    /// What is to be recorded as warnings at the start.
    pub warnings: Vec<String>,
    /// Why the latest engine of this run was killed, as far as that is known.
    pub killed: Option<String>,
    /// The hash of the training images that the run began with, as far as its record says.
    pub data_content: Option<String>,
    /// For a run that ends after some experts.
    pub only_experts: Option<OnlyExperts>,
}

/// The experts that are trained, and nothing else.
#[derive(Debug, Clone)]
pub struct OnlyExperts {
    /// Their numbers, from 0.
    pub wanted: Vec<u64>,
    /// Whether those that other processes are training are left to them.
    pub leaves_others: bool,
}

/// The network of experts and students, for a data set with `classes` classes and images of
/// `channels` channels.
///
/// # Errors
/// The images are too small for the network's depth.
pub fn network(profile: &Profile, classes: usize, channels: i64) -> Result<Box<dyn Network>> {
    let settings = &profile.network;
    network::build(settings.kind, settings, task(profile, classes, channels))
}

/// The networks that judge a distilled set, with their names in the profile.
///
/// # Errors
/// The images are too small for one of them.
pub fn evaluation_networks(
    profile: &Profile,
    classes: usize,
    channels: i64,
) -> Result<Vec<(String, Box<dyn Network>)>> {
    let names = profile.evaluate.networks.iter();
    names
        .map(|name| {
            let net = network::build(*name, &profile.network, task(profile, classes, channels))?;
            Ok((name.to_string(), net))
        })
        .collect()
}

/// What networks are for, with a data set of `classes` classes and images of so many channels.
pub fn task(profile: &Profile, classes: usize, channels: i64) -> Task {
    Task {
        channels,
        size: profile.dataset.size,
        classes: classes as i64,
    }
}

/// Does the whole run, or what is left of it.
///
/// # Errors
/// [`Error::Interrupted`] if a command asks to stop; then, and after any other error, the run can
/// be resumed from its last checkpoint.
pub fn run(plan: &RunPlan, control: &mut Control) -> Result<()> {
    let begin = Instant::now();
    let profile = &plan.profile;
    set_threads(plan.threads);
    device::allow_tf32(profile.network.tf32);
    let saved = beginning::resume(plan, control)?;

    enter_phase(Phase::Data, RunStage::Data, control)?;
    let dataset = dataset::load(plan, control)?;
    beginning::check_fit(saved.as_ref(), plan, &dataset)?;
    beginning::take_changes(plan, control)?;
    let net = network(profile, dataset.classes.len(), dataset.channels)?;

    enter_phase(Phase::Experts, RunStage::Experts { next: FIRST }, control)?;
    control.set_classes(
        dataset.classes.clone(),
        dataset.train.per_class(dataset.classes.len()),
    );
    let training = Training {
        net: net.as_ref(),
        dataset: &dataset,
        profile,
        data: &plan.data,
        device: plan.device,
    };
    if let Some(only) = &plan.only_experts {
        return experts_alone(&training, only, begin, control);
    }
    control.start_helpers(plan)?;
    let experts = training.experts(control)?;
    control.end_helpers()?;
    control.record_memory()?;

    let finished =
        helped::with_workers(plan, (&experts, &dataset), control, |workers, control| {
            let rest = Rest {
                plan,
                net: net.as_ref(),
                dataset: &dataset,
                experts: &experts,
                workers,
                begin,
            };
            rest.run(saved, control)
        })?;
    control.record(EventKind::RunFinished(finished))
}

/// What comes after the experts.
struct Rest<'a> {
    plan: &'a RunPlan,
    net: &'a dyn Network,
    dataset: &'a Dataset,
    experts: &'a [Trajectory],
    workers: Option<&'a Workers>,
    /// When the engine began.
    begin: Instant,
}

impl Rest<'_> {
    /// Distils from a saved state, or from the beginning, and evaluates.
    fn run(&self, saved: Option<DistillationState>, control: &mut Control) -> Result<RunFinished> {
        let Self {
            plan,
            net,
            dataset,
            experts,
            workers,
            begin,
        } = *self;
        let profile = &plan.profile;
        let networks = evaluation_networks(profile, dataset.classes.len(), dataset.channels)?;
        let evaluators: Vec<Evaluator<'_>> = networks
            .iter()
            .map(|(network, net)| Evaluator {
                network,
                net: net.as_ref(),
                dataset,
                repeats: profile.evaluate.repeats as u64,
                course: Course {
                    epochs: profile.evaluate.epochs,
                    augment: profile.augmentation(),
                },
                lr: profile.evaluate.lr.given(),
                tests: profile.evaluate.paper_style,
                seed: profile.seed,
                workers,
            })
            .collect();
        let classes = dataset.classes.len();
        let labelling = Labelling::new(&profile.distill, net, experts, classes, plan.device)?;
        let parameterisation = parameterisation(profile, dataset)?;
        let distillation = Distillation {
            run: &plan.run,
            net,
            dataset,
            experts,
            evaluators: &evaluators,
            labelling: &labelling,
            parameterisation: &parameterisation,
            per_epoch: profile.expert.per_epoch,
            augment: profile.augmentation(),
            seed: profile.seed,
            device: plan.device,
            workers,
            ahead: &DrawsAhead::default(),
        };
        let mut state = match saved {
            Some(state) => state,
            None => begin_state(plan, &distillation, control)?,
        };

        let done = state.numbers.step;
        let next = Moment::Step(done);
        enter_phase(Phase::Distill, RunStage::Distill { done, next }, control)?;
        distil(plan, &distillation, &mut state, control)?;

        enter_phase(Phase::Evaluate, RunStage::Evaluate, control)?;
        result::headlines(&distillation, &mut state, control)?;
        let file = result::write_distilled_set(plan, &distillation, &state, control)?;
        Ok(RunFinished {
            status: RunOutcome::Done,
            reason: None,
            best_step: state.numbers.best.as_ref().map(|b| b.step),
            best_validation: state.numbers.best.as_ref().and_then(|b| b.validation),
            results: state.numbers.headlines.clone(),
            paper_style_max: result::paper_style_max(&state.numbers),
            cautions: cautions::all(profile, experts, dataset, &state),
            file: Some(file),
            seconds: begin.elapsed().as_secs_f64(),
        })
    }
}

/// The state before the first step, with its baselines and its checkpoint.
fn begin_state(
    plan: &RunPlan,
    distillation: &Distillation<'_>,
    control: &mut Control,
) -> Result<DistillationState> {
    enter_phase(Phase::Init, RunStage::Init, control)?;
    let mut state = initial::initial_state(plan, distillation, control)?;
    distillation.samples(&state, control)?;
    // with the profile's own settings: edits of step 0 may come before or after this
    calibration::calibrate(distillation, &plan.profile.distill, &mut state, control)?;
    baselines::evaluate(distillation, &plan.profile.distill, &mut state, control)?;
    distillation.checkpoint(&state, control)?;
    Ok(state)
}

/// Sets the number of threads, also where it is libtorch's own choice: setting it ends MKL's own
/// choice, too, and a resumed run must not differ.
fn set_threads(threads: Option<i64>) {
    let threads = threads.map(|t| t.clamp(1, threads::MOST) as i32);
    tch::set_num_threads(threads.unwrap_or_else(tch::get_num_threads));
}

/// Trains experts, and ends.
fn experts_alone(
    training: &Training<'_>,
    only: &OnlyExperts,
    begin: Instant,
    control: &mut Control,
) -> Result<()> {
    let found = training.gather(&only.wanted, only.leaves_others, control)?;
    let there = match only.wanted.len() - found.len() {
        0 => "every expert that was asked for is trained".into(),
        left => format!(
            "{} trained, {left} left to the processes that are training them",
            count(found.len(), "expert")
        ),
    };
    let reason = format!(
        "{there}; they are in {}",
        training.store_folder(control).display()
    );
    let seconds = begin.elapsed().as_secs_f64();
    control.record(EventKind::RunFinished(RunFinished::without_result(
        RunOutcome::Done,
        reason,
        seconds,
    )))
}

/// What of the synthetic images is learned.
fn parameterisation(profile: &Profile, dataset: &Dataset) -> Result<Parameterisation> {
    let budget = Budget {
        images_per_class: profile.images_per_class(),
        images_per_room: profile.distill.images_per_room,
        side: dataset.size,
    };
    let kind = profile.distill.parameters;
    Parameterisation::new(kind, budget, dataset.classes.len(), &mut |class| {
        let rows = dataset.train.rows_of(class as i64);
        Ok(dataset.train.batch(&rows).0)
    })
}

/// Distils to the last step; a run that is asked to stop meanwhile writes a checkpoint first.
fn distil(
    plan: &RunPlan,
    distillation: &Distillation<'_>,
    state: &mut DistillationState,
    control: &mut Control,
) -> Result<()> {
    let distilled = distillation.run(state, control);
    if let Err(Error::Interrupted) = distilled {
        distillation.checkpoint(state, control).map_err(|e| {
            let step = state.numbers.step;
            // one from before an evaluation may be there
            let kept = checkpoints::steps(plan.run.path()).is_ok_and(|steps| steps.contains(&step));
            let what = if kept {
                "the work since its checkpoint is not saved"
            } else {
                "that step has no checkpoint"
            };
            let problem = format!("stopped after step {step}, but {what}: {e}");
            Error::file(
                plan.run.path(),
                format!(
                    "{problem}; `astill resume` continues from the last checkpoint that was written"
                ),
            )
        })?;
        control.clear_lost_work();
    }
    distilled
}

fn enter_phase(name: Phase, stage: RunStage, control: &mut Control) -> Result<()> {
    // first, so that nothing is accepted that has no effect any more
    control.enter(stage);
    control.wait_while_paused()?;
    control.record(EventKind::Phase { name })
}
