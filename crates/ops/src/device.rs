//! Opening a device, and what it has left.

use candle_core::Device;

/// CUDA device `index`, for all threads of the process.
///
/// candle's own way to open one gives each thread a stream of its own on it, and nobody has one thread's kernels wait for another's: what one
/// thread makes another may read too soon, such as the thread of [`backward_with_graph`](crate::autograd::backward_with_graph), and those
/// that prepare batches. Here all work goes onto one stream, in the order in which it is asked for.
///
/// # Errors
///
/// There is no such device, or the driver refuses. Where a library of CUDA is missing candle panics, so they are looked for before.
#[cfg(feature = "cuda")]
pub fn cuda(index: usize) -> candle_core::Result<Device> {
    let device = Device::new_cuda_with_stream(index)?;
    if let Device::Cuda(cuda) = &device {
        // SAFETY: events would tell other streams when a buffer may be used; there is no other stream.
        unsafe { cuda.disable_event_tracking() };
    }
    Ok(device)
}

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
