//! The arguments of `astill bench`.

use super::DeviceChoice;
use clap::{Args, Subcommand};
use serde::Serialize;

#[derive(Debug, Subcommand)]
pub enum Timed {
    /// Time an iteration of distillation, and its convolutions alone
    Student(Measured<StudentOptions>),
    /// Time a step of an expert
    Expert(Measured<ExpertOptions>),
    /// Time the evaluation of a distilled set: fresh networks, trained on it and tested
    Evaluate(Measured<EvaluateOptions>),
    /// Time the loading and whitening of CIFAR-10, from the folder cifar10 of the data folder
    /// (--data)
    Data(Measured<DataOptions>),
}

/// What is measured, and how it is told.
#[derive(Debug, Args)]
pub struct Measured<T: Args> {
    #[command(flatten)]
    pub options: T,
    /// As JSON on stdout
    #[arg(long)]
    pub json: bool,
}

/// The network and its images.
#[derive(Debug, Clone, Serialize, Args)]
pub struct NetworkOptions {
    /// Channels of every layer
    #[arg(long, default_value_t = 128)]
    pub width: i64,
    /// Pixels of a side of an image
    #[arg(long, default_value_t = 32)]
    pub size: i64,
    /// Blocks of the network
    #[arg(long, default_value_t = 3)]
    pub depth: usize,
    #[arg(long, default_value_t = 10)]
    pub classes: usize,
}

/// What computes.
#[derive(Debug, Clone, Serialize, Args)]
pub struct MachineOptions {
    /// Threads of libtorch and of the engine
    #[arg(long, default_value_t = 2)]
    pub threads: i32,
    /// auto, cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    pub device: DeviceChoice,
    /// On a GPU, round the factors of products to TF32
    #[arg(long)]
    pub tf32: bool,
}

/// An iteration of distillation.
#[derive(Debug, Clone, Serialize, Args)]
pub struct StudentOptions {
    /// Synthetic images per class
    #[arg(long, default_value_t = 1)]
    pub ipc: usize,
    /// Student steps of an iteration
    #[arg(long, default_value_t = 20)]
    pub syn_steps: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub network: NetworkOptions,
    /// Synthetic images of a student step; 0 for all
    #[arg(long, default_value_t = 0)]
    pub batch: usize,
    /// Timed iterations, after one that is not
    #[arg(long, default_value_t = 5)]
    pub iterations: u64,
    #[command(flatten)]
    #[serde(flatten)]
    pub machine: MachineOptions,
}

/// A step of an expert.
#[derive(Debug, Clone, Serialize, Args)]
pub struct ExpertOptions {
    /// Images of a step
    #[arg(long, default_value_t = 256)]
    pub batch: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub network: NetworkOptions,
    /// Timed steps, after one that is not
    #[arg(long, default_value_t = 5)]
    pub steps: u64,
    #[command(flatten)]
    #[serde(flatten)]
    pub machine: MachineOptions,
}

/// The evaluation of a distilled set.
#[derive(Debug, Clone, Serialize, Args)]
pub struct EvaluateOptions {
    /// Synthetic images per class
    #[arg(long, default_value_t = 1)]
    pub ipc: usize,
    /// Epochs of training on them
    #[arg(long, default_value_t = 1000)]
    pub epochs: usize,
    /// Networks that are trained and tested, after a few epochs that are not timed
    #[arg(long, default_value_t = 1)]
    pub repeats: u64,
    /// Images that every network is tested on
    #[arg(long, default_value_t = 10_000)]
    pub test: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub network: NetworkOptions,
    #[command(flatten)]
    #[serde(flatten)]
    pub machine: MachineOptions,
}

/// Loading and whitening.
#[derive(Debug, Clone, Serialize, Args)]
pub struct DataOptions {
    /// Training images, at most
    #[arg(long, default_value_t = 50_000)]
    pub train_limit: usize,
    /// Threads inside libtorch's operations
    #[arg(long, default_value_t = 2)]
    pub threads: i32,
}
