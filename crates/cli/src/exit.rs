//! Exit codes: whose fault an error is, and how it is told.

use std::fmt;
use std::process::ExitCode;

use crate::blame;

/// Something the user can mend: a flag, a path, a file. Exit code 2.
#[derive(Debug)]
pub struct Mendable(String);

impl fmt::Display for Mendable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mendable {}

/// An error for the user to mend.
pub fn mendable(message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(Mendable(message.into()))
}

/// Whether the user can mend it: said so, or a cause that is of that sort.
fn is_mendable(error: &anyhow::Error) -> bool {
    error.chain().any(<dyn std::error::Error>::is::<Mendable>) || blame::is_users(error.as_ref())
}

/// Prints an error in one line on stderr and gives its exit code.
///
/// Each cause is printed once: our own errors already quote what they wrap.
pub fn report(error: &anyhow::Error) -> ExitCode {
    let mut line = error.to_string();
    for cause in error.chain().skip(1) {
        let text = cause.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
    }
    eprintln!("domex: {}", line.replace('\n', " "));
    ExitCode::from(if is_mendable(error) { 2 } else { 1 })
}
