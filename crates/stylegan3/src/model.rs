//! A model: the generator of a checkpoint, and where it comes from.
//!
//! [`Model::load`] reads network pickles of stylegan3 (the object `G_ema`), a saved `state_dict` in a torch file or safetensors, and the container of
//! this program. [`Model::save`] writes the container:
//!
//! | in the file | what |
//! |---|---|
//! | tensors `generator_ema.*` | the averaged generator, under its published names |
//! | tensors `discriminator.*` | the discriminator, where there is one: it is that of a StyleGAN2 |
//! | tensors `expansion.basis`, `expansion.mean` | of an expanded model |
//! | metadata `config` | `{"generator": .., "discriminator": ..}` |
//! | metadata `expansion`, `provenance` | see [`Expansion`] and [`Model::provenance`] |
//!
//! The generator as training left it, which is not the averaged one, is left in the pickle.

use std::path::Path;

use candle_core::{DType, Device};
use domex_checkpoint::Value;
use domex_checkpoint::container::{Container, Overwrite, Writer};
use domex_checkpoint::foreign::{self, Format};
use domex_latent::Expansion;
use domex_latent::sample::estimate_mean;
use domex_random::Streams;
use domex_stylegan2::model::find::{self, Source};
use domex_stylegan2::model::{discriminator_of, tensors};
use domex_stylegan2::{Discriminator, DiscriminatorConfig, MEAN_SAMPLES};
use serde_json::{Value as Json, json};

use crate::config::GeneratorConfig;
use crate::{Error, Generator, Result, derived, init};

/// What `kind` in the metadata says.
pub const KIND: &str = "stylegan3";

/// Prefixes of the networks in a container.
const GENERATOR_EMA: &str = "generator_ema.";
const DISCRIMINATOR: &str = "discriminator.";

/// A tensor that no other generator has.
const MARK: &str = "synthesis.input.freqs";

/// The hyper-parameters in the metadata.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    generator: GeneratorConfig,
    #[serde(default)]
    discriminator: Option<DiscriminatorConfig>,
}

/// Which networks of a file are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    Generator,
}

/// See the [module docs](self).
///
/// ```
/// use domex_stylegan3::{GeneratorConfig, Model, Overwrite};
/// # use candle_core::Device;
/// # let folder = tempfile::tempdir()?;
/// let path = folder.path().join("model.safetensors");
/// Model::random(&GeneratorConfig::tiny(), 1, &Device::Cpu)?.save(&path, Overwrite::Refuse)?;
///
/// let model = Model::load(&path, &Device::Cpu)?;
/// assert_eq!(model.config(), &GeneratorConfig::tiny());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct Model {
    /// The averaged generator.
    pub g_ema: Generator,
    /// The discriminator, to go on training.
    pub discriminator: Option<Discriminator>,
    /// The domains of an expanded model.
    pub expansion: Option<Expansion>,
    /// Whether the file holds a generator as training left it too, which is not read.
    pub left_out: bool,
    /// Where the weights come from, as a JSON object: `source` (`file`, `sha256`, `format`), `program`, and whatever those who
    /// made the model added.
    pub provenance: Json,
}

impl Model {
    /// Loads a checkpoint of any known kind.
    ///
    /// Every tensor of the network must be there, under its name and with its shape, and no other; but filters that are missing are computed. Weights
    /// in half precision are widened to float32.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or is no StyleGAN3, with the file's name and what was found.
    pub fn load(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        load(path, Wanted::All, device).map_err(|error| error.in_file(path))
    }

    /// [`load`](Self::load) without the discriminator, which is not looked at either.
    ///
    /// # Errors
    ///
    /// Those of [`load`](Self::load).
    pub fn load_generator(path: impl AsRef<Path>, device: &Device) -> Result<Self> {
        let path = path.as_ref();
        load(path, Wanted::Generator, device).map_err(|error| error.in_file(path))
    }

    /// A model of one network.
    #[must_use]
    pub fn new(g_ema: Generator) -> Self {
        Self {
            g_ema,
            discriminator: None,
            expansion: None,
            left_out: false,
            provenance: json!({ "program": program() }),
        }
    }

    /// Writes the container, whole or not at all.
    ///
    /// # Errors
    ///
    /// A file that exists and is not to be replaced, or a folder that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, overwrite: Overwrite) -> Result<()> {
        let config = Config {
            generator: self.config().clone(),
            discriminator: self.discriminator.as_ref().map(|d| d.config().clone()),
        };
        let config = serde_json::to_value(&config)
            .map_err(|error| Error::config("config", error, "serialisable"))?;
        let mut writer = Writer::new(KIND, &config).provenance(&self.provenance);
        if let Some(expansion) = &self.expansion {
            writer = writer.expansion(&expansion.to_json());
            for (name, tensor) in expansion.tensors() {
                writer.tensor(&name, &tensor)?;
            }
        }
        for (name, tensor) in self.g_ema.tensors() {
            writer.tensor(&format!("{GENERATOR_EMA}{name}"), &tensor)?;
        }
        let discriminator = self.discriminator.as_ref().map(Discriminator::tensors);
        for (name, tensor) in discriminator.unwrap_or_default() {
            writer.tensor(&format!("{DISCRIMINATOR}{name}"), &tensor)?;
        }
        Ok(writer.write(path.as_ref(), overwrite)?)
    }

    /// Random weights, the same for the same seed on every machine, and their mean of w.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range.
    pub fn random(config: &GeneratorConfig, seed: u64, device: &Device) -> Result<Self> {
        let mut tensors = init::generator(config, seed, DType::F32, device)?;
        let generator = Generator::from_tensors(&tensors, config)?;
        let mut stream = Streams::new(0).stream("w_avg");
        let mean = estimate_mean(&generator, MEAN_SAMPLES, 512, &mut stream)?;
        tensors.insert("mapping.w_avg".to_owned(), mean);
        let mut model = Self::new(Generator::from_tensors(&tensors, config)?);
        model.provenance["seed"] = json!(seed);
        Ok(model)
    }

    /// The averaged generator.
    #[must_use]
    pub fn generator(&self) -> &Generator {
        &self.g_ema
    }

    /// The domains of an expanded model.
    #[must_use]
    pub fn expansion(&self) -> Option<&Expansion> {
        self.expansion.as_ref()
    }

    /// The generator's hyper-parameters.
    #[must_use]
    pub fn config(&self) -> &GeneratorConfig {
        self.g_ema.config()
    }
}

/// Whether a published file holds a StyleGAN3 generator, by the names of its tensors.
///
/// # Errors
///
/// A file that cannot be read.
pub fn recognizes(path: &Path) -> Result<bool> {
    let file = foreign::read(path)?;
    if matches!(file.format, Format::Domex | Format::TensorFlow) {
        return Ok(false);
    }
    let networks = find::networks(&file);
    Ok(networks.is_ok_and(|networks| networks.g_ema.weights.contains_key(MARK)))
}

fn load(path: &Path, wanted: Wanted, device: &Device) -> Result<Model> {
    let file = foreign::read(path)?;
    if file.format == Format::Domex {
        return container(&Container::open(path)?, wanted, device);
    }
    let networks = find::networks(&file)?;
    let left_out = networks.g.is_some();
    let discriminator = networks.discriminator.as_ref();
    let discriminator = discriminator.filter(|_| wanted == Wanted::All);
    let source = networks.g_ema;
    if !source.weights.contains_key(MARK) {
        let (count, names) = (source.weights.len(), source.weights.keys().take(3));
        let names: Vec<&str> = names.map(String::as_str).collect();
        return Err(Error::NotAModel(format!(
            "the generator has {count} tensors such as {}; expected {MARK} among them",
            names.join(", ").escape_debug()
        )));
    }
    source.check_finite(&file)?;
    let mut tensors = tensors(&source.weights, device)?;
    let config = match kwargs(&source) {
        Some(kwargs) => GeneratorConfig::from_kwargs(&kwargs)?,
        None => GeneratorConfig::deduce(&tensors)?,
    };
    derived::complete(&mut tensors, &config.synthesis)?;
    let discriminator = discriminator.map(|source| discriminator_of(&file, source, device));
    let provenance = json!({
        "program": program(),
        "source": {
            "file": path.file_name().unwrap_or_default().to_string_lossy(),
            "sha256": domex_checkpoint::sha256_file(path)?,
            "format": file.format.to_string(),
        },
    });
    Ok(Model {
        discriminator: discriminator.transpose()?,
        left_out,
        provenance,
        ..Model::new(Generator::from_tensors(&tensors, &config)?)
    })
}

/// The arguments that a pickled network was made with.
fn kwargs(source: &Source<'_>) -> Option<Json> {
    let kwargs = source.object?.get("_init_kwargs")?;
    let named = kwargs.as_dict().is_some_and(|entries| !entries.is_empty());
    named.then(|| Value::to_json(kwargs))
}

fn container(file: &Container, wanted: Wanted, device: &Device) -> Result<Model> {
    if file.kind() != KIND {
        return Err(Error::NotAModel(format!(
            "the container holds a {:?}, expected {KIND:?}",
            file.kind()
        )));
    }
    file.check_whole()?;
    let looked_at = |name: &str| wanted == Wanted::All || !name.starts_with(DISCRIMINATOR);
    let wanted_tensors = file.tensors().iter().filter(|(name, _)| looked_at(name));
    domex_checkpoint::check_finite(file.path(), wanted_tensors)?;
    let config: Config = file.config_as()?;
    check_prefixes(file, config.discriminator.is_some())?;
    let discriminator = match &config.discriminator {
        Some(config) if wanted == Wanted::All => {
            let tensors = tensors(&file.under(DISCRIMINATOR), device)?;
            Some(Discriminator::from_tensors(&tensors, config)?)
        }
        _ => None,
    };
    let expansion = match file.expansion() {
        Some(json) => {
            let tensor = |name: &str| -> Result<_> { Ok(file.tensor(name, &Device::Cpu)?) };
            let w_dim = config.generator.w_dim();
            let expansion = Expansion::from_json(json, w_dim, tensor)?;
            if expansion.has_vectors() {
                let expected = "none: a StyleGAN3's domains are in its weights";
                return Err(Error::config("vectors of domains", "some", expected));
            }
            Some(expansion)
        }
        None => None,
    };
    let tensors = tensors(&file.under(GENERATOR_EMA), device)?;
    Ok(Model {
        discriminator,
        expansion,
        provenance: file.provenance().cloned().unwrap_or_else(|| json!({})),
        ..Model::new(Generator::from_tensors(&tensors, &config.generator)?)
    })
}

/// Refuses tensors that belong to nothing.
fn check_prefixes(file: &Container, has_discriminator: bool) -> Result<()> {
    let known = |name: &str| {
        name.starts_with(GENERATOR_EMA)
            || (has_discriminator && name.starts_with(DISCRIMINATOR))
            || (file.expansion().is_some() && Expansion::holds(name))
    };
    match file.names().find(|name| !known(name)) {
        Some(name) => Err(Error::config(
            "tensor of the container",
            name,
            format!("names below {GENERATOR_EMA}"),
        )),
        None => Ok(()),
    }
}

/// Name and version of this program, for provenance.
fn program() -> String {
    format!("domex {}", env!("CARGO_PKG_VERSION"))
}
