//! Exit codes: 0 done, 1 our fault, 2 yours to mend.

use std::{fmt, process::ExitCode};

use crate::blame;

/// An error that the user can mend. Its text says how.
#[derive(Debug)]
struct Mendable(String);

impl fmt::Display for Mendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mendable {}

/// An error for the user to mend: exit code 2.
pub fn mendable(message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Mendable(message.into()))
}

/// Whether the user can mend it: said so, or a cause that is of that sort.
fn is_mendable(error: &anyhow::Error) -> bool {
    let said = |cause: &(dyn std::error::Error + 'static)| {
        cause.is::<Mendable>() || cause.is::<domex_golden::Error>()
    };
    error.chain().any(said) || blame::is_users(error.as_ref())
}

/// Prints an error in one line on stderr and gives its exit code. A cause that the line already
/// quotes is not repeated.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let mut line = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !line.contains(&cause) {
            line.push_str(": ");
            line.push_str(&cause);
        }
    }
    eprintln!("xtask: {}", line.replace('\n', " "));
    ExitCode::from(if is_mendable(error) { 2 } else { 1 })
}
