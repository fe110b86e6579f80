//! Processes that train experts beside the engine, one on each further device of a run. They share
//! them out by their claims, as any processes do.

use super::{RunPlan, helper_process, with_data_in};
use astill_core::Result;
use rustix::process::{Pid, Signal, kill_process};
use std::ffi::OsStr;
use std::io::Write;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How long a process takes at most to give back its claim, once it is asked to end.
const FAREWELL: Duration = Duration::from_secs(5);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Where the processes read the engine's own profile: the file in the run's folder may have been edited.
const ENGINES_PROFILE: &str = "/dev/stdin";

/// The processes, as long as this lives.
#[derive(Debug, Default)]
pub struct ExpertHelpers {
    processes: Vec<Helper>,
}

#[derive(Debug)]
struct Helper {
    /// "process 2 (cuda:1)".
    name: String,
    child: Child,
}

impl ExpertHelpers {
    /// Starts those of a plan. Each ends when no expert is left that no other is training.
    ///
    /// # Errors
    /// One cannot be started.
    pub fn start(plan: &RunPlan) -> Result<Self> {
        let mut helpers = Self::default();
        let devices = &plan.workers.experts;
        for (number, device) in devices.iter().enumerate() {
            let arguments = ["experts", ENGINES_PROFILE, "--any"].map(OsStr::new);
            let mut child =
                helper_process::start(plan, (device, devices), (&arguments, Stdio::piped()))?;
            if let Some(mut input) = child.stdin.take() {
                // one that has ended at once says why by its status
                let profile = with_data_in(&plan.profile, &plan.folder, &plan.data);
                let _ = input.write_all(profile.to_yaml().as_bytes());
            }
            helpers.processes.push(Helper {
                name: format!("process {} ({device})", number + 2),
                child,
            });
        }
        Ok(helpers)
    }

    /// What is to be said of those that have failed since this was asked last.
    pub fn failures(&mut self) -> Vec<String> {
        let mut failures = Vec::new();
        self.processes.retain_mut(|helper| {
            let ended = match helper.child.try_wait() {
                Ok(None) => return true,
                Ok(Some(status)) if status.success() => return false,
                Ok(Some(status)) => status.to_string(),
                Err(error) => error.to_string(),
            };
            failures.push(format!(
                "{}, which trained experts, ended with {ended} (see run.log); the others train its \
                 experts",
                helper.name
            ));
            false
        });
        failures
    }

    /// Stops them where they are, or lets them continue.
    pub fn pause(&self, is_paused: bool) {
        let signal = match is_paused {
            true => Signal::STOP,
            false => Signal::CONT,
        };
        self.send(signal);
    }

    /// Ends them; whether there were any. Each gives back its claim; the epoch that it was in is lost.
    pub fn end(&mut self) -> bool {
        let were_there = !self.processes.is_empty();
        // a second one means no more than the first: a batch system may have sent one to every process
        self.send(Signal::USR2);
        // one that is stopped would not hear the other signal
        self.send(Signal::CONT);
        let begin = Instant::now();
        for helper in &mut self.processes {
            while matches!(helper.child.try_wait(), Ok(None)) && begin.elapsed() < FAREWELL {
                std::thread::sleep(POLL_INTERVAL);
            }
            let _ = helper.child.kill();
            let _ = helper.child.wait();
        }
        self.processes.clear();
        were_there
    }

    fn send(&self, signal: Signal) {
        for helper in &self.processes {
            // one that has just ended needs none
            let _ = kill_process(Pid::from_child(&helper.child), signal);
        }
    }
}

impl Drop for ExpertHelpers {
    fn drop(&mut self) {
        self.end();
    }
}
