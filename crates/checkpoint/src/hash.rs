//! SHA-256 of a file, for provenance and for verifying downloads.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use sha2::{Digest, Sha256};

use crate::{Error, Problem, Result};

/// SHA-256 of a file's content, as 64 lower-case hexadecimal digits.
///
/// # Errors
/// The file cannot be opened or read, or is a device or a pipe, which may have no end.
pub fn sha256_file(path: &Path) -> Result<String> {
    let io = |source| Error::io(path, source);
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        let found = "this is not a regular file".to_owned();
        return Err(Problem::Type {
            expected: "a file",
            found,
        }
        .in_file(path));
    }
    let mut file = File::open(path).map_err(io)?;
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer).map_err(io)? {
            0 => break,
            n => hasher.update(&buffer[..n]),
        }
    }
    Ok(hasher
        .finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect())
}

#[cfg(test)]
mod tests {
    #[cfg(unix)]
    #[test]
    fn what_never_ends_is_not_read() {
        let error = super::sha256_file(std::path::Path::new("/dev/zero"));
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("not a regular file")
        );
    }

    #[test]
    fn known_digest() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "abc").unwrap();
        assert_eq!(
            super::sha256_file(file.path()).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
