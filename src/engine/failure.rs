//! What a panic of libtorch means: tch panics with the message of a C++ exception, which has the
//! stack of calls behind it.

use astill_core::Error;
use astill_core::profile::MEMORY_KEYS;
use std::any::Any;
use tch::TchError;

/// What libtorch's messages contain when there is not enough memory, on the host or on the device:
/// its own words, oneDNN's, which found no memory for the code that it generates for a convolution
/// (its other cause, a convolution that it does not support, does not occur here), those of cuBLAS
/// and cuDNN, which find no memory for their handles and workspaces, and rayon's, which finds none for
/// its threads (that the system allows so many was tried before).
const OUT_OF_MEMORY: [&str; 11] = [
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "bad_alloc",
    "could not create a primitive",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUBLAS_STATUS_NOT_INITIALIZED",
    "CUDNN_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_NOT_INITIALIZED",
    "nable to find an engine to execute this computation",
    "thread pool has not been initialized",
];
/// How the panics of kernels begin that were not launched.
pub const FROM_KERNEL: &str = "the GPU kernel ";
/// How tch's panics begin.
const FROM_LIBTORCH: &str = "Torch(\"";

/// The payload of a panic as text.
#[must_use]
pub fn text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or(payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}

/// Whether a panic comes from libtorch or from a GPU, and so is no bug of this program.
#[must_use]
pub fn is_external(text: &str) -> bool {
    text.contains(FROM_LIBTORCH) || text.starts_with(FROM_KERNEL)
}

/// Whether memory ran out, on the host or on the device.
#[must_use]
pub fn is_out_of_memory(text: &str) -> bool {
    OUT_OF_MEMORY.iter().any(|part| text.contains(part))
}

/// The error behind a panic while a run computes.
#[must_use]
pub fn of_run(payload: &(dyn Any + Send)) -> Error {
    of_message(text(payload))
}

/// The error behind one that libtorch has reported.
#[must_use]
pub fn of_libtorch(error: &TchError) -> Error {
    let text = error.to_string();
    of_message(text.trim_start_matches("Internal torch error: "))
}

fn of_message(text: &str) -> Error {
    let message = sentence(text);
    match is_out_of_memory(&message) {
        true => Error::Memory(message),
        false => Error::Libtorch {
            doing: "computing".into(),
            message,
        },
    }
}

/// The error behind a panic while something else computes that leaves nothing behind, such as a check
/// or a benchmark.
#[must_use]
pub fn of_command(payload: &(dyn Any + Send)) -> Error {
    match of_run(payload) {
        Error::Memory(message) => Error::NoRoom(format!(
            "{message}. Wait until the device has more memory free, choose another one (--device), or \
             lower {MEMORY_KEYS}"
        )),
        other => other,
    }
}

/// The sentence of a libtorch exception, without the stack of C++ calls and the wrapping of the
/// Rust binding.
#[must_use]
pub fn sentence(text: &str) -> String {
    let inner = text
        .split_once(FROM_LIBTORCH)
        .map_or(text, |(_, rest)| rest);
    let line = inner
        .split("\\n")
        .next()
        .unwrap_or(inner)
        .lines()
        .next()
        .unwrap_or_default();
    // without the place in libtorch's sources
    let line = line
        .strip_prefix("[enforce fail at")
        .and_then(|l| l.split_once("err == 0. "))
        .map_or(line, |(_, rest)| rest);
    line.trim_end_matches("\")").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_libtorch_is_told_without_its_calls() {
        let text = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate \
                    memory: you tried to allocate 7 bytes.\nframe #0: c10::ThrowEnforceNotMet";
        let Error::Memory(message) = of_libtorch(&TchError::Torch(text.into())) else {
            panic!("another error");
        };
        assert!(
            message.starts_with("DefaultCPUAllocator") && !message.contains("frame"),
            "{message}"
        );
    }

    #[test]
    fn a_libtorch_panic_reads_as_one_sentence() {
        let text = r#"called `Result::unwrap()` on an `Err` value: Torch("mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)\nException raised from meta at x.cpp:1\nframe #0")"#;
        assert_eq!(
            sentence(text),
            "mat1 and mat2 shapes cannot be multiplied (2x3 and 4x5)"
        );
        assert_eq!(sentence("plain\nException raised"), "plain");
        let text = "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't \
                    allocate memory: you tried to allocate 9 bytes.";
        let error = of_run(&text);
        assert!(
            error
                .to_string()
                .starts_with("out of memory: DefaultCPUAllocator: can't allocate memory"),
            "{error}"
        );
        assert!(matches!(error, Error::Memory(_)));
    }

    #[test]
    fn a_kernel_that_is_not_launched_is_no_bug_of_this_program() {
        let text = format!("{FROM_KERNEL}augment was not launched: out of memory (CUDA error 2)");
        assert!(is_external(&text) && matches!(of_run(&text), Error::Memory(_)));
        let text = format!("{FROM_KERNEL}augment was not launched: CUDA error 700");
        assert!(is_external(&text) && matches!(of_run(&text), Error::Libtorch { .. }));
        assert!(!is_external("index out of bounds"));
    }

    #[test]
    fn libraries_of_cuda_that_find_no_memory_are_recognised() {
        for text in [
            r#"Torch("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`\nframe")"#,
            r#"Torch("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED\nframe")"#,
            r#"Torch("Unable to find an engine to execute this computation\nframe")"#,
        ] {
            assert!(matches!(of_run(&text), Error::Memory(_)), "{text}");
            let error = of_command(&text).to_string();
            assert!(
                error.contains("--device") && !error.contains("checkpoint"),
                "{error}"
            );
        }
    }
}
