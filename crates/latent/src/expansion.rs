//! The domains of an expanded model, and their place in its file.
//!
//! A file of any kind of generator has the same two parts for them:
//!
//! - JSON under `expansion`: `{"layout": .., "basis": "expansion.basis", "mean": "expansion.mean"}`, the
//!   [`Layout`] and the names of two tensors;
//! - the tensors: basis `[D, K]`, one direction per column, and mean latent `[D]`.
//!
//! Where domains are vectors beside the generator's weights ([`DomainVectors`]), the JSON also has
//! `"offsets": ["b4.conv1", ..]` and `"factors"`, the names of the layers, with tensors `expansion.offsets.{layer}` and
//! `expansion.factors.{layer}`, `[domains, channels]`, and `"gates": ["linear", ..]`, one for each domain, unless all are linear.
//! Where domains have [`Matrices`], `"matrices": [{"affine": [..], "low_rank": [..], "weights": [..]}, ..]`, an entry for each
//! domain, names their layers; the tensors are `expansion.matrices.{domain}.affine.{layer}`, `affine_out`, `affine_in` and
//! `weights`, the domain by its number. `"deviations"` and `"biases"` are there where a domain has some, and `"mapping"` names the
//! tensors of its mapping, `expansion.matrices.{domain}.mapping.{part}`.
//!
//! The basis is kept bit for bit: a column's sign decides in which direction its domain lies. Reading and writing
//! files is the caller's, who has the container at hand: [`Expansion::to_json`] and [`Expansion::tensors`] are what to
//! store, [`Expansion::from_json`] asks for what was stored.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde_json::{Value as Json, json};

use crate::basis::Basis;
use crate::domain_vectors::{DomainVectors, Gate, LayerVectors};
use crate::matrices::Matrices;
use crate::modulation::Layer;
use crate::subspace::Layout;
use crate::{Error, Result};

/// Name of the basis in a file.
pub const BASIS: &str = "expansion.basis";

/// Name of the mean latent in a file.
pub const MEAN: &str = "expansion.mean";

/// What begins the names of a layer's offsets in a file.
pub const OFFSETS: &str = "expansion.offsets.";

/// What begins the names of a layer's factors in a file.
pub const FACTORS: &str = "expansion.factors.";

/// What begins the names of a domain's matrices in a file, before its number.
pub const MATRICES: &str = "expansion.matrices.";

/// Vectors of all domains, `[domains, channels]`, by layer.
pub type Rows = BTreeMap<String, Tensor>;

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
    pub offsets: Rows,
    /// Factors of each domain to the input channels of these layers, less one.
    pub factors: Rows,
    /// How each domain's vectors and matrices come in.
    pub gates: Vec<Gate>,
    /// What each domain adds to weights of layers.
    pub matrices: Vec<Matrices>,
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
            gates: vec![Gate::Linear; layout.domains().len()],
            matrices: vec![Matrices::default(); layout.domains().len()],
            layout,
            basis,
            mean,
            offsets: Rows::new(),
            factors: Rows::new(),
        })
    }

    /// The same with these offsets and factors, `[domains, channels]` for each layer, and a gate for each domain.
    ///
    /// # Errors
    ///
    /// Vectors or gates for another number of domains.
    pub fn with_vectors(mut self, offsets: Rows, factors: Rows, gates: Vec<Gate>) -> Result<Self> {
        let domains = self.layout.domains().len();
        for (what, rows) in [("offsets", &offsets), ("factors", &factors)] {
            for (layer, rows) in rows {
                if !matches!(*rows.dims(), [count, _] if count == domains) {
                    let what = format!("{what} of layer {layer}");
                    let expected = format!("[{domains}, channels]");
                    return Err(Error::shape(what, expected, rows.dims()));
                }
            }
        }
        if gates.len() != domains {
            let expected = format!("{domains}, one for each domain");
            return Err(Error::setting("number of gates", gates.len(), expected));
        }
        self.offsets = offsets;
        self.factors = factors;
        self.gates = gates;
        Ok(self)
    }

    /// The same with these matrices, an entry for each domain.
    ///
    /// # Errors
    ///
    /// Another number of them, or shapes that do not fit the latents.
    pub fn with_matrices(mut self, matrices: Vec<Matrices>) -> Result<Self> {
        let domains = self.layout.domains().len();
        if matrices.len() != domains {
            let expected = format!("{domains}, one for each domain");
            return Err(Error::setting(
                "number of matrices",
                matrices.len(),
                expected,
            ));
        }
        for own in &matrices {
            own.check(self.basis.latent_dim())?;
        }
        self.matrices = matrices;
        Ok(self)
    }

    /// Whether domains have vectors or matrices beside the weights.
    #[must_use]
    pub fn has_vectors(&self) -> bool {
        !(self.offsets.is_empty() && self.factors.is_empty() && !self.has_matrices())
    }

    fn has_matrices(&self) -> bool {
        self.matrices.iter().any(|own| !own.is_empty())
    }

    /// What the vectors do to a generator with these layers, whose mean latent is `[D]` of the expansion; `None` where
    /// there are none.
    ///
    /// # Errors
    ///
    /// Vectors of a layer that is not there, or of another size.
    pub fn modulator(
        &self,
        layers: &[Layer],
        device: &Device,
        dtype: DType,
    ) -> Result<Option<DomainVectors>> {
        if !self.has_vectors() {
            return Ok(None);
        }
        let matrices = self.matrices.iter().flat_map(Matrices::layers);
        for name in self
            .offsets
            .keys()
            .chain(self.factors.keys())
            .chain(matrices)
        {
            if !layers.iter().any(|layer| layer.name == *name) {
                let expected = "a layer of the generator";
                return Err(Error::setting(
                    "layer of the vectors",
                    format!("{name:?}"),
                    expected,
                ));
            }
        }
        let there = |rows: &Rows, layer: &Layer| -> Result<Option<Tensor>> {
            let rows = rows.get(&layer.name);
            let rows = rows.map(|rows| rows.to_dtype(dtype)?.to_device(device));
            Ok(rows.transpose()?)
        };
        let matrices = self.matrices.iter().map(|own| own.to(device, dtype));
        let matrices = matrices.collect::<Result<Vec<_>>>()?;
        let mut vectors = Vec::new();
        let mappings = matrices.iter().enumerate();
        let mappings = mappings.filter_map(|(at, own)| Some((at, own.mapping.clone()?)));
        let mappings = mappings.collect::<Vec<_>>();
        for layer in layers {
            let own = LayerVectors {
                offset: there(&self.offsets, layer)?,
                factor: there(&self.factors, layer)?,
                affine: of_domains(&matrices, |own| own.affine.get(&layer.name)),
                weight: of_domains(&matrices, |own| own.weights.get(&layer.name)),
                deviation: of_domains(&matrices, |own| own.deviations.get(&layer.name)),
                bias: of_domains(&matrices, |own| own.biases.get(&layer.name)),
            };
            // Every layer reads a mapped latent.
            if !(own.is_empty() && mappings.is_empty()) {
                vectors.push((layer.clone(), own));
            }
        }
        let mean = self.mean.to_dtype(dtype)?.to_device(device)?;
        let domains = self.layout.domains();
        DomainVectors::new(vectors, &self.gates, domains, &self.basis, &mean)?
            .with_mappings(mappings)
            .map(Some)
    }

    /// What a file says of the domains.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let mut json = json!({ "layout": self.layout, "basis": BASIS, "mean": MEAN });
        for (key, rows) in [("offsets", &self.offsets), ("factors", &self.factors)] {
            if !rows.is_empty() {
                json[key] = rows.keys().cloned().collect();
            }
        }
        if self.gates.iter().any(|gate| *gate != Gate::Linear) {
            json["gates"] = json!(self.gates);
        }
        if self.has_matrices() {
            json["matrices"] = self.matrices.iter().map(Matrices::to_json).collect();
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
        for (prefix, rows) in [(OFFSETS, &self.offsets), (FACTORS, &self.factors)] {
            let rows = rows.iter();
            tensors.extend(rows.map(|(layer, rows)| (format!("{prefix}{layer}"), rows.clone())));
        }
        for (at, own) in self.matrices.iter().enumerate() {
            tensors.extend(own.tensors(&format!("{MATRICES}{at}.")));
        }
        tensors
    }

    /// Whether a tensor of this name belongs to the domains.
    #[must_use]
    pub fn holds(name: &str) -> bool {
        let prefixes = [OFFSETS, FACTORS, MATRICES];
        name == BASIS || name == MEAN || prefixes.iter().any(|prefix| name.starts_with(prefix))
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
        let rows = |key: &str, prefix: &str| -> std::result::Result<Rows, E> {
            let mut rows = Rows::new();
            for layer in json[key].as_array().into_iter().flatten() {
                let layer = layer.as_str().ok_or_else(|| {
                    Error::setting(
                        "layers of expansion.offsets and .factors",
                        layer,
                        "names of layers",
                    )
                })?;
                rows.insert(layer.to_owned(), tensor(&format!("{prefix}{layer}"))?);
            }
            Ok(rows)
        };
        let gates = match &json["gates"] {
            Json::Null => expansion.gates.clone(),
            gates => serde_json::from_value(gates.clone()).map_err(|error| {
                Error::setting("expansion.gates", error, "a gate for each domain")
            })?,
        };
        let (offsets, factors) = (rows("offsets", OFFSETS)?, rows("factors", FACTORS)?);
        let expansion = expansion.with_vectors(offsets, factors, gates)?;
        let Some(matrices) = json["matrices"].as_array() else {
            return Ok(expansion);
        };
        let matrices = matrices.iter().enumerate();
        let matrices = matrices
            .map(|(at, own)| Matrices::from_json(own, &format!("{MATRICES}{at}."), &tensor));
        Ok(expansion.with_matrices(matrices.collect::<std::result::Result<_, E>>()?)?)
    }
}

/// What the domains that have it have of one kind, with their numbers.
fn of_domains<T: Clone>(
    matrices: &[Matrices],
    get: impl Fn(&Matrices) -> Option<&T>,
) -> Vec<(usize, T)> {
    let own = matrices.iter().enumerate();
    own.filter_map(|(at, own)| Some((at, get(own)?.clone())))
        .collect()
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
    use crate::matrices::AffineChange;

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

    #[test]
    fn vectors_and_gates_come_back() {
        let rows = |value: f32| {
            let row = Tensor::new(&[[value, 2.0]], &Device::Cpu).unwrap();
            Rows::from([("b4.conv1".to_owned(), row)])
        };
        let stored = expansion()
            .with_vectors(rows(1.0), rows(3.0), vec![Gate::Smooth])
            .unwrap();
        let found = Expansion::from_json::<Error>(&stored.to_json(), 3, |name| {
            let mut tensors = stored.tensors().into_iter();
            Ok(tensors.find(|(known, _)| known == name).unwrap().1)
        })
        .unwrap();
        let values = |rows: &Rows| rows["b4.conv1"].to_vec2::<f32>().unwrap();
        assert_eq!(values(&found.offsets), values(&stored.offsets));
        assert_eq!(values(&found.factors), values(&stored.factors));
        assert_eq!(found.gates, [Gate::Smooth]);
        assert!(
            stored
                .tensors()
                .iter()
                .all(|(name, _)| Expansion::holds(name))
        );
    }

    #[test]
    fn matrices_come_back() {
        let change = Tensor::new(&[[1_f32, 2.0, 3.0]], &Device::Cpu).unwrap();
        let own = Matrices {
            affine: [("b4.conv1".to_owned(), AffineChange::Full(change))].into(),
            ..Matrices::default()
        };
        let stored = expansion().with_matrices(vec![own]).unwrap();
        assert!(stored.has_vectors());
        let found = Expansion::from_json::<Error>(&stored.to_json(), 3, |name| {
            let mut tensors = stored.tensors().into_iter();
            Ok(tensors.find(|(known, _)| known == name).unwrap().1)
        });
        let found = found.unwrap().matrices.remove(0);
        assert_eq!(found.to_json(), stored.matrices[0].to_json());
        let mut names = stored.tensors().into_iter().map(|(name, _)| name);
        assert!(names.all(|name| Expansion::holds(&name)));
    }

    #[test]
    fn matrices_for_other_latents_or_domains_are_refused() {
        let wide = Tensor::zeros((1, 4), DType::F32, &Device::Cpu).unwrap();
        let own = Matrices {
            affine: [("b4.conv1".to_owned(), AffineChange::Full(wide))].into(),
            ..Matrices::default()
        };
        let error = expansion().with_matrices(vec![own]).unwrap_err();
        assert!(error.to_string().contains("b4.conv1"), "{error}");
        let error = expansion().with_matrices(Vec::new()).unwrap_err();
        assert!(error.to_string().contains("one for each domain"), "{error}");
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
