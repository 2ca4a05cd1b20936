//! Target pictures, made ahead.

use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use domex_checkpoint::container::{Overwrite, Writer, network};
use domex_teacher::Translation;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{Error, Result, Translator};

/// The kind of a file of targets.
const KIND: &str = "targets";

/// The tensor in it.
const PICTURES: &str = "pictures";

/// What is to be made of pictures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What they show.
    pub source: String,
    /// What they should show.
    pub target: String,
    /// How they are translated.
    pub how: Translation,
    /// The share of translations that is kept, above 0 and at most 1: those that are most in the domain.
    pub keep: f64,
}

/// Translations that were kept.
#[derive(Debug, Clone)]
pub struct Targets {
    /// The pictures that they were made from, by number, rising.
    pub rows: Vec<usize>,
    /// `[k, 3, h, w]` in `[-1, 1]`.
    pub pictures: Tensor,
}

/// What `teacher` makes of `base: [n, 3, size, size]`. Taken from the folder `cache` where it was made before, and put there.
///
/// # Errors
///
/// Pictures of another size, a request out of range, or a failing network. A cache that cannot be used is passed over.
pub fn targets(
    teacher: &Translator,
    base: &Tensor,
    request: &Request,
    cache: Option<&Path>,
) -> Result<Targets> {
    if !(request.keep > 0.0 && request.keep <= 1.0) {
        return Err(Error::config("keep", request.keep, "above 0 and at most 1"));
    }
    if request.keep < 1.0 && !teacher.chooses() {
        let expected = "1, as no CLIP model is there to choose by";
        return Err(Error::config("keep", request.keep, expected));
    }
    let file = match (cache, teacher.key()) {
        (Some(folder), Some(key)) => Some(place(folder, key, base, request)?),
        _ => None,
    };
    if let Some(found) = file.as_deref().and_then(|file| read(file, base).ok()) {
        return Ok(found);
    }
    let made = make(teacher, base, request)?;
    if let Some(file) = file
        && let Err(error) = write(&file, &made)
    {
        tracing::warn!("{}: targets are not kept: {error}", file.display());
    }
    Ok(made)
}

fn make(teacher: &Translator, base: &Tensor, request: &Request) -> Result<Targets> {
    let Request {
        source,
        target,
        how,
        keep,
    } = request;
    let pictures = teacher.translate(base, source, target, how)?;
    let nearer = teacher.nearer(&pictures, source, target)?;
    let mut rows: Vec<usize> = (0..nearer.len()).collect();
    rows.sort_by(|&a, &b| nearer[b].total_cmp(&nearer[a]));
    rows.truncate(((nearer.len() as f64 * keep).ceil() as usize).max(1));
    rows.sort_unstable();
    let index: Vec<u32> = rows.iter().map(|&row| row as u32).collect();
    let index = Tensor::new(index, pictures.device())?;
    Ok(Targets {
        pictures: pictures.index_select(&index, 0)?,
        rows,
    })
}

/// A file for the targets of these pictures by these networks.
fn place(folder: &Path, key: &str, base: &Tensor, request: &Request) -> Result<PathBuf> {
    let mut hash = Sha256::new();
    hash.update(key);
    hash.update(json!(request).to_string());
    for value in base.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()? {
        hash.update(value.to_le_bytes());
    }
    let name: String = hash
        .finalize()
        .iter()
        .take(16)
        .map(|b| format!("{b:02x}"))
        .collect();
    Ok(folder.join(format!("targets-{name}.safetensors")))
}

fn write(file: &Path, made: &Targets) -> Result<()> {
    let mut writer = Writer::new(KIND, &json!({ "rows": made.rows }));
    writer.tensor(PICTURES, &made.pictures)?;
    Ok(writer.write(file, Overwrite::Replace)?)
}

fn read(file: &Path, base: &Tensor) -> Result<Targets> {
    #[derive(Deserialize)]
    struct Config {
        rows: Vec<usize>,
    }
    let (Config { rows }, mut tensors) = network::read(file, KIND, base.device())?;
    let (n, mut dims) = (base.dim(0)?, base.dims().to_vec());
    dims[0] = rows.len();
    let fits = |pictures: &Tensor| {
        pictures.dims() == dims && !rows.is_empty() && rows.iter().all(|&row| row < n)
    };
    match tensors.remove(PICTURES).filter(fits) {
        Some(pictures) => Ok(Targets { rows, pictures }),
        None => Err(Error::config(
            file.display().to_string(),
            "others",
            "these targets",
        )),
    }
}
