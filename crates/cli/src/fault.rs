//! What a device's failure means for the user, whichever verb met it.

use candle_core::Device;
use domex_error::device::Fault;
use domex_error::{AnyError, user_error};
use domex_train::Error as RunError;

/// The error with what the device had left, and with what would fit; other errors as they are.
pub fn explained(error: AnyError, device: &Device) -> AnyError {
    match Fault::of(&error) {
        None => error,
        Some(fault) => said(&error, &fault, domex_ops::device::memory(device)),
    }
}

fn said(error: &AnyError, fault: &Fault, memory: Option<[u64; 2]>) -> AnyError {
    let of_run = matches!(error.find(), Some(RunError::Device { .. }));
    let message = error.message();
    match fault {
        // The run knows what its steps are made of.
        Fault::OutOfMemory if of_run => user_error(message + &left(memory)),
        Fault::OutOfMemory => user_error(format!(
            "{fault}; smaller batches (--batch), smaller pictures or --device cpu need less{}: {message}",
            left(memory)
        )),
        Fault::Lost(_) if of_run => AnyError::internal(message),
        Fault::Lost(_) => AnyError::internal(format!(
            "{fault}; files that were written are whole: {message}"
        )),
    }
}

/// How much room there was for what did not fit.
fn left(memory: Option<[u64; 2]>) -> String {
    let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
    memory.map_or_else(String::new, |[total, free]| {
        format!(
            "; what did not fit needs more than the {:.1} GiB left of {:.1} GiB",
            gib(free),
            gib(total)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As cudarc writes it, in candle's error.
    fn candle(code: &str) -> candle_core::Error {
        candle_core::Error::Cuda(format!("DriverError({code}, \"as the driver says\")").into())
    }

    #[test]
    fn out_of_memory_says_what_was_left_and_what_needs_less() {
        let error = AnyError::from(candle("CUDA_ERROR_OUT_OF_MEMORY"));
        let fault = Fault::of(&error).unwrap();
        let said = said(&error, &fault, Some([80 << 30, 3 << 29]));
        assert!(said.is_user_error());
        for part in [
            "the device is out of memory",
            "1.5 GiB left of 80.0 GiB",
            "--batch",
            "--device cpu",
            "CUDA_ERROR_OUT_OF_MEMORY",
        ] {
            assert!(said.message().contains(part), "{part}: {said}");
        }
    }

    #[test]
    fn a_run_gives_its_own_advice_once() {
        let run = RunError::Device {
            fault: Fault::OutOfMemory,
            advice: "; --micro-batch 2 needs less".into(),
            kept: "the last good snapshot is run/snapshots/step-000000004.safetensors".into(),
            source: Box::new(candle("CUDA_ERROR_OUT_OF_MEMORY").into()),
        };
        let run = AnyError::from(run);
        let said = said(&run, &Fault::OutOfMemory, Some([8 << 30, 1 << 29]));
        let message = said.message();
        assert!(said.is_user_error());
        assert!(message.ends_with("0.5 GiB left of 8.0 GiB"), "{message}");
        assert!(
            message.contains("--micro-batch 2") && message.contains("step-000000004"),
            "{message}"
        );
        assert!(!message.contains("--batch "), "{message}");
    }

    #[test]
    fn a_lost_device_gets_no_advice() {
        let said = explained(candle("CUDA_ERROR_LAUNCH_FAILED").into(), &Device::Cpu);
        assert!(!said.is_user_error());
        assert!(
            said.message()
                .contains("the device failed (CUDA_ERROR_LAUNCH_FAILED)")
        );
        assert!(!said.message().contains("--batch"));
    }

    #[test]
    fn other_errors_stay_as_they_are() {
        let said = explained(user_error("--out: is not empty"), &Device::Cpu);
        assert_eq!(said.message(), "--out: is not empty");
        assert!(said.is_user_error());
    }
}
