//! The domains of a Domain Expansion snapshot.
//!
//! A snapshot of adobe-research/domain-expansion has beside its networks `latent_basis: [D, K]`
//! (one direction per column), `repurposed_dims`, `subspace_distance` and `expansion_cfg.tasks`.
//! The basis is kept bit for bit: a column's sign decides in which direction its domain lies.

use candle_core::{Device, Tensor};
use domex_checkpoint::Value;
use domex_latent::expansion::{Expansion, given};
use domex_latent::subspace::Layout;
use serde_json::Value as Json;

use crate::{Error, Result};

/// Reads the top level of a snapshot, with the generator's mean of w `[D]`; `None` where it is
/// not an expanded one.
pub(super) fn expansion(file: &Value, mean: &Tensor) -> Result<Option<Expansion>> {
    let Some(basis) = file.get("latent_basis").and_then(Value::as_tensor) else {
        return Ok(None);
    };
    let basis = given(basis.to_tensor(&Device::Cpu)?, mean.elem_count())?;
    let dimensions = dimensions(file)?;
    let distance = file
        .get("subspace_distance")
        .and_then(Value::as_f64)
        .ok_or_else(|| wrong("subspace_distance", file, "a number"))?;
    let tasks = file
        .path(&["expansion_cfg", "tasks"])
        .and_then(Value::as_slice)
        .unwrap_or_default();
    if !tasks.is_empty() && tasks.len() != dimensions.len() {
        return Err(Error::config(
            "expansion_cfg.tasks",
            tasks.len(),
            format!("{}, as many as repurposed_dims", dimensions.len()),
        ));
    }
    let mut layout = Layout::new(basis.count());
    for (index, dimension) in dimensions.into_iter().enumerate() {
        let task = tasks.get(index).map_or(Json::Null, Value::to_json);
        let name = free_name(&layout, &domain_name(&task, dimension));
        layout.add(&name, task, Some(dimension), distance)?;
    }
    Ok(Some(Expansion::new(layout, basis, mean.clone())?))
}

fn dimensions(file: &Value) -> Result<Vec<usize>> {
    let numbers = match file.get("repurposed_dims") {
        Some(Value::Tensor(tensor)) => tensor.to_i64_vec().ok(),
        Some(list) => list
            .as_slice()
            .and_then(|items| items.iter().map(Value::as_i64).collect()),
        None => None,
    };
    let sizes: Option<Vec<usize>> =
        numbers.and_then(|dims| dims.into_iter().map(|dim| dim.try_into().ok()).collect());
    sizes.ok_or_else(|| {
        wrong(
            "repurposed_dims",
            file,
            "a list of whole numbers, 0 or more",
        )
    })
}

fn wrong(key: &str, file: &Value, expected: &str) -> Error {
    let found = file.get(key).map_or("nothing".to_string(), Value::kind);
    Error::config(key, found, expected)
}

/// What a task is about: the text of its target, else its type and dimension.
fn domain_name(task: &Json, dimension: usize) -> String {
    let text = |value: &Json| {
        let text = value
            .as_str()
            .map(str::trim)
            .filter(|text| !text.is_empty());
        text.map(str::to_string)
    };
    text(&task["args"]["target_text"])
        .or_else(|| text(&task["type"]).map(|kind| format!("{kind} {dimension}")))
        .unwrap_or_else(|| format!("domain {dimension}"))
}

/// The name, numbered where several tasks have the same target.
fn free_name(layout: &Layout, name: &str) -> String {
    let taken = |name: &str| layout.domains().iter().any(|domain| domain.name == name);
    if !taken(name) {
        return name.to_string();
    }
    (2..)
        .map(|count| format!("{name} {count}"))
        .find(|name| !taken(name))
        .unwrap_or_default()
}
