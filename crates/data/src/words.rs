//! Numbers and names in sentences.

/// "1 picture", "2 pictures".
///
/// ```
/// assert_eq!(domex_data::counted(1, "picture"), "1 picture");
/// assert_eq!(domex_data::counted(0, "picture"), "0 pictures");
/// ```
#[must_use]
pub fn counted(count: usize, noun: &str) -> String {
    let ending = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{ending}")
}

/// A name or a path as a word of a command that is proposed: a POSIX shell takes it for one, whatever is in it.
///
/// ```
/// assert_eq!(domex_data::quoted("runs/first"), "runs/first");
/// assert_eq!(domex_data::quoted("my runs/$1"), "'my runs/$1'");
/// ```
#[must_use]
pub fn quoted(word: impl AsRef<std::path::Path>) -> String {
    let word = word.as_ref().to_string_lossy();
    let quoted = shlex::try_quote(&word).map(std::borrow::Cow::into_owned);
    // What no command can hold, a NUL, is in no path.
    quoted.unwrap_or_else(|_| word.into_owned())
}
