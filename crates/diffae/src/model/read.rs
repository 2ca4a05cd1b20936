//! Reading checkpoints.
//!
//! | file | tensors |
//! |---|---|
//! | `last.ckpt` of the published training code | `state_dict`: `ema_model.*`, `model.*`, `x_T`, `conds_mean`, `conds_std` |
//! | safetensors, or a saved `state_dict` | the same names, or the network's alone without prefix |
//!
//! The average is taken where there is one. The settings of the training run (`hyper_parameters`), where the file has them, say
//! what names and shapes do not: see [`Hints`].

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::container::Container;
use domex_checkpoint::foreign::{self, Format};
use domex_checkpoint::{TensorData, Value};
use domex_diffusion::Betas;
use serde_json::json;

use super::{Model, Statistics, container, program};
use crate::config::Config;
use crate::deduce::Hints;
use crate::weights::{Shapes, Tensors};
use crate::{Error, Result};

/// Prefixes of the networks.
pub(super) const AVERAGED: &str = "ema_model.";
pub(super) const TRAINED: &str = "model.";
/// Names of the other tensors.
pub(super) const MEAN: &str = "conds_mean";
pub(super) const STD: &str = "conds_std";
pub(super) const NOISE: &str = "x_T";

type Weights = BTreeMap<String, TensorData>;

pub(super) fn load(path: &Path, device: &Device) -> Result<Model> {
    let file = foreign::read(path)?;
    if file.format == Format::Domex {
        return container::load(&Container::open(path)?, device);
    }
    let state = file.value.get("state_dict").unwrap_or(&file.value);
    let mut parts = Parts::of(file.weights(state)?);
    if parts.weights.is_empty() {
        return Err(not_found(file.format, &parts.others));
    }
    parts.drop_doubles()?;
    let settings = file.value.get("hyper_parameters");
    let hints = hints(settings, parts.noise.as_ref())?;
    let config = Config::deduce(&parts.shapes(), &hints)?;
    let mut model = parts.model(&config, device)?;
    model.provenance = json!({
        "program": program(),
        "source": {
            "file": path.file_name().unwrap_or_default().to_string_lossy(),
            "sha256": domex_checkpoint::sha256_file(path)?,
            "format": file.format.to_string(),
        },
    });
    Ok(model)
}

/// Whether a file that is no container of ours has the tensors of a diffusion autoencoder. Only names are looked at.
///
/// # Errors
///
/// A file that cannot be read.
pub fn recognizes(path: &Path) -> Result<bool> {
    const FIRST: &str = "input_blocks.0.0.weight";
    let file = foreign::read(path)?;
    let state = file.value.get("state_dict").unwrap_or(&file.value);
    let names = state.as_dict().unwrap_or_default().iter();
    let mut names = names.filter_map(|(name, _)| name.as_str());
    let ours = [AVERAGED, TRAINED, ""].map(|prefix| format!("{prefix}{FIRST}"));
    Ok(file.format != Format::Domex && names.any(|name| ours.iter().any(|ours| ours == name)))
}

/// The tensors of a checkpoint by what they are.
pub(super) struct Parts {
    /// The networks', without prefix.
    weights: Weights,
    averaged: bool,
    mean: Option<TensorData>,
    std: Option<TensorData>,
    noise: Option<TensorData>,
    /// What belongs to nothing here.
    pub(super) others: Weights,
}

impl Parts {
    pub(super) fn of(mut tensors: Weights) -> Self {
        let mut take = |prefix: &str| {
            let (taken, rest): (Weights, Weights) = std::mem::take(&mut tensors)
                .into_iter()
                .partition(|(name, _)| name.starts_with(prefix));
            tensors = rest;
            let cut = |(name, data): (String, TensorData)| (name[prefix.len()..].to_owned(), data);
            taken.into_iter().map(cut).collect::<Weights>()
        };
        let (averaged, trained) = (take(AVERAGED), take(TRAINED));
        let (mean, std) = (tensors.remove(MEAN), tensors.remove(STD));
        let noise = tensors.remove(NOISE);
        // A network alone is what somebody saved to use it.
        let bare = averaged.is_empty() && trained.is_empty();
        let bare = bare && tensors.contains_key("input_blocks.0.0.weight");
        let (weights, averaged) = match (bare, averaged.is_empty()) {
            (true, _) => (std::mem::take(&mut tensors), true),
            (false, false) => (averaged, true),
            (false, true) => (trained, false),
        };
        Self {
            weights,
            averaged,
            mean,
            std,
            noise,
            others: tensors,
        }
    }

    /// Published files hold the latent prior's conditions under two names.
    fn drop_doubles(&mut self) -> Result<()> {
        const DOUBLE: &str = ".cond_layers.1.";
        let doubles: Vec<String> = self
            .weights
            .keys()
            .filter(|name| name.starts_with("latent_net.") && name.contains(DOUBLE))
            .cloned()
            .collect();
        for double in doubles {
            let Some(data) = self.weights.remove(&double) else {
                continue;
            };
            let name = double.replace(DOUBLE, ".linear_emb.");
            let same = |kept: &TensorData| {
                kept.shape() == data.shape() && kept.to_f64_vec() == data.to_f64_vec()
            };
            match self.weights.get(&name) {
                Some(kept) if same(kept) => {}
                Some(_) => {
                    return Err(Error::deduce(format!(
                        "{double} and {name} are the same layer, but their values differ"
                    )));
                }
                None => {
                    self.weights.insert(name, data);
                }
            }
        }
        Ok(())
    }

    fn shapes(&self) -> Shapes {
        let shapes = self.weights.iter();
        shapes
            .map(|(name, data)| (name.clone(), data.shape().to_vec()))
            .collect()
    }

    /// The model, all of one type: on a CPU float64 where all of the networks' tensors are, else float32. Kernels of a GPU are
    /// float32's.
    pub(super) fn model(self, config: &Config, device: &Device) -> Result<Model> {
        let load = |data: &TensorData| data.to_tensor(device);
        let mut tensors = Tensors::new();
        for (name, data) in &self.weights {
            tensors.insert(name.clone(), load(data)?);
        }
        let wide = tensors.values().all(|t| t.dtype() == DType::F64);
        let dtype = match wide && device.is_cpu() {
            true => DType::F64,
            false => DType::F32,
        };
        for tensor in tensors.values_mut() {
            *tensor = tensor.to_dtype(dtype)?;
        }
        let other = |data: &Option<TensorData>| -> Result<Option<Tensor>> {
            let load = |data| Ok(load(data)?.to_dtype(dtype)?);
            data.as_ref().map(load).transpose()
        };
        let mut model = Model::from_tensors(tensors, config)?;
        model.averaged = self.averaged;
        model.set_stored_noise(other(&self.noise)?)?;
        match (other(&self.mean)?, other(&self.std)?) {
            (Some(mean), Some(std)) => {
                model.set_statistics(Some(Statistics { mean, std }))?;
            }
            (None, None) => {}
            (mean, _) => {
                let (found, missing) = if mean.is_some() {
                    (MEAN, STD)
                } else {
                    (STD, MEAN)
                };
                return Err(Error::config(
                    found,
                    "alone",
                    format!("{missing} beside it"),
                ));
            }
        }
        Ok(model)
    }
}

/// What the file says beside the networks' tensors.
fn hints(settings: Option<&Value>, noise: Option<&TensorData>) -> Result<Hints> {
    let get = |name: &str| settings.and_then(|settings| settings.get(name));
    let count = |name: &str| get(name).and_then(Value::as_i64);
    let count = |name: &str| count(name).and_then(|n| usize::try_from(n).ok());
    let betas = |name: &str| -> Result<Option<Betas>> {
        let name = get(name).and_then(Value::as_str);
        Ok(name.map(str::parse).transpose()?)
    };
    let stored = noise.and_then(|noise| noise.shape().get(2).copied());
    Ok(Hints {
        image_size: stored.or_else(|| count("img_size")),
        heads: count("net_beatgans_attn_head"),
        train_steps: count("T"),
        betas: betas("beta_scheduler")?,
        latent_betas: betas("latent_beta_scheduler")?,
        condition_bias: get("net_latent_condition_bias").and_then(Value::as_f64),
    })
}

fn not_found(format: Format, others: &Weights) -> Error {
    let names: Vec<&str> = others.keys().map(String::as_str).take(3).collect();
    let found = if names.is_empty() {
        "no tensors".to_owned()
    } else {
        format!("tensors such as {}", names.join(", ").escape_debug())
    };
    Error::NotAModel {
        problem: format!(
            "the {format} holds {found}; expected names as ema_model.input_blocks.0.0.weight"
        ),
    }
}
