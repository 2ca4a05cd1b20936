//! Configurations from a checkpoint's tensors alone, as a saved `state_dict` has them.
//!
//! Names and shapes say how many layers there are, their sizes, features and kernels, whether filters are radially symmetric, and what the mapping
//! network is. The frequencies are in the filters only: the published ones are tried, and the filters that follow from them are compared with
//! those of the file. So a network that is another one is refused, and not made wrongly. What leaves no trace keeps the published default: the output
//! scale 0.25, the clamp 256.

use candle_core::{DType, Tensor};
use domex_stylegan2::MappingConfig;
use domex_stylegan2::weights::{Tensors, shapes};

use crate::config::{GeneratorConfig, SynthesisConfig, W_AVG_BETA};
use crate::layer::DOWN_FILTER;
use crate::{Error, Result, derived};

/// By how much a tap may be off, as a share of the largest: filters are stored in float32.
const NEAR: f64 = 1e-5;

/// A layer's name in its parts.
struct Named {
    index: usize,
    size: usize,
    channels: usize,
    name: String,
}

impl GeneratorConfig {
    /// Deduces a generator from its tensors, under their published names (`synthesis.L0_36_512.weight`, ...).
    ///
    /// # Errors
    ///
    /// A network that is none of the published configurations; a missing tensor that every generator has, or numbers out of range.
    pub fn deduce(tensors: &Tensors) -> Result<Self> {
        let shapes = shapes(tensors);
        let mapping = MappingConfig::deduce(&shapes, "mapping.")?;
        let layers = layers(tensors)?;
        let Some((last, inner)) = layers.split_last() else {
            let problem = "no tensor named `synthesis.L0_...`: these are not the weights of a StyleGAN3 generator";
            return Err(Error::Deduce(problem.to_owned()));
        };
        let channels = inner.iter().map(|layer| layer.channels).collect();
        let published = SynthesisConfig::t(mapping.w_dim, last.size, last.channels, channels);
        let radial =
            |(name, tensor): (&String, &Tensor)| name.ends_with(DOWN_FILTER) && tensor.rank() == 2;
        let kernel = layers[0].kernel(tensors)?;
        let synthesis = SynthesisConfig {
            conv_kernel: kernel,
            use_radial_filters: tensors.iter().any(radial),
            ..published
        };
        let config = Self {
            mapping: MappingConfig {
                // A checkpoint without its mean is refused by name.
                w_avg_beta: Some(W_AVG_BETA),
                ..mapping
            },
            synthesis,
        };
        config.validate()?;
        for (layer, shape) in layers.iter().zip(config.synthesis.layers()) {
            if layer.name != shape.name {
                return Err(other(&layer.name, &format!("{} there", shape.name)));
            }
        }
        compare(tensors, &config.synthesis)?;
        Ok(config)
    }
}

impl Named {
    fn parse(name: &str) -> Option<Self> {
        let mut parts = name.strip_prefix('L')?.split('_');
        let mut number = || parts.next()?.parse().ok();
        let (index, size, channels) = (number()?, number()?, number()?);
        let name = name.to_owned();
        parts.next().is_none().then_some(Self {
            index,
            size,
            channels,
            name,
        })
    }

    fn kernel(&self, tensors: &Tensors) -> Result<usize> {
        let weight = format!("synthesis.{}.weight", self.name);
        let weight = tensors.get(&weight).map(Tensor::dims);
        match weight {
            Some(&[_, _, kernel, _]) => Ok(kernel),
            found => Err(Error::Deduce(format!(
                "weight of {} has shape {found:?}, expected [o, i, k, k]",
                self.name
            ))),
        }
    }
}

/// The layers in their order.
fn layers(tensors: &Tensors) -> Result<Vec<Named>> {
    let names = tensors.keys().filter_map(|name| {
        let name = name.strip_prefix("synthesis.")?.strip_suffix(".weight")?;
        Named::parse(name)
    });
    let mut layers: Vec<Named> = names.collect();
    layers.sort_by_key(|layer| layer.index);
    match layers.iter().enumerate().find(|(at, l)| l.index != *at) {
        None => Ok(layers),
        Some((at, found)) => Err(Error::Deduce(format!(
            "layer {at} is missing: the next one is {}",
            found.name
        ))),
    }
}

/// Compares the filters that a configuration says with those that a checkpoint has.
fn compare(tensors: &Tensors, cfg: &SynthesisConfig) -> Result<()> {
    for (name, expected) in derived::tensors(cfg)? {
        let Some(found) = tensors.get(&name) else {
            continue;
        };
        let is_filter = name.ends_with("_filter");
        if !is_filter || found.dims() != expected.dims() {
            // Shapes are checked with all others.
            continue;
        }
        let found = found.to_dtype(DType::F64)?.to_device(expected.device())?;
        let largest = |t: &Tensor| t.abs()?.max_all()?.to_scalar::<f64>();
        let off = largest(&(found - &expected)?)? / largest(&expected)?;
        if off > NEAR {
            return Err(other(&name, &format!("other taps (off by {off:.1e})")));
        }
    }
    Ok(())
}

fn other(what: &str, expected: &str) -> Error {
    Error::Deduce(format!(
        "{what} is none of a published configuration, which has {expected}; tensors alone do not say what this network is: take its network pickle (.pkl)"
    ))
}
