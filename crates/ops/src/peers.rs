//! Sums over the GPUs of several processes or threads, by NCCL.
//!
//! One of them [invites](invitation), the others get its bytes by whatever way they have, and all [join](Peers::join). In which order NCCL
//! adds up it does not say, so what comes out agrees with other ways to rounding only. Where there is no NCCL, or no CUDA, there are no
//! peers.

use candle_core::{Device, Tensor};

use crate::Result;

/// This one among the GPUs that add up. Without the feature `cuda` there is none.
#[derive(Debug)]
pub struct Peers {
    #[cfg(feature = "cuda")]
    communicator: std::sync::Mutex<domex_cuda::nccl::Communicator>,
    #[cfg(not(feature = "cuda"))]
    none: std::convert::Infallible,
}

/// Which card this is, in bytes that are the same for all who have it. None where it is none.
///
/// # Errors
///
/// There is no NCCL.
pub fn card(device: &Device) -> Result<Option<Vec<u8>>> {
    match device {
        #[cfg(feature = "cuda")]
        Device::Cuda(cuda) => {
            domex_cuda::nccl::Nccl::shared().map_err(candle_core::Error::wrap)?;
            let stream = cuda.cuda_stream();
            let uuid = stream.context().uuid().map_err(candle_core::Error::wrap)?;
            Ok(Some(uuid.bytes.map(|b| b as u8).to_vec()))
        }
        _ => Ok(None),
    }
}

/// What all who are to join need; None without CUDA.
///
/// # Errors
///
/// There is no NCCL, or it finds no network.
pub fn invitation() -> Result<Option<Vec<u8>>> {
    #[cfg(feature = "cuda")]
    {
        let id = domex_cuda::nccl::Nccl::shared().and_then(domex_cuda::nccl::Nccl::id);
        Ok(Some(id.map_err(candle_core::Error::wrap)?.bytes().to_vec()))
    }
    #[cfg(not(feature = "cuda"))]
    Ok(None)
}

impl Peers {
    /// Joins as `rank` of `size`, and waits for the others. Each needs a card of its own.
    ///
    /// # Errors
    ///
    /// An invitation of something else; a device that is no GPU; the others cannot be reached.
    pub fn join(invitation: &[u8], [rank, size]: [usize; 2], device: &Device) -> Result<Self> {
        #[cfg(feature = "cuda")]
        if let (Device::Cuda(cuda), Some(id)) = (device, domex_cuda::nccl::Id::of(invitation)) {
            use candle_core::Error;
            let stream = cuda.cuda_stream();
            stream.context().bind_to_thread().map_err(Error::wrap)?;
            let nccl = domex_cuda::nccl::Nccl::shared().map_err(Error::wrap)?;
            let communicator = nccl.join(&id, rank, size).map_err(Error::wrap)?;
            return Ok(Self {
                communicator: std::sync::Mutex::new(communicator),
            });
        }
        let found = format!(
            "rank {rank} of {size} on {:?} with {} bytes",
            device.location(),
            invitation.len()
        );
        Err(crate::Error::parameter(
            "peers",
            "invitation",
            found,
            "a GPU and an invitation",
        ))
    }

    /// Puts the sum of all peers' numbers in the place of these, which are float32 and contiguous. All must ask for it, with as many.
    ///
    /// # Errors
    ///
    /// Other numbers, or a peer that is lost.
    pub fn sum(&self, numbers: &Tensor) -> Result<()> {
        Ok(numbers.inplace_op1(self)?)
    }
}

impl candle_core::InplaceOp1 for Peers {
    fn name(&self) -> &'static str {
        "sum of peers"
    }

    fn cpu_fwd(
        &self,
        _: &mut candle_core::CpuStorage,
        _: &candle_core::Layout,
    ) -> candle_core::Result<()> {
        #[cfg(not(feature = "cuda"))]
        match self.none {}
        #[cfg(feature = "cuda")]
        candle_core::bail!("numbers of the CPU among those of GPUs")
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        storage: &mut candle_core::CudaStorage,
        layout: &candle_core::Layout,
    ) -> candle_core::Result<()> {
        use candle_core::cuda_backend::cudarc::driver::DevicePtrMut;
        let range = crate::cuda::contiguous(layout)?;
        let stream = storage.device.cuda_stream();
        let mut numbers = storage.as_cuda_slice_mut::<f32>()?.slice_mut(range);
        let len = numbers.len();
        let (address, _guard) = numbers.device_ptr_mut(&stream);
        let mut communicator = self
            .communicator
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        // SAFETY: the guard keeps the numbers from others until the stream is done, and it is the stream of the device that joined.
        let summed = unsafe { communicator.sum(address, len, stream.cu_stream().cast()) };
        summed.map_err(candle_core::Error::wrap)
    }
}
