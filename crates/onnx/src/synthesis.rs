//! Synthesis network: latents to a picture, as `domex_stylegan2::synthesis` has it.

use std::collections::BTreeMap;
use std::f64::consts::FRAC_1_SQRT_2;

use candle_core::Tensor;
use domex_latent::modulation::Layer;
use domex_ops::Activation;
use domex_stylegan2::{Architecture, Demodulation, SynthesisConfig};

use crate::activation::Finish;
use crate::domains::Vectors;
use crate::graph::{Attribute, Conv, Graph, Value};
use crate::modulated::{Modulated, modulated_conv};
use crate::upfirdn::Filter;
use crate::weights::{Weights, fan_in_gain};
use crate::{Error, Result};

/// What the layers add as noise.
pub(crate) enum NoiseMaps {
    /// Nothing.
    None,
    /// The checkpoint's own maps.
    Stored,
    /// Inputs of the graph, by layer.
    Given(BTreeMap<String, Value>),
}

/// See the [module docs](self).
pub(crate) struct Synthesis<'a> {
    pub graph: &'a mut Graph,
    pub weights: &'a Weights,
    pub cfg: &'a SynthesisConfig,
    /// Those that have a style.
    pub layers: Vec<Layer>,
    /// Latents `[n, D]`, one for each row of W+, or one for all.
    pub latents: Vec<Value>,
    pub vectors: Option<Vectors<'a>>,
    pub noise: NoiseMaps,
}

/// How a layer's input channels are scaled.
struct Style {
    /// `[n, i]`; demodulation sees it.
    code: Value,
    /// `[n, i]`; demodulation does not see it.
    factor: Option<Value>,
}

impl Synthesis<'_> {
    /// The picture `[n, colours, h, w]`.
    pub fn picture(&mut self) -> Result<Value> {
        let is_resnet = self.cfg.architecture == Architecture::Resnet;
        let mut x = self.start()?;
        let mut picture = None;
        for resolution in self.cfg.resolutions() {
            let block = format!("b{resolution}");
            if resolution > 4 {
                let around = match is_resnet {
                    true => Some(self.skip(&block, &x)?),
                    false => None,
                };
                let gain = if is_resnet { FRAC_1_SQRT_2 } else { 1.0 };
                x = self.layer(&format!("{block}.conv0"), &x, true, 1.0)?;
                x = self.layer(&format!("{block}.conv1"), &x, false, gain)?;
                if let Some(around) = around {
                    x = self.graph.add(&around, &x);
                }
            } else {
                x = self.layer(&format!("{block}.conv1"), &x, false, 1.0)?;
            }
            if let Some(before) = picture.take() {
                picture = Some(self.doubled(&block, &before)?);
            }
            let last = resolution == self.cfg.img_resolution;
            if last || self.cfg.architecture == Architecture::Skip {
                let own = self.torgb(&format!("{block}.torgb"), &x)?;
                picture = Some(match picture {
                    Some(before) => self.graph.add(&before, &own),
                    None => own,
                });
            }
        }
        picture.ok_or_else(|| Error::unsupported("a network without blocks", "it makes no picture"))
    }

    /// The learnt constant `[1, c, 4, 4]`, the same for all samples.
    fn start(&mut self) -> Result<Value> {
        let name = "synthesis.b4.const";
        let constant = self.weights.get(name)?.unsqueeze(0)?;
        self.graph.weight(name, &constant)
    }

    fn layer(&mut self, name: &str, x: &Value, up: bool, gain: f64) -> Result<Value> {
        let path = format!("synthesis.{name}");
        self.graph.enter(&path);
        let style = self.style(name)?;
        let mut finish = Finish::new(self.cfg.activation, gain, self.cfg.conv_clamp);
        let gain = finish.take_gain();
        let stored = self.weights.get(&format!("{path}.weight"))?;
        let weight = match self.cfg.demodulation {
            Demodulation::Raw => stored.clone(),
            Demodulation::FanIn => (stored * fan_in_gain(stored)?)?,
        };
        let filter = match up {
            true => Some(self.filter(&path)?),
            false => None,
        };
        let layer = Modulated {
            path: &path,
            weight: &weight,
            filter: filter.as_ref(),
            gain,
        };
        let x = self.modulate(x, &style);
        let mut y = modulated_conv(self.graph, &layer, &x, &style.code)?;
        if let Some(noise) = self.noise(name, gain)? {
            y = self.graph.add(&y, &noise);
        }
        let bias = format!("{path}.bias");
        let shift = (self.weights.get(&bias)? * gain)?.reshape(((), 1, 1))?;
        let bias = self.graph.constant(&bias, &shift)?;
        y = self.graph.add(&y, &bias);
        Ok(finish.apply(self.graph, &y))
    }

    /// The 1×1 convolution to colours: no demodulation, no noise, no activation.
    fn torgb(&mut self, name: &str, x: &Value) -> Result<Value> {
        let path = format!("synthesis.{name}");
        self.graph.enter(&path);
        let style = self.style(name)?;
        let x = self.modulate(x, &style);
        let (weight, bias) = (format!("{path}.weight"), format!("{path}.bias"));
        let stored = self.weights.get(&weight)?;
        // The published layer multiplies the style by this.
        let scaled = (stored * fan_in_gain(stored)?)?;
        let weight = self.graph.weight(&weight, &scaled)?;
        let bias = self.graph.constant(&bias, self.weights.get(&bias)?)?;
        let y = self.graph.conv(&Conv::same(1), &[&x, &weight, &bias]);
        let finish = Finish::new(Activation::Linear, 1.0, self.cfg.conv_clamp);
        Ok(finish.apply(self.graph, &y))
    }

    /// The 1×1 convolution around a block, and its result at twice the size.
    fn skip(&mut self, block: &str, x: &Value) -> Result<Value> {
        let path = format!("synthesis.{block}.skip");
        self.graph.enter(&path);
        let name = format!("{path}.weight");
        let stored = self.weights.get(&name)?;
        let scaled = (stored * (fan_in_gain(stored)? * FRAC_1_SQRT_2))?;
        let weight = self.graph.weight(&name, &scaled)?;
        let y = self.graph.conv(&Conv::same(1), &[x, &weight]);
        let filter = self.filter(&path)?;
        let name = format!("{path}.resample_filter");
        filter.double(self.graph, &name, &y, stored.dim(0)?)
    }

    /// The picture so far at twice the size.
    fn doubled(&mut self, block: &str, picture: &Value) -> Result<Value> {
        let path = format!("synthesis.{block}");
        self.graph.enter(&path);
        let filter = self.filter(&path)?;
        let name = format!("{path}.resample_filter");
        filter.double(self.graph, &name, picture, self.cfg.img_channels)
    }

    fn filter(&self, path: &str) -> Result<Filter> {
        Filter::new(self.weights.get(&format!("{path}.resample_filter"))?)
    }

    fn style(&mut self, name: &str) -> Result<Style> {
        let layer = self.layers.iter().find(|layer| layer.name == name);
        let row = layer.map_or(0, |layer| layer.row);
        // One latent for all rows, or one for each.
        let latent = self.latents[row.min(self.latents.len() - 1)].clone();
        let path = format!("synthesis.{name}.affine");
        let mut code = self
            .weights
            .dense(self.graph, &path, &latent, 1.0, Graph::weight)?;
        let Some(vectors) = &self.vectors else {
            return Ok(Style { code, factor: None });
        };
        if let Some(offset) = vectors.offset(self.graph, name, &latent)? {
            code = self.graph.add(&code, &offset);
        }
        let factor = vectors.factor(self.graph, name)?;
        Ok(Style { code, factor })
    }

    fn modulate(&mut self, x: &Value, style: &Style) -> Value {
        let channels = match &style.factor {
            Some(factor) => self.graph.mul(&style.code, factor),
            None => style.code.clone(),
        };
        let channels = self.graph.as_channels(&channels);
        self.graph.mul(x, &channels)
    }

    /// What a layer adds, the same to all its features.
    fn noise(&mut self, name: &str, gain: f64) -> Result<Option<Value>> {
        let path = format!("synthesis.{name}");
        let map = match &self.noise {
            _ if !self.cfg.use_noise => return Ok(None),
            NoiseMaps::None => return Ok(None),
            NoiseMaps::Given(maps) => maps.get(name).cloned(),
            NoiseMaps::Stored => {
                let name = format!("{path}.noise_const");
                let map = self.weights.get(&name)?.unsqueeze(0)?.unsqueeze(0)?;
                Some(self.graph.weight(&name, &map)?)
            }
        };
        let Some(map) = map else { return Ok(None) };
        let strength = format!("{path}.noise_strength");
        let value: Tensor = (self.weights.get(&strength)? * gain)?;
        let strength = self.graph.constant(&strength, &value)?;
        Ok(Some(self.graph.mul(&map, &strength)))
    }
}

/// One latent `[n, D]` for each row of `[n, rows, D]`.
pub(crate) fn rows(graph: &mut Graph, latents: &Value, rows: usize) -> Vec<Value> {
    graph.enter("synthesis");
    let take = |row: usize| {
        let index = graph.index(row as i64);
        graph.op("Gather", &[latents, &index], &[("axis", Attribute::Int(1))])
    };
    (0..rows).map(take).collect()
}
