//! What the app needs of the rest of the program, on this machine.

use crate::engine_process::{Local, PATIENCE, answer_of, refusal, run_engine};
use crate::fetch;
use crate::previews::{folder_stamp, run_unless_outdated};
use crate::tui::backend::{
    AblationSummary, Backend, DataState, Glance, NewRun, Preview, ProfileSummary, RunRequest,
    RunTemplate,
};
use crate::tui::events_file::{EventsFile, Found, read_whole};
use crate::tui::model::Model;
use crate::tui::picture::Picture;
use astill_core::cli::{DeviceChoice, FetchArgs, ResumeChanges, data_folder};
use astill_core::dataset_folder::dataset_folder;
use astill_core::on_finish;
use astill_core::profile::{self, Kind, Profile, schema};
use astill_core::run::command::{Answer, Command};
use astill_core::run::edits::{Edits, Moment};
use astill_core::run::event::{DataWarning, EventKind, LeftOut, RunFinished, RunOutcome};
use astill_core::run::list::RunSummary;
use astill_core::run::pace::unix_seconds;
use astill_core::run::{EngineAt, RunDir, checkpoints, reach};
use astill_core::{Error, Result};
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::{Duration, Instant};

/// Of a record that is longer than this, in bytes, only the beginning is read for a glance.
const GLANCED_AT: u64 = 8 << 20;
const BEGINNING: u64 = 1 << 20;
/// The folder of the pictures of a run.
const SAMPLES: &str = "samples";

/// Whether the data of the profiles are here is looked at again after this, or once a fetch has ended:
/// the list itself is read every few seconds.
const LOOKED_AGAIN: Duration = Duration::from_secs(30);

impl Local {
    /// The folder of a profile's data set; none where the environment names no folder of data.
    fn data_set_folder(&self, profile: &Profile) -> Option<PathBuf> {
        let data = data_folder(self.data.clone()).ok()?;
        Some(dataset_folder(profile, &data))
    }

    /// Whether the data set of a profile is here, as far as its folder shows that.
    fn data_state(&self, profile: &Profile) -> DataState {
        let (Some(folder), Ok(data)) = (
            self.data_set_folder(profile),
            data_folder(self.data.clone()),
        ) else {
            return DataState::Missing;
        };
        if profile.dataset.kind == Kind::Shapes {
            return DataState::Ready;
        }
        let wanted = folder.strip_prefix(&data).unwrap_or(&folder);
        let found = fetch::CATALOGUE.iter().find(|entry| {
            let paths = entry.proof.iter().map(|p| &p.path);
            let mut roots = paths.map(|path| Path::new(&entry.folder).join(path));
            roots.any(|root| root.starts_with(wanted))
        });
        // other versions of a set are read too, such as the Python one of CIFAR
        let is_whole = match found {
            Some(entry) => !fetch::is_partly_there(entry, &data),
            None => !fetch::is_cut_off(&folder),
        };
        if is_whole && has_content(&folder) {
            return DataState::Ready;
        }
        if let Some(entry) = found {
            let bytes = entry.files.iter().map(|file| file.bytes);
            return DataState::Fetchable {
                set: entry.name.clone(),
                // those of a set of the Hub are not known before
                bytes: bytes.sum::<Option<u64>>().filter(|bytes| *bytes > 0),
            };
        }
        let path = profile.dataset.path.as_deref().and_then(Path::to_str);
        match path.filter(|path| path.starts_with("hf:")) {
            Some(set) => DataState::Fetchable {
                set: set.to_owned(),
                bytes: None,
            },
            None => DataState::Missing,
        }
    }

    /// The profiles of the menu, and whether their data are here.
    fn listed_profiles(&self) -> Vec<ProfileSummary> {
        let listed = profile::builtin().iter().filter(|b| b.listed);
        listed
            .map(|b| {
                let profile = profile::load(b.name, &[]).ok().map(|l| Box::new(l.profile));
                let data = profile.as_ref().map(|p| self.data_state(p));
                ProfileSummary {
                    published: b.is_published(),
                    reference: b.name.into(),
                    description: b.description().into(),
                    text: b.text.into(),
                    data: data.unwrap_or(DataState::Missing),
                    profile,
                }
            })
            .collect()
    }

    /// What the engine says about a run that could be started; none if that is not wanted any more.
    fn asked(
        &self,
        request: &RunRequest,
        profile: &Profile,
        is_outdated: &dyn Fn() -> bool,
    ) -> Result<Option<Value>> {
        let folder = self.data_set_folder(profile).unwrap_or_default();
        let question = (profile.to_yaml(), request.device.to_string());
        let stamp = folder_stamp(&folder);
        // of several GPUs, the one with the most free memory is chosen
        let gpus = DeviceChoice::here()
            .into_iter()
            .filter(|d| matches!(d, DeviceChoice::Cuda(_)));
        let device_varies = request.device == DeviceChoice::Auto && gpus.count() > 1;
        let now = Instant::now();
        if let Some(known) = self.answers.get(&question, &stamp, device_varies, now) {
            return Ok(Some(known));
        }
        let mut command = self.command("check")?;
        command.arg(&request.reference).arg("--preview");
        command.args(["--device", &request.device.to_string()]);
        command.args(request.sets.iter().map(|set| format!("--set={set}")));
        let Some(output) = run_unless_outdated(&mut command, is_outdated)? else {
            return Ok(None);
        };
        if !output.status.success() {
            return Err(refusal(command.get_program(), &output));
        }
        let answer: Value = answer_of(&output)?;
        // what keeps it from being measured may be over soon
        if answer["estimate"].is_object() {
            self.answers
                .put(question, stamp, answer.clone(), Instant::now());
        }
        Ok(Some(answer))
    }

    /// Has the engine's program change a run that no engine works on.
    fn change_without_engine(&self, run: &RunDir, arguments: &[&str]) -> Result<Answer> {
        let mut command = self.command("send")?;
        answer_of(&run_engine(command.arg(run.path()).args(arguments))?)
    }

    /// Sends a command to the engine of a run, or changes the run itself where none works on it. What
    /// there is to know while that takes a while is said to `tell`.
    ///
    /// # Errors
    /// No engine can be reached, and the command needs one; or the run cannot be changed.
    pub fn carry_out(
        &self,
        run: &RunDir,
        command: &Command,
        tell: &dyn Fn(String),
    ) -> Result<Answer> {
        match (run.engine(), command) {
            (EngineAt::Nowhere, Command::Set { edit }) => {
                self.change_without_engine(run, &["set", "--", edit])
            }
            (EngineAt::Nowhere, Command::RollBack { step }) => {
                self.change_without_engine(run, &["roll-back", &step.to_string()])
            }
            _ => reach::send(run, command, PATIENCE, tell),
        }
    }
}

/// Whether something is in a folder that is not hidden, or whether it is a file.
fn has_content(path: &Path) -> bool {
    if path.is_file() {
        return true;
    }
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    let mut names = entries.map(|entry| entry.file_name());
    names.any(|name| !name.as_encoded_bytes().starts_with(b"."))
}

/// The preview in an answer of the engine.
fn preview_of(profile: Profile, answer: &Value) -> Preview {
    let counts = &answer["data"];
    let data = match answer["missing"].as_str() {
        Some(missing) => Err(missing.to_string()),
        None => {
            let count = |name: &str| counts[name].as_u64().unwrap_or(0);
            Ok(format!(
                "{} classes, {} training, {} validation and {} test images",
                count("classes"),
                count("train"),
                count("validation"),
                count("test")
            ))
        }
    };
    let estimate = |name: &str| answer["estimate"][name].as_f64();
    Preview {
        profile: Ok(profile),
        data,
        remarks: texts(&answer["warnings"]).chain(remarks(counts)).collect(),
        device: answer["device"].as_str().unwrap_or_default().into(),
        memory_mib: estimate("memory_mib"),
        seconds: estimate("seconds"),
        free_mib: answer["free_mib"].as_f64(),
        not_measured: answer["not_measured"].as_str().map(String::from),
    }
}

/// The texts of a list.
fn texts(list: &Value) -> impl Iterator<Item = String> + '_ {
    let texts = list.as_array().into_iter().flatten();
    texts.filter_map(|text| text.as_str().map(String::from))
}

/// What is left out of a data set, and what else the engine says about it.
fn remarks(data: &Value) -> Vec<String> {
    fn list<T: DeserializeOwned>(data: &Value, name: &str) -> Vec<T> {
        // an older engine says nothing of it
        serde_json::from_value(data[name].clone()).unwrap_or_default()
    }
    let left_out: Vec<LeftOut> = list(data, "left_out");
    let warnings: Vec<DataWarning> = list(data, "warnings");
    let left_out = left_out.iter().map(|files| format!("left out: {files}"));
    let warnings = warnings.into_iter().map(|warning| warning.message);
    left_out
        .chain(warnings)
        .chain(list(data, "notes"))
        .collect()
}

/// A preview that says only what is wrong.
fn refused(profile: std::result::Result<Profile, String>, problem: String) -> Preview {
    Preview {
        profile,
        data: Err(problem),
        remarks: Vec::new(),
        device: String::new(),
        memory_mib: None,
        seconds: None,
        free_mib: None,
        not_measured: None,
    }
}

/// The curve and the latest picture of a run. Of a long record only the beginning is read: what the
/// images are of.
fn glance(run: &RunDir) -> Glance {
    let mut model = Model::new();
    let length = std::fs::metadata(run.events()).map_or(0, |m| m.len());
    let is_long = length > GLANCED_AT;
    let mut file = EventsFile::open(run.events());
    let read = if is_long { BEGINNING } else { GLANCED_AT };
    let events = file.poll(read as usize).unwrap_or_default();
    events.iter().for_each(|event| model.apply(event));
    let picture = match is_long {
        true => latest_sample(run),
        false => model.samples.last().map(|sample| sample.file.clone()),
    };
    let picture = picture.and_then(|file| Picture::open(&run.own_file(&file).ok()?).ok());
    let size = model.dataset.as_ref().map_or(0, |d| d.size);
    let loss = model.steps.of("matching_loss").first().cloned();
    let loss = loss.filter(|_| !is_long);
    let glance = Glance::new(loss, picture.as_ref(), usize::try_from(size).unwrap_or(0));
    let baselines = match is_long {
        true => Vec::new(),
        false => model.baselines(),
    };
    Glance {
        classes: model
            .dataset
            .as_ref()
            .map_or(Vec::new(), |d| d.classes.clone()),
        baselines: baselines
            .iter()
            .map(|b| (b.labels.to_string(), b.mean))
            .collect(),
        is_long,
        ..glance
    }
}

/// The picture of the highest step in the folder of pictures: the names have their steps.
fn latest_sample(run: &RunDir) -> Option<String> {
    let entries = std::fs::read_dir(run.path().join(SAMPLES)).ok()?.flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let pictures = names.filter(|name| name.ends_with(".png"));
    let latest = pictures.max_by_key(|name| (name.len(), name.clone()))?;
    Some(format!("{SAMPLES}/{latest}"))
}

impl Backend for Local {
    fn profiles(&self) -> Vec<ProfileSummary> {
        let mut known = self.profiles.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((since, profiles)) if since.elapsed() < LOOKED_AGAIN => profiles.clone(),
            _ => {
                let profiles = self.listed_profiles();
                known.insert((Instant::now(), profiles)).1.clone()
            }
        }
    }

    fn fetch(
        &self,
        set: &str,
        report: &dyn Fn(String),
        is_ended: &dyn Fn() -> bool,
    ) -> Result<String> {
        let args = FetchArgs {
            set: Some(set.into()),
            from: Vec::new(),
            mirror: Vec::new(),
            revision: None,
            list: false,
        };
        let data = data_folder(self.data.clone())?;
        let mut lines = fetch::Lines::new(report, is_ended);
        let fetched = fetch::run(&args, &data, &mut lines);
        // whatever came of it, something else may be here now
        *self.profiles.lock().unwrap_or_else(PoisonError::into_inner) = None;
        let (fetch::Fetched::AlreadyThere(folder) | fetch::Fetched::Done(folder)) = fetched?;
        Ok(folder.display().to_string())
    }

    fn runs(&self) -> Result<Vec<RunSummary>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.list(&self.runs)
    }

    fn ablations(&self) -> Result<Vec<AblationSummary>> {
        let mut known = self
            .known_ablations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        known.list(&self.runs)
    }

    fn preview(&self, request: &RunRequest, is_outdated: &dyn Fn() -> bool) -> Option<Preview> {
        let profile = match profile::load(&request.reference, &request.sets) {
            Ok(loaded) => loaded.profile,
            Err(problems) => {
                let text = problems.to_string();
                return Some(refused(Err(text.clone()), text));
            }
        };
        match self.asked(request, &profile, is_outdated) {
            Ok(answer) => answer.map(|answer| preview_of(profile, &answer)),
            Err(error) => Some(refused(Ok(profile), error.to_string())),
        }
    }

    fn start(&self, new: &NewRun) -> Result<RunDir> {
        let NewRun { request, name } = new;
        let mut arguments = vec![
            request.reference.clone(),
            format!("--device={}", request.device),
        ];
        arguments.extend(request.sets.iter().map(|set| format!("--set={set}")));
        arguments.extend(name.iter().map(|name| format!("--name={name}")));
        Local::start(self, arguments)
    }

    fn resume(&self, run: &RunDir, sets: &[String]) -> Result<()> {
        let changes = ResumeChanges {
            set: sets.to_vec(),
            ..ResumeChanges::default()
        };
        self.resume_engine(run, &changes)
    }

    fn profile(&self, run: &RunDir) -> Result<Profile> {
        Edits::read(run)?.apply(&run.read_profile()?, Moment::Step(u64::MAX))
    }

    fn template(&self, run: &RunDir) -> Result<RunTemplate> {
        let profile = run.read_profile()?;
        let now = Edits::read(run)?.apply(&profile, Moment::Step(u64::MAX))?;
        let changed = schema()
            .iter()
            .filter(|k| k.value(&now) != k.value(&profile));
        let sets = changed.map(|key| format!("{}={}", key.path, key.value(&now)));
        let is_free = |name: &String| self.runs.join(name).symlink_metadata().is_err();
        let mut names = (2u64..).map(|n| format!("{}-{n}", run.name()));
        Ok(RunTemplate {
            reference: run.profile().display().to_string(),
            sets: sets.collect(),
            data: self.data_state(&now),
            profile,
            name: names.find(is_free).unwrap_or_default(),
        })
    }

    fn glance(&self, run: &RunDir) -> Glance {
        glance(run)
    }

    fn delete(&self, run: &RunDir) -> Result<()> {
        run.delete()
    }

    fn rename(&self, run: &RunDir, name: &str) -> Result<RunDir> {
        run.rename(name)
    }

    fn write_note(&self, run: &RunDir, note: &str) -> Result<()> {
        run.write_note(note)
    }

    fn checkpoints(&self, run: &RunDir) -> Result<Vec<u64>> {
        checkpoints::steps(run.path())
    }

    fn engine(&self, run: &RunDir) -> EngineAt {
        run.engine()
    }

    fn send(&self, run: &RunDir, command: &Command) -> Result<Answer> {
        // the run's screen says already that the engine is elsewhere
        self.carry_out(run, command, &|_| {})
    }

    fn run_command(&self, command: &str, run: &RunDir) -> Result<()> {
        let (mut finished, mut span) = (None, (None, None));
        read_whole(run, |found| {
            let Found::Event(event) = found else {
                (finished, span) = (None, (None, None));
                return Ok(());
            };
            span.1 = unix_seconds(&event.time);
            match &event.what {
                EventKind::RunFinished(end) => finished = Some(end.clone()),
                EventKind::RunStarted(_) => (finished, span.0) = (None, span.1),
                _ => {}
            }
            Ok(())
        })?;
        let finished = finished.unwrap_or_else(|| {
            // the engine is gone without a word
            let reason = format!(
                "its engine exited unexpectedly; `astill resume {}` resumes it",
                run.reference()
            );
            let seconds = span.0.zip(span.1).map_or(0., |(from, to)| to - from);
            RunFinished::without_result(RunOutcome::Failed, reason, seconds)
        });
        let status = on_finish::run_quietly(command, run, &finished)?;
        match status.success() {
            true => Ok(()),
            false => Err(Error::Usage(format!("--on-finish {command}: {status}"))),
        }
    }
}

#[cfg(test)]
mod tests;
