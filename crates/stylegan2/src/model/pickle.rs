//! Network pickles for the programs of NVlabs.
//!
//! Such a pickle is a dict of `G`, `D`, `G_ema`, `training_set_kwargs` and `augment_pipe`. Those that the programs write carry the
//! source text of their networks; ours names the classes, which the user's own copy of the program has, with the arguments
//! they are made with and the weights ([`domex_checkpoint::pickle`]).

use std::path::Path;
use std::sync::Arc;

use domex_checkpoint::container::Overwrite;
use domex_checkpoint::{Object, TensorData, Value, pickle};
use serde_json::Value as Json;

use super::{Model, snapshot};
use crate::Result;
use crate::weights::Tensors;

/// Whose copy opens a network pickle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Program {
    /// NVlabs/stylegan2-ada-pytorch, and what builds on it.
    Stylegan2AdaPytorch,
    /// NVlabs/stylegan3, and what builds on it.
    Stylegan3,
}

/// What stands for a discriminator that a model does not have: `legacy.load_network_pkl` wants a module there.
const NO_NETWORK: &str = "torch.nn.Identity";

/// Whether an object holds no network.
pub(super) fn is_no_network(value: &Value) -> bool {
    let class = value.as_object().map_or("", |object| &object.class);
    class.starts_with("torch.nn.") && class.ends_with(".Identity")
}

/// The arguments of a network that a pickle calls by its class, as stylegan2-ada-pytorch takes them.
pub(super) fn kwargs(value: &Value) -> Option<Json> {
    let object = value.as_object().filter(|object| !object.persistent)?;
    let [kwargs @ Value::Dict(_)] = &*object.args else {
        return None;
    };
    let mut kwargs = kwargs.to_json();
    let is_generator = object.class.ends_with(".Generator");
    if is_generator && kwargs.get("synthesis_kwargs").is_none() {
        // stylegan3 has those of the synthesis beside the others.
        kwargs["synthesis_kwargs"] = kwargs.clone();
    }
    Some(kwargs)
}

impl Program {
    fn class(self, name: &str) -> String {
        match self {
            Self::Stylegan2AdaPytorch => format!("training.networks.{name}"),
            Self::Stylegan3 => format!("training.networks_stylegan2.{name}"),
        }
    }

    /// The arguments of a generator as this program takes them.
    fn generator_kwargs(self, mut kwargs: Json) -> Json {
        if self == Self::Stylegan3
            && let Some(all) = kwargs.as_object_mut()
            && let Some(Json::Object(synthesis)) = all.remove("synthesis_kwargs")
        {
            all.extend(synthesis);
        }
        kwargs
    }
}

pub(super) fn save(
    model: &Model,
    path: &Path,
    program: Program,
    overwrite: Overwrite,
) -> Result<()> {
    Ok(pickle::write(path, &value(model, program)?, overwrite)?)
}

/// All that the pickle holds.
fn value(model: &Model, program: Program) -> Result<Value> {
    let generator = |generator: &crate::Generator| {
        let kwargs = program.generator_kwargs(generator.config().to_kwargs()?);
        module(program.class("Generator"), &kwargs, &generator.tensors())
    };
    let g_ema = generator(&model.g_ema)?;
    let g = match &model.g {
        Some(g) => generator(g)?,
        None => g_ema.clone(),
    };
    let d = match &model.discriminator {
        Some(d) => {
            let kwargs = d.config().to_kwargs()?;
            module(program.class("Discriminator"), &kwargs, &d.tensors())?
        }
        None => object(NO_NETWORK.to_owned(), Arc::default(), Value::None),
    };
    let mut entries = vec![
        ("G", g),
        ("D", d),
        ("G_ema", g_ema),
        ("training_set_kwargs", Value::None),
        ("augment_pipe", Value::None),
    ];
    if let Some(expansion) = &model.expansion {
        entries.extend(snapshot::entries(expansion)?);
    }
    Ok(dict(entries))
}

pub(super) fn dict<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Value)>) -> Value {
    let entries = entries.into_iter();
    Value::Dict(
        entries
            .map(|(key, value)| (Value::Str(key.into()), value))
            .collect(),
    )
}

fn module(class: String, kwargs: &Json, tensors: &Tensors) -> Result<Value> {
    let state = tensors.iter().map(|(name, tensor)| {
        let data = TensorData::from_tensor(tensor)?;
        Ok((name.as_str(), Value::Tensor(Arc::new(data))))
    });
    let state = dict(state.collect::<Result<Vec<_>>>()?);
    Ok(object(class, Arc::new([Value::from_json(kwargs)]), state))
}

fn object(class: String, args: Arc<[Value]>, state: Value) -> Value {
    Value::Object(Arc::new(Object {
        class: class.into(),
        persistent: false,
        args,
        state,
        items: Arc::default(),
        entries: Arc::default(),
    }))
}
