//! From a source to PTX: NVRTC, and a cache of what it made.
//!
//! PTX is made for the oldest capability that a card's own includes whole, and the driver makes machine code of it. NVRTC needs no
//! header and no other library of a toolkit.

mod cache;
mod nvrtc;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use self::cache::Cache;
pub use self::nvrtc::Compiler;
use crate::{Result, device::Card, modules::Module};

/// The PTX of modules for one card, each made once.
#[derive(Debug)]
pub struct Modules {
    capability: (u32, u32),
    arch: String,
    cache: Cache,
    made: Mutex<HashMap<Module, Arc<str>>>,
}

impl Modules {
    /// For `card`, kept in the user's cache.
    #[must_use]
    pub fn of(card: &Card) -> Self {
        Self::at(card.capability, cache::folder())
    }

    /// For a compute capability, kept in `folder`; without one, in memory only.
    #[must_use]
    pub fn at(capability: (u32, u32), folder: Option<PathBuf>) -> Self {
        Self {
            capability,
            arch: arch(capability),
            cache: Cache::new(folder),
            made: Mutex::default(),
        }
    }

    /// The PTX of `module`: from memory, from the cache, or compiled.
    ///
    /// # Errors
    ///
    /// NVRTC is missing or refuses.
    pub fn ptx(&self, module: Module) -> Result<Arc<str>> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(ptx) = made.get(&module) {
            return Ok(Arc::clone(ptx));
        }
        let compiler = Compiler::shared()?;
        let ptx = self
            .cache
            .get_or(module, &self.arch, compiler.version(), || {
                compiler.ptx(module, &self.arch)
            })?;
        Ok(Arc::clone(made.entry(module).or_insert(ptx.into())))
    }
}

/// The modules of the card that [`open`] found.
static OPENED: OnceLock<Modules> = OnceLock::new();

/// Finds device `index` ([`crate::device::find`]) and compiles every module for it, so that nothing fails later for want of a
/// compiler. With a filled cache this takes a few milliseconds. All devices of a process run what was compiled for the first.
///
/// # Errors
///
/// What is missing, or too old, and what to do about it.
pub fn open(index: usize) -> Result<Card> {
    let card = crate::device::find(index)?;
    let modules = OPENED.get_or_init(|| Modules::of(&card));
    for module in crate::modules::ALL {
        if module.runs_on(card.capability) {
            modules.ptx(*module)?;
        }
    }
    Ok(card)
}

/// The PTX of `module` for the card that [`open`] found, or, where nobody has opened one, for the oldest supported.
///
/// # Errors
///
/// NVRTC is missing or refuses.
pub fn ptx(module: Module) -> Result<Arc<str>> {
    opened().ptx(module)
}

/// Whether the card that [`open`] found has tensor cores for [`Module::ConvTensor`].
#[must_use]
pub fn tensor_cores() -> bool {
    Module::ConvTensor.runs_on(opened().capability)
}

fn opened() -> &'static Modules {
    OPENED.get_or_init(|| Modules::at(OLDEST, cache::folder()))
}

/// The oldest compute capability.
const OLDEST: (u32, u32) = (7, 0);

fn arch((major, minor): (u32, u32)) -> String {
    // Beyond what NVRTC 12 knows, the newest that it knows; the driver makes the rest of the way.
    let (major, minor) = (major, minor).min((9, 0));
    format!("compute_{major}{minor}")
}
