//! Our side of the rows that run whole networks, on random weights.

use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::{Init, VarBuilder, var_builder::SimpleBackend};
use domex_clip::{Clip, Config, config};
use domex_error::{Result, bail};
use domex_inception::{Inception, Pipeline, prepare};
use domex_lpips::{Backbone, Lpips};
use domex_ops::Mask;
use domex_stylegan2::{GeneratorConfig, Model, Noise, Truncation};

use super::{
    rows::Pass,
    work::{Run, noise},
};

/// Random weights under any name: of a variance that keeps activations in range, factors 1, biases 0.
struct Draw;

impl SimpleBackend for Draw {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let dims = shape.dims();
        let tensor = match dims.len() {
            0 | 1 => Tensor::full(
                if name.ends_with("bias") || name.ends_with("mean") {
                    0f32
                } else {
                    1.0
                },
                dims,
                device,
            )?,
            _ => {
                let fan_in: usize = dims[1..].iter().product();
                let values = noise(dims, device).map_err(candle_core::Error::msg)?;
                values.affine((3.0 / fan_in as f64).sqrt(), 0.0)?
            }
        };
        tensor.to_dtype(dtype)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("{name}: asked for without a shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// A source of random weights for any network.
pub fn drawn(device: &Device) -> VarBuilder<'static> {
    VarBuilder::from_backend(Box::new(Draw), DType::F32, device.clone())
}

/// `[n, tokens, heads · 64]` each, the way a block has them.
pub fn attention(
    [n, tokens, heads]: [usize; 3],
    causal: bool,
    pass: Pass,
    device: &Device,
) -> Result<Run> {
    let dims = [n, tokens, heads * 64];
    let part = || -> Result<Var> { Ok(Var::from_tensor(&noise(&dims, device)?)?) };
    let (q, k, v) = (part()?, part()?, part()?);
    let mask = if causal { Mask::Causal } else { Mask::None };
    Ok(Box::new(move || {
        let [q, k, v] = [&q, &k, &v].map(|t| match pass {
            Pass::Forward => t.as_detached_tensor(),
            _ => t.as_tensor().clone(),
        });
        let y = domex_ops::attention(&q, &k, &v, heads, mask)?;
        if pass != Pass::Forward {
            y.backward()?;
        }
        Ok(())
    }))
}

/// From z to pictures, with the noise maps of the network.
pub fn stylegan2(resolution: usize, channel_base: usize, n: usize, device: &Device) -> Result<Run> {
    let config = GeneratorConfig::with_defaults(512, 512, resolution, channel_base, 512)?;
    let model = Model::random(&config, 0, device)?;
    let z = noise(&[n, 512], device)?;
    Ok(Box::new(move || {
        model
            .generator()
            .forward(&z, None, Truncation::NONE, Noise::Const)?;
        Ok(())
    }))
}

/// CLIP with the image encoder ViT-B/32, and a text encoder of one layer for `vocabulary` ids and texts of `context`.
pub fn vit_b_32(vocabulary: usize, context: usize) -> Config {
    let transformer = |width, heads| config::TransformerConfig {
        width,
        layers: 12,
        heads,
        mlp_width: 4 * width,
        activation: config::Activation::QuickGelu,
        eps: 1e-5,
    };
    Config {
        embed_dim: 512,
        vision: config::VisionConfig::Vit(config::VitConfig {
            transformer: transformer(768, 12),
            image_size: 224,
            patch_size: 32,
        }),
        text: config::TextConfig {
            transformer: config::TransformerConfig {
                layers: 1,
                ..transformer(512, 8)
            },
            vocab_size: vocabulary,
            context_length: context,
            end_token: None,
        },
    }
}

/// ViT-B/32, from pixels to features.
pub fn clip(n: usize, pass: Pass, device: &Device) -> Result<Run> {
    let config = vit_b_32(64, 77);
    let clip = Clip::new(&drawn(device), &config)?;
    let pixels = Var::from_tensor(&noise(&[n, 3, 224, 224], device)?)?;
    Ok(Box::new(move || {
        match pass {
            Pass::Forward => {
                clip.image_features(&pixels.as_detached_tensor())?;
            }
            _ => {
                clip.image_features(&pixels)?.backward()?;
            }
        }
        Ok(())
    }))
}

/// The distance of two batches; the second is a target held fixed.
pub fn lpips(backbone: &str, size: usize, n: usize, pass: Pass, device: &Device) -> Result<Run> {
    let backbone = match backbone {
        "alex" => Backbone::Alex,
        "vgg" => Backbone::Vgg,
        other => bail!("no backbone {other:?}; there are alex and vgg"),
    };
    let lpips = Lpips::new(&drawn(device), &domex_lpips::Config::new(backbone))?;
    let a = Var::from_tensor(&noise(&[n, 3, size, size], device)?)?;
    let b = a.as_detached_tensor().affine(0.5, 0.1)?;
    Ok(Box::new(move || {
        match pass {
            Pass::Forward => {
                lpips.distance(&a.as_detached_tensor(), &b)?;
            }
            _ => {
                lpips.distance(&a, &b)?.backward()?;
            }
        }
        Ok(())
    }))
}

/// From pictures to the features that FID is taken of.
pub fn inception(size: usize, n: usize, device: &Device) -> Result<Run> {
    let config = domex_inception::Config::published();
    let inception = Inception::new(&drawn(device), &config)?;
    let pictures = noise(&[n, 3, size, size], device)?.affine(127.5, 127.5)?;
    Ok(Box::new(move || {
        inception.features(&prepare(&pictures, Pipeline::PytorchFid)?)?;
        Ok(())
    }))
}
