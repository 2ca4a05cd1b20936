//! Convolutions by cuDNN. Where it is not there, does not do what is asked, or must not ([`super::allow_cudnn`]), our kernels serve.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, OnceLock, PoisonError},
};

use candle_core::{
    CudaDevice, CudaStorage, Error, Layout, Result,
    cuda_backend::{
        DeviceId,
        cudarc::driver::{CudaStream, DevicePtr, DevicePtrMut},
    },
};
use domex_cuda::{
    Element,
    cudnn::{Convolution, Cudnn, Handle, Prepared},
};
use half::{bf16, f16};

use super::library;
use crate::cuda::{by_element, bytes_of, contiguous};

/// What `convolution` makes of its operands, of `len` elements; None where cuDNN does not serve.
pub(super) fn computed(
    convolution: &Convolution,
    operands: [(&CudaStorage, &Layout); 2],
    len: usize,
) -> Result<Option<CudaStorage>> {
    let Some(cudnn) = cudnn().filter(|_| library::allowed()) else {
        return Ok(None);
    };
    let device = &operands[0].0.device;
    let stream = device.cuda_stream();
    // What cuDNN calls of CUDA asks for the thread's own device.
    stream.context().bind_to_thread().map_err(Error::wrap)?;
    let place = Place::of(device);
    let mut place = place.lock().unwrap_or_else(PoisonError::into_inner);
    let Some((handle, prepared)) = place.ready(cudnn, device, convolution) else {
        return Ok(None);
    };
    // SAFETY: cuDNN writes what it reads of it.
    let mut workspace = unsafe { device.alloc::<u8>(prepared.workspace().max(1))? };
    let [a, b] = operands.map(|(storage, layout)| bytes_of(storage, contiguous(layout)?));
    let (a, b) = (a?, b?);
    let made = by_element!(convolution.element, T => {
        // SAFETY: all of it is written.
        let mut made = unsafe { device.alloc::<T>(len)? };
        // The guards tell other streams when this one is done with a buffer.
        let ((a, _a), (b, _b)) = (a.device_ptr(&stream), b.device_ptr(&stream));
        let (workspace, _workspace) = workspace.device_ptr_mut(&stream);
        let (result, guard) = made.device_ptr_mut(&stream);
        // SAFETY: the context is current; the operands have the convolution's sizes, which have been checked.
        let run = unsafe { handle.run(prepared, [a, b], result, workspace) };
        drop(guard);
        run.map(|()| CudaStorage::wrap_cuda_slice(made, device.clone()))
    });
    match made {
        Ok(made) => {
            library::computed();
            Ok(Some(made))
        }
        Err(
            why @ domex_cuda::Error::Cudnn {
                unsupported: true, ..
            },
        ) => {
            place.refuse(convolution, &why);
            Ok(None)
        }
        Err(why) => Err(Error::wrap(why)),
    }
}

/// The library, if it is there. It is looked for once.
fn cudnn() -> Option<&'static Cudnn> {
    static FOUND: OnceLock<Option<&'static Cudnn>> = OnceLock::new();
    *FOUND.get_or_init(|| match Cudnn::shared() {
        Ok(cudnn) => {
            tracing::debug!("convolutions by cuDNN {}", cudnn.version());
            Some(cudnn)
        }
        Err(why) => {
            tracing::debug!("convolutions by our own kernels: {why}");
            None
        }
    })
}

/// cuDNN on a device: one thread at a time has it.
#[derive(Default)]
struct Place {
    /// With the stream that it works on; None where cuDNN cannot use the device.
    handle: Option<Option<(Handle, Arc<CudaStream>)>>,
    /// None for what cuDNN does not do.
    prepared: HashMap<Convolution, Option<Prepared>>,
}

impl Place {
    fn of(device: &CudaDevice) -> Arc<Mutex<Self>> {
        static PLACES: LazyLock<Mutex<HashMap<DeviceId, Arc<Mutex<Place>>>>> =
            LazyLock::new(Mutex::default);
        let mut places = PLACES.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(places.entry(device.id()).or_default())
    }

    /// What is needed to compute `convolution`, if cuDNN does it.
    fn ready(
        &mut self,
        cudnn: &'static Cudnn,
        device: &CudaDevice,
        convolution: &Convolution,
    ) -> Option<(&mut Handle, &Prepared)> {
        /// More than a run has; then all begins anew.
        const MOST: usize = 4096;
        let handle = self.handle.get_or_insert_with(|| {
            let stream = device.cuda_stream();
            // SAFETY: the stream is the device's, whose context is current, and lives as long as the handle beside it.
            let made = unsafe { cudnn.handle(stream.cu_stream().cast()) };
            let made =
                made.inspect_err(|why| tracing::debug!("convolutions by our own kernels: {why}"));
            made.ok().map(|handle| (handle, stream))
        });
        let (handle, _) = handle.as_mut()?;
        if self.prepared.len() >= MOST && !self.prepared.contains_key(convolution) {
            self.prepared.clear();
        }
        let prepared = self.prepared.entry(*convolution).or_insert_with(|| {
            let made = handle.prepare(convolution);
            made.inspect_err(|why| tell(convolution, why)).ok()
        });
        Some((handle, prepared.as_ref()?))
    }

    /// From now on our kernels compute it.
    fn refuse(&mut self, convolution: &Convolution, why: &domex_cuda::Error) {
        tell(convolution, why);
        self.prepared.insert(*convolution, None);
    }
}

fn tell(convolution: &Convolution, why: &domex_cuda::Error) {
    tracing::debug!("by our own kernels: {convolution:?}: {why}");
}

/// What cuDNN is asked for: half types need no leave to be multiplied by tensor cores.
pub(super) fn convolution(
    part: super::Part,
    shape: domex_kernels::conv::ConvShape,
    element: Element,
    tf32: bool,
) -> Convolution {
    use domex_cuda::cudnn::Part;
    Convolution {
        part: match part {
            super::Part::Forward => Part::Forward,
            super::Part::InputGrad => Part::InputGrad,
            super::Part::WeightGrad => Part::WeightGrad,
        },
        shape,
        element,
        tf32: tf32 && element == Element::F32,
    }
}
