//! Statistics of batch normalisation, measured once on the first weights.
//!
//! Without them the features of any two pictures begin nearly parallel: rectifiers leave a large mean,
//! layer after layer, and a contrastive loss sees angles only. So before the first step one batch goes
//! through the image encoder; each normalisation takes the batch's mean and variance of each channel as its own,
//! for good, and the last bias takes the features' mean away. From then on the network is the same for
//! each picture alone, in training and at inference.

use candle_core::{D, Tensor};
use domex_clip::config::ResNetConfig;
use domex_clip::{Clip, Config, Preprocess, VisionConfig};
use domex_ops::{Pool, avg_pool2d, conv2d};

use crate::init::Tensors;
use crate::{Error, Result};

/// ε of batch normalisation.
const EPS: f64 = 1e-5;

/// Sets the statistics of a ResNet's tensors for `pictures: [n, 3, h, w]` in `[-1, 1]`, and the
/// bias of its last layer. A vision transformer has neither and stays as it is.
///
/// # Errors
///
/// A tensor that is missing, or pictures of another shape.
pub fn calibrate(tensors: &mut Tensors, config: &Config, pictures: &Tensor) -> Result<()> {
    let VisionConfig::ResNet(resnet) = &config.vision else {
        return Ok(());
    };
    let pixels = Preprocess::new(resnet.image_size).apply(pictures)?;
    Pass { tensors }.run(resnet, &pixels)?;
    let clip = Clip::from_tensors(tensors.clone(), config, pixels.dtype(), pixels.device())?;
    let mean = clip.image_features(&pixels)?.mean(0)?;
    let bias = get(tensors, LAST_BIAS)?.sub(&mean)?;
    tensors.insert(LAST_BIAS.to_owned(), bias);
    Ok(())
}

const LAST_BIAS: &str = "visual.attnpool.c_proj.bias";

fn get(tensors: &Tensors, name: &str) -> Result<Tensor> {
    let tensor = tensors.get(name).cloned();
    tensor.ok_or_else(|| {
        Error::config(
            format!("tensor {name}"),
            "missing",
            "a tensor of a ResNet encoder",
        )
    })
}

/// The encoder's convolutions in order, as `domex_clip::resnet` runs them.
struct Pass<'a> {
    tensors: &'a mut Tensors,
}

impl Pass<'_> {
    fn run(&mut self, config: &ResNetConfig, pixels: &Tensor) -> Result<()> {
        let mut x = pixels.clone();
        for (layer, stride) in [(1, 2), (2, 1), (3, 1)] {
            x = self
                .conv(
                    "visual.",
                    [&format!("conv{layer}"), &format!("bn{layer}")],
                    &x,
                    stride,
                )?
                .relu()?;
        }
        x = halved(&x)?;
        for (stage, &blocks) in config.layers.iter().enumerate() {
            for block in 0..blocks {
                let prefix = format!("visual.layer{}.{block}.", stage + 1);
                x = self.block(&prefix, &x, stage > 0 && block == 0)?;
            }
        }
        Ok(())
    }

    fn block(&mut self, prefix: &str, x: &Tensor, halve: bool) -> Result<Tensor> {
        let smaller = |x: Tensor| if halve { halved(&x) } else { Ok(x) };
        let y = self.conv(prefix, ["conv1", "bn1"], x, 1)?.relu()?;
        let y = self.conv(prefix, ["conv2", "bn2"], &y, 1)?.relu()?;
        let y = self.conv(prefix, ["conv3", "bn3"], &smaller(y)?, 1)?;
        let short = match self
            .tensors
            .contains_key(&format!("{prefix}downsample.0.weight"))
        {
            true => self.conv(
                prefix,
                ["downsample.0", "downsample.1"],
                &smaller(x.clone())?,
                1,
            )?,
            false => x.clone(),
        };
        Ok((short + y)?.relu()?)
    }

    /// A convolution, and its normalisation with the statistics that it has here.
    fn conv(
        &mut self,
        prefix: &str,
        [conv, norm]: [&str; 2],
        x: &Tensor,
        stride: usize,
    ) -> Result<Tensor> {
        let weight = get(self.tensors, &format!("{prefix}{conv}.weight"))?;
        let y = conv2d(x, &weight, None, stride, weight.dim(D::Minus1)? / 2)?;
        let mean = y.mean((0, 2, 3))?;
        let shape = (1, mean.elem_count(), 1, 1);
        let centred = y.broadcast_sub(&mean.reshape(shape)?)?;
        let variance = centred.sqr()?.mean((0, 2, 3))?;
        let factor = get(self.tensors, &format!("{prefix}{norm}.weight"))?
            .div(&(&variance + EPS)?.sqrt()?)?;
        let bias = get(self.tensors, &format!("{prefix}{norm}.bias"))?;
        for (name, statistic) in [("running_mean", mean), ("running_var", variance)] {
            self.tensors
                .insert(format!("{prefix}{norm}.{name}"), statistic);
        }
        Ok(centred
            .broadcast_mul(&factor.reshape(shape)?)?
            .broadcast_add(&bias.reshape(shape)?)?)
    }
}

fn halved(x: &Tensor) -> Result<Tensor> {
    Ok(avg_pool2d(x, &Pool::new(2, 2), true)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use domex_clip::unit_length;

    use super::*;
    use crate::clip::init;

    #[test]
    fn features_of_different_pictures_point_apart() {
        let config = init::resnet(600, 8, [1, 1, 1, 1]);
        let mut tensors = init::init(&config, 5).unwrap();
        let values: Vec<f32> = (0..8 * 3 * 64 * 64)
            .map(|i| {
                ((i / 4096) as f32 * 0.7 + (i % 64) as f32 * (i / 12288 + 1) as f32 * 0.05).sin()
            })
            .collect();
        let pictures = Tensor::from_vec(values, (8, 3, 64, 64), &Device::Cpu).unwrap();
        let cosine = |tensors: &Tensors| {
            let clip =
                Clip::from_tensors(tensors.clone(), &config, DType::F32, &Device::Cpu).unwrap();
            let pixels = Preprocess::new(clip.image_size()).apply(&pictures).unwrap();
            let f = unit_length(&clip.image_features(&pixels).unwrap()).unwrap();
            let all = f.matmul(&f.t().unwrap()).unwrap().mean_all().unwrap();
            all.to_scalar::<f32>().unwrap()
        };
        let before = cosine(&tensors);
        calibrate(&mut tensors, &config, &pictures).unwrap();
        let after = cosine(&tensors);
        assert!(before > 0.7 && after.abs() < 0.3, "{before} {after}");
    }
}
