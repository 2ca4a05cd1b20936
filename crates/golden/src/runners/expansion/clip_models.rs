//! The image encoders of a case's CLIP models, and its directions between texts.
//!
//! A case has no text encoder but text features. An encoder of zeros makes each network whole; nothing
//! asks it anything.

use std::{collections::BTreeMap, sync::Arc};

use candle_core::{DType, Tensor};
use domex_clip::{Clip, Config, Tokenizer, direction, layout, load, mean_of_units};
use domex_nada::{Config as NadaConfig, Guide, Nada};
use serde::Deserialize;

use crate::{Case, Result};

#[derive(Deserialize)]
struct Settings {
    clip: BTreeMap<String, Model>,
    expansion_cfg: Expansion,
}

#[derive(Deserialize)]
struct Model {
    embed_dim: usize,
    heads: usize,
    #[serde(default)]
    antialias: bool,
}

#[derive(Deserialize)]
struct Expansion {
    tasks_losses: BTreeMap<String, TaskLosses>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct TaskLosses {
    clip_models: Vec<String>,
    clip_model_weights: Vec<f64>,
}

/// The directional loss by the networks that the case's text tasks name.
pub(super) fn nada(case: &Case) -> Result<Nada> {
    let settings: Settings = case.config()?;
    let none = TaskLosses::default();
    let losses = settings
        .expansion_cfg
        .tasks_losses
        .get("NADA")
        .unwrap_or(&none);
    let mut guides = Vec::new();
    for (index, name) in losses.clip_models.iter().enumerate() {
        let model = settings
            .clip
            .get(name)
            .ok_or_else(|| case.malformed(format!("config has no CLIP network `{name}`")))?;
        let clip = clip(case, name, model)?;
        let mut guide = Guide::new(name, clip, Arc::new(Tokenizer::with_merges("")?));
        guide.weight = losses.clip_model_weights.get(index).copied().unwrap_or(1.0);
        guide.antialias = model.antialias;
        guides.push(guide);
    }
    Ok(Nada::new(guides, NadaConfig::default())?)
}

/// The unit direction `[1, d]` from one text to another, by the network `model`.
pub(super) fn between(case: &Case, model: &str, source: &str, target: &str) -> Result<Tensor> {
    let mean = |text: &str| -> Result<Tensor> {
        let features = case.input(&format!("text_features.{model}.{text}"))?;
        Ok(mean_of_units(features)?)
    };
    Ok(direction(&mean(source)?, &mean(target)?)?.unsqueeze(0)?)
}

fn clip(case: &Case, name: &str, model: &Model) -> Result<Clip> {
    const WIDTH: usize = 2;
    let prefix = format!("param.clip.{name}.");
    let visual = case.with_prefix(&prefix);
    let mut tensors: layout::Tensors = visual.map(|(n, t)| (n.to_owned(), t.clone())).collect();
    let text: [(&str, &[usize]); 18] = [
        ("token_embedding.weight", &[4, WIDTH]),
        ("positional_embedding", &[4, WIDTH]),
        (
            "transformer.resblocks.0.attn.in_proj_weight",
            &[3 * WIDTH, WIDTH],
        ),
        ("transformer.resblocks.0.attn.in_proj_bias", &[3 * WIDTH]),
        (
            "transformer.resblocks.0.attn.out_proj.weight",
            &[WIDTH, WIDTH],
        ),
        ("transformer.resblocks.0.attn.out_proj.bias", &[WIDTH]),
        ("transformer.resblocks.0.ln_1.weight", &[WIDTH]),
        ("transformer.resblocks.0.ln_1.bias", &[WIDTH]),
        ("transformer.resblocks.0.ln_2.weight", &[WIDTH]),
        ("transformer.resblocks.0.ln_2.bias", &[WIDTH]),
        ("transformer.resblocks.0.mlp.c_fc.weight", &[WIDTH, WIDTH]),
        ("transformer.resblocks.0.mlp.c_fc.bias", &[WIDTH]),
        ("transformer.resblocks.0.mlp.c_proj.weight", &[WIDTH, WIDTH]),
        ("transformer.resblocks.0.mlp.c_proj.bias", &[WIDTH]),
        ("ln_final.weight", &[WIDTH]),
        ("ln_final.bias", &[WIDTH]),
        ("text_projection", &[WIDTH, model.embed_dim]),
        ("logit_scale", &[]),
    ];
    for (name, shape) in text {
        let zeros = Tensor::zeros(shape, DType::F32, case.device())?;
        tensors.insert(name.to_owned(), zeros);
    }
    let ours = layout::to_hugging_face(tensors)?;
    let config = Config::deduce(&load::shapes(&ours))?.with_heads(model.heads, 1)?;
    Ok(Clip::from_tensors(
        ours,
        &config,
        DType::F32,
        case.device(),
    )?)
}
