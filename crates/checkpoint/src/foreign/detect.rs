//! Which format a file has, by its first bytes.

use super::npy;
use crate::Problem;

/// What to try.
#[derive(Debug, PartialEq)]
pub(super) enum Guess {
    SafeTensors,
    Zip,
    Pickle,
    NumPy,
}

/// Decides by content.
pub(super) fn guess(bytes: &[u8]) -> Result<Guess, Problem> {
    let unrecognised = |found: &str| {
        Err(Problem::Unrecognised {
            found: found.to_owned(),
        })
    };
    match bytes {
        [] => return Err(Problem::Empty),
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => return Ok(Guess::Zip),
        _ if bytes.starts_with(npy::MAGIC) => return Ok(Guess::NumPy),
        // A header length below 4 GiB, then JSON. Before pickles, as its lowest bytes may look like the mark of one; the
        // zeros and the brace never follow that.
        [_, _, _, _, 0, 0, 0, 0, b'{', ..] => return Ok(Guess::SafeTensors),
        [0x80, 0..=5, ..] => return Ok(Guess::Pickle),
        [_, _, _, _, _, _, _, _, b'{', b'"', ..] => return Ok(Guess::SafeTensors),
        _ => {}
    }
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(512)]);
    let lower = head.trim_start().to_ascii_lowercase();
    if lower.starts_with("<!doctype") || lower.starts_with("<html") {
        return unrecognised("this is a web page, perhaps of a failed download");
    }
    if lower.starts_with("version https://git-lfs") {
        return unrecognised("this is a git-lfs pointer, not the file it points to");
    }
    // Protocols 0 and 1 have no mark of their own: they open with a container or a name.
    let opens = matches!(bytes[0], b'(' | b'}' | b']' | b')' | b'c' | b'L' | b'I');
    if opens && (bytes.contains(&b'.')) && !is_prose(bytes) {
        return Ok(Guess::Pickle);
    }
    if !head.contains('\u{fffd}') && !head.contains('\0') {
        return unrecognised("this is a text file");
    }
    let first: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
    unrecognised(&format!("it begins with the bytes {}", first.join(" ")))
}

/// Whether the first line reads like a sentence; opcodes of protocol 0 hold no blanks.
fn is_prose(bytes: &[u8]) -> bool {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    line.iter().take(80).filter(|&&b| b == b' ').count() >= 2
        && line
            .iter()
            .take(80)
            .all(|b| b.is_ascii_graphic() || *b == b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_content() {
        assert_eq!(guess(b"PK\x03\x04rest"), Ok(Guess::Zip));
        assert_eq!(guess(b"\x80\x04\x95"), Ok(Guess::Pickle));
        assert_eq!(guess(b"\x93NUMPY\x01\0v\0"), Ok(Guess::NumPy));
        assert_eq!(guess(b"(dp0\n."), Ok(Guess::Pickle));
        assert_eq!(
            guess(b"\x08\0\0\0\0\0\0\0{\"a\":1}"),
            Ok(Guess::SafeTensors)
        );
        // A header of 0x480 bytes.
        assert_eq!(
            guess(b"\x80\x04\0\0\0\0\0\0{\"a\":1}"),
            Ok(Guess::SafeTensors)
        );
        assert_eq!(guess(b""), Err(Problem::Empty));
        for (bytes, word) in [
            (b"<!DOCTYPE html>".as_slice(), "web page"),
            (b"version https://git-lfs.github.com/spec/v1", "git-lfs"),
            (b"Hello, world.", "text"),
            (b"(c) 2020 the authors. All rights", "text"),
            (b"\x89PNG\r\n\x1a\n", "89 50"),
        ] {
            let message = guess(bytes).unwrap_err().to_string();
            assert!(message.contains(word), "{message}");
        }
    }
}
