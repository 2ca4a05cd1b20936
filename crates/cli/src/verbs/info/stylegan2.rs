//! What a StyleGAN2's checkpoint holds.

use std::fmt::Write as _;

use domex_stylegan2::{Discriminator, Model};
use serde_json::json;

use super::{Facts, mapping, text};

pub(super) fn facts(model: &Model) -> domex_error::Result<Facts> {
    let mut networks = vec![("generator_ema", model.g_ema.tensors())];
    if let Some(generator) = &model.g {
        networks.push(("generator", generator.tensors()));
    }
    if let Some(discriminator) = &model.discriminator {
        networks.push(("discriminator", discriminator.tensors()));
    }
    Ok(Facts {
        networks,
        result: json!({
            "kind": domex_stylegan2::model::KIND,
            "generator": model.config(),
            "discriminator": model.discriminator.as_ref().map(Discriminator::config),
        }),
        head: head(model)?,
        notes: String::new(),
    })
}

fn head(model: &Model) -> domex_error::Result<String> {
    let config = model.config();
    let synthesis = &config.synthesis;
    let mut out = String::new();
    let side = synthesis.img_resolution;
    writeln!(
        out,
        "{}StyleGAN2, {side}×{side} pixels, {}",
        match config.c_dim() {
            0 => "",
            _ => "class-conditional ",
        },
        match synthesis.img_channels {
            1 => "grey (1 channel)".to_owned(),
            channels => format!("{channels} channels"),
        }
    )?;
    mapping(&mut out, &model.g_ema, config.mapping.num_layers)?;
    writeln!(
        out,
        "  architecture   {}",
        text(&serde_json::to_value(synthesis.architecture)?)
    )?;
    let channels = synthesis.channels.iter();
    let features: Vec<String> = channels.map(|(side, n)| format!("{side}²:{n}")).collect();
    writeln!(out, "  features       {}", features.join(" "))?;
    Ok(out)
}
