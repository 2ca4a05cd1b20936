//! What StyleDomain trains for a domain that a few pictures show (section 5 of arXiv 2212.10229), on stylegan2-ada's key tree.
//!
//! A [`Parametrization`] is a list of words of the published programs, separated by commas:
//!
//! | word | tensors of a layer | what they do |
//! | --- | --- | --- |
//! | `additive`, `multiplicative` | `offset: [1, i]` | to the style: `s + offset`, `s (1 + offset)`; for `torgb` after its gain `1/√i` |
//! | `out_in_additive`, `out_in` | `weights_offset: [o, i, 1, 1]` | to the weight before modulation: `W + offset`, `W (1 + offset)` |
//! | `affine_out_in_k_t_additive`, `affine_out_in_k_t` | `affine.weights_offset_out_j: [i, k]`, `affine.weights_offset_in_j: [k, w_dim]`, `j < t` | to the affine map's weight before its gain, with `L = Σ_j out_j in_j / t`: `A + L`, `A (1 + L)` |
//!
//! `offset_mask: [1, i]`, where a layer has one, multiplies the offset: a sparse direction.
//!
//! Affine+ trains all affine maps with their biases, AffineLight+ `affine_out_in_5_1_additive`, each with `out_in_additive` in one
//! block; which numbers that are in an expansion, and how they are gated, is in `domex_expand::parametrisation`. [`Changed`]
//! is what they make of a generator's weights for good.

use std::str::FromStr;

use candle_core::Tensor;
use domex_stylegan2::{Generator, GeneratorConfig, Noise, Tensors};

use crate::{Error, Result};

/// How tensors change what they belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// They are added.
    Additive,
    /// One more than they are multiplies.
    Multiplicative,
}

impl Change {
    fn apply(self, x: &Tensor, by: &Tensor) -> Result<Tensor> {
        Ok(match self {
            Self::Additive => x.broadcast_add(by)?,
            Self::Multiplicative => x.broadcast_mul(&(by + 1.0)?)?,
        })
    }
}

/// See the [module docs](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Parametrization {
    /// Offsets of styles.
    pub styles: Option<Change>,
    /// Offsets of convolutions' weights.
    pub weights: Option<Change>,
    /// Offsets of affine maps' weights: rank `k`, `t` terms.
    pub affine: Option<(Change, usize, usize)>,
}

impl FromStr for Parametrization {
    type Err = Error;

    fn from_str(words: &str) -> Result<Self> {
        let mut all = Self::default();
        for word in words.split(',').map(str::trim) {
            let (stem, change) = match word.strip_suffix("_additive") {
                Some(stem) => (stem, Change::Additive),
                None => (word, Change::Multiplicative),
            };
            match stem {
                "additive" => all.styles = Some(Change::Additive),
                "multiplicative" => all.styles = Some(Change::Multiplicative),
                "out_in" => all.weights = Some(change),
                _ => {
                    let sizes = stem.strip_prefix("affine_out_in_");
                    let sizes = sizes.and_then(|sizes| sizes.split_once('_'));
                    let size = |text: &str| text.parse().ok().filter(|size| *size > 0);
                    let sizes = sizes.and_then(|(k, t)| Some((size(k)?, size(t)?)));
                    let Some((k, t)) = sizes else {
                        return Err(Error::config(
                            "parametrization",
                            format!("{word:?}"),
                            "additive, multiplicative, out_in[_additive] or affine_out_in_K_T[_additive]",
                        ));
                    };
                    all.affine = Some((change, k, t));
                }
            }
        }
        Ok(all)
    }
}

/// A generator with what a domain changes of it, on live tensors.
#[derive(Debug, Clone)]
pub struct Changed {
    network: Generator,
    /// To each style, in their order.
    offsets: Vec<Option<(Change, Tensor)>>,
}

impl Changed {
    /// Of a generator's tensors and, under `synthesis.{layer}.…`, those of the domain, all in `tensors`; offsets of weights and of
    /// affine maps where a layer has some. Variables among them get
    /// gradients. Build it anew when an optimizer has written them.
    ///
    /// # Errors
    ///
    /// A tensor that is missing or of the wrong shape.
    pub fn new(
        tensors: &Tensors,
        config: &GeneratorConfig,
        parametrization: Parametrization,
    ) -> Result<Self> {
        let get = |name: &str| {
            let tensor = tensors.get(name);
            tensor.ok_or_else(|| Error::config("domain", format!("without {name}"), "whole"))
        };
        let mut effective = Tensors::new();
        for (name, _) in Generator::spec(config)?.entries() {
            effective.insert(name.to_owned(), get(name)?.clone());
        }
        let layers = Generator::from_tensors(&effective, config)?
            .synthesis()
            .modulated_layers();
        let mut offsets = Vec::with_capacity(layers.len());
        for layer in layers {
            let at = format!("synthesis.{}", layer.name);
            let key = format!("{at}.weight");
            let has_weights = tensors.contains_key(&format!("{at}.weights_offset"));
            if let Some(change) = parametrization.weights.filter(|_| has_weights) {
                let by = get(&format!("{at}.weights_offset"))?;
                effective.insert(key.clone(), change.apply(get(&key)?, by)?);
            }
            let has_affine = tensors.contains_key(&format!("{at}.affine.weights_offset_out_0"));
            if let Some((change, _, terms)) = parametrization.affine.filter(|_| has_affine) {
                let key = format!("{at}.affine.weight");
                let mut sum: Option<Tensor> = None;
                for term in 0..terms {
                    let out = get(&format!("{at}.affine.weights_offset_out_{term}"))?;
                    let inner = get(&format!("{at}.affine.weights_offset_in_{term}"))?;
                    let product = domex_ops::matmul(out, inner)?;
                    sum = Some(match sum {
                        Some(sum) => (sum + product)?,
                        None => product,
                    });
                }
                if let Some(sum) = sum {
                    let by = (sum / terms as f64)?;
                    effective.insert(key.clone(), change.apply(get(&key)?, &by)?);
                }
            }
            offsets.push(match parametrization.styles {
                None => None,
                Some(change) => {
                    let offset = get(&format!("{at}.offset"))?;
                    let offset = match tensors.get(&format!("{at}.offset_mask")) {
                        Some(mask) => offset.broadcast_mul(mask)?,
                        None => offset.clone(),
                    };
                    let is_rgb = !super::stylespace::is_convolution(&layer.name);
                    let offset = match change {
                        // It stands behind the gain 1/√i, by which the style is still to be multiplied.
                        Change::Additive if is_rgb => (offset * (layer.channels as f64).sqrt())?,
                        _ => offset,
                    };
                    Some((change, offset))
                }
            });
        }
        Ok(Self {
            network: Generator::from_tensors(&effective, config)?,
            offsets,
        })
    }

    /// The generator with changed weights; its styles are still as they were.
    #[must_use]
    pub fn network(&self) -> &Generator {
        &self.network
    }

    /// Pictures of latents `[n, num_ws, w_dim]`.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(&self, ws: &Tensor, noise: Noise<'_>) -> Result<Tensor> {
        let synthesis = self.network.synthesis();
        let mut styles = synthesis.styles(ws)?;
        for ((_, style), offset) in styles.iter_mut().zip(&self.offsets) {
            if let Some((change, offset)) = offset {
                *style = change.apply(style, offset)?;
            }
        }
        Ok(synthesis.forward_styles(&styles, noise)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_and_others_refused() {
        let read: Parametrization = "multiplicative,out_in,affine_out_in_1_2".parse().unwrap();
        assert_eq!(read.affine, Some((Change::Multiplicative, 1, 2)));
        assert_eq!(read.weights, Some(Change::Multiplicative));
        let error = "affine_out_in_0_1".parse::<Parametrization>().unwrap_err();
        assert!(error.to_string().contains("affine_out_in_0_1"), "{error}");
    }
}
