//! `--workers slurm`: srun starts the command of a run as several tasks. The first becomes the run's
//! engine, and the others help it.

use crate::cli::{Cli, Cmd, DeviceChoice, DeviceList, WorkArgs, WorkersArgs, WorkersChoice};
use crate::{Error, Result};

/// Where Slurm writes which task of a job step a process is, from 0, and how many there are. The second
/// is not there in the script of a job, which is no step.
const TASK: &str = "SLURM_PROCID";
const TASKS: &str = "SLURM_STEP_NUM_TASKS";

/// How many tasks the job step of this process has.
///
/// # Errors
/// [`Error::Usage`] if it is not a task of a job step.
pub fn tasks() -> Result<usize> {
    step(&variable).map(|(_, tasks)| tasks)
}

impl Cli {
    /// The same command line, except that `run` and `resume` with `--workers slurm` become `work` in all
    /// tasks but the first.
    ///
    /// # Errors
    /// [`Error::Usage`] if this is no task of a job step, or the run has no name that all tasks know.
    pub fn in_job_step(self) -> Result<Self> {
        self.in_step_of(&variable)
    }

    fn in_step_of(mut self, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let (workers, run, device, detach) = match &self.command {
            Some(Cmd::Run(args)) => (
                &args.workers,
                args.name.as_ref(),
                Some(&args.device),
                args.detach,
            ),
            Some(Cmd::Resume(args)) => (
                &args.changes.workers,
                Some(&args.run),
                args.changes.device.as_ref(),
                args.detach,
            ),
            _ => return Ok(self),
        };
        if !is_asked_for(workers) {
            return Ok(self);
        }
        let (task, _) = step(variable)?;
        if detach {
            return Err(Error::Usage(
                "--workers slurm: a job step ends with its tasks, so the engine cannot work in the \
                 background; leave out --detach"
                    .into(),
            ));
        }
        let Some(run) = run.cloned() else {
            return Err(Error::Usage(
                "--workers slurm: choose a --name, by which all tasks find the run".into(),
            ));
        };
        if task > 0 {
            self.command = Some(Cmd::Work(WorkArgs {
                run,
                device: device.map_or(DeviceChoice::Auto, DeviceList::first),
                from_start: true,
            }));
        }
        Ok(self)
    }
}

fn is_asked_for(workers: &WorkersArgs) -> bool {
    matches!(workers.workers, Some(WorkersChoice::Slurm))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Which task of how many this process is.
fn step(variable: &dyn Fn(&str) -> Option<String>) -> Result<(usize, usize)> {
    let number = |name| variable(name).and_then(|text| text.parse::<usize>().ok());
    match (number(TASK), number(TASKS)) {
        (Some(task), Some(tasks)) if task < tasks => Ok((task, tasks)),
        _ => Err(Error::Usage(format!(
            "--workers slurm: found no {TASK} and {TASKS}, so this is not a task of a job step; start it \
             in a job of Slurm with srun, for example `srun --ntasks=4 astill run …`"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    fn in_step(arguments: &str, task: &str, tasks: Option<&str>) -> Result<Cli> {
        let cli = Cli::try_parse_from(arguments.split(' ')).unwrap();
        cli.in_step_of(&|name| match name {
            TASK => Some(task.into()),
            TASKS => tasks.map(String::from),
            _ => None,
        })
    }

    #[test]
    fn the_first_task_is_the_engine_and_the_others_help_it() {
        let run = "astill run shapes --name r --workers slurm --device cuda:0";
        let resume = "astill resume r --workers slurm --device cuda:0";
        for command in [run, resume] {
            let first = in_step(command, "0", Some("3")).unwrap();
            assert!(!matches!(first.command, Some(Cmd::Work(_))));
            let third = in_step(command, "2", Some("3")).unwrap();
            let Some(Cmd::Work(args)) = third.command else {
                panic!("{:?}", third.command);
            };
            assert!(args.from_start && args.run == "r");
            assert_eq!(args.device.to_string(), "cuda:0");
        }
        let alone = in_step("astill run shapes --workers 2", "1", Some("3")).unwrap();
        assert!(matches!(alone.command, Some(Cmd::Run(_))));
    }

    #[test]
    fn what_no_job_step_can_do_is_refused() {
        let named = "astill run shapes --name r --workers slurm";
        for (command, tasks, problem) in [
            // in the script of a job
            (named, None, "srun"),
            ("astill run shapes --workers slurm", Some("3"), "--name"),
            (&format!("{named} --detach"), Some("3"), "--detach"),
            // a task of another step
            (named, Some("0"), "srun"),
        ] {
            let refused = in_step(command, "0", tasks).unwrap_err().to_string();
            assert!(refused.contains(problem), "{refused}");
        }
    }
}
