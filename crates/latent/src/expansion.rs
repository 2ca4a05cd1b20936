//! The domains of an expanded model, and their place in its file.
//!
//! A file of any kind of generator has the same two parts for them:
//!
//! - JSON under `expansion`: `{"layout": .., "basis": "expansion.basis", "mean": "expansion.mean"}`, the
//!   [`Layout`] and the names of two tensors;
//! - the tensors: basis `[D, K]`, one direction per column, and mean latent `[D]`.
//!
//! Where domains are offsets to the generator's styles ([`DomainOffsets`]), the JSON also has
//! `"offsets": ["b4.conv1", ..]`, the names of the layers, and the tensors `expansion.offsets.{layer}`, `[domains, channels]`.
//!
//! The basis is kept bit for bit: a column's sign decides in which direction its domain lies. Reading and writing
//! files is the caller's, who has the container at hand: [`Expansion::to_json`] and [`Expansion::tensors`] are what to
//! store, [`Expansion::from_json`] asks for what was stored.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde_json::{Value as Json, json};

use crate::basis::Basis;
use crate::modulation::{DomainOffsets, Layer};
use crate::subspace::Layout;
use crate::{Error, Result};

/// Name of the basis in a file.
pub const BASIS: &str = "expansion.basis";

/// Name of the mean latent in a file.
pub const MEAN: &str = "expansion.mean";

/// What begins the names of a layer's offsets in a file.
pub const OFFSETS: &str = "expansion.offsets.";

/// The domains of a model and where they lie.
#[derive(Debug, Clone)]
pub struct Expansion {
    /// Name, task, dimension and distance of each domain.
    pub layout: Layout,
    /// Directions of the latent space, one per column.
    pub basis: Basis,
    /// Mean latent `[D]`: the repurposed coordinates of the base subspace.
    pub mean: Tensor,
    /// Offsets of each domain to the styles of these layers, `[domains, channels]`; none where the weights say all.
    pub offsets: BTreeMap<String, Tensor>,
}

impl Expansion {
    /// Puts the parts together.
    ///
    /// # Errors
    ///
    /// Parts that do not fit each other.
    pub fn new(layout: Layout, basis: Basis, mean: Tensor) -> Result<Self> {
        if mean.dims() != [basis.latent_dim()] {
            let expected = format!("[{}]", basis.latent_dim());
            return Err(Error::shape("mean latent", expected, mean.dims()));
        }
        if layout.dimensions() != basis.count() {
            return Err(Error::setting(
                "dimensions of the layout",
                layout.dimensions(),
                format!("{}, the directions of the basis", basis.count()),
            ));
        }
        Ok(Self {
            layout,
            basis,
            mean,
            offsets: BTreeMap::new(),
        })
    }

    /// The same with these offsets, `[domains, channels]` for each layer.
    ///
    /// # Errors
    ///
    /// Offsets for another number of domains.
    pub fn with_offsets(mut self, offsets: BTreeMap<String, Tensor>) -> Result<Self> {
        let domains = self.layout.domains().len();
        for (layer, offsets) in &offsets {
            if !matches!(*offsets.dims(), [rows, _] if rows == domains) {
                let what = format!("offsets of layer {layer}");
                return Err(Error::shape(
                    what,
                    format!("[{domains}, channels]"),
                    offsets.dims(),
                ));
            }
        }
        self.offsets = offsets;
        Ok(self)
    }

    /// What the offsets do to a generator with these layers, whose mean latent is `[D]` of the expansion; `None` where
    /// there are no offsets.
    ///
    /// # Errors
    ///
    /// Offsets of a layer that is not there, or of another size.
    pub fn modulator(
        &self,
        layers: &[Layer],
        device: &Device,
        dtype: DType,
    ) -> Result<Option<DomainOffsets>> {
        if self.offsets.is_empty() {
            return Ok(None);
        }
        let known = |name: &str| layers.iter().find(|layer| layer.name == name).cloned();
        let mut rows = Vec::with_capacity(self.offsets.len());
        for (name, offsets) in &self.offsets {
            let layer = known(name).ok_or_else(|| {
                Error::setting(
                    "layer of the offsets",
                    format!("{name:?}"),
                    "a layer of the generator",
                )
            })?;
            rows.push((layer, offsets.to_dtype(dtype)?.to_device(device)?));
        }
        let mean = self.mean.to_dtype(dtype)?.to_device(device)?;
        DomainOffsets::new(rows, self.layout.domains(), &self.basis, &mean).map(Some)
    }

    /// What a file says of the domains.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut json = json!({ "layout": self.layout, "basis": BASIS, "mean": MEAN });
        if !self.offsets.is_empty() {
            json["offsets"] = self.offsets.keys().cloned().collect();
        }
        json
    }

    /// The tensors of a file that belong to the domains, by name.
    #[must_use]
    pub fn tensors(&self) -> Vec<(String, Tensor)> {
        let mut tensors = vec![
            (BASIS.to_owned(), self.basis.vectors().clone()),
            (MEAN.to_owned(), self.mean.clone()),
        ];
        let offsets = self.offsets.iter();
        tensors.extend(offsets.map(|(layer, rows)| (format!("{OFFSETS}{layer}"), rows.clone())));
        tensors
    }

    /// Whether a tensor of this name belongs to the domains.
    #[must_use]
    pub fn holds(name: &str) -> bool {
        name == BASIS || name == MEAN || name.starts_with(OFFSETS)
    }

    /// Reads what [`to_json`](Self::to_json) wrote, for a generator with latents of `latent_dim` numbers. `tensor`
    /// looks a tensor of the file up.
    ///
    /// # Errors
    ///
    /// A document or tensors that do not fit, or an error of `tensor`.
    pub fn from_json<E: From<Error>>(
        json: &Json,
        latent_dim: usize,
        tensor: impl Fn(&str) -> std::result::Result<Tensor, E>,
    ) -> std::result::Result<Self, E> {
        let layout: Layout = serde_json::from_value(json["layout"].clone())
            .map_err(|error| Error::setting("expansion.layout", error, "a layout of domains"))?;
        let name = |key: &str, what| {
            let name = json[key].as_str();
            name.ok_or_else(|| Error::setting(what, &json[key], "the name of a tensor"))
        };
        let basis = given(tensor(name("basis", "expansion.basis")?)?, latent_dim)?;
        let mean = tensor(name("mean", "expansion.mean")?)?;
        let expansion = Self::new(layout, basis, mean)?;
        let mut offsets = BTreeMap::new();
        for layer in json["offsets"].as_array().into_iter().flatten() {
            let layer = layer
                .as_str()
                .ok_or_else(|| Error::setting("expansion.offsets", layer, "the names of layers"))?;
            offsets.insert(layer.to_owned(), tensor(&format!("{OFFSETS}{layer}"))?);
        }
        Ok(expansion.with_offsets(offsets)?)
    }
}

/// The basis `[D, K]` of a file, if it is one of a latent space of `latent_dim` numbers.
///
/// # Errors
///
/// Another shape, or as [`Basis::given`].
pub fn given(basis: Tensor, latent_dim: usize) -> Result<Basis> {
    match *basis.dims() {
        [rows, _] if rows == latent_dim => Basis::given(basis),
        _ => {
            let expected = format!("[{latent_dim}, directions]");
            Err(Error::shape("latent basis", expected, basis.dims()))
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn expansion() -> Expansion {
        let basis = Basis::given(Tensor::eye(3, DType::F32, &Device::Cpu).unwrap()).unwrap();
        let mut layout = Layout::new(3);
        layout
            .add("sketch", json!({ "text": "a sketch" }), None, 20.0)
            .unwrap();
        let mean = Tensor::new(&[0.5_f32, -1.0, 2.0], &Device::Cpu).unwrap();
        Expansion::new(layout, basis, mean).unwrap()
    }

    fn read(json: &Json, latent_dim: usize) -> Result<Expansion> {
        let stored = expansion();
        Expansion::from_json(json, latent_dim, |name| {
            let found = stored
                .tensors()
                .into_iter()
                .find(|(known, _)| *known == name);
            let missing = || Error::setting("tensor", name, "one of the file");
            Ok(found.ok_or_else(missing)?.1.clone())
        })
    }

    #[test]
    fn what_was_stored_comes_back() {
        let stored = expansion();
        let found = read(&stored.to_json(), 3).unwrap();
        assert_eq!(found.layout, stored.layout);
        for ((_, found), (_, stored)) in found.tensors().into_iter().zip(stored.tensors()) {
            let values = |x: &Tensor| x.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            assert_eq!(values(&found), values(&stored));
        }
    }

    /// Files of earlier versions are read for ever.
    #[test]
    fn the_document_is_what_it_always_was() {
        let text = expansion().to_json().to_string();
        let layout = r#"{"dimensions":3,"domains":[{"dimension":2,"distance":20.0,"name":"sketch","task":{"text":"a sketch"}}]}"#;
        let expected =
            format!(r#"{{"basis":"expansion.basis","layout":{layout},"mean":"expansion.mean"}}"#);
        assert_eq!(text, expected);
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let refused = |key: &str, value: Json| {
            let mut json = expansion().to_json();
            json[key] = value;
            read(&json, 3).unwrap_err().to_string()
        };
        assert!(refused("layout", Json::Null).contains("expansion.layout"));
        assert!(refused("basis", json!(7)).contains("expansion.basis: 7"));
        assert!(refused("mean", json!("nowhere")).contains("nowhere"));
        let other = read(&expansion().to_json(), 4).unwrap_err().to_string();
        assert!(
            other.contains("latent basis") && other.contains("[4, directions]"),
            "{other}"
        );
    }
}
