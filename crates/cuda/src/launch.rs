//! A computation on a device as data: which kernels, over which grid, with which arguments.

use crate::{Error, Result, modules::Module};

/// Threads of a block, but where a kernel says otherwise: `THREADS` of `kernels/common.cuh`.
pub const THREADS: u32 = 256;

/// Blocks of a kernel whose threads step through their elements: enough for any card, and few enough for its counters.
const MOST_BLOCKS: usize = 1 << 16;

/// What an operand's memory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Element {
    /// float32.
    F32,
    /// IEEE half precision.
    F16,
    /// bfloat16.
    Bf16,
}

impl Element {
    /// Bytes of one.
    #[must_use]
    pub const fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
        }
    }

    /// The one of a kernel's names that is for it, in the order of the variants.
    pub(crate) const fn of(self, names: [&'static str; 3]) -> &'static str {
        names[self as usize]
    }
}

/// The number of a buffer of a [`Plan`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buffer(pub usize);

/// An argument of a kernel.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Arg {
    /// The address of a buffer.
    Buffer(Buffer),
    /// No buffer.
    Null,
    /// `int`.
    Int(i32),
    /// `long long`.
    Long(i64),
    /// `float`.
    Float(f32),
}

/// `From` for each kind of argument.
macro_rules! from {
    ($($type:ty => $kind:ident),+) => {
        $(impl From<$type> for Arg {
            fn from(value: $type) -> Self {
                Self::$kind(value)
            }
        })+
    };
}
from!(Buffer => Buffer, i32 => Int, i64 => Long, f32 => Float);

impl From<Option<Buffer>> for Arg {
    fn from(buffer: Option<Buffer>) -> Self {
        buffer.map_or(Self::Null, Self::Buffer)
    }
}

/// One launch of a kernel.
#[derive(Debug, Clone, PartialEq)]
pub struct Launch {
    /// Where the kernel is.
    pub module: Module,
    /// Its name.
    pub kernel: &'static str,
    /// Blocks along x, y, z.
    pub grid: [u32; 3],
    /// Threads of a block, along x.
    pub threads: u32,
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// In order.
    pub args: Vec<Arg>,
}

impl Launch {
    /// A launch of blocks of [`THREADS`] threads.
    pub(crate) fn new(module: Module, kernel: &'static str, grid: [usize; 3]) -> Result<Self> {
        Ok(Self {
            module,
            kernel,
            grid: [
                at_most("blocks along x", grid[0], i32::MAX as usize)? as u32,
                at_most("blocks along y", grid[1], 65_535)? as u32,
                at_most("blocks along z", grid[2], 65_535)? as u32,
            ],
            threads: THREADS,
            shared: 0,
            args: Vec::new(),
        })
    }

    /// A launch of a kernel whose threads step through `len` elements.
    pub(crate) fn elements(module: Module, kernel: &'static str, len: usize) -> Result<Self> {
        let blocks = len.div_ceil(THREADS as usize).clamp(1, MOST_BLOCKS);
        Self::new(module, kernel, [blocks, 1, 1])
    }

    /// The same with these arguments, after those it has.
    pub(crate) fn with(mut self, args: impl IntoIterator<Item = Arg>) -> Self {
        self.args.extend(args);
        self
    }
}

/// Launches one after the other, and the buffers that they share: first the operands that the plan's maker documents, then scratch.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// How many of the buffers are operands.
    pub operands: usize,
    /// Bytes of each scratch buffer; their numbers follow those of the operands.
    pub scratch: Vec<usize>,
    /// In order.
    pub launches: Vec<Launch>,
}

impl Plan {
    pub(crate) fn new(operands: usize) -> Self {
        Self {
            operands,
            ..Self::default()
        }
    }

    /// A new scratch buffer of `len` floats or ints.
    pub(crate) fn scratch(&mut self, len: usize) -> Buffer {
        self.scratch_bytes(4 * len)
    }

    pub(crate) fn scratch_bytes(&mut self, bytes: usize) -> Buffer {
        self.scratch.push(bytes);
        Buffer(self.operands + self.scratch.len() - 1)
    }
}

/// The kernel of a template for an element: `name_f32` and so on.
macro_rules! kernel {
    ($element:expr, $name:literal) => {
        $element.of([
            concat!($name, "_f32"),
            concat!($name, "_f16"),
            concat!($name, "_bf16"),
        ])
    };
}
pub(crate) use kernel;

/// A list of arguments from values of any of their types.
macro_rules! args {
    ($($value:expr),* $(,)?) => { [$($crate::Arg::from($value)),*] };
}
pub(crate) use args;

fn at_most(name: &'static str, found: usize, most: usize) -> Result<usize> {
    if found > most {
        return Err(Error::Size { name, found, most });
    }
    Ok(found)
}

/// A size that the kernels hold in an `int`.
pub(crate) fn int(name: &'static str, size: usize) -> Result<i32> {
    Ok(at_most(name, size, i32::MAX as usize)? as i32)
}

/// A size that the kernels hold in a `long long`.
pub(crate) fn long(name: &'static str, size: usize) -> Result<i64> {
    Ok(at_most(name, size, i64::MAX as usize)? as i64)
}
