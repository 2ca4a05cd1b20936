//! The pixel noise of a generator as something to optimise: a map for each picture and layer.
//!
//! A map may carry what the latent cannot say, and should not: what keeps it noise is that a pixel says nothing of its
//! neighbour, at any scale (Karras et al. 2020, arXiv 1912.04958, appendix D):
//! `Σ_scales (mean x · shift_right(x))² + (mean x · shift_down(x))²`, where each scale is the mean of 2×2 pixels of the one
//! before, down to 8×8; and that it has mean 0 and variance 1 after each step.

use candle_core::{Tensor, Var};
use domex_ops::{Pool, avg_pool2d};
use domex_random::Stream;
use domex_stylegan2::Generator;

use crate::Result;

/// Below this side there is no coarser scale.
const COARSEST: usize = 8;

/// What a map's name ends with in a checkpoint.
const BUFFER: &str = ".noise_const";

/// Maps `[n, 1, h, w]`, one for each layer that adds noise, in the generator's order.
pub(crate) struct NoiseMaps {
    pub names: Vec<String>,
    pub maps: Vec<Var>,
}

impl NoiseMaps {
    /// No maps: the generator's own are used.
    pub fn none() -> Self {
        Self {
            names: Vec::new(),
            maps: Vec::new(),
        }
    }

    /// Standard normal maps for `n` pictures.
    pub fn draw(generator: &Generator, n: usize, stream: &mut Stream) -> Result<Self> {
        let (mut names, mut maps) = (Vec::new(), Vec::new());
        for (name, side) in layers(generator) {
            let mut values = vec![0.0_f32; n * side * side];
            stream.fill_normal(&mut values);
            let synthesis = generator.synthesis();
            let map = Tensor::from_vec(values, (n, 1, side, side), synthesis.device())?;
            maps.push(Var::from_tensor(&map.to_dtype(synthesis.dtype())?)?);
            names.push(name);
        }
        Ok(Self { names, maps })
    }

    /// Adds the penalty of all maps of each picture to `each: [n]`.
    pub fn add_penalty(&self, each: Tensor, weight: f64) -> Result<Tensor> {
        self.maps.iter().try_fold(each, |each, map| {
            Ok((each + (autocorrelation(map)? * weight)?)?)
        })
    }

    /// Brings every map of every picture to mean 0 and variance 1.
    pub fn normalize(&self) -> Result<()> {
        for map in &self.maps {
            map.set(&standardized(&map.as_detached_tensor())?)?;
        }
        Ok(())
    }

    /// The maps by name, as they are now.
    pub fn named(&self) -> Vec<(String, Tensor)> {
        let maps = self.maps.iter().map(Var::as_detached_tensor);
        self.names.iter().cloned().zip(maps).collect()
    }
}

/// Names such as `b8.conv0` and sides of the layers that add noise, in the generator's order: `b4.conv1`, `b8.conv0`, ...
pub(crate) fn layers(generator: &Generator) -> Vec<(String, usize)> {
    let tensors = generator.tensors();
    let mut layers: Vec<(String, usize)> = tensors
        .iter()
        .filter_map(|(name, map)| {
            let name = name.strip_prefix("synthesis.")?.strip_suffix(BUFFER)?;
            Some((name.to_owned(), *map.dims().first()?))
        })
        .collect();
    layers.sort_by(|(a, a_side), (b, b_side)| (a_side, a).cmp(&(b_side, b)));
    layers
}

/// How much pixels say of their neighbours, for maps `[n, 1, h, w]`: `[n]`.
fn autocorrelation(map: &Tensor) -> Result<Tensor> {
    let mut map = map.clone();
    let mut sum = Tensor::zeros(map.dim(0)?, map.dtype(), map.device())?;
    loop {
        for axis in [3, 2] {
            sum = (sum + (&map * map.roll(1, axis)?)?.mean((1, 2, 3))?.sqr()?)?;
        }
        if map.dim(2)? <= COARSEST {
            return Ok(sum);
        }
        map = avg_pool2d(&map, &Pool::new(2, 2), true)?;
    }
}

fn standardized(map: &Tensor) -> Result<Tensor> {
    let centred = map.broadcast_sub(&map.mean_keepdim((1, 2, 3))?)?;
    let deviation = centred.sqr()?.mean_keepdim((1, 2, 3))?.sqrt()?;
    Ok(centred.broadcast_div(&deviation)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use domex_stylegan2::{GeneratorConfig, Model, Noise};

    use super::*;

    fn numbers(tensor: &Tensor) -> Vec<f64> {
        tensor.to_vec1().unwrap()
    }

    #[test]
    fn a_smooth_map_costs_more_than_noise_and_a_map_of_stripes_is_seen() -> Result<()> {
        let noise = domex_ops::testing::randn(&[1, 1, 32, 32], 1);
        let smooth = Tensor::ones((1, 1, 32, 32), DType::F64, &Device::Cpu)?;
        let maps = Tensor::cat(&[&noise, &smooth], 0)?;
        let costs = numbers(&autocorrelation(&maps)?);
        // Three scales, two neighbours each.
        assert!((costs[1] - 6.0).abs() < 1e-12, "{costs:?}");
        assert!(costs[0] < 0.1, "{costs:?}");
        let stripes = Tensor::new(&[1.0_f64, -1.0], &Device::Cpu)?.repeat((1, 1, 8, 4))?;
        assert!((numbers(&autocorrelation(&stripes)?)[0] - 2.0).abs() < 1e-12);
        Ok(())
    }

    #[test]
    fn layers_are_in_the_order_that_the_generator_takes_maps_in() -> Result<()> {
        let config = GeneratorConfig::with_defaults(4, 6, 32, 64, 8)?;
        let model = Model::random(&config, 1, &Device::Cpu)?;
        let generator = model.generator();
        let tensors = generator.tensors();
        let maps: Vec<Tensor> = layers(generator)
            .iter()
            .map(|(name, _)| tensors[&format!("synthesis.{name}{BUFFER}")].clone())
            .collect();
        assert_eq!(maps.len(), generator.synthesis().noise_layers());
        let ws = Tensor::ones((1, config.num_ws(), 6), DType::F32, &Device::Cpu)?;
        let own = generator.synthesis().forward(&ws, Noise::Const)?;
        let given = generator.synthesis().forward(&ws, Noise::Maps(&maps))?;
        let apart = (own - given)?.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(apart < 1e-6, "{apart}");
        Ok(())
    }

    #[test]
    fn each_map_is_brought_to_mean_0_and_variance_1_by_itself() -> Result<()> {
        let maps = (domex_ops::testing::randn(&[2, 1, 8, 8], 2) * 3.0)?;
        let maps = maps
            .broadcast_add(&Tensor::new(&[5.0_f64, -1.0], &Device::Cpu)?.reshape((2, 1, 1, 1))?)?;
        let maps = standardized(&maps)?;
        let means = numbers(&maps.mean((1, 2, 3))?);
        let squares = numbers(&maps.sqr()?.mean((1, 2, 3))?);
        assert!(means.iter().all(|m| m.abs() < 1e-12), "{means:?}");
        assert!(
            squares.iter().all(|s| (s - 1.0).abs() < 1e-12),
            "{squares:?}"
        );
        Ok(())
    }
}
