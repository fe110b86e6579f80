//! What a package installs beside the programs, made from the command line itself: completions for
//! shells and manual pages.

use astill_core::cli::Cli;
use astill_core::{Error, Result};
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use std::path::Path;

/// The completions of the command line for `shell`, a script for that shell.
#[must_use]
pub fn completions(shell: Shell) -> Vec<u8> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "astill", &mut script);
    script
}

/// The manual page of the program, in roff.
///
/// # Errors
/// None: it is written into memory.
pub fn page() -> Result<Vec<u8>> {
    let mut page = Vec::new();
    Man::new(Cli::command())
        .render(&mut page)
        .map_err(Error::io("write", "the manual page"))?;
    Ok(page)
}

/// Writes the page of the program and of every command into `folder`, which is made if it is not
/// there.
///
/// # Errors
/// The folder cannot be made, or a page cannot be written.
pub fn write_pages(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(Error::io("make", folder))?;
    clap_mangen::generate_to(Cli::command(), folder).map_err(Error::io("write into", folder))
}
