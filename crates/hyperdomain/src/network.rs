//! The hypernetwork: from an embedding to a domain.
//!
//! ```text
//! h = BN(relu(lin(e)));  h ← relu(block(h) + h), backbone_depth − 1 times
//! of each convolution: h ← relu(block(h) + h), head_depth − 1 times, then linear to its numbers
//! block = lin(width → 512), BN, relu, lin(512 → width), BN
//! ```
//!
//! Keys: `backbone.backbone.…` and `heads.conv_{i}.in.…`, with a second head `heads.conv_{i}.out.…` for `csep_mult`. The
//! published mapper's types `residual_channelin` and `residual_channelwise_sep` are `cin_mult` and `csep_mult` here.

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::{Init, VarBuilder, VarMap};
use domex_ops::{Activation, BiasAct, bias_act, linear};
use domex_random::Stream;
use serde::{Deserialize, Serialize};

use crate::batch_norm::{BatchNorm, Statistics};
use crate::modulation::{Convolution, ModulationKind, Offsets, Part};
use crate::{Error, Result};

/// Width inside a residual block, whatever that of the network is.
const INNER: usize = 512;

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// What fixes a hypernetwork.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What it makes: `cin_mult` or `csep_mult`.
    pub modulation: ModulationKind,
    /// Numbers of an embedding, and of a row between blocks.
    pub width: usize,
    /// Layers before the heads part.
    pub backbone_depth: usize,
    /// Layers of a head.
    pub head_depth: usize,
    /// What is modulated.
    pub convolutions: Vec<Convolution>,
}

impl Config {
    /// The published depths, 4 and 2.
    #[must_use]
    pub fn new(modulation: ModulationKind, width: usize, convolutions: &[Convolution]) -> Self {
        Self {
            modulation,
            width,
            backbone_depth: 4,
            head_depth: 2,
            convolutions: convolutions.to_vec(),
        }
    }

    /// Refuses what no network can be made of.
    ///
    /// # Errors
    ///
    /// A setting out of range.
    pub fn validate(&self) -> Result<()> {
        /// More would be a damaged file.
        const LARGEST: usize = 1 << 14;
        let range = format!("1 to {LARGEST}");
        let layers = self.convolutions.iter().flat_map(|c| [c.inputs, c.outputs]);
        let sizes = layers
            .map(|channels| ("channels of a convolution", channels))
            .chain([
                ("width", self.width),
                ("backbone_depth", self.backbone_depth),
                ("head_depth", self.head_depth),
                ("number of convolutions", self.convolutions.len()),
            ]);
        for (what, size) in sizes {
            if !(1..=LARGEST).contains(&size) {
                return Err(Error::config(what, size, &range));
            }
        }
        match self.modulation {
            ModulationKind::CinMult | ModulationKind::CsepMult => Ok(()),
            other => Err(Error::config(
                "modulation of a hypernetwork",
                other.name(),
                "cin_mult or csep_mult: the others have no head",
            )),
        }
    }

    /// How many numbers are trained.
    #[must_use]
    pub fn parameters(&self) -> usize {
        let w = self.width;
        let block = 2 * w * INNER + 3 * INNER + 3 * w;
        let backbone = w * w + 3 * w + (self.backbone_depth.max(1) - 1) * block;
        let head = |outputs: usize| (self.head_depth.max(1) - 1) * block + (w + 1) * outputs;
        let heads = self.convolutions.iter().map(|layer| {
            let parts = self.modulation.parts().iter();
            parts
                .map(|part| head(part.shape(layer).iter().product()))
                .sum::<usize>()
        });
        backbone + heads.sum::<usize>()
    }
}

#[derive(Debug, Clone)]
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn new(vb: &VarBuilder<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        Ok(Self {
            weight: vb.get_with_hints((outputs, inputs), "weight", Init::Const(0.0))?,
            bias: vb.get_with_hints(outputs, "bias", Init::Const(0.0))?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(linear(x, &self.weight, Some(&self.bias))?)
    }
}

fn relu(x: &Tensor) -> Result<Tensor> {
    let act = BiasAct {
        gain: Some(1.0),
        ..BiasAct::new(Activation::Relu)
    };
    Ok(bias_act(x, None, &act)?)
}

#[derive(Debug, Clone)]
struct Block {
    inner: (Linear, BatchNorm),
    outer: (Linear, BatchNorm),
}

impl Block {
    fn new(vb: &VarBuilder<'_>, width: usize) -> Result<Self> {
        let layer = |name: &str, inputs: usize, outputs: usize| -> Result<_> {
            let vb = vb.pp(name);
            let linear = Linear::new(&vb.pp(0), inputs, outputs)?;
            Ok((linear, BatchNorm::new(&vb.pp(1), outputs)?))
        };
        Ok(Self {
            inner: layer("input_block", width, INNER)?,
            outer: layer("second_block", INNER, width)?,
        })
    }

    fn forward(&self, x: &Tensor, statistics: &mut Option<Statistics>) -> Result<Tensor> {
        let (linear, norm) = &self.inner;
        let y = relu(&norm.forward(&linear.forward(x)?, statistics)?)?;
        let (linear, norm) = &self.outer;
        let y = norm.forward(&linear.forward(&y)?, statistics)?;
        relu(&(y + x)?)
    }
}

#[derive(Debug, Clone)]
struct Head {
    blocks: Vec<Block>,
    last: Linear,
}

impl Head {
    fn new(vb: &VarBuilder<'_>, cfg: &Config, outputs: usize) -> Result<Self> {
        let blocks = cfg.head_depth - 1;
        Ok(Self {
            blocks: (0..blocks)
                .map(|at| Block::new(&vb.pp(at), cfg.width))
                .collect::<Result<_>>()?,
            last: Linear::new(&vb.pp(blocks), cfg.width, outputs)?,
        })
    }

    fn forward(&self, x: &Tensor, statistics: &mut Option<Statistics>) -> Result<Tensor> {
        let mut x = x.clone();
        for block in &self.blocks {
            x = block.forward(&x, statistics)?;
        }
        self.last.forward(&x)
    }
}

/// See the top of this module.
#[derive(Debug, Clone)]
pub struct Hypernetwork {
    first: (Linear, BatchNorm),
    backbone: Vec<Block>,
    heads: Vec<BTreeMap<Part, Head>>,
    config: Config,
}

impl Hypernetwork {
    /// Reads the network from the root of its key tree.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range, a missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, cfg: &Config) -> Result<Self> {
        cfg.validate()?;
        let backbone = vb.pp("backbone.backbone");
        let head = |(index, layer): (usize, &Convolution)| {
            let vb = vb.pp(format!("heads.conv_{index}"));
            let part = |part: &Part| {
                let numbers = part.shape(layer).iter().product();
                Ok((*part, Head::new(&vb.pp(part.name()), cfg, numbers)?))
            };
            cfg.modulation.parts().iter().map(part).collect()
        };
        Ok(Self {
            first: (
                Linear::new(&backbone.pp("0.lin"), cfg.width, cfg.width)?,
                BatchNorm::new(&backbone.pp("0.bn"), cfg.width)?,
            ),
            backbone: (1..cfg.backbone_depth)
                .map(|at| Block::new(&backbone.pp(at), cfg.width))
                .collect::<Result<_>>()?,
            heads: cfg
                .convolutions
                .iter()
                .enumerate()
                .map(head)
                .collect::<Result<_>>()?,
            config: cfg.clone(),
        })
    }

    /// What fixes it.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The domains of embeddings `[n, width]`: of each convolution, its tensors for `n` domains.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(&self, embeddings: &Tensor) -> Result<Vec<Offsets>> {
        self.pass(embeddings, &mut None)
    }

    /// The same normalised by the batch, and the running statistics after it, which the caller keeps.
    ///
    /// # Errors
    ///
    /// A wrong shape, or less than two embeddings.
    pub fn forward_train(&self, embeddings: &Tensor) -> Result<(Vec<Offsets>, Statistics)> {
        let mut statistics = Some(Statistics::new());
        let domains = self.pass(embeddings, &mut statistics)?;
        Ok((domains, statistics.unwrap_or_default()))
    }

    fn pass(&self, e: &Tensor, statistics: &mut Option<Statistics>) -> Result<Vec<Offsets>> {
        let width = self.config.width;
        if !matches!(*e.dims(), [_, d] if d == width) {
            return Err(Error::shape(
                "embeddings",
                e.dims(),
                format!("[n, {width}]"),
            ));
        }
        let (linear, norm) = &self.first;
        let mut x = norm.forward(&relu(&linear.forward(e)?)?, statistics)?;
        for block in &self.backbone {
            x = block.forward(&x, statistics)?;
        }
        let n = e.dim(0)?;
        let layers = self.heads.iter().zip(&self.config.convolutions);
        let mut domains = Vec::with_capacity(self.heads.len());
        for (heads, layer) in layers {
            let mut offsets = Offsets::new();
            for (part, head) in heads {
                let mut shape = part.shape(layer);
                shape[0] = n;
                let numbers = head.forward(&x, statistics)?.reshape(shape)?;
                offsets.insert(*part, numbers);
            }
            domains.push(offsets);
        }
        Ok(domains)
    }
}

/// Tensors to begin with: weights uniform after Glorot and Bengio, times 0.01, biases 0, norms that change nothing.
///
/// # Errors
///
/// A configuration that is out of range.
pub fn init(cfg: &Config, stream: &mut Stream) -> Result<Tensors> {
    let map = VarMap::new();
    Hypernetwork::new(
        &VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu),
        cfg,
    )?;
    let named: BTreeMap<String, Tensor> = match map.data().lock() {
        Ok(data) => data
            .iter()
            .map(|(name, var)| (name.clone(), var.as_tensor().detach()))
            .collect(),
        Err(_) => return Err(Error::config("tensors", "locked", "free")),
    };
    let drawn = named.into_iter().map(|(name, tensor)| {
        let [outputs, inputs] = *tensor.dims() else {
            return Ok((name, tensor));
        };
        let limit = 0.01 * (6.0 / (inputs + outputs) as f64).sqrt();
        let mut uniform = || ((2.0 * stream.uniform_f64() - 1.0) * limit) as f32;
        let numbers: Vec<f32> = (0..inputs * outputs).map(|_| uniform()).collect();
        Ok((
            name,
            Tensor::from_vec(numbers, (outputs, inputs), &Device::Cpu)?,
        ))
    });
    drawn.collect()
}

#[cfg(test)]
mod tests {
    use domex_ops::testing::{max_difference, randn};
    use domex_random::Streams;

    use super::*;
    use crate::is_statistic;

    fn config() -> Config {
        let layer = |name: &str, inputs, outputs| Convolution {
            name: name.to_owned(),
            inputs,
            outputs,
        };
        let layers = [layer("b4.conv1", 4, 4), layer("b8.conv0", 4, 3)];
        Config::new(ModulationKind::CsepMult, 6, &layers)
    }

    fn network() -> Hypernetwork {
        let tensors = init(&config(), &mut Streams::new(3).stream("network")).unwrap();
        let large = tensors
            .into_iter()
            .map(|(name, tensor)| match tensor.rank() {
                2 => (name, (tensor * 100.0).unwrap()),
                _ => (name, tensor),
            });
        let vb = VarBuilder::from_tensors(large.collect(), DType::F32, &Device::Cpu);
        Hypernetwork::new(&vb, &config()).unwrap()
    }

    fn embeddings() -> Tensor {
        randn(&[3, 6], 1).to_dtype(DType::F32).unwrap()
    }

    #[test]
    fn a_trained_network_takes_each_embedding_for_itself() {
        let (network, all) = (network(), embeddings());
        let together = network.forward(&all).unwrap();
        let alone = network.forward(&all.narrow(0, 1, 1).unwrap()).unwrap();
        for (together, alone) in together.iter().zip(&alone) {
            for (part, alone) in alone {
                let together = together[part].narrow(0, 1, 1).unwrap();
                assert!(max_difference(&together, alone) < 1e-5, "{part:?}");
            }
        }
    }

    #[test]
    fn one_row_cannot_be_normalised_by_itself() {
        let one = embeddings().narrow(0, 0, 1).unwrap();
        let error = network().forward_train(&one).unwrap_err().to_string();
        assert!(error.contains("at least 2"), "{error}");
    }

    #[test]
    fn a_new_network_changes_next_to_nothing() {
        let tensors = init(&config(), &mut Streams::new(3).stream("network")).unwrap();
        let vb = VarBuilder::from_tensors(tensors.into_iter().collect(), DType::F32, &Device::Cpu);
        let domains = Hypernetwork::new(&vb, &config()).unwrap();
        for offsets in domains.forward(&embeddings()).unwrap() {
            for tensor in offsets.values() {
                let largest = tensor.abs().unwrap().max_all().unwrap();
                assert!(largest.to_scalar::<f32>().unwrap() < 0.05);
            }
        }
    }

    #[test]
    fn embeddings_of_another_width_are_refused() {
        let error = network()
            .forward(&randn(&[2, 5], 1))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("[2, 5]") && error.contains("[n, 6]"),
            "{error}"
        );
    }

    #[test]
    fn a_kind_without_a_head_is_refused() {
        let config = Config {
            modulation: ModulationKind::AffCout,
            ..config()
        };
        let error = config.validate().unwrap_err().to_string();
        assert!(error.contains("aff_cout"), "{error}");
    }

    #[test]
    fn as_many_numbers_are_trained_as_the_formula_says() {
        let tensors = init(&config(), &mut Streams::new(0).stream("network")).unwrap();
        let trained = tensors.iter().filter(|(name, _)| !is_statistic(name));
        let count: usize = trained.map(|(_, tensor)| tensor.elem_count()).sum();
        assert_eq!(count, config().parameters());
    }
}
