//! What a resumed run continues with: the settings that it was begun with, which its checkpoint
//! holds, or before the first one its record, and changes of live settings. Everything else is refused before anything is computed.

use super::checkpoint::{Head, MadeWith, before, newest_head};
use super::control::{RunStage, moment_of};
use astill_core::profile::{Difference, Profile};
use astill_core::run::History;
use astill_core::run::RunDir;
use astill_core::run::edits::{Edits, Moment, key_of};
use astill_core::{Error, Result};

/// A key that says where files are, not what they hold: what they hold is compared by itself.
const PLACE_OF_DATA: &str = "dataset.path";
const ITERATIONS: &str = "distill.iterations";

/// What a resumed run continues with.
#[derive(Debug)]
pub struct Resumption {
    /// The settings that the run was begun with.
    pub profile: Profile,
    /// Changes of live settings that hold from here on, each "section.key=value".
    pub sets: Vec<String>,
    /// Whether profile.yaml holds something else than `profile`.
    pub is_edited: bool,
    /// Whether profile.yaml names another folder of data than before.
    pub is_data_moved: bool,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// The step of its newest checkpoint, if it has one.
    pub step: Option<u64>,
    /// Updates in all, with those changes.
    pub iterations: u64,
}

/// What the run continues with, if its profile.yaml and the changes `given` on the command line
/// allow that.
///
/// # Errors
/// [`Error::Usage`] that names every key that is not live and has another value than the run was
/// begun with; [`Error::Profile`] for a profile or change that would be refused in any run.
pub fn resumption(run: &RunDir, history: &History, given: &[String]) -> Result<Resumption> {
    let here = run.read_profile()?;
    let head = newest_head(run.path())?;
    let edits = Edits::read(run)?;
    if let Some(head) = &head {
        check_edits(run, head, &edits)?;
    }
    let begun = match (&head, &history.settings) {
        (Some(head), _) => match &head.made_with {
            Some(made_with) => begun_with(run, &here, &Source::checkpoint(head.step, made_with))?,
            None => Begun::unknown(&here, head.step),
        },
        (None, Some((settings, version))) => {
            begun_with(run, &here, &Source::record(settings, version))?
        }
        (None, None) => Begun::untold(&here, run),
    };
    let (profile, mut warnings) = (begun.profile, begun.warnings);
    let before = edits.apply(&profile, Moment::Step(u64::MAX))?;
    // what has become an edit already needs no second one
    let edited = begun
        .live
        .into_iter()
        .filter(|d| d.key.value(&before) != d.now);
    let step = head.map(|head| head.step);
    let mut by_hand: Vec<String> = edited
        .map(|d| format!("{}={}", d.key.path, d.now))
        .collect();
    let done = step.filter(|step| (here.distill.iterations as u64) < *step);
    let too_few = |set: &&mut String| key_of(set) == ITERATIONS;
    if let (Some(done), Some(set)) = (done, by_hand.iter_mut().find(too_few)) {
        warnings.push(format!(
            "profile.yaml asks for {} steps, but {done} are done already, so the run ends with these",
            here.distill.iterations
        ));
        *set = format!("{ITERATIONS}={done}");
    }
    if !by_hand.is_empty() {
        warnings.push(format!(
            "profile.yaml was edited: {} from here on. It now stands in edits.json, and profile.yaml \
             again holds what the run was begun with",
            by_hand.join(", ")
        ));
    }
    let sets = [by_hand.clone(), given.to_vec()].concat();
    let mut after = before;
    for set in &sets {
        after = after.edited(set).map_err(Error::Profile)?;
        let stage = (RunStage::Data, step);
        moment_of(set, (&profile, &after), stage).map_err(|why| match by_hand.contains(set) {
            true => Error::Usage(format!("{}: {set}: {why}", run.profile().display())),
            false => Error::Usage(format!("--set {set}: {why}")),
        })?;
    }
    Ok(Resumption {
        is_edited: here != profile,
        is_data_moved: begun.is_data_moved,
        profile,
        sets,
        warnings,
        step,
        iterations: after.distill.iterations as u64,
    })
}

/// Checks that the steps up to a checkpoint were computed with the edits that the run has.
///
/// # Errors
/// [`Error::Usage`] that names what is missing and what is too much.
fn check_edits(run: &RunDir, head: &Head, edits: &Edits) -> Result<()> {
    let Some(known) = &head.edits else {
        return Ok(());
    };
    let found = before(head.step, edits.all());
    if found == *known {
        return Ok(());
    }
    let lost = known.iter().filter(|edit| !found.contains(edit));
    let new = found.iter().filter(|edit| !known.contains(edit));
    let lost = lost.map(|e| format!("\n  {}: expected {}, found nothing", e.at, e.set));
    let new = new.map(|e| format!("\n  {}: expected nothing, found {}", e.at, e.set));
    let mut lines: String = lost.chain(new).collect();
    if lines.is_empty() {
        lines = "\n  they are in another order".into();
    }
    Err(Error::Usage(format!(
        "{}: the edits before step {} cannot change any more, because its checkpoint was computed with \
         others; restore them{lines}",
        run.edits().display(),
        head.step
    )))
}

/// What a run was begun with.
struct Begun {
    profile: Profile,
    /// The live settings that are others in its profile.yaml.
    live: Vec<Difference>,
    is_data_moved: bool,
    warnings: Vec<String>,
}

impl Begun {
    /// With what stands in its profile.yaml, because the checkpoint of this step does not tell.
    fn unknown(here: &Profile, step: u64) -> Self {
        let mut begun = Self::as_is(here);
        begun.warnings.push(format!(
            "the checkpoint of step {step} is from an older version of astill and does not hold the \
             settings that the run was begun with, so profile.yaml is taken as it is"
        ));
        begun
    }

    /// The same where neither a checkpoint nor the record tells. A run that has just been made has no
    /// record yet.
    fn untold(here: &Profile, run: &RunDir) -> Self {
        let mut begun = Self::as_is(here);
        if run.events().exists() {
            begun.warnings.push(
                "neither a checkpoint nor the record holds the settings that the run was begun with, \
                 so profile.yaml is taken as it is"
                    .into(),
            );
        }
        begun
    }

    /// With what stands in its profile.yaml, as far as anybody can tell.
    fn as_is(here: &Profile) -> Self {
        Self {
            profile: here.clone(),
            live: Vec::new(),
            is_data_moved: false,
            warnings: Vec::new(),
        }
    }
}

/// Where it stands what the run was begun with.
struct Source<'a> {
    profile: &'a serde_json::Value,
    /// "the checkpoint of step 5".
    place: String,
    /// Of the engine that wrote it.
    program: String,
    /// Why other settings are refused.
    reason: String,
    warnings: Vec<String>,
}

impl<'a> Source<'a> {
    fn checkpoint(step: u64, made_with: &'a MadeWith) -> Self {
        Self {
            profile: &made_with.profile,
            place: format!("the checkpoint of step {step}"),
            program: made_with.program.clone(),
            reason: format!(
                "because step {step} was computed with others; restore them, or start a new run"
            ),
            warnings: made_with.warnings(),
        }
    }

    /// The record of a run that has no checkpoint yet.
    fn record(profile: &'a serde_json::Value, version: &str) -> Self {
        Self {
            profile,
            place: "the record of its latest engine".into(),
            program: format!("astill {version}"),
            reason:
                "because the run was begun with others; restore them, or start a new run, which \
                     uses the experts already trained if their settings are the same"
                    .into(),
            warnings: Vec::new(),
        }
    }
}

/// What the run was begun with, unless its profile.yaml holds something else that is not live.
fn begun_with(run: &RunDir, here: &Profile, source: &Source<'_>) -> Result<Begun> {
    let unreadable = |why| {
        let text = format!(
            "{} was made by {}, and its settings cannot be compared: {why}. Resume with that version",
            source.place, source.program
        );
        Error::Usage(format!("{}: {text}", run.path().display()))
    };
    let differing = here.differences(source.profile).map_err(unreadable)?;
    let mut profile = Profile::recorded(source.profile).map_err(unreadable)?;
    profile.dataset.path.clone_from(&here.dataset.path);
    let (moved, differing): (Vec<_>, Vec<_>) = differing
        .into_iter()
        .partition(|d| d.key.path == PLACE_OF_DATA);
    let mut warnings = source.warnings.clone();
    warnings.extend(moved.iter().map(|d| {
        format!(
            "dataset.path was {} and is {} now; the run continues if that holds the same images",
            d.recorded, d.now
        )
    }));
    let (live, fixed): (Vec<_>, Vec<_>) = differing
        .into_iter()
        .partition(|d| d.key.live && d.key.section() != "expert");
    if fixed.is_empty() {
        return Ok(Begun {
            profile,
            live,
            is_data_moved: !moved.is_empty(),
            warnings,
        });
    }
    let lines: Vec<String> = fixed.iter().map(Difference::refusal).collect();
    Err(Error::Usage(format!(
        "{}: these settings cannot change any more, {}{}",
        run.profile().display(),
        source.reason,
        lines.concat()
    )))
}
