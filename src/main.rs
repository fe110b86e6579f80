//! The `astill` program: reads its arguments and ends with the status that the command line promises.

mod cli;

use astill::engine::{TRAINER_THREAD, device};
use astill::headless;
use clap::Parser;
use std::process::ExitCode;

fn main() -> ExitCode {
    device::keep_freed_memory();
    let cli = cli::Cli::parse();
    std::panic::set_hook(Box::new(|info| {
        // a panic of the trainer comes back as an error with the run's record; any other is a fault of this program
        if std::thread::current().name() != Some(TRAINER_THREAD) {
            headless::say(format!("astill: a fault in the program itself, please report it: {info}"));
        }
    }));
    match std::panic::catch_unwind(|| cli::run(cli)) {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => {
            headless::say(format!("astill: {error}"));
            ExitCode::from(error.exit_status())
        }
        Err(_) => ExitCode::FAILURE,
    }
}
