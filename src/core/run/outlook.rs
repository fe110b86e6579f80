//! How long the rest of a run will take, phase by phase: from what its events say of the time that
//! each kind of work has taken so far.

use super::event::{Event, EventKind, Phase};
use super::pace::{Pace, unix_seconds};
use crate::profile::{LabelKind, Profile};
use std::collections::BTreeMap;

/// What the kinds of work have cost so far.
#[derive(Debug, Clone, Default)]
pub struct Costs {
    /// Seconds of all epochs of experts that were timed, and how many these are.
    epochs: (f64, u64),
    /// Epochs of every expert that are done.
    done: BTreeMap<u64, usize>,
    /// Seconds of all evaluations of one set of images, and how many these are.
    evaluations: (f64, u64),
    /// Sets that the last phase has evaluated.
    headlines: u64,
    phase: Option<Phase>,
    /// The time of the latest event that ended something, in seconds since 1970.
    last: Option<f64>,
}

/// A phase that is not over, and the seconds until it is: none where that cannot be known yet.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ahead {
    pub phase: Phase,
    pub seconds: Option<f64>,
}

impl Costs {
    /// Takes the next event.
    pub fn apply(&mut self, event: &Event) {
        let now = unix_seconds(&event.time);
        match &event.what {
            // these can come in the middle of the work
            EventKind::Progress { .. }
            | EventKind::Memory { .. }
            | EventKind::Usage(_)
            | EventKind::Warning { .. }
            | EventKind::Worker(_) => return,
            EventKind::Phase { name } => self.phase = Some(*name),
            EventKind::RunStarted(_) => (self.headlines, self.phase) = (0, None),
            EventKind::ExpertFound(found) => {
                self.done.insert(found.expert, found.epochs.len());
            }
            EventKind::ExpertEpoch(epoch) => {
                self.done.insert(epoch.expert, epoch.epoch as usize + 1);
                if epoch.seconds.is_finite() {
                    self.epochs = (self.epochs.0 + epoch.seconds, self.epochs.1 + 1);
                }
            }
            EventKind::Evaluation(_) => {
                // a second share of the same evaluation is recorded in the same moment
                let seconds = now.zip(self.last).map(|(now, last)| now - last);
                if let Some(seconds) = seconds.filter(|s| *s > 0.01) {
                    self.evaluations = (self.evaluations.0 + seconds, self.evaluations.1 + 1);
                    self.headlines += u64::from(self.phase == Some(Phase::Evaluate));
                }
            }
            _ => {}
        }
        self.last = now.or(self.last);
    }

    /// The phases that are not over, in their order. Data and initial images take no time worth
    /// telling.
    #[must_use]
    pub fn ahead(&self, pace: &Pace, profile: &Profile) -> Vec<Ahead> {
        let experts = || {
            let left = (0..profile.expert.count as u64).map(|expert| {
                let done = self.done.get(&expert).copied().unwrap_or(0);
                profile.epochs_trained(expert).saturating_sub(done)
            });
            mean(self.epochs).map(|seconds| seconds * left.sum::<usize>() as f64)
        };
        let evaluation = mean(self.evaluations);
        let distill = || {
            let every = (profile.evaluate.every as u64).max(1);
            let (step, last) = (pace.step(), pace.iterations());
            let between = last / every - step.min(last) / every;
            let at_end = u64::from(!last.is_multiple_of(every) && step < last);
            let evaluations = match between + at_end {
                0 => 0.,
                left => left as f64 * evaluation?,
            };
            Some(pace.seconds_left()? + evaluations)
        };
        let evaluate = || {
            // distilled, random and representative images; soft labels have hard ones beside them
            let sets = match profile.distill.labels {
                LabelKind::Hard => 3,
                LabelKind::Soft => 5,
            };
            let all = sets * profile.evaluate.networks.len() as u64;
            evaluation.map(|seconds| seconds * all.saturating_sub(self.headlines) as f64)
        };
        let of = |phase, seconds| Ahead { phase, seconds };
        match self.phase {
            None | Some(Phase::Data | Phase::Experts) => vec![
                of(Phase::Experts, experts()),
                of(Phase::Distill, distill()),
                of(Phase::Evaluate, evaluate()),
            ],
            Some(Phase::Init | Phase::Distill) => vec![
                of(Phase::Distill, distill()),
                of(Phase::Evaluate, evaluate()),
            ],
            Some(Phase::Evaluate) => vec![of(Phase::Evaluate, evaluate())],
        }
    }
}

/// The seconds of all phases together, if each is known.
#[must_use]
pub fn in_all(ahead: &[Ahead]) -> Option<f64> {
    ahead.iter().map(|a| a.seconds).sum()
}

fn mean((sum, count): (f64, u64)) -> Option<f64> {
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::load;
    use crate::run::event::{
        DistillStep, EvalSplit, Evaluation, ExpertEpoch, ImageSet, RunStarted,
    };
    use crate::{EpochRecord, Error, Result};

    fn profile() -> Result<Profile> {
        let sets = [
            "expert.count=2",
            "expert.epochs=5",
            "expert.train_epochs=3",
            "distill.iterations=40",
            "evaluate.every=10",
        ];
        let sets = sets.map(String::from);
        Ok(load("shapes", &sets).map_err(Error::Profile)?.profile)
    }

    /// The events at these seconds.
    fn after(life: Vec<(u64, EventKind)>) -> (Costs, Pace) {
        let (mut costs, mut pace) = (Costs::default(), Pace::default());
        for (seq, (second, what)) in (0..).zip(life) {
            let time = format!("2026-01-01T00:{:02}:{:02}Z", second / 60, second % 60);
            let event = Event { seq, time, what };
            costs.apply(&event);
            pace.apply(&event);
        }
        (costs, pace)
    }

    fn epoch(expert: u64, epoch: u64) -> EventKind {
        let record = EpochRecord {
            train_loss: 1.,
            train_accuracy: 1.,
            validation_accuracy: None,
            clip_factor: 1.,
            gradient_penalty: 0.,
            step_length: 1.,
            turn: None,
            curvature: None,
            tortuosity: 1.,
        };
        EventKind::ExpertEpoch(ExpertEpoch {
            expert,
            epoch,
            record,
            seconds: 4.,
        })
    }

    fn evaluation(labels: ImageSet, split: EvalSplit) -> EventKind {
        EventKind::Evaluation(Evaluation {
            step: 0,
            network: "convnet".into(),
            labels,
            label_kind: LabelKind::Hard,
            split,
            mean: 1.,
            std: 0.,
            values: vec![1.],
        })
    }

    fn seconds(ahead: &[Ahead]) -> Vec<Option<f64>> {
        ahead.iter().map(|a| a.seconds).collect()
    }

    #[test]
    fn the_rest_of_a_run_is_the_sum_of_its_phases() -> Result<()> {
        let profile = profile()?;
        let phase = |name| EventKind::Phase { name };
        let started = EventKind::RunStarted(RunStarted {
            run: "r".into(),
            profile: "p".into(),
            seed: 0,
            device: "cpu".into(),
            threads: 1,
            version: "0".into(),
            process: 1,
            data: String::new(),
            folder: String::new(),
            step: 0,
            iterations: 40,
            oom_kills: None,
            settings: None,
        });
        let mut life = vec![
            (0, started),
            (0, phase(Phase::Experts)),
            (4, epoch(0, 0)),
            (8, epoch(0, 1)),
        ];
        let (costs, pace) = after(life.clone());
        let ahead = costs.ahead(&pace, &profile);
        // one epoch of the first expert is left, and three of the second
        assert_eq!(seconds(&ahead), [Some(16.), None, None]);
        assert_eq!(in_all(&ahead), None, "distillation was not timed yet");

        life.extend([
            (12, epoch(0, 2)),
            (20, phase(Phase::Init)),
            (26, evaluation(ImageSet::Random, EvalSplit::Validation)),
            (26, evaluation(ImageSet::Random, EvalSplit::Test)),
            (
                32,
                evaluation(ImageSet::Representative, EvalSplit::Validation),
            ),
            (32, phase(Phase::Distill)),
            (
                34,
                EventKind::DistillStep(DistillStep {
                    step: 15,
                    seconds: 2.,
                    ..DistillStep::default()
                }),
            ),
        ]);
        let (costs, pace) = after(life.clone());
        let ahead = costs.ahead(&pace, &profile);
        // 25 steps of 2 s and evaluations at 20, 30 and 40; then three sets
        assert_eq!(seconds(&ahead), [Some(25. * 2. + 3. * 6.), Some(18.)]);
        assert_eq!(in_all(&ahead), Some(86.));

        life.extend([
            (90, phase(Phase::Evaluate)),
            (96, evaluation(ImageSet::Distilled, EvalSplit::Test)),
        ]);
        let (costs, pace) = after(life);
        assert_eq!(seconds(&costs.ahead(&pace, &profile)), [Some(12.)]);
        Ok(())
    }
}
