//! From candle's CUDA storage to the plans of `domex-cuda`: buffers, launches, results. float32 only; [`crate::body`] sees to that.

use std::ops::Range;

use candle_core::{
    CudaDevice, CudaStorage, Error, Layout, Result,
    cuda_backend::cudarc::driver::{
        CudaSlice, DevicePtr, DevicePtrMut, LaunchConfig, PushKernelArg,
    },
};
use domex_cuda::{Arg, Launch, Plan};

/// An operand that a plan reads.
pub(crate) enum Input<'a> {
    /// A contiguous operand.
    All(&'a CudaStorage, &'a Layout),
    /// Some elements of one.
    Part(&'a CudaStorage, &'a Layout, Range<usize>),
    /// Numbers of the host.
    Floats(&'a [f32]),
    /// The same.
    Ints(&'a [usize]),
}

impl<'a> Input<'a> {
    fn on_device(&self) -> Option<(&'a CudaStorage, &'a Layout)> {
        match *self {
            Self::All(s, l) | Self::Part(s, l, _) => Some((s, l)),
            _ => None,
        }
    }

    /// The elements of the storage, where it is on the device.
    fn range(&self) -> Result<Range<usize>> {
        let (start, end) = self
            .on_device()
            .and_then(|(_, layout)| layout.contiguous_offsets())
            .ok_or(Error::RequiresContiguous { op: "domex-ops" })?;
        Ok(match self {
            Self::Part(_, _, part) => start + part.start..start + part.end,
            _ => start..end,
        })
    }

    /// The bytes to send, where it is on the host.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Floats(values) => values.iter().flat_map(|v| v.to_ne_bytes()).collect(),
            Self::Ints(values) => values
                .iter()
                .flat_map(|&v| (v as i32).to_ne_bytes())
                .collect(),
            _ => Vec::new(),
        }
    }
}

/// Runs `plan`, of whose operands number `output` is the result, of `len` elements, and the others are `inputs` in order.
pub(crate) fn compute(
    plan: domex_cuda::Result<Plan>,
    inputs: &[Input<'_>],
    output: usize,
    len: usize,
) -> Result<CudaStorage> {
    let plan = plan.map_err(Error::wrap)?;
    let (first, _) = inputs
        .iter()
        .find_map(Input::on_device)
        .ok_or_else(|| Error::msg("an operator without an operand on the device"))?;
    let device = &first.device;
    let stream = device.cuda_stream();
    // SAFETY: the kernels write every element of a result, and of scratch memory what they read: the tests on the host start both
    // as NaN.
    let (mut result, mut scratch) = unsafe {
        let scratch = plan.scratch.iter().map(|&bytes| device.alloc::<u8>(bytes));
        (
            device.alloc::<f32>(len)?,
            scratch.collect::<Result<Vec<CudaSlice<u8>>>>()?,
        )
    };
    let mut views = Vec::new();
    let mut sent = Vec::new();
    for input in inputs {
        match input.on_device() {
            Some((storage, _)) => {
                views.push(storage.as_cuda_slice::<f32>()?.slice(input.range()?));
            }
            None => sent.push(device.clone_htod(&input.bytes())?),
        }
    }
    // The guards tell other streams when the kernels are done with a buffer.
    let (mut views, mut sent) = (views.iter(), sent.iter());
    let mut bound: Vec<_> = inputs
        .iter()
        .filter_map(|input| match input.on_device() {
            Some(_) => views.next().map(|v| v.device_ptr(&stream)),
            None => sent.next().map(|s| s.device_ptr(&stream)),
        })
        .collect();
    bound.insert(output, result.device_ptr_mut(&stream));
    bound.extend(scratch.iter_mut().map(|b| b.device_ptr_mut(&stream)));
    let (addresses, guards): (Vec<_>, Vec<_>) = bound.into_iter().unzip();
    for launch in &plan.launches {
        start(device, launch, &addresses)?;
    }
    drop(guards);
    Ok(CudaStorage::wrap_cuda_slice(result, device.clone()))
}

/// An argument in memory, where the launch finds it.
enum Value {
    Address(u64),
    Int(i32),
    Long(i64),
    Float(f32),
}

fn start(device: &CudaDevice, launch: &Launch, addresses: &[u64]) -> Result<()> {
    let ptx = domex_cuda::compile::ptx(launch.module).map_err(Error::wrap)?;
    let module = format!("domex-{}", launch.module.name());
    let kernel = device.get_or_load_custom_func(launch.kernel, &module, &ptx)?;
    let values: Vec<Value> = launch
        .args
        .iter()
        .map(|arg| match *arg {
            Arg::Buffer(buffer) => Value::Address(addresses[buffer.0]),
            Arg::Null => Value::Address(0),
            Arg::Int(v) => Value::Int(v),
            Arg::Long(v) => Value::Long(v),
            Arg::Float(v) => Value::Float(v),
        })
        .collect();
    let mut builder = kernel.builder();
    for value in &values {
        match value {
            Value::Address(v) => builder.arg(v),
            Value::Int(v) => builder.arg(v),
            Value::Long(v) => builder.arg(v),
            Value::Float(v) => builder.arg(v),
        };
    }
    let [x, y, z] = launch.grid;
    let config = LaunchConfig {
        grid_dim: (x, y, z),
        block_dim: (launch.threads, 1, 1),
        shared_mem_bytes: launch.shared,
    };
    // SAFETY: plans name kernels, arguments and buffers that fit each other, which the tests on the host hold against the CPU.
    unsafe { builder.launch(config) }.map_err(Error::wrap)?;
    Ok(())
}
