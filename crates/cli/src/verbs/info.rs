//! `domex info`: what a checkpoint holds.

mod autoencoder;
mod stylegan3;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use candle_core::Tensor;
use clap::Args;
use domex_latent::expansion::Expansion;
use domex_stylegan2::{Model, Tensors};
use serde_json::{Value, json};

use crate::args::ModelArgs;
use crate::context::Context;
use crate::stdout;
use crate::{kinds, models};

/// Flags of `domex info`.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex info --model ffhq.pkl\n  domex info --model expanded.safetensors --json\n  domex info --model ffhq.pkl --tensors\n  domex info --model expanded.safetensors --all"
)]
pub struct Info {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// List every tensor with its shape
    #[arg(long)]
    pub tensors: bool,
    /// List all domains and all that is known of where the weights come from
    #[arg(long)]
    pub all: bool,
}

/// Domains that a screen has room for.
const MOST_DOMAINS: usize = 12;

/// Runs the verb.
pub fn run(context: &Context, args: &Info) -> domex_error::Result<()> {
    let model = match models::load_all(context, &args.model)? {
        kinds::Model::StyleGan2(model) => *model,
        kinds::Model::StyleGan3(model) => return stylegan3::run(context, args, &model),
        kinds::Model::DiffAe(model) => return autoencoder::run(context, args, &model),
    };
    let networks = networks(&model);
    let mut result = summary(&model, &networks);
    if args.tensors {
        result["tensors"] = networks
            .iter()
            .flat_map(|(name, tensors)| listed(name, tensors))
            .collect();
    }
    if context.json {
        context.result(&result);
        return Ok(());
    }
    stdout::print(&table(&model, &networks, args.all)?);
    print_tensors(&result);
    Ok(())
}

/// The tensors of the result, one a line.
fn print_tensors(result: &Value) {
    for tensor in result["tensors"].as_array().into_iter().flatten() {
        stdout::line(&format!(
            "{}  {}  {}",
            text(&tensor["name"]),
            tensor["shape"],
            text(&tensor["dtype"])
        ));
    }
}

/// Every network that the model holds, under its prefix in the container.
fn networks(model: &Model) -> Vec<(&'static str, Tensors)> {
    let mut networks = vec![("generator_ema", model.g_ema.tensors())];
    if let Some(generator) = &model.g {
        networks.push(("generator", generator.tensors()));
    }
    if let Some(discriminator) = &model.discriminator {
        networks.push(("discriminator", discriminator.tensors()));
    }
    networks
}

fn count(tensors: &BTreeMap<String, Tensor>) -> usize {
    tensors.values().map(Tensor::elem_count).sum()
}

fn listed<'a>(
    network: &'a str,
    tensors: &'a BTreeMap<String, Tensor>,
) -> impl Iterator<Item = Value> + 'a {
    tensors.iter().map(move |(name, tensor)| {
        json!({
            "name": format!("{network}.{name}"),
            "shape": tensor.dims(),
            "dtype": tensor.dtype().as_str(),
        })
    })
}

/// How many tensors and numbers each network has.
fn numbers(networks: &[(&str, Tensors)]) -> Value {
    let numbers = networks.iter().map(|(name, tensors)| {
        (
            (*name).to_owned(),
            json!({ "tensors": tensors.len(), "numbers": count(tensors) }),
        )
    });
    Value::Object(numbers.collect())
}

fn summary(model: &Model, networks: &[(&str, Tensors)]) -> Value {
    json!({
        "kind": "stylegan2",
        "generator": model.config(),
        "discriminator": model.discriminator.as_ref().map(domex_stylegan2::Discriminator::config),
        "networks": numbers(networks),
        "expansion": model.expansion().map(|expansion| &expansion.layout),
        "provenance": model.provenance,
    })
}

fn table(model: &Model, networks: &[(&str, Tensors)], all: bool) -> domex_error::Result<String> {
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
    writeln!(
        out,
        "  latent         z {}, w {}, {} rows of w",
        config.z_dim(),
        config.w_dim(),
        config.num_ws()
    )?;
    writeln!(
        out,
        "  classes        {}",
        if config.c_dim() == 0 {
            "none".to_owned()
        } else {
            config.c_dim().to_string()
        }
    )?;
    writeln!(out, "  mapping        {} layers", config.mapping.num_layers)?;
    writeln!(
        out,
        "  architecture   {}",
        text(&serde_json::to_value(synthesis.architecture)?)
    )?;
    let features: Vec<String> = synthesis
        .channels
        .iter()
        .map(|(side, n)| format!("{side}²:{n}"))
        .collect();
    writeln!(out, "  features       {}", features.join(" "))?;
    sizes(&mut out, networks)?;
    domains(&mut out, model.expansion(), all)?;
    origin(&mut out, &model.provenance, all)?;
    Ok(out)
}

/// A line for each network.
fn sizes(out: &mut String, networks: &[(&str, Tensors)]) -> std::fmt::Result {
    for (name, tensors) in networks {
        writeln!(
            out,
            "  {name:<14} {} tensors, {:.2} million numbers",
            tensors.len(),
            count(tensors) as f64 / 1e6
        )?;
    }
    Ok(())
}

fn domains(out: &mut String, expansion: Option<&Expansion>, all: bool) -> std::fmt::Result {
    let Some(expansion) = expansion else {
        return writeln!(out, "  domains        none: this model is not expanded");
    };
    writeln!(
        out,
        "  domains        {} of {} dimensions",
        expansion.layout.domains().len(),
        expansion.layout.dimensions()
    )?;
    let domains = expansion.layout.domains();
    let shown = if all { domains.len() } else { MOST_DOMAINS };
    for domain in domains.iter().take(shown) {
        writeln!(
            out,
            "    {:<20} dimension {:>4}, distance {}",
            domain.name, domain.dimension, domain.distance
        )?;
    }
    match domains.len().saturating_sub(shown) {
        0 => Ok(()),
        more => writeln!(out, "    {more} more; --all lists them"),
    }
}

/// Where the weights come from; without `all` in outline.
fn origin(out: &mut String, value: &Value, all: bool) -> std::fmt::Result {
    writeln!(out, "  provenance")?;
    if all {
        return provenance(out, value, 4);
    }
    provenance(out, &outline(value), 4)?;
    writeln!(out, "    settings: --all")
}

/// Without settings and lists: programs, data, lengths, seeds.
fn outline(value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let short = |(key, value): (&String, &Value)| {
                let left_out = key == "config" || value.is_array() || value.is_null();
                (!left_out).then(|| (key.clone(), outline(value)))
            };
            Value::Object(entries.iter().filter_map(short).collect())
        }
        value => value.clone(),
    }
}

/// An object as indented `key value` lines.
fn provenance(out: &mut String, value: &Value, indent: usize) -> std::fmt::Result {
    for (key, value) in value.as_object().into_iter().flatten() {
        match value {
            Value::Object(_) => {
                writeln!(out, "{:indent$}{key}", "")?;
                provenance(out, value, indent + 2)?;
            }
            value => writeln!(out, "{:indent$}{key} {}", "", text(value))?,
        }
    }
    Ok(())
}

/// A string without its quotes, anything else as JSON.
fn text(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
