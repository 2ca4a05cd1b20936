//! Configurations from a checkpoint's names and shapes.
//!
//! Shapes say everything that a network's structure depends on: resolution, features per block,
//! depth of the mapping network, sizes of z, w and label, architecture. What leaves no trace in
//! them keeps the published default: activation lrelu, learning rate multiplier 0.01, decay 0.995
//! of the mean of w, no clamp, groups of four in the minibatch statistics, float32. A checkpoint
//! that says more is read by [`kwargs`](crate::kwargs) or [`Model::load`](crate::Model::load).

use std::collections::BTreeMap;

use crate::config::{
    Architecture, DiscriminatorConfig, GeneratorConfig, MappingConfig, SynthesisConfig,
};
use crate::resample::{self, binomial};
use crate::{Error, Result};

type Shapes = BTreeMap<String, Vec<usize>>;

impl GeneratorConfig {
    /// Deduces a generator from the shapes under its published names (`mapping.fc0.weight`, ...).
    ///
    /// Only what is needed is looked at; [`Generator::from_tensors`](crate::Generator::from_tensors)
    /// compares all names and shapes with the configuration.
    ///
    /// # Errors
    ///
    /// A missing tensor that every generator has, or numbers out of range.
    pub fn deduce(shapes: &Shapes) -> Result<Self> {
        let look = Look {
            network: "generator",
            shapes,
        };
        let resolution = look.resolution("synthesis.")?;
        let at = |rest: &str| format!("synthesis.b{resolution}.{rest}");
        let w_dim = look.dim("synthesis.b4.conv1.affine.weight", 1)?;
        let colours = look.dim(&at("torgb.weight"), 0)?;
        let channels = crate::config::resolutions(resolution)
            .into_iter()
            .map(|res| Ok((res, look.dim(&format!("synthesis.b{res}.conv1.weight"), 0)?)))
            .collect::<Result<_>>()?;
        let mut synthesis = SynthesisConfig::new(w_dim, resolution, colours, channels);
        synthesis.architecture = if look.has("synthesis.b8.skip.weight") {
            Architecture::Resnet
        } else if resolution > 4 && !look.has("synthesis.b4.torgb.weight") {
            Architecture::Orig
        } else {
            Architecture::Skip
        };
        synthesis.use_noise = look.has("synthesis.b4.conv1.noise_strength");
        synthesis.resample_filter = look.taps("synthesis.b4")?;
        let config = Self {
            mapping: MappingConfig::deduce(shapes, "mapping.")?,
            synthesis,
        };
        config.validate()?;
        Ok(config)
    }
}

impl MappingConfig {
    /// Deduces a generator's mapping network from the shapes under its published names, below `prefix` (`mapping.`).
    ///
    /// # Errors
    ///
    /// A missing tensor that every such network has, or sizes that contradict each other.
    pub fn deduce(shapes: &Shapes, prefix: &str) -> Result<Self> {
        let network = "generator";
        Look { network, shapes }.mapping(prefix)
    }
}

impl DiscriminatorConfig {
    /// Deduces a discriminator from the shapes under its published names (`b4.fc.weight`, ...).
    ///
    /// # Errors
    ///
    /// A missing tensor that every discriminator has, or numbers out of range.
    pub fn deduce(shapes: &Shapes) -> Result<Self> {
        let look = Look {
            network: "discriminator",
            shapes,
        };
        let resolution = look.resolution("")?;
        let colours = look.dim(&format!("b{resolution}.fromrgb.weight"), 1)?;
        let channels = crate::config::resolutions(resolution)
            .into_iter()
            .map(|res| {
                let name = if res == 4 { "fc" } else { "conv0" };
                Ok((res, look.dim(&format!("b{res}.{name}.weight"), 0)?))
            })
            .collect::<Result<_>>()?;
        let mut config = Self::new(resolution, colours, channels);
        config.architecture = if look.has(&format!("b{resolution}.skip.weight")) {
            Architecture::Resnet
        } else if resolution > 4 && look.has("b4.fromrgb.weight") {
            Architecture::Skip
        } else {
            Architecture::Orig
        };
        config.resample_filter = look.taps("b4.conv")?;
        let (inputs, outputs) = (
            look.dim("b4.conv.weight", 1)?,
            look.dim("b4.conv.weight", 0)?,
        );
        config.mbstd_num_channels = inputs.checked_sub(outputs).ok_or_else(|| {
            look.problem(format!(
                "b4.conv.weight has {inputs} inputs and {outputs} outputs, expected no fewer inputs"
            ))
        })?;
        if shapes.keys().any(|name| name.starts_with("mapping.")) {
            config.mapping = Some(look.mapping("mapping.")?);
        }
        config.validate()?;
        Ok(config)
    }
}

/// Looks names up.
struct Look<'a> {
    network: &'static str,
    shapes: &'a Shapes,
}

impl Look<'_> {
    fn has(&self, name: &str) -> bool {
        self.shapes.contains_key(name)
    }

    fn problem(&self, problem: String) -> Error {
        Error::deduce(self.network, problem)
    }

    fn shape(&self, name: &str) -> Result<&[usize]> {
        self.shapes
            .get(name)
            .map(Vec::as_slice)
            .ok_or_else(|| Error::Names {
                network: self.network.to_string(),
                missing: vec![name.to_string()],
                unexpected: Vec::new(),
            })
    }

    fn dim(&self, name: &str, axis: usize) -> Result<usize> {
        let shape = self.shape(name)?;
        shape.get(axis).copied().ok_or_else(|| {
            self.problem(format!(
                "tensor {name} has shape {shape:?}, expected more than {axis} dimensions"
            ))
        })
    }

    /// The highest `b{resolution}` below `prefix`.
    fn resolution(&self, prefix: &str) -> Result<usize> {
        let block = |name: &String| -> Option<usize> {
            let rest = name.strip_prefix(prefix)?.strip_prefix('b')?;
            rest.split_once('.')?.0.parse().ok()
        };
        self.shapes.keys().filter_map(block).max().ok_or_else(|| {
            self.problem(format!(
                "no tensor named `{prefix}b4...`: these are not the weights of a StyleGAN2 {}",
                self.network
            ))
        })
    }

    /// Taps of the filter of a node, `[1, 3, 3, 1]` where the checkpoint leaves buffers out.
    fn taps(&self, node: &str) -> Result<Vec<f64>> {
        let name = format!("{node}.{}", resample::NAME);
        match self.shapes.get(&name) {
            Some(shape) => binomial(shape),
            None => Ok(vec![1.0, 3.0, 3.0, 1.0]),
        }
    }

    fn mapping(&self, prefix: &str) -> Result<MappingConfig> {
        let fc = |layer: usize| format!("{prefix}fc{layer}.weight");
        let num_layers = (0..).take_while(|layer| self.has(&fc(*layer))).count();
        let embed = format!("{prefix}embed.weight");
        let (embed_features, c_dim) = if self.has(&embed) {
            (self.dim(&embed, 0)?, self.dim(&embed, 1)?)
        } else {
            (0, 0)
        };
        let (first, w_dim) = if num_layers == 0 && embed_features > 0 {
            (embed_features, embed_features)
        } else {
            let last = num_layers.saturating_sub(1);
            (self.dim(&fc(0), 1)?, self.dim(&fc(last), 0)?)
        };
        let z_dim = first.checked_sub(embed_features).ok_or_else(|| {
            self.problem(format!(
                "{} has {first} inputs, expected at least the {embed_features} outputs of {embed}",
                fc(0)
            ))
        })?;
        let mut mapping = MappingConfig::new(z_dim, c_dim, w_dim);
        mapping.num_layers = num_layers;
        mapping.embed_features = embed_features;
        if num_layers > 1 {
            mapping.layer_features = self.dim(&fc(0), 0)?;
        }
        if !self.has(&format!("{prefix}w_avg")) {
            mapping.w_avg_beta = None;
        }
        Ok(mapping)
    }
}
