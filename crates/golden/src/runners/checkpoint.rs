//! Checkpoints: their contents bit by bit, and what their networks make.
//!
//! The same case runs twice: once on the tensors that the case itself holds (no file is read),
//! and once for each checkpoint file beside it, through the readers.

use std::{collections::BTreeMap, path::Path};

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::{Value, foreign};
use domex_stylegan2::{Discriminator, Generator, Model, Noise, Truncation};

use super::{network, rosinality};
use crate::{Case, Result, computed::Computed};

/// A network pickle of stylegan2-ada-pytorch or Domain Expansion.
pub(crate) fn nvlabs(case: &Case, file: Option<&Path>) -> Result<Computed> {
    let mut computed = Computed::default();
    let (generator, discriminator) = match file {
        None => {
            let generator = Generator::from_tensors(
                &network::tensors(case, "G_ema."),
                &network::generator_config(case)?,
            )?;
            let discriminator = if case.any("param.D.") {
                let config = network::discriminator_config(case)?;
                Some(Discriminator::from_tensors(
                    &network::tensors(case, "D."),
                    &config,
                )?)
            } else {
                None
            };
            (generator, discriminator)
        }
        Some(path) => {
            computed.set_contents(contents(path)?);
            let model = Model::load(path, case.device())?;
            (model.g_ema, model.discriminator)
        }
    };
    let label = network::label(case);
    let ws = generator.latents(case.input("z")?, label, truncation(case, "/truncation_psi"))?;
    let img = generator.synthesis().forward(&ws, Noise::Const)?;
    if let Some(discriminator) = discriminator {
        computed.out("logits_of_img", discriminator.forward(&img, label)?);
    }
    computed.out("ws_psi", ws);
    computed.out("img", img);
    Ok(computed)
}

/// A checkpoint of rosinality/stylegan2-pytorch.
pub(crate) fn rosinality(case: &Case, file: Option<&Path>) -> Result<Computed> {
    let mut computed = Computed::default();
    let generator = match file {
        None => {
            let mean = case.get("param.latent_avg");
            rosinality::generator(case, &network::tensors(case, "g_ema."), mean)?
        }
        Some(path) => {
            computed.set_contents(contents(path)?);
            Model::load(path, case.device())?.g_ema
        }
    };
    let ws = generator.latents(case.input("z")?, None, truncation(case, "/truncation"))?;
    computed.out("img", generator.synthesis().forward(&ws, Noise::Const)?);
    Ok(computed)
}

fn truncation(case: &Case, pointer: &str) -> Truncation {
    Truncation::psi(case.number(pointer).unwrap_or(1.0))
}

/// Every tensor of a file as `{top-level name}.{name}`, or by its name alone where it stands at
/// the top. Whole numbers as 64-bit ones, which is how the case holds them.
pub(super) fn contents(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let file = foreign::read(path)?;
    let mut found = BTreeMap::new();
    for (key, value) in file.value.as_dict().unwrap_or_default() {
        let Some(key) = key.as_str() else { continue };
        if let Some(tensor) = value.as_tensor() {
            found.insert(key.to_owned(), tensor.to_tensor(&Device::Cpu)?);
        } else if matches!(value, Value::Dict(_) | Value::Object(_)) {
            // Settings and other values that are no network are not what is compared.
            let Ok(tensors) = foreign::state_dict(value) else {
                continue;
            };
            for (name, tensor) in tensors {
                found.insert(format!("{key}.{name}"), tensor.to_tensor(&Device::Cpu)?);
            }
        }
    }
    for tensor in found.values_mut() {
        if matches!(
            tensor.dtype(),
            DType::U8 | DType::I16 | DType::I32 | DType::U32
        ) {
            *tensor = tensor.to_dtype(DType::I64)?;
        }
    }
    Ok(found)
}
