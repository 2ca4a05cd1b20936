//! Where a file keeps its networks.
//!
//! | file | networks |
//! |---|---|
//! | pickle of stylegan2-ada-pytorch or Domain Expansion, or for them | objects `G_ema`, `G`, `D` |
//! | torch file of rosinality/stylegan2-pytorch | dicts `g_ema`, `g`, `d` |
//! | pickle of the original TensorFlow StyleGAN2 | networks `Gs`, `G`, `D` |
//! | safetensors, or a saved `state_dict` | names below `G_ema.`, `g_ema.`, ..., or no prefix |
//! | pixel2style2pixel, encoder4editing | names below `decoder.` in the dict `state_dict`, rosinality's |
//!
//! What data-parallel training and `torch.compile` put around a network (`module.`, `_orig_mod.`) is left out.

use std::collections::BTreeMap;
use std::sync::Arc;

use domex_checkpoint::foreign::{self, Foreign, Format};
use domex_checkpoint::{TensorData, Value};
use serde_json::Value as Json;

use super::pickle;
use crate::layout::{Weights, tensorflow};
use crate::{Error, Result};

/// A network as the file has it.
#[derive(Default)]
pub struct Source<'a> {
    /// What the file calls it.
    pub name: String,
    /// Tensors under the file's own names, without the network's prefix.
    pub weights: Weights,
    /// The network object of a pickle, with the attributes of its layers.
    pub object: Option<&'a Value>,
    /// The arguments that it was made with, as stylegan2-ada-pytorch names them.
    pub kwargs: Option<Json>,
}

/// The networks of a file.
pub struct Networks<'a> {
    /// The averaged generator.
    pub g_ema: Source<'a>,
    /// The generator as training left it.
    pub g: Option<Source<'a>>,
    /// The discriminator.
    pub discriminator: Option<Source<'a>>,
}

/// Names of a network, first choice first.
const G_EMA: [&str; 5] = ["G_ema", "g_ema", "Gs", "generator_ema", "decoder"];
const G: [&str; 3] = ["G", "g", "generator"];
const D: [&str; 3] = ["D", "d", "discriminator"];

fn all_names() -> impl Iterator<Item = &'static str> {
    G_EMA.into_iter().chain(G).chain(D)
}

type Parts<'a> = BTreeMap<String, Source<'a>>;

/// Finds the networks. A file with one generator only has it for its average.
///
/// # Errors
///
/// A file without a generator, or with something else than tensors in one.
pub fn networks(file: &Foreign) -> Result<Networks<'_>> {
    let mut parts = if file.format == Format::TensorFlow {
        tensorflow(file)?
    } else {
        parts(file)?
    };
    let mut pick = |names: &[&str]| names.iter().find_map(|name| parts.remove(*name));
    let discriminator = pick(&D);
    match (pick(&G_EMA), pick(&G)) {
        (Some(g_ema), g) => Ok(Networks {
            g_ema,
            g,
            discriminator,
        }),
        (None, Some(g_ema)) => Ok(Networks {
            g_ema,
            g: None,
            discriminator,
        }),
        (None, None) => Err(no_generator(file)),
    }
}

fn parts(file: &Foreign) -> Result<Parts<'_>> {
    // A training run's file may have the networks one level deeper.
    let inner = file.value.get("state_dict");
    for root in std::iter::once(&file.value).chain(inner) {
        let parts = parts_of(file, root)?;
        if !parts.is_empty() {
            return Ok(parts);
        }
    }
    Ok(Parts::new())
}

fn parts_of<'a>(file: &'a Foreign, root: &'a Value) -> Result<Parts<'a>> {
    let mut parts = Parts::new();
    for name in all_names() {
        if let Some(value @ (Value::Dict(_) | Value::Object(_))) = root.get(name)
            && !pickle::is_no_network(value)
            && !(name == "G" && is_same_object(value, root.get("G_ema")))
        {
            parts.insert(name.to_string(), source(file, name, value)?);
        }
    }
    let is_outer = root
        .get("state_dict")
        .is_some_and(|inner| inner.as_dict().is_some());
    let is_flat = match root {
        Value::Object(_) => true,
        Value::Dict(_) if is_outer => false,
        Value::Dict(entries) => entries.iter().any(|(_, value)| value.as_tensor().is_some()),
        _ => false,
    };
    if !parts.is_empty() || !is_flat {
        return Ok(parts);
    }
    let whole = source(file, G_EMA[0], root)?;
    for (key, tensor) in &whole.weights {
        if let Some((head, rest)) = key.split_once('.')
            && all_names().any(|name| name == head)
        {
            let part = parts.entry(head.to_string()).or_default();
            part.weights.insert(rest.to_string(), tensor.clone());
        }
    }
    for (name, part) in &mut parts {
        part.name.clone_from(name);
        part.weights = foreign::without_wrappers(std::mem::take(&mut part.weights));
    }
    if parts.is_empty() {
        parts.insert(whole.name.clone(), whole);
    }
    Ok(parts)
}

/// Whether a file has one object under two names, not two that are alike.
fn is_same_object(value: &Value, other: Option<&Value>) -> bool {
    match (value, other) {
        (Value::Object(one), Some(Value::Object(two))) => Arc::ptr_eq(one, two),
        _ => false,
    }
}

fn source<'a>(file: &Foreign, name: &str, value: &'a Value) -> Result<Source<'a>> {
    let value = foreign::unwrapped(value);
    let weights = foreign::state_dict(value).map_err(|error| error.of_file(&file.path))?;
    let kwargs = pickle::kwargs(value);
    // Arguments, or else the attributes of the layers.
    let with_layers = kwargs.is_none() && value.as_object().is_some();
    Ok(Source {
        name: name.to_owned(),
        weights,
        object: with_layers.then_some(value),
        kwargs,
    })
}

impl Source<'_> {
    /// Refuses NaN and infinity, with the network's name before the tensor's.
    ///
    /// # Errors
    ///
    /// The first such number.
    pub fn check_finite(&self, file: &Foreign) -> Result<()> {
        let named = |(tensor, data): (&String, &TensorData)| {
            (format!("{}.{tensor}", self.name), data.clone())
        };
        let named: Weights = self.weights.iter().map(named).collect();
        Ok(domex_checkpoint::check_finite(&file.path, &named)?)
    }
}

fn tensorflow(file: &Foreign) -> Result<Parts<'_>> {
    let mut parts = Parts::new();
    for network in foreign::tensorflow_networks(&file.value)? {
        let kwargs = if D.contains(&network.name.as_str()) {
            tensorflow::discriminator_kwargs(&network)
        } else {
            tensorflow::generator_kwargs(&network)
        };
        let source = Source {
            name: network.name.clone(),
            weights: network.variables,
            object: None,
            kwargs: Some(kwargs),
        };
        parts.insert(network.name, source);
    }
    Ok(parts)
}

fn no_generator(file: &Foreign) -> Error {
    let entries = file.value.as_dict().unwrap_or_default();
    let names: Vec<&str> = entries
        .iter()
        .filter_map(|(key, _)| key.as_str())
        .take(8)
        .collect();
    let found = if names.is_empty() {
        file.value.kind()
    } else {
        names.join(", ").escape_debug().to_string()
    };
    Error::NotAModel {
        problem: format!(
            "the {} holds {found}; expected a generator under G_ema, g_ema or Gs",
            file.format
        ),
    }
}
