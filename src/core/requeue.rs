//! `astill run --or-resume`: a job that is queued again continues with its run.

use crate::cli::{Cli, Cmd, DeviceList, ResumeArgs, ResumeChanges, RunArgs};
use crate::profile::{Difference, Profile, Start};
use crate::run::RunDir;
use crate::{Error, Result};
use serde_json::json;

impl Cli {
    /// The same command line, except that `run --or-resume` becomes `resume` where the run is there
    /// already.
    ///
    /// # Errors
    /// [`Error::Usage`] if that run has other settings; [`Error::Profile`] if the profile is wrong.
    pub fn or_resumed(mut self) -> Result<Self> {
        if let Some(Cmd::Run(args)) = &self.command
            && args.or_resume
            && let Some(name) = &args.name
            // anything that is not a name is refused as for any new run
            && !name.contains(['/', '\0'])
            && let Some(run) = RunDir::open(&self.runs.join(name))
        {
            check_settings(&run, args)?;
            self.command = Some(Cmd::Resume(ResumeArgs {
                run: name.clone(),
                headless: args.headless,
                detach: args.detach,
                changes: ResumeChanges {
                    device: Some(args.device.clone()).filter(|d| *d != DeviceList::default()),
                    set: Vec::new(),
                    on_finish: args.on_finish.clone(),
                    workers: args.workers.clone(),
                },
                engine_of: None,
                is_requeued: true,
                unattended: args.unattended,
            }));
        }
        Ok(self)
    }
}

/// # Errors
/// The run was begun with other settings than those that are asked for.
fn check_settings(run: &RunDir, args: &RunArgs) -> Result<()> {
    let mut wanted: Profile = args.profile.load()?.profile;
    if let Start::From(path) = &wanted.distill.init {
        // as the run keeps it
        let whole = std::path::absolute(path).unwrap_or_else(|_| path.clone());
        wanted.distill.init = Start::From(whole);
    }
    let begun = run.read_profile()?;
    let unreadable = |why| Error::Usage(format!("{}: {why}", run.profile().display()));
    let differing = wanted.differences(&json!(begun)).map_err(unreadable)?;
    if differing.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> = differing.iter().map(Difference::refusal).collect();
    Err(Error::Usage(format!(
        "--or-resume: the run {} is there already and was begun with other settings; choose another \
         --name, or resume it as it is with `astill resume {}`, where --set changes live settings{}",
        run.name(),
        run.reference(),
        lines.concat()
    )))
}
