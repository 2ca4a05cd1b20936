//! Vectors and matrices beside weights that stay the source's, for each new domain, through a gate along its direction. See
//! [`domex_latent::domain_vectors`] and [`domex_latent::matrices`].
//!
//! | | of each layer | numbers of a layer | gate |
//! | --- | --- | --- | --- |
//! | `stylespace` | an offset to its style | `i` | linear: as much as a latent has gone |
//! | `cin-mult` | a factor of its input channels | `i` | smooth |
//! | `gated` | both | `2 i` | smooth: closed on the base subspace and around it |
//! | `affine` | a change of its affine map and of that one's bias | `i (D + 1)` | smooth |
//! | `affine-light` | a change of its affine map of rank k | `k (i + D)` | smooth |
//! | `dorm` | as `affine`, after a mapping for all layers of `2 D (D + 1)` numbers | `i (D + 1)` | smooth |
//! | `gan-memory` | changes of the deviation and the mean of each kernel, and of its biases; nothing of a layer whose kernels are one number | `2 o i + o` | smooth |
//!
//! `affine` and `affine-light` can have offsets of the weights of one block's layers too, `o · i` numbers each.
//!
//! On the base subspace nothing changes, so no training on the source domain has to hold it; behind a closed gate it is the
//! source's to the bit. That directions of StyleSpace adapt a generator to near domains, that most of their numbers can be left
//! out afterwards, and what Affine+ and AffineLight+ train for others: Alanov et al. 2023, *StyleDomain*, arXiv 2212.10229; that
//! factors of input channels do: Alanov et al. 2022, *HyperDomainNet*, arXiv 2210.08884; mappings with affine maps: Wu et al. 2023,
//! *Domain Re-Modulation*, arXiv 2302.02550; styles of kernels: Cong et al. 2020, *GAN Memory with No Forgetting*, arXiv 2006.07543.

use std::collections::BTreeMap;
use std::sync::Arc;

use candle_core::{Device, Tensor, Var};
use domex_latent::Expansion;
use domex_latent::domain_vectors::{DomainVectors, Gate, LayerVectors};
use domex_latent::expansion::Rows;
use domex_latent::mapping::{self, Mapping};
use domex_latent::matrices::{AffineChange, Matrices};
use domex_latent::modulation::Layer;
use domex_random::{Stream, Streams};
use domex_train::Parameters;
use domex_train::ema::Ema;

use super::{Domains, Parametrisation, ParametrisationKind, StyleDomainConfig};
use crate::{Config, Error, Result, Trainee};

/// See the [module docs](self).
pub struct Vectors {
    /// `{part}.{layer}`, and of mappings `mapping.{part}`: `[new domains, ..]`.
    parameters: Parameters,
    ema: Ema,
    layers: Vec<Layer>,
    gate: Gate,
    /// Share of a new domain's offsets that is kept.
    top: f64,
    /// How many domains are new.
    new: usize,
    /// What the generator's domains had.
    earlier: Option<Expansion>,
}

/// What a layer has of a domain, and how its variable is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Offset,
    Factor,
    Affine,
    AffineOut,
    AffineIn,
    Weight,
    Deviation,
    Bias,
}

impl Part {
    fn key(self, layer: &Layer) -> String {
        let part = match self {
            Self::Offset => "offset",
            Self::Factor => "factor",
            Self::Affine => "affine",
            Self::AffineOut => "affine_out",
            Self::AffineIn => "affine_in",
            Self::Weight => "weight",
            Self::Deviation => "deviation",
            Self::Bias => "bias",
        };
        format!("{part}.{}", layer.name)
    }
}

/// What is trained of a layer that reads latents of `width` numbers, with the shape that one domain has.
fn parts(
    kind: ParametrisationKind,
    config: &StyleDomainConfig,
    layer: &Layer,
    width: usize,
) -> Vec<(Part, Vec<usize>)> {
    let (channels, rank) = (layer.channels, config.rank);
    let offset = || (Part::Offset, vec![channels]);
    let factor = || (Part::Factor, vec![channels]);
    let mut parts = match kind {
        ParametrisationKind::Full => Vec::new(),
        ParametrisationKind::Stylespace => vec![offset()],
        ParametrisationKind::CinMult => vec![factor()],
        ParametrisationKind::Gated => vec![offset(), factor()],
        ParametrisationKind::Affine | ParametrisationKind::Dorm => {
            vec![(Part::Affine, vec![channels, width]), offset()]
        }
        // One number has no deviation, and the published program leaves such kernels alone.
        ParametrisationKind::GanMemory if layer.kernel == 1 => Vec::new(),
        ParametrisationKind::GanMemory => vec![
            (Part::Deviation, vec![layer.outputs, channels]),
            (Part::Weight, vec![layer.outputs, channels]),
            (Part::Bias, vec![layer.outputs]),
        ],
        ParametrisationKind::AffineLight => vec![
            (Part::AffineOut, vec![channels, rank]),
            (Part::AffineIn, vec![rank, width]),
        ],
    };
    if config.block == Some(layer.resolution) {
        parts.push((Part::Weight, vec![layer.outputs, channels]));
    }
    parts
}

/// All zeros, so that nothing changes, but for `in` of a change of low rank: rows of length 1 in random directions, as
/// published, without which neither factor would have a gradient.
fn beginning(part: Part, shape: &[usize], like: &Tensor, stream: &mut Stream) -> Result<Tensor> {
    if part != Part::AffineIn {
        return Ok(Tensor::zeros(shape, like.dtype(), like.device())?);
    }
    let width = shape.last().copied().unwrap_or(1);
    let mut values = vec![0f32; shape.iter().product()];
    stream.fill_normal(&mut values);
    for row in values.chunks_exact_mut(width) {
        let length = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= length);
    }
    let values = Tensor::from_vec(values, shape, like.device())?;
    Ok(values.to_dtype(like.dtype())?)
}

/// How the variables of mappings begin.
const MAPPING: &str = "mapping.";

/// The variable of a part of all mappings.
fn mapping_key(part: &str) -> String {
    format!("{MAPPING}{part}")
}

/// Mappings of so many domains that change nothing yet: the last layer is zero, weights before it are normal numbers, divided by the
/// rate, as those of a StyleGAN2 are.
fn mappings(new: usize, like: &Tensor, seed: u64) -> Result<BTreeMap<String, Var>> {
    let width = like.dim(0)?;
    let mut stream = Streams::new(seed).stream("mappings");
    let mut hidden = vec![0f32; new * width * width];
    stream.fill_normal(&mut hidden);
    let hidden = Tensor::from_vec(hidden, (new, width, width), like.device())?;
    let hidden = (hidden / mapping::RATE)?;
    let mapping = Mapping {
        out: hidden.zeros_like()?,
        hidden_bias: Tensor::zeros((new, width), like.dtype(), like.device())?,
        out_bias: Tensor::zeros((new, width), like.dtype(), like.device())?,
        hidden,
    };
    let parts = Mapping::KEYS.into_iter().zip(mapping.parts());
    parts
        .map(|(key, part)| {
            Ok((
                mapping_key(key),
                Var::from_tensor(&part.to_dtype(like.dtype())?)?,
            ))
        })
        .collect()
}

impl Vectors {
    pub(super) fn attach(
        config: &Config,
        trainee: &mut dyn Trainee,
        domains: Domains<'_>,
        seed: u64,
    ) -> Result<Self> {
        let (kind, settings) = (config.parametrisation, &config.styledomain);
        let layers = trainee.layers();
        let mean = trainee.mean()?;
        let width = mean.dim(0)?;
        check(kind, settings, trainee.kind(), &layers, width)?;
        let gate = match kind {
            ParametrisationKind::Stylespace => Gate::Linear,
            _ => Gate::Smooth,
        };
        let new = &domains.layout.domains()[domains.earlier..];
        let mut stream = Streams::new(seed).stream("affine maps");
        let mut variables = match kind {
            ParametrisationKind::Dorm => mappings(new.len(), &mean, seed)?,
            _ => BTreeMap::new(),
        };
        for layer in &layers {
            for (part, shape) in parts(kind, settings, layer, width) {
                let shape = [&[new.len()], &shape[..]].concat();
                let value = beginning(part, &shape, &mean, &mut stream)?;
                variables.insert(part.key(layer), Var::from_tensor(&value)?);
            }
        }
        let parameters = Parameters::new(variables);
        let ema = Ema::new(&parameters, config.ema)?;
        let gates = vec![gate; new.len()];
        let modulator = |values: &BTreeMap<String, Tensor>| -> Result<Arc<DomainVectors>> {
            let own = |layer: &Layer| Ok((layer.clone(), of_layer(values, layer, new.len())?));
            let layers = layers.iter().map(own).collect::<Result<_>>()?;
            let vectors = DomainVectors::new(layers, &gates, new, domains.basis, &mean)?;
            let mappings = (0..new.len()).filter_map(|at| Some((at, own_mapping(values, at)?)));
            let mappings = mappings.map(|(at, mapping)| Ok((at, mapping?)));
            Ok(Arc::new(
                vectors.with_mappings(mappings.collect::<Result<_>>()?)?,
            ))
        };
        let live = parameters
            .iter()
            .map(|(name, var)| (name.to_owned(), var.as_tensor().clone()));
        let live = modulator(&live.collect())?;
        let averaged = modulator(&ema.average().frozen())?;
        trainee.modulate(live, averaged);
        Ok(Self {
            parameters,
            ema,
            layers,
            gate,
            top: settings.top,
            new: new.len(),
            earlier: trainee.expansion().cloned(),
        })
    }

    /// The rows of all domains: those that were there, then `new`; zeros where one side has none.
    fn rows(&self, earlier: Option<&Rows>, new: &Rows, domains: usize) -> Result<Rows> {
        let mut all = Rows::new();
        for layer in &self.layers {
            let before = earlier.and_then(|rows| rows.get(&layer.name));
            let rows = match (before, new.get(&layer.name)) {
                (None, None) => continue,
                (Some(before), None) => before.pad_with_zeros(0, 0, domains - before.dim(0)?)?,
                (None, Some(new)) => new.pad_with_zeros(0, domains - new.dim(0)?, 0)?,
                (Some(before), Some(new)) => {
                    Tensor::cat(&[&before.to_device(&Device::Cpu)?, new], 0)?
                }
            };
            all.insert(layer.name.clone(), rows.to_device(&Device::Cpu)?);
        }
        Ok(all)
    }

    /// The averages of a part of the new domains, by layer.
    fn averages(&self, values: &BTreeMap<String, Tensor>, part: Part) -> Result<Rows> {
        let mut rows = Rows::new();
        for layer in &self.layers {
            if let Some(value) = values.get(&part.key(layer)) {
                rows.insert(layer.name.clone(), value.to_device(&Device::Cpu)?);
            }
        }
        Ok(rows)
    }
}

/// Refuses what the generator cannot have.
fn check(
    kind: ParametrisationKind,
    config: &StyleDomainConfig,
    trainee: &str,
    layers: &[Layer],
    width: usize,
) -> Result<()> {
    if layers.is_empty() {
        let expected =
            format!("\"full\", all that a generator of kind {trainee} can be trained by");
        let found = format!("{:?}", kind.name());
        return Err(Error::setting("parametrisation", found, expected));
    }
    if kind == ParametrisationKind::GanMemory && layers.iter().all(|layer| layer.kernel == 1) {
        let expected = format!("another: no layer of a generator of kind {trainee} has kernels");
        let found = format!("{:?}", kind.name());
        return Err(Error::setting("parametrisation", found, expected));
    }
    if kind == ParametrisationKind::AffineLight && config.rank > width {
        let expected = format!("at most {width}, the numbers of a latent");
        return Err(Error::setting("styledomain.rank", config.rank, expected));
    }
    let mut blocks: Vec<usize> = layers.iter().map(|layer| layer.resolution).collect();
    blocks.dedup();
    if let Some(block) = config.block.filter(|block| !blocks.contains(block)) {
        let blocks: Vec<String> = blocks.iter().map(ToString::to_string).collect();
        let expected = format!("a resolution of the generator: {}", blocks.join(", "));
        return Err(Error::setting("styledomain.block", block, expected));
    }
    Ok(())
}

/// What the new domains do to a layer. Variables stay live.
fn of_layer(values: &BTreeMap<String, Tensor>, layer: &Layer, new: usize) -> Result<LayerVectors> {
    let get = |part: Part| values.get(&part.key(layer));
    let mut own = LayerVectors {
        offset: get(Part::Offset).cloned(),
        factor: get(Part::Factor).cloned(),
        ..LayerVectors::default()
    };
    for domain in 0..new {
        if let Some(change) = affine(values, layer, domain)? {
            own.affine.push((domain, change));
        }
        for (part, own) in [
            (Part::Weight, &mut own.weight),
            (Part::Deviation, &mut own.deviation),
            (Part::Bias, &mut own.bias),
        ] {
            if let Some(all) = get(part) {
                own.push((domain, one(all, domain)?));
            }
        }
    }
    Ok(own)
}

/// What a domain changes of a layer's affine map.
fn affine(
    values: &BTreeMap<String, Tensor>,
    layer: &Layer,
    domain: usize,
) -> Result<Option<AffineChange>> {
    let get = |part: Part| {
        let value = values.get(&part.key(layer));
        value.map(|all| one(all, domain)).transpose()
    };
    if let Some(change) = get(Part::Affine)? {
        return Ok(Some(AffineChange::Full(change)));
    }
    Ok(match (get(Part::AffineOut)?, get(Part::AffineIn)?) {
        (Some(out), Some(inner)) => Some(AffineChange::LowRank { out, inner }),
        _ => None,
    })
}

/// A domain's mapping.
fn own_mapping(values: &BTreeMap<String, Tensor>, domain: usize) -> Option<Result<Mapping>> {
    let is_there = values.contains_key(&mapping_key(Mapping::KEYS[0]));
    is_there.then(|| Mapping::from_parts(|part| one(&values[&mapping_key(part)], domain)))
}

/// A domain's part of all.
fn one(all: &Tensor, domain: usize) -> Result<Tensor> {
    Ok(all.narrow(0, domain, 1)?.squeeze(0)?)
}

/// Rows `[domains, channels]` where of each domain's numbers, over all layers, this share is kept: the largest.
fn pruned(rows: &Rows, top: f64, domains: usize) -> Result<Rows> {
    if top >= 1.0 {
        return Ok(rows.clone());
    }
    let mut kept: BTreeMap<&String, Vec<Tensor>> = BTreeMap::new();
    for domain in 0..domains {
        let mut all = Vec::new();
        for rows in rows.values() {
            all.extend(
                one(rows, domain)?
                    .to_dtype(candle_core::DType::F32)?
                    .to_vec1::<f32>()?,
            );
        }
        let mut order: Vec<usize> = (0..all.len()).collect();
        order.sort_by(|a, b| all[*b].abs().total_cmp(&all[*a].abs()));
        for at in order.split_off((top * all.len() as f64).ceil() as usize) {
            all[at] = 0.0;
        }
        let mut rest = &all[..];
        for (layer, rows) in rows {
            let (own, after) = rest.split_at(rows.dim(1)?);
            rest = after;
            let own = Tensor::new(own, &Device::Cpu)?.to_dtype(rows.dtype())?;
            kept.entry(layer).or_default().push(own);
        }
    }
    let stack =
        |(layer, rows): (&String, Vec<Tensor>)| Ok((layer.clone(), Tensor::stack(&rows, 0)?));
    kept.into_iter().map(stack).collect()
}

impl Parametrisation for Vectors {
    fn parameters(&self) -> &Parameters {
        &self.parameters
    }

    fn ema(&self) -> &Ema {
        &self.ema
    }

    fn row_of(&self, parameter: &str, trainee: &dyn Trainee) -> Option<usize> {
        let (_, layer) = parameter.split_once('.')?;
        trainee.row_of(layer)
    }

    fn is_before_layers(&self, parameter: &str) -> bool {
        parameter.starts_with(MAPPING)
    }

    fn record(&self, expansion: Expansion) -> Result<Expansion> {
        let domains = expansion.layout.domains().len();
        let values = self.ema.average().frozen();
        let earlier = self.earlier.as_ref();
        let offsets = self.averages(&values, Part::Offset)?;
        let offsets = pruned(&offsets, self.top, self.new)?;
        let offsets = self.rows(earlier.map(|e| &e.offsets), &offsets, domains)?;
        let factors = self.averages(&values, Part::Factor)?;
        let factors = self.rows(earlier.map(|e| &e.factors), &factors, domains)?;
        let mut gates = earlier.map_or(Vec::new(), |e| e.gates.clone());
        gates.resize(domains, self.gate);
        let mut matrices = earlier.map_or(Vec::new(), |e| e.matrices.clone());
        for domain in 0..self.new {
            let mut own = Matrices::default();
            for layer in &self.layers {
                let name = || layer.name.clone();
                if let Some(change) = affine(&values, layer, domain)? {
                    own.affine.insert(name(), change);
                }
                for (part, rows) in [
                    (Part::Weight, &mut own.weights),
                    (Part::Deviation, &mut own.deviations),
                    (Part::Bias, &mut own.biases),
                ] {
                    if let Some(all) = values.get(&part.key(layer)) {
                        rows.insert(name(), one(all, domain)?);
                    }
                }
            }
            own.mapping = own_mapping(&values, domain).transpose()?;
            matrices.push(own);
        }
        let expansion = expansion.with_vectors(offsets, factors, gates)?;
        Ok(expansion.with_matrices(matrices)?)
    }
}

#[cfg(test)]
mod tests;
