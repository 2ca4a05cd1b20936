//! Printing that ends quietly when the reader has gone, as in `domex info --tensors | head`.

use std::io::{ErrorKind, Write as _};

/// Prints a text as it is.
pub fn print(text: &str) {
    if let Err(error) = std::io::stdout().write_all(text.as_bytes()) {
        if error.kind() == ErrorKind::BrokenPipe {
            // Nobody reads on: what is left to say has no listener, and nothing went wrong.
            std::process::exit(0);
        }
        eprintln!("domex: cannot write to stdout: {error}");
        std::process::exit(1);
    }
}

/// Prints a line.
pub fn line(text: &str) {
    print(&format!("{text}\n"));
}
