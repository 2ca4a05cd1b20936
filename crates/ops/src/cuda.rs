//! From candle's CUDA storage to the plans of `domex-cuda`: buffers, launches, results. Which elements an operator's kernels take, its
//! bodies say ([`crate::body`]).

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use candle_core::{
    CudaDevice, CudaStorage, DType, Error, Layout, Result, Shape, Storage, Tensor,
    backend::BackendStorage,
    cuda_backend::{
        DeviceId,
        cudarc::driver::{
            CudaSlice, CudaView, CudaViewMut, DevicePtr, DevicePtrMut, LaunchConfig, PushKernelArg,
        },
    },
    op::BackpropOp,
};
use domex_cuda::{Arg, Element, Launch, Plan};
use half::{bf16, f16};

use crate::{cpu::Borrowed, upload};

/// An operand that a plan reads.
#[derive(Clone)]
pub(crate) enum Input<'a> {
    /// A contiguous operand.
    All(&'a CudaStorage, &'a Layout),
    /// Some elements of one.
    Part(&'a CudaStorage, &'a Layout, Range<usize>),
    /// Numbers of the host that come again in every step.
    Floats(&'a [f32]),
    /// The same.
    Ints(&'a [usize]),
    /// Numbers of the host that are others each time.
    Once(&'a [f32]),
}

impl<'a> Input<'a> {
    /// A contiguous tensor.
    pub(crate) fn of(tensor: &'a Borrowed<'_>) -> Result<Self> {
        let (storage, layout) = tensor.cuda()?;
        Ok(Self::All(storage, layout))
    }

    fn on_device(&self) -> Option<(&'a CudaStorage, &'a Layout)> {
        match *self {
            Self::All(s, l) | Self::Part(s, l, _) => Some((s, l)),
            _ => None,
        }
    }

    /// The elements of the storage, where it is on the device.
    fn range(&self) -> Result<Range<usize>> {
        let (_, layout) = self.on_device().ok_or_else(not_contiguous)?;
        let all = contiguous(layout)?;
        Ok(match self {
            Self::Part(_, _, part) => all.start + part.start..all.start + part.end,
            _ => all,
        })
    }

    /// The bytes to send, where it is on the host.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Floats(values) | Self::Once(values) => {
                values.iter().flat_map(|v| v.to_ne_bytes()).collect()
            }
            Self::Ints(values) => values
                .iter()
                .flat_map(|&v| (v as i32).to_ne_bytes())
                .collect(),
            _ => Vec::new(),
        }
    }
}

fn not_contiguous() -> Error {
    Error::RequiresContiguous { op: "domex-ops" }
}

/// The elements of the storage that a contiguous layout takes.
pub(crate) fn contiguous(layout: &Layout) -> Result<Range<usize>> {
    let (start, end) = layout.contiguous_offsets().ok_or_else(not_contiguous)?;
    Ok(start..end)
}

/// An operand of a plan.
pub(crate) enum Operand<'a> {
    /// It is read.
    Read(Input<'a>),
    /// A new buffer of so many elements, all of which are written.
    New(usize, Element),
    /// A contiguous operand that is written in place.
    Written(&'a mut CudaStorage, &'a Layout),
}

impl Operand<'_> {
    /// A new buffer of so many float32 elements.
    pub(crate) fn floats(len: usize) -> Self {
        Self::New(len, Element::F32)
    }

    fn device(&self) -> Option<&CudaDevice> {
        match self {
            Self::Read(input) => input.on_device().map(|(storage, _)| &storage.device),
            Self::New(..) => None,
            Self::Written(storage, _) => Some(&storage.device),
        }
    }
}

/// What the plans call elements of this type.
pub(crate) fn element(dtype: DType) -> Result<Element> {
    match dtype {
        DType::F32 => Ok(Element::F32),
        DType::F16 => Ok(Element::F16),
        DType::BF16 => Ok(Element::Bf16),
        other => Err(Error::msg(format!("no kernel takes {other:?}"))),
    }
}

/// And those of this storage.
pub(crate) fn element_of(storage: &CudaStorage) -> Result<Element> {
    element(storage.dtype())
}

/// `$do` with `$T` the type of an element.
macro_rules! by_element {
    ($element:expr, $T:ident => $do:expr) => {
        match $element {
            Element::F32 => {
                type $T = f32;
                $do
            }
            Element::F16 => {
                type $T = f16;
                $do
            }
            Element::Bf16 => {
                type $T = bf16;
                $do
            }
        }
    };
}

pub(crate) use by_element;

/// An operand's memory while the kernels run; of elements only their bytes.
enum Memory<'a> {
    Read(CudaView<'a, u8>),
    Sent(Arc<CudaSlice<u8>>),
    New(New),
    Written(CudaViewMut<'a, f32>),
}

/// A new buffer.
enum New {
    F32(CudaSlice<f32>),
    F16(CudaSlice<f16>),
    Bf16(CudaSlice<bf16>),
}

impl<'a> Memory<'a> {
    fn of(operand: Operand<'a>, device: &CudaDevice) -> Result<Self> {
        Ok(match operand {
            Operand::Read(input) => match input.on_device() {
                Some((storage, _)) => Self::Read(bytes_of(storage, input.range()?)?),
                None => Self::Sent(match input {
                    Input::Once(_) => Arc::new(upload::values(&input.bytes(), device)?),
                    _ => sent(device, input.bytes())?,
                }),
            },
            // SAFETY: the kernels write every element of a result: the tests on the host start it as NaN.
            Operand::New(len, element) => Self::New(unsafe {
                match element {
                    Element::F32 => New::F32(device.alloc(len)?),
                    Element::F16 => New::F16(device.alloc(len)?),
                    Element::Bf16 => New::Bf16(device.alloc(len)?),
                }
            }),
            Operand::Written(storage, layout) => {
                let range = contiguous(layout)?;
                Self::Written(storage.as_cuda_slice_mut::<f32>()?.slice_mut(range))
            }
        })
    }
}

/// What a device was sent, by what it is.
type Constants = HashMap<(DeviceId, Vec<u8>), Arc<CudaSlice<u8>>>;

/// Numbers of the host on a device. Filters and tables are few and always the same, so they are kept there, and no step waits for them.
fn sent(device: &CudaDevice, bytes: Vec<u8>) -> Result<Arc<CudaSlice<u8>>> {
    /// More than a network has; then all begins anew.
    const MOST: usize = 256;
    static SENT: LazyLock<Mutex<Constants>> = LazyLock::new(Mutex::default);
    let mut constants = SENT.lock().unwrap_or_else(PoisonError::into_inner);
    let key = (device.id(), bytes);
    if let Some(found) = constants.get(&key) {
        return Ok(Arc::clone(found));
    }
    if constants.len() >= MOST {
        constants.clear();
    }
    let made = Arc::new(device.clone_htod(&key.1)?);
    constants.insert(key, Arc::clone(&made));
    Ok(made)
}

/// The bytes of these elements.
pub(crate) fn bytes_of(storage: &CudaStorage, range: Range<usize>) -> Result<CudaView<'_, u8>> {
    by_element!(element(storage.dtype())?, T => {
        let bytes = range.len() * size_of::<T>();
        let slice = storage.as_cuda_slice::<T>()?;
        // SAFETY: bytes may be of any value.
        let view = unsafe { slice.slice(range).transmute(bytes) };
        view.ok_or_else(not_contiguous)
    })
}

/// What a plan made: its new buffers, in the order of the operands.
pub(crate) struct Results(std::vec::IntoIter<CudaStorage>);

impl Results {
    /// The next one.
    pub(crate) fn storage(&mut self) -> Result<CudaStorage> {
        let next = self.0.next();
        next.ok_or_else(|| Error::msg("more results were asked for than a plan has"))
    }

    /// The next one as a tensor without a graph.
    pub(crate) fn tensor(&mut self, shape: &Shape) -> Result<Tensor> {
        let storage = Storage::Cuda(self.storage()?);
        Ok(Tensor::from_storage(
            storage,
            shape,
            BackpropOp::none(),
            false,
        ))
    }
}

/// Runs `plan` on `operands`.
pub(crate) fn run(plan: domex_cuda::Result<Plan>, operands: Vec<Operand<'_>>) -> Result<Results> {
    let plan = plan.map_err(Error::wrap)?;
    if plan.operands != operands.len() {
        let (takes, given) = (plan.operands, operands.len());
        return Err(Error::msg(format!(
            "{given} operands for a plan of {takes}"
        )));
    }
    let device = operands.iter().find_map(Operand::device).cloned();
    let device =
        device.ok_or_else(|| Error::msg("an operator without an operand on the device"))?;
    let stream = device.cuda_stream();
    // SAFETY: the kernels write of scratch memory what they read: the tests on the host start it as NaN.
    let scratch = plan
        .scratch
        .iter()
        .map(|&bytes| unsafe { device.alloc::<u8>(bytes) });
    let mut scratch = scratch.collect::<Result<Vec<CudaSlice<u8>>>>()?;
    let memory = operands.into_iter().map(|o| Memory::of(o, &device));
    let mut memory = memory.collect::<Result<Vec<_>>>()?;
    // The guards tell other streams when the kernels are done with a buffer.
    let mut bound: Vec<_> = memory
        .iter_mut()
        .map(|memory| match memory {
            Memory::Read(view) => view.device_ptr(&stream),
            Memory::Sent(slice) => slice.device_ptr(&stream),
            Memory::New(New::F32(slice)) => slice.device_ptr_mut(&stream),
            Memory::New(New::F16(slice)) => slice.device_ptr_mut(&stream),
            Memory::New(New::Bf16(slice)) => slice.device_ptr_mut(&stream),
            Memory::Written(view) => view.device_ptr_mut(&stream),
        })
        .collect();
    bound.extend(scratch.iter_mut().map(|b| b.device_ptr_mut(&stream)));
    let (addresses, guards): (Vec<_>, Vec<_>) = bound.into_iter().unzip();
    for launch in &plan.launches {
        start(&device, launch, &addresses)?;
    }
    drop(guards);
    let made = memory.into_iter().filter_map(|memory| match memory {
        Memory::New(New::F32(slice)) => Some(CudaStorage::wrap_cuda_slice(slice, device.clone())),
        Memory::New(New::F16(slice)) => Some(CudaStorage::wrap_cuda_slice(slice, device.clone())),
        Memory::New(New::Bf16(slice)) => Some(CudaStorage::wrap_cuda_slice(slice, device.clone())),
        _ => None,
    });
    Ok(Results(made.collect::<Vec<_>>().into_iter()))
}

/// Runs `plan`, of whose operands number `output` is the result, of `len` elements as those of the first input, and the others are
/// `inputs` in order.
pub(crate) fn compute(
    plan: domex_cuda::Result<Plan>,
    inputs: &[Input<'_>],
    output: usize,
    len: usize,
) -> Result<CudaStorage> {
    let mut operands: Vec<_> = inputs.iter().cloned().map(Operand::Read).collect();
    let first = inputs.iter().find_map(Input::on_device);
    let element = first.map_or(Ok(Element::F32), |(storage, _)| element(storage.dtype()))?;
    operands.insert(output, Operand::New(len, element));
    run(plan, operands)?.storage()
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
