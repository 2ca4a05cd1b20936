//! The search for latents, as `projector.py` of stylegan2-ada-pytorch does it.
//!
//! From the mean of W, or from latents that are near, Adam makes the perceptual distance small. Noise on the latent, large at first, keeps it from the
//! nearest hollow; pixel noise is optimised beside it and held to be noise. Every picture of a batch is searched for by
//! itself: nothing of the others enters.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use candle_core::{DType, Tensor, Var};
use domex_latent::sample::draw_latents;
use domex_lpips::Lpips;
use domex_random::{Stream, Streams};
use domex_stylegan2::{Generator, Noise};
use domex_train::adam::{Adam, AdamConfig, Step};
use domex_train::params::Parameters;

use crate::likeness::{Target, check};
use crate::noise::NoiseMaps;
use crate::{Config, Error, Likeness, Place, Result, Space};

/// Random latents drawn at once.
const BATCH: usize = 512;

/// What makes the pictures.
#[derive(Clone, Copy)]
pub enum Subject<'a> {
    /// A StyleGAN2, whose pixel noise is searched for too where the settings say so.
    StyleGan2(&'a Generator),
    /// A generator whose pictures the latents say alone, in W and in W+. It has no pixel noise to search for.
    Latent(&'a dyn domex_latent::Generator),
}

impl<'a> Subject<'a> {
    /// As every generator is known.
    #[must_use]
    pub fn generator(self) -> &'a dyn domex_latent::Generator {
        match self {
            Self::StyleGan2(generator) => generator,
            Self::Latent(generator) => generator,
        }
    }
}

impl<'a> From<&'a Generator> for Subject<'a> {
    fn from(generator: &'a Generator) -> Self {
        Self::StyleGan2(generator)
    }
}

/// What an inversion works with.
pub struct Projector<'a> {
    /// The generator.
    pub generator: Subject<'a>,
    /// The perceptual network.
    pub perceptual: &'a Lpips,
    /// Where in the latent space of an expanded model to look; `None` for all of it.
    pub place: Option<&'a Place>,
    /// Settings.
    pub config: Config,
}

/// What was found.
#[derive(Debug, Clone)]
pub struct Inversion {
    /// Latents `[n, num_ws, D]`; of W, all rows of one are equal.
    pub latents: Tensor,
    /// Names of layers, such as `b8.conv0`, and their noise `[n, 1, h, w]`; empty where the generator's own was used.
    pub noise: Vec<(String, Tensor)>,
    /// What the generator makes of both `[n, 3, h, w]`.
    pub pictures: Tensor,
    /// How near they are to the given ones.
    pub likeness: Likeness,
    /// The loss before each step, summed over the pictures.
    pub losses: Vec<f64>,
}

impl Projector<'_> {
    /// Looks for `pictures: [n, 3, h, w]` in `[-1, 1]`. `on_step` gets the number of steps done and the loss before the
    /// last one.
    ///
    /// # Errors
    ///
    /// Pictures of another size than the generator's, settings out of range, or a loss that is not finite.
    pub fn invert(
        &self,
        pictures: &Tensor,
        streams: &Streams,
        on_step: &mut dyn FnMut(usize, f64),
    ) -> Result<Inversion> {
        self.search(pictures, None, streams, &mut |step, loss| {
            on_step(step, loss);
            ControlFlow::Continue(())
        })
    }

    /// As [`invert`](Self::invert), from latents `start: [n, D]` instead of the mean. With no steps they are what is found.
    ///
    /// # Errors
    ///
    /// Those of [`invert`](Self::invert), and latents of another shape.
    pub fn invert_from(
        &self,
        pictures: &Tensor,
        start: &Tensor,
        streams: &Streams,
        on_step: &mut dyn FnMut(usize, f64),
    ) -> Result<Inversion> {
        self.search(pictures, Some(start), streams, &mut |step, loss| {
            on_step(step, loss);
            ControlFlow::Continue(())
        })
    }

    /// As [`invert_from`](Self::invert_from), or [`invert`](Self::invert) without a start, until `on_step` breaks it off.
    ///
    /// # Errors
    ///
    /// Theirs, and [`Error::Stopped`].
    pub fn search(
        &self,
        pictures: &Tensor,
        start: Option<&Tensor>,
        streams: &Streams,
        on_step: &mut dyn FnMut(usize, f64) -> ControlFlow<()>,
    ) -> Result<Inversion> {
        self.config.validate()?;
        let generator = self.generator.generator();
        let dim = generator.latent_dim();
        let n = check(pictures, generator.resolution(), generator.channels())?;
        let target = Target::new(self.perceptual, self.config.l2, pictures)?;
        // Many latents, which only a start at their mean and noise of their size ask for.
        let asked = start.is_none() || self.config.latent_noise > 0.0;
        let statistics = asked.then(|| self.statistics(&mut streams.stream("invert.mean")));
        let statistics = statistics.transpose()?;
        let deviation = statistics.as_ref().map_or(0.0, |(_, deviation)| *deviation);
        let rows = match self.config.space {
            Space::W => 1,
            Space::WPlus => generator.layers(),
        };
        let start = match (start, statistics) {
            (None, Some((mean, _))) => mean,
            (Some(start), _) if start.dims() == [n, dim] => {
                start.detach().to_dtype(generator.dtype())?.unsqueeze(1)?
            }
            (start, _) => {
                let found = start.map_or(&[][..], Tensor::dims);
                let expected = format!("[{n}, {dim}]");
                return Err(Error::shape("latents to start from", found, expected));
            }
        };
        let start = start.broadcast_as((n, rows, dim))?.contiguous()?;
        let latent = Var::from_tensor(&start)?;
        // Maps that no step has fitted would only be other noise than the generator's own.
        let noise = match (self.generator, self.config.pixel_noise) {
            (Subject::StyleGan2(generator), Some(_)) if self.config.steps > 0 => {
                NoiseMaps::draw(generator, n, &mut streams.stream("invert.pixels"))?
            }
            _ => NoiseMaps::none(),
        };
        let mut adam = self.optimizer(&latent, &noise)?;
        let mut shaken = streams.stream("invert.latents");
        let mut losses = Vec::new();
        for step in 0..self.config.steps {
            let shake = self.config.latent_noise_at(step) * deviation;
            let moved = (latent.as_tensor() + normal(&start, shake, &mut shaken)?)?;
            let made = self.synthesize(&self.latents(&moved)?, &noise)?;
            let mut each = target.distance(&made)?;
            if let Some(weight) = self.config.pixel_noise {
                each = noise.add_penalty(each, weight)?;
            }
            let loss = each.sum_all()?;
            let value = loss.to_dtype(DType::F64)?.to_scalar::<f64>()?;
            adam.set_lr(self.config.lr_at(step));
            descend(&mut adam, &loss, value, step)?;
            noise.normalize()?;
            losses.push(value);
            if on_step(step + 1, value).is_break() {
                return Err(Error::Stopped { step: step + 1 });
            }
        }
        let latents = self.latents(&latent.as_detached_tensor())?;
        let made = self.synthesize(&latents, &noise)?.detach();
        Ok(Inversion {
            likeness: Likeness::between(self.perceptual, &made, pictures)?,
            latents,
            noise: noise.named(),
            pictures: made,
            losses,
        })
    }

    /// Mean `[D]` and standard deviation of W: the root of the mean squared distance from the mean, as published.
    fn statistics(&self, stream: &mut Stream) -> Result<(Tensor, f64)> {
        let count = self.config.latent_samples;
        let mut drawn = Vec::new();
        for start in (0..count).step_by(BATCH) {
            let latents =
                draw_latents(self.generator.generator(), BATCH.min(count - start), stream)?;
            drawn.push(latents.to_dtype(DType::F64)?);
        }
        let drawn = Tensor::cat(&drawn, 0)?;
        let mean = drawn.mean(0)?;
        let square = drawn.broadcast_sub(&mean)?.sqr()?.sum_all()?;
        let deviation = (square.to_scalar::<f64>()? / count as f64).sqrt();
        Ok((
            mean.to_dtype(self.generator.generator().dtype())?,
            deviation,
        ))
    }

    fn optimizer(&self, latent: &Var, noise: &NoiseMaps) -> Result<Adam> {
        let mut vars = BTreeMap::from([("latent".to_owned(), latent.clone())]);
        for (name, map) in noise.names.iter().zip(&noise.maps) {
            vars.insert(format!("noise.{name}"), map.clone());
        }
        let config = AdamConfig {
            lr: self.config.lr,
            ..AdamConfig::default()
        };
        Ok(Adam::new(&Parameters::new(vars), config)?)
    }

    /// `[n, 1 or num_ws, D]` to `[n, num_ws, D]`, brought to the place.
    fn latents(&self, latent: &Tensor) -> Result<Tensor> {
        let latent = match self.place {
            Some(place) => place.bring(latent)?,
            None => latent.clone(),
        };
        let (n, rows, dim) = latent.dims3()?;
        let all = self.generator.generator().layers();
        if rows == all {
            return Ok(latent);
        }
        Ok(latent.broadcast_as((n, all, dim))?.contiguous()?)
    }

    fn synthesize(&self, latents: &Tensor, noise: &NoiseMaps) -> Result<Tensor> {
        let maps: Vec<Tensor> = noise
            .maps
            .iter()
            .map(|map| map.as_tensor().clone())
            .collect();
        match (self.generator, maps.as_slice()) {
            (Subject::StyleGan2(generator), maps @ [_, ..]) => {
                Ok(generator.synthesis().forward(latents, Noise::Maps(maps))?)
            }
            (subject, _) => Ok(subject.generator().synthesize(latents)?),
        }
    }
}

/// One step of the optimizer, unless something is not finite.
pub(crate) fn descend(adam: &mut Adam, loss: &Tensor, value: f64, step: usize) -> Result<()> {
    let not_finite = |what: String| Error::NotFinite {
        step: step + 1,
        what,
    };
    if !value.is_finite() {
        return Err(not_finite("the loss".to_owned()));
    }
    match adam.step(&loss.backward()?)? {
        Step::Applied => Ok(()),
        Step::Skipped(what) => Err(not_finite(what)),
    }
}

/// Normal noise of the shape of `like`, times `scale`.
fn normal(like: &Tensor, scale: f64, stream: &mut Stream) -> Result<Tensor> {
    let mut values = vec![0.0_f32; like.elem_count()];
    stream.fill_normal(&mut values);
    let noise = Tensor::from_vec(values, like.dims(), like.device())?;
    Ok((noise.to_dtype(like.dtype())? * scale)?)
}
