//! Text means, each computed once: kept in memory, and on disk where the caller gives a folder.
//!
//! What a task needs of a text is one vector, the [mean](crate::prompts::mean_of_units) over its
//! templates. It depends on the text encoder and the prompts' token ids and on nothing else, so a cached
//! one is named by a hash of just these. A file is believed only if it says the name it should have, holds a finite
//! vector of the right size, and that vector has the hash written beside it; otherwise it is computed anew and
//! replaced.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::container::{Container, Overwrite, Writer};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::prompts::{Prompts, direction, mean_of_units};
use crate::{Clip, Error, Result, Tokenizer};

const KIND: &str = "clip-text-mean";
const NAME: &str = "mean";

/// One network's text means. See the [module docs](self).
#[derive(Debug)]
pub struct TextMeans<'a> {
    clip: &'a Clip,
    tokenizer: &'a Tokenizer,
    folder: Option<PathBuf>,
    encoder: String,
    known: Mutex<HashMap<String, Tensor>>,
    /// Whether it was said that the folder cannot be written.
    told: Once,
}

impl<'a> TextMeans<'a> {
    /// Means by `clip`, of texts cut by `tokenizer`, kept in `folder` too where there is one. Reads all
    /// weights of the text encoder once, to name its files.
    ///
    /// # Errors
    ///
    /// A folder that cannot be made.
    pub fn new(clip: &'a Clip, tokenizer: &'a Tokenizer, folder: Option<&Path>) -> Result<Self> {
        if let Some(folder) = folder {
            std::fs::create_dir_all(folder).map_err(|source| Error::Cache {
                path: folder.to_owned(),
                source,
            })?;
        }
        Ok(Self {
            clip,
            tokenizer,
            folder: folder.map(Path::to_owned),
            encoder: clip.text_fingerprint()?,
            known: Mutex::default(),
            told: Once::new(),
        })
    }

    /// The mean `[d]` over the templates, in `f64` on the CPU. A folder that cannot be written costs time and a warning.
    ///
    /// # Errors
    ///
    /// An empty text or one that is too long for the encoder.
    pub fn mean(&self, prompts: &Prompts, text: &str) -> Result<Tensor> {
        let ids = self.clip.ids_of(self.tokenizer, &prompts.fill(text)?)?;
        let key = self.key(&ids)?;
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mean) = known.get(&key) {
            return Ok(mean.clone());
        }
        drop(known);
        let path = self
            .folder
            .as_ref()
            .map(|folder| folder.join(format!("{key}.safetensors")));
        let mean = match path.as_ref().and_then(|path| self.read(path, &key)) {
            Some(mean) => mean,
            None => {
                let features = self.clip.features_of_ids(&ids)?;
                let features = features.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
                let mean = mean_of_units(&features)?;
                if let Some(Err(error)) = path.map(|path| write(&path, &key, &mean)) {
                    self.told.call_once(|| {
                        tracing::warn!("text features are computed anew each time: {error}");
                    });
                }
                mean
            }
        };
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(key, mean.clone());
        Ok(mean)
    }

    /// The unit direction `[d]` from one text to another, in `f64` on the CPU.
    ///
    /// # Errors
    ///
    /// Those of [`mean`](Self::mean); two texts that are the same to the network.
    pub fn direction(&self, prompts: &Prompts, source: &str, target: &str) -> Result<Tensor> {
        direction(&self.mean(prompts, source)?, &self.mean(prompts, target)?)
    }

    fn key(&self, ids: &Tensor) -> Result<String> {
        let mut hash = Sha256::new();
        hash.update(b"domex clip text mean 1\0");
        hash.update(self.encoder.as_bytes());
        for row in ids.to_vec2::<u32>()? {
            hash.update((row.len() as u64).to_le_bytes());
            row.iter().for_each(|id| hash.update(id.to_le_bytes()));
        }
        Ok(hex(&hash.finalize()))
    }

    /// The mean in a file, `None` when the file is not there or not to be believed.
    fn read(&self, path: &Path, key: &str) -> Option<Tensor> {
        let file = Container::open(path).ok()?;
        let data = file.data(NAME).ok()?;
        let says = |name: &str| file.config().get(name).and_then(|value| value.as_str());
        let right = file.kind() == KIND
            && says("key") == Some(key)
            && data.shape() == [self.clip.config().embed_dim]
            && says("sha256") == Some(&hex(&Sha256::digest(&data.bytes()[..])));
        let mean = right.then(|| data.to_tensor(&Device::Cpu).ok())??;
        let values = mean.to_vec1::<f64>().ok()?;
        values.iter().all(|value| value.is_finite()).then_some(mean)
    }
}

fn write(path: &Path, key: &str, mean: &Tensor) -> Result<()> {
    let data = domex_checkpoint::TensorData::from_tensor(mean)?;
    let config = json!({ "key": key, "sha256": hex(&Sha256::digest(&data.bytes()[..])) });
    let mut writer = Writer::new(KIND, &config);
    writer.data(NAME, data)?;
    Ok(writer.write(path, Overwrite::Replace)?)
}

impl Clip {
    /// A hash of all that decides the text encoder's features: its configuration, and its weights in the type
    /// it runs in. 64 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// A tensor that cannot be read back from its device.
    pub fn text_fingerprint(&self) -> Result<String> {
        let mut hash = Sha256::new();
        let config = json!([self.config().text, self.config().embed_dim]).to_string();
        hash.update(config.as_bytes());
        for weight in self.text()?.weights() {
            hash.update(format!("{:?} {:?}\0", weight.dtype(), weight.dims()).as_bytes());
            let weight = weight.to_device(&Device::Cpu)?.contiguous()?;
            let data = domex_checkpoint::TensorData::from_tensor(&weight)?;
            hash.update(&data.bytes()[..]);
        }
        Ok(hex(&hash.finalize()))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
