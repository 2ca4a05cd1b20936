//! A picture from one condition to another without its noise: FlowEdit (Kulikov et al. 2024, arXiv 2412.08629).
//!
//! With `a = √ᾱ`, `b = √(1 − ᾱ)` and `s = b / (a + b)` the process is a straight path from `x_0` to the noise `ε`,
//! `x_t = (a + b) ((1 − s) x_0 + s ε)`, along which a denoiser moves at `v = ε − x_0`. Each step puts fresh noise on the picture `x`, and
//! moves the edit `z`, which begins as `x`, by the difference that the target makes:
//!
//! ```text
//! x_t = a x + b ε,   z ← z + (s' − s) (v(x_t + (a + b) (z − x), target) − v(x_t, source))
//! ```
//!
//! What both conditions say alike cancels, and stays as it is in the picture. So do its smooth places, where the target would have
//! strokes: in the last steps the edit, with its noise, may be denoised as the target alone says (the paper's n_min), which finds
//! strokes in the noise.

use candle_core::Tensor;
use domex_random::Stream;

use crate::ddim::clamp;
use crate::{Clip, Diffusion, Error, Result, standard_normal};

impl Diffusion {
    /// `x: [n, ..]`, which is as `source` says, as `target` says, by all steps of this process from the last to `ᾱ = 1`, of which
    /// `target` takes the last `alone`. Both give the noise in what they are given, for the network's timesteps, one for each sample;
    /// `clip` is for the `x_0` of both and for what is returned.
    ///
    /// # Errors
    ///
    /// Those of `source` and `target`, and of predictions of another shape.
    pub fn flow_edit<E: From<Error>>(
        &self,
        x: &Tensor,
        clip: Clip,
        alone: usize,
        stream: &mut Stream,
        mut source: impl FnMut(&Tensor, &[f64]) -> Result<Tensor, E>,
        mut target: impl FnMut(&Tensor, &[f64]) -> Result<Tensor, E>,
    ) -> Result<Tensor, E> {
        let n = x.dims().first().copied().unwrap_or(0);
        let mut edit = x.clone();
        for index in (0..self.steps()).rev() {
            let timesteps = vec![self.network_timestep(index)?; n];
            let [noisy, edited] = self.with_noise(index, x, &edit, stream)?;
            if index < alone {
                let ends = &self.schedule().alphas_cumprod_prev;
                return self.walk(&edited, clip, (0..=index).rev(), ends, target, |_| {});
            }
            let was = source(&noisy, &timesteps)?;
            let is = target(&edited, &timesteps)?;
            let was = self.straight(index, &noisy, &was, clip)?;
            let is = self.straight(index, &edited, &is, clip)?;
            edit = self.moved(index, &edit, &is, &was)?;
        }
        Ok(match clip {
            Clip::None => edit,
            Clip::Unit => clamp(&edit)?,
        })
    }

    /// Picture and edit with the same fresh noise of step `index`.
    fn with_noise(
        &self,
        index: usize,
        x: &Tensor,
        edit: &Tensor,
        stream: &mut Stream,
    ) -> Result<[Tensor; 2]> {
        let [a, b] = shares(self.schedule().alphas_cumprod[index]);
        let noise = standard_normal(stream, x.dims(), x.dtype(), x.device())?;
        let noisy = ((x * a)? + (noise * b)?)?;
        let edited = (&noisy + ((edit - x)? * (a + b))?)?;
        Ok([noisy, edited])
    }

    /// `ε − x_0` by the noise that was predicted in `x`.
    fn straight(&self, index: usize, x: &Tensor, noise: &Tensor, clip: Clip) -> Result<Tensor> {
        let (x0, noise) = self.x0_and_noise(index, x, noise, clip)?;
        Ok((noise - x0)?)
    }

    fn moved(&self, index: usize, edit: &Tensor, is: &Tensor, was: &Tensor) -> Result<Tensor> {
        let schedule = self.schedule();
        let [from, to] = [
            schedule.alphas_cumprod[index],
            schedule.alphas_cumprod_prev[index],
        ]
        .map(|kept| {
            let [a, b] = shares(kept);
            b / (a + b)
        });
        Ok((edit + ((is - was)? * (to - from))?)?)
    }
}

/// `√ᾱ` and `√(1 − ᾱ)`.
fn shares(kept: f64) -> [f64; 2] {
    [kept.sqrt(), (1.0 - kept).sqrt()]
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use domex_random::Streams;

    use super::*;
    use crate::{Betas, Spacing};

    fn numbers(values: &[f64]) -> Tensor {
        Tensor::from_slice(values, (values.len(), 1), &Device::Cpu).unwrap()
    }

    fn process() -> Diffusion {
        let full = Diffusion::new(&Betas::Cosine, 1000).unwrap();
        let part = full.until(0.9).unwrap();
        part.spaced(6, Spacing::Ddpm).unwrap()
    }

    fn edited(
        x: &Tensor,
        clip: Clip,
        source: impl FnMut(&Tensor, &[f64]) -> Result<Tensor>,
        target: impl FnMut(&Tensor, &[f64]) -> Result<Tensor>,
    ) -> Vec<f64> {
        ended(x, clip, 0, source, target)
    }

    fn ended(
        x: &Tensor,
        clip: Clip,
        alone: usize,
        source: impl FnMut(&Tensor, &[f64]) -> Result<Tensor>,
        target: impl FnMut(&Tensor, &[f64]) -> Result<Tensor>,
    ) -> Vec<f64> {
        let mut stream = Streams::new(0).stream("noise");
        let made = process().flow_edit(x, clip, alone, &mut stream, source, target);
        made.unwrap().flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn the_same_condition_leaves_the_picture_to_the_bit() {
        let x = numbers(&[0.3, -0.7]);
        let predict = |x: &Tensor, t: &[f64]| -> Result<Tensor> { Ok((x.sin()? * t[0])?) };
        assert_eq!(edited(&x, Clip::None, predict, predict), [0.3, -0.7]);
    }

    #[test]
    fn who_knows_both_pictures_moves_one_into_the_other() {
        let (a, b) = (numbers(&[0.3, -0.7]), numbers(&[-0.2, 0.4]));
        let process = process();
        let knows = |picture: &Tensor| {
            let picture = picture.clone();
            let process = process.clone();
            move |x: &Tensor, t: &[f64]| process.noise_between(x, t, &picture)
        };
        let found = edited(&a, Clip::None, knows(&a), knows(&b));
        // What the picture has beside what is known of it, stays.
        let beside = edited(&(&a + 0.1).unwrap(), Clip::None, knows(&a), knows(&b));
        for (i, expected) in [-0.2, 0.4].into_iter().enumerate() {
            assert!((found[i] - expected).abs() < 1e-6, "{found:?}");
            assert!((beside[i] - expected - 0.1).abs() < 1e-6, "{beside:?}");
        }
        assert_eq!(found, edited(&a, Clip::None, knows(&a), knows(&b)));
    }

    #[test]
    fn a_target_that_ends_alone_asks_no_source_and_leaves_nothing_beside_it() {
        let (a, b) = (numbers(&[0.3, -0.7]), numbers(&[-0.2, 0.4]));
        let process = process();
        let beside = (&a + 0.1).unwrap();
        for alone in [1, 4, 6] {
            let mut asked = 0;
            let source = |x: &Tensor, t: &[f64]| {
                asked += 1;
                process.noise_between(x, t, &a)
            };
            let target = |x: &Tensor, t: &[f64]| process.noise_between(x, t, &b);
            let found = ended(&beside, Clip::None, alone, source, target);
            assert_eq!(asked, 6 - alone);
            for (found, expected) in found.into_iter().zip([-0.2, 0.4]) {
                assert!((found - expected).abs() < 1e-6, "{alone}: {found}");
            }
        }
    }

    #[test]
    fn a_clipped_edit_stays_among_pictures() {
        let (a, b) = (numbers(&[0.9]), numbers(&[3.0]));
        let process = process();
        let found = edited(
            &a,
            Clip::Unit,
            |x, t| process.noise_between(x, t, &a),
            |x, t| process.noise_between(x, t, &b),
        );
        assert!((found[0] - 1.0).abs() < 1e-6, "{found:?}");
    }
}
