//! Configurations from the published keyword arguments.

use domex_stylegan2::kwargs::Args;
use serde_json::Value;

use super::schedule::channels;
use super::{GeneratorConfig, SynthesisConfig, mapping};
use crate::{Error, Result};

/// Arguments of the generator.
const KNOWN: [&str; 20] = [
    "z_dim",
    "c_dim",
    "w_dim",
    "img_resolution",
    "img_channels",
    "mapping_kwargs",
    "channel_base",
    "channel_max",
    "num_layers",
    "num_critical",
    "first_cutoff",
    "first_stopband",
    "last_stopband_rel",
    "margin_size",
    "output_scale",
    "conv_kernel",
    "filter_size",
    "lrelu_upsampling",
    "use_radial_filters",
    "conv_clamp",
];

/// Arguments that change nothing here: which layers take float16 on a GPU, and how fast magnitudes are tracked in training.
const NO_MATTER: [&str; 2] = ["num_fp16_res", "magnitude_ema_beta"];

/// Arguments of the mapping network.
const MAPPING: [&str; 3] = ["num_layers", "lr_multiplier", "w_avg_beta"];

impl GeneratorConfig {
    /// Reads a generator's keyword arguments: `z_dim`, `c_dim`, `w_dim`, `img_resolution`, `img_channels`, `mapping_kwargs`, and those
    /// of the synthesis beside them.
    ///
    /// # Errors
    ///
    /// A missing, misshapen or unknown argument, or a number out of range.
    pub fn from_kwargs(kwargs: &Value) -> Result<Self> {
        let args = Args::new("", kwargs);
        known("", kwargs, &[&KNOWN, &NO_MATTER])?;
        if let Some(below) = args.get("mapping_kwargs") {
            known("mapping_kwargs.", below, &[&MAPPING])?;
        }
        let w_dim = args.need("w_dim")?;
        let c_dim = args.size("c_dim")?.unwrap_or(0);
        let mapping = mapping(args.need("z_dim")?, c_dim, w_dim);
        let mapping = mapping.with_kwargs(&args.below("mapping_kwargs"))?;
        let resolution = args.need("img_resolution")?;
        let colours = args.size("img_channels")?.unwrap_or(3);
        let mut synthesis = SynthesisConfig::t(w_dim, resolution, colours, Vec::new());
        synthesis.read(&args)?;
        let config = Self { mapping, synthesis };
        config.validate()?;
        Ok(config)
    }
}

impl SynthesisConfig {
    fn read(&mut self, args: &Args<'_>) -> Result<()> {
        let sizes = [
            ("num_critical", &mut self.num_critical),
            ("margin_size", &mut self.margin_size),
            ("conv_kernel", &mut self.conv_kernel),
            ("filter_size", &mut self.filter_size),
            ("lrelu_upsampling", &mut self.lrelu_upsampling),
        ];
        for (key, own) in sizes {
            *own = args.size(key)?.unwrap_or(*own);
        }
        let numbers = [
            ("first_cutoff", &mut self.first_cutoff),
            ("first_stopband", &mut self.first_stopband),
            ("last_stopband_rel", &mut self.last_stopband_rel),
            ("output_scale", &mut self.output_scale),
        ];
        for (key, own) in numbers {
            *own = args.number(key)?.unwrap_or(*own);
        }
        if args.has("conv_clamp") {
            self.conv_clamp = args.number("conv_clamp")?;
        }
        if let Some(value) = args.get("use_radial_filters") {
            let radial = value.as_bool();
            self.use_radial_filters =
                radial.ok_or_else(|| args.wrong("use_radial_filters", value, "true or false"))?;
        }
        let layers = args.size("num_layers")?.unwrap_or(14);
        // The rule of the channels divides by what these leave; their own check comes with the others'.
        super::size("num_layers", layers, 1, 64)?;
        super::size("num_critical", self.num_critical, 0, layers - 1)?;
        super::above("first_cutoff", self.first_cutoff, 0.0)?;
        let limits = [
            args.number("channel_base")?.unwrap_or(32768.0),
            args.number("channel_max")?.unwrap_or(512.0),
        ];
        let (critical, cutoff) = (self.num_critical, self.first_cutoff);
        self.channels = channels(self.img_resolution, layers, critical, cutoff, limits);
        Ok(())
    }
}

/// Refuses an argument that is none of `allowed`: a network that has others is another one.
fn known(path: &str, kwargs: &Value, allowed: &[&[&str]]) -> Result<()> {
    let Some(entries) = kwargs.as_object() else {
        let what = if path.is_empty() { "arguments" } else { path };
        return Err(Error::config(what, kwargs, "a dictionary"));
    };
    let unknown = entries
        .keys()
        .find(|key| !allowed.iter().any(|keys| keys.contains(&key.as_str())));
    match unknown {
        None => Ok(()),
        Some(key) => Err(Error::config(
            "argument",
            format!("{path}{key}"),
            "those of the published StyleGAN3 generator alone",
        )),
    }
}
