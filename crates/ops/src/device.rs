//! What a device has left.

use candle_core::Device;

/// Bytes of a device's memory, and how many of them are free once what was asked of it is done. None for the CPU, and where the
/// device does not say.
#[must_use]
pub fn memory(device: &Device) -> Option<[u64; 2]> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(cuda) => {
            // Freed buffers go back to the device only then.
            device.synchronize().ok()?;
            let stream = cuda.cuda_stream();
            let (free, total) = stream.context().mem_get_info().ok()?;
            Some([total as u64, free as u64])
        }
        _ => None,
    }
}
