//! The arguments of `astill export`.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// What to export, where to, and how.
#[derive(Debug, Clone, Args)]
pub struct ExportArgs {
    /// Name or path of a finished run, or the path of its best.safetensors
    pub source: String,
    /// Folder to write into; it is created, and must be empty if it exists
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
    /// pt, npz, png, hf, safetensors, or a preset: dd-ranking, dc-bench
    #[arg(
        long,
        value_name = "FORMAT",
        visible_alias = "preset",
        default_value = "pt"
    )]
    pub format: String,
    /// What the images' numbers are: own (as the run normalised them), field (as published programs
    /// do) or pixels (from 0 to 1) [default: own; field for presets, pixels for png and hf]
    #[arg(long, value_name = "SPACE", value_enum)]
    pub space: Option<Space>,
    /// Also write the real test images, to test a network on (pt, npz and safetensors)
    #[arg(long)]
    pub with_test: bool,
}

/// What the numbers of a set's images are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Space {
    // doc comments here would make every --help twice as long
    Own,
    Field,
    Pixels,
}

/// As on the command line.
impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Own => "own",
            Self::Field => "field",
            Self::Pixels => "pixels",
        })
    }
}
