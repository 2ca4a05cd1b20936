//! The Inception network with weights by formula: maps, features, logits, and the gradient for the pictures.

use std::collections::BTreeMap;

use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;
use domex_inception::{Config, Inception, Pipeline, prepare};

use crate::{
    Case, Result,
    computed::{Computed, dot, var},
    formula,
};

pub(in crate::runners) fn run(case: &Case) -> Result<Computed> {
    let weights = formula::weights(case)?;
    let shapes: BTreeMap<_, _> = weights
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.dims().to_vec()))
        .collect();
    let config = Config::deduce(&shapes)?;
    let vb = VarBuilder::from_tensors(weights, DType::F32, case.device());
    let inception = Inception::new(&vb, &config)?;

    let mut computed = Computed::default();
    let images = var(case.input("images")?)?;
    let x = images.affine(2.0, -1.0)?;
    let blocks = inception.blocks(&x)?;
    let grads = dot(&blocks.features, case.input("R")?)?.backward()?;
    computed.grad("images", &grads, &images)?;
    for (block, map) in blocks.maps.iter().enumerate() {
        computed.out(format!("block{block}"), map.clone());
    }
    computed.out("features", blocks.features);
    inception.visit(&x.detach(), |name, map| {
        computed.out(format!("channel_mean.{name}"), map.mean((2, 3))?);
        Ok(())
    })?;

    if let Some(rgb) = case.get("in.rgb") {
        pipelines(&inception, rgb, &mut computed)?;
    }
    Ok(computed)
}

/// Pictures in `[0, 255]` as either public program prepares them.
fn pipelines(inception: &Inception, rgb: &Tensor, computed: &mut Computed) -> Result<()> {
    let features = inception.features(&prepare(rgb, Pipeline::PytorchFid)?)?;
    computed.out("rgb.features", features);
    let blocks = inception.blocks(&prepare(rgb, Pipeline::TorchFidelity)?)?;
    for (map, channels) in blocks.pooled()?.into_iter().zip([64, 192, 768]) {
        computed.out(format!("rgb_tf1.pool{channels}"), map);
    }
    let features = blocks.features;
    let logits = inception.unbiased_logits(&features)?;
    computed.out("rgb_tf1.logits", inception.logits(&features)?);
    computed.out("rgb_tf1.probs_no_bias", inception.probabilities(&features)?);
    computed.out("rgb_tf1.logits_no_bias", logits);
    computed.out("rgb_tf1.features", features);
    Ok(())
}
