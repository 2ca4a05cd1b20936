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
//! | preset | trained |
//! | --- | --- |
//! | Affine+ | all affine maps and their biases, and weight offsets of one block |
//! | AffineLight+ | affine offsets of rank 5, and weight offsets of one block |
//! | StyleSpace | offsets of all styles |

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
    /// Of a generator's tensors and, under `synthesis.{layer}.…`, those of the domain, all in `tensors`. Variables among them get
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
            if let Some((change, _, terms)) = parametrization.affine {
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

/// What is trained, by the names of the paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// All affine maps, and weight offsets of one block.
    AffinePlus,
    /// Affine offsets of rank 5, and weight offsets of one block.
    AffineLightPlus,
    /// Offsets of all styles.
    StyleSpace,
}

impl Preset {
    /// The published words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::AffinePlus => "out_in_additive",
            Self::AffineLightPlus => "out_in_additive,affine_out_in_5_1_additive",
            Self::StyleSpace => "additive",
        }
    }

    /// Names and shapes of what is trained for a generator. `block` is the resolution whose weights have offsets, 64 as published.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range.
    pub fn trained(
        self,
        config: &GeneratorConfig,
        block: usize,
    ) -> Result<Vec<(String, Vec<usize>)>> {
        const RANK: usize = 5;
        let mut all = Vec::new();
        let own = format!("synthesis.b{block}.");
        for (name, shape) in Generator::spec(config)?.entries() {
            let affine = name.contains(".affine.");
            if affine && self == Self::AffinePlus {
                all.push((name.to_owned(), shape.to_vec()));
            }
            if let (Some(layer), &[channels, w_dim]) = (name.strip_suffix(".affine.weight"), shape)
            {
                match self {
                    Self::StyleSpace => all.push((format!("{layer}.offset"), vec![1, channels])),
                    Self::AffineLightPlus => {
                        let part = |name: &str| format!("{layer}.affine.weights_offset_{name}_0");
                        all.push((part("out"), vec![channels, RANK]));
                        all.push((part("in"), vec![RANK, w_dim]));
                    }
                    Self::AffinePlus => {}
                }
            }
            let is_weight = name.starts_with(&own) && !affine && name.ends_with(".weight");
            if let (true, &[outputs, inputs, _, _]) = (is_weight && self != Self::StyleSpace, shape)
            {
                let name = name.replace(".weight", ".weights_offset");
                all.push((name, vec![outputs, inputs, 1, 1]));
            }
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_preset_trains_as_many_numbers_as_published() {
        let path = "tests/golden/degan/styledomain/parameter_counts_few_shot.json";
        let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        let published: Value =
            serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        for (name, resolution, base) in [("config_f_1024", 1024, 32768), ("paper256", 256, 16384)] {
            let config = GeneratorConfig::with_defaults(512, 512, resolution, base, 512).unwrap();
            let counts = &published["few_shot_trainable_parameters"][name];
            for (preset, key) in [
                (Preset::AffinePlus, "affine_plus"),
                (Preset::AffineLightPlus, "affine_light_plus"),
                (Preset::StyleSpace, "stylespace"),
            ] {
                let trained = preset.trained(&config, 64).unwrap();
                let found: usize = trained
                    .iter()
                    .map(|(_, shape)| shape.iter().product::<usize>())
                    .sum();
                assert_eq!(found as u64, counts[key].as_u64().unwrap(), "{name} {key}");
            }
        }
    }

    #[test]
    fn words_are_read_and_others_refused() {
        let read: Parametrization = "multiplicative,out_in,affine_out_in_1_2".parse().unwrap();
        assert_eq!(read.affine, Some((Change::Multiplicative, 1, 2)));
        assert_eq!(read.weights, Some(Change::Multiplicative));
        let error = "affine_out_in_0_1".parse::<Parametrization>().unwrap_err();
        assert!(error.to_string().contains("affine_out_in_0_1"), "{error}");
    }
}
