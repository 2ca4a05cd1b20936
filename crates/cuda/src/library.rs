//! Libraries of CUDA, loaded when they are first needed.

use libloading::Library;

use crate::{Error, Result};

/// A library that is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted {
    /// What it is, in words.
    pub(crate) what: &'static str,
    /// Its file's name, without what the system adds.
    pub(crate) stem: &'static str,
    /// Version numbers of its file, the best one first.
    pub(crate) versions: &'static [&'static str],
    /// How to get it.
    pub(crate) get: &'static str,
}

impl Wanted {
    /// The file names that it may have.
    pub(crate) fn names(&self) -> Vec<String> {
        let plain = libloading::library_filename(self.stem);
        let plain = plain.to_string_lossy();
        let versions = self.versions.iter().map(|v| format!("{plain}.{v}"));
        versions.chain([plain.to_string()]).collect()
    }

    /// Loads it.
    pub(crate) fn load(&self) -> Result<Loaded> {
        for name in self.names() {
            // SAFETY: initialisers of NVIDIA's libraries have no requirements; a file of that name is taken to be theirs.
            if let Ok(library) = unsafe { Library::new(&name) } {
                return Ok(Loaded { library, name });
            }
        }
        Err(Error::Library {
            what: self.what,
            names: self.names(),
            get: self.get,
        })
    }
}

/// A library in memory.
#[derive(Debug)]
pub(crate) struct Loaded {
    library: Library,
    name: String,
}

impl Loaded {
    /// One of its functions. It may be called while the library lives.
    ///
    /// # Safety
    ///
    /// `F` must be the type of the function.
    pub(crate) unsafe fn function<F: Copy>(&self, function: &'static str) -> Result<F> {
        // SAFETY: the caller vouches for the type.
        match unsafe { self.library.get::<F>(function) } {
            Ok(found) => Ok(*found),
            Err(_) => Err(Error::Function {
                name: self.name.clone(),
                function,
            }),
        }
    }
}
