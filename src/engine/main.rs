//! The program `astill-engine`: it does the part of `astill` that needs libtorch.

mod check;
mod cli;
mod device_processes;
mod process;

use astill_core::cli::Cli;
use astill_core::console::to_stderr;
use astill_core::{program, signals};
use astill_engine::memory;
use astill_engine::network::PIECE_THREAD;
use astill_engine::trainer::TRAINER_THREAD;
use astill_engine::{failure, guard};
use clap::Parser;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

#[global_allocator]
static MEMORY: memory::Memory = memory::Memory;

fn main() -> ExitCode {
    memory::keep_freed();
    let begun = signals::reset_inherited().and_then(|()| program::begin());
    let arguments = Cli::parse();
    std::panic::set_hook(Box::new(|info| {
        // a panic of the trainer becomes an error in the run's record, one of a guarded library an
        // error about its input, and one of libtorch an error of this command; any other is a bug
        let is_trainers = |name: &str| name == TRAINER_THREAD || name.starts_with(PIECE_THREAD);
        let is_trainers = std::thread::current().name().is_some_and(is_trainers);
        let is_external = failure::is_external(failure::text(info.payload()));
        if !is_trainers && !is_external && !guard::is_guarded() {
            to_stderr(format!(
                "astill: this is a bug in astill, please report it: {info}"
            ));
        }
    }));
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
        begun?;
        process::survive_file_size_limit()?;
        cli::run(&arguments.in_job_step()?.or_resumed()?)
    }));
    match ended {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            to_stderr(format!("astill: {error}"));
            ExitCode::from(error.exit_status())
        }
        Err(payload) if failure::is_external(failure::text(payload.as_ref())) => {
            let error = failure::of_command(payload.as_ref());
            to_stderr(format!("astill: {error}"));
            ExitCode::from(error.exit_status())
        }
        Err(_) => ExitCode::FAILURE,
    }
}
