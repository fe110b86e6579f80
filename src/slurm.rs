//! `astill slurm`: the script that submits a run to Slurm as two jobs, an array that trains the
//! experts and a job that distils.

use astill_core::cli::{Gpus, SlurmArgs};
use astill_core::run::{name_problem, name_stem};
use astill_core::text::shell_word;
use astill_core::{Error, Result};
use std::path::{Path, PathBuf};

/// Tasks of the array unless the user names a number.
const TASKS: u64 = 10;
/// Seconds before its time limit in which a job is told to save and stop. An engine needs a few.
const BEFORE_LIMIT: u32 = 120;

/// Where things are on the cluster.
#[derive(Debug)]
pub struct Places {
    /// The program `astill`.
    pub program: PathBuf,
    /// Where the script is written, and its jobs run.
    pub here: PathBuf,
    pub runs: PathBuf,
    /// As given by --data.
    pub data: Option<PathBuf>,
}

/// The script, for bash.
///
/// # Errors
/// [`Error::Usage`] for a wrong name, an array that is larger than the number of experts, or text
/// that no script can hold; [`Error::Profile`] for a wrong profile.
pub fn script(args: &SlurmArgs, places: &Places) -> Result<String> {
    let loaded = args.profile.load()?;
    let name = match &args.name {
        None => name_stem(&loaded.name),
        Some(name) => match name_problem(name) {
            None => name.clone(),
            Some(problem) => return Err(Error::Usage(format!("--name: {problem}"))),
        },
    };
    let count = loaded.profile.expert.count as u64;
    let tasks = args.array.unwrap_or(count.min(TASKS));
    if tasks > count {
        return Err(Error::Usage(format!(
            "found --array {tasks}, expected at most {count}: the profile has that many experts \
             (expert.count)"
        )));
    }
    let segments = loaded.profile.distill.segments as u64;
    if args.tasks > segments {
        return Err(Error::Usage(format!(
            "found --tasks {}, expected at most {segments}: an update has that many segments \
             (distill.segments), which the tasks share",
            args.tasks
        )));
    }
    let of_run = Job {
        name: name.clone(),
        tasks: args.tasks,
        gpus: args.gpus.as_ref().map(Gpus::one),
        options: Vec::new(),
        command: command_of_run(args, &name, places)?,
    };
    let here = quoted(&text_of(&places.here)?)?;
    let mut script = format!(
        "#!/bin/bash\n\
         # Distils {} with Slurm. Submit it with `bash FILE`, or pipe it into bash. Its jobs continue\n\
         # where they were when they are queued again: after a preemption, a failed node, or the time\n\
         # limit. Submitting it again is harmless.\n\
         set -euo pipefail\n\
         cd {here}\n\n",
        loaded.name
    );
    if loaded.profile.expert.from.is_some() {
        return Ok(script + &of_run.submission(args)? + "\n");
    }
    let of_experts = Job {
        name: format!("{name}-experts"),
        tasks: 1,
        gpus: args.gpus.clone(),
        options: vec!["--parsable".into(), format!("--array=1-{tasks}")],
        command: command_of_experts(args, places)?,
    };
    let of_run = Job {
        options: vec![
            "--dependency=afterok:${experts%%;*}".into(),
            "--kill-on-invalid-dep=yes".into(),
        ],
        ..of_run
    };
    script += &format!(
        "# each task trains the experts that no other is training\n\
         experts=$({})\n\n{}\n",
        of_experts.submission(args)?,
        of_run.submission(args)?
    );
    Ok(script)
}

/// A job to submit.
struct Job {
    name: String,
    tasks: u64,
    gpus: Option<Gpus>,
    /// Options of sbatch, as a shell reads them between double quotes.
    options: Vec<String>,
    /// What it runs, as a shell reads it.
    command: String,
}

impl Job {
    /// The call of sbatch, with the script of the job.
    fn submission(&self, args: &SlurmArgs) -> Result<String> {
        let mut options: Vec<String> = self.options.iter().map(|o| format!("\"{o}\"")).collect();
        options.push(format!("--job-name={}", quoted(&self.name)?));
        let gpus = self.gpus.iter();
        if self.tasks == 1 {
            // all GPUs of a task on the node where it runs
            options.push("--nodes=1 --ntasks=1".into());
            options.extend(gpus.map(|gpus| format!("--gpus={gpus}")));
        } else {
            options.push(format!("--ntasks={}", self.tasks));
            options.extend(gpus.map(|gpus| format!("--gpus-per-task={gpus}")));
        }
        options.push(format!("--cpus-per-task={}", args.cpus));
        if let Some(time) = &args.time {
            options.push(format!("--time={}", quoted(time)?));
        }
        options.push("--requeue --open-mode=append".into());
        options.push(format!("--signal=USR2@{BEFORE_LIMIT}"));
        for option in &args.sbatch {
            options.push(quoted(option)?);
        }
        Ok(format!(
            "sbatch \\\n  {} <<'END'\n\
             #!/bin/bash\n\
             srun --cpus-per-task=\"$SLURM_CPUS_PER_TASK\" {}\n\
             status=$?\n\
             # saved and stopped before the time limit: the rest is done after requeueing\n\
             # (of an array this task alone, whose own number may be that of the whole array)\n\
             job=\"${{SLURM_ARRAY_JOB_ID:+${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID}}\"\n\
             if [ $status = 140 ]; then scontrol requeue \"${{job:-$SLURM_JOB_ID}}\"; fi\n\
             exit $status\n\
             END\n",
            options.join(" \\\n  "),
            self.command
        ))
    }
}

fn command_of_experts(args: &SlurmArgs, places: &Places) -> Result<String> {
    let mut words = beginning(places, "experts", args)?;
    words.push("--any".into());
    if let Some(gpus) = &args.gpus {
        let all: Vec<String> = (0..gpus.number).map(|n| format!("cuda:{n}")).collect();
        words.push(format!("--device={}", all.join(",")));
    }
    command(args, places, &words)
}

fn command_of_run(args: &SlurmArgs, name: &str, places: &Places) -> Result<String> {
    let mut words = beginning(places, "run", args)?;
    words.push(format!("--name={name}"));
    words.extend(["--or-resume", "--headless"].map(String::from));
    words.extend(args.gpus.iter().map(|_| "--device=cuda:0".to_string()));
    if args.tasks > 1 {
        words.push("--workers=slurm".into());
    }
    command(args, places, &words)
}

/// The folders, the subcommand and the profile.
fn beginning(places: &Places, subcommand: &str, args: &SlurmArgs) -> Result<Vec<String>> {
    let absolute = |path: &Path| text_of(&std::path::absolute(path).unwrap_or(path.to_path_buf()));
    let mut words = Vec::new();
    if let Some(data) = &places.data {
        words.extend(["--data".into(), absolute(data)?]);
    }
    words.extend(["--runs".into(), absolute(&places.runs)?]);
    words.extend([subcommand.to_string(), args.profile.profile.clone()]);
    words.extend(args.profile.set.iter().map(|set| format!("--set={set}")));
    words.extend(
        args.profile
            .seed
            .iter()
            .map(|seed| format!("--seed={seed}")),
    );
    Ok(words)
}

/// The program with these words, as a shell reads it.
fn command(args: &SlurmArgs, places: &Places, words: &[String]) -> Result<String> {
    let program = match &args.program {
        // a command of its own, perhaps with options
        Some(command) => quoted(command).map(|_| command.clone()),
        None => quoted(&text_of(&places.program)?),
    };
    let words = words.iter().map(|word| quoted(word));
    let all: Result<Vec<String>> = std::iter::once(program).chain(words).collect();
    Ok(all?.join(" "))
}

fn text_of(path: &Path) -> Result<String> {
    path.to_str().map(String::from).ok_or_else(|| {
        Error::Usage(format!(
            "{} has a name that is not UTF-8, which a script cannot hold",
            path.display()
        ))
    })
}

/// `text` as one word of a shell.
fn quoted(text: &str) -> Result<String> {
    if text.chars().any(char::is_control) {
        return Err(Error::Usage(format!(
            "{text:?} has a line break or another control character, which the script of a job \
             cannot hold"
        )));
    }
    Ok(shell_word(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_without_a_name_is_called_after_its_profile_as_far_as_a_name_allows() {
        #[derive(clap::Parser)]
        struct Arguments {
            #[command(flatten)]
            of: SlurmArgs,
        }
        let folder = tempfile::tempdir().unwrap();
        let profile = folder.path().join("my first profile.yaml");
        std::fs::write(&profile, "extends: shapes\n").unwrap();
        let given = ["slurm".as_ref(), profile.as_os_str()];
        let arguments: Arguments = clap::Parser::parse_from(given);
        let places = Places {
            program: "astill".into(),
            here: folder.path().into(),
            runs: "runs".into(),
            data: None,
        };
        let script = script(&arguments.of, &places).unwrap();
        assert!(script.contains("--name=my-first-profile "), "{script}");
    }

    #[test]
    fn a_word_with_a_line_break_is_refused() {
        assert!(quoted("a\nEND\nb").is_err());
    }
}
