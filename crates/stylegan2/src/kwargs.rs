//! Configurations from published keyword arguments.
//!
//! The published code makes a network from arguments such as `z_dim`, `mapping_kwargs` and
//! `synthesis_kwargs`; network pickles carry them as `_init_kwargs`. Arguments that are not about
//! the network's function (`channels_last`, `fused_modconv_default`, `freeze_layers`) are ignored,
//! and missing ones have the defaults of stylegan2-ada-pytorch. The way back is `to_kwargs`.

mod written;

use domex_ops::Activation;
use serde_json::Value;

use crate::config::{
    Architecture, DiscriminatorConfig, GeneratorConfig, MappingConfig, SynthesisConfig, channels,
};
use crate::{Error, Result};

impl GeneratorConfig {
    /// Reads a generator's keyword arguments: `z_dim`, `c_dim`, `w_dim`, `img_resolution`,
    /// `img_channels`, `mapping_kwargs`, `synthesis_kwargs`.
    ///
    /// # Errors
    ///
    /// A missing or misshapen argument, or a number out of range.
    pub fn from_kwargs(kwargs: &Value) -> Result<Self> {
        let args = Args::new("", kwargs);
        let c_dim = args.size("c_dim")?.unwrap_or(0);
        let mapping = MappingConfig::new(args.need("z_dim")?, c_dim, args.need("w_dim")?);
        let mapping = mapping.with_kwargs(&args.below("mapping_kwargs"))?;
        let below = args.below("synthesis_kwargs");
        let resolution = args.need("img_resolution")?;
        let channels = below.channels(resolution)?;
        let colours = args.size("img_channels")?.unwrap_or(3);
        let mut synthesis = SynthesisConfig::new(mapping.w_dim, resolution, colours, channels);
        if let Some(architecture) = below.text("architecture")? {
            synthesis.architecture = architecture.parse()?;
        }
        below.taps(&mut synthesis.resample_filter)?;
        if let Some(use_noise) = below.get("use_noise") {
            synthesis.use_noise = use_noise
                .as_bool()
                .ok_or_else(|| below.wrong("use_noise", use_noise, "true or false"))?;
        }
        let mut config = Self { mapping, synthesis };
        config.refine(kwargs)?;
        Ok(config)
    }

    /// Takes over what leaves no trace in the shapes of the tensors.
    pub(crate) fn refine(&mut self, kwargs: &Value) -> Result<()> {
        let args = Args::new("", kwargs);
        self.mapping.refine(&args.below("mapping_kwargs"))?;
        let below = args.below("synthesis_kwargs");
        self.synthesis.conv_clamp = below.number("conv_clamp")?;
        self.synthesis.num_fp16_res = below.size("num_fp16_res")?.unwrap_or(0);
        below.activation(&mut self.synthesis.activation)?;
        self.validate()
    }
}

impl MappingConfig {
    /// The same with what `mapping_kwargs` say.
    ///
    /// # Errors
    ///
    /// A misshapen argument.
    pub fn with_kwargs(mut self, args: &Args<'_>) -> Result<Self> {
        self.read(args)?;
        self.refine(args)?;
        Ok(self)
    }

    fn read(&mut self, args: &Args<'_>) -> Result<()> {
        if let Some(layers) = args.size("num_layers")? {
            self.num_layers = layers;
        }
        if let Some(features) = args.size("embed_features")?
            && self.c_dim > 0
        {
            self.embed_features = features;
        }
        if let Some(features) = args.size("layer_features")? {
            self.layer_features = features;
        }
        if args.has("w_avg_beta") {
            self.w_avg_beta = args.number("w_avg_beta")?;
        }
        Ok(())
    }

    fn refine(&mut self, args: &Args<'_>) -> Result<()> {
        if let Some(multiplier) = args.number("lr_multiplier")? {
            self.lr_multiplier = multiplier;
        }
        if let (Some(own), Some(beta)) = (&mut self.w_avg_beta, args.number("w_avg_beta")?) {
            *own = beta;
        }
        args.activation(&mut self.activation)
    }
}

impl DiscriminatorConfig {
    /// Reads a discriminator's keyword arguments: `c_dim`, `img_resolution`, `img_channels`,
    /// `architecture`, `channel_base`, `cmap_dim`, `block_kwargs`, `mapping_kwargs`,
    /// `epilogue_kwargs`, ... The epilogue's `mbstd_group_size` and `mbstd_num_channels` may also
    /// stand at the top.
    ///
    /// # Errors
    ///
    /// A missing or misshapen argument, or a number out of range.
    pub fn from_kwargs(kwargs: &Value) -> Result<Self> {
        let args = Args::new("", kwargs);
        let resolution = args.need("img_resolution")?;
        let colours = args.size("img_channels")?.unwrap_or(3);
        let mut config = Self::new(resolution, colours, args.channels(resolution)?);
        if let Some(architecture) = args.text("architecture")? {
            config.architecture = architecture.parse::<Architecture>()?;
        }
        args.below("block_kwargs")
            .taps(&mut config.resample_filter)?;
        for place in [&args, &args.below("epilogue_kwargs")] {
            if let Some(channels) = place.size("mbstd_num_channels")? {
                config.mbstd_num_channels = channels;
            }
        }
        let c_dim = args.size("c_dim")?.unwrap_or(0);
        if c_dim > 0 {
            let cmap_dim = match args.size("cmap_dim")? {
                Some(size) => size,
                None => config.features(4)?,
            };
            let mut mapping = Self::label_mapping(c_dim, cmap_dim);
            mapping.read(&args.below("mapping_kwargs"))?;
            mapping.w_avg_beta = None;
            config.mapping = Some(mapping);
        }
        config.refine(kwargs)?;
        Ok(config)
    }

    /// Takes over what leaves no trace in the shapes of the tensors.
    pub(crate) fn refine(&mut self, kwargs: &Value) -> Result<()> {
        let args = Args::new("", kwargs);
        self.conv_clamp = args.number("conv_clamp")?;
        self.num_fp16_res = args.size("num_fp16_res")?.unwrap_or(0);
        args.below("block_kwargs")
            .activation(&mut self.activation)?;
        for place in [&args, &args.below("epilogue_kwargs")] {
            if place.has("mbstd_group_size") {
                self.mbstd_group_size = place.size("mbstd_group_size")?;
            }
        }
        if let Some(mapping) = &mut self.mapping {
            mapping.refine(&args.below("mapping_kwargs"))?;
        }
        self.validate()
    }
}

/// A dictionary of arguments and where it stands.
pub struct Args<'a> {
    path: String,
    value: Option<&'a Value>,
}

impl<'a> Args<'a> {
    /// Those of `value`, at `path` (such as `mapping_kwargs.`, or nothing).
    #[must_use]
    pub fn new(path: &str, value: &'a Value) -> Self {
        Self {
            path: path.to_string(),
            value: Some(value),
        }
    }

    /// The dictionary under `key`, an empty one where there is none.
    #[must_use]
    pub fn below(&self, key: &str) -> Self {
        Self {
            path: format!("{}{key}.", self.path),
            value: self.get(key),
        }
    }

    /// The argument; `None` also where it is null.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a Value> {
        self.value?.get(key).filter(|value| !value.is_null())
    }

    /// Whether it is given, null included.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.value.is_some_and(|value| value.get(key).is_some())
    }

    /// An error about an argument: what was found and what was expected.
    #[must_use]
    pub fn wrong(&self, key: &str, found: &Value, expected: &str) -> Error {
        let mut found = found.to_string();
        if found.chars().count() > 60 {
            found = found.chars().take(57).chain("...".chars()).collect();
        }
        Error::config(format!("{}{key}", self.path), found, expected)
    }

    /// A whole number.
    ///
    /// # Errors
    ///
    /// Anything else.
    pub fn size(&self, key: &str) -> Result<Option<usize>> {
        self.get(key)
            .map(|value| {
                let size = value.as_u64().and_then(|size| usize::try_from(size).ok());
                size.ok_or_else(|| self.wrong(key, value, "a whole number, 0 or more"))
            })
            .transpose()
    }

    /// A whole number that must be there.
    ///
    /// # Errors
    ///
    /// Anything else.
    pub fn need(&self, key: &str) -> Result<usize> {
        self.size(key)?
            .ok_or_else(|| Error::config(format!("{}{key}", self.path), "none", "a whole number"))
    }

    /// A number.
    ///
    /// # Errors
    ///
    /// Anything else.
    pub fn number(&self, key: &str) -> Result<Option<f64>> {
        self.get(key)
            .map(|value| {
                value
                    .as_f64()
                    .ok_or_else(|| self.wrong(key, value, "a number"))
            })
            .transpose()
    }

    fn text(&self, key: &str) -> Result<Option<&'a str>> {
        self.get(key)
            .map(|value| {
                value
                    .as_str()
                    .ok_or_else(|| self.wrong(key, value, "a text"))
            })
            .transpose()
    }

    fn channels(&self, resolution: usize) -> Result<std::collections::BTreeMap<usize, usize>> {
        channels(
            resolution,
            self.size("channel_base")?.unwrap_or(32768),
            self.size("channel_max")?.unwrap_or(512),
        )
    }

    fn taps(&self, taps: &mut Vec<f64>) -> Result<()> {
        let key = "resample_filter";
        let Some(value) = self.get(key) else {
            return Ok(());
        };
        let numbers: Option<Vec<f64>> = value
            .as_array()
            .and_then(|values| values.iter().map(Value::as_f64).collect());
        *taps = numbers.ok_or_else(|| self.wrong(key, value, "a list of numbers"))?;
        Ok(())
    }

    fn activation(&self, activation: &mut Activation) -> Result<()> {
        if let Some(name) = self.text("activation")? {
            *activation = name.parse()?;
        }
        Ok(())
    }
}
