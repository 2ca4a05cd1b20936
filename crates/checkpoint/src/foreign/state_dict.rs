//! The tensors of a network by their published names.

use std::collections::BTreeMap;

use crate::{Object, Problem, Result, TensorData, Value};

/// The tensors of a network under the keys of its `state_dict`.
///
/// `value` is a dict of tensors (a saved `state_dict`), or a network object: then `_parameters`,
/// `_buffers` and `_modules` are walked as `torch.nn.Module.state_dict` does, leaving out buffers
/// in `_non_persistent_buffers_set`. An object without these (as in TorchScript archives) has
/// its tensors and inner objects as plain attributes.
///
/// # Errors
/// Something else than a tensor where one is expected, no tensor at all, or a name met twice.
pub fn state_dict(value: &Value) -> Result<BTreeMap<String, TensorData>> {
    let mut out = BTreeMap::new();
    match value {
        Value::Dict(entries) => plain(entries, &mut out)?,
        Value::Object(object) => module(object, "", &mut out)?,
        other => {
            let expected = "a network or a dict of tensors";
            return Err(Problem::Type {
                expected,
                found: other.kind(),
            }
            .into());
        }
    }
    if out.is_empty() {
        let found = format!("{} without any", value.kind());
        return Err(Problem::Type {
            expected: "tensors",
            found,
        }
        .into());
    }
    Ok(out)
}

type Tensors = BTreeMap<String, TensorData>;
type Outcome = std::result::Result<(), Problem>;

fn plain(entries: &[(Value, Value)], out: &mut Tensors) -> Outcome {
    for (key, value) in entries {
        let Some(name) = key.as_str() else {
            return Err(Problem::Type {
                expected: "names of tensors as keys",
                found: key.kind(),
            });
        };
        match value {
            Value::Tensor(tensor) => add(name.to_owned(), tensor, out)?,
            Value::None => {}
            // What a layer keeps beside its tensors.
            _ if name.ends_with("_extra_state") => {}
            other => {
                let found = other.kind();
                return Err(Problem::Type {
                    expected: "a tensor",
                    found,
                }
                .within(name));
            }
        }
    }
    Ok(())
}

fn module(object: &Object, prefix: &str, out: &mut Tensors) -> Outcome {
    let part = |name: &str| object.attribute(name).and_then(Value::as_dict);
    if part("_parameters").is_none() && part("_modules").is_none() {
        return attributes(object, prefix, out);
    }
    let skipped = object
        .attribute("_non_persistent_buffers_set")
        .and_then(Value::as_slice);
    let skipped = skipped.unwrap_or_default();
    for (key, value) in part("_parameters").unwrap_or_default() {
        tensor(key, value, prefix, out)?;
    }
    for (key, value) in part("_buffers").unwrap_or_default() {
        if !skipped.contains(key) {
            tensor(key, value, prefix, out)?;
        }
    }
    for (key, value) in part("_modules").unwrap_or_default() {
        match (key.as_str(), value) {
            (_, Value::None) => {}
            (Some(name), Value::Object(inner)) => module(inner, &format!("{prefix}{name}."), out)?,
            _ => {
                return Err(Problem::Type {
                    expected: "a module",
                    found: value.kind(),
                });
            }
        }
    }
    Ok(())
}

fn attributes(object: &Object, prefix: &str, out: &mut Tensors) -> Outcome {
    for (key, value) in object.state.as_dict().unwrap_or_default() {
        match (key.as_str(), value) {
            (Some(_), Value::Tensor(_)) => tensor(key, value, prefix, out)?,
            (Some(name), Value::Object(inner)) => {
                attributes(inner, &format!("{prefix}{name}."), out)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn tensor(key: &Value, value: &Value, prefix: &str, out: &mut Tensors) -> Outcome {
    match (key.as_str(), value) {
        (_, Value::None) => Ok(()),
        (Some(name), Value::Tensor(tensor)) => add(format!("{prefix}{name}"), tensor, out),
        _ => Err(Problem::Type {
            expected: "a tensor",
            found: value.kind(),
        }
        .within(prefix)),
    }
}

fn add(name: String, tensor: &TensorData, out: &mut Tensors) -> Outcome {
    if out.contains_key(&name) {
        return Err(Problem::Duplicate {
            what: "tensor",
            name: crate::error::clean(&name),
        });
    }
    out.insert(name, tensor.clone());
    Ok(())
}
