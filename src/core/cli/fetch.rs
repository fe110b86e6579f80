//! The arguments of `astill fetch`.

use clap::Args;
use std::path::PathBuf;

/// Which data set to get, and where from.
#[derive(Debug, Clone, Args)]
pub struct FetchArgs {
    /// cifar10, cifar100, tiny-imagenet, imagenette, mnist, fashion-mnist, svhn, or a data set of the
    /// Hugging Face Hub: hf:OWNER/NAME, hf:OWNER/NAME/CONFIG
    #[arg(required_unless_present = "list")]
    pub set: Option<String>,
    /// Use this file instead of the network, or the files in this folder (repeatable)
    #[arg(long, value_name = "FILE")]
    pub from: Vec<PathBuf>,
    /// Look here first: the address of a folder that has the files (repeatable)
    #[arg(long, value_name = "URL")]
    pub mirror: Vec<String>,
    /// Branch, tag or commit of a data set of the Hub [default: main]
    #[arg(long, value_name = "REVISION")]
    pub revision: Option<String>,
    /// List the data sets, with those that are there already
    #[arg(long, conflicts_with_all = ["set", "from", "mirror", "revision"])]
    pub list: bool,
}
