//! What a StyleGAN3's checkpoint holds.

use std::fmt::Write as _;

use domex_stylegan2::Tensors;
use domex_stylegan3::Model;
use serde_json::{Value, json};

use super::{Info, count, listed, origin, print_tensors};
use crate::context::Context;
use crate::stdout;

/// The one network that is read.
const NETWORK: &str = "generator_ema";

/// Shows the model.
pub(super) fn run(context: &Context, args: &Info, model: &Model) -> domex_error::Result<()> {
    let tensors = model.g_ema.tensors();
    let mut result = summary(model, &tensors);
    if args.tensors {
        result["tensors"] = listed(NETWORK, &tensors).collect();
    }
    if context.json {
        context.result(&result);
        return Ok(());
    }
    stdout::print(&table(model, &tensors, args.all)?);
    print_tensors(&result);
    Ok(())
}

fn summary(model: &Model, tensors: &Tensors) -> Value {
    json!({
        "kind": domex_stylegan3::model::KIND,
        "generator": model.config(),
        "layers": layers(model).collect::<Vec<_>>(),
        "networks": { NETWORK: { "tensors": tensors.len(), "numbers": count(tensors) } },
        "expansion": null,
        "provenance": model.provenance,
    })
}

/// Names of the layers, such as `L3_52_512`.
fn layers(model: &Model) -> impl Iterator<Item = String> {
    let layers = model.config().synthesis.layers();
    layers.into_iter().map(|layer| layer.name)
}

fn table(model: &Model, tensors: &Tensors, all: bool) -> domex_error::Result<String> {
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
    writeln!(
        out,
        "  {NETWORK:<14} {} tensors, {:.2} million numbers",
        tensors.len(),
        count(tensors) as f64 / 1e6
    )?;
    if model.left_out {
        writeln!(
            out,
            "  note           the file's networks that only training needs are not read"
        )?;
    }
    writeln!(
        out,
        "  domains        none: a StyleGAN3 is not expanded here"
    )?;
    origin(&mut out, &model.provenance, all)?;
    Ok(out)
}
