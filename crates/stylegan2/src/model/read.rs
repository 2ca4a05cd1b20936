//! Reading published checkpoints.
//!
//! A file's networks are found by [`find`](super::find); [`layout`](crate::layout) gives their
//! tensors our names. The configuration comes from names and shapes; then from the arguments that
//! the networks were made with, or the attributes of their layers, where the file has them.

use std::path::Path;

use candle_core::{DType, Device};
use domex_checkpoint::Value;
use domex_checkpoint::container::Container;
use domex_checkpoint::foreign::{self, Foreign, Format};
use serde_json::json;

use super::find::{self, Source};
use super::{Model, Wanted, container, hints, program, snapshot};
use crate::config::{DiscriminatorConfig, GeneratorConfig};
use crate::layout::{self, Weights};
use crate::resample;
use crate::weights::{Tensors, shapes};
use crate::{Discriminator, Error, Generator, Result};

pub(super) fn load(path: &Path, wanted: Wanted, device: &Device) -> Result<Model> {
    let file = foreign::read(path)?;
    if file.format == Format::Domex {
        return container::load(&Container::open(path)?, wanted, device);
    }
    let mut networks = find::networks(&file)?;
    if wanted == Wanted::Generator {
        networks.g = None;
        networks.discriminator = None;
    }
    let mut provenance = json!({
        "program": program(),
        "source": {
            "file": path.file_name().unwrap_or_default().to_string_lossy(),
            "sha256": domex_checkpoint::sha256_file(path)?,
            "format": file.format.to_string(),
        },
    });
    let mean = file.value.get("latent_avg").and_then(Value::as_tensor);
    let read = |source: &Source<'_>| {
        source.check_finite(&file)?;
        let found = layout::generator(&source.weights, mean)?;
        let (weights, layout) = found.ok_or_else(|| unknown("generator", &source.weights))?;
        generator(&weights, layout, source, device)
    };
    let g_ema = read(&networks.g_ema)?;
    let g = networks.g.as_ref().map(read).transpose()?;
    let discriminator = networks.discriminator.as_ref();
    let discriminator = discriminator.map(|source| discriminator_of(&file, source, device));
    let discriminator = discriminator.transpose()?;
    let expansion = snapshot::expansion(&file.value, &g_ema.mean_w()?)?;
    if let (Some(_), Some(config)) = (&expansion, file.value.get("expansion_cfg")) {
        provenance["source"]["expansion_cfg"] = config.to_json();
    }
    Ok(Model {
        g_ema,
        g,
        discriminator,
        expansion,
        provenance,
    })
}

/// The discriminator of a file, which that of a StyleGAN3 is too.
///
/// # Errors
///
/// Another network, or numbers that are not finite.
pub fn discriminator_of(
    file: &Foreign,
    source: &Source<'_>,
    device: &Device,
) -> Result<Discriminator> {
    source.check_finite(file)?;
    let found = layout::discriminator(&source.weights)?;
    let (weights, _) = found.ok_or_else(|| unknown("discriminator", &source.weights))?;
    discriminator(&weights, source, device)
}

fn unknown(network: &str, weights: &Weights) -> Error {
    let names: Vec<&str> = weights.keys().map(String::as_str).take(3).collect();
    Error::NotAModel {
        problem: format!(
            "the {network} has {} tensors such as {}; expected names as synthesis.b4.conv1.weight \
             (stylegan2-ada-pytorch), input.input (rosinality) or synthesis/4x4/Const/const \
             (TensorFlow)",
            weights.len(),
            names.join(", ").escape_debug()
        ),
    }
}

fn generator(
    weights: &Weights,
    layout: layout::Layout,
    source: &Source<'_>,
    device: &Device,
) -> Result<Generator> {
    let tensors = tensors(weights, device)?;
    let mut config = GeneratorConfig::deduce(&shapes(&tensors))?;
    if let Some(kwargs) = &source.kwargs {
        config.refine(kwargs)?;
    }
    if let Some(object) = source.object {
        hints::generator(&mut config, object)?;
    }
    config.synthesis.demodulation = layout.demodulation();
    take_taps(&tensors, &mut config.synthesis.resample_filter)?;
    let mut network = Generator::from_tensors(&tensors, &config)?;
    if network.mapping().w_avg().is_none() {
        // So that truncation has its mean, and the model can be saved with it.
        let mean = network.estimate_mean()?;
        network.set_mean_w(&mean)?;
    }
    Ok(network)
}

fn discriminator(weights: &Weights, source: &Source<'_>, device: &Device) -> Result<Discriminator> {
    let tensors = tensors(weights, device)?;
    let mut config = DiscriminatorConfig::deduce(&shapes(&tensors))?;
    if let Some(kwargs) = &source.kwargs {
        config.refine(kwargs)?;
    }
    if let Some(object) = source.object {
        hints::discriminator(&mut config, object)?;
    }
    take_taps(&tensors, &mut config.resample_filter)?;
    Discriminator::from_tensors(&tensors, &config)
}

/// Puts the file's own filter into the configuration, where it is not the one deduced.
fn take_taps(tensors: &Tensors, taps: &mut Vec<f64>) -> Result<()> {
    let filter = tensors
        .iter()
        .find(|(name, _)| name.ends_with(resample::NAME));
    if let Some((_, filter)) = filter {
        let found = resample::taps(filter)?;
        let sum: f64 = taps.iter().sum();
        let near = |(a, b): (&f64, &f64)| (a / sum - b).abs() < 1e-6;
        let same = taps.len() == found.len() && taps.iter().zip(&found).all(near);
        if !same {
            *taps = found;
        }
    }
    Ok(())
}

/// Tensors on the device, all of one type: on a CPU float64 where all are, else float32. Kernels of a GPU are float32's.
///
/// # Errors
///
/// A device without room.
pub fn tensors(weights: &Weights, device: &Device) -> Result<Tensors> {
    let mut tensors = weights
        .iter()
        .map(|(name, data)| Ok((name.clone(), data.to_tensor(device)?)))
        .collect::<Result<Tensors>>()?;
    let wide = tensors.values().all(|tensor| tensor.dtype() == DType::F64);
    let dtype = match wide && device.is_cpu() {
        true => DType::F64,
        false => DType::F32,
    };
    for tensor in tensors.values_mut() {
        *tensor = tensor.to_dtype(dtype)?;
    }
    Ok(tensors)
}
