//! Pivotal tuning (Roich et al. 2021, arXiv 2106.05744): the latents stay, and the generator is fine-tuned until they give
//! the pictures.
//!
//! `L = Σ_n LPIPS(G(w_n), x_n) + l2 ‖G(w_n) − x_n‖²`, means over pixels, and around the pivots the generator is held to what
//! it was: `λ (LPIPS + ‖·‖²)(G(w_r), G_before(w_r))` at `w_r = w_n + d (w_z − w_n) / ‖w_z − w_n‖`, with a random latent `w_z`
//! (locality, section 3.3).

use candle_core::{DType, Tensor};
use domex_latent::sample::{draw_latents, truncate};
use domex_lpips::Lpips;
use domex_random::Stream;
use domex_stylegan2::{Generator, Noise};
use domex_train::adam::{Adam, AdamConfig};
use domex_train::params::Parameters;

use crate::likeness::{Target, check};
use crate::projector::descend;
use crate::{Error, Result};

/// Truncation of the random latents that tell the direction away from a pivot.
const PSI: f64 = 0.5;

/// Settings of [`tune`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TuneConfig {
    /// Steps of Adam.
    pub steps: usize,
    /// Learning rate.
    pub lr: f64,
    /// Weight of the mean square difference of pixels.
    pub l2: f64,
    /// Stops once every picture's loss is below this.
    pub enough: f64,
    /// Weight of what holds the generator around the pivots; 0 leaves it out.
    pub locality: f64,
    /// How far from its pivot a latent lies where the generator is held.
    pub locality_distance: f64,
    /// Pictures in a step; they take turns.
    pub batch: usize,
}

impl Default for TuneConfig {
    /// The published values: at most 350 steps of 0.0003, enough at 0.06; locality 0.1 at distance 30.
    fn default() -> Self {
        Self {
            steps: 350,
            lr: 3e-4,
            l2: 1.0,
            enough: 0.06,
            locality: 0.1,
            locality_distance: 30.0,
            batch: 4,
        }
    }
}

impl TuneConfig {
    fn validate(&self) -> Result<()> {
        let not_negative = [
            ("weight of the squared difference", self.l2),
            ("loss that is enough", self.enough),
            ("weight of the locality", self.locality),
        ];
        for (what, value) in not_negative {
            if !(value.is_finite() && value >= 0.0) {
                return Err(Error::setting(what, value, "0 or a positive number"));
            }
        }
        for (what, value) in [
            ("learning rate", self.lr),
            ("distance of the locality", self.locality_distance),
        ] {
            if !(value.is_finite() && value > 0.0) {
                return Err(Error::setting(what, value, "a positive number"));
            }
        }
        match self.batch {
            0 => Err(Error::setting("pictures in a step", 0, "at least 1")),
            _ => Ok(()),
        }
    }
}

/// A copy of `generator` whose synthesis network gives the pictures that are wanted at `latents: [n, num_ws, D]`, with its own pixel
/// noise and under the same modulators. `wanted` gives those of a step, `[m, 3, h, w]`, by their numbers: many need not be held at
/// once. `on_step` gets the number of steps done and the mean loss of the last one's pictures.
///
/// # Errors
///
/// Pictures of another size than the generator's, or another number than was asked for; latents of another shape, settings out of
/// range, or a loss that is not finite. What `wanted` fails with.
pub fn tune<E: From<Error>>(
    generator: &Generator,
    perceptual: &Lpips,
    latents: &Tensor,
    wanted: &mut dyn FnMut(&[usize]) -> std::result::Result<Tensor, E>,
    config: &TuneConfig,
    stream: &mut Stream,
    on_step: &mut dyn FnMut(usize, f64),
) -> std::result::Result<Generator, E> {
    config.validate()?;
    let mut tuning = Tuning::new(generator, perceptual, latents, config)?;
    let n = tuning.last.len();
    for step in 0..config.steps {
        let turn = turn(step, config.batch, n);
        let pictures = wanted(&turn)?;
        match tuning.step(step, &turn, &pictures, stream)? {
            Step::Moved(loss) => on_step(step + 1, loss),
            Step::Enough(loss) => {
                on_step(config.steps, loss);
                break;
            }
        }
    }
    Ok(frozen(&tuning.tuned)?)
}

/// What a step came to, with the mean loss of its pictures.
enum Step {
    Moved(f64),
    /// Every picture is near enough.
    Enough(f64),
}

/// A generator on its way.
struct Tuning<'a> {
    before: &'a Generator,
    perceptual: &'a Lpips,
    config: &'a TuneConfig,
    tuned: Generator,
    adam: Adam,
    mean: Tensor,
    latents: Tensor,
    /// The last losses of each picture.
    last: Vec<f64>,
}

impl<'a> Tuning<'a> {
    fn new(
        generator: &'a Generator,
        perceptual: &'a Lpips,
        latents: &Tensor,
        config: &'a TuneConfig,
    ) -> Result<Self> {
        let shape = &generator.config().synthesis;
        let n = match *latents.dims() {
            [n, rows, dim] if n > 0 && [rows, dim] == [shape.num_ws(), shape.w_dim] => n,
            _ => {
                let expected = format!("[n, {}, {}]", shape.num_ws(), shape.w_dim);
                return Err(Error::shape("latents", latents.dims(), expected));
            }
        };
        let (tuned, adam) = trainable(generator, config.lr)?;
        Ok(Self {
            before: generator,
            perceptual,
            config,
            tuned,
            adam,
            mean: generator.mean_w()?,
            latents: latents.detach(),
            last: vec![f64::INFINITY; n],
        })
    }

    /// Moves the generator towards these pictures, those of the numbers in `turn`.
    fn step(
        &mut self,
        step: usize,
        turn: &[usize],
        pictures: &Tensor,
        stream: &mut Stream,
    ) -> Result<Step> {
        let shape = &self.before.config().synthesis;
        if check(pictures, shape.img_resolution, shape.img_channels)? != turn.len() {
            let expected = format!("[{}, ..], as many as were asked for", turn.len());
            return Err(Error::shape("pictures", pictures.dims(), expected));
        }
        let index: Vec<u32> = turn.iter().map(|&i| i as u32).collect();
        let index = Tensor::new(index.as_slice(), self.latents.device())?;
        let pivots = self.latents.index_select(&index, 0)?;
        let target = Target::new(self.perceptual, self.config.l2, pictures)?;
        let synthesis = self.tuned.synthesis();
        let each = target.distance(&synthesis.forward(&pivots, Noise::Const)?)?;
        let found: Vec<f64> = each.to_dtype(DType::F64)?.to_vec1()?;
        for (&picture, &loss) in turn.iter().zip(&found) {
            self.last[picture] = loss;
        }
        let value = found.iter().sum::<f64>() / found.len() as f64;
        if self.last.iter().all(|&loss| loss < self.config.enough) {
            return Ok(Step::Enough(value));
        }
        let mut loss = each.sum_all()?;
        if self.config.locality > 0.0 {
            let distance = self.config.locality_distance;
            let around = around(self.before, &pivots, &self.mean, distance, stream)?;
            let before = self.before.synthesis().forward(&around, Noise::Const)?;
            let now = synthesis.forward(&around, Noise::Const)?;
            let held = Target::new(self.perceptual, 1.0, &before)?.distance(&now)?;
            loss = (loss + (held.sum_all()? * self.config.locality)?)?;
        }
        descend(&mut self.adam, &loss, value, step)?;
        Ok(Step::Moved(value))
    }
}

/// The pictures of a step: `batch` of `n`, going round.
fn turn(step: usize, batch: usize, n: usize) -> Vec<usize> {
    let batch = batch.min(n);
    (0..batch).map(|i| (step * batch + i) % n).collect()
}

/// The generator on variables of its synthesis' weights, and their optimizer. Pixel noise and filters are no weights.
fn trainable(generator: &Generator, lr: f64) -> Result<(Generator, Adam)> {
    let is_weight = |name: &str| {
        name.starts_with("synthesis.")
            && !name.ends_with("noise_const")
            && !name.ends_with("resample_filter")
    };
    let mut tensors = generator.tensors();
    let weights = tensors.iter().filter(|(name, _)| is_weight(name));
    let weights = weights
        .map(|(name, weight)| (name.clone(), weight.clone()))
        .collect();
    let parameters = Parameters::copy_of(&weights)?;
    for (name, var) in parameters.iter() {
        tensors.insert(name.to_owned(), var.as_tensor().clone());
    }
    let config = AdamConfig {
        lr,
        ..AdamConfig::default()
    };
    let adam = Adam::new(&parameters, config)?;
    Ok((generator.with_tensors(&tensors)?, adam))
}

/// The same generator on tensors of its own, without variables.
fn frozen(generator: &Generator) -> Result<Generator> {
    let mut tensors = generator.tensors();
    for tensor in tensors.values_mut() {
        *tensor = tensor.detach().copy()?;
    }
    Ok(generator.with_tensors(&tensors)?)
}

/// Latents at `distance` from the pivots `[m, num_ws, D]`, towards random ones.
fn around(
    generator: &Generator,
    pivots: &Tensor,
    mean: &Tensor,
    distance: f64,
    stream: &mut Stream,
) -> Result<Tensor> {
    let random = draw_latents(generator, pivots.dim(0)?, stream)?;
    let random = truncate(&random, mean, PSI)?.unsqueeze(1)?;
    let away = random.broadcast_sub(pivots)?;
    let length = away.sqr()?.sum_keepdim((1, 2))?.sqrt()?.maximum(1e-12)?;
    Ok((pivots + (away.broadcast_div(&length)? * distance)?)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use domex_random::Streams;
    use domex_stylegan2::{GeneratorConfig, Model};

    use super::*;

    #[test]
    fn the_generator_is_held_at_a_distance_from_pivots_towards_truncated_latents() -> Result<()> {
        let config = GeneratorConfig::with_defaults(4, 6, 8, 32, 4)?;
        let generator = Model::random(&config, 1, &Device::Cpu)?.g_ema;
        let (mean, rows) = ((generator.mean_w()? + 0.2)?, config.num_ws());
        let pivots = (Tensor::ones((2, rows, 6), DType::F32, &Device::Cpu)? * 0.3)?;
        let stream = || Streams::new(2).stream("around");
        let found = around(&generator, &pivots, &mean, 3.0, &mut stream())?;
        let away = (found - &pivots)?;
        let lengths = away.sqr()?.sum((1, 2))?.sqrt()?.to_vec1::<f32>()?;
        assert!(
            lengths.iter().all(|l| (l - 3.0).abs() < 1e-5),
            "{lengths:?}"
        );
        let random = draw_latents(&generator, 2, &mut stream())?;
        let half = (random.broadcast_add(&mean)? * 0.5)?.unsqueeze(1)?;
        let towards = half.broadcast_sub(&pivots)?;
        let length = towards.sqr()?.sum_keepdim((1, 2))?.sqrt()?;
        let apart = (away - (towards.broadcast_div(&length)? * 3.0)?)?;
        let apart = apart.abs()?.max_all()?.to_scalar::<f32>()?;
        assert!(apart < 1e-5, "{apart}");
        Ok(())
    }

    #[test]
    fn pictures_take_turns() {
        assert_eq!(turn(0, 2, 5), [0, 1]);
        assert_eq!(turn(2, 2, 5), [4, 0]);
        assert_eq!(turn(3, 4, 2), [0, 1]);
    }
}
