//! One iteration: its segments, the update by their mean, and what is recorded of it.

use super::best_ratio::average_by_start;
use super::cautions;
use super::checkpoint::DistillationState;
use super::control::Control;
use super::distillation::Distillation;
use super::segment::{Solved, Solver, Unread};
use super::update::{self, ImageUpdate, ReadUpdate};
use super::worker_server::{Answer, Job, Next, Segments};
use super::workers::Workers;
use crate::distill::TrainingSet;
use crate::distill::iteration::{Outcome, Segment, Settings};
use crate::distill::rates::root_mean_square;
use astill_core::Result;
use astill_core::profile::DistillSettings;
use astill_core::run::event::{DistillStep, EventKind, Perturbation};
use astill_core::text::number;
use std::time::{Duration, Instant};
use tch::Tensor;

/// Progress inside an iteration is worth an event only where iterations are this slow.
const SLOW_ITERATION: Duration = Duration::from_secs(2);

impl Distillation<'_> {
    /// What its segments are computed with.
    pub fn solver(&self) -> Solver<'_> {
        Solver {
            net: self.net,
            experts: self.experts,
            device: self.device,
            ahead: Some(self.ahead),
        }
    }

    /// One iteration and the update of images and student rate. Returns the matching loss, or none
    /// if the update was not finite and left out.
    pub fn step(
        &self,
        distill: &DistillSettings,
        state: &mut DistillationState,
        control: &mut Control,
    ) -> Result<Option<f64>> {
        let begin = Instant::now();
        let settings = Settings::of(distill, self.per_epoch, self.augment);
        let (solved, proposed) = match self.workers {
            _ if settings.segments == 1 => {
                let unread = self.segment(&settings, 0, state, control)?;
                // proposed before its numbers are known, so that the device is waited for once
                let (gradient, norm) = (&unread.found.gradient, &unread.found.norm);
                let proposed = self.propose(distill, state, (gradient, norm));
                let (solved, values) = unread.read(&proposed.scalars());
                (vec![solved], Some(proposed.with(&values)))
            }
            None => {
                let segments = (0..settings.segments as u64)
                    .map(|number| Ok(self.segment(&settings, number, state, control)?.read(&[]).0));
                (segments.collect::<Result<Vec<_>>>()?, None)
            }
            Some(workers) => {
                let solved = self
                    .share(workers, &settings, state, control)
                    .inspect_err(|_| workers.server.cancel())?;
                (solved, None)
            }
        };
        let Some(mean) = Outcome::mean(solved.iter().map(|s| &s.outcome)) else {
            return Ok(None);
        };

        let taken = self.taken(distill, state, &solved, proposed);
        state.numbers.step += 1;
        // measured by an engine that had finished before more iterations were asked for
        state.numbers.headlines.clear();
        let image_rms = taken.as_ref().map(|(_, update)| update.root_mean_square);
        let finite = self.take(distill, state, (&mean, taken), control)?;
        let image_rms =
            image_rms.unwrap_or_else(|| root_mean_square(&state.images).double_value(&[]));
        let results = (solved.as_slice(), &mean, image_rms);
        self.record_step(state, &settings, results, begin.elapsed(), control)?;
        Ok(finite.then_some(mean.matching_loss))
    }

    /// The update of the images by this gradient and its norm (scalar).
    fn propose(
        &self,
        distill: &DistillSettings,
        state: &DistillationState,
        gradient: (&Tensor, &Tensor),
    ) -> ImageUpdate {
        let state = (state, state.numbers.step);
        ImageUpdate::new(distill, self.parameterisation, state, gradient)
    }

    /// What the state is updated by: the mean of the segments that are finite and not left out, with
    /// its update of the images, which may be `proposed` already. None if there is none.
    fn taken(
        &self,
        distill: &DistillSettings,
        state: &DistillationState,
        solved: &[Solved],
        proposed: Option<ReadUpdate>,
    ) -> Option<(Outcome, ReadUpdate)> {
        let outcomes = || solved.iter().map(|s| &s.outcome);
        Outcome::mean(outcomes()).filter(Outcome::is_finite)?;
        let is_taken = |o: &&Outcome| distill.max_ratio.is_none_or(|most| o.final_ratio <= most);
        let taken = Outcome::mean(outcomes().filter(is_taken))?;
        let update = proposed.unwrap_or_else(|| {
            let norm = Tensor::from(taken.image_gradient).to_device(self.device);
            self.propose(distill, state, (&taken.gradient, &norm))
                .read()
        });
        Some((taken, update))
    }

    /// The segments of the next iteration, with the help of whoever is there.
    fn share(
        &self,
        workers: &Workers,
        settings: &Settings,
        state: &DistillationState,
        control: &mut Control,
    ) -> Result<Vec<Solved>> {
        let labels = state.labels.labels();
        let set = TrainingSet {
            images: &state.images,
            labels: &labels,
            lr: state.numbers.student_lr,
        };
        let server = &workers.server;
        let segments = Segments::new((self.seed, state.numbers.step), settings, &set);
        server.begin(Job::Segments(segments), &set)?;
        let answers = loop {
            match server.next() {
                Next::Compute(number) => {
                    let (solved, _) = self.segment(settings, number, state, control)?.read(&[]);
                    server.put(number, Answer::Segment(solved));
                }
                Next::Wait => control.answer_requests()?,
                Next::Done(answers) => break answers,
            }
        };
        let solved = answers.into_iter().filter_map(|answer| match answer {
            Answer::Segment(solved) => Some(solved.to_device(self.device)),
            Answer::Network(_) => None,
        });
        Ok(solved.collect())
    }

    /// The segment of this number of the next iteration.
    fn segment(
        &self,
        settings: &Settings,
        number: u64,
        state: &DistillationState,
        control: &mut Control,
    ) -> Result<Unread> {
        let segment = Segment {
            seed: self.seed,
            iteration: state.numbers.step,
            number,
        };
        let label = match settings.segments {
            1 => String::new(),
            count => format!("segment {} of {count}: ", number + 1),
        };
        let labels = state.labels.labels();
        let set = TrainingSet {
            images: &state.images,
            labels: &labels,
            lr: state.numbers.student_lr,
        };
        let mut watch = control.watch_step(&label, SLOW_ITERATION);
        self.solver().solve(settings, segment, &set, &mut watch)
    }

    /// Updates the state by what an iteration found: the `mean` of all its segments, and what is
    /// `taken` of it. False if that was not finite.
    fn take(
        &self,
        distill: &DistillSettings,
        state: &mut DistillationState,
        (mean, taken): (&Outcome, Option<(Outcome, ReadUpdate)>),
        control: &mut Control,
    ) -> Result<bool> {
        let (step, lr) = (state.numbers.step, state.numbers.student_lr);
        state.numbers.not_finite = match mean.is_finite() {
            true => 0,
            false => state.numbers.not_finite + 1,
        };
        if !mean.is_finite() {
            let mut rate = number(lr);
            if update::shrink_rate(distill, state) {
                rate = format!("{rate}, now halved to {}", number(state.numbers.student_lr));
            }
            control.warn(format!(
                "step {step}: the gradient is not finite, so this update is skipped (student rate \
                 {rate}, matching loss {})",
                number(mean.matching_loss)
            ))?;
            return Ok(false);
        }
        match taken {
            Some((taken, images)) => update::update(distill, state, images, &taken, control)?,
            None => update::leave_out(distill, state, mean, control)?,
        }
        Ok(true)
    }

    fn record_step(
        &self,
        state: &mut DistillationState,
        settings: &Settings,
        (solved, mean, image_rms): (&[Solved], &Outcome, f64),
        time: Duration,
        control: &mut Control,
    ) -> Result<()> {
        let Some(first) = solved.first().map(|s| s.record.clone()) else {
            return Ok(());
        };
        let image_scale = image_rms / state.numbers.data_rms;
        let mut best_ratio = Vec::new();
        for Solved { record, outcome } in solved {
            let start = record.start_epoch as usize;
            best_ratio = average_by_start(&mut state.numbers.best_ratio, settings, start, outcome);
        }
        let segments = match solved.len() {
            1 => Vec::new(),
            _ => solved.iter().map(|s| s.record.clone()).collect(),
        };
        control.record(EventKind::DistillStep(DistillStep {
            step: state.numbers.step,
            expert: first.expert,
            mirrored: first.mirrored,
            start_epoch: first.start_epoch,
            start_part: first.start_part,
            matching_loss: mean.matching_loss,
            final_ratio: mean.final_ratio,
            intermediate: mean.intermediate.clone(),
            student_lr: state.numbers.student_lr,
            balance_factor: mean.balance_factor,
            perturbation: Perturbation {
                relative: mean.perturbation.relative,
                per_layer: mean.perturbation.per_layer.clone(),
            },
            reach: mean.reach,
            alignment: mean.alignment,
            nearest: mean.nearest,
            best_ratio,
            image_gradient: mean.image_gradient,
            image_scale,
            seconds: time.as_secs_f64(),
            segments,
        }))?;
        cautions::watch_scale(state, image_scale, control)
    }
}
