//! The runs in a folder and the state of each.

use super::command::Command;
use super::edits::{Edits, Moment};
use super::event::{EvalSplit, Evaluation, EventKind, ImageSet, Phase, RunOutcome};
use super::history::was_out_of_memory;
use super::life;
use super::pace::Pace;
use super::record_end::RecordEnd;
use super::{EngineAt, RunDir};
use crate::{Error, Result};
use serde::Serialize;
use std::fs;
use std::path::Path;

/// The state of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    Running,
    Paused,
    /// Something cannot be written, because the disk is full for example; it continues by itself
    /// once that is possible.
    Waiting,
    /// Stopped on request, after a checkpoint.
    Stopped,
    Done,
    Failed,
    /// Its engine exited without reporting its end; it can be resumed like a stopped one.
    #[serde(rename = "interrupted")]
    Dead,
    /// Its latest engine was on another machine and has not reported its end; or whether an engine
    /// is at work cannot be told from here.
    Elsewhere,
}

/// A summary of a run.
#[derive(Debug, Clone, Serialize)]
pub struct RunSummary {
    #[serde(skip)]
    pub run: RunDir,
    pub name: String,
    pub profile: String,
    pub state: RunState,
    /// The machine of its engine, if that is another one.
    pub host: Option<String>,
    pub phase: Option<Phase>,
    pub step: u64,
    pub iterations: u64,
    /// When it was first started, RFC 3339.
    pub started: String,
    /// Of the distilled images, in per cent: the result on the test set, before that the last
    /// evaluation.
    pub accuracy: Option<f64>,
    /// Its engine was killed, probably because memory ran out.
    pub out_of_memory: bool,
    /// Why it failed or was stopped, or why it is not clear whether an engine is running it.
    pub reason: Option<String>,
    /// What the user has written about it.
    pub note: Option<String>,
}

impl RunState {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Waiting => "waiting for the disk",
            Self::Stopped => "stopped",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Dead => "interrupted",
            Self::Elsewhere => "elsewhere",
        }
    }

    /// Whether an engine is running, here or perhaps elsewhere.
    #[must_use]
    pub fn may_have_engine(self) -> bool {
        self.has_engine() || self == Self::Elsewhere
    }

    /// Whether an engine is running.
    #[must_use]
    pub fn has_engine(self) -> bool {
        matches!(self, Self::Running | Self::Paused | Self::Waiting)
    }
}

impl RunSummary {
    /// What is known of the engine of a run whose state is [`RunState::Elsewhere`], for a sentence.
    #[must_use]
    pub fn doubt(&self) -> String {
        match (&self.host, &self.reason) {
            (None, Some(why)) => {
                format!("it is not clear from here whether an engine is running this run: {why}")
            }
            (host, _) => format!(
                "the latest engine of this run was on the machine {} and never reported that it ended",
                host.as_deref().unwrap_or_default()
            ),
        }
    }
}

/// All runs in a folder, the latest first; none if there is no such folder.
///
/// # Errors
/// The folder exists and cannot be read.
pub fn list(runs: &Path) -> Result<Vec<RunSummary>> {
    let entries = match fs::read_dir(runs) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("read", runs)(e)),
    };
    let mut found: Vec<RunSummary> = entries
        .flatten()
        .filter_map(|e| RunDir::open(&e.path()))
        .filter(|run| !is_second_name(run, runs))
        .map(summary)
        .collect();
    sort(&mut found);
    Ok(found)
}

/// Whether a run is a link to another one in the same folder.
pub(super) fn is_second_name(run: &RunDir, runs: &Path) -> bool {
    if !run.path().is_symlink() {
        return false;
    }
    let (own, all) = (run.path().canonicalize(), runs.canonicalize());
    own.is_ok_and(|own| all.is_ok_and(|all| own.parent() == Some(&all)))
}

/// The latest first.
pub(super) fn sort(runs: &mut [RunSummary]) {
    runs.sort_by(|a, b| b.started.cmp(&a.started).then_with(|| a.name.cmp(&b.name)));
}

/// The summary of a run. What cannot be read is left empty.
pub fn summary(run: RunDir) -> RunSummary {
    let mut summary = RunSummary {
        name: run.name(),
        profile: String::new(),
        state: RunState::Dead,
        host: None,
        phase: None,
        step: 0,
        iterations: 0,
        started: String::new(),
        accuracy: None,
        out_of_memory: false,
        reason: None,
        note: life::note(&run),
        run,
    };
    // the lock first: an engine that ends in between has recorded its end by the time the events
    // are read
    let engine = summary.run.engine();
    let record = RecordEnd::read(&summary.run.events(), &engine).unwrap_or_default();
    let is_whole = record.has_start();
    let (mut paused, mut waiting, mut ended, mut started_by) = (false, false, None, None);
    let mut pace = Pace::default();
    let mut tested = Tested::default();
    for event in record.first.into_iter().chain(record.last) {
        pace.apply(&event);
        if summary.started.is_empty() {
            summary.started.clone_from(&event.time);
        }
        match event.what {
            EventKind::RunStarted(started) => {
                summary.profile.clone_from(&started.profile);
                tested.go_back(started.step, &mut summary.accuracy);
                started_by = Some(started);
                (paused, waiting, ended) = (false, false, None);
                summary.reason = None;
            }
            EventKind::Usage(usage) => {
                if let Some(started) = &mut started_by {
                    started.still_lived(&usage);
                }
            }
            EventKind::Phase { name } => summary.phase = Some(name),
            EventKind::ExpertEpoch(_) => summary.phase = Some(Phase::Experts),
            EventKind::DistillStep(_) => summary.phase = Some(Phase::Distill),
            EventKind::Evaluation(evaluation)
                if evaluation.labels == ImageSet::Distilled
                    && evaluation.split == EvalSplit::Test =>
            {
                tested.take(evaluation, &mut summary.accuracy);
            }
            EventKind::Command(answered) if answered.is_accepted() => match answered.command {
                Command::Pause => paused = true,
                Command::Resume => paused = false,
                _ => {}
            },
            EventKind::Waiting { reason } => waiting = reason.is_some(),
            EventKind::RolledBack { to, .. } => tested.go_back(to, &mut summary.accuracy),
            EventKind::RunFinished(finished) => {
                ended = Some(finished.status);
                summary.reason.clone_from(&finished.reason);
                summary.accuracy = finished
                    .results
                    .iter()
                    .find(|r| r.labels == ImageSet::Distilled)
                    .map(|r| r.mean)
                    .or(summary.accuracy);
            }
            _ => {}
        }
    }
    (summary.step, summary.iterations) = (pace.step(), pace.iterations());
    if !is_whole {
        // an edit, or a later engine, may have changed it in the part that was not read
        summary.iterations = iterations(&summary.run).unwrap_or(summary.iterations);
    }
    summary.state = match (ended, &engine) {
        (Some(RunOutcome::Done), _) => RunState::Done,
        (_, EngineAt::Here | EngineAt::Host(_)) if waiting => RunState::Waiting,
        (_, EngineAt::Here | EngineAt::Host(_)) if paused => RunState::Paused,
        (_, EngineAt::Here | EngineAt::Host(_)) => RunState::Running,
        (Some(RunOutcome::Stopped), _) => RunState::Stopped,
        (Some(RunOutcome::Failed), _) => RunState::Failed,
        (None, EngineAt::MaybeRemote(_) | EngineAt::Unknown(_)) => RunState::Elsewhere,
        (None, EngineAt::Nowhere) => RunState::Dead,
    };
    if let (RunState::Elsewhere, EngineAt::Unknown(why)) = (summary.state, &engine) {
        summary.reason = Some(why.clone());
    }
    let is_killed = summary.state == RunState::Dead && is_whole;
    summary.out_of_memory = is_killed && started_by.as_ref().is_some_and(was_out_of_memory);
    if let (
        RunState::Running | RunState::Paused | RunState::Waiting | RunState::Elsewhere,
        EngineAt::Host(host) | EngineAt::MaybeRemote(host),
    ) = (summary.state, engine)
    {
        summary.host = Some(host);
    }
    summary
}

/// The test accuracies of the distilled images, by step.
#[derive(Default)]
struct Tested(Vec<(u64, String, f64)>);

impl Tested {
    /// Takes a measurement; of several networks of a step the first counts, as in the result.
    fn take(&mut self, measured: Evaluation, latest: &mut Option<f64>) {
        let is_first = self.0.last().is_none_or(|(step, network, _)| {
            *step != measured.step || *network == measured.network
        });
        if is_first {
            *latest = Some(measured.mean);
            self.0
                .push((measured.step, measured.network, measured.mean));
        }
    }

    /// Forgets what was measured after a step.
    fn go_back(&mut self, to: u64, latest: &mut Option<f64>) {
        let before = self.0.len();
        self.0.retain(|(step, ..)| *step <= to);
        if self.0.len() < before {
            *latest = self.0.last().map(|(.., mean)| *mean);
        }
    }
}

/// Distillation steps in all, by the profile of a run and its edits.
fn iterations(run: &RunDir) -> Option<u64> {
    let edits = Edits::read(run).ok()?;
    let latest = edits.apply(&run.read_profile().ok()?, Moment::Step(u64::MAX));
    latest.ok().map(|profile| profile.distill.iterations as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::event::DistillStep;
    use std::fmt::Write as _;

    fn run_with(runs: &Path, name: &str, lines: &[&str]) -> Result<RunDir> {
        let run = RunDir::create(runs, "p", Some(name), "")?.0;
        fs::write(run.profile(), "").map_err(Error::io("write", run.profile()))?;
        let mut text = String::new();
        for (seq, line) in lines.iter().enumerate() {
            let _ = writeln!(
                text,
                r#"{{"seq":{seq},"time":"2026-01-01T00:00:0{}Z",{line}}}"#,
                lines.len()
            );
        }
        fs::write(run.events(), text).map_err(Error::io("write", run.events()))?;
        Ok(run)
    }

    const STARTED: &str = r#""kind":"run_started","run":"r","profile":"shapes","seed":0,"device":"cpu","threads":2,"version":"0","process":1,"data":"d","folder":"f","step":0,"iterations":9"#;

    #[test]
    fn every_state_is_told_apart() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let pause = r#""kind":"command","command":"pause","status":"accepted","reason":null,"from":null,"to":null"#;
        let rejected = r#""kind":"command","command":"resume","status":"rejected","reason":"x","from":null,"to":null"#;
        let ended = |status: &str| {
            format!(
                r#""kind":"run_finished","status":"{status}","reason":null,"best_step":null,"best_validation":null,"results":[],"paper_style_max":null,"file":null,"seconds":1.0"#
            )
        };
        run_with(runs.path(), "dead", &[STARTED])?;
        let running = run_with(runs.path(), "running", &[STARTED, pause, STARTED])?;
        let paused = run_with(runs.path(), "paused", &[STARTED, pause, rejected])?;
        run_with(runs.path(), "stopped", &[STARTED, &ended("stopped")])?;
        run_with(runs.path(), "done", &[STARTED, &ended("done")])?;
        let waiting = run_with(
            runs.path(),
            "waiting",
            &[
                STARTED,
                pause,
                r#""kind":"waiting","reason":"the disk is full""#,
            ],
        )?;
        let resumed = run_with(
            runs.path(),
            "resumed",
            &[STARTED, &ended("failed"), STARTED],
        )?;
        run_with(runs.path(), "silent", &[])?;
        let elsewhere = run_with(runs.path(), "elsewhere", &[STARTED])?;
        fs::write(elsewhere.path().join("lock"), "another")
            .map_err(Error::io("write", elsewhere.path()))?;
        let _engines = (
            running.lock()?,
            paused.lock()?,
            waiting.lock()?,
            resumed.lock()?,
        );
        let states: std::collections::BTreeMap<String, RunState> = list(runs.path())?
            .into_iter()
            .map(|s| (s.name, s.state))
            .collect();
        for (name, state) in [
            ("dead", RunState::Dead),
            ("running", RunState::Running),
            ("paused", RunState::Paused),
            ("waiting", RunState::Waiting),
            ("stopped", RunState::Stopped),
            ("done", RunState::Done),
            ("resumed", RunState::Running),
            ("silent", RunState::Dead),
            ("elsewhere", RunState::Elsewhere),
        ] {
            assert_eq!(states.get(name), Some(&state), "{name}");
        }
        assert_eq!(summary(elsewhere).host.as_deref(), Some("another"));
        assert!(list(&runs.path().join("nowhere"))?.is_empty());
        Ok(())
    }

    #[test]
    fn linked_runs_have_the_name_of_the_link_and_are_listed_once() -> Result<()> {
        let place = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let (runs, stored) = (place.path().join("runs"), place.path().join("elsewhere"));
        run_with(&runs, "here", &[STARTED])?;
        let other = run_with(&stored, "stored", &[STARTED])?;
        for (target, name) in [(other.path(), "linked"), (Path::new("here"), "again")] {
            std::os::unix::fs::symlink(target, runs.join(name)).map_err(Error::io("link", name))?;
        }
        let mut names: Vec<String> = list(&runs)?.into_iter().map(|s| s.name).collect();
        names.sort();
        assert_eq!(names, ["here", "linked"]);
        assert_eq!(RunDir::find(&runs, "linked")?.name(), "linked");
        Ok(())
    }

    #[test]
    fn what_was_measured_after_the_step_that_a_run_went_back_to_does_not_hold() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let [early, late] = [(100, 40.), (300, 42.)].map(|(step, mean)| {
            format!(
                r#""kind":"evaluation","step":{step},"network":"convnet","labels":"distilled","split":"test","mean":{mean},"std":1.0,"values":[{mean}]"#
            )
        });
        let back = r#""kind":"rolled_back","from":300,"to":150"#;
        for (name, last, accuracy) in [
            ("ahead", None, Some(42.)),
            ("back", Some(back), Some(40.)),
            // with an engine that begins at step 0 again
            ("anew", Some(STARTED), None),
        ] {
            let lines = [STARTED, &early, &late].into_iter().chain(last);
            let run = run_with(runs.path(), name, &lines.collect::<Vec<_>>())?;
            assert_eq!(summary(run).accuracy, accuracy, "{name}");
        }
        Ok(())
    }

    #[test]
    fn the_middle_of_a_long_log_is_not_needed() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let warning = format!(r#""kind":"warning","message":"{}""#, "x".repeat(1000));
        let mut lines = vec![STARTED];
        lines.extend(std::iter::repeat_n(warning.as_str(), 200));
        lines.push(r#""kind":"phase","name":"evaluate""#);
        let run = run_with(runs.path(), "long", &lines)?;
        let summary = summary(run);
        assert_eq!(
            (summary.profile.as_str(), summary.iterations, summary.phase),
            ("shapes", 9, Some(Phase::Evaluate))
        );
        Ok(())
    }

    #[test]
    fn what_happened_long_before_the_end_is_still_known() -> Result<()> {
        let runs = tempfile::tempdir().map_err(Error::io("create", "."))?;
        let step = |n: u64| {
            let step = EventKind::DistillStep(DistillStep {
                step: n,
                intermediate: vec![0.5; 100],
                ..DistillStep::default()
            });
            let json = serde_json::to_string(&step).unwrap_or_default();
            json.trim_matches(['{', '}']).to_string()
        };
        let evaluation = |split: &str, mean: f64| {
            format!(
                r#""kind":"evaluation","step":1,"network":"convnet","labels":"distilled","split":"{split}","mean":{mean},"std":1.0,"values":[{mean}]"#
            )
        };
        let set = r#""kind":"command","command":"set","edit":"distill.iterations=5000","status":"accepted","reason":null,"from":9,"to":5000"#;
        let pause = r#""kind":"command","command":"pause","status":"accepted","reason":null,"from":null,"to":null"#;
        let warning = r#""kind":"warning","message":"x""#;
        let mut lines = vec![STARTED.to_string(), set.into(), step(1)];
        lines.extend([evaluation("validation", 40.), evaluation("test", 42.5)]);
        lines.extend((2..1500).map(step));
        let as_lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let run = run_with(runs.path(), "long", &as_lines)?;
        let _engine = run.lock()?;
        let of = |run: &RunDir| {
            let found = summary(run.clone());
            (found.state, found.step, found.accuracy)
        };
        assert_eq!(of(&run), (RunState::Running, 1499, Some(42.5)));
        // paused, and so many commands since that the end shows nothing else
        lines.push(pause.into());
        lines.extend(std::iter::repeat_n(warning.to_string(), 3000));
        let as_lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let paused = run_with(runs.path(), "paused", &as_lines)?;
        let _engine = paused.lock()?;
        assert_eq!(of(&paused), (RunState::Paused, 1499, Some(42.5)));
        assert_eq!(summary(paused).iterations, 5000);

        // why an engine was killed is known from how it was started, however long ago
        let mut lines = vec![STARTED.to_string()];
        lines.extend((1..3000).map(step));
        lines.extend([evaluation("validation", 40.), evaluation("test", 42.5)]);
        lines.extend((3000..3100).map(step));
        let as_lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let killed = run_with(runs.path(), "killed", &as_lines)?;
        let read = |engine| RecordEnd::read(&killed.events(), &engine).unwrap_or_default();
        assert!(read(EngineAt::Nowhere).has_start() && !read(EngineAt::Here).has_start());
        Ok(())
    }
}
