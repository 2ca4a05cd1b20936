//! `domex info`: what a checkpoint holds.

mod autoencoder;
mod stylegan2;
mod stylegan3;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use candle_core::Tensor;
use clap::Args;
use domex_latent::Generator;
use domex_latent::expansion::Expansion;
use serde_json::{Value, json};

use crate::args::ModelArgs;
use crate::context::Context;
use crate::kinds::Model;
use crate::{models, stdout};

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

/// Networks by the prefix of their tensors.
type Networks = Vec<(&'static str, BTreeMap<String, Tensor>)>;

/// What a generator's kind says of it.
struct Facts {
    networks: Networks,
    /// The result, but for what generators of all kinds have.
    result: Value,
    /// Lines above those that all kinds have.
    head: String,
    /// Lines below the sizes of the networks.
    notes: String,
}

/// Runs the verb.
pub fn run(context: &Context, args: &Info) -> domex_error::Result<()> {
    let model = models::load_all(context, &args.model)?;
    let Facts {
        networks,
        mut result,
        head: mut out,
        notes,
    } = match &model {
        Model::StyleGan2(model) => stylegan2::facts(model)?,
        Model::StyleGan3(model) => stylegan3::facts(model)?,
        Model::DiffAe(model) => autoencoder::facts(model)?,
    };
    result["networks"] = numbers(&networks);
    result["expansion"] = json!(model.expansion().map(|expansion| &expansion.layout));
    result["provenance"] = model.provenance().clone();
    if args.tensors {
        let networks = networks.iter();
        result["tensors"] = networks.flat_map(|(name, own)| listed(name, own)).collect();
    }
    if context.json {
        context.result(&result);
        return Ok(());
    }
    sizes(&mut out, &networks)?;
    out.push_str(&notes);
    domains(&mut out, model.expansion(), args.all)?;
    origin(&mut out, model.provenance(), args.all)?;
    stdout::print(&out);
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
fn numbers(networks: &Networks) -> Value {
    let numbers = networks.iter().map(|(name, tensors)| {
        (
            (*name).to_owned(),
            json!({ "tensors": tensors.len(), "numbers": count(tensors) }),
        )
    });
    Value::Object(numbers.collect())
}

/// The lines of a StyleGAN's mapping network, of so many layers.
fn mapping(out: &mut String, generator: &dyn Generator, layers: usize) -> std::fmt::Result {
    writeln!(
        out,
        "  latent         z {}, w {}, {} rows of w",
        generator.noise_dim(),
        generator.latent_dim(),
        generator.layers()
    )?;
    let classes = match generator.label_dim() {
        0 => "none".to_owned(),
        classes => classes.to_string(),
    };
    writeln!(out, "  classes        {classes}")?;
    writeln!(out, "  mapping        {layers} layers")
}

/// A line for each network.
fn sizes(out: &mut String, networks: &Networks) -> std::fmt::Result {
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
