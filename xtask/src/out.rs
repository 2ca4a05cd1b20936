//! Lines on stdout, and figures in files. A reader that has seen enough (`| head`) ends the program quietly.

use std::{fmt, io::Write, path::Path};

/// `println!` that does not panic when nobody reads on.
macro_rules! say {
    ($($part:tt)*) => {
        crate::out::line(format_args!($($part)*))
    };
}
pub(crate) use say;

/// What a shell reports for a program that a closed pipe ended.
const CLOSED_PIPE: i32 = 141;

/// Writes one line.
pub fn line(text: fmt::Arguments<'_>) {
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{text}").and_then(|()| out.flush()).is_err() {
        std::process::exit(CLOSED_PIPE);
    }
}

/// Writes figures as JSON, whole or not at all.
pub fn write_json(path: &Path, json: &serde_json::Value) -> domex_error::Result<()> {
    Ok(domex_data::folder::write_atomic(
        path,
        format!("{json:#}\n").as_bytes(),
    )?)
}
