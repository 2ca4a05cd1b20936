//! Writing safetensors files, all or nothing.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value as Json, json};
use tempfile::NamedTempFile;

use crate::{Error, Problem, Result, TensorData};

/// What to do with a file that exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overwrite {
    /// Leave it, and fail.
    #[default]
    Refuse,
    /// Replace it, in one step.
    Replace,
}

/// Writes tensors as a safetensors file.
///
/// The file appears under its name only when it is complete and on the disk: it is written beside
/// it under a temporary name, then renamed. After a failure nothing is left behind, and an
/// existing file is as it was. The same tensors and metadata always give the same bytes: the
/// header is sorted by name, the data by element size (largest first, so that all are aligned) and
/// then by name.
///
/// # Errors
/// The file exists and is not to be replaced, or the folder cannot be written.
pub fn write(
    path: impl AsRef<Path>,
    metadata: &BTreeMap<String, String>,
    tensors: &BTreeMap<String, TensorData>,
    overwrite: Overwrite,
) -> Result<()> {
    let (header, order) = header(metadata, tensors);
    whole(path.as_ref(), overwrite, |out| {
        out.write_all(&(header.len() as u64).to_le_bytes())?;
        out.write_all(&header)?;
        order
            .iter()
            .try_for_each(|tensor| out.write_all(tensor.bytes()))
    })
}

/// Writes a file all or nothing, as [`write()`] says.
pub(crate) fn whole(
    path: &Path,
    overwrite: Overwrite,
    content: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    refuse_existing(path, overwrite)?;
    let io = |source| Error::io(path, source);
    let mut out = BufWriter::with_capacity(1 << 16, temporary(path)?);
    content(&mut out).map_err(io)?;
    let file = out.into_inner().map_err(|error| io(error.into_error()))?;
    file.as_file().sync_all().map_err(io)?;
    publish(file, path, overwrite)
}

fn refuse_existing(path: &Path, overwrite: Overwrite) -> Result<()> {
    if path.is_dir() {
        let found = "this is a folder".to_owned();
        return Err(Problem::Type {
            expected: "the name of a file to write",
            found,
        }
        .in_file(path));
    }
    if overwrite == Overwrite::Refuse && path.symlink_metadata().is_ok() {
        return Err(Problem::Exists.in_file(path));
    }
    Ok(())
}

fn folder(path: &Path) -> PathBuf {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    }
}

fn temporary(path: &Path) -> Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".domex-").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        // As any other new file: the process's mask decides.
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    // By its kind alone: the error names the temporary file, of which nobody knows.
    builder
        .tempfile_in(folder(path))
        .map_err(|error| Error::io(path, error.kind().into()))
}

fn publish(file: NamedTempFile, path: &Path, overwrite: Overwrite) -> Result<()> {
    let renamed = match overwrite {
        Overwrite::Replace => file.persist(path),
        Overwrite::Refuse => file.persist_noclobber(path),
    };
    renamed.map_err(|error| match error.error.kind() {
        std::io::ErrorKind::AlreadyExists => Problem::Exists.in_file(path),
        _ => Error::io(path, error.error),
    })?;
    // The new name must reach the disk too. Not every system can sync a folder.
    if let Ok(folder) = std::fs::File::open(folder(path)) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// The JSON header, padded to a multiple of 8, and the tensors in the order of their data.
fn header<'a>(
    metadata: &BTreeMap<String, String>,
    tensors: &'a BTreeMap<String, TensorData>,
) -> (Vec<u8>, Vec<&'a TensorData>) {
    let mut order: Vec<(&String, &TensorData)> = tensors.iter().collect();
    // A stable sort: names stay sorted within a size.
    order.sort_by_key(|(_, tensor)| std::cmp::Reverse(tensor.dtype().size()));
    let mut entries = BTreeMap::new();
    let mut at = 0;
    for (name, tensor) in &order {
        let end = at + tensor.bytes().len();
        let dtype = tensor.dtype().safetensors_name();
        let entry = json!({ "dtype": dtype, "shape": tensor.shape(), "data_offsets": [at, end] });
        entries.insert(name.as_str(), entry);
        at = end;
    }
    let mut json = Map::new();
    if !metadata.is_empty() {
        json.insert("__metadata__".to_owned(), json!(metadata));
    }
    json.extend(
        entries
            .into_iter()
            .map(|(name, entry)| (name.to_owned(), entry)),
    );
    let mut header = Json::Object(json).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    (
        header,
        order.into_iter().map(|(_, tensor)| tensor).collect(),
    )
}
