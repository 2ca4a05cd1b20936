//! The mapping m of one domain, which its styles see the latent through: `w + g m(w)` with g its gate.
//!
//! ```text
//! m(w) = λ (W₂ h / √D + b₂),   h = lrelu(λ (W₁ w / √D + b₁))
//! ```
//!
//! all of the width of W: one hidden layer, the least that is not an affine map, as the affine maps behind it can take one of those in.
//! It is stored and learns as a StyleGAN2's own mapping does, by λ = [`RATE`] more slowly than other layers, with its leaky ReLU (slope 0.2,
//! gain √2). With W₂ and b₂ zero it changes nothing.
//!
//! After Domain Re-Modulation (Wu et al. 2023, arXiv 2302.02550), where a domain has a mapping and affine maps of its own. That
//! one begins at z, as a copy of the source's; this one begins at w, where inverted pictures are.

use candle_core::Tensor;
use domex_ops::{Activation, BiasAct, bias_act, linear};

use crate::matrices::is_zero;
use crate::{Error, Result};

/// λ: multiplies weights and biases as they are stored, as published for mappings. Without it a step moves all numbers of w
/// together by what moves one number of a style.
pub const RATE: f64 = 0.01;

/// See the [module docs](self).
#[derive(Debug, Clone)]
pub struct Mapping {
    /// W₁ `[D, D]`.
    pub hidden: Tensor,
    /// b₁ `[D]`.
    pub hidden_bias: Tensor,
    /// W₂ `[D, D]`.
    pub out: Tensor,
    /// b₂ `[D]`.
    pub out_bias: Tensor,
}

impl Mapping {
    /// Keys of its tensors, in the order of [`parts`](Self::parts).
    pub const KEYS: [&'static str; 4] = ["hidden", "hidden_bias", "out", "out_bias"];

    /// m of latents `[n, D]`, `[n, D]`.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit.
    pub fn forward(&self, latents: &Tensor) -> Result<Tensor> {
        let gain = RATE / (latents.dim(1)? as f64).sqrt();
        let x = linear(&(latents * gain)?, &self.hidden, None)?;
        let act = BiasAct::new(Activation::Lrelu);
        let x = bias_act(&x, Some(&(&self.hidden_bias * RATE)?), &act)?;
        let bias = (&self.out_bias * RATE)?;
        Ok(linear(&(x * gain)?, &self.out, Some(&bias))?)
    }

    /// Its tensors.
    #[must_use]
    pub fn parts(&self) -> [&Tensor; 4] {
        [&self.hidden, &self.hidden_bias, &self.out, &self.out_bias]
    }

    /// Of the tensors that [`KEYS`](Self::KEYS) name.
    ///
    /// # Errors
    ///
    /// Those of `find`.
    pub fn from_parts<E>(
        find: impl Fn(&str) -> std::result::Result<Tensor, E>,
    ) -> std::result::Result<Self, E> {
        let [hidden, hidden_bias, out, out_bias] = Self::KEYS;
        Ok(Self {
            hidden: find(hidden)?,
            hidden_bias: find(hidden_bias)?,
            out: find(out)?,
            out_bias: find(out_bias)?,
        })
    }

    /// Checks that it is one of latents of `width` numbers.
    pub(crate) fn check(&self, width: usize) -> Result<()> {
        for (key, part) in Self::KEYS.into_iter().zip(self.parts()) {
            let expected = match key.ends_with("bias") {
                true => vec![width],
                false => vec![width, width],
            };
            if part.dims() != expected {
                let what = format!("mapping of a domain: {key}");
                return Err(Error::shape(what, format!("{expected:?}"), part.dims()));
            }
        }
        Ok(())
    }

    /// Whether it maps every latent to zero.
    pub(crate) fn is_zero(&self) -> Result<bool> {
        Ok(is_zero(&self.out)? && is_zero(&self.out_bias)?)
    }

    pub(crate) fn map(&self, f: impl Fn(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let [hidden, hidden_bias, out, out_bias] = self.parts().map(f);
        Ok(Self {
            hidden: hidden?,
            hidden_bias: hidden_bias?,
            out: out?,
            out_bias: out_bias?,
        })
    }
}

#[cfg(test)]
mod tests {
    use domex_ops::testing::{assert_gradients, max_difference, randn};

    use super::*;

    fn mapping() -> Mapping {
        let stored = |shape: &[usize], seed| (randn(shape, seed) / RATE).unwrap();
        Mapping {
            hidden: stored(&[4, 4], 1),
            hidden_bias: stored(&[4], 2),
            out: stored(&[4, 4], 3),
            out_bias: stored(&[4], 4),
        }
    }

    #[test]
    fn it_is_the_formula() {
        let (own, w) = (mapping(), randn(&[5, 4], 5));
        // √D is 2.
        let x = (w.matmul(&own.hidden.t().unwrap()).unwrap() / 2.0).unwrap();
        let x = (x.broadcast_add(&own.hidden_bias).unwrap() * 0.01).unwrap();
        let x = x.maximum(&(&x * 0.2).unwrap()).unwrap();
        let x = (x * 2f64.sqrt()).unwrap();
        let x = (x.matmul(&own.out.t().unwrap()).unwrap() / 2.0).unwrap();
        let want = (x.broadcast_add(&own.out_bias).unwrap() * 0.01).unwrap();
        let error = max_difference(&own.forward(&w).unwrap(), &want);
        assert!(error < 1e-12, "{error}");
    }

    #[test]
    fn gradients_reach_latents_and_every_part() {
        let own = mapping();
        let mut at = vec![randn(&[5, 4], 5)];
        at.extend(own.parts().into_iter().cloned());
        let forward = |x: &[Tensor]| {
            let places = |key: &str| Mapping::KEYS.iter().position(|known| *known == key);
            let find = |key: &str| Ok::<_, Error>(x[1 + places(key).unwrap()].clone());
            Ok(Mapping::from_parts(find).unwrap().forward(&x[0]).unwrap())
        };
        assert_gradients("mapping", forward, &at);
    }

    #[test]
    fn parts_of_another_width_are_refused_by_name() {
        let mut wrong = mapping();
        wrong.hidden_bias = randn(&[3], 1);
        let message = wrong.check(4).unwrap_err().to_string();
        assert!(message.contains("hidden_bias"), "{message}");
        assert!(mapping().check(5).is_err());
    }
}
