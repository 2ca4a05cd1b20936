//! Directions and the directional loss, from features.

use candle_core::Tensor;
use domex_clip::{direction, mean_of_units, unit_length};
use domex_nada::direction::{Guard, along};
use serde::Deserialize;

use super::{Inputs, number};
use crate::{Case, Result, computed::Computed};

/// `out.text.*` and `out.img2img.direction`.
pub(in crate::runners) fn text_direction(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let row = |x: Tensor| x.unsqueeze(0);
    let source = mean_of_units(case.input("source_features")?)?;
    let target = mean_of_units(case.input("target_features")?)?;
    computed.out("text.direction", row(direction(&source, &target)?)?);
    computed.out("text.source_mean_unit", row(unit_length(&source)?)?);
    computed.out("text.target_mean_unit", row(unit_length(&target)?)?);
    let normalised = unit_length(case.input("source_features")?)?;
    computed.out("text.source_normalised", normalised);
    let source = mean_of_units(case.input("image_source_features")?)?;
    let target = mean_of_units(case.input("image_target_features")?)?;
    computed.out("img2img.direction", row(direction(&source, &target)?)?);
    Ok(computed)
}

#[derive(Deserialize)]
struct Losses {
    pairs_per_sample: Vec<[String; 2]>,
    mean_pair: [String; 2],
    cosine_eps: f64,
}

/// Summed with a pair for each sample, and averaged with one pair for all.
pub(in crate::runners) fn losses(case: &Case) -> Result<Computed> {
    let (mut computed, inputs) = (Computed::default(), Inputs::new(case)?);
    let config: Losses = case.config()?;
    let (base, edited) = (inputs.get("src_features")?, inputs.get("tgt_features")?);

    let pairs = config.pairs_per_sample.iter();
    let directions = pairs
        .map(|pair| inputs.between(0, pair))
        .collect::<Result<Vec<_>>>()?;
    let directions = Tensor::cat(&directions, 0)?;
    let guard = Guard::Floor(config.cosine_eps);
    let edits = edits(base, edited)?;
    let loss = along(&edits, &directions, guard)?.sum_all()?;
    inputs.answer(&mut computed, "direction_sum", &loss)?;
    computed.out("direction_sum.directions", directions);

    let one = inputs.between(0, &config.mean_pair)?;
    for (name, guard) in [
        ("direction_mean", guard),
        ("direction_mean_eps1e7", Guard::Added(1e-7)),
    ] {
        let loss = along(&edits, &one, guard)?.mean_all()?;
        inputs.answer(&mut computed, name, &loss)?;
    }
    computed.out("direction_mean.direction", one);
    Ok(computed)
}

#[derive(Deserialize)]
struct ByModels {
    weights: Vec<f64>,
    pair: [String; 2],
}

/// The weighted sum over networks of the sum over samples.
pub(in crate::runners) fn by_models(case: &Case) -> Result<Computed> {
    let (mut computed, inputs) = (Computed::default(), Inputs::new(case)?);
    let config: ByModels = case.config()?;
    let mut total = Tensor::zeros((), inputs.get("tgt_features")?.dtype(), case.device())?;
    for (model, weight) in config.weights.iter().enumerate() {
        let n = number(model);
        let base = inputs.get(&format!("src_features{n}"))?;
        let edited = inputs.get(&format!("tgt_features{n}"))?;
        let one = inputs.between(model, &config.pair)?;
        let loss = along(&edits(base, edited)?, &one, Guard::default())?.sum_all()?;
        total = (total + (loss * *weight)?)?;
    }
    inputs.answer(&mut computed, "nada_task", &total)?;
    Ok(computed)
}

/// The way from base to edited features, both brought to length 1.
fn edits(base: &Tensor, edited: &Tensor) -> Result<Tensor> {
    Ok((unit_length(edited)? - unit_length(base)?)?)
}
