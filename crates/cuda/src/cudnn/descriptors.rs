//! What cuDNN is told of a convolution: the sizes of its operands, and how they are multiplied.

use std::{ffi::c_int, ptr};

use super::{Convolution, Cudnn, Part, Raw, Status};
use crate::{Element, Result, launch::int, library::Loaded};

type Create = unsafe extern "C" fn(*mut Raw) -> Status;
type Destroy = unsafe extern "C" fn(Raw) -> Status;
/// Format, type, and sizes of a tensor; of a filter the type comes first.
type Set4 = unsafe extern "C" fn(Raw, c_int, c_int, c_int, c_int, c_int, c_int) -> Status;
/// Padding, stride, dilation, mode, and the type of sums.
type SetConvolution =
    unsafe extern "C" fn(Raw, c_int, c_int, c_int, c_int, c_int, c_int, c_int, c_int) -> Status;

/// How descriptors are made.
#[derive(Debug)]
pub(super) struct Functions {
    create: [Create; 3],
    destroy: [Destroy; 3],
    set_tensor: Set4,
    set_filter: Set4,
    set_convolution: SetConvolution,
    set_math: unsafe extern "C" fn(Raw, c_int) -> Status,
}

impl Functions {
    /// # Safety
    ///
    /// `library` must be cuDNN.
    pub(super) unsafe fn of(library: &Loaded) -> Result<Self> {
        // SAFETY: the types are those of cuDNN's documentation, which the fields above repeat.
        unsafe {
            Ok(Self {
                create: [
                    library.function("cudnnCreateTensorDescriptor")?,
                    library.function("cudnnCreateFilterDescriptor")?,
                    library.function("cudnnCreateConvolutionDescriptor")?,
                ],
                destroy: [
                    library.function("cudnnDestroyTensorDescriptor")?,
                    library.function("cudnnDestroyFilterDescriptor")?,
                    library.function("cudnnDestroyConvolutionDescriptor")?,
                ],
                set_tensor: library.function("cudnnSetTensor4dDescriptor")?,
                set_filter: library.function("cudnnSetFilter4dDescriptor")?,
                set_convolution: library.function("cudnnSetConvolution2dDescriptor")?,
                set_math: library.function("cudnnSetConvolutionMathType")?,
            })
        }
    }
}

/// What a descriptor is of; the order of [`Functions::create`].
#[derive(Debug, Clone, Copy)]
enum Kind {
    Tensor,
    Filter,
    Convolution,
}

/// A descriptor, which is destroyed when it is dropped.
#[derive(Debug)]
struct Descriptor {
    raw: Raw,
    destroy: Destroy,
}

// SAFETY: a descriptor is plain data, which is not changed through a shared reference by two threads.
unsafe impl Send for Descriptor {}

impl Descriptor {
    fn new(cudnn: &Cudnn, kind: Kind) -> Result<Self> {
        let mut raw = ptr::null_mut();
        // SAFETY: cuDNN writes a descriptor there.
        let code = unsafe { (cudnn.descriptors.create[kind as usize])(&raw mut raw) };
        cudnn.check("cudnnCreate…Descriptor", code)?;
        let destroy = cudnn.descriptors.destroy[kind as usize];
        Ok(Self { raw, destroy })
    }
}

impl Drop for Descriptor {
    fn drop(&mut self) {
        // SAFETY: it is not used after this.
        let _ = unsafe { (self.destroy)(self.raw) };
    }
}

/// `CUDNN_TENSOR_NCHW`, and `CUDNN_CROSS_CORRELATION`.
const NCHW: c_int = 0;
const CORRELATION: c_int = 1;

/// `cudnnDataType_t`.
fn data(element: Element) -> c_int {
    match element {
        Element::F32 => 0,
        Element::F16 => 2,
        Element::Bf16 => 9,
    }
}

/// Those of a convolution.
#[derive(Debug)]
pub(super) struct Descriptors {
    x: Descriptor,
    y: Descriptor,
    weights: Descriptor,
    convolution: Descriptor,
}

impl Descriptors {
    /// Of `what`.
    pub(super) fn new(cudnn: &Cudnn, what: &Convolution) -> Result<Self> {
        let s = &what.shape;
        s.check()?;
        let made = Self {
            x: Descriptor::new(cudnn, Kind::Tensor)?,
            y: Descriptor::new(cudnn, Kind::Tensor)?,
            weights: Descriptor::new(cudnn, Kind::Filter)?,
            convolution: Descriptor::new(cudnn, Kind::Convolution)?,
        };
        let sizes = |[n, c, h, w]: [usize; 4]| -> Result<[c_int; 4]> {
            Ok([
                int("n", n)?,
                int("channels", c)?,
                int("h", h)?,
                int("w", w)?,
            ])
        };
        let element = data(what.element);
        let functions = &cudnn.descriptors;
        for (tensor, shape) in [
            (&made.x, [s.n, s.c_in, s.h, s.w]),
            (&made.y, [s.n, s.c_out, s.out_h(), s.out_w()]),
        ] {
            let [n, c, h, w] = sizes(shape)?;
            // SAFETY: the descriptor lives.
            let code = unsafe { (functions.set_tensor)(tensor.raw, NCHW, element, n, c, h, w) };
            cudnn.check("cudnnSetTensor4dDescriptor", code)?;
        }
        let [k, c, h, w] = sizes([s.c_out, s.c_in, s.kh, s.kw])?;
        // SAFETY: the descriptor lives.
        let code = unsafe { (functions.set_filter)(made.weights.raw, element, NCHW, k, c, h, w) };
        cudnn.check("cudnnSetFilter4dDescriptor", code)?;
        let (pad, step) = (int("padding", s.padding)?, int("stride", s.stride)?);
        // SAFETY: the descriptor lives.
        let code = unsafe {
            let float = data(Element::F32);
            let how = made.convolution.raw;
            (functions.set_convolution)(how, pad, pad, step, step, 1, 1, CORRELATION, float)
        };
        cudnn.check("cudnnSetConvolution2dDescriptor", code)?;
        made.set_math(cudnn, what.math(None))?;
        Ok(made)
    }

    /// Sets the type of products, one of `cudnnMathType_t`.
    pub(super) fn set_math(&self, cudnn: &Cudnn, math: c_int) -> Result<()> {
        // SAFETY: the descriptor lives.
        let code = unsafe { (cudnn.descriptors.set_math)(self.convolution.raw, math) };
        cudnn.check("cudnnSetConvolutionMathType", code)
    }

    /// Those of the operands and the result, in the order of [`Part`].
    pub(super) fn operands(&self, part: Part) -> [Raw; 3] {
        let (x, weights, y) = (self.x.raw, self.weights.raw, self.y.raw);
        match part {
            Part::Forward => [x, weights, y],
            Part::InputGrad => [weights, y, x],
            Part::WeightGrad => [x, y, weights],
        }
    }

    /// That of how they are multiplied.
    pub(super) fn convolution(&self) -> Raw {
        self.convolution.raw
    }
}
