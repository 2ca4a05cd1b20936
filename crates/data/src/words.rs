//! Numbers in sentences.

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
