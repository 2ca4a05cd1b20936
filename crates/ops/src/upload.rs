//! Numbers of the host that are others in each step, on their way to a device.
//!
//! From ordinary memory CUDA may copy only once the device has come so far, and the host waits meanwhile, instead of preparing what comes next.
//! From memory that the system must leave in its place it copies by itself. So [`upload`] copies there, has the device fetch it in its turn,
//! and goes on. Such memory is dear: it is used again once the device says that it has fetched what was in it.

use candle_core::{Device, Result, Tensor};

/// `tensor` on `device`, without its graph. It does not wait for the device where it can help it. What is already there is not copied.
///
/// # Errors
///
/// Those of the device.
pub fn upload(tensor: &Tensor, device: &Device) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if let (true, Device::Cuda(cuda)) = (tensor.device().is_cpu(), device) {
        return on_device::upload(tensor, cuda);
    }
    Ok(tensor.to_device(device)?.detach())
}

#[cfg(feature = "cuda")]
pub(crate) use on_device::values;

#[cfg(feature = "cuda")]
mod on_device {
    use std::{
        collections::{HashMap, VecDeque},
        mem::size_of_val,
        slice,
        sync::{Arc, LazyLock, Mutex, PoisonError},
    };

    use candle_core::{
        CudaDevice, CudaStorage, DType, Device, Error, Result, Storage, Tensor, WithDType,
        backend::BackendDevice,
        cuda_backend::{
            CudaDType, DeviceId,
            cudarc::driver::{
                CudaEvent, CudaSlice, CudaStream, DevicePtrMut, DeviceRepr, PinnedHostSlice, result,
            },
        },
        op::BackpropOp,
    };
    use half::{bf16, f16};

    /// Bytes that stay in their place for a device, at most.
    const MOST: usize = 256 << 20;
    /// Bytes of the smallest buffer.
    const LEAST: usize = 64 << 10;

    pub(super) fn upload(tensor: &Tensor, device: &CudaDevice) -> Result<Tensor> {
        match tensor.dtype() {
            DType::F32 => send::<f32>(tensor, device),
            DType::F64 => send::<f64>(tensor, device),
            DType::F16 => send::<f16>(tensor, device),
            DType::BF16 => send::<bf16>(tensor, device),
            DType::U8 => send::<u8>(tensor, device),
            DType::U32 => send::<u32>(tensor, device),
            DType::I64 => send::<i64>(tensor, device),
            _ => Ok(tensor.to_device(&Device::Cuda(device.clone()))?.detach()),
        }
    }

    fn send<T: CudaDType + WithDType + DeviceRepr>(
        tensor: &Tensor,
        device: &CudaDevice,
    ) -> Result<Tensor> {
        let tensor = tensor.contiguous()?;
        let (storage, layout) = tensor.storage_and_layout();
        let (Storage::Cpu(storage), Some((start, end))) = (&*storage, layout.contiguous_offsets())
        else {
            candle_core::bail!("upload: numbers that are not the host's")
        };
        let sent = values(&T::cpu_storage_as_slice(storage)?[start..end], device)?;
        let storage = Storage::Cuda(CudaStorage::wrap_cuda_slice(sent, device.clone()));
        Ok(Tensor::from_storage(
            storage,
            tensor.shape().clone(),
            BackpropOp::none(),
            false,
        ))
    }

    /// `values` on the device.
    pub(crate) fn values<T: DeviceRepr + 'static>(
        values: &[T],
        device: &CudaDevice,
    ) -> Result<CudaSlice<T>> {
        let len = size_of_val(values);
        // SAFETY: numbers may be looked at as bytes.
        let bytes = unsafe { slice::from_raw_parts(values.as_ptr().cast::<u8>(), len) };
        let stream = device.cuda_stream();
        let staging = Staging::of(device);
        let taken = staging
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take(len, &stream);
        let Some(mut buffer) = taken? else {
            return device.clone_htod(values);
        };
        buffer.as_mut_slice().map_err(Error::wrap)?[..len].copy_from_slice(bytes);
        // SAFETY: all of it is written.
        let mut sent = unsafe { device.alloc::<T>(values.len())? };
        {
            let (to, _guard) = sent.device_ptr_mut(&stream);
            let from = &buffer.as_mut_slice().map_err(Error::wrap)?[..len];
            // SAFETY: both have so many bytes; nobody writes those of the host before the event below has come to pass.
            unsafe { result::memcpy_htod_async(to, from, stream.cu_stream()) }
                .map_err(Error::wrap)?;
        }
        let fetched = stream.record_event(None).map_err(Error::wrap)?;
        let mut staging = staging.lock().unwrap_or_else(PoisonError::into_inner);
        staging.busy.push_back((fetched, buffer));
        Ok(sent)
    }

    type Buffer = PinnedHostSlice<u8>;

    /// The buffers of a device.
    #[derive(Default)]
    struct Staging {
        free: Vec<Buffer>,
        /// What the device may still have to fetch, and how it tells that it has, in the order of its work.
        busy: VecDeque<(CudaEvent, Buffer)>,
        /// Bytes of all of them, also of those that are being filled.
        bytes: usize,
        /// The system gives no more.
        none_left: bool,
    }

    impl Staging {
        fn of(device: &CudaDevice) -> Arc<Mutex<Self>> {
            static ALL: LazyLock<Mutex<HashMap<DeviceId, Arc<Mutex<Staging>>>>> =
                LazyLock::new(Mutex::default);
            let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(all.entry(device.id()).or_default())
        }

        /// A buffer for `len` bytes; None where there can be none.
        fn take(&mut self, len: usize, stream: &Arc<CudaStream>) -> Result<Option<Buffer>> {
            let size = len.next_power_of_two().max(LEAST);
            if len == 0 || size > MOST {
                return Ok(None);
            }
            stream.context().bind_to_thread().map_err(Error::wrap)?;
            while let Some((fetched, _)) = self.busy.front() {
                if !fetched.try_is_complete().map_err(Error::wrap)? {
                    break;
                }
                self.release(false)?;
            }
            loop {
                if let Some(at) = self.free.iter().position(|buffer| buffer.len() == size) {
                    return Ok(Some(self.free.swap_remove(at)));
                }
                if self.bytes + size <= MOST && !self.none_left {
                    // SAFETY: it is written before it is read.
                    match unsafe { stream.context().alloc_pinned::<u8>(size) } {
                        Ok(buffer) => {
                            self.bytes += size;
                            return Ok(Some(buffer));
                        }
                        Err(why) => {
                            tracing::debug!("no page-locked memory: {why}");
                            self.none_left = true;
                        }
                    }
                }
                // Those of other sizes make room, then the one that has been under way the longest.
                if let Some(other) = self.free.pop() {
                    self.bytes -= other.len();
                } else if !self.busy.is_empty() {
                    self.release(true)?;
                } else {
                    return Ok(None);
                }
            }
        }

        /// Frees the first that is busy, once the device has fetched it.
        fn release(&mut self, wait: bool) -> Result<()> {
            if let Some((fetched, buffer)) = self.busy.pop_front() {
                if wait {
                    fetched.synchronize().map_err(Error::wrap)?;
                }
                self.free.push(buffer);
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor, Var};

    use super::upload;

    #[test]
    fn what_is_sent_is_the_same_without_its_graph() {
        let var = Var::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu).unwrap();
        let turned: Tensor = var.t().unwrap();
        let sent = upload(&turned, &Device::Cpu).unwrap();
        assert_eq!(sent.to_vec2::<f32>().unwrap(), [[1.0, 3.0], [2.0, 4.0]]);
        assert!(!sent.track_op());
    }
}
