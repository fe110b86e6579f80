//! The part of astill that computes, on libtorch: data, networks, the method, and the trainer that
//! runs them. Profiles and runs come from `astill-core`.

pub mod bench;
pub mod cross_evaluation;
pub mod data;
pub mod device;
pub mod distill;
pub mod doctor;
pub mod estimate;
pub mod export;
pub mod exporting;
pub mod gpus;
pub mod guard;
pub mod idle;
pub mod import;
pub mod inbox;
pub mod keeper;
pub mod libtorch;
pub mod memory;
pub mod network;
mod npy;
pub mod pickle;
pub mod picture;
pub mod progress;
pub mod random;
mod rates;
pub mod reporter;
pub mod scores;
pub mod server;
pub mod set_files;
pub mod tensor_file;
pub mod threads;
pub mod torch_file;
pub mod trainer;
pub mod wire;
pub mod worker;
