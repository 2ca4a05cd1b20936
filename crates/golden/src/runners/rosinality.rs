//! A generator in the rosinality layout: mapping, truncation, W+ input, explicit and registered
//! noise, style mixing, and the gradients under that layout's names.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use domex_checkpoint::TensorData;
use domex_stylegan2::{
    Demodulation, Generator, GeneratorConfig, Noise, Tensors, Truncation,
    layout::{Weights, rosinality as layout},
    mapping::{broadcast, truncate},
    style_mixing,
    weights::shapes,
};

use super::network::{self, Trainable};
use crate::{
    Case, Result,
    computed::{Computed, dot, var},
};

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let Trainable { network, vars } = trainable(case, &network::tensors(case, ""), None)?;
    let rows = network.config().num_ws();
    let synthesis = network.synthesis();
    let maps: Vec<_> = (0..synthesis.noise_layers())
        .map(|layer| case.input(&format!("noise.{layer}")).cloned())
        .collect::<Result<_>>()?;
    let noise = || Noise::Maps(&maps);

    let w_plus = var(case.input("wplus")?)?;
    let img = synthesis.forward(&w_plus, noise())?;
    if let Some(r) = case.get("in.R") {
        let grads = dot(&img, r)?.backward()?;
        computed.grad("wplus", &grads, &w_plus)?;
        // The layouts differ in names and shapes only, so gradients translate as weights do.
        let mut ours = network.tensors();
        for (name, var) in &vars {
            let grad = match grads.get(var) {
                Some(grad) => grad.clone(),
                None => var.zeros_like()?,
            };
            ours.insert(name.clone(), grad);
        }
        let (theirs, _) = layout::generator_from_nvlabs(&to_data(&ours)?)?;
        for (name, grad) in theirs {
            if case.get(&format!("grad.{name}")).is_some() {
                computed.grad_tensor(name, grad.to_tensor(&Device::Cpu)?);
            }
        }
    }
    computed.out("img_wplus", img);

    let w = network.mapping().forward(Some(case.input("z")?), None)?;
    let ws = broadcast(&w, rows)?;
    computed.out("img_from_z", synthesis.forward(&ws, noise())?);
    computed.out(
        "img_registered_noise",
        synthesis.forward(&ws, Noise::Const)?,
    );
    if let Some(index) = case.count("/inject_index") {
        let w2 = network.mapping().forward(Some(case.input("z2")?), None)?;
        let mixed = style_mixing(&ws, &broadcast(&w2, rows)?, index)?;
        computed.out("img_mix", synthesis.forward(&mixed, noise())?);
    }
    if let Some(psi) = case.number("/truncation") {
        let mean = case.input("truncation_latent")?.flatten_all()?;
        let truncated = truncate(&ws, &mean, Truncation::psi(psi))?;
        computed.out("img_trunc", synthesis.forward(&truncated, noise())?);
        computed.out("latents_trunc", truncated);
    }
    computed.out("latent", w);
    Ok(computed)
}

/// The generator on tensors of that layout; `mean` is `latent_avg`.
pub(super) fn generator(
    case: &Case,
    tensors: &Tensors,
    mean: Option<&Tensor>,
) -> Result<Generator> {
    Ok(trainable(case, tensors, mean)?.network)
}

fn trainable(case: &Case, theirs: &Tensors, mean: Option<&Tensor>) -> Result<Trainable<Generator>> {
    let mean = mean.map(TensorData::from_tensor).transpose()?;
    let ours: Tensors = layout::generator_to_nvlabs(&to_data(theirs)?, mean.as_ref())?
        .into_iter()
        .map(|(name, data)| Ok((name, data.to_tensor(case.device())?)))
        .collect::<Result<BTreeMap<_, _>>>()?;
    let mut config = GeneratorConfig::deduce(&shapes(&ours))?;
    config.synthesis.demodulation = Demodulation::FanIn;
    if let Some(multiplier) = case.number("/lr_mlp") {
        config.mapping.lr_multiplier = multiplier;
    }
    let (vars, live) = Generator::spec(&config)?.trainable(&ours)?;
    Ok(Trainable {
        network: Generator::from_tensors(&live, &config)?,
        vars,
    })
}

fn to_data(tensors: &Tensors) -> Result<Weights> {
    tensors
        .iter()
        .map(|(name, tensor)| Ok((name.clone(), TensorData::from_tensor(tensor)?)))
        .collect()
}
