//! A picture's place in the personal space, by optimisation (section 3.3): Adam on the codes of [`AlphaSpace`], so that the
//! generator's picture, degraded as the given one is, comes near it.

use std::ops::ControlFlow;

use candle_core::{Tensor, Var};
use candle_nn::{AdamW, Optimizer as _, ParamsAdamW};
use domex_latent::ImageDistance;

use crate::alpha::{AlphaSpace, Codes, Regularization};
use crate::{Degradation, Error, Result, reconstruction};

/// Settings of a projection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProjectionConfig {
    /// Steps of Adam.
    pub steps: usize,
    /// Learning rate.
    pub lr: f64,
    /// Weight of the squared difference of pictures.
    pub l2: f64,
    /// Whether each row of W+ has deltas of its own; without, the latent is a W code.
    pub w_plus: bool,
    /// What keeps the codes near the anchors.
    pub regularization: Regularization,
}

impl Default for ProjectionConfig {
    /// The published values: 1000 steps of 0.005, l2 weight 1, W+.
    fn default() -> Self {
        Self {
            steps: 1000,
            lr: 5e-3,
            l2: 1.0,
            w_plus: true,
            regularization: Regularization::default(),
        }
    }
}

/// Latents `[n, num_ws, D]` to pictures `[n, c, h, w]` in `[-1, 1]`, differentiable: a generator's `synthesize`.
pub type Synthesize<'a> = dyn Fn(&Tensor) -> domex_latent::Result<Tensor> + 'a;

/// What a projection works with.
pub struct Projector<'a> {
    /// The personal space.
    pub space: &'a AlphaSpace,
    /// The generator, tuned to the person.
    pub synthesize: &'a Synthesize<'a>,
    /// The perceptual distance.
    pub distance: &'a dyn ImageDistance,
    /// What the given pictures have lost.
    pub degradation: &'a Degradation,
    /// Settings.
    pub config: ProjectionConfig,
}

/// Where pictures came to lie.
#[derive(Debug, Clone)]
pub struct Projected {
    /// The codes, without a graph.
    pub codes: Codes,
    /// Their coordinates behind the barrier `[n, num_ws, N]`.
    pub coordinates: Tensor,
    /// The latents `[n, num_ws, D]`.
    pub latents: Tensor,
    /// The loss before each step, summed over the pictures.
    pub losses: Vec<f64>,
}

impl Projector<'_> {
    /// Projects `pictures: [n, c, h, w]` in `[-1, 1]`, each for itself: small ones where the degradation is a
    /// down-scaling. `on_step` gets the number of steps done and the loss before the last one, and may end the search.
    ///
    /// # Errors
    ///
    /// Pictures of another size than the generator's (after the degradation), a mask that does not fit, settings out of
    /// range, a network that fails, or a loss that is not finite.
    pub fn project(
        &self,
        pictures: &Tensor,
        on_step: &mut dyn FnMut(usize, f64) -> ControlFlow<()>,
    ) -> Result<Projected> {
        let config = self.config;
        if !(config.lr.is_finite() && config.lr > 0.0) {
            return Err(Error::setting(
                "learning rate",
                config.lr,
                "a positive number",
            ));
        }
        let n = match *pictures.dims() {
            [n, _, _, _] if n > 0 => n,
            _ => return Err(Error::shape("pictures", pictures.dims(), "[n, c, h, w]")),
        };
        let target = self.degradation.target(pictures)?;
        let start = self.space.start(n)?;
        let alpha = Var::from_tensor(&start.alpha)?;
        let deltas = Var::from_tensor(&start.deltas)?;
        let mut variables = vec![alpha.clone()];
        if config.w_plus {
            variables.push(deltas.clone());
        }
        let mut adam = AdamW::new(
            variables,
            ParamsAdamW {
                lr: config.lr,
                weight_decay: 0.0,
                ..ParamsAdamW::default()
            },
        )?;
        let codes = || Codes {
            alpha: alpha.as_tensor().clone(),
            deltas: match config.w_plus {
                true => deltas.as_tensor().clone(),
                false => deltas.as_detached_tensor(),
            },
        };
        let mut losses = Vec::with_capacity(config.steps.min(1 << 16));
        for step in 0..config.steps {
            let loss = self.loss(&codes(), &target)?;
            let value = loss.to_dtype(candle_core::DType::F64)?.to_scalar::<f64>()?;
            if !value.is_finite() {
                let what = format!("loss of step {}", step + 1);
                return Err(Error::setting(
                    what,
                    value,
                    "a finite number; try a lower learning rate",
                ));
            }
            adam.step(&loss.backward()?)?;
            losses.push(value);
            if on_step(step + 1, value).is_break() {
                break;
            }
        }
        let codes = Codes {
            alpha: alpha.as_detached_tensor().copy()?,
            deltas: deltas.as_detached_tensor().copy()?,
        };
        let coordinates = self.space.constrained(&codes)?;
        Ok(Projected {
            latents: self.space.latents(&coordinates)?,
            coordinates,
            codes,
            losses,
        })
    }

    /// The loss of all pictures, a scalar.
    fn loss(&self, codes: &Codes, target: &Tensor) -> Result<Tensor> {
        let latents = self.space.latents(&self.space.constrained(codes)?)?;
        let pictures = self.degradation.apply(&(self.synthesize)(&latents)?)?;
        let near = reconstruction(&pictures, target, self.distance, self.config.l2)?;
        Ok((near.total + self.config.regularization.penalty(codes)?)?)
    }
}
