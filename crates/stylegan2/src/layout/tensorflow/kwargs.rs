//! The arguments of a TensorFlow network under the names that stylegan2-ada-pytorch gives them.

use domex_checkpoint::Value;
use domex_checkpoint::foreign::TensorFlowNetwork;
use serde_json::{Map, Value as Json, json};

fn number(network: &TensorFlowNetwork, name: &str) -> Option<f64> {
    network.static_kwargs.get(name)?.as_f64()
}

/// Arguments under their new names, where the pickle gives them.
struct Arguments<'a> {
    from: &'a Value,
    to: Map<String, Json>,
}

impl<'a> Arguments<'a> {
    fn new(network: &'a TensorFlowNetwork) -> Self {
        Self {
            from: &network.static_kwargs,
            to: Map::new(),
        }
    }

    fn take(mut self, tf: &str, ours: &str, default: Json) -> Self {
        let given = self.from.get(tf).map(Value::to_json);
        self.to.insert(ours.to_owned(), given.unwrap_or(default));
        self
    }

    /// Only if the pickle gives it.
    fn maybe(mut self, tf: &str, ours: &str) -> Self {
        if let Some(value) = self.from.get(tf) {
            self.to.insert(ours.to_owned(), value.to_json());
        }
        self
    }

    fn json(self) -> Json {
        Json::Object(self.to)
    }
}

/// Half of our `channel_base`.
fn channel_base(network: &TensorFlowNetwork) -> Json {
    #[allow(clippy::cast_possible_truncation)]
    let base = number(network, "fmap_base").unwrap_or(16384.0) as i64;
    json!(base.saturating_mul(2))
}

/// A generator's arguments as stylegan2-ada-pytorch takes them, for
/// [`GeneratorConfig::from_kwargs`](crate::GeneratorConfig::from_kwargs).
pub fn generator_kwargs(network: &TensorFlowNetwork) -> Json {
    let mapping = Arguments::new(network)
        .take("mapping_layers", "num_layers", json!(8))
        .maybe("label_fmaps", "embed_features")
        .maybe("mapping_fmaps", "layer_features")
        .take("mapping_nonlinearity", "activation", json!("lrelu"))
        .take("mapping_lrmul", "lr_multiplier", json!(0.01))
        .take("dlatent_avg_beta", "w_avg_beta", json!(0.995))
        .json();
    // Only the top block makes a picture in the oldest architecture, and it is not always named.
    let chained = network
        .variables
        .keys()
        .any(|name| name.contains("ToRGB_lod"));
    let architecture = if chained { "orig" } else { "skip" };
    let mut synthesis = Arguments::new(network)
        .take("fmap_max", "channel_max", json!(512))
        .take("num_fp16_res", "num_fp16_res", json!(0))
        .maybe("conv_clamp", "conv_clamp")
        .take("architecture", "architecture", json!(architecture))
        .take("resample_kernel", "resample_filter", json!([1, 3, 3, 1]))
        .take("use_noise", "use_noise", json!(true))
        .take("nonlinearity", "activation", json!("lrelu"));
    synthesis
        .to
        .insert("channel_base".to_owned(), channel_base(network));
    if chained {
        synthesis
            .to
            .insert("architecture".to_owned(), json!("orig"));
    }
    let mut all = Arguments::new(network)
        .take("latent_size", "z_dim", json!(512))
        .take("label_size", "c_dim", json!(0))
        .take("dlatent_size", "w_dim", json!(512))
        .take("resolution", "img_resolution", json!(1024))
        .take("num_channels", "img_channels", json!(3));
    all.to.insert("mapping_kwargs".to_owned(), mapping);
    all.to
        .insert("synthesis_kwargs".to_owned(), synthesis.json());
    all.json()
}

/// A discriminator's arguments as stylegan2-ada-pytorch takes them, for
/// [`DiscriminatorConfig::from_kwargs`](crate::DiscriminatorConfig::from_kwargs).
pub fn discriminator_kwargs(network: &TensorFlowNetwork) -> Json {
    let block = Arguments::new(network)
        .take("nonlinearity", "activation", json!("lrelu"))
        .take("resample_kernel", "resample_filter", json!([1, 3, 3, 1]))
        .json();
    let mapping = Arguments::new(network)
        .take("mapping_layers", "num_layers", json!(0))
        .maybe("mapping_fmaps", "embed_features")
        .maybe("mapping_fmaps", "layer_features")
        .take("nonlinearity", "activation", json!("lrelu"))
        .take("mapping_lrmul", "lr_multiplier", json!(0.1))
        .json();
    let epilogue = Arguments::new(network)
        .take("mbstd_group_size", "mbstd_group_size", json!(4))
        .take("mbstd_num_features", "mbstd_num_channels", json!(1))
        .json();
    let chained = network
        .variables
        .keys()
        .any(|name| name.contains("FromRGB_lod"));
    let mut all = Arguments::new(network)
        .take("label_size", "c_dim", json!(0))
        .take("resolution", "img_resolution", json!(1024))
        .take("num_channels", "img_channels", json!(3))
        .take("architecture", "architecture", json!("resnet"))
        .take("fmap_max", "channel_max", json!(512))
        .take("num_fp16_res", "num_fp16_res", json!(0))
        .maybe("conv_clamp", "conv_clamp")
        .maybe("mapping_fmaps", "cmap_dim");
    all.to
        .insert("channel_base".to_owned(), channel_base(network));
    if chained {
        all.to.insert("architecture".to_owned(), json!("orig"));
    }
    all.to.insert("block_kwargs".to_owned(), block);
    all.to.insert("mapping_kwargs".to_owned(), mapping);
    all.to.insert("epilogue_kwargs".to_owned(), epilogue);
    all.json()
}
