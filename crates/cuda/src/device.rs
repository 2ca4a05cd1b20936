//! Whether this machine can run the kernels, asked of the driver before anything relies on it.

use std::ffi::{CStr, c_char, c_int};

use crate::{
    Error, Result,
    compile::Compiler,
    error::{OLDEST_CARD, version},
    library::{Loaded, Wanted},
};

const DRIVER: Wanted = Wanted {
    what: "the NVIDIA driver",
    stem: "cuda",
    versions: &["1"],
    get: "install the driver from NVIDIA or from your system's packages, or use --device cpu",
};

/// What candle loads besides, when it opens a device.
const BESIDES: [Wanted; 3] = [
    Wanted {
        what: "cuBLAS",
        stem: "cublas",
        versions: &["12"],
        get: CUBLAS,
    },
    Wanted {
        what: "cuBLASLt",
        stem: "cublasLt",
        versions: &["12"],
        get: CUBLAS,
    },
    Wanted {
        what: "cuRAND",
        stem: "curand",
        versions: &["12", "10"],
        get: "install CUDA 12's cuRAND (from your system's packages, or the wheel nvidia-curand-cu12), and name its folder in LD_LIBRARY_PATH",
    },
];
const CUBLAS: &str = "install CUDA 12's cuBLAS (from your system's packages, or the wheel nvidia-cublas-cu12), and name its folder in LD_LIBRARY_PATH";

/// Bytes of a card's name, with the zero at its end.
const NAME: usize = 256;

/// `CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR` and `_MINOR`.
const CAPABILITY: [c_int; 2] = [75, 76];

/// A card that can run the kernels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its number.
    pub index: usize,
    /// Its name.
    pub name: String,
    /// Bytes of its memory.
    pub memory: u64,
    /// Its compute capability, major and minor.
    pub capability: (u32, u32),
    /// The version of CUDA that the driver supports: 1000 · major + 10 · minor.
    pub driver: i32,
}

impl Card {
    /// The version of CUDA that the driver supports, in words.
    #[must_use]
    pub fn driver_version(&self) -> String {
        version(self.driver)
    }
}

/// Device `index`, after checking all that running on it needs: the driver and its age, the device and its age, NVRTC, and the
/// libraries that candle loads.
///
/// # Errors
///
/// What is missing, or too old, and what to do about it.
pub fn find(index: usize) -> Result<Card> {
    let card = Driver::load()?.card(index)?;
    let compiler = Compiler::shared()?.version();
    if card.driver < compiler {
        return Err(Error::OldDriver {
            driver: card.driver,
            compiler,
        });
    }
    for library in BESIDES {
        library.load()?;
    }
    Ok(card)
}

struct Driver(Loaded);

impl Driver {
    fn load() -> Result<Self> {
        Ok(Self(DRIVER.load()?))
    }

    fn card(&self, index: usize) -> Result<Card> {
        type Init = unsafe extern "C" fn(u32) -> c_int;
        type Number = unsafe extern "C" fn(*mut c_int) -> c_int;
        type Get = unsafe extern "C" fn(*mut c_int, c_int) -> c_int;
        type Attribute = unsafe extern "C" fn(*mut c_int, c_int, c_int) -> c_int;
        // SAFETY: the types are those of the driver's documentation.
        let (init, version, count, get, attribute) = unsafe {
            (
                self.0.function::<Init>("cuInit")?,
                self.0.function::<Number>("cuDriverGetVersion")?,
                self.0.function::<Number>("cuDeviceGetCount")?,
                self.0.function::<Get>("cuDeviceGet")?,
                self.0.function::<Attribute>("cuDeviceGetAttribute")?,
            )
        };
        let (mut driver, mut devices, mut device) = (0, 0, 0);
        // SAFETY: each pointer is to a number of our own; the library is loaded as long as `self` lives.
        unsafe {
            done("cuInit", init(0))?;
            done("cuDriverGetVersion", version(&raw mut driver))?;
            done("cuDeviceGetCount", count(&raw mut devices))?;
        }
        let count = usize::try_from(devices).unwrap_or(0);
        let number = c_int::try_from(index).unwrap_or(c_int::MAX);
        if index >= count {
            return Err(Error::NoDevice { index, count });
        }
        let mut found = [0; 2];
        // SAFETY: as above.
        unsafe {
            done("cuDeviceGet", get(&raw mut device, number))?;
            for (value, which) in found.iter_mut().zip(CAPABILITY) {
                done("cuDeviceGetAttribute", attribute(value, which, device))?;
            }
        }
        let [major, minor] = found.map(|v| u32::try_from(v).unwrap_or(0));
        if major < OLDEST_CARD {
            return Err(Error::OldCard {
                index,
                found: (major, minor),
            });
        }
        let (name, memory) = self.name_and_memory(device)?;
        Ok(Card {
            index,
            name,
            memory,
            capability: (major, minor),
            driver,
        })
    }

    fn name_and_memory(&self, device: c_int) -> Result<(String, u64)> {
        type Name = unsafe extern "C" fn(*mut c_char, c_int, c_int) -> c_int;
        type Memory = unsafe extern "C" fn(*mut usize, c_int) -> c_int;
        // SAFETY: the types are those of the driver's documentation.
        let (name, memory) = unsafe {
            (
                self.0.function::<Name>("cuDeviceGetName")?,
                self.0.function::<Memory>("cuDeviceTotalMem_v2")?,
            )
        };
        let (mut text, mut bytes) = ([0 as c_char; NAME], 0);
        // SAFETY: the text has the length that the call says, and ends in zero; the number is one of our own.
        let name = unsafe {
            let length = c_int::try_from(NAME).unwrap_or(0);
            done("cuDeviceGetName", name(text.as_mut_ptr(), length, device))?;
            done("cuDeviceTotalMem_v2", memory(&raw mut bytes, device))?;
            text[NAME - 1] = 0;
            CStr::from_ptr(text.as_ptr()).to_string_lossy().into_owned()
        };
        Ok((name, bytes as u64))
    }
}

fn done(call: &'static str, code: c_int) -> Result<()> {
    match code {
        0 => Ok(()),
        code => Err(Error::Driver { call, code }),
    }
}
