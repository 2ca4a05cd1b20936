//! What a StyleGAN3's checkpoint holds.

use std::fmt::Write as _;

use domex_stylegan2::Discriminator;
use domex_stylegan3::Model;
use serde_json::json;

use super::{Facts, mapping};

pub(super) fn facts(model: &Model) -> domex_error::Result<Facts> {
    let mut networks = vec![("generator_ema", model.g_ema.tensors())];
    if let Some(discriminator) = &model.discriminator {
        networks.push(("discriminator", discriminator.tensors()));
    }
    let mut notes = String::new();
    if model.left_out {
        writeln!(
            notes,
            "  note           the generator as training left it is not read"
        )?;
    }
    Ok(Facts {
        networks,
        result: json!({
            "kind": domex_stylegan3::model::KIND,
            "generator": model.config(),
            "discriminator": model.discriminator.as_ref().map(Discriminator::config),
            "layers": layers(model).collect::<Vec<_>>(),
        }),
        head: head(model)?,
        notes,
    })
}

/// Names of the layers, such as `L3_52_512`.
fn layers(model: &Model) -> impl Iterator<Item = String> {
    let layers = model.config().synthesis.layers();
    layers.into_iter().map(|layer| layer.name)
}

fn head(model: &Model) -> domex_error::Result<String> {
    let config = model.config();
    let synthesis = &config.synthesis;
    let side = synthesis.img_resolution;
    let mut out = String::new();
    writeln!(
        out,
        "{}StyleGAN3, configuration {}, {side}×{side} pixels, {} channels",
        match config.c_dim() {
            0 => "",
            _ => "class-conditional ",
        },
        config.name(),
        synthesis.img_channels
    )?;
    mapping(&mut out, &model.g_ema, config.mapping.num_layers)?;
    let input = synthesis.input();
    writeln!(
        out,
        "  begins with    {} waves of up to {} in a picture",
        input.channels, input.bandwidth
    )?;
    let names: Vec<String> = layers(model).collect();
    writeln!(out, "  layers         {}", names.join(" "))?;
    Ok(out)
}
