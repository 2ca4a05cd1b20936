//! Reading and writing the container.

use std::path::Path;

use candle_core::Device;
use domex_checkpoint::container::{Container, Overwrite, Writer};
use domex_latent::expansion::Expansion;
use serde_json::json;

use super::read::{self, AVERAGED, MEAN, NOISE, STD, TRAINED};
use super::{Model, Statistics};
use crate::config::Config;
use crate::{Error, Result};

/// What `kind` in the metadata says.
pub const KIND: &str = "diffae";

pub(super) fn save(model: &Model, path: &Path, overwrite: Overwrite) -> Result<()> {
    let config = serde_json::to_value(model.config())
        .map_err(|error| Error::config("config", error, "serialisable"))?;
    let mut writer = Writer::new(KIND, &config).provenance(&model.provenance);
    if let Some(expansion) = &model.expansion {
        writer = writer.expansion(&expansion.to_json());
        for (name, tensor) in expansion.tensors() {
            writer.tensor(&name, &tensor)?;
        }
    }
    let prefix = if model.averaged { AVERAGED } else { TRAINED };
    for (name, tensor) in &model.tensors {
        writer.tensor(&format!("{prefix}{name}"), tensor)?;
    }
    if let Some(Statistics { mean, std }) = &model.statistics {
        writer.tensor(MEAN, mean)?;
        writer.tensor(STD, std)?;
    }
    if let Some(noise) = &model.stored_noise {
        writer.tensor(NOISE, noise)?;
    }
    Ok(writer.write(path, overwrite)?)
}

pub(super) fn load(file: &Container, device: &Device) -> Result<Model> {
    if file.kind() != KIND {
        return Err(Error::NotAModel {
            problem: format!("the container holds a {:?}, expected {KIND:?}", file.kind()),
        });
    }
    file.check_finite()?;
    let config: Config = file.config_as()?;
    let expansion = match file.expansion() {
        Some(json) => {
            let tensor = |name: &str| -> Result<_> { Ok(file.tensor(name, &Device::Cpu)?) };
            Some(Expansion::from_json(
                json,
                config.unet.cond_channels,
                tensor,
            )?)
        }
        None => None,
    };
    let mut parts = read::Parts::of(file.tensors().clone());
    if expansion.is_some() {
        parts.others.retain(|name, _| !Expansion::holds(name));
    }
    if !parts.others.is_empty() {
        return Err(Error::Names {
            missing: Vec::new(),
            unexpected: parts.others.into_keys().collect(),
        });
    }
    let mut model = parts.model(&config, device)?;
    model.expansion = expansion;
    model.provenance = file.provenance().cloned().unwrap_or_else(|| json!({}));
    Ok(model)
}
