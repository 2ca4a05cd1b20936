//! What a network pickle says beyond its tensors.
//!
//! Its layers are plain data with attributes: the clamp, the activation, which blocks run in
//! float16, the learning rate multiplier (`bias_gain` of a fully connected layer), the decay of
//! the mean of w, the group size of the minibatch statistics. Attributes say what the layers do;
//! the keyword arguments of the network would leave out what was a default of its program.

use domex_checkpoint::Value;
use domex_ops::Activation;

use crate::config::{DiscriminatorConfig, GeneratorConfig, MappingConfig, resolutions};
use crate::{Error, Result};

/// Completes a configuration that was deduced from shapes.
pub(super) fn generator(config: &mut GeneratorConfig, network: &Value) -> Result<()> {
    if let Some(below) = module(network, "mapping") {
        mapping(&mut config.mapping, below)?;
    }
    let Some(synthesis) = module(network, "synthesis") else {
        return Ok(());
    };
    let cfg = &mut config.synthesis;
    if let Some(layer) = module(synthesis, "b4").and_then(|block| module(block, "conv1")) {
        convolution(layer, &mut cfg.activation, &mut cfg.conv_clamp)?;
    }
    cfg.num_fp16_res = half_blocks(synthesis, cfg.img_resolution);
    config.validate()
}

/// Completes a configuration that was deduced from shapes.
pub(super) fn discriminator(config: &mut DiscriminatorConfig, network: &Value) -> Result<()> {
    if let (Some(cfg), Some(below)) = (&mut config.mapping, module(network, "mapping")) {
        mapping(cfg, below)?;
        cfg.w_avg_beta = None;
    }
    config.num_fp16_res = half_blocks(network, config.img_resolution);
    let Some(epilogue) = module(network, "b4") else {
        return config.validate();
    };
    if let Some(layer) = module(epilogue, "conv") {
        convolution(layer, &mut config.activation, &mut config.conv_clamp)?;
    }
    match module(epilogue, "mbstd").and_then(|layer| layer.get("group_size")) {
        Some(Value::None) => config.mbstd_group_size = None,
        Some(size) => {
            let count = size.as_i64().and_then(|size| usize::try_from(size).ok());
            config.mbstd_group_size = Some(count.ok_or_else(|| {
                Error::config("mbstd.group_size", size.kind(), "a whole number or None")
            })?);
        }
        None => {}
    }
    config.validate()
}

fn mapping(config: &mut MappingConfig, network: &Value) -> Result<()> {
    if let Some(beta) = network.get("w_avg_beta").and_then(Value::as_f64)
        && config.w_avg_beta.is_some()
    {
        config.w_avg_beta = Some(beta);
    }
    let Some(layer) = module(network, "fc0") else {
        return Ok(());
    };
    if let Some(multiplier) = layer.get("bias_gain").and_then(Value::as_f64) {
        config.lr_multiplier = multiplier;
    }
    activation(layer, &mut config.activation)
}

fn convolution(layer: &Value, act: &mut Activation, clamp: &mut Option<f64>) -> Result<()> {
    *clamp = match layer.get("conv_clamp") {
        None | Some(Value::None) => None,
        Some(limit) => Some(
            limit
                .as_f64()
                .ok_or_else(|| Error::config("conv_clamp", limit.kind(), "a number or None"))?,
        ),
    };
    activation(layer, act)
}

fn activation(layer: &Value, act: &mut Activation) -> Result<()> {
    if let Some(name) = layer.get("activation").and_then(Value::as_str) {
        *act = name.parse()?;
    }
    Ok(())
}

/// Number of the highest resolutions that run in float16.
fn half_blocks(network: &Value, img_resolution: usize) -> usize {
    let is_half = |resolution: &usize| {
        let block = module(network, &format!("b{resolution}"));
        block.and_then(|block| block.get("use_fp16")?.as_bool()) == Some(true)
    };
    resolutions(img_resolution)
        .iter()
        .filter(|at| is_half(at))
        .count()
}

/// The module of that name inside another.
fn module<'a>(parent: &'a Value, name: &str) -> Option<&'a Value> {
    parent.get("_modules")?.get(name)
}
