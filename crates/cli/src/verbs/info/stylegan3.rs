//! What a StyleGAN3's checkpoint holds.

use std::fmt::Write as _;

use domex_stylegan2::{Discriminator, Tensors};
use domex_stylegan3::Model;
use serde_json::{Value, json};

use super::{Info, domains, listed, numbers, origin, print_tensors, sizes};
use crate::context::Context;
use crate::stdout;

/// Shows the model.
pub(super) fn run(context: &Context, args: &Info, model: &Model) -> domex_error::Result<()> {
    let mut networks = vec![("generator_ema", model.g_ema.tensors())];
    if let Some(discriminator) = &model.discriminator {
        networks.push(("discriminator", discriminator.tensors()));
    }
    let mut result = summary(model, &networks);
    if args.tensors {
        let tensors = networks.iter();
        result["tensors"] = tensors.flat_map(|(name, own)| listed(name, own)).collect();
    }
    if context.json {
        context.result(&result);
        return Ok(());
    }
    stdout::print(&table(model, &networks, args.all)?);
    print_tensors(&result);
    Ok(())
}

fn summary(model: &Model, networks: &[(&str, Tensors)]) -> Value {
    json!({
        "kind": domex_stylegan3::model::KIND,
        "generator": model.config(),
        "discriminator": model.discriminator.as_ref().map(Discriminator::config),
        "layers": layers(model).collect::<Vec<_>>(),
        "networks": numbers(networks),
        "expansion": model.expansion().map(|expansion| &expansion.layout),
        "provenance": model.provenance,
    })
}

/// Names of the layers, such as `L3_52_512`.
fn layers(model: &Model) -> impl Iterator<Item = String> {
    let layers = model.config().synthesis.layers();
    layers.into_iter().map(|layer| layer.name)
}

fn table(model: &Model, networks: &[(&str, Tensors)], all: bool) -> domex_error::Result<String> {
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
    writeln!(
        out,
        "  latent         z {}, w {}, {} rows of w",
        config.z_dim(),
        config.w_dim(),
        config.num_ws()
    )?;
    let classes = match config.c_dim() {
        0 => "none".to_owned(),
        classes => classes.to_string(),
    };
    writeln!(out, "  classes        {classes}")?;
    writeln!(out, "  mapping        {} layers", config.mapping.num_layers)?;
    let input = synthesis.input();
    writeln!(
        out,
        "  begins with    {} waves of up to {} in a picture",
        input.channels, input.bandwidth
    )?;
    let names: Vec<String> = layers(model).collect();
    writeln!(out, "  layers         {}", names.join(" "))?;
    sizes(&mut out, networks)?;
    if model.left_out {
        writeln!(
            out,
            "  note           the generator as training left it is not read"
        )?;
    }
    domains(&mut out, model.expansion(), all)?;
    origin(&mut out, &model.provenance, all)?;
    Ok(out)
}
