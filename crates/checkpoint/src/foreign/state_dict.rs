//! The tensors of a network by their published names.

use std::collections::BTreeMap;

use crate::{Object, Problem, Result, TensorData, Value};

/// The tensors of a network under the keys of its `state_dict`.
///
/// `value` is a dict of tensors (a saved `state_dict`), or a network object: then `_parameters`,
/// `_buffers` and `_modules` are walked as `torch.nn.Module.state_dict` does, leaving out buffers
/// in `_non_persistent_buffers_set`. An object without these (as in TorchScript archives) has
/// its tensors and inner objects as plain attributes. A prefix that a wrapper puts before every name is
/// left out: see [`without_wrappers`].
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
    Ok(without_wrappers(out))
}

/// What data-parallel training and `torch.compile` wrap a network in.
const WRAPPERS: [&str; 2] = ["module", "_orig_mod"];

/// Tensors without the prefix (`module.`, `_orig_mod.`) of a wrapper around the whole network, where all names carry
/// it.
#[must_use]
pub fn without_wrappers<T>(mut tensors: BTreeMap<String, T>) -> BTreeMap<String, T> {
    fn rest(name: &str) -> Option<&str> {
        let of = |wrapper: &&str| name.strip_prefix(*wrapper)?.strip_prefix('.');
        WRAPPERS.iter().find_map(of)
    }
    let wrapper = |name: &String| Some(name[..name.len() - rest(name)?.len()].to_owned());
    // Both may be there, one inside the other.
    while let Some(prefix) = tensors.keys().next().and_then(wrapper)
        && tensors.keys().all(|name| name.starts_with(&prefix))
    {
        tensors = tensors
            .into_iter()
            .map(|(name, tensor)| (name[prefix.len()..].to_owned(), tensor))
            .collect();
    }
    tensors
}

/// The network inside the objects that wrap it as a whole: those of data-parallel training and `torch.compile` hold
/// one module and nothing else.
#[must_use]
pub fn unwrapped(mut value: &Value) -> &Value {
    loop {
        let is_empty = |part: &str| {
            let entries = value.get(part).and_then(Value::as_dict);
            entries.is_none_or(<[_]>::is_empty)
        };
        let inner = match value.get("_modules").and_then(Value::as_dict) {
            Some([(name, inner)]) if is_empty("_parameters") && is_empty("_buffers") => {
                let known = name.as_str().is_some_and(|name| WRAPPERS.contains(&name));
                known.then_some(inner)
            }
            _ => None,
        };
        match inner {
            Some(inner) if value.as_object().is_some() => value = inner,
            _ => return value,
        }
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn names(names: &[&str]) -> BTreeMap<String, ()> {
        names.iter().map(|name| ((*name).to_owned(), ())).collect()
    }

    #[test]
    fn a_wrapper_that_all_names_carry_is_left_out() {
        let wrapped = names(&["module._orig_mod.a.b", "module._orig_mod.c"]);
        assert_eq!(without_wrappers(wrapped), names(&["a.b", "c"]));
        for kept in [&["module.a", "b"][..], &["modules.a"], &["module"], &[]] {
            assert_eq!(without_wrappers(names(kept)), names(kept));
        }
    }

    fn module(parts: &[(&str, Vec<(&str, Value)>)]) -> Value {
        let dict = |entries: &[(&str, Value)]| {
            let entries = entries.iter().cloned();
            Value::Dict(entries.map(|(k, v)| (Value::Str(k.into()), v)).collect())
        };
        let parts: Vec<_> = parts.iter().map(|(k, v)| (*k, dict(v))).collect();
        Value::Object(Arc::new(Object {
            class: "torch.nn.parallel.data_parallel.DataParallel".into(),
            persistent: false,
            args: Arc::default(),
            state: dict(&parts),
            items: Arc::default(),
            entries: Arc::default(),
        }))
    }

    #[test]
    fn a_wrapped_object_is_the_network_inside() {
        let tensor = TensorData::from_f32(vec![1], &[1.0]).unwrap();
        let tensor = Value::Tensor(Arc::new(tensor));
        let network = module(&[
            ("_parameters", vec![("weight", tensor)]),
            ("_modules", vec![]),
        ]);
        let wrapper = module(&[
            ("_parameters", vec![]),
            ("_modules", vec![("module", network.clone())]),
        ]);
        assert_eq!(unwrapped(&wrapper), &network);
        assert_eq!(unwrapped(&network), &network);
        let names: Vec<_> = state_dict(&wrapper).unwrap().into_keys().collect();
        assert_eq!(names, ["weight"]);
    }
}
