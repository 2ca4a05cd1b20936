//! The domains of a Domain Expansion snapshot.
//!
//! A snapshot of adobe-research/domain-expansion has beside its networks `latent_basis: [D, K]`
//! (one direction per column), `repurposed_dims`, `subspace_distance` and `expansion_cfg.tasks`.
//! The basis is kept bit for bit: a column's sign decides in which direction its domain lies. A task that we wrote also has the
//! `name` of its domain, which the published program leaves alone.

use std::sync::Arc;

use candle_core::{Device, Tensor};
use domex_checkpoint::{Dtype, TensorData, Value};
use domex_latent::expansion::{Expansion, given};
use domex_latent::subspace::{Domain, Layout};
use serde_json::Value as Json;

use super::pickle::dict;
use crate::{Error, Result};

/// The key under which a task that we wrote has the name of its domain.
const NAME: &str = "name";

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
        let mut task = tasks.get(index).map_or(Json::Null, Value::to_json);
        let own = task.as_object_mut().and_then(|task| task.remove(NAME));
        let name = match own {
            Some(Json::String(name)) => name,
            _ => domain_name(&task, dimension),
        };
        let name = free_name(&layout, &name);
        layout.add(&name, task, Some(dimension), distance)?;
    }
    Ok(Some(Expansion::new(layout, basis, mean.clone())?))
}

/// What the top level of a snapshot says of the domains; [`expansion`] reads it back.
///
/// # Errors
///
/// Domains that a snapshot cannot say.
pub(super) fn entries(expansion: &Expansion) -> Result<Vec<(&'static str, Value)>> {
    let layout = &expansion.layout;
    let domains = layout.domains();
    let refused = |what: &str, names: Vec<&str>, to_do: &str| {
        Err(Error::config(
            format!("domains {what}"),
            names.join(", "),
            to_do,
        ))
    };
    let names = || domains.iter().map(|domain| domain.name.as_str());
    if expansion.has_vectors() {
        let to_do = "a network of plain weights; bake one in with `domex domains fuse`, or take them off with `domex domains remove`";
        return refused("beside the weights", names().collect(), to_do);
    }
    let Some(first) = domains.first() else {
        return Ok(Vec::new());
    };
    #[allow(clippy::float_cmp)] // Stored, not computed.
    let far = |domain: &&Domain| domain.distance != first.distance;
    if domains.iter().any(|domain| far(&domain)) {
        let all = domains
            .iter()
            .map(|d| format!("{} at {}", d.name, d.distance));
        let all: Vec<String> = all.collect();
        let to_do = "one distance for all, which is what such a file has; take the others off with `domex domains remove`";
        return refused(
            "at several distances",
            all.iter().map(String::as_str).collect(),
            to_do,
        );
    }
    if layout.base().len() + domains.len() != layout.dimensions() {
        let to_do = "a base subspace of all directions that no domain has";
        return refused(
            "beside a base subspace that is listed",
            names().collect(),
            to_do,
        );
    }
    let tasks = domains.iter().map(|domain| {
        let mut task = domain.task.clone();
        if !task.is_object() {
            task = Json::Object(serde_json::Map::new());
        }
        task[NAME] = Json::from(domain.name.as_str());
        Value::from_json(&task)
    });
    let dimensions = domains.iter().map(|domain| domain.dimension as u64);
    let dimensions: Vec<u8> = dimensions.flat_map(u64::to_le_bytes).collect();
    let dimensions = TensorData::new(Dtype::I64, vec![domains.len()], dimensions)?;
    let basis = TensorData::from_tensor(expansion.basis.vectors())?;
    Ok(vec![
        ("latent_basis", Value::Tensor(Arc::new(basis))),
        ("repurposed_dims", Value::Tensor(Arc::new(dimensions))),
        ("subspace_distance", Value::Float(first.distance)),
        (
            "expansion_cfg",
            dict([("tasks", Value::List(tasks.collect()))]),
        ),
    ])
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
