//! The reference numbers in `tests/golden`.

use std::collections::HashMap;
use std::path::PathBuf;
use tch::Tensor;

/// The tensors of a case.
pub fn golden(case: &str) -> HashMap<String, Tensor> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join(format!("../../tests/golden/{case}.safetensors"));
    Tensor::read_safetensors(path)
        .unwrap()
        .into_iter()
        .collect()
}
