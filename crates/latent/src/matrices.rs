//! Matrices that one domain adds to weights of a generator's layers, behind its gate g.
//!
//! | | of a layer | becomes |
//! | --- | --- | --- |
//! | [`AffineChange`] | the weight A of the affine map that makes its style, `[channels, D]` | `A + g ΔA` |
//! | weight offset | its weight W, `[o, i, k, k]` | `W + g O` with O: `[o, i]`, the same at every place of the kernel |
//!
//! Both are those of StyleDomain (Alanov et al. 2023, arXiv 2212.10229, section 5). An affine map comes before the
//! modulation of a layer, so its change is a step of each sample's style, and no sample has weights of its own; an offset of
//! W is a weight for each sample.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use serde_json::{Value as Json, json};

use crate::expansion::Rows;
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
}

// Keys of a file.
const AFFINE: &str = "affine";
const OUT: &str = "affine_out";
const INNER: &str = "affine_in";
const LOW_RANK: &str = "low_rank";
const WEIGHTS: &str = "weights";

impl Matrices {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.affine.is_empty() && self.weights.is_empty()
    }

    /// The layers that have some.
    pub fn layers(&self) -> impl Iterator<Item = &String> {
        self.affine.keys().chain(self.weights.keys())
    }

    /// How many numbers they are.
    #[must_use]
    pub fn numbers(&self) -> usize {
        let affine = self.affine.values().flat_map(AffineChange::parts);
        let tensors = affine
            .map(|(_, tensor)| tensor)
            .chain(self.weights.values());
        tensors.map(Tensor::elem_count).sum()
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
        for (layer, offset) in &self.weights {
            if !is_zero(offset)? {
                kept.weights.insert(layer.clone(), offset.clone());
            }
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
        for (layer, offset) in &self.weights {
            moved.weights.insert(layer.clone(), there(offset)?);
        }
        Ok(moved)
    }

    /// What can be checked without the generator: matrices, for latents of `width` numbers.
    pub(crate) fn check(&self, width: usize) -> Result<()> {
        for (layer, change) in &self.affine {
            let channels = change.parts()[0].1.dims().first().copied();
            change.check(layer, channels.unwrap_or_default(), width)?;
        }
        for (layer, offset) in &self.weights {
            if offset.rank() != 2 {
                let what = format!("offset of the weight of layer {layer}");
                return Err(Error::shape(what, "[o, i]", offset.dims()));
            }
        }
        Ok(())
    }

    /// What a file says of them: the names of layers, by kind.
    #[must_use]
    pub fn to_json(&self) -> Json {
        let of = |wanted: &str| -> Vec<&String> {
            let affine = self.affine.iter();
            let named = affine.filter(|(_, change)| change.parts()[0].0 == wanted);
            named.map(|(layer, _)| layer).collect()
        };
        json!({ AFFINE: of(AFFINE), LOW_RANK: of(OUT), WEIGHTS: self.weights.keys().collect::<Vec<_>>() })
    }

    /// The tensors of a file, by name.
    #[must_use]
    pub fn tensors(&self, prefix: &str) -> Vec<(String, Tensor)> {
        let affine = self.affine.iter().flat_map(|(layer, change)| {
            let parts = change.parts().into_iter();
            parts.map(move |(key, tensor)| (key, layer, tensor))
        });
        let weights = self.weights.iter();
        let all = affine.chain(weights.map(|(layer, offset)| (WEIGHTS, layer, offset)));
        all.map(|(key, layer, tensor)| (format!("{prefix}{key}.{layer}"), tensor.clone()))
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
        for layer in layers(WEIGHTS)? {
            let offset = find(WEIGHTS, &layer)?;
            read.weights.insert(layer, offset);
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

    fn both() -> Matrices {
        let low = AffineChange::LowRank {
            out: randn(&[3, 2], 1),
            inner: randn(&[2, 4], 2),
        };
        let full = AffineChange::Full(randn(&[3, 4], 3));
        Matrices {
            affine: [("b4.conv1".to_owned(), low), ("b8.conv0".to_owned(), full)].into(),
            weights: [("b8.conv0".to_owned(), randn(&[5, 3], 4))].into(),
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
        let stored = both();
        let tensors: BTreeMap<String, Tensor> = stored.tensors("x.").into_iter().collect();
        let find = |name: &str| Ok(tensors[name].clone());
        let found = Matrices::from_json::<Error>(&stored.to_json(), "x.", find).unwrap();
        assert_eq!(found.to_json(), stored.to_json());
        assert_eq!(found.numbers(), 3 * 2 + 2 * 4 + 3 * 4 + 5 * 3);
        for ((name, found), (_, stored)) in found.tensors("").iter().zip(stored.tensors("")) {
            assert_eq!(max_difference(found, &stored), 0.0, "{name}");
        }
    }

    #[test]
    fn parts_that_do_not_fit_are_refused_with_the_layer() {
        let mut wrong = both();
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
        assert!(both().check(5).is_err());
    }
}
