//! How a GPU failed, told from an error's texts.
//!
//! CUDA answers with a code, whose name cudarc and candle put into the text of an error. Crates between wrap that error in their
//! own, and candle in a text; the type does not survive that, the name does. The names are part of CUDA's interface.

use std::error::Error;

/// A failure that is the device's, not the program's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// There is no room for what was asked for.
    OutOfMemory,
    /// The device, or the program's context on it, is of no use any more; with CUDA's name of the code.
    Lost(&'static str),
}

/// What has no room.
const OUT_OF_MEMORY: [&str; 4] = [
    "CUDA_ERROR_OUT_OF_MEMORY",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CURAND_STATUS_ALLOCATION_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
];

/// After these nothing more can be done on the device in this process.
const LOST: [&str; 21] = [
    "CUDA_ERROR_DEINITIALIZED",
    "CUDA_ERROR_DEVICE_UNAVAILABLE",
    "CUDA_ERROR_ECC_UNCORRECTABLE",
    "CUDA_ERROR_NVLINK_UNCORRECTABLE",
    "CUDA_ERROR_CONTAINED",
    "CUDA_ERROR_ILLEGAL_ADDRESS",
    "CUDA_ERROR_LAUNCH_TIMEOUT",
    "CUDA_ERROR_CONTEXT_IS_DESTROYED",
    "CUDA_ERROR_ASSERT",
    "CUDA_ERROR_HARDWARE_STACK_ERROR",
    "CUDA_ERROR_ILLEGAL_INSTRUCTION",
    "CUDA_ERROR_MISALIGNED_ADDRESS",
    "CUDA_ERROR_INVALID_ADDRESS_SPACE",
    "CUDA_ERROR_INVALID_PC",
    "CUDA_ERROR_LAUNCH_FAILED",
    "CUDA_ERROR_TENSOR_MEMORY_LEAK",
    "CUDA_ERROR_EXTERNAL_DEVICE",
    "CUDA_ERROR_SYSTEM_NOT_READY",
    "CUDA_ERROR_MPS_SERVER_NOT_READY",
    "CUDA_ERROR_UNKNOWN",
    "CUBLAS_STATUS_EXECUTION_FAILED",
];

impl Fault {
    /// The fault that an error or one of its causes speaks of.
    #[must_use]
    pub fn of(error: &(dyn Error + 'static)) -> Option<Self> {
        std::iter::successors(Some(error), |&cause| cause.source())
            .find_map(|cause| Self::in_text(&cause.to_string()))
    }

    fn in_text(text: &str) -> Option<Self> {
        // Whole names: one may begin with another.
        let names = || text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        if names().any(|name| OUT_OF_MEMORY.contains(&name)) {
            return Some(Self::OutOfMemory);
        }
        let lost = |name: &&str| LOST.iter().copied().find(|known| known == name);
        names().find_map(|name| lost(&name)).map(Self::Lost)
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::OutOfMemory => f.write_str("the device is out of memory"),
            Self::Lost(code) => write!(f, "the device failed ({code})"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::AnyError;

    fn of(text: &str) -> Option<Fault> {
        Fault::of(&AnyError::internal(text))
    }

    #[test]
    fn a_code_is_found_wherever_it_stands() {
        let text = r#"DriverError(CUDA_ERROR_OUT_OF_MEMORY, "out of memory")"#;
        assert_eq!(of(text), Some(Fault::OutOfMemory));
        assert_eq!(
            of("CublasError(CUBLAS_STATUS_ALLOC_FAILED)"),
            Some(Fault::OutOfMemory)
        );
        let text = r#"DriverError(CUDA_ERROR_LAUNCH_FAILED, "unspecified launch failure") when loading conv"#;
        assert_eq!(of(text), Some(Fault::Lost("CUDA_ERROR_LAUNCH_FAILED")));
    }

    #[test]
    fn a_cause_counts_and_a_context_hides_nothing() {
        let error = AnyError::internal("CUDA_ERROR_UNKNOWN")
            .context("step 4")
            .context("run");
        assert_eq!(Fault::of(&error), Some(Fault::Lost("CUDA_ERROR_UNKNOWN")));
    }

    #[test]
    fn other_errors_are_none() {
        for text in [
            "shape mismatch",
            "CUDA_ERROR_INVALID_VALUE",
            "CUDA_ERROR_OUT_OF_MEMORY_OF_MINE",
            "CUDA_ERROR_UNKNOWN_TO_MAN",
            "out of memory",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
    }
}
