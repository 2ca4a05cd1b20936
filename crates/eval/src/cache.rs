//! Features of pictures, each batch computed once: kept on disk under the content that they follow from.
//!
//! A file is named by a hash of the network's file and of the pictures' pixels, so a changed picture or network has another name. It is
//! believed only if it says the name it should have and its numbers have the hash written beside them; a file that is
//! not is computed anew and replaced, with a warning.

use std::path::{Path, PathBuf};
use std::sync::Once;

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::TensorData;
use domex_checkpoint::container::{Container, Overwrite, Writer};
use image::RgbImage;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

const KIND: &str = "features";
const NAME: &str = "features";

/// A folder of features by one network.
#[derive(Debug)]
pub struct FeatureCache {
    folder: PathBuf,
    network: String,
    /// Whether it was said that the folder cannot be written.
    told: Once,
}

impl FeatureCache {
    /// In `folder`, which is made if absent. `network` says which network's features these are: the hash of its file, say.
    ///
    /// # Errors
    ///
    /// A folder that cannot be made.
    pub fn open(folder: &Path, network: impl Into<String>) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| {
            let found = format!("{}: {error}", folder.display());
            Error::config(
                "folder of the feature cache",
                found,
                "one that can be written",
            )
        })?;
        Ok(Self {
            folder: folder.to_owned(),
            network: network.into(),
            told: Once::new(),
        })
    }

    /// The features `[n, d]` of these pictures on the CPU, from disk or by `compute`. A folder that cannot be written costs time and a
    /// warning.
    ///
    /// # Errors
    ///
    /// `compute`'s error.
    pub fn features(
        &self,
        pictures: &[RgbImage],
        compute: impl FnOnce() -> Result<Tensor>,
    ) -> Result<Tensor> {
        let key = self.key(pictures);
        let path = self.folder.join(format!("{key}.safetensors"));
        if path.exists() {
            match read(&path, &key, pictures.len()) {
                Some(features) => return Ok(features),
                None => tracing::warn!(
                    "{}: is damaged; its features are computed anew",
                    path.display()
                ),
            }
        }
        let features = compute()?.to_device(&Device::Cpu)?;
        if let Err(error) = write(&path, &key, &features) {
            self.told.call_once(|| {
                tracing::warn!("features are computed anew each time: {error}");
            });
        }
        Ok(features)
    }

    fn key(&self, pictures: &[RgbImage]) -> String {
        let mut hash = Sha256::new();
        hash.update(b"domex features 1\0");
        hash.update((self.network.len() as u64).to_le_bytes());
        hash.update(self.network.as_bytes());
        for picture in pictures {
            hash.update(picture.width().to_le_bytes());
            hash.update(picture.height().to_le_bytes());
            hash.update(picture.as_raw());
        }
        hex(&hash.finalize())
    }
}

/// The features in a file, `None` when they are not to be believed.
fn read(path: &Path, key: &str, pictures: usize) -> Option<Tensor> {
    let file = Container::open(path).ok()?;
    let data = file.data(NAME).ok()?;
    let says = |name: &str| file.config().get(name).and_then(|value| value.as_str());
    let right = file.kind() == KIND
        && says("key") == Some(key)
        && data.shape().first() == Some(&pictures)
        && says("sha256") == Some(&hex(&Sha256::digest(&data.bytes()[..])));
    right.then(|| data.to_tensor(&Device::Cpu).ok())?
}

fn write(path: &Path, key: &str, features: &Tensor) -> Result<()> {
    let features = features.to_dtype(DType::F32)?;
    let data = TensorData::from_tensor(&features.contiguous()?)?;
    let config = json!({ "key": key, "sha256": hex(&Sha256::digest(&data.bytes()[..])) });
    let mut writer = Writer::new(KIND, &config);
    writer.data(NAME, data)?;
    Ok(writer.write(path, Overwrite::Replace)?)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn picture(level: u8) -> RgbImage {
        RgbImage::from_pixel(2, 2, image::Rgb([level, 1, 2]))
    }

    /// Whether the features of these pictures were computed.
    fn computed(cache: &FeatureCache, pictures: &[RgbImage]) -> bool {
        let asked = Cell::new(false);
        let features = cache
            .features(pictures, || {
                asked.set(true);
                let rows: Vec<f32> = pictures.iter().map(|p| f32::from(p.as_raw()[0])).collect();
                Ok(Tensor::from_vec(rows, (pictures.len(), 1), &Device::Cpu)?)
            })
            .unwrap();
        assert_eq!(
            features.to_vec2::<f32>().unwrap()[0],
            [f32::from(pictures[0].as_raw()[0])]
        );
        asked.get()
    }

    #[test]
    fn the_same_content_is_computed_once() {
        let folder = tempfile::tempdir().unwrap();
        let cache = FeatureCache::open(folder.path(), "a").unwrap();
        let pictures = [picture(3), picture(4)];
        assert!(computed(&cache, &pictures));
        assert!(!computed(&cache, &pictures));
        assert!(computed(&cache, &pictures[..1]));
        assert!(computed(&cache, &[picture(3), picture(5)]));
        let other = FeatureCache::open(folder.path(), "b").unwrap();
        assert!(computed(&other, &pictures));
    }

    #[test]
    fn a_damaged_file_is_computed_anew() {
        let folder = tempfile::tempdir().unwrap();
        let cache = FeatureCache::open(folder.path(), "a").unwrap();
        let pictures = [picture(7)];
        assert!(computed(&cache, &pictures));
        let path = folder
            .path()
            .join(format!("{}.safetensors", cache.key(&pictures)));
        let mut bytes = std::fs::read(&path).unwrap();
        // The last number, and then the end of the file.
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&path, &bytes).unwrap();
        assert!(computed(&cache, &pictures));
        assert!(!computed(&cache, &pictures));
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(computed(&cache, &pictures));
        assert!(!computed(&cache, &pictures));
    }
}
