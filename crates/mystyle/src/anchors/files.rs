//! Anchors from the files that programs for inversion write.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::{TensorData, Value, foreign};
use domex_latent::subspace::to_w;

use super::ROUNDING;
use crate::{Error, Result};

/// Extensions of the files that a folder of anchors may hold, in lower case.
const EXTENSIONS: [&str; 7] = ["safetensors", "pt", "pth", "npz", "npy", "pkl", "pickle"];

/// Names under which programs write latents beside other things.
const KEYS: [&str; 2] = ["w", "latent"];

type Named = (Tensor, Option<Vec<String>>);

/// The latents of one file.
pub(super) fn file(path: &Path, dim: usize) -> Result<Named> {
    let (latents, names) = match content(path)? {
        Content::Together(tensor) => return Ok((codes(&tensor, false, dim, path, "")?, None)),
        Content::Each(entries) => entries
            .into_iter()
            .map(|(name, tensor)| Ok((codes(&tensor, true, dim, path, &name)?, name)))
            .collect::<Result<(Vec<_>, Vec<_>)>>()?,
    };
    if latents.is_empty() {
        return Err(Error::file(path, "holds no latent, expected at least one"));
    }
    let twice = |(index, name): (usize, &String)| names[..index].contains(name);
    if let Some((_, name)) = names.iter().enumerate().find(|&pair| twice(pair)) {
        let problem = format!("two entries are for a picture called {name:?}");
        return Err(Error::file(path, problem));
    }
    Ok((Tensor::cat(&latents, 0)?, Some(names)))
}

/// The latents of a folder, one a file.
pub(super) fn folder(path: &Path, dim: usize) -> Result<Named> {
    let files = list(path)?;
    let (mut latents, mut names) = (Vec::new(), Vec::<String>::new());
    for file in files {
        let Content::Together(tensor) = content(&file)? else {
            let problem = "holds several latents, expected one in each file of a folder";
            return Err(Error::file(&file, problem));
        };
        latents.push(codes(&tensor, true, dim, &file, "")?);
        let name = stem(&file);
        if names.contains(&name) {
            let problem = "another file of this name with another extension is there too";
            return Err(Error::file(&file, problem));
        }
        names.push(name);
    }
    Ok((Tensor::cat(&latents, 0)?, Some(names)))
}

/// The files of a folder that may hold latents, sorted.
fn list(path: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = |error| Error::file(path, error);
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path).map_err(unreadable)? {
        let file = entry.map_err(unreadable)?.path();
        let extension = file.extension().unwrap_or_default().to_ascii_lowercase();
        let known = EXTENSIONS.iter().any(|known| extension == *known);
        let hidden = stem(&file).starts_with('.');
        if known && !hidden && file.is_file() {
            files.push(file);
        }
    }
    if files.is_empty() {
        let problem = format!(
            "holds no latent; expected files that end in .{}",
            EXTENSIONS.join(", .")
        );
        return Err(Error::file(path, problem));
    }
    files.sort();
    Ok(files)
}

fn stem(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default();
    stem.to_string_lossy().into_owned()
}

/// What a file holds.
enum Content {
    /// One tensor.
    Together(TensorData),
    /// One tensor for each picture, by name.
    Each(Vec<(String, TensorData)>),
}

fn content(path: &Path) -> Result<Content> {
    let file = foreign::read(path)?;
    if let Some(tensor) = one(&file.value) {
        return Ok(Content::Together(tensor.clone()));
    }
    let entries: Vec<(String, &Value)> = match &file.value {
        Value::Dict(entries) => entries
            .iter()
            .filter_map(|(key, value)| Some((stem(Path::new(key.as_str()?)), value)))
            .collect(),
        Value::List(items) | Value::Tuple(items) => items
            .iter()
            .enumerate()
            .map(|(index, value)| (index.to_string(), value))
            .collect(),
        _ => {
            let expected = "latents: a tensor, or a dict or list of them";
            let problem = format!("holds {}, expected {expected}", file.value.kind());
            return Err(Error::file(path, problem));
        }
    };
    let entries = entries.into_iter().map(|(name, value)| match one(value) {
        Some(tensor) => Ok((name, tensor.clone())),
        None => {
            let found = value.kind();
            let problem = format!("entry {name:?} is {found}, expected a latent");
            Err(Error::file(path, problem))
        }
    });
    Ok(Content::Each(entries.collect::<Result<_>>()?))
}

/// The tensor of a value that is one, or has one under a known name or as its only entry.
fn one(value: &Value) -> Option<&TensorData> {
    let known = KEYS.iter().find_map(|key| value.get(key));
    match (value, known) {
        (Value::Tensor(tensor), _) | (_, Some(Value::Tensor(tensor))) => Some(tensor),
        (Value::Dict(entries), None) if entries.len() == 1 => one(&entries[0].1),
        (Value::List(items) | Value::Tuple(items), _) if items.len() == 1 => one(&items[0]),
        _ => None,
    }
}

/// W codes `[n, dim]` from a tensor of a file. `alone`: it has to be one latent.
fn codes(tensor: &TensorData, alone: bool, dim: usize, path: &Path, entry: &str) -> Result<Tensor> {
    let refuse = |problem: String| {
        let at = match entry {
            "" => String::new(),
            _ => format!("entry {entry:?}: "),
        };
        Error::file(path, format!("{at}{problem}"))
    };
    let shape = tensor.shape();
    let (n, rows, found) = match *shape {
        [d] => (1, 1, d),
        [rows, d] if alone => (1, rows, d),
        [n, d] => (n, 1, d),
        [n, rows, d] | [n, 1, rows, d] => (n, rows, d),
        _ => (0, 0, 0),
    };
    if !tensor.dtype().is_float() || found == 0 {
        let expected = "latents [n, D] or [n, num_ws, D] of floating-point numbers";
        let dtype = tensor.dtype();
        return Err(refuse(format!(
            "holds {dtype} of shape {shape:?}, expected {expected}"
        )));
    }
    if found != dim {
        return Err(refuse(format!(
            "latents have {found} entries (shape {shape:?}), and the generator's {dim}; were they made with another one?"
        )));
    }
    if n == 0 || rows == 0 || (alone && n != 1) {
        let expected = if alone { "one" } else { "at least one" };
        return Err(refuse(format!(
            "holds {n} latents (shape {shape:?}), expected {expected}"
        )));
    }
    if let Some((index, what)) = tensor.first_not_finite() {
        return Err(refuse(format!(
            "element {index} is {what}, expected finite numbers"
        )));
    }
    let tensor = tensor.to_tensor(&Device::Cpu)?.to_dtype(DType::F32)?;
    let tensor = tensor.reshape((n, rows, dim))?;
    to_w(&tensor, ROUNDING).map_err(|error| refuse(error.to_string()))
}
