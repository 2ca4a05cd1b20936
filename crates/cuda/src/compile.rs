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
    arch: String,
    cache: Cache,
    made: Mutex<HashMap<Module, Arc<str>>>,
}

impl Modules {
    /// For `card`, kept in the user's cache.
    #[must_use]
    pub fn of(card: &Card) -> Self {
        Self::at(&arch(card.capability), cache::folder())
    }

    /// For an architecture such as `compute_80`, kept in `folder`; without one, in memory only.
    #[must_use]
    pub fn at(arch: &str, folder: Option<PathBuf>) -> Self {
        Self {
            arch: arch.to_owned(),
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
    for &module in crate::modules::ALL {
        modules.ptx(module)?;
    }
    Ok(card)
}

/// The PTX of `module` for the card that [`open`] found, or, where nobody has opened one, for the oldest supported.
///
/// # Errors
///
/// NVRTC is missing or refuses.
pub fn ptx(module: Module) -> Result<Arc<str>> {
    OPENED
        .get_or_init(|| Modules::at(OLDEST, cache::folder()))
        .ptx(module)
}

/// The oldest architecture.
const OLDEST: &str = "compute_70";

fn arch((major, minor): (u32, u32)) -> String {
    // Beyond what NVRTC 12 knows, the newest that it knows; the driver makes the rest of the way.
    let (major, minor) = (major, minor).min((9, 0));
    format!("compute_{major}{minor}")
}
