//! NVIDIA's run-time compiler, loaded when it is first needed.

use std::{
    ffi::{CStr, CString, c_char, c_int, c_void},
    ptr,
    sync::OnceLock,
};

use crate::{
    Error, Result,
    library::{Loaded, Wanted},
    modules::{HEADERS, Module},
};

const NVRTC: Wanted = Wanted {
    what: "NVRTC, NVIDIA's run-time compiler",
    stem: "nvrtc",
    versions: &["12"],
    get: "install CUDA 12's NVRTC (from your system's packages, or the wheel nvidia-cuda-nvrtc-cu12), and name its folder in LD_LIBRARY_PATH",
};

type Program = *mut c_void;
type Names = *const *const c_char;

/// The compiler.
#[derive(Debug)]
pub struct Compiler {
    create: unsafe extern "C" fn(
        *mut Program,
        *const c_char,
        *const c_char,
        c_int,
        Names,
        Names,
    ) -> c_int,
    destroy: unsafe extern "C" fn(*mut Program) -> c_int,
    compile: unsafe extern "C" fn(Program, c_int, Names) -> c_int,
    ptx: Text,
    log: Text,
    error: unsafe extern "C" fn(c_int) -> *const c_char,
    version: i32,
    /// The functions live as long as the library.
    _library: Loaded,
}

/// A text of a program: a function that says its size, and one that copies it.
#[derive(Debug, Clone, Copy)]
struct Text {
    size: unsafe extern "C" fn(Program, *mut usize) -> c_int,
    copy: unsafe extern "C" fn(Program, *mut c_char) -> c_int,
}

impl Compiler {
    /// The compiler of this process, loaded by the first who asks.
    ///
    /// # Errors
    ///
    /// It is not there, or is not what it should be.
    pub fn shared() -> Result<&'static Self> {
        static SHARED: OnceLock<Compiler> = OnceLock::new();
        if let Some(compiler) = SHARED.get() {
            return Ok(compiler);
        }
        let compiler = Self::load()?;
        Ok(SHARED.get_or_init(|| compiler))
    }

    fn load() -> Result<Self> {
        let library = NVRTC.load()?;
        // SAFETY: the types are those of NVRTC's documentation, which the fields above repeat.
        unsafe {
            let version: unsafe extern "C" fn(*mut c_int, *mut c_int) -> c_int =
                library.function("nvrtcVersion")?;
            let (mut major, mut minor) = (0, 0);
            version(&raw mut major, &raw mut minor);
            Ok(Self {
                create: library.function("nvrtcCreateProgram")?,
                destroy: library.function("nvrtcDestroyProgram")?,
                compile: library.function("nvrtcCompileProgram")?,
                ptx: Text {
                    size: library.function("nvrtcGetPTXSize")?,
                    copy: library.function("nvrtcGetPTX")?,
                },
                log: Text {
                    size: library.function("nvrtcGetProgramLogSize")?,
                    copy: library.function("nvrtcGetProgramLog")?,
                },
                error: library.function("nvrtcGetErrorString")?,
                version: 1000 * major + 10 * minor,
                _library: library,
            })
        }
    }

    /// Its version: 1000 · major + 10 · minor.
    #[must_use]
    pub fn version(&self) -> i32 {
        self.version
    }

    /// The PTX of `module` for an architecture such as `compute_80`.
    ///
    /// # Errors
    ///
    /// It refuses the source; the error holds its log.
    pub fn ptx(&self, module: Module, arch: &str) -> Result<String> {
        let refused = |log: String| Error::Compile {
            module: module.name(),
            arch: arch.to_owned(),
            log,
        };
        let text = |text: &str| CString::new(text).map_err(|e| refused(e.to_string()));
        let (source, name) = (text(module.source())?, text(module.name())?);
        let headers: Vec<[CString; 2]> = HEADERS
            .iter()
            .map(|&(name, body)| Ok([text(name)?, text(body)?]))
            .collect::<Result<_>>()?;
        let column = |i: usize| headers.iter().map(|h| h[i].as_ptr()).collect::<Vec<_>>();
        let (names, bodies) = (column(0), column(1));
        let options = [
            text(&format!("--gpu-architecture={arch}"))?,
            text("--std=c++17")?,
        ];
        let options: Vec<_> = options.iter().map(|o| o.as_ptr()).collect();
        let count = |list: &[*const c_char]| c_int::try_from(list.len()).unwrap_or(0);
        let mut program = Owned {
            of: self,
            program: ptr::null_mut(),
        };
        // SAFETY: all texts end in zero and outlive the calls; each list is as long as its count says.
        let code = unsafe {
            let created = (self.create)(
                &raw mut program.program,
                source.as_ptr(),
                name.as_ptr(),
                count(&names),
                bodies.as_ptr(),
                names.as_ptr(),
            );
            match created {
                0 => (self.compile)(program.program, count(&options), options.as_ptr()),
                code => code,
            }
        };
        if code != 0 {
            // SAFETY: the function returns a constant text.
            let error = unsafe { CStr::from_ptr((self.error)(code)) }.to_string_lossy();
            let log = program.text(self.log).unwrap_or_default();
            return Err(refused(format!("{error}\n{log}")));
        }
        program
            .text(self.ptx)
            .ok_or_else(|| refused("it gave no PTX".into()))
    }
}

/// A program, destroyed when it is done with.
struct Owned<'a> {
    of: &'a Compiler,
    program: Program,
}

impl Owned<'_> {
    fn text(&self, text: Text) -> Option<String> {
        if self.program.is_null() {
            return None;
        }
        let mut size = 0;
        // SAFETY: the program is one; the buffer is as large as the library says the text is.
        unsafe {
            if (text.size)(self.program, &raw mut size) != 0 {
                return None;
            }
            let mut bytes = vec![0u8; size];
            if (text.copy)(self.program, bytes.as_mut_ptr().cast()) != 0 {
                return None;
            }
            let end = bytes.iter().position(|&b| b == 0).unwrap_or(size);
            bytes.truncate(end);
            String::from_utf8(bytes).ok()
        }
    }
}

impl Drop for Owned<'_> {
    fn drop(&mut self) {
        if !self.program.is_null() {
            // SAFETY: the program is one, and nobody has it any longer.
            unsafe { (self.of.destroy)(&raw mut self.program) };
        }
    }
}
