//! Configurations as the published keyword arguments.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::config::{Architecture, DiscriminatorConfig, GeneratorConfig, MappingConfig, channels};
use crate::{Error, Result};

/// Of the published resampling filter.
const TAPS: [f64; 4] = [1.0, 3.0, 3.0, 1.0];

impl GeneratorConfig {
    /// The arguments that [`from_kwargs`](Self::from_kwargs) reads, all of them, as stylegan2-ada-pytorch takes them.
    ///
    /// # Errors
    ///
    /// A network that these cannot say: features that do not follow the published rule `min(base / resolution, max)`,
    /// another resampling filter than the published one, which these programs give to some layers only.
    pub fn to_kwargs(&self) -> Result<Value> {
        let config = &self.synthesis;
        check_taps("synthesis.resample_filter", &config.resample_filter)?;
        let (base, max) = rule("synthesis.channels", &config.channels)?;
        let mut mapping = layers(&self.mapping);
        mapping["w_avg_beta"] = json!(self.mapping.w_avg_beta);
        Ok(json!({
            "z_dim": self.z_dim(),
            "c_dim": self.c_dim(),
            "w_dim": self.w_dim(),
            "img_resolution": config.img_resolution,
            "img_channels": config.img_channels,
            "mapping_kwargs": mapping,
            "synthesis_kwargs": {
                "channel_base": base,
                "channel_max": max,
                "num_fp16_res": config.num_fp16_res,
                "conv_clamp": config.conv_clamp,
                "architecture": name(config.architecture),
                "use_noise": config.use_noise,
                "activation": config.activation.name(),
            },
        }))
    }
}

impl DiscriminatorConfig {
    /// The arguments that [`from_kwargs`](Self::from_kwargs) reads, all of them.
    ///
    /// # Errors
    ///
    /// As [`GeneratorConfig::to_kwargs`].
    pub fn to_kwargs(&self) -> Result<Value> {
        check_taps(
            "resample_filter of the discriminator",
            &self.resample_filter,
        )?;
        let (base, max) = rule("channels of the discriminator", &self.channels)?;
        let mut kwargs = json!({
            "c_dim": self.c_dim(),
            "img_resolution": self.img_resolution,
            "img_channels": self.img_channels,
            "architecture": name(self.architecture),
            "channel_base": base,
            "channel_max": max,
            "num_fp16_res": self.num_fp16_res,
            "conv_clamp": self.conv_clamp,
            "block_kwargs": { "activation": self.activation.name() },
            "epilogue_kwargs": {
                "activation": self.activation.name(),
                "mbstd_group_size": self.mbstd_group_size,
                "mbstd_num_channels": self.mbstd_num_channels,
            },
        });
        if let Some(mapping) = &self.mapping {
            kwargs["cmap_dim"] = json!(mapping.w_dim);
            kwargs["mapping_kwargs"] = layers(mapping);
        }
        Ok(kwargs)
    }
}

/// The arguments of both mapping networks.
fn layers(config: &MappingConfig) -> Value {
    let mut kwargs = json!({
        "num_layers": config.num_layers,
        "layer_features": config.layer_features,
        "activation": config.activation.name(),
        "lr_multiplier": config.lr_multiplier,
    });
    if config.c_dim > 0 {
        kwargs["embed_features"] = json!(config.embed_features);
    }
    kwargs
}

fn name(architecture: Architecture) -> &'static str {
    match architecture {
        Architecture::Orig => "orig",
        Architecture::Skip => "skip",
        Architecture::Resnet => "resnet",
    }
}

/// Base and maximum of the rule that the features follow. The smallest base that is large enough for all of them is the
/// right one, if any is.
fn rule(what: &str, features: &BTreeMap<usize, usize>) -> Result<(usize, usize)> {
    let base = features.iter().map(|(at, width)| at * width).max();
    let (base, max) = (
        base.unwrap_or(0),
        features.values().copied().max().unwrap_or(0),
    );
    let resolution = features.keys().copied().max().unwrap_or(4);
    if channels(resolution, base, max)? == *features {
        return Ok((base, max));
    }
    let expected = "min(base / resolution, max), the one rule that these arguments can say";
    Err(Error::config(what, format!("{features:?}"), expected))
}

fn check_taps(what: &str, taps: &[f64]) -> Result<()> {
    let sum: f64 = taps.iter().sum();
    let near = |(tap, published): (&f64, &f64)| (tap / sum - published / 8.0).abs() < 1e-6;
    if taps.len() == TAPS.len() && taps.iter().zip(&TAPS).all(near) {
        return Ok(());
    }
    let expected = "[1, 3, 3, 1]; these programs give another filter to some layers only";
    Err(Error::config(what, format!("{taps:?}"), expected))
}

#[cfg(test)]
mod tests {
    use domex_ops::Activation;

    use super::*;

    #[test]
    fn arguments_say_the_whole_network() {
        let mut config = GeneratorConfig::with_defaults(6, 8, 32, 100, 12).unwrap();
        config.mapping.num_layers = 3;
        config.mapping.layer_features = 9;
        config.mapping.lr_multiplier = 0.1;
        config.mapping.w_avg_beta = Some(0.9);
        config.mapping.activation = Activation::Relu;
        config.synthesis.conv_clamp = Some(256.0);
        config.synthesis.num_fp16_res = 2;
        config.synthesis.use_noise = false;
        config.synthesis.img_channels = 1;
        config.synthesis.activation = Activation::Relu;
        for architecture in [Architecture::Skip, Architecture::Resnet, Architecture::Orig] {
            config.synthesis.architecture = architecture;
            let kwargs = config.to_kwargs().unwrap();
            assert_eq!(GeneratorConfig::from_kwargs(&kwargs).unwrap(), config);
        }
        config.mapping.c_dim = 3;
        config.mapping.embed_features = 5;
        let kwargs = config.to_kwargs().unwrap();
        assert_eq!(GeneratorConfig::from_kwargs(&kwargs).unwrap(), config);

        let mut config = DiscriminatorConfig::new(16, 1, channels(16, 90, 16).unwrap());
        config.activation = Activation::Relu;
        config.mbstd_group_size = None;
        config.mbstd_num_channels = 2;
        config.conv_clamp = Some(64.0);
        config.num_fp16_res = 1;
        config.architecture = Architecture::Skip;
        for mapping in [None, Some(DiscriminatorConfig::label_mapping(3, 7))] {
            config.mapping = mapping;
            let kwargs = config.to_kwargs().unwrap();
            assert_eq!(DiscriminatorConfig::from_kwargs(&kwargs).unwrap(), config);
        }
    }

    #[test]
    fn what_they_cannot_say_is_refused() {
        let plain = GeneratorConfig::with_defaults(8, 8, 16, 64, 8).unwrap();
        let mut config = plain.clone();
        config.synthesis.channels.insert(8, 9); // More than at 4.
        let error = config.to_kwargs().unwrap_err().to_string();
        assert!(error.contains("synthesis.channels"), "{error}");
        let mut config = plain;
        config.synthesis.resample_filter = vec![1.0, 2.0, 1.0];
        let error = config.to_kwargs().unwrap_err().to_string();
        assert!(error.contains("[1, 3, 3, 1]"), "{error}");
    }
}
