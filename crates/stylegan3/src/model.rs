//! A model: the generator of a checkpoint, and where it comes from.
//!
//! [`Model::load`] reads network pickles of stylegan3 (the object `G_ema`), a saved `state_dict` in a torch file or safetensors, and the container of
//! this program. [`Model::save`] writes the container:
//!
//! | in the file | what |
//! |---|---|
//! | tensors `generator_ema.*` | the averaged generator, under its published names |
//! | metadata `config` | `{"generator": ..}` |
//! | metadata `provenance` | see [`Model::provenance`] |
//!
//! What only training needs, the generator as training left it and the discriminator, is left in the pickle.

use std::path::Path;

use candle_core::{DType, Device};
use domex_checkpoint::Value;
use domex_checkpoint::container::{Container, Overwrite, Writer};
use domex_checkpoint::foreign::{self, Format};
use domex_latent::sample::estimate_mean;
use domex_random::Streams;
use domex_stylegan2::MEAN_SAMPLES;
use domex_stylegan2::model::find::{self, Source};
use domex_stylegan2::model::tensors;
use serde_json::{Value as Json, json};

use crate::config::GeneratorConfig;
use crate::{Error, Generator, Result, derived, init};

/// What `kind` in the metadata says.
pub const KIND: &str = "stylegan3";

/// Prefix of the network in a container.
const GENERATOR_EMA: &str = "generator_ema.";

/// A tensor that no other generator has.
const MARK: &str = "synthesis.input.freqs";

/// The hyper-parameters in the metadata.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    generator: GeneratorConfig,
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
    /// Whether the file holds networks that only training needs, which are not read.
    pub left_out: bool,
    /// Where the weights come from, as a JSON object: `source` (`file`, `sha256`, `format`), `program`.
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
        load(path, device).map_err(|error| error.in_file(path))
    }

    /// Writes the container, whole or not at all.
    ///
    /// # Errors
    ///
    /// A file that exists and is not to be replaced, or a folder that cannot be written.
    pub fn save(&self, path: impl AsRef<Path>, overwrite: Overwrite) -> Result<()> {
        let config = Config {
            generator: self.config().clone(),
        };
        let config = serde_json::to_value(&config)
            .map_err(|error| Error::config("config", error, "serialisable"))?;
        let mut writer = Writer::new(KIND, &config).provenance(&self.provenance);
        for (name, tensor) in self.g_ema.tensors() {
            writer.tensor(&format!("{GENERATOR_EMA}{name}"), &tensor)?;
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
        Ok(Self {
            g_ema: Generator::from_tensors(&tensors, config)?,
            left_out: false,
            provenance: json!({ "program": program(), "seed": seed }),
        })
    }

    /// The averaged generator.
    #[must_use]
    pub fn generator(&self) -> &Generator {
        &self.g_ema
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

fn load(path: &Path, device: &Device) -> Result<Model> {
    let file = foreign::read(path)?;
    if file.format == Format::Domex {
        return container(&Container::open(path)?, device);
    }
    let networks = find::networks(&file)?;
    let left_out = networks.g.is_some() || networks.discriminator.is_some();
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
    let provenance = json!({
        "program": program(),
        "source": {
            "file": path.file_name().unwrap_or_default().to_string_lossy(),
            "sha256": domex_checkpoint::sha256_file(path)?,
            "format": file.format.to_string(),
        },
    });
    Ok(Model {
        g_ema: Generator::from_tensors(&tensors, &config)?,
        left_out,
        provenance,
    })
}

/// The arguments that a pickled network was made with.
fn kwargs(source: &Source<'_>) -> Option<Json> {
    let kwargs = source.object?.get("_init_kwargs")?;
    let named = kwargs.as_dict().is_some_and(|entries| !entries.is_empty());
    named.then(|| Value::to_json(kwargs))
}

fn container(file: &Container, device: &Device) -> Result<Model> {
    if file.kind() != KIND {
        return Err(Error::NotAModel(format!(
            "the container holds a {:?}, expected {KIND:?}",
            file.kind()
        )));
    }
    file.check_whole()?;
    file.check_finite()?;
    if let Some(name) = file.names().find(|name| !name.starts_with(GENERATOR_EMA)) {
        return Err(Error::config(
            "tensor of the container",
            name,
            format!("names below {GENERATOR_EMA}"),
        ));
    }
    let config: Config = file.config_as()?;
    let tensors = tensors(&file.under(GENERATOR_EMA), device)?;
    Ok(Model {
        g_ema: Generator::from_tensors(&tensors, &config.generator)?,
        left_out: false,
        provenance: file.provenance().cloned().unwrap_or_else(|| json!({})),
    })
}

/// Name and version of this program, for provenance.
fn program() -> String {
    format!("domex {}", env!("CARGO_PKG_VERSION"))
}
