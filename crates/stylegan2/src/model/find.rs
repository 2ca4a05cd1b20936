//! Where a file keeps its networks.
//!
//! | file | networks |
//! |---|---|
//! | pickle of stylegan2-ada-pytorch or Domain Expansion | objects `G_ema`, `G`, `D` |
//! | torch file of rosinality/stylegan2-pytorch | dicts `g_ema`, `g`, `d` |
//! | pickle of the original TensorFlow StyleGAN2 | networks `Gs`, `G`, `D` |
//! | safetensors, or a saved `state_dict` | names below `G_ema.`, `g_ema.`, ..., or no prefix |

use std::collections::BTreeMap;

use domex_checkpoint::Value;
use domex_checkpoint::foreign::{self, Foreign, Format};
use serde_json::Value as Json;

use crate::layout::{Weights, tensorflow};
use crate::{Error, Result};

/// A network as the file has it.
#[derive(Default)]
pub(super) struct Source<'a> {
    /// Tensors under the file's own names, without the network's prefix.
    pub weights: Weights,
    /// The network object of a pickle, with the attributes of its layers.
    pub object: Option<&'a Value>,
    /// The arguments that it was made with, as stylegan2-ada-pytorch names them.
    pub kwargs: Option<Json>,
}

/// The networks of a file.
pub(super) struct Networks<'a> {
    pub g_ema: Source<'a>,
    pub g: Option<Source<'a>>,
    pub discriminator: Option<Source<'a>>,
}

/// Names of a network, first choice first.
const G_EMA: [&str; 4] = ["G_ema", "g_ema", "Gs", "generator_ema"];
const G: [&str; 3] = ["G", "g", "generator"];
const D: [&str; 3] = ["D", "d", "discriminator"];

fn all_names() -> impl Iterator<Item = &'static str> {
    G_EMA.into_iter().chain(G).chain(D)
}

type Parts<'a> = BTreeMap<String, Source<'a>>;

/// Finds the networks. A file with one generator only has it for its average.
pub(super) fn networks(file: &Foreign) -> Result<Networks<'_>> {
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
    let mut parts = Parts::new();
    for name in all_names() {
        if let Some(value @ (Value::Dict(_) | Value::Object(_))) = file.value.get(name) {
            parts.insert(name.to_string(), source(file, value)?);
        }
    }
    let is_flat = match &file.value {
        Value::Object(_) => true,
        Value::Dict(entries) => entries.iter().any(|(_, value)| value.as_tensor().is_some()),
        _ => false,
    };
    if !parts.is_empty() || !is_flat {
        return Ok(parts);
    }
    let whole = source(file, &file.value)?;
    for (key, tensor) in &whole.weights {
        if let Some((head, rest)) = key.split_once('.')
            && all_names().any(|name| name == head)
        {
            let part = parts.entry(head.to_string()).or_default();
            part.weights.insert(rest.to_string(), tensor.clone());
        }
    }
    if parts.is_empty() {
        parts.insert(G_EMA[0].to_string(), whole);
    }
    Ok(parts)
}

fn source<'a>(file: &Foreign, value: &'a Value) -> Result<Source<'a>> {
    Ok(Source {
        weights: file.weights(value)?,
        object: value.as_object().map(|_| value),
        kwargs: None,
    })
}

fn tensorflow(file: &Foreign) -> Result<Parts<'_>> {
    let mut parts = Parts::new();
    for network in foreign::tensorflow_networks(&file.value)? {
        domex_checkpoint::check_finite(&file.path, &network.variables)?;
        let kwargs = if D.contains(&network.name.as_str()) {
            tensorflow::discriminator_kwargs(&network)
        } else {
            tensorflow::generator_kwargs(&network)
        };
        let source = Source {
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
