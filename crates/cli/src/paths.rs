//! Paths in results.

use std::path::Path;

/// A path as JSON can hold it: what is not UTF-8 in it becomes `�`.
pub fn text(path: impl AsRef<Path>) -> String {
    path.as_ref().to_string_lossy().into_owned()
}

/// Several of them.
pub fn texts<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Vec<String> {
    paths.into_iter().map(text).collect()
}
