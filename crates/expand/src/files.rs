//! The networks that judge an expansion, from their files.

use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device};
use domex_clip::Bundle;
use domex_latent::ImageDistance;
use domex_lpips::Lpips;
use domex_nada::Guide;
use domex_replay::Perceptual;

use crate::{Error, Result};

/// A CLIP network with its tokenizer, called after its file. `weight` is its factor in the sum over
/// networks.
///
/// # Errors
///
/// A file that holds no CLIP network, with its name; a weight that is not above 0.
pub fn guide(path: &Path, weight: f64, device: &Device) -> Result<Guide> {
    if !(weight.is_finite() && weight > 0.0) {
        let what = format!("weight of CLIP network {}", path.display());
        return Err(Error::setting(what, weight, "a number above 0"));
    }
    let bundle = Bundle::load(path, DType::F32, device).map_err(|error| named(path, &error))?;
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let mut guide = Guide::new(name, bundle.clip, Arc::new(bundle.tokenizer));
    guide.weight = weight;
    Ok(guide)
}

/// The perceptual distance of replay alignment.
///
/// # Errors
///
/// A file that holds no such network, with its name.
pub fn perceptual(path: &Path, device: &Device) -> Result<Box<dyn ImageDistance>> {
    let network = Lpips::load(path, DType::F32, device).map_err(|error| named(path, &error))?;
    Ok(Box::new(Perceptual(network)))
}

/// The error with the file's name, once.
fn named(path: &Path, error: &dyn std::error::Error) -> Error {
    let text = error.to_string();
    let prefix = format!("{}: ", path.display());
    Error::file(path, text.strip_prefix(&prefix).unwrap_or(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_network_is_named_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes.safetensors");
        std::fs::write(&path, "no network").unwrap();
        let shown = path.display().to_string();
        for error in [
            guide(&path, 1.0, &Device::Cpu).err().unwrap(),
            perceptual(&path, &Device::Cpu).err().unwrap(),
            guide(&path, 0.0, &Device::Cpu).err().unwrap(),
        ] {
            assert_eq!(error.to_string().matches(&shown).count(), 1, "{error}");
        }
    }
}
