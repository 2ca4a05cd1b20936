//! First weights of a contrastive model, and shapes for small ones.
//!
//! Convolutions and linear layers before a rectifier have variance `2 / fan_in` (He et al. 2015), the
//! others `1 / fan_in`. Batch normalisation is a factor and a shift with fixed statistics (0 and 1 here; see
//! [`calibrate`](super::calibrate)), so what training sees is what inference computes, for each picture
//! alone: gradients of adversarial training need that. The last factor of a residual branch begins small, as deep networks without
//! normalisation do (Zhang et al. 2019, arXiv 1901.09321).

use domex_clip::Clip;
use domex_clip::config::{
    Activation, Config, ResNetConfig, TextConfig, TransformerConfig, VisionConfig, VitConfig,
};

use crate::Result;
use crate::init::{Begin, Tensors, draw};

/// `exp` of it is the first factor on cosines, 1 / 0.07 (Radford et al. 2021).
const LOGIT_SCALE: f64 = 2.659_26;

/// The shipped shapes: a narrow text encoder and a ResNet of 128², which takes 64² pictures enlarged: its stem
/// halves at once, and on the pictures themselves that leaves every other pixel's gradient a checkerboard.
pub fn resnet(vocab_size: usize, width: usize, layers: [usize; 4]) -> Config {
    Config {
        embed_dim: 128,
        vision: VisionConfig::ResNet(ResNetConfig {
            width,
            layers,
            // What `Config::deduce` says of the shapes, so that a file needs no more than its tensors.
            heads: (32 * width / 64).max(1),
            image_size: 128,
        }),
        text: text(vocab_size),
    }
}

/// The same text encoder with a vision transformer on patches of 8 × 8.
pub fn vit(vocab_size: usize, width: usize, layers: usize) -> Config {
    Config {
        embed_dim: 128,
        vision: VisionConfig::Vit(VitConfig {
            transformer: transformer(width, layers),
            image_size: 64,
            patch_size: 8,
        }),
        text: text(vocab_size),
    }
}

fn text(vocab_size: usize) -> TextConfig {
    TextConfig {
        transformer: transformer(128, 3),
        vocab_size,
        context_length: 48,
        end_token: None,
    }
}

fn transformer(width: usize, layers: usize) -> TransformerConfig {
    TransformerConfig {
        width,
        layers,
        heads: (width / 64).max(1),
        mlp_width: 4 * width,
        activation: Activation::QuickGelu,
        eps: 1e-5,
    }
}

/// Draws all tensors, statistics included; see [`is_statistic`].
///
/// # Errors
///
/// A configuration out of range.
pub fn init(config: &Config, seed: u64) -> Result<Tensors> {
    let depth = (2.0 * config.text.transformer.layers as f64).sqrt();
    draw(
        seed,
        move |name, shape| begin(name, shape, depth),
        |vb| Clip::new(vb, config),
    )
}

/// Whether a tensor is a constant of batch normalisation, which no optimizer may touch.
pub fn is_statistic(name: &str) -> bool {
    name.ends_with(".running_mean") || name.ends_with(".running_var")
}

fn begin(name: &str, shape: &[usize], depth: f64) -> Begin {
    let last = |end: &str| name.ends_with(end);
    if name == "logit_scale" {
        return Begin::Constant(LOGIT_SCALE);
    }
    if last(".bias") || last(".running_mean") {
        return Begin::Constant(0.0);
    }
    if last(".running_var") {
        return Begin::Constant(1.0);
    }
    if last("bn3.weight") && name.contains(".layer") {
        return Begin::Constant(0.3);
    }
    match shape {
        [] | [_] if name.contains("class_embedding") => Begin::Normal(0.02),
        [] | [_] => Begin::Constant(1.0), // factors of normalisation
        _ if name.contains("token_embedding") => Begin::Normal(0.02),
        _ if name.contains("position") => Begin::Normal(0.01),
        _ if last("out_proj.weight") || last("fc2.weight") => Begin::scaled(1.0 / depth, shape),
        // A 1×1 shortcut has no rectifier of its own.
        [_, _, _, _] if name.contains("downsample") => Begin::scaled(1.0, shape),
        [_, _, _, _] => Begin::scaled(2f64.sqrt(), shape),
        _ => Begin::scaled(1.0, shape),
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor};
    use domex_clip::config::Config;

    use super::*;

    #[test]
    fn features_begin_of_useful_size_and_shapes_tell_the_rest() {
        for config in [resnet(600, 16, [1, 1, 1, 1]), vit(600, 64, 2)] {
            let tensors = init(&config, 5).unwrap();
            let deduced = Config::deduce(&domex_clip::load::shapes(&tensors)).unwrap();
            assert_eq!(deduced, config);
            let clip = Clip::from_tensors(tensors, &config, DType::F32, &Device::Cpu).unwrap();
            let side = clip.image_size();
            let noise: Vec<f32> = (0..2 * 3 * side * side)
                .map(|i| ((i * 7919 % 1000) as f32 / 500.0) - 1.0)
                .collect();
            let pixels = Tensor::from_vec(noise, (2, 3, side, side), &Device::Cpu).unwrap();
            let features = clip.image_features(&pixels).unwrap();
            let size = features
                .sqr()
                .unwrap()
                .mean_all()
                .unwrap()
                .to_scalar::<f32>()
                .unwrap();
            assert!((1e-3..1e2).contains(&size), "{size}");
        }
    }
}
