//! Reading and writing the container.

use std::path::Path;

use candle_core::Device;
use domex_checkpoint::container::{Container, Overwrite, Writer};
use domex_latent::Expansion;
use serde_json::{Value as Json, json};

use super::{Model, Wanted, read};
use crate::config::{DiscriminatorConfig, GeneratorConfig};
use crate::weights::Tensors;
use crate::{Discriminator, Error, Generator, Result};

/// What `kind` in the metadata says.
pub const KIND: &str = "stylegan2";

/// Prefixes of the networks.
const GENERATOR_EMA: &str = "generator_ema.";
const GENERATOR: &str = "generator.";
const DISCRIMINATOR: &str = "discriminator.";

/// The hyper-parameters in the metadata.
#[derive(serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Config {
    generator: GeneratorConfig,
    discriminator: Option<DiscriminatorConfig>,
}

pub(super) fn save(model: &Model, path: &Path, overwrite: Overwrite) -> Result<()> {
    let config = Config {
        generator: model.config().clone(),
        discriminator: model.discriminator.as_ref().map(|d| d.config().clone()),
    };
    let config = serde_json::to_value(&config)
        .map_err(|error| Error::config("config", error, "serialisable"))?;
    let mut writer = Writer::new(KIND, &config).provenance(&model.provenance);
    if let Some(expansion) = &model.expansion {
        writer = writer.expansion(&expansion.to_json());
        for (name, tensor) in expansion.tensors() {
            writer.tensor(&name, &tensor)?;
        }
    }
    let mut put = |prefix: &str, tensors: Tensors| -> Result<()> {
        for (name, tensor) in tensors {
            writer.tensor(&format!("{prefix}{name}"), &tensor)?;
        }
        Ok(())
    };
    put(GENERATOR_EMA, model.g_ema.tensors())?;
    if let Some(generator) = &model.g {
        put(GENERATOR, generator.tensors())?;
    }
    if let Some(discriminator) = &model.discriminator {
        put(DISCRIMINATOR, discriminator.tensors())?;
    }
    Ok(writer.write(path, overwrite)?)
}

pub(super) fn load(file: &Container, wanted: Wanted, device: &Device) -> Result<Model> {
    if file.kind() != KIND {
        return Err(Error::NotAModel {
            problem: format!("the container holds a {:?}, expected {KIND:?}", file.kind()),
        });
    }
    file.check_whole()?;
    check_prefixes(file)?;
    let all = wanted == Wanted::All;
    let looked_at =
        |name: &str| all || !(name.starts_with(GENERATOR) || name.starts_with(DISCRIMINATOR));
    let tensors = file.tensors().iter().filter(|(name, _)| looked_at(name));
    domex_checkpoint::check_finite(file.path(), tensors)?;
    let config: Config = file.config_as()?;
    let below = |prefix: &str| read::tensors(&file.under(prefix), device);
    let holds = |prefix: &str| file.names().any(|name| name.starts_with(prefix));
    let discriminator = match &config.discriminator {
        Some(config) if all => Some(Discriminator::from_tensors(&below(DISCRIMINATOR)?, config)?),
        _ => None,
    };
    let expansion = match file.expansion() {
        Some(json) => {
            let tensor = |name: &str| -> Result<_> { Ok(file.tensor(name, &Device::Cpu)?) };
            let w_dim = config.generator.w_dim();
            Some(Expansion::from_json(json, w_dim, tensor)?)
        }
        None => None,
    };
    let generator = |prefix: &str| -> Result<Generator> {
        let mut generator = Generator::from_tensors(&below(prefix)?, &config.generator)?;
        if let Some(expansion) = &expansion {
            generator.follow_domains(expansion)?;
        }
        Ok(generator)
    };
    let g_ema = generator(GENERATOR_EMA)?;
    let g = (all && holds(GENERATOR)).then(|| generator(GENERATOR));
    Ok(Model {
        g_ema,
        g: g.transpose()?,
        discriminator,
        expansion,
        provenance: file.provenance().cloned().unwrap_or_else(|| json!({})),
    })
}

/// Refuses tensors that belong to nothing.
fn check_prefixes(file: &Container) -> Result<()> {
    let has_discriminator = !matches!(file.config().get("discriminator"), None | Some(Json::Null));
    let known = |name: &str| {
        name.starts_with(GENERATOR_EMA)
            || name.starts_with(GENERATOR)
            || (has_discriminator && name.starts_with(DISCRIMINATOR))
            || (file.expansion().is_some() && Expansion::holds(name))
    };
    let unexpected: Vec<String> = file
        .names()
        .filter(|name| !known(name))
        .map(str::to_string)
        .collect();
    if unexpected.is_empty() {
        return Ok(());
    }
    Err(Error::Names {
        network: "container".to_string(),
        missing: Vec::new(),
        unexpected,
    })
}
