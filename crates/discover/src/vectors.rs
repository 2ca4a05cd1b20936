//! Vectors of many domains: an offset to the style of each layer and a factor of its input channels, as gated domains have
//! them ([`domex_latent::domain_vectors`]).

use candle_core::{DType, Device, Tensor};
use domex_latent::expansion::Rows;
use domex_latent::modulation::{Layer, Modulation, Modulations};
use domex_random::Stream;

use crate::Result;

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub(crate) struct Vectors {
    /// Layers, with offsets and factors less one, `[domains, channels]`.
    pub layers: Vec<(Layer, [Tensor; 2])>,
}

impl Vectors {
    /// Random ones: normal numbers of this standard deviation, in about half of the resolutions of each domain and at least
    /// one, so that some change shapes and others colours.
    pub fn draw(
        layers: &[Layer],
        domains: usize,
        deviation: f64,
        stream: &mut Stream,
        device: &Device,
    ) -> Result<Self> {
        let mut resolutions: Vec<usize> = layers.iter().map(|layer| layer.resolution).collect();
        resolutions.dedup();
        let mut chosen = Vec::with_capacity(domains);
        for _ in 0..domains {
            let sure = resolutions[stream.index(resolutions.len())?];
            let others = resolutions
                .iter()
                .map(|&at| at == sure || stream.uniform_f64() < 0.5);
            chosen.push(others.collect::<Vec<bool>>());
        }
        let mut part = |layer: &Layer| -> Result<Tensor> {
            let at = resolutions.iter().position(|&at| at == layer.resolution);
            let mut values = vec![0f32; domains * layer.channels];
            stream.fill_normal(&mut values);
            for (row, chosen) in values.chunks_exact_mut(layer.channels).zip(&chosen) {
                let gain = match at.is_some_and(|at| chosen[at]) {
                    true => deviation as f32,
                    false => 0.0,
                };
                row.iter_mut().for_each(|value| *value *= gain);
            }
            Ok(Tensor::from_vec(values, (domains, layer.channels), device)?)
        };
        let layers = layers.iter();
        let layers = layers.map(|layer| Ok((layer.clone(), [part(layer)?, part(layer)?])));
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
        })
    }

    /// `weights: [new, domains]` times these.
    pub fn mixed(&self, weights: &Tensor) -> Result<Self> {
        self.map(|part| Ok(weights.matmul(part)?))
    }

    /// Each domain's with this length, over all layers.
    pub fn of_length(&self, length: f64) -> Result<Self> {
        let factor = (self.lengths()?.maximum(1e-12)?.recip()? * length)?;
        self.map(|part| Ok(part.broadcast_mul(&factor)?))
    }

    /// Lengths `[domains, 1]`, over all layers.
    fn lengths(&self) -> Result<Tensor> {
        let parts = self.layers.iter().flat_map(|(_, parts)| parts);
        let squares = parts.map(|part| Ok(part.sqr()?.sum_keepdim(1)?));
        let squares: Vec<Tensor> = squares.collect::<Result<_>>()?;
        Ok(Tensor::cat(&squares, 1)?.sum_keepdim(1)?.sqrt()?)
    }

    /// How many numbers a domain has.
    pub fn numbers(&self) -> usize {
        self.layers
            .iter()
            .map(|(layer, _)| 2 * layer.channels)
            .sum()
    }

    /// The same in another type.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        self.map(|part| Ok(part.to_dtype(dtype)?))
    }

    /// What domains of these places do to layers, a sample for each.
    pub fn modulations(&self, domains: &[u32]) -> Result<Modulations> {
        let mut all = Modulations::new();
        for (layer, [offset, factor]) in &self.layers {
            let places = Tensor::new(domains, offset.device())?;
            let modulation = Modulation {
                style_offset: Some(offset.index_select(&places, 0)?),
                channel_factor: Some((factor.index_select(&places, 0)? + 1.0)?),
                ..Modulation::default()
            };
            all.insert(layer.name.clone(), modulation);
        }
        Ok(all)
    }

    /// One domain's offsets and factors by layer, `[channels]` each, in float32 on the CPU.
    pub fn rows(&self, domain: usize) -> Result<[Rows; 2]> {
        let mut rows = [Rows::new(), Rows::new()];
        for (layer, parts) in &self.layers {
            for (rows, part) in rows.iter_mut().zip(parts) {
                let row = part.get(domain)?.detach().to_dtype(DType::F32)?;
                rows.insert(layer.name.clone(), row.to_device(&Device::Cpu)?);
            }
        }
        Ok(rows)
    }

    fn map(&self, change: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let layers = self.layers.iter();
        let layers = layers.map(|(layer, [offset, factor])| {
            Ok((layer.clone(), [change(offset)?, change(factor)?]))
        });
        Ok(Self {
            layers: layers.collect::<Result<_>>()?,
        })
    }
}
