//! What a foreign file holds, as plain data.

use std::sync::Arc;

use crate::{Bytes, TensorData};

/// A node of the tree that a foreign file holds.
///
/// Parts may be shared, so that cloning is cheap; the readers bound the number of nodes that a
/// walk meets and the depth, so a recursive walk is safe. No cycle is ever built.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Python's `None`.
    None,
    /// A truth value, also a NumPy one.
    Bool(bool),
    /// An integer, also a NumPy scalar.
    Int(i64),
    /// An integer beyond 64 bits.
    BigInt(i128),
    /// A floating-point number, also a NumPy scalar.
    Float(f64),
    /// Text.
    Str(Arc<str>),
    /// Raw bytes.
    Bytes(Arc<Bytes>),
    /// A list.
    List(Arc<[Value]>),
    /// A tuple, also `torch.Size`.
    Tuple(Arc<[Value]>),
    /// A set, in the file's order.
    Set(Arc<[Value]>),
    /// A mapping in the file's order: `dict`, `OrderedDict`, `EasyDict`.
    Dict(Arc<[(Value, Value)]>),
    /// A tensor, parameter, storage or NumPy array.
    Tensor(Arc<TensorData>),
    /// A class or function that is mentioned but not used: `torch.float32`.
    Global(Arc<str>),
    /// An instance of any other class: its description, never the thing itself.
    Object(Arc<Object>),
}

/// An instance of a class, as data. Nothing of the class is run.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// `module.Class`; for an object of `torch_utils.persistence` the bare class name.
    pub class: Arc<str>,
    /// Whether it is an object of `torch_utils.persistence`, that is a network or a layer.
    pub persistent: bool,
    /// Arguments given to the class or function that makes it.
    pub args: Arc<[Value]>,
    /// What its `__setstate__` would get, mostly a dict of attributes.
    pub state: Value,
    /// Elements, where the class is a list of some kind.
    pub items: Arc<[Value]>,
    /// Entries, where the class is a mapping of some kind.
    pub entries: Arc<[(Value, Value)]>,
}

impl Value {
    /// The entry of that name in a mapping, or the attribute of that name of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Dict(entries) => lookup(entries, key),
            Self::Object(object) => object.attribute(key),
            _ => None,
        }
    }

    /// The value at a path of names: `path(&["G_ema", "_init_kwargs", "z_dim"])`.
    pub fn path(&self, keys: &[&str]) -> Option<&Self> {
        keys.iter().try_fold(self, |value, key| value.get(key))
    }

    /// The truth value.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// The integer. A tensor of one integer counts too.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Tensor(t) if t.elements() == 1 => t.to_i64_vec().ok()?.first().copied(),
            _ => None,
        }
    }

    /// The number. Integers and tensors of one element count too.
    #[allow(clippy::cast_precision_loss)]
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            Self::Int(value) => Some(*value as f64),
            Self::Tensor(t) if t.elements() == 1 => t.to_f64_vec().first().copied(),
            _ => None,
        }
    }

    /// The text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Str(text) => Some(text),
            _ => None,
        }
    }

    /// The raw bytes.
    pub fn as_bytes(&self) -> Option<&[u8]> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The elements of a list, tuple or set.
    pub fn as_slice(&self) -> Option<&[Self]> {
        match self {
            Self::List(items) | Self::Tuple(items) | Self::Set(items) => Some(items),
            _ => None,
        }
    }

    /// The entries of a mapping.
    pub fn as_dict(&self) -> Option<&[(Self, Self)]> {
        match self {
            Self::Dict(entries) => Some(entries),
            _ => None,
        }
    }

    /// The tensor.
    pub fn as_tensor(&self) -> Option<&TensorData> {
        match self {
            Self::Tensor(tensor) => Some(tensor),
            _ => None,
        }
    }

    /// The object.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// What kind of value it is, for messages.
    pub fn kind(&self) -> String {
        match self {
            Self::None => "None".to_owned(),
            Self::Bool(_) => "a truth value".to_owned(),
            Self::Int(_) | Self::BigInt(_) => "an integer".to_owned(),
            Self::Float(_) => "a number".to_owned(),
            Self::Str(_) => "text".to_owned(),
            Self::Bytes(_) => "bytes".to_owned(),
            Self::List(items) => format!("a list of {}", items.len()),
            Self::Tuple(items) => format!("a tuple of {}", items.len()),
            Self::Set(items) => format!("a set of {}", items.len()),
            Self::Dict(entries) => format!("a dict of {}", entries.len()),
            Self::Tensor(t) => format!("a tensor of {} {:?}", t.dtype(), t.shape()),
            Self::Global(name) => format!("the name {}", crate::error::clean(name)),
            Self::Object(object) => format!("an object of {}", crate::error::clean(&object.class)),
        }
    }

    /// A JSON document as a value: arrays become lists, objects dicts.
    pub fn from_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::None,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => match (number.as_i64(), number.as_u64()) {
                (Some(value), _) => Self::Int(value),
                (None, Some(value)) => Self::BigInt(value.into()),
                (None, None) => Self::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Json::String(text) => Self::Str(text.as_str().into()),
            Json::Array(items) => Self::List(items.iter().map(Self::from_json).collect()),
            Json::Object(entries) => Self::Dict(
                entries
                    .iter()
                    .map(|(key, value)| (Self::Str(key.as_str().into()), Self::from_json(value)))
                    .collect(),
            ),
        }
    }

    /// The value as JSON: for configurations, and to show a file's content.
    ///
    /// Tensors become `{"dtype", "shape"}`, other objects their class and attributes, bytes their
    /// length, and numbers that JSON lacks their name as text.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::{Value as Json, json};
        match self {
            Self::None => Json::Null,
            Self::Bool(value) => json!(value),
            Self::Int(value) => json!(value),
            Self::BigInt(value) => json!(value.to_string()),
            Self::Float(value) if value.is_finite() => json!(value),
            Self::Float(value) => json!(value.to_string()),
            Self::Str(text) | Self::Global(text) => json!(&**text),
            Self::Bytes(bytes) => json!({ "bytes": bytes.len() }),
            Self::List(items) | Self::Tuple(items) | Self::Set(items) => {
                items.iter().map(Self::to_json).collect()
            }
            Self::Dict(entries) => json_map(entries),
            Self::Tensor(t) => json!({ "dtype": t.dtype().to_string(), "shape": t.shape() }),
            Self::Object(object) => json!({
                "class": &*object.class,
                "args": object.args.iter().map(Self::to_json).collect::<Json>(),
                "state": object.state.to_json(),
                "items": object.items.iter().map(Self::to_json).collect::<Json>(),
                "entries": json_map(&object.entries),
            }),
        }
    }
}

impl Object {
    /// The attribute of that name, or the entry of that name where the class is a mapping.
    pub fn attribute(&self, name: &str) -> Option<&Value> {
        let state = match &self.state {
            Value::Dict(entries) => lookup(entries, name),
            // Classes with `__slots__` give a pair: attributes, and slots.
            Value::Tuple(pair) => pair.iter().find_map(|part| lookup(part.as_dict()?, name)),
            _ => None,
        };
        state.or_else(|| lookup(&self.entries, name))
    }
}

fn lookup<'a>(entries: &'a [(Value, Value)], key: &str) -> Option<&'a Value> {
    entries
        .iter()
        .find(|(k, _)| k.as_str() == Some(key))
        .map(|(_, value)| value)
}

fn json_map(entries: &[(Value, Value)]) -> serde_json::Value {
    let pairs = entries.iter().map(|(key, value)| {
        let key = match key {
            Value::Str(text) => text.to_string(),
            other => other.to_json().to_string(),
        };
        (key, value.to_json())
    });
    serde_json::Value::Object(pairs.collect())
}
