//! Matrices that one domain adds to weights of a generator's layers, behind its gate g.
//!
//! | | of a layer | becomes |
//! | --- | --- | --- |
//! | [`AffineChange`] | the weight A of the affine map that makes its style, `[channels, D]` | `A + g ΔA` |
//! | weight offset | its weight W, `[o, i, k, k]` | `W + g O` with O: `[o, i]`, the same at every place of the kernel |
//! | deviation | the same | `W + g Γ (W − M) / S` with Γ: `[o, i]`, and M and S the mean and the standard deviation of each kernel |
//! | bias | its bias b, `[o]` | `b + g Δb` |
//! | [`Mapping`] | the latent w that its affine map, changed or not, reads | `w + g m(w)`, and ΔA reads `w + m(w)` |
//!
//! The first two are those of StyleDomain (Alanov et al. 2023, arXiv 2212.10229, section 5). An affine map comes before the
//! modulation of a layer, so its change is a step of each sample's style, and no sample has weights of its own; an offset of
//! W is a weight for each sample. Deviation, offset and bias together are the style of a kernel in GAN Memory (Cong et al. 2020, arXiv
//! 2006.07543): `γ (W − M) / S + β` with `γ = S + g Γ` and `β = M + g O`.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde_json::{Value as Json, json};

use crate::expansion::Rows;
use crate::mapping::Mapping;
use crate::{Error, Result};

/// ΔA: what is added to the weight of an affine map as it is stored, before the gain `1/√D`.
#[derive(Debug, Clone)]
pub enum AffineChange {
    /// `[channels, D]`.
    Full(Tensor),
    /// `out · inner`.
    LowRank {
        /// `[channels, k]`.
        out: Tensor,
        /// `[k, D]`.
        inner: Tensor,
    },
}

impl AffineChange {
    /// What it adds to the styles of latents `[n, D]`: `[n, channels]`.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit.
    pub fn forward(&self, latents: &Tensor) -> Result<Tensor> {
        let gain = 1.0 / (latents.dim(1)? as f64).sqrt();
        let latents = (latents * gain)?;
        Ok(match self {
            Self::Full(change) => domex_ops::linear(&latents, change, None)?,
            Self::LowRank { out, inner } => {
                domex_ops::linear(&domex_ops::linear(&latents, inner, None)?, out, None)?
            }
        })
    }

    /// Channels and D, where the shapes fit each other.
    fn size(&self) -> Option<[usize; 2]> {
        match self {
            Self::Full(change) => change.dims2().ok().map(<[usize; 2]>::from),
            Self::LowRank { out, inner } => match (out.dims2().ok()?, inner.dims2().ok()?) {
                ((channels, k), (rank, width)) if k == rank && k > 0 => Some([channels, width]),
                _ => None,
            },
        }
    }

    /// Checks that it is one of a layer's affine map, `[channels, D]`.
    pub(crate) fn check(&self, layer: &str, channels: usize, width: usize) -> Result<()> {
        if self.size() == Some([channels, width]) {
            return Ok(());
        }
        let what = format!("change of the affine map of layer {layer}");
        let (expected, found) = match self {
            Self::Full(change) => (format!("[{channels}, {width}]"), change.dims().to_vec()),
            Self::LowRank { out, inner } => (
                format!("[{channels}, k] and [k, {width}]"),
                [out.dims(), inner.dims()].concat(),
            ),
        };
        Err(Error::shape(what, expected, &found))
    }

    /// Its tensors, with the key of each.
    fn parts(&self) -> Vec<(&'static str, &Tensor)> {
        match self {
            Self::Full(change) => vec![(AFFINE, change)],
            Self::LowRank { out, inner } => vec![(OUT, out), (INNER, inner)],
        }
    }

    fn map(&self, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        Ok(match self {
            Self::Full(change) => Self::Full(f(change)?),
            Self::LowRank { out, inner } => Self::LowRank {
                out: f(out)?,
                inner: f(inner)?,
            },
        })
    }
}

/// All matrices of a domain, by layer. See the [module docs](self).
#[derive(Debug, Clone, Default)]
pub struct Matrices {
    /// Changes of affine maps.
    pub affine: BTreeMap<String, AffineChange>,
    /// Offsets of weights, `[o, i]`.
    pub weights: Rows,
    /// What is added to the deviations of kernels, `[o, i]`.
    pub deviations: Rows,
    /// What is added to biases, `[o]`.
    pub biases: Rows,
    /// What the styles of all layers see the latent through.
    pub mapping: Option<Mapping>,
}

// Keys of a file.
const AFFINE: &str = "affine";
const OUT: &str = "affine_out";
const INNER: &str = "affine_in";
const LOW_RANK: &str = "low_rank";
const WEIGHTS: &str = "weights";
const DEVIATIONS: &str = "deviations";
const BIASES: &str = "biases";
const MAPPING: &str = "mapping";

impl Matrices {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let mut rows = self.rows().into_iter();
        self.affine.is_empty() && self.mapping.is_none() && rows.all(|(_, rows)| rows.is_empty())
    }

    /// Whether they change a layer's own weight or bias, so that each sample has its own.
    #[must_use]
    pub fn change_weights(&self) -> bool {
        self.rows().into_iter().any(|(_, rows)| !rows.is_empty())
    }

    /// What is one tensor of a layer, by key.
    fn rows(&self) -> [(&'static str, &Rows); 3] {
        [
            (WEIGHTS, &self.weights),
            (DEVIATIONS, &self.deviations),
            (BIASES, &self.biases),
        ]
    }

    fn rows_mut(&mut self) -> [(&'static str, &mut Rows); 3] {
        [
            (WEIGHTS, &mut self.weights),
            (DEVIATIONS, &mut self.deviations),
            (BIASES, &mut self.biases),
        ]
    }

    /// The layers that have some.
    pub fn layers(&self) -> impl Iterator<Item = &String> {
        let rows = self.rows().into_iter().flat_map(|(_, rows)| rows.keys());
        self.affine.keys().chain(rows)
    }

    /// How many numbers they are.
    #[must_use]
    pub fn numbers(&self) -> usize {
        let tensors = self.tensors("").into_iter();
        tensors.map(|(_, tensor)| tensor.elem_count()).sum()
    }

    /// Without those that add nothing.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub(crate) fn without_zeros(&self) -> Result<Self> {
        let mut kept = Self::default();
        for (layer, change) in &self.affine {
            let mut parts = change.parts().into_iter();
            if parts.try_fold(true, |all, (_, part)| {
                Ok::<_, Error>(all && !is_zero(part)?)
            })? {
                kept.affine.insert(layer.clone(), change.clone());
            }
        }
        for ((_, rows), (_, kept)) in self.rows().into_iter().zip(kept.rows_mut()) {
            for (layer, tensor) in rows {
                if !is_zero(tensor)? {
                    kept.insert(layer.clone(), tensor.clone());
                }
            }
        }
        if let Some(mapping) = &self.mapping {
            kept.mapping = (!mapping.is_zero()?).then(|| mapping.clone());
        }
        Ok(kept)
    }

    /// The same on this device and in this type.
    pub(crate) fn to(&self, device: &Device, dtype: DType) -> Result<Self> {
        let there = |tensor: &Tensor| Ok(tensor.to_device(device)?.to_dtype(dtype)?);
        let mut moved = Self::default();
        for (layer, change) in &self.affine {
            moved.affine.insert(layer.clone(), change.map(there)?);
        }
        for ((_, rows), (_, moved)) in self.rows().into_iter().zip(moved.rows_mut()) {
            for (layer, tensor) in rows {
                moved.insert(layer.clone(), there(tensor)?);
            }
        }
        let mapping = self.mapping.as_ref();
        moved.mapping = mapping.map(|mapping| mapping.map(there)).transpose()?;
        Ok(moved)
    }

    /// What can be checked without the generator: matrices, for latents of `width` numbers.
    pub(crate) fn check(&self, width: usize) -> Result<()> {
        for (layer, change) in &self.affine {
            let channels = change.parts()[0].1.dims().first().copied();
            change.check(layer, channels.unwrap_or_default(), width)?;
        }
        for (key, rows) in self.rows() {
            let (rank, expected) = match key {
                BIASES => (1, "[o]"),
                _ => (2, "[o, i]"),
            };
            for (layer, tensor) in rows {
                if tensor.rank() != rank {
                    let what = format!("{key} of layer {layer}");
                    return Err(Error::shape(what, expected, tensor.dims()));
                }
            }
        }
        self.mapping
            .as_ref()
            .map_or(Ok(()), |mapping| mapping.check(width))
    }

    /// What a file says of them: the names of layers by kind, and of a mapping the names of its parts.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let of = |wanted: &str| -> Vec<&String> {
            let affine = self.affine.iter();
            let named = affine.filter(|(_, change)| change.parts()[0].0 == wanted);
            named.map(|(layer, _)| layer).collect()
        };
        let mut json = json!({ AFFINE: of(AFFINE), LOW_RANK: of(OUT) });
        for (key, rows) in self.rows() {
            // Files without the later kinds stay as they were.
            if key == WEIGHTS || !rows.is_empty() {
                json[key] = rows.keys().cloned().collect();
            }
        }
        if self.mapping.is_some() {
            json[MAPPING] = json!(Mapping::KEYS);
        }
        json
    }

    /// The tensors of a file, by name.
    #[must_use]
    pub fn tensors(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let affine = self.affine.iter().flat_map(|(layer, change)| {
            let parts = change.parts().into_iter();
            parts.map(move |(key, tensor)| (key, layer.as_str(), tensor))
        });
        let rows = self.rows().into_iter().flat_map(|(key, rows)| {
            rows.iter()
                .map(move |(layer, tensor)| (key, layer.as_str(), tensor))
        });
        let mapping = self.mapping.iter().flat_map(|mapping| {
            let parts = Mapping::KEYS.into_iter().zip(mapping.parts());
            parts.map(|(part, tensor)| (MAPPING, part, tensor))
        });
        let all = affine.chain(rows).chain(mapping);
        all.map(|(key, of, tensor)| (format!("{prefix}{key}.{of}"), tensor.clone()))
            .collect()
    }

    /// Reads what [`to_json`](Self::to_json) wrote; null says that there are none. `tensor` looks a tensor of the file up.
    ///
    /// # Errors
    ///
    /// A document that does not fit, or an error of `tensor`.
    pub fn from_json<E: From<Error>>(
        json: &Json,
        prefix: &str,
        tensor: impl Fn(&str) -> std::result::Result<Tensor, E>,
    ) -> std::result::Result<Self, E> {
        let layers = |key: &str| -> std::result::Result<Vec<String>, E> {
            match &json[key] {
                Json::Null => Ok(Vec::new()),
                names => serde_json::from_value(names.clone()).map_err(|error| {
                    Error::setting("layers of the matrices", error, "lists of names").into()
                }),
            }
        };
        let find = |key: &str, layer: &str| tensor(&format!("{prefix}{key}.{layer}"));
        let mut read = Self::default();
        for layer in layers(AFFINE)? {
            let change = AffineChange::Full(find(AFFINE, &layer)?);
            read.affine.insert(layer, change);
        }
        for layer in layers(LOW_RANK)? {
            let change = AffineChange::LowRank {
                out: find(OUT, &layer)?,
                inner: find(INNER, &layer)?,
            };
            read.affine.insert(layer, change);
        }
        for (key, rows) in read.rows_mut() {
            for layer in layers(key)? {
                let tensor = find(key, &layer)?;
                rows.insert(layer, tensor);
            }
        }
        if !layers(MAPPING)?.is_empty() {
            read.mapping = Some(Mapping::from_parts(|part| find(MAPPING, part))?);
        }
        Ok(read)
    }
}

/// Whether all numbers of a tensor are zero.
pub(crate) fn is_zero(tensor: &Tensor) -> Result<bool> {
    let largest = tensor.abs()?.max_all()?.to_dtype(DType::F32)?;
    Ok(largest.to_scalar::<f32>()? == 0.0)
}

#[cfg(test)]
mod tests {
    use domex_ops::testing::{assert_gradients, max_difference, randn};

    use super::*;

    fn all_kinds() -> Matrices {
        let low = AffineChange::LowRank {
            out: randn(&[3, 2], 1),
            inner: randn(&[2, 4], 2),
        };
        let full = AffineChange::Full(randn(&[3, 4], 3));
        Matrices {
            affine: [("b4.conv1".to_owned(), low), ("b8.conv0".to_owned(), full)].into(),
            weights: [("b8.conv0".to_owned(), randn(&[5, 3], 4))].into(),
            deviations: [("b8.conv0".to_owned(), randn(&[5, 3], 5))].into(),
            biases: [("b8.conv0".to_owned(), randn(&[5], 6))].into(),
            mapping: Some(Mapping {
                hidden: randn(&[4, 4], 7),
                hidden_bias: randn(&[4], 8),
                out: randn(&[4, 4], 9),
                out_bias: randn(&[4], 10),
            }),
        }
    }

    #[test]
    fn a_change_of_low_rank_is_the_product_of_its_parts() {
        let (out, inner, w) = (randn(&[3, 2], 1), randn(&[2, 4], 2), randn(&[5, 4], 3));
        let full = AffineChange::Full(out.matmul(&inner).unwrap());
        let low = AffineChange::LowRank { out, inner };
        let difference = max_difference(&full.forward(&w).unwrap(), &low.forward(&w).unwrap());
        assert!(difference < 1e-12, "{difference}");
    }

    #[test]
    fn gradients_reach_latents_and_both_parts() {
        let at = [randn(&[5, 4], 3), randn(&[3, 2], 1), randn(&[2, 4], 2)];
        let forward = |x: &[Tensor]| {
            let [w, out, inner] = [0, 1, 2].map(|at: usize| x[at].clone());
            Ok(AffineChange::LowRank { out, inner }.forward(&w).unwrap())
        };
        assert_gradients("affine change", forward, &at);
    }

    #[test]
    fn what_was_stored_comes_back() {
        let stored = all_kinds();
        let tensors: BTreeMap<String, Tensor> = stored.tensors("x.").into_iter().collect();
        let find = |name: &str| Ok(tensors[name].clone());
        let found = Matrices::from_json::<Error>(&stored.to_json(), "x.", find).unwrap();
        assert_eq!(found.to_json(), stored.to_json());
        let mapping = 2 * (4 * 4 + 4);
        let numbers = 3 * 2 + 2 * 4 + 3 * 4 + 2 * 5 * 3 + 5 + mapping;
        assert_eq!(found.numbers(), numbers);
        assert_eq!(tensors.len(), found.tensors("").len());
        for ((name, found), (_, stored)) in found.tensors("").iter().zip(stored.tensors("")) {
            assert_eq!(max_difference(found, &stored), 0.0, "{name}");
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused_with_the_layer() {
        let mut wrong = all_kinds();
        let change = AffineChange::LowRank {
            out: randn(&[3, 2], 1),
            inner: randn(&[1, 4], 2),
        };
        wrong.affine.insert("b4.conv1".to_owned(), change);
        let message = wrong.check(4).unwrap_err().to_string();
        assert!(
            message.contains("b4.conv1") && message.contains("[k, 4]"),
            "{message}"
        );
        assert!(all_kinds().check(5).is_err());
        let mut wrong = all_kinds();
        wrong
            .biases
            .insert("b8.conv0".to_owned(), randn(&[5, 1], 1));
        let message = wrong.check(4).unwrap_err().to_string();
        assert!(message.contains("biases of layer b8.conv0"), "{message}");
    }

    /// Files of earlier versions are read for ever, and what they have is written as they have it.
    #[test]
    fn the_kinds_that_are_not_there_are_not_named() {
        let mut earlier = all_kinds();
        earlier.deviations.clear();
        earlier.biases.clear();
        earlier.mapping = None;
        let expected = r#"{"affine":["b8.conv0"],"low_rank":["b4.conv1"],"weights":["b8.conv0"]}"#;
        assert_eq!(earlier.to_json().to_string(), expected);
    }

    #[test]
    fn what_adds_nothing_is_left_out() {
        let mut untrained = all_kinds();
        for rows in [&mut untrained.deviations, &mut untrained.biases] {
            for tensor in rows.values_mut() {
                *tensor = tensor.zeros_like().unwrap();
            }
        }
        if let Some(mapping) = &mut untrained.mapping {
            mapping.out = mapping.out.zeros_like().unwrap();
            mapping.out_bias = mapping.out_bias.zeros_like().unwrap();
        }
        let kept = untrained.without_zeros().unwrap();
        assert!(kept.mapping.is_none() && kept.deviations.is_empty() && kept.biases.is_empty());
        assert_eq!((kept.affine.len(), kept.weights.len()), (2, 1));
    }
}
