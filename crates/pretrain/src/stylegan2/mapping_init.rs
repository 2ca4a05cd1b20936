//! A mapping network to begin imitation with: it sees each coordinate of `z` that decides, and where decisions fall.
//!
//! A random one sees half-spaces through the middle of a space in which most coordinates decide nothing. What a teacher draws
//! hangs on few of them, one by one, and in part on which side of a limit one of them lies: brown hair or blond, glasses or none.
//! A network that has to find these limits first leaves a smear of both around each of them. So the first layers are given them,
//! and learning starts from there:
//!
//! ```text
//! fc0   ramps relu(±(z_i − q)), q spread over the coordinate's distribution,
//!       and for each limit t a pair relu((z_i − t) / δ), relu((z_i − t) / δ − 1)
//! fc1   the ramps as they are, of each pair the difference: a step from 0 to 1
//! fc2…  random
//! ```
//!
//! A leaky unit's other side has another slope, which is the same for both of a pair and takes nothing from the step.

use candle_core::Tensor;
use domex_random::{Stream, Streams};
use domex_stylegan2::{MappingConfig, Tensors};

use super::Imitation;
use crate::{Error, Result};

/// δ: how wide a step is. About one latent in a hundred lies within it.
const WIDTH: f32 = 0.03;

/// What an activation of the published mapping network multiplies by, and the slope of its other side.
const GAIN: f32 = std::f32::consts::SQRT_2;
const SLOPE: f32 = 0.2;

/// A unit of the first layer: `relu(slope (z_coordinate − at))`.
struct Ramp {
    coordinate: usize,
    at: f32,
    slope: f32,
}

/// Writes the first layers of the mapping network among a generator's random `tensors`.
pub(super) fn write(
    tensors: &mut Tensors,
    config: &MappingConfig,
    imitation: &Imitation,
    seed: u64,
) -> Result<()> {
    let sizes = config.layer_sizes();
    let Some(&(inputs, units)) = sizes.first() else {
        let expected = "1 or more, to imitate";
        return Err(Error::config("mapping layers", sizes.len(), expected));
    };
    if imitation.coordinates() > inputs {
        let expected = format!("at most {inputs}, what the mapping network reads");
        let found = imitation.coordinates();
        return Err(Error::config("coordinates that decide", found, expected));
    }
    let steps: Vec<Ramp> = pairs(imitation).collect();
    if steps.len() > units / 2 {
        let what = "limits of the coordinates that decide";
        let expected = format!("at most {}, half of a layer's units in pairs", units / 4);
        return Err(Error::config(what, steps.len() / 2, expected));
    }
    let mut stream = Streams::new(seed).stream("mapping of an imitation");
    let rest = units - steps.len();
    let ramps = (0..rest).map(|i| ramp(i % imitation.coordinates(), &mut stream));
    let ramps: Vec<Ramp> = steps.into_iter().chain(ramps).collect();
    let pairs = (units - rest) / 2;

    let mut first = Layer::new(config, 0);
    for (unit, ramp) in ramps.iter().enumerate() {
        first.weight(unit, ramp.coordinate, ramp.slope);
        first.bias[unit] = -ramp.slope * ramp.at;
    }
    first.write(tensors)?;
    if config.num_layers < 3 {
        return Ok(());
    }
    let mut second = Layer::new(config, 1);
    for pair in 0..pairs {
        second.weight(pair, 2 * pair, 1.0);
        second.weight(pair, 2 * pair + 1, -1.0);
        second.bias[pair] = -SLOPE * GAIN;
    }
    for (unit, ramp) in (pairs..).zip(2 * pairs..units) {
        second.weight(unit, ramp, 1.0 / GAIN);
    }
    second.write(tensors)
}

/// Two ramps for each limit.
fn pairs(imitation: &Imitation) -> impl Iterator<Item = Ramp> {
    let limits = imitation.limits.iter().enumerate();
    limits.flat_map(|(coordinate, limits)| {
        limits.iter().flat_map(move |limit| {
            [-0.5, 0.5].map(|side| Ramp {
                coordinate,
                at: limit + side * WIDTH,
                slope: 1.0 / WIDTH,
            })
        })
    })
}

/// A ramp up or down from a place that a standard normal number might have.
fn ramp(coordinate: usize, stream: &mut Stream) -> Ramp {
    let mut numbers = [0.0; 2];
    stream.fill_normal(&mut numbers);
    Ramp {
        coordinate,
        at: numbers[0],
        slope: if numbers[1] < 0.0 { -1.0 } else { 1.0 },
    }
}

/// A layer whose numbers are what they do; the equalised learning rate's gains are taken out when it is written.
struct Layer {
    index: usize,
    inputs: usize,
    lr: f32,
    weights: Vec<f32>,
    bias: Vec<f32>,
}

impl Layer {
    fn new(config: &MappingConfig, index: usize) -> Self {
        let (inputs, outputs) = config.layer_sizes()[index];
        Self {
            index,
            inputs,
            lr: config.lr_multiplier as f32,
            weights: vec![0.0; inputs * outputs],
            bias: vec![0.0; outputs],
        }
    }

    fn weight(&mut self, output: usize, input: usize, value: f32) {
        self.weights[output * self.inputs + input] = value;
    }

    /// Units that nothing was written for stay as they are.
    fn write(self, tensors: &mut Tensors) -> Result<()> {
        let name = |part: &str| format!("mapping.fc{}.{part}", self.index);
        let gain = self.lr / (self.inputs as f32).sqrt();
        let Some(weight) = tensors.get(&name("weight")) else {
            let expected = "one of a generator with this layer";
            return Err(Error::config("tensor", name("weight"), expected));
        };
        let device = weight.device().clone();
        let mut random = weight.flatten_all()?.to_vec1::<f32>()?;
        let rows = random.chunks_exact_mut(self.inputs);
        for (row, ours) in rows.zip(self.weights.chunks_exact(self.inputs)) {
            if ours.iter().any(|weight| *weight != 0.0) {
                row.iter_mut().zip(ours).for_each(|(w, o)| *w = o / gain);
            }
        }
        let outputs = self.bias.len();
        let bias: Vec<f32> = self.bias.iter().map(|bias| bias / self.lr).collect();
        let weight = Tensor::from_vec(random, (outputs, self.inputs), &device)?;
        tensors.insert(name("weight"), weight);
        tensors.insert(name("bias"), Tensor::from_vec(bias, outputs, &device)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use candle_nn::VarBuilder;
    use domex_stylegan2::{Mapping, init};

    use super::*;
    use crate::stylegan2::Config;

    /// Two coordinates of eight decide, the second with limits.
    fn config() -> Config {
        let imitation = Imitation {
            weight: 1.0,
            alone: 0,
            warm_up: 0,
            finest: 0,
            first_lr: None,
            limits: vec![vec![], vec![-0.5, 0.75]],
        };
        Config {
            z_dim: 8,
            w_dim: 8,
            map_layers: 3,
            map_lr_multiplier: 0.5,
            imitation: Some(imitation),
            ..super::super::tests::tiny()
        }
    }

    #[test]
    fn the_second_layer_steps_where_the_limits_are() {
        let config = config();
        let generator = config.generator().unwrap();
        let mut tensors = init::generator(&generator, 0, DType::F32, &Device::Cpu).unwrap();
        let imitation = config.imitation.as_ref().unwrap();
        write(&mut tensors, &generator.mapping, imitation, 0).unwrap();
        let layers = MappingConfig {
            num_layers: 2,
            w_avg_beta: None,
            ..generator.mapping
        };
        let vb = VarBuilder::from_tensors(tensors.into_iter().collect(), DType::F32, &Device::Cpu);
        let mapping = Mapping::new(&vb.pp("mapping"), &layers).unwrap();
        // Of length √8 as the network sees it, whatever the second coordinate is.
        let units = |x: f32| {
            let mut z = [0.0, x, 0.0, 0.0, 0.0, 0.0, 0.0, (8.0 - x * x).sqrt()];
            z.iter_mut().for_each(|z| *z *= 3.0);
            let z = Tensor::from_slice(&z, (1, 8), &Device::Cpu).unwrap();
            let units = mapping.forward(Some(&z), None).unwrap();
            units.squeeze(0).unwrap().to_vec1::<f32>().unwrap()
        };
        let high = (1.0 - SLOPE) * GAIN * GAIN;
        for (x, steps) in [
            (-2.0, [0.0, 0.0]),
            (-0.5 - WIDTH, [0.0, 0.0]),
            (-0.5 + WIDTH, [high, 0.0]),
            (0.75 - WIDTH, [high, 0.0]),
            (0.75 + WIDTH, [high, high]),
            (2.5, [high, high]),
        ] {
            let units = units(x);
            for (unit, step) in units.iter().zip(steps) {
                assert!((unit - step).abs() < 1e-3, "{x}: {units:?}");
            }
        }
        // A ramp of the second coordinate moves.
        assert!((units(-1.0)[3] - units(1.0)[3]).abs() > 0.05);
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let config = config();
        let generator = config.generator().unwrap();
        let mut tensors = init::generator(&generator, 0, DType::F32, &Device::Cpu).unwrap();
        let mut imitation = config.imitation.unwrap();
        imitation.limits[0] = vec![0.0; 3];
        let error = write(&mut tensors, &generator.mapping, &imitation, 0);
        assert!(error.unwrap_err().to_string().contains("at most 2"));
        imitation.limits = vec![vec![]; 9];
        let error = write(&mut tensors, &generator.mapping, &imitation, 0);
        assert!(error.unwrap_err().to_string().contains("at most 8"));
        imitation.limits.truncate(1);
        let error = write(&mut Tensors::new(), &generator.mapping, &imitation, 0);
        assert!(error.unwrap_err().to_string().contains("fc0.weight"));
    }
}
