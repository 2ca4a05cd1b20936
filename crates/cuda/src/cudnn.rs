//! cuDNN, NVIDIA's library of convolutions, loaded when it is first needed.
//!
//! What is called are its functions of one convolution each, with which versions 8 and 9 agree; newer ones describe graphs, at many times the
//! declarations. Which algorithm serves, cuDNN is asked by [`Handle::prepare`], not tried out: what is measured is never twice the same, and with
//! another algorithm come other bits. Of those that it names, the first is taken that
//! - always makes the same bits of the same operands,
//! - keeps to the type of products that was asked for, in half precision without transforms, which would round its operands once more,
//! - needs no more than [`MOST_WORKSPACE`].

mod choice;
mod descriptors;

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr,
    sync::OnceLock,
};

use domex_kernels::conv::ConvShape;

use self::{
    choice::Perf,
    descriptors::{Descriptors, Functions},
};
use crate::{
    Element, Error, Result,
    library::{Loaded, Wanted},
};

const CUDNN: Wanted = Wanted {
    what: "cuDNN, NVIDIA's library of convolutions",
    stem: "cudnn",
    versions: &["9", "8"],
    get: "install cuDNN 9 for CUDA 12 (from your system's packages, or the wheel nvidia-cudnn-cu12), and name its folder in LD_LIBRARY_PATH",
};

/// The major versions whose declarations these are.
const KNOWN: [usize; 2] = [8, 9];

/// Bytes that an algorithm may ask for besides its operands. Winograd's for the layers of a StyleGAN2 at 1024², four samples at a time, are
/// within it up to 128².
pub const MOST_WORKSPACE: usize = 512 << 20;

type Raw = *mut c_void;

/// Any of cuDNN's functions that say how it went.
type Status = c_int;

/// Which of a convolution's three operators, and what they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Of x and the weights: y.
    Forward,
    /// Of the weights and the gradient of y: that of x.
    InputGrad,
    /// Of x and the gradient of y: that of the weights.
    WeightGrad,
}

/// A convolution: what an algorithm is chosen for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Convolution {
    /// The operator.
    pub part: Part,
    /// Its sizes.
    pub shape: ConvShape,
    /// What operands and result hold. Sums are float32's.
    pub element: Element,
    /// Whether factors of float32 may be rounded to TF32. Half types need no leave.
    pub tf32: bool,
}

/// A convolution that a [`Handle`] has made ready.
#[derive(Debug)]
pub struct Prepared {
    descriptors: Descriptors,
    part: Part,
    algorithm: c_int,
    workspace: usize,
}

impl Prepared {
    /// Bytes of the device's memory that it needs while it runs, beside its operands.
    #[must_use]
    pub fn workspace(&self) -> usize {
        self.workspace
    }
}

type Choose = unsafe extern "C" fn(Raw, Raw, Raw, Raw, Raw, c_int, *mut c_int, *mut Perf) -> Status;
type Workspace = unsafe extern "C" fn(Raw, Raw, Raw, Raw, Raw, c_int, *mut usize) -> Status;
type Run = unsafe extern "C" fn(
    Raw,
    *const f32,
    Raw,
    *const c_void,
    Raw,
    *const c_void,
    Raw,
    c_int,
    *mut c_void,
    usize,
    *const f32,
    Raw,
    *mut c_void,
) -> Status;

/// The functions of one operator. Those of all three have the same types, and take operands in the order of [`Part`].
#[derive(Debug)]
struct Operator {
    names: [&'static str; 3],
    choose: Choose,
    workspace: Workspace,
    run: Run,
}

/// The library.
#[derive(Debug)]
pub struct Cudnn {
    version: usize,
    create: unsafe extern "C" fn(*mut Raw) -> Status,
    destroy: unsafe extern "C" fn(Raw) -> Status,
    set_stream: unsafe extern "C" fn(Raw, Raw) -> Status,
    error: unsafe extern "C" fn(Status) -> *const c_char,
    descriptors: Functions,
    forward: Operator,
    input_grad: Operator,
    weight_grad: Operator,
    /// The functions live as long as the library.
    _library: Loaded,
}

impl Cudnn {
    /// The library of this process, loaded by the first who asks.
    ///
    /// # Errors
    ///
    /// It is not there, or is of another version.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Cudnn> = OnceLock::new();
        if let Some(cudnn) = SHARED.get() {
            return Ok(cudnn);
        }
        let cudnn = Self::load()?;
        Ok(SHARED.get_or_init(|| cudnn))
    }

    fn load() -> Result<Self> {
        let library = CUDNN.load()?;
        // SAFETY: the types are those of cuDNN's documentation, which the fields above repeat. The first is asked before all else, so that
        // nothing is taken for what it is not.
        unsafe {
            let version: unsafe extern "C" fn() -> usize = library.function("cudnnGetVersion")?;
            let version = known(version())?;
            Ok(Self {
                version,
                create: library.function("cudnnCreate")?,
                destroy: library.function("cudnnDestroy")?,
                set_stream: library.function("cudnnSetStream")?,
                error: library.function("cudnnGetErrorString")?,
                descriptors: Functions::of(&library)?,
                forward: operator(
                    &library,
                    [
                        "cudnnGetConvolutionForwardAlgorithm_v7",
                        "cudnnGetConvolutionForwardWorkspaceSize",
                        "cudnnConvolutionForward",
                    ],
                )?,
                input_grad: operator(
                    &library,
                    [
                        "cudnnGetConvolutionBackwardDataAlgorithm_v7",
                        "cudnnGetConvolutionBackwardDataWorkspaceSize",
                        "cudnnConvolutionBackwardData",
                    ],
                )?,
                weight_grad: operator(
                    &library,
                    [
                        "cudnnGetConvolutionBackwardFilterAlgorithm_v7",
                        "cudnnGetConvolutionBackwardFilterWorkspaceSize",
                        "cudnnConvolutionBackwardFilter",
                    ],
                )?,
                _library: library,
            })
        }
    }

    /// Its version in words, such as 9.1.0.
    #[must_use]
    pub fn version(&self) -> String {
        version(self.version)
    }

    /// A handle for the device whose context is current, that works on `stream`.
    ///
    /// # Errors
    ///
    /// cuDNN cannot use the device, or lacks memory.
    ///
    /// # Safety
    ///
    /// `stream` is one of that device, and lives as long as the handle.
    pub unsafe fn handle(&'static self, stream: *mut c_void) -> Result<Handle> {
        let mut raw = ptr::null_mut();
        // SAFETY: cuDNN writes a handle there.
        self.check("cudnnCreate", unsafe { (self.create)(&raw mut raw) })?;
        let handle = Handle { cudnn: self, raw };
        // SAFETY: the caller vouches for the stream.
        let code = unsafe { (self.set_stream)(raw, stream) };
        self.check("cudnnSetStream", code)?;
        Ok(handle)
    }

    fn operator(&self, part: Part) -> &Operator {
        match part {
            Part::Forward => &self.forward,
            Part::InputGrad => &self.input_grad,
            Part::WeightGrad => &self.weight_grad,
        }
    }

    fn check(&self, call: &'static str, code: Status) -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the function returns a constant text.
        let why = unsafe { CStr::from_ptr((self.error)(code)) };
        Err(Error::Cudnn {
            call,
            why: why.to_string_lossy().into_owned(),
            unsupported: is_unsupported(code),
        })
    }
}

/// # Safety
///
/// The functions of these names must have the types of [`Operator`].
unsafe fn operator(library: &Loaded, names: [&'static str; 3]) -> Result<Operator> {
    // SAFETY: the caller vouches for the types.
    unsafe {
        Ok(Operator {
            names,
            choose: library.function(names[0])?,
            workspace: library.function(names[1])?,
            run: library.function(names[2])?,
        })
    }
}

/// `CUDNN_STATUS_NOT_SUPPORTED`, of version 8, and the hundreds that version 9 makes of it.
fn is_unsupported(code: Status) -> bool {
    code == 9 || (3000..4000).contains(&code)
}

/// A version's major, minor and patch: 8907 is 8.9.7, 90100 is 9.1.0.
fn parts(version: usize) -> [usize; 3] {
    match version {
        10_000.. => [version / 10_000, version / 100 % 100, version % 100],
        _ => [version / 1000, version / 100 % 10, version % 100],
    }
}

fn version(number: usize) -> String {
    parts(number).map(|part| part.to_string()).join(".")
}

fn known(number: usize) -> Result<usize> {
    match KNOWN.contains(&parts(number)[0]) {
        true => Ok(number),
        false => Err(Error::CudnnVersion {
            found: version(number),
            get: CUDNN.get,
        }),
    }
}

/// cuDNN on one stream of one device.
#[derive(Debug)]
pub struct Handle {
    cudnn: &'static Cudnn,
    raw: Raw,
}

// SAFETY: cuDNN lets any thread use a handle, one at a time, and it is not used through a shared reference.
unsafe impl Send for Handle {}

impl Handle {
    /// Describes the convolution to cuDNN, and chooses its algorithm: the same each time, for a card and a version of cuDNN. The device's context
    /// must be current.
    ///
    /// # Errors
    ///
    /// Sizes beyond what cuDNN counts with; a convolution for which it has no algorithm that may serve.
    pub fn prepare(&mut self, convolution: &Convolution) -> Result<Prepared> {
        let descriptors = Descriptors::new(self.cudnn, convolution)?;
        let operator = self.cudnn.operator(convolution.part);
        let [a, b, result] = descriptors.operands(convolution.part);
        let how = descriptors.convolution();
        let mut found = [Perf::default(); Perf::MOST];
        let mut count: c_int = 0;
        // SAFETY: the descriptors live, and there is room for as many results as are asked for.
        let code = unsafe {
            let most = found.len() as c_int;
            (operator.choose)(
                self.raw,
                a,
                b,
                how,
                result,
                most,
                &raw mut count,
                found.as_mut_ptr(),
            )
        };
        self.cudnn.check(operator.names[0], code)?;
        let count = usize::try_from(count).unwrap_or(0).min(found.len());
        for perf in &found[..count] {
            if !perf.may_serve(convolution) {
                continue;
            }
            // What needs how much is said of the type of products that is set.
            descriptors.set_math(self.cudnn, convolution.math(Some(perf)))?;
            let mut workspace = 0;
            // SAFETY: as above.
            let code = unsafe {
                (operator.workspace)(
                    self.raw,
                    a,
                    b,
                    how,
                    result,
                    perf.algorithm,
                    &raw mut workspace,
                )
            };
            if code == 0 && workspace <= MOST_WORKSPACE {
                return Ok(Prepared {
                    part: convolution.part,
                    algorithm: perf.algorithm,
                    workspace,
                    descriptors,
                });
            }
        }
        Err(Error::Cudnn {
            call: operator.names[0],
            why: format!(
                "none of its {count} algorithms gives the same bits each time, as precise as they should be, with {} MiB",
                MOST_WORKSPACE >> 20
            ),
            unsupported: true,
        })
    }

    /// Has the stream compute `prepared`, whose operands are in the order of [`Part`].
    ///
    /// # Errors
    ///
    /// cuDNN refuses.
    ///
    /// # Safety
    ///
    /// The context of the device is current. The addresses are of its memory, which holds as many elements as the convolution says; nobody else
    /// uses the result and the `prepared.workspace()` bytes at `workspace` before the stream has done it.
    pub unsafe fn run(
        &mut self,
        prepared: &Prepared,
        operands: [u64; 2],
        result: u64,
        workspace: u64,
    ) -> Result<()> {
        let operator = self.cudnn.operator(prepared.part);
        let descriptors = &prepared.descriptors;
        let [a, b, y] = descriptors.operands(prepared.part);
        // The result is not read.
        let (alpha, beta) = (1f32, 0f32);
        // SAFETY: the descriptors live; the caller vouches for the addresses.
        let code = unsafe {
            (operator.run)(
                self.raw,
                &raw const alpha,
                a,
                operands[0] as *const c_void,
                b,
                operands[1] as *const c_void,
                descriptors.convolution(),
                prepared.algorithm,
                workspace as *mut c_void,
                prepared.workspace,
                &raw const beta,
                y,
                result as *mut c_void,
            )
        };
        self.cudnn.check(operator.names[2], code)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is not used after this.
        let _ = unsafe { (self.cudnn.destroy)(self.raw) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_told_apart() {
        assert_eq!(version(8907), "8.9.7");
        assert_eq!(version(90_100), "9.1.0");
        assert_eq!(version(91_002), "9.10.2");
        assert_eq!(known(8907).unwrap(), 8907);
        assert_eq!(known(91_002).unwrap(), 91_002);
        for other in [7605, 100_000] {
            let why = known(other).unwrap_err().to_string();
            assert!(why.contains(&version(other)), "{why}");
        }
    }

    #[test]
    fn what_is_not_supported_is_no_failure_of_the_device() {
        for (code, unsupported) in [
            (9, true),
            (3000, true),
            (3007, true),
            (8, false),
            (2000, false),
        ] {
            assert_eq!(is_unsupported(code), unsupported, "{code}");
        }
    }

    #[test]
    fn without_the_library_its_names_are_told() {
        let Err(why) = Cudnn::shared() else { return };
        let why = why.to_string();
        assert!(
            why.contains("libcudnn.so.9") && why.contains("libcudnn.so.8"),
            "{why}"
        );
    }
}
