//! Writing to a stderr that may be gone: a log on a full disk, a closed terminal, a reader that has left.
//!
//! `eprintln!` panics there. A run must not end for a line that nobody can read: the line is dropped, and the run goes
//! on.

use std::borrow::Cow;
use std::io::{self, Write};

/// A line on stderr, where it can be written.
pub fn line(text: &str) {
    // In one write, so that lines of several processes in one log stay whole.
    let _ = io::stderr().write_all(format!("{}\n", plain(text)).as_bytes());
}

/// The text as a terminal may be given it: control characters but for line ends and tabs are escaped. Names that come
/// from files could move the cursor, or worse.
pub fn plain(text: &str) -> Cow<'_, str> {
    let moves = |c: char| c.is_control() && !matches!(c, '\n' | '\t');
    if !text.contains(moves) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().map(|c| match moves(c) {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    });
    Cow::Owned(escaped.collect())
}

/// Stderr for those who write to it themselves; never fails.
#[derive(Debug, Clone, Copy, Default)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_that_move_the_cursor_are_shown_instead() {
        assert_eq!(plain("a\tb\n"), "a\tb\n");
        assert_eq!(plain("\u{1b}[2Jzombie\r"), "\\u{1b}[2Jzombie\\r");
    }
}
