//! What can be missing on a machine, or wrong with what is asked of it.

/// Result of this crate's functions.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a kernel cannot be compiled, launched, or run. All but [`Error::Shape`] and [`Error::Size`] are for the user to correct.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A library cannot be loaded.
    #[error(
        "{what} was not found: looked for {} where the system's loader looks (LD_LIBRARY_PATH and its own paths); {get}",
        names.join(", ")
    )]
    Library {
        /// What it is, in words.
        what: &'static str,
        /// The file names that were tried.
        names: Vec<String>,
        /// How to get it.
        get: &'static str,
    },
    /// A library is there, but lacks a function.
    #[error(
        "{name} lacks the function {function}: it is damaged, or of a version that is not supported"
    )]
    Function {
        /// The library.
        name: String,
        /// The function.
        function: &'static str,
    },
    /// The driver refused.
    #[error("the NVIDIA driver: {call} failed with {code}{}", explain(*code))]
    Driver {
        /// The function.
        call: &'static str,
        /// Its result.
        code: i32,
    },
    /// NCCL refused.
    #[error("NCCL: {call} failed: {why}; the variable NCCL_DEBUG=WARN has it say more")]
    Nccl {
        /// The function.
        call: &'static str,
        /// What it says.
        why: String,
    },
    /// cuDNN refused.
    #[error("cuDNN: {call} failed: {why}")]
    Cudnn {
        /// The function.
        call: &'static str,
        /// What it says.
        why: String,
        /// Whether it does not do this at all, and nothing else is wrong.
        unsupported: bool,
    },
    /// cuDNN is there, but of another version.
    #[error("cuDNN is of version {found}, needed is 8 or 9; {get}")]
    CudnnVersion {
        /// Its version.
        found: String,
        /// How to get it.
        get: &'static str,
    },
    /// The driver is older than the compiler whose output it is to load.
    #[error(
        "the NVIDIA driver supports CUDA {}, but NVRTC is of CUDA {}; update the driver, or install an older NVRTC",
        version(*driver),
        version(*compiler)
    )]
    OldDriver {
        /// As `cuDriverGetVersion` has it: 1000 · major + 10 · minor.
        driver: i32,
        /// The same for NVRTC.
        compiler: i32,
    },
    /// There is no device of this number.
    #[error("there is no CUDA device {index}: the driver reports {}", devices(*count))]
    NoDevice {
        /// The device asked for.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// The card is older than the kernels are made for.
    #[error("CUDA device {index} has compute capability {}.{}, needed is {OLDEST_CARD}.0 at least", found.0, found.1)]
    OldCard {
        /// The device.
        index: usize,
        /// Its capability.
        found: (u32, u32),
    },
    /// NVRTC did not accept a source.
    #[error("NVRTC cannot compile {module} for {arch}: {log}")]
    Compile {
        /// The source.
        module: &'static str,
        /// The architecture.
        arch: String,
        /// What NVRTC says.
        log: String,
    },
    /// An operator's sizes do not fit each other.
    #[error(transparent)]
    Shape(#[from] domex_kernels::Error),
    /// A size is beyond what the kernels count with.
    #[error("{name} is {found}, the CUDA kernels take at most {most}; use smaller sizes")]
    Size {
        /// What is too large.
        name: &'static str,
        /// Its size.
        found: usize,
        /// The largest size.
        most: usize,
    },
}

/// The major compute capability of the oldest supported cards, Volta.
pub(crate) const OLDEST_CARD: u32 = 7;

pub(crate) fn version(number: i32) -> String {
    format!("{}.{}", number / 1000, number % 1000 / 10)
}

fn devices(count: usize) -> String {
    match count {
        0 => "none; is there an NVIDIA card, and is CUDA_VISIBLE_DEVICES unset or right?".into(),
        1 => "one, number 0".into(),
        n => format!("{n}, numbers 0 to {}", n - 1),
    }
}

/// The results of the driver that tell the user something.
fn explain(code: i32) -> &'static str {
    match code {
        2 => " (out of memory)",
        3 => " (not initialised)",
        35 => " (the driver is older than this program needs)",
        46 => " (the device is busy or not available: another program may have it to itself)",
        100 => {
            " (there is no CUDA device: is there an NVIDIA card, and is CUDA_VISIBLE_DEVICES unset or right?)"
        }
        101 => " (there is no such device)",
        803 => {
            " (driver and kernel module are of different versions: restart the machine after an update)"
        }
        804 => " (the driver's forward compatibility package does not support this card)",
        999 => " (an unknown error; the system's log may say more)",
        _ => "",
    }
}
