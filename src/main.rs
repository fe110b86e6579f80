//! The program `astill`: it does what needs no libtorch, and hands the rest to the engine beside
//! it.

use astill::ablate::{ablate, tune};
use astill::doctor;
use astill::engine_process::{self, Local, Started};
use astill::fetch::{self, Fetched};
use astill::listing::list_runs;
use astill::look::{Look, UserFile};
use astill::manual;
use astill::plot;
use astill::slurm::{self, Places};
use astill::tui;
use astill_core::cli::{
    Cli, Cmd, CompareArgs, FetchArgs, ResumeArgs, ResumeChanges, RunArgs, Sent, SlurmArgs,
    UserFileArgs, data_folder, out,
};
use astill_core::comparison::{self, Comparison};
use astill_core::console::to_stderr;
use astill_core::run::RunDir;
use astill_core::run::list::{RunState, list, summary};
use astill_core::text::shell_word;
use astill_core::{Error, Result, profile, program, signals};
use clap::Parser;
use serde_json::json;
use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

fn main() -> ExitCode {
    let begun = signals::reset_inherited().and_then(|()| program::begin());
    let cli = Cli::parse();
    let cli = begun.and_then(|()| cli.in_job_step()?.or_resumed());
    cli.and_then(|cli| run(&cli)).unwrap_or_else(|error| {
        to_stderr(format!("astill: {error}"));
        ExitCode::from(error.exit_status())
    })
}

fn run(cli: &Cli) -> Result<ExitCode> {
    let local = Local {
        runs: cli.runs.clone(),
        data: cli.data.clone(),
        known: Arc::default(),
        known_ablations: Arc::default(),
        answers: Arc::default(),
        profiles: Arc::default(),
    };
    let find_exactly = |run: &str| RunDir::find_exactly(&cli.runs, run);
    let on_terminal = || std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    check_read_only(cli)?;
    match &cli.command {
        None if on_terminal() => {
            show(&local, Look::load(&cli.look)?, (cli.read_only, None), None)
        }
        None => Err(Error::Usage(
            "the menu needs a terminal; without one, use `astill run PROFILE` (see `astill --help`)".into(),
        )),
        Some(Cmd::Attach { run, .. }) if !on_terminal() => {
            let log = attached(&cli.runs, run.as_deref())?.log();
            Err(Error::Usage(format!(
                "watching a run needs a terminal; without one, use `tail -f {}`",
                log.display()
            )))
        }
        Some(Cmd::Attach {
            run,
            read_only,
            on_finish,
        }) => show(
            &local,
            Look::load(&cli.look)?,
            (*read_only, on_finish.as_ref()),
            Some(attached(&cli.runs, run.as_deref())?),
        ),
        Some(Cmd::Run(args)) if !args.headless && !args.detach && on_terminal() => {
            // what is wrong with it is said before anything is created
            run_in_the_app(&local, Look::load(&cli.look)?, args)
        }
        Some(Cmd::Resume(ResumeArgs {
            run,
            headless: false,
            detach: false,
            engine_of: None,
            unattended: false,
            is_requeued: _,
            changes,
        })) if on_terminal() => {
            let look = Look::load(&cli.look)?;
            resume_in_the_app(&local, look, find_exactly(run)?, changes)
        }
        Some(Cmd::Doctor { json }) => {
            Ok(status(doctor::report(&local, &cli.look, *json)?))
        }
        Some(Cmd::Profiles { json }) => profiles(*json),
        Some(Cmd::Ablate(args)) => ablate(&local, args),
        Some(Cmd::Tune(args)) => tune(&local, args),
        Some(Cmd::Slurm(args)) => print_slurm_script(cli, args),
        Some(Cmd::Fetch(args)) => fetch_data(args, &data_folder(cli.data.clone())?),
        Some(Cmd::List(args)) => {
            list_runs(&cli.runs, args)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Cmd::Compare(args)) => compare(&cli.runs, args),
        Some(Cmd::Plot(args)) => {
            for written in plot::plot(&find_all(&cli.runs, &args.plotted)?, args)? {
                out(written.display())?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Some(Cmd::Keys(args)) => user_file(UserFile::Keys, args),
        Some(Cmd::Theme(args)) => user_file(UserFile::Theme, args),
        Some(Cmd::Completions { shell }) => print_bytes(&manual::completions(*shell)),
        Some(Cmd::Man { to: None }) => print_bytes(&manual::page()?),
        Some(Cmd::Man { to: Some(folder) }) => {
            manual::write_pages(folder)?;
            Ok(ExitCode::SUCCESS)
        }
        Some(Cmd::Send { run, what }) => send(&local, &find_exactly(run)?, what.clone()),
        Some(
            Cmd::Run(_)
            | Cmd::Resume(_)
            | Cmd::Work(_)
            | Cmd::Check { .. }
            | Cmd::Evaluate(_)
            | Cmd::Experts(_)
            | Cmd::Import { .. }
            | Cmd::Scores(_)
            | Cmd::Export(_)
            | Cmd::Bench { .. },
        ) => {
            Err(become_engine())
        }
    }
}

/// The menu has the option alone, other commands have their own.
fn check_read_only(cli: &Cli) -> Result<()> {
    match cli.read_only && cli.command.is_some() {
        true => Err(Error::Usage(
            "--read-only stands alone or after a command that has it: `astill --read-only` opens the menu, \
             `astill attach RUN --read-only` a run"
                .into(),
        )),
        false => Ok(()),
    }
}

fn status(is_good: bool) -> ExitCode {
    match is_good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

/// Whether the result of a run that is done is still there.
fn has_result(run: &RunDir) -> bool {
    run.path().join("distilled/best.safetensors").is_file()
}

/// Starts a run and shows it in the app.
fn run_in_the_app(local: &Local, look: Look, args: &RunArgs) -> Result<ExitCode> {
    match local.start_unless_stopped(args.to_arguments())? {
        Started::Running(run) => show(local, look, (false, None), Some(run)),
        Started::Interrupted { output, signal } => Ok(left_running(&output, signal)),
        Started::Stopped { message, status } => Ok(stopped(&message, status)),
    }
}

/// Resumes a run, where that is needed, and shows it in the app.
fn resume_in_the_app(
    local: &Local,
    look: Look,
    run: RunDir,
    changes: &ResumeChanges,
) -> Result<ExitCode> {
    let found = summary(run.clone());
    match found.state {
        // the app shows where it may be, and asks before it starts another
        RunState::Elsewhere if !changes.need_new_engine() => {}
        RunState::Done if changes.set.is_empty() && has_result(&run) => {}
        RunState::Elsewhere => {
            let arguments = changes.to_arguments().into_iter();
            let arguments: Vec<String> =
                arguments.map(|a| format!(" {}", shell_word(&a))).collect();
            return Err(Error::Usage(format!(
                "{}; if it is gone, start one here with `astill resume {}{} --detach`",
                found.doubt(),
                run.reference(),
                arguments.concat()
            )));
        }
        state if state.has_engine() && !changes.need_new_engine() => {}
        _ => match local.resume_unless_stopped(&run, changes)? {
            // its engine runs the command
            Started::Running(_) => return show(local, look, (false, None), Some(run)),
            Started::Interrupted { signal, .. } => return Ok(left_running(&run, signal)),
            Started::Stopped { message, status } => return Ok(stopped(&message, status)),
        },
    }
    let on_finish = changes.on_finish.as_ref();
    show(local, look, (false, on_finish), Some(run))
}

/// Shows the app, with the menu or the run `open`, and afterwards prints its last message.
fn show(
    local: &Local,
    look: Look,
    (read_only, on_finish): (bool, Option<&String>),
    open: Option<RunDir>,
) -> Result<ExitCode> {
    let Look {
        depth,
        ascii,
        mouse,
        notifies,
        keys,
        theme,
    } = look;
    let options = tui::Options {
        depth,
        ascii,
        mouse,
        keys,
        theme,
        read_only,
        open,
        notifies,
        on_finish: on_finish.cloned(),
    };
    let ending = tui::run(options, local.clone())?;
    if let Some(message) = ending.message {
        to_stderr(message);
    }
    Ok(ending.signal.map_or(ExitCode::SUCCESS, |signal| {
        ExitCode::from(128_u8.saturating_add(signal as u8))
    }))
}

/// Says that a signal came when a run had just begun, which goes on.
fn left_running(run: &RunDir, signal: i32) -> ExitCode {
    let it = run.reference();
    to_stderr(format!(
        "the run {it} is running in the background: watch it with `astill attach {it}`, or stop it \
         with `astill send {it} stop`"
    ));
    ExitCode::from(128_u8.saturating_add(signal as u8))
}

/// Says what became of a run that was stopped as it started.
fn stopped(message: &str, status: u8) -> ExitCode {
    to_stderr(match message {
        "" => "stopped before the run began; nothing is left of it",
        said => said,
    });
    ExitCode::from(status)
}

/// Replaces this process by the engine, with the same arguments; returns only if that fails.
fn become_engine() -> Error {
    let mut command = match engine_process::command() {
        Ok(command) => command,
        Err(error) => return error,
    };
    let engine = PathBuf::from(command.get_program());
    Error::io("start", engine)(command.args(std::env::args_os().skip(1)).exec())
}

/// Fetches a data set, or lists those there are; prints the folder.
fn fetch_data(args: &FetchArgs, data: &Path) -> Result<ExitCode> {
    if args.list {
        let width = fetch::CATALOGUE.iter().map(|s| s.name.len()).max();
        let width = width.unwrap_or(0);
        for set in fetch::CATALOGUE.iter() {
            let mark = match fetch::is_there(set, data) {
                true => "there",
                false => "",
            };
            out(format!("{:width$}  {mark:5}  {}", set.name, set.about).trim_end())?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut terminal = fetch::Terminal::new();
    let fetched = fetch::run(args, data, &mut terminal);
    drop(terminal);
    let fetched = fetched?;
    let folder = match fetched {
        Fetched::AlreadyThere(folder) => {
            to_stderr("it is there already; to fetch it again, remove it first");
            folder
        }
        Fetched::Done(folder) => folder,
    };
    if let Some(keys) = args.set.as_deref().and_then(fetch::keys_of) {
        to_stderr(format!("use it with {keys}"));
    }
    out(folder.display())?;
    Ok(ExitCode::SUCCESS)
}

fn profiles(as_json: bool) -> Result<ExitCode> {
    let listed = || profile::builtin().iter().filter(|b| b.listed);
    if as_json {
        let list: Vec<_> = listed()
            .map(|b| json!({ "name": b.name, "description": b.description() }))
            .collect();
        out(json!(list))?;
    } else {
        let width = listed().map(|b| b.name.len()).max().unwrap_or(0);
        for b in listed() {
            out(format!("{:width$}  {}", b.name, b.description()))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn find_all(runs: &Path, named: &[String]) -> Result<Vec<RunDir>> {
    named.iter().map(|run| RunDir::find(runs, run)).collect()
}

/// The run of this name; without one, the only run that an engine works on.
fn attached(runs: &Path, named: Option<&str>) -> Result<RunDir> {
    if let Some(name) = named {
        return RunDir::find(runs, name);
    }
    let mut at_work = list(runs)?;
    at_work.retain(|run| run.state.has_engine());
    if let [only] = at_work.as_slice() {
        return Ok(only.run.clone());
    }
    let names: Vec<&str> = at_work.iter().map(|run| run.name.as_str()).collect();
    let found = match names.as_slice() {
        [] => format!("no run in {} is at work", runs.display()),
        names => format!("{} runs are at work: {}", names.len(), names.join(", ")),
    };
    Err(Error::Usage(format!(
        "{found}; name the run: astill attach RUN"
    )))
}

/// Prints runs side by side.
fn compare(runs: &Path, args: &CompareArgs) -> Result<ExitCode> {
    let comparison = Comparison::read(&find_all(runs, &args.compared)?)?;
    match (args.json, args.csv) {
        (true, _) => out(comparison.json())?,
        (_, true) => out(comparison::csv(&comparison).trim_end())?,
        _ => out(comparison::table(&comparison))?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints the script that submits a run to Slurm.
fn print_slurm_script(cli: &Cli, args: &SlurmArgs) -> Result<ExitCode> {
    let places = Places {
        program: program::own()?.to_path_buf(),
        here: std::env::current_dir().map_err(Error::io("find", "."))?,
        runs: cli.runs.clone(),
        data: cli.data.clone(),
    };
    print_bytes(slurm::script(args, &places)?.as_bytes())
}

/// Prints a file to start from, or writes it and prints its path.
fn user_file(file: UserFile, args: &UserFileArgs) -> Result<ExitCode> {
    match args.write {
        true => out(file.write()?.display())?,
        false => out(file.template().trim_end())?,
    }
    Ok(ExitCode::SUCCESS)
}

fn print_bytes(text: &[u8]) -> Result<ExitCode> {
    out(String::from_utf8_lossy(text).trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// Sends a command to the engine of a run, or changes the run where none works on it, and prints the
/// answer.
fn send(local: &Local, run: &RunDir, what: Sent) -> Result<ExitCode> {
    let answer = match local.carry_out(run, &what.into(), &|text| to_stderr(text)) {
        Err(_) if summary(run.clone()).state == RunState::Done => {
            return Err(Error::Usage(format!("run {} is already done", run.name())));
        }
        answer => answer?,
    };
    out(&answer)?;
    Ok(status(answer.is_accepted()))
}
