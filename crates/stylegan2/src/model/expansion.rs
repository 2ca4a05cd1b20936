//! The domains of an expanded model: from a Domain Expansion snapshot, and from the container.
//!
//! A snapshot of adobe-research/domain-expansion has beside its networks `latent_basis: [D, K]`
//! (one direction per column), `repurposed_dims`, `subspace_distance` and `expansion_cfg.tasks`.
//! The basis is kept bit for bit: a column's sign decides in which direction its domain lies.

use candle_core::{Device, Tensor};
use domex_checkpoint::Value;
use domex_latent::basis::Basis;
use domex_latent::subspace::Layout;
use serde_json::{Value as Json, json};

use crate::error::expect_dims;
use crate::{Error, Result};

/// The domains of a model and where they lie.
#[derive(Debug, Clone)]
pub struct Expansion {
    /// Name, task, dimension and distance of each domain.
    pub layout: Layout,
    /// Directions of the latent space, one per column.
    pub basis: Basis,
    /// Mean latent `[D]`: the repurposed coordinates of the base subspace.
    pub mean: Tensor,
}

/// Tensor names in the container.
pub(super) const BASIS: &str = "expansion.basis";
pub(super) const MEAN: &str = "expansion.mean";

impl Expansion {
    /// Puts the parts together.
    ///
    /// # Errors
    ///
    /// Parts that do not fit each other.
    pub fn new(layout: Layout, basis: Basis, mean: Tensor) -> Result<Self> {
        expect_dims("mean latent", &mean, &[Some(basis.latent_dim())])?;
        if layout.dimensions() != basis.count() {
            return Err(Error::config(
                "dimensions of the layout",
                layout.dimensions(),
                format!("{}, the directions of the basis", basis.count()),
            ));
        }
        Ok(Self {
            layout,
            basis,
            mean,
        })
    }

    /// The metadata of the container.
    pub(super) fn to_json(&self) -> Result<Json> {
        let layout = serde_json::to_value(&self.layout)
            .map_err(|error| Error::config("expansion", error, "serialisable"))?;
        Ok(json!({ "layout": layout, "basis": BASIS, "mean": MEAN }))
    }

    /// Reads the metadata of the container, of a generator whose latents have `w_dim` numbers; `tensor` looks a tensor up.
    pub(super) fn from_json(
        json: &Json,
        w_dim: usize,
        tensor: impl Fn(&str) -> Result<Tensor>,
    ) -> Result<Self> {
        let name = |key: &str| -> Result<&str> {
            json[key].as_str().ok_or_else(|| {
                Error::config(
                    format!("expansion.{key}"),
                    &json[key],
                    "the name of a tensor",
                )
            })
        };
        let layout: Layout = serde_json::from_value(json["layout"].clone())
            .map_err(|error| Error::config("expansion.layout", error, "a layout of domains"))?;
        let basis = given(tensor(name("basis")?)?, w_dim)?;
        Self::new(layout, basis, tensor(name("mean")?)?)
    }

    /// Reads the top level of a snapshot, with the generator's mean of w `[D]`; `None` where it is
    /// not an expanded one.
    pub(super) fn from_snapshot(file: &Value, mean: &Tensor) -> Result<Option<Self>> {
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
        Ok(Some(Self::new(layout, basis, mean.clone())?))
    }
}

/// The basis of a file, if it is one of the generator's latent space.
fn given(basis: Tensor, w_dim: usize) -> Result<Basis> {
    expect_dims("latent basis", &basis, &[Some(w_dim), None])?;
    Ok(Basis::given(basis)?)
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
