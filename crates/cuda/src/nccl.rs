//! NCCL, NVIDIA's library for sums over several GPUs, loaded when it is first needed.

use std::{
    ffi::{CStr, c_char, c_int, c_void},
    ptr,
    sync::OnceLock,
};

use crate::{
    Error, Result,
    library::{Loaded, Wanted},
};

const NCCL: Wanted = Wanted {
    what: "NCCL, NVIDIA's library for several GPUs",
    stem: "nccl",
    versions: &["2"],
    get: "install NCCL 2 (from your system's packages, or the wheel nvidia-nccl-cu12), and name its folder in LD_LIBRARY_PATH",
};

/// What one rank makes and all need to find one another.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Id([u8; Self::LEN]);

impl Id {
    const LEN: usize = 128;

    /// Its bytes, to be sent.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Of those bytes; None for another number of them.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }
}

type Raw = *mut c_void;

/// The library.
#[derive(Debug)]
pub struct Nccl {
    new_id: unsafe extern "C" fn(*mut Id) -> c_int,
    join: unsafe extern "C" fn(*mut Raw, c_int, Id, c_int) -> c_int,
    sum: unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, Raw, Raw) -> c_int,
    abort: unsafe extern "C" fn(Raw) -> c_int,
    error: unsafe extern "C" fn(c_int) -> *const c_char,
    /// The functions live as long as the library.
    _library: Loaded,
}

/// `ncclFloat32` and `ncclSum`.
const FLOATS: c_int = 7;
const SUM: c_int = 0;

impl Nccl {
    /// The library of this process, loaded by the first who asks.
    ///
    /// # Errors
    ///
    /// It is not there, or is not what it should be.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Nccl> = OnceLock::new();
        if let Some(nccl) = SHARED.get() {
            return Ok(nccl);
        }
        let nccl = Self::load()?;
        Ok(SHARED.get_or_init(|| nccl))
    }

    fn load() -> Result<Self> {
        let library = NCCL.load()?;
        // SAFETY: the types are those of NCCL's documentation, which the fields above repeat.
        unsafe {
            Ok(Self {
                new_id: library.function("ncclGetUniqueId")?,
                join: library.function("ncclCommInitRank")?,
                sum: library.function("ncclAllReduce")?,
                abort: library.function("ncclCommAbort")?,
                error: library.function("ncclGetErrorString")?,
                _library: library,
            })
        }
    }

    /// An id for a new group of ranks.
    ///
    /// # Errors
    ///
    /// NCCL finds no network, not even the machine's own.
    pub fn id(&self) -> Result<Id> {
        let mut id = Id([0; Id::LEN]);
        // SAFETY: NCCL writes an id there.
        self.check("ncclGetUniqueId", unsafe { (self.new_id)(&raw mut id) })?;
        Ok(id)
    }

    /// Joins the group of `id` with the device whose context is current, as `rank` of `size`. It waits for the others.
    ///
    /// # Errors
    ///
    /// NCCL cannot reach the others, or two of them have one card.
    pub fn join(&'static self, id: &Id, rank: usize, size: usize) -> Result<Communicator> {
        let count = |n: usize| crate::launch::int("ranks", n);
        let (rank, size) = (count(rank)?, count(size)?);
        let mut raw = ptr::null_mut();
        // SAFETY: NCCL writes a handle there.
        let code = unsafe { (self.join)(&raw mut raw, size, *id, rank) };
        self.check("ncclCommInitRank", code)?;
        Ok(Communicator { nccl: self, raw })
    }

    fn check(&self, call: &'static str, code: c_int) -> Result<()> {
        if code == 0 {
            return Ok(());
        }
        // SAFETY: the function returns a constant text.
        let why = unsafe { CStr::from_ptr((self.error)(code)) };
        Err(Error::Nccl {
            call,
            why: why.to_string_lossy().into_owned(),
        })
    }
}

/// This rank's place in a group.
#[derive(Debug)]
pub struct Communicator {
    nccl: &'static Nccl,
    raw: Raw,
}

// SAFETY: NCCL lets any thread use a handle, one at a time, and it is not used through a shared reference by two.
unsafe impl Send for Communicator {}

impl Communicator {
    /// Puts the sum of all ranks' numbers in the place of this one's, once what `stream` has to do before is done. Every rank must call
    /// it, with as many.
    ///
    /// # Errors
    ///
    /// NCCL refuses, or has noticed that another rank is lost.
    ///
    /// # Safety
    ///
    /// `address` is that of `len` float32 numbers of the device, which nobody else uses before the stream has done it, and `stream` is one of
    /// the device with which the rank joined.
    pub unsafe fn sum(&mut self, address: u64, len: usize, stream: *mut c_void) -> Result<()> {
        let numbers = address as *mut c_void;
        // SAFETY: the caller vouches for address and stream.
        let code = unsafe { (self.nccl.sum)(numbers, numbers, len, FLOATS, SUM, self.raw, stream) };
        self.nccl.check("ncclAllReduce", code)
    }
}

impl Drop for Communicator {
    fn drop(&mut self) {
        // Not ncclCommDestroy, which waits for ranks that may be lost; what was asked for is done where its results were read.
        // SAFETY: the handle is not used after this.
        let _ = unsafe { (self.nccl.abort)(self.raw) };
    }
}
