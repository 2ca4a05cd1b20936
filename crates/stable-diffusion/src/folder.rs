//! A folder as diffusers saves a Stable Diffusion: which files are read, and what they say of the networks.

use std::path::{Path, PathBuf};

use domex_clip::config::TextConfig;
use domex_clip::text::TextTransformer;

use crate::config::text_config;
use crate::entries::Entries;
use crate::text::Words;
use crate::weights::{Shapes, Weights, shapes};
use crate::{Error, ProcessConfig, Result, UNet, UNetConfig, Vae, VaeConfig};

const INDEX: &str = "model_index.json";

/// What names of a text encoder's tensors begin with, in files of transformers before version 5.
const TEXT_MODEL: &str = "text_model.";

/// The pipelines that are built of these networks.
const PIPELINES: [&str; 2] = ["StableDiffusionPipeline", "StableDiffusionImg2ImgPipeline"];

/// A folder that was looked at: all its files are there, and its configurations fit each other. No weight was read.
#[derive(Debug, Clone)]
pub struct Folder {
    path: PathBuf,
    /// The network that predicts.
    pub unet: UNetConfig,
    /// The autoencoder.
    pub vae: VaeConfig,
    /// The text encoder.
    pub text: TextConfig,
    /// The process.
    pub process: ProcessConfig,
    pub(crate) words: Words,
}

/// The parts that have weights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    UNet,
    Vae,
    Text,
}

impl Part {
    const ALL: [Self; 3] = [Self::UNet, Self::Vae, Self::Text];

    /// Its folder, and how its weights are called.
    fn names(self) -> (&'static str, &'static str) {
        match self {
            Self::UNet => ("unet", "diffusion_pytorch_model"),
            Self::Vae => ("vae", "diffusion_pytorch_model"),
            Self::Text => ("text_encoder", "model"),
        }
    }

    /// The name of a tensor here, where the files of other versions have another.
    fn renamed(self, name: &str) -> String {
        const OLD: [(&str, &str); 4] = [
            (".query.", ".to_q."),
            (".key.", ".to_k."),
            (".value.", ".to_v."),
            (".proj_attn.", ".to_out.0."),
        ];
        match self {
            Self::Vae => OLD
                .iter()
                .fold(name.to_owned(), |name, (old, new)| name.replace(old, new)),
            Self::Text if !name.starts_with(TEXT_MODEL) => format!("{TEXT_MODEL}{name}"),
            _ => name.to_owned(),
        }
    }
}

impl Folder {
    /// Looks at a folder.
    ///
    /// # Errors
    ///
    /// A file that is missing, with what to fetch; another pipeline; a network that is not built here; parts that do not fit each
    /// other.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let mut index = Entries::read(&expect(path, INDEX, INDEX)?)?;
        match index.take("_class_name") {
            Some(name) if PIPELINES.iter().any(|known| name == *known) => {}
            name => {
                let found = name.unwrap_or_default();
                let expected = format!("{:?}: Stable Diffusion 1.x or 2.x", PIPELINES[0]);
                return Err(index.wrong("_class_name", &found, expected));
            }
        }
        for part in Part::ALL {
            weights(path, part)?;
        }
        let config = |part: Part| {
            let (folder, _) = part.names();
            expect(
                path,
                &format!("{folder}/config.json"),
                &format!("{folder}/"),
            )
        };
        let process = "scheduler/scheduler_config.json";
        for name in ["merges.txt", "vocab.json"] {
            expect(path, &format!("tokenizer/{name}"), "tokenizer/")?;
        }
        let found = Self {
            unet: UNetConfig::read(&config(Part::UNet)?)?,
            vae: VaeConfig::read(&config(Part::Vae)?)?,
            text: text_config(&config(Part::Text)?)?,
            process: ProcessConfig::read(&expect(path, process, process)?)?,
            words: Words::read(&path.join("tokenizer"))?,
            path: path.to_owned(),
        };
        found.check()?;
        for part in Part::ALL {
            found.weights(part)?;
        }
        Ok(found)
    }

    fn check(&self) -> Result<()> {
        let of = |file: &str| self.path.join(file);
        let (unet, vae, text) = (&self.unet, &self.vae, &self.text);
        let pairs = [
            (
                "unet/config.json",
                "in_channels",
                unet.latent_channels,
                "latents",
                vae.latent_channels,
            ),
            (
                "unet/config.json",
                "cross_attention_dim",
                unet.text_width,
                "states of the text encoder",
                text.transformer.width,
            ),
            (
                "text_encoder/config.json",
                "vocab_size",
                text.vocab_size,
                "ids of the tokenizer",
                self.words.len(),
            ),
        ];
        for (file, key, found, what, expected) in pairs {
            if found != expected {
                let expected = format!("{expected}, the size of the {what}");
                return Err(Error::config(&of(file), key, found, expected));
            }
        }
        Ok(())
    }

    /// All files that are read, in a fixed order.
    ///
    /// # Errors
    ///
    /// One that has gone meanwhile.
    pub fn files(&self) -> Result<Vec<PathBuf>> {
        let mut files = vec![self.path.join(INDEX)];
        for part in Part::ALL {
            files.push(self.path.join(part.names().0).join("config.json"));
            files.push(weights(&self.path, part)?);
        }
        for name in ["merges.txt", "vocab.json"] {
            files.push(self.path.join("tokenizer").join(name));
        }
        files.extend(Words::optional(&self.path.join("tokenizer")));
        files.push(self.path.join("scheduler").join("scheduler_config.json"));
        Ok(files)
    }

    /// A part's weights, whose names and shapes are as its configuration has them.
    pub(crate) fn weights(&self, part: Part) -> Result<Weights> {
        let path = weights(&self.path, part)?;
        Weights::open(&path, &self.shapes(part)?, |name| part.renamed(name))
    }

    fn shapes(&self, part: Part) -> Result<Shapes> {
        match part {
            Part::UNet => self.unet.shapes(),
            Part::Vae => self.vae.shapes(),
            Part::Text => text_shapes(&self.text),
        }
    }

    /// Bytes of all weights in float32.
    ///
    /// # Errors
    ///
    /// A configuration that was changed to one that cannot be built.
    pub fn bytes(&self) -> Result<u64> {
        let shapes = Part::ALL.map(|part| self.shapes(part));
        let shapes = shapes.into_iter().collect::<Result<Vec<_>>>()?;
        Ok(4 * shapes.iter().map(numbers).sum::<u64>())
    }

    /// Height and width of the pictures that the networks work at.
    pub fn size(&self) -> usize {
        self.unet.sample_size * self.vae.factor()
    }
}

impl UNetConfig {
    /// The tensors of the network, by name.
    ///
    /// # Errors
    ///
    /// A configuration that cannot be built.
    pub fn shapes(&self) -> Result<Shapes> {
        shapes(|vb| UNet::new(vb, self))
    }
}

impl VaeConfig {
    /// The tensors of the network, by name.
    ///
    /// # Errors
    ///
    /// A configuration that cannot be built.
    pub fn shapes(&self) -> Result<Shapes> {
        shapes(|vb| Vae::new(vb, self))
    }
}

/// The tensors of a text encoder, by name.
///
/// # Errors
///
/// A configuration that cannot be built.
pub fn text_shapes(config: &TextConfig) -> Result<Shapes> {
    shapes(|vb| Ok(TextTransformer::without_projection(vb, config)?))
}

/// Numbers in all tensors.
fn numbers(shapes: &Shapes) -> u64 {
    shapes.values().map(|shape| count(shape)).sum()
}

pub(crate) fn count(shape: &[usize]) -> u64 {
    shape.iter().map(|&n| n as u64).product()
}

/// A file of the folder, which has to be there.
fn expect(folder: &Path, name: &str, fetch: &str) -> Result<PathBuf> {
    let path = folder.join(name);
    match path.is_file() {
        true => Ok(path),
        false => Err(Error::Missing {
            path,
            fetch: fetch.to_owned(),
        }),
    }
}

/// The weights of a part: those in single precision where both are there.
fn weights(folder: &Path, part: Part) -> Result<PathBuf> {
    let (name, stem) = part.names();
    let half = folder.join(name).join(format!("{stem}.fp16.safetensors"));
    match half.is_file() {
        true => Ok(expect(folder, &format!("{name}/{stem}.safetensors"), "").unwrap_or(half)),
        false => expect(
            folder,
            &format!("{name}/{stem}.safetensors"),
            &format!("{name}/{stem}.safetensors or {name}/{stem}.fp16.safetensors"),
        ),
    }
}
