//! A model: the networks of a checkpoint, and what belongs to them.
//!
//! [`Model::load`] reads the container of this program, network pickles of stylegan2-ada-pytorch,
//! Domain Expansion and the original TensorFlow code, torch files of rosinality/stylegan2-pytorch,
//! and plain safetensors with the keys of either PyTorch layout. [`Model::save`] writes the
//! container:
//!
//! | in the file | what |
//! |---|---|
//! | tensors `generator_ema.*` | the averaged generator, under its published names |
//! | tensors `generator.*` | the trained generator, where there is one |
//! | tensors `discriminator.*` | the discriminator, where there is one |
//! | tensors `expansion.basis`, `expansion.mean` | of an expanded model |
//! | metadata `config` | `{"generator": .., "discriminator": ..}` |
//! | metadata `expansion`, `provenance` | see [`Expansion`] and [`Model::provenance`] |

mod container;
pub mod find;
mod hints;
mod pickle;
mod read;
mod snapshot;

pub use container::KIND;
pub use pickle::Program;
pub use read::{discriminator_of, tensors};

use std::path::Path;

use candle_core::{DType, Device};
use domex_checkpoint::container::Overwrite;
use domex_latent::Expansion;
use serde_json::{Value as Json, json};

use crate::{Discriminator, Generator, GeneratorConfig, Result, init};

/// Which networks of a file are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    Generator,
}

/// See the [module docs](self).
///
/// ```
/// use domex_stylegan2::{GeneratorConfig, Model, Overwrite};
/// # use candle_core::Device;
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("model.safetensors");
/// let config = GeneratorConfig::with_defaults(8, 16, 8, 32, 4)?;
/// Model::random(&config, 1, &Device::Cpu)?.save(&path, Overwrite::Refuse)?;
///
/// let model = Model::load(&path, &Device::Cpu)?;
/// assert_eq!(model.config(), &config);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Model {
    /// The averaged generator: the one to make pictures with.
    pub g_ema: Generator,
    /// The generator as training left it, to go on from.
    pub g: Option<Generator>,
    /// The discriminator, to go on training.
    pub discriminator: Option<Discriminator>,
    /// The domains of an expanded model.
    pub expansion: Option<Expansion>,
    /// Where the weights come from, as a JSON object: `source` (`file`, `sha256`, `format`),
    /// `program`, and whatever those who made the model added.
    pub provenance: Json,
}

impl Model {
    /// Loads a checkpoint of any known kind.
    ///
    /// Every tensor of a network must be there, under its name and with its shape, and no other;
    /// weights in half precision are widened to float32.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or is no StyleGAN2, with the file's name and what was found.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        read::load(path, Wanted::All, device).map_err(|error| error.in_file(path))
    }

    /// [`load`](Self::load) without what only training needs: no discriminator and no [`g`](Self::g). Those are not
    /// looked at either, so that pictures can be made with a file whose discriminator is of another kind or holds NaN.
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load).
    pub fn load_generator(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        read::load(path, Wanted::Generator, device).map_err(|error| error.in_file(path))
    }

    /// Writes the container, whole or not at all.
    ///
    /// # Errors
    ///
    /// A file that exists and is not to be replaced, or a folder that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, overwrite: Overwrite) -> Result<()> {
        container::save(self, path.as_ref(), overwrite)
    }

    /// Writes a network pickle, whole or not at all, which the tools of `program` open (`legacy.load_network_pkl`).
    ///
    /// It names the classes of the networks and holds no source text: they come from the user's own copy of that program.
    /// `G` is [`g_ema`](Self::g_ema) where there is no [`g`](Self::g), and `D` an `Identity` where there is no
    /// discriminator. Domains of plain weights go in as those of a Domain Expansion snapshot.
    ///
    /// # Errors
    ///
    /// What such a file cannot say: domains beside the weights or at several distances, features or filters other than
    /// published ones. A file that exists and is not to be replaced, or a folder that cannot be written.
    pub fn save_pickle(
        &self,
        path: impl AsRef<Path>,
        program: Program,
        overwrite: Overwrite,
    ) -> Result<()> {
        pickle::save(self, path.as_ref(), program, overwrite)
    }

    /// A model of one network.
    pub fn new(g_ema: Generator) -> Self {
        Self {
            g_ema,
            g: None,
            discriminator: None,
            expansion: None,
            provenance: json!({ "program": program() }),
        }
    }

    /// Random weights, the same for the same seed on every machine, and their mean of w.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range.
    pub fn random(config: &GeneratorConfig, seed: u64, device: &Device) -> Result<Self> {
        let tensors = init::generator(config, seed, DType::F32, device)?;
        let mut generator = Generator::from_tensors(&tensors, config)?;
        if config.mapping.w_avg_beta.is_some() {
            let mean = generator.estimate_mean()?;
            generator.set_mean_w(&mean)?;
        }
        let mut model = Self::new(generator);
        model.provenance["seed"] = json!(seed);
        Ok(model)
    }

    /// The averaged generator.
    pub fn generator(&self) -> &Generator {
        &self.g_ema
    }

    /// The domains of an expanded model.
    pub fn expansion(&self) -> Option<&Expansion> {
        self.expansion.as_ref()
    }

    /// The generator's hyper-parameters.
    pub fn config(&self) -> &GeneratorConfig {
        self.g_ema.config()
    }
}

/// Name and version of this program, for provenance.
fn program() -> String {
    format!("domex {}", env!("CARGO_PKG_VERSION"))
}
