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
use crate::distill::found::Outcome;
use crate::distill::iteration::{Segment, Settings};
use crate::distill::rates::root_mean_square;
use crate::distill::{TrainingSet, mean_tensor};
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
        let (solved, mean, proposed) = match self.workers {
            Some(workers) if settings.segments > 1 && workers.server.has_workers() => {
                let solved = self
                    .share(workers, &settings, state, control)
                    .inspect_err(|_| workers.server.cancel())?;
                let mean = Outcome::mean(solved.iter().map(|s| &s.outcome));
                (solved, mean, None)
            }
            _ => {
                let segments = 0..settings.segments as u64;
                let unread = segments.map(|number| self.segment(&settings, number, state, control));
                self.read(distill, state, unread.collect::<Result<_>>()?)
            }
        };
        let Some(mean) = mean else {
            return Ok(None);
        };

        let taken = self.taken(distill, state, (&solved, &mean), proposed);
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

    /// The numbers of segments, their mean, and the update of the images by it. The device is waited for
    /// once: the update is queued before they are known, as if no segment had to be left out.
    fn read(
        &self,
        distill: &DistillSettings,
        state: &DistillationState,
        unread: Vec<Unread>,
    ) -> (Vec<Solved>, Option<Outcome>, Option<ReadUpdate>) {
        let gradients: Vec<&Tensor> = unread.iter().map(|one| &one.found.gradient).collect();
        let Some(gradient) = mean_tensor(&gradients) else {
            return (Vec::new(), None, None);
        };
        let norm = match unread.as_slice() {
            [only] => only.found.norm.shallow_clone(),
            _ => gradient.norm(),
        };
        let proposed = self.propose(distill, state, (&gradient, &norm));
        let [own, rms] = proposed.scalars();
        let (solved, values) = Unread::read_all(unread, &[own, rms, &norm]);
        let length = values.get(2).copied().unwrap_or(f64::NAN);
        let all: Vec<&Outcome> = solved.iter().map(|s| &s.outcome).collect();
        let mean = Outcome::mean_with(&all, (gradient, length));
        let proposed = proposed.with(&values);
        (solved, mean, Some(proposed))
    }

    /// What the state is updated by: the mean of the segments if it is finite, without those that are left
    /// out, with its update of the images, which may be `proposed` already for all segments. None if there
    /// is none.
    fn taken(
        &self,
        distill: &DistillSettings,
        state: &DistillationState,
        (solved, mean): (&[Solved], &Outcome),
        proposed: Option<ReadUpdate>,
    ) -> Option<(Outcome, ReadUpdate)> {
        if !mean.is_finite() {
            return None;
        }
        let is_taken = |o: &&Outcome| distill.max_ratio.is_none_or(|most| o.final_ratio <= most);
        let taken: Vec<&Outcome> = solved.iter().map(|s| &s.outcome).filter(is_taken).collect();
        let is_whole = taken.len() == solved.len();
        let taken = match is_whole {
            true => {
                let known = (mean.gradient.shallow_clone(), mean.image_gradient);
                Outcome::mean_with(&taken, known)?
            }
            false => Outcome::mean(taken)?,
        };
        let update = proposed.filter(|_| is_whole).unwrap_or_else(|| {
            // as it would have been read, so that it does not matter who computed the segments
            let kind = taken.gradient.kind();
            let norm = Tensor::from(taken.image_gradient)
                .to_kind(kind)
                .to_device(self.device);
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
                    let solved = self.segment(settings, number, state, control)?.read();
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
