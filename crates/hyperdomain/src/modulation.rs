//! What a domain does to the 3×3 convolutions of a StyleGAN2.
//!
//! With `D` the demodulated weight of a layer (see [`domex_ops::domain_modulation`]), by the names of the published programs:
//!
//! | kind | the weight becomes | numbers of a layer |
//! | --- | --- | --- |
//! | `cin_mult` | `D (1 + in)` | `i` |
//! | `cout_mult` | `D (1 + out)` | `o` |
//! | `csep_mult` | `D (1 + in + out)` | `i + o` |
//! | `csep_delta` | `D + in + out` | `i + o` |
//! | `cink_mult` | `D (1 + in + kernel)` | `i + 9` |
//! | `coutk_mult` | `D (1 + out + kernel)` | `o + 9` |
//! | `cfull_mult` | `D (1 + shift)` | `o · i` |
//! | `cfull_delta` | `D + shift` | `o · i` |
//! | `aff_cout` | `γ D + β` | `2 o` |
//! | `aff_cout_no_beta` | `γ D` | `o` |
//! | `svd_s` | that of the stored weight `U diag(S + σ) Vᵀ` | `o` |
//!
//! Nothing is normalised afterwards, but for `svd_s`, which changes the weight before modulation; its decomposition has
//! `(ky, kx, i)` as rows and `o` as columns. Layers to RGB stay as they are. γ is 1 where nothing changes, all else 0.
//!
//! A name `cin_delta` is known to the published programs, with a head that makes its numbers, but without a rule that
//! applies them. It is refused.

use std::collections::BTreeMap;
use std::str::FromStr;

use candle_core::{DType, Device, Tensor};
use domex_latent::modulation::{Modulation, Modulations};
use domex_stylegan2::Generator;
use faer::MatRef;
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How a domain changes convolutions. See the [module docs](self).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the table above says what each is")]
pub enum ModulationKind {
    CinMult,
    CoutMult,
    CsepMult,
    CsepDelta,
    CinkMult,
    CoutkMult,
    CfullMult,
    CfullDelta,
    AffCout,
    AffCoutNoBeta,
    SvdS,
}

/// A tensor of a layer's domain, by its published name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the names of the table above")]
pub enum Part {
    In,
    Out,
    Kernel,
    Shift,
    Gamma,
    Beta,
    /// σ of the table.
    Singular,
}

/// A domain's tensors for one convolution, of `n` domains at once: `[n, 1, i, 1, 1]` for `in`, `[n, o, 1, 1, 1]` for `out`, γ
/// and β, `[n, 1, 1, k, k]`, `[n, o, i, 1, 1]` for the shift, `[o]` for σ, which is shared.
pub type Offsets = BTreeMap<Part, Tensor>;

/// A convolution that is modulated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convolution {
    /// As the generator calls it, such as `b8.conv0`.
    pub name: String,
    /// Channels in.
    pub inputs: usize,
    /// Channels out.
    pub outputs: usize,
}

/// Width and height of the convolutions' kernels.
const KERNEL: usize = 3;

impl ModulationKind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::CinMult,
        Self::CoutMult,
        Self::CsepMult,
        Self::CsepDelta,
        Self::CinkMult,
        Self::CoutkMult,
        Self::CfullMult,
        Self::CfullDelta,
        Self::AffCout,
        Self::AffCoutNoBeta,
        Self::SvdS,
    ];

    /// Its published name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::CinMult => "cin_mult",
            Self::CoutMult => "cout_mult",
            Self::CsepMult => "csep_mult",
            Self::CsepDelta => "csep_delta",
            Self::CinkMult => "cink_mult",
            Self::CoutkMult => "coutk_mult",
            Self::CfullMult => "cfull_mult",
            Self::CfullDelta => "cfull_delta",
            Self::AffCout => "aff_cout",
            Self::AffCoutNoBeta => "aff_cout_no_beta",
            Self::SvdS => "svd_s",
        }
    }

    /// The tensors that a layer's domain has.
    #[must_use]
    pub fn parts(self) -> &'static [Part] {
        match self {
            Self::CinMult => &[Part::In],
            Self::CoutMult => &[Part::Out],
            Self::CsepMult | Self::CsepDelta => &[Part::In, Part::Out],
            Self::CinkMult => &[Part::In, Part::Kernel],
            Self::CoutkMult => &[Part::Out, Part::Kernel],
            Self::CfullMult | Self::CfullDelta => &[Part::Shift],
            Self::AffCout => &[Part::Gamma, Part::Beta],
            Self::AffCoutNoBeta => &[Part::Gamma],
            Self::SvdS => &[Part::Singular],
        }
    }

    /// How many numbers a domain has.
    #[must_use]
    pub fn numbers(self, convolutions: &[Convolution]) -> usize {
        let layer = |layer: &Convolution| {
            let parts = self.parts().iter();
            let sizes = parts.map(|part| part.shape(layer).iter().product::<usize>());
            sizes.sum::<usize>()
        };
        convolutions.iter().map(layer).sum()
    }

    /// What a domain does to a layer. `svd_s` has its own: [`Spectrum`].
    ///
    /// # Errors
    ///
    /// A part that is missing or does not belong to this kind.
    pub fn modulation(self, offsets: &Offsets) -> Result<Modulation> {
        if !offsets.keys().eq(self.parts()) {
            let names = |parts: &[Part]| {
                parts
                    .iter()
                    .map(|p| p.name())
                    .collect::<Vec<_>>()
                    .join(", ")
            };
            let found: Vec<Part> = offsets.keys().copied().collect();
            let what = format!("tensors of a domain of kind {}", self.name());
            return Err(Error::config(what, names(&found), names(self.parts())));
        }
        let sum = || -> Result<Tensor> {
            let mut parts = offsets.values();
            let first = parts.next().cloned();
            let first = first.ok_or_else(|| Error::config("tensors of a domain", 0, "some"))?;
            Ok(parts.try_fold(first, |sum, part| sum.broadcast_add(part))?)
        };
        let mut modulation = Modulation::default();
        match self {
            Self::CinMult => {
                let factor = (&offsets[&Part::In] + 1.0)?;
                modulation.channel_factor = Some(factor.flatten_from(1)?);
            }
            Self::CoutMult
            | Self::CsepMult
            | Self::CinkMult
            | Self::CoutkMult
            | Self::CfullMult => {
                modulation.weight_factor = Some((sum()? + 1.0)?);
            }
            Self::CsepDelta | Self::CfullDelta => modulation.weight_shift = Some(sum()?),
            Self::AffCout | Self::AffCoutNoBeta => {
                modulation.weight_factor = offsets.get(&Part::Gamma).cloned();
                modulation.weight_shift = offsets.get(&Part::Beta).cloned();
            }
            Self::SvdS => {
                return Err(Error::config(
                    "modulation",
                    self.name(),
                    "one that acts on the demodulated weight; this one needs the stored weight",
                ));
            }
        }
        Ok(modulation)
    }
}

impl FromStr for ModulationKind {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        if name == "cin_delta" {
            return Err(Error::config(
                "modulation",
                "cin_delta",
                "another one: no rule was published for applying its numbers",
            ));
        }
        Self::ALL
            .into_iter()
            .find(|kind| kind.name() == name)
            .ok_or_else(|| {
                let known = Self::ALL.map(Self::name).join(", ");
                Error::config("modulation", format!("{name:?}"), format!("one of {known}"))
            })
    }
}

impl Part {
    /// Its published name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
            Self::Kernel => "kernel",
            Self::Shift => "shift",
            Self::Gamma => "gamma",
            Self::Beta => "beta",
            Self::Singular => "singular",
        }
    }

    /// Its shape in one domain.
    #[must_use]
    pub fn shape(self, layer: &Convolution) -> Vec<usize> {
        let (i, o) = (layer.inputs, layer.outputs);
        match self {
            Self::In => vec![1, 1, i, 1, 1],
            Self::Out | Self::Gamma | Self::Beta => vec![1, o, 1, 1, 1],
            Self::Kernel => vec![1, 1, 1, KERNEL, KERNEL],
            Self::Shift => vec![1, o, i, 1, 1],
            Self::Singular => vec![o],
        }
    }
}

/// The 3×3 convolutions of a generator, in the order of the published programs: that of the 4×4 block, then of each block the
/// up-sampling one and the other.
#[must_use]
pub fn convolutions(generator: &Generator) -> Vec<Convolution> {
    let tensors = generator.tensors();
    let layers = generator.synthesis().modulated_layers().into_iter();
    let convolution = |layer: domex_latent::modulation::Layer| {
        let weight = tensors.get(&weight_name(&layer.name))?;
        let &[outputs, inputs, KERNEL, KERNEL] = weight.dims() else {
            return None;
        };
        Some(Convolution {
            name: layer.name,
            inputs,
            outputs,
        })
    };
    layers.filter_map(convolution).collect()
}

/// Where a generator has the weight of a layer.
#[must_use]
pub fn weight_name(layer: &str) -> String {
    format!("synthesis.{layer}.weight")
}

/// What domains do to all convolutions, for a pass with a sample for each domain, or with any number for one domain.
///
/// # Errors
///
/// Another number of layers, or what [`ModulationKind::modulation`] refuses.
pub fn modulations(
    kind: ModulationKind,
    convolutions: &[Convolution],
    domains: &[Offsets],
) -> Result<Modulations> {
    if domains.len() != convolutions.len() {
        let expected = format!("{}, one for each convolution", convolutions.len());
        return Err(Error::config("layers of a domain", domains.len(), expected));
    }
    let layers = convolutions.iter().zip(domains);
    layers
        .map(|(layer, offsets)| Ok((layer.name.clone(), kind.modulation(offsets)?)))
        .collect()
}

/// The singular vectors of a stored weight, with which `svd_s` changes it.
#[derive(Debug, Clone)]
pub struct Spectrum {
    left: Tensor,  // [k·k·i, o]
    right: Tensor, // [o, o], a vector in each row
    values: Tensor,
    shape: [usize; 4],
}

impl Spectrum {
    /// Of `weight: [o, i, k, k]`, which the layer `name` has.
    ///
    /// # Errors
    ///
    /// A weight that is not finite.
    pub fn of(name: &str, weight: &Tensor) -> Result<Self> {
        let (o, i, kh, kw) = weight.dims4()?;
        let rows = kh * kw * i;
        // (ky, kx, i) × o.
        let matrix = weight.detach().permute((2, 3, 1, 0))?.reshape((rows, o))?;
        let matrix = matrix.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
        let matrix = matrix.flatten_all()?.to_vec1::<f64>()?;
        let matrix = MatRef::from_row_major_slice(&matrix, rows, o);
        let svd = matrix.thin_svd();
        let svd = svd.map_err(|_| Error::Factorisation(format!("layer {name}")))?;
        let (u, s, v) = (svd.U(), svd.S().column_vector(), svd.V());
        let rank = s.nrows();
        let tensor =
            |rows: usize, columns: usize, at: &dyn Fn(usize, usize) -> f64| -> Result<Tensor> {
                let numbers = (0..rows * columns).map(|flat| at(flat / columns, flat % columns));
                let tensor = Tensor::from_vec(numbers.collect(), (rows, columns), &Device::Cpu)?;
                Ok(tensor
                    .to_dtype(weight.dtype())?
                    .to_device(weight.device())?)
            };
        Ok(Self {
            left: tensor(rows, rank, &|row, column| u[(row, column)])?,
            right: tensor(rank, o, &|row, column| v[(column, row)])?,
            values: tensor(1, rank, &|_, column| s[column])?.squeeze(0)?,
            shape: [o, i, kh, kw],
        })
    }

    /// The singular values, falling.
    #[must_use]
    pub fn values(&self) -> &Tensor {
        &self.values
    }

    /// What `singular: [o]`, added to the singular values, does to the layer.
    ///
    /// # Errors
    ///
    /// Another number of them.
    pub fn modulation(&self, singular: &Tensor) -> Result<Modulation> {
        if singular.dims() != self.values.dims() {
            let expected = format!("{:?}", self.values.dims());
            return Err(Error::shape("singular", singular.dims(), expected));
        }
        let [o, i, kh, kw] = self.shape;
        let offset = domex_ops::matmul(&self.left.broadcast_mul(singular)?, &self.right)?;
        let offset = offset.reshape((kh, kw, i, o))?.permute((3, 2, 0, 1))?;
        Ok(Modulation {
            weight_offset: Some(offset.contiguous()?),
            ..Modulation::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The published programs' own counts.
    fn published() -> Value {
        let path = "tests/golden/hyperdomain/parameter_counts.json";
        let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
    }

    fn layers(of: &Value) -> Vec<Convolution> {
        let pairs = of["conv_dimensions_in_out"].as_array().unwrap().iter();
        let layer = |pair: &Value| Convolution {
            name: String::new(),
            inputs: pair[0].as_u64().unwrap() as usize,
            outputs: pair[1].as_u64().unwrap() as usize,
        };
        pairs.map(layer).collect()
    }

    #[test]
    fn every_kind_has_as_many_numbers_as_published() {
        let published = published();
        for size in ["size1024_multiplier2", "size256_multiplier2"] {
            let of = &published[size];
            for kind in ModulationKind::ALL {
                let expected = of["domain_vector_parameters"][kind.name()]
                    .as_u64()
                    .unwrap();
                assert_eq!(
                    kind.numbers(&layers(of)) as u64,
                    expected,
                    "{size} {kind:?}"
                );
            }
        }
    }

    #[test]
    fn the_hypernetwork_has_as_many_parameters_as_published() {
        let published = published();
        for (size, layers) in ["size1024_multiplier2", "size256_multiplier2"]
            .map(|size| (size, layers(&published[size])))
        {
            let expected = published[size]["hypernetwork_residual_channelin_512_bd4_hd2_trainable"]
                .as_u64()
                .unwrap();
            let config = crate::Config::new(ModulationKind::CinMult, 512, &layers);
            assert_eq!(config.parameters() as u64, expected, "{size}");
        }
    }

    #[test]
    fn a_kind_without_a_rule_is_refused_with_the_reason() {
        let error = ModulationKind::from_str("cin_delta")
            .unwrap_err()
            .to_string();
        assert!(error.contains("no rule was published"), "{error}");
        let error = ModulationKind::from_str("cin").unwrap_err().to_string();
        assert!(error.contains("cin_mult, cout_mult"), "{error}");
    }

    #[test]
    fn names_are_read_back() {
        for kind in ModulationKind::ALL {
            assert_eq!(ModulationKind::from_str(kind.name()).unwrap(), kind);
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
        }
    }
}
