//! Network pickles of the original TensorFlow StyleGAN2: a tuple `(G, D, Gs)` of
//! `dnnlib.tflib.network.Network`, whose state is `{version, name, static_kwargs, components,
//! build_module_src, build_func_name, variables}`. Source: `Network.__getstate__` in
//! NVlabs/stylegan2 `dnnlib/tflib/network.py`. The program text in it is ignored.

use std::collections::BTreeMap;

use crate::{Object, Problem, Result, TensorData, Value};

const CLASS: &str = "dnnlib.tflib.network.Network";

/// One network of a TensorFlow pickle.
#[derive(Debug, Clone)]
pub struct TensorFlowNetwork {
    /// Its name in the program: `G`, `D`, `Gs`.
    pub name: String,
    /// Version of the format; StyleGAN2 writes 4, and later programs 5.
    pub version: i64,
    /// The function that builds it: `training.networks_stylegan2.G_main`.
    pub build_func_name: String,
    /// The keyword arguments of that function.
    pub static_kwargs: Value,
    /// Its variables and those of its components, as `component/name`.
    pub variables: BTreeMap<String, TensorData>,
}

/// The networks of a TensorFlow pickle, in the file's order.
///
/// # Errors
/// The value holds no such network, or one lacks its name or variables.
pub fn tensorflow_networks(value: &Value) -> Result<Vec<TensorFlowNetwork>> {
    let items = match value {
        Value::Object(_) => std::slice::from_ref(value),
        _ => value.as_slice().unwrap_or_default(),
    };
    let networks = items
        .iter()
        .filter_map(network)
        .map(TensorFlowNetwork::read);
    let networks = networks.collect::<std::result::Result<Vec<_>, Problem>>()?;
    if networks.is_empty() {
        let expected = "networks of a TensorFlow pickle";
        return Err(Problem::Type {
            expected,
            found: value.kind(),
        }
        .into());
    }
    Ok(networks)
}

/// Whether a pickle holds such networks.
pub(super) fn is_networks(value: &Value) -> bool {
    match value {
        Value::Object(_) => network(value).is_some(),
        _ => value
            .as_slice()
            .is_some_and(|items| items.iter().any(|v| network(v).is_some())),
    }
}

fn network(value: &Value) -> Option<&Object> {
    value.as_object().filter(|object| *object.class == *CLASS)
}

impl TensorFlowNetwork {
    fn read(object: &Object) -> std::result::Result<Self, Problem> {
        let text = |name: &str| {
            let found = object.attribute(name).and_then(Value::as_str);
            found.map(str::to_owned).ok_or_else(|| missing(name))
        };
        let mut variables = BTreeMap::new();
        collect(object, "", &mut variables)?;
        Ok(Self {
            name: text("name")?,
            version: object
                .attribute("version")
                .and_then(Value::as_i64)
                .ok_or_else(|| missing("version"))?,
            build_func_name: text("build_func_name")?,
            static_kwargs: object
                .attribute("static_kwargs")
                .cloned()
                .ok_or_else(|| missing("static_kwargs"))?,
            variables,
        })
    }
}

fn missing(name: &str) -> Problem {
    let hint = "a TensorFlow network keeps it in its state".to_owned();
    Problem::Missing {
        what: "attribute",
        name: name.to_owned(),
        hint,
    }
}

fn collect(
    object: &Object,
    prefix: &str,
    out: &mut BTreeMap<String, TensorData>,
) -> std::result::Result<(), Problem> {
    let variables = object.attribute("variables").and_then(Value::as_slice);
    for pair in variables.ok_or_else(|| missing("variables"))? {
        let (name, tensor) = match pair.as_slice() {
            Some([Value::Str(name), Value::Tensor(tensor)]) => (name, (**tensor).clone()),
            // A variable without dimensions may be kept as a NumPy scalar.
            Some([Value::Str(name), Value::Float(value)]) => {
                #[allow(clippy::cast_possible_truncation)] // TensorFlow's variables are 32-bit.
                let tensor = TensorData::from_f32(Vec::new(), &[*value as f32]);
                (name, tensor.map_err(|_| missing("variables"))?)
            }
            _ => {
                let expected = "a variable (name, array)";
                return Err(Problem::Type {
                    expected,
                    found: pair.kind(),
                }
                .within("variables"));
            }
        };
        let name = format!("{prefix}{name}");
        if out.contains_key(&name) {
            return Err(Problem::Duplicate {
                what: "variable",
                name: crate::error::clean(&name),
            });
        }
        out.insert(name, tensor);
    }
    let components = object.attribute("components").and_then(Value::as_dict);
    for (key, value) in components.unwrap_or_default() {
        if let (Some(name), Value::Object(inner)) = (key.as_str(), value) {
            collect(inner, &format!("{prefix}{name}/"), out)?;
        }
    }
    Ok(())
}
