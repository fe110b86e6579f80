//! Input that nobody meant, for every parser of `astill`; a socket under attack; records that point
//! out of their folder. `make faults` tries all of it, `make test` a part.

mod inputs;
mod place;

#[path = "hostile/folders.rs"]
mod folders;
#[path = "hostile/parsers.rs"]
mod parsers;
#[path = "hostile/records.rs"]
mod records;
#[path = "hostile/socket.rs"]
mod socket;

use astill_core::profile::{Kind, Profile};
use astill_core::run::RunDir;
use std::path::Path;

/// A folder with a run in it that has only a profile.
fn run_in(folder: &Path) -> Result<RunDir, Box<dyn std::error::Error>> {
    let profile = Profile::new(Kind::Shapes).to_yaml();
    Ok(RunDir::create(folder, "shapes", Some("r"), &profile)?.0)
}
