//! Compiled modules on disk: one file each, named by module, architecture and a hash of all that made it.
//!
//! A file begins with the hash of the rest, so that one that was cut or damaged is made again.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use sha2::{Digest, Sha256};

use crate::{
    Result,
    modules::{HEADERS, Module},
};

/// The user's folder for it: `$DOMEX_CUDA_CACHE`, else `domex/cuda` in the system's folder for caches. None without a home.
pub(super) fn folder() -> Option<PathBuf> {
    let var = |name: &str| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    var("DOMEX_CUDA_CACHE").or_else(|| {
        let base = var("XDG_CACHE_HOME")
            .or_else(|| var("LOCALAPPDATA"))
            .or_else(|| Some(var("HOME")?.join(".cache")))?;
        Some(base.join("domex").join("cuda"))
    })
}

#[derive(Debug)]
pub(super) struct Cache {
    folder: Option<PathBuf>,
}

impl Cache {
    pub(super) fn new(folder: Option<PathBuf>) -> Self {
        Self { folder }
    }

    /// What was kept for `module`, or else what `make` makes, which is then kept. A folder that cannot be written keeps nothing: the
    /// next process compiles again.
    pub(super) fn get_or(
        &self,
        module: Module,
        arch: &str,
        compiler: i32,
        make: impl FnOnce() -> Result<String>,
    ) -> Result<String> {
        let Some(folder) = &self.folder else {
            return make();
        };
        let headers = HEADERS.iter().map(|&(_, body)| body);
        let all: String = headers.chain([module.source()]).collect();
        let key = hash(&format!("{arch} {compiler}\n{all}"));
        let path = folder.join(format!("{}-{arch}-{}.ptx", module.name(), &key[..16]));
        if let Some(ptx) = kept(&path) {
            return Ok(ptx);
        }
        let ptx = make()?;
        // Best effort: see above.
        let _ = keep(folder, &path, &ptx);
        Ok(ptx)
    }
}

fn kept(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let (first, ptx) = text.split_once('\n')?;
    (first == header(ptx)).then(|| ptx.to_owned())
}

/// Written beside and renamed: other processes see the whole file or none.
fn keep(folder: &Path, path: &Path, ptx: &str) -> std::io::Result<()> {
    fs::create_dir_all(folder)?;
    let beside = path.with_extension(format!("{}.part", std::process::id()));
    fs::write(&beside, format!("{}\n{ptx}", header(ptx)))?;
    fs::rename(&beside, path).inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
}

fn header(ptx: &str) -> String {
    format!("// sha256 {}", hash(ptx))
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(folder: &Path) -> Vec<PathBuf> {
        fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect()
    }

    fn get(cache: &Cache, compiler: i32, ptx: &str) -> (String, bool) {
        let mut compiled = false;
        let made = cache.get_or(Module::Conv, "compute_80", compiler, || {
            compiled = true;
            Ok(ptx.to_owned())
        });
        (made.unwrap(), compiled)
    }

    #[test]
    fn a_module_is_compiled_once_for_each_compiler() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(Some(folder.path().join("new")));
        assert_eq!(get(&cache, 12080, "one"), ("one".into(), true));
        assert_eq!(get(&cache, 12080, "two"), ("one".into(), false));
        assert_eq!(get(&cache, 12090, "three"), ("three".into(), true));
    }

    #[test]
    fn a_damaged_file_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(Some(folder.path().to_owned()));
        get(&cache, 12080, "first");
        let [file] = &files(folder.path())[..] else {
            panic!("one file");
        };
        let whole = fs::read(file).unwrap();
        for damaged in [
            &whole[..whole.len() - 1],
            b"",
            b"\xff\xfe",
            b"no hash\nfirst",
        ] {
            fs::write(file, damaged).unwrap();
            assert_eq!(get(&cache, 12080, "second"), ("second".into(), true));
            assert_eq!(get(&cache, 12080, "third"), ("second".into(), false));
        }
    }

    #[test]
    fn a_folder_that_cannot_be_made_keeps_nothing() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let cache = Cache::new(Some(file.path().join("below a file")));
        assert_eq!(get(&cache, 12080, "one"), ("one".into(), true));
        assert_eq!(get(&cache, 12080, "two"), ("two".into(), true));
    }
}
