//! The arguments of `astill bench`.

use super::DeviceChoice;
use clap::{Args, Subcommand};
use serde::Serialize;

#[derive(Debug, Subcommand)]
pub enum Timed {
    /// Time one iteration of distillation, and its convolutions alone
    Student(Measured<StudentOptions>),
    /// Time one training step of an expert
    Expert(Measured<ExpertOptions>),
    /// Time the evaluation of a distilled set: train fresh networks on it and test them
    Evaluate(Measured<EvaluateOptions>),
    /// Time the loading and whitening of CIFAR-10, found in `cifar10` in the data folder (--data)
    Data(Measured<DataOptions>),
}

/// What is measured, and how it is printed.
#[derive(Debug, Args)]
pub struct Measured<T: Args> {
    #[command(flatten)]
    pub options: T,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// The network and its images.
#[derive(Debug, Clone, Serialize, Args)]
pub struct NetworkOptions {
    /// Channels of every convolution
    #[arg(long, default_value_t = 128)]
    pub width: i64,
    /// Side of the square images in pixels
    #[arg(long, default_value_t = 32)]
    pub size: i64,
    /// Blocks of the network
    #[arg(long, default_value_t = 3)]
    pub depth: usize,
    /// Number of classes
    #[arg(long, default_value_t = 10)]
    pub classes: usize,
}

/// What computes.
#[derive(Debug, Clone, Serialize, Args)]
pub struct MachineOptions {
    /// Threads to compute with
    #[arg(long, default_value_t = 2)]
    pub threads: i32,
    /// auto (a GPU if there is one), cpu, cuda or cuda:N
    #[arg(long, default_value = "cpu")]
    pub device: DeviceChoice,
    /// On a GPU, multiply in TF32: faster, but less exact
    #[arg(long)]
    pub tf32: bool,
}

/// An iteration of distillation.
#[derive(Debug, Clone, Serialize, Args)]
pub struct StudentOptions {
    /// Synthetic images per class
    #[arg(long, default_value_t = 1)]
    pub ipc: usize,
    /// Student steps per iteration
    #[arg(long, default_value_t = 20)]
    pub syn_steps: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub network: NetworkOptions,
    /// Synthetic images per student step; 0 for all
    #[arg(long, default_value_t = 0)]
    pub batch: usize,
    /// Iterations to time, after one warm-up
    #[arg(long, default_value_t = 5)]
    pub iterations: u64,
    #[command(flatten)]
    #[serde(flatten)]
    pub machine: MachineOptions,
}

/// A step of an expert.
#[derive(Debug, Clone, Serialize, Args)]
pub struct ExpertOptions {
    /// Images per step
    #[arg(long, default_value_t = 256)]
    pub batch: usize,
    #[command(flatten)]
    #[serde(flatten)]
    pub network: NetworkOptions,
    /// Steps to time, after one warm-up
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
    /// Training epochs per network
    #[arg(long, default_value_t = 1000)]
    pub epochs: usize,
    /// Networks to train and test, after a few warm-up epochs
    #[arg(long, default_value_t = 1)]
    pub repeats: u64,
    /// Test images
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
    /// Use at most this many training images
    #[arg(long, default_value_t = 50_000)]
    pub train_limit: usize,
    /// Threads to compute with
    #[arg(long, default_value_t = 2)]
    pub threads: i32,
}
