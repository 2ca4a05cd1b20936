//! What a contrastive model is trained for, and what an attack on it raises.
//!
//! With features of unit length, pictures `f: [n, d]`, captions `t: [n, d]`, one sentence for each
//! domain `u: [k, d]`, and the factor `s` on cosines:
//!
//! `L = ½ H(T, s f tᵀ) + ½ H(Tᵀ, s t fᵀ) + H(D, s f uᵀ)`
//!
//! `H` is the mean cross entropy of rows. `D` is the domain of each picture; `T` says which captions are
//! true of which pictures, rows scaled to sum 1: two captions of a batch can be true of one picture.
//!
//! An attack raises `Σ G · log softmax(s f tᵀ) + Σ E · log softmax(s f uᵀ)`, where the goals `G` and `E`
//! have for each picture either −1 at its own caption and domain, or 1 at another picture's.

use candle_core::{Device, Tensor};
use domex_ops::matmul;
use domex_random::Stream;

use crate::Result;
use crate::losses::{cross_entropy, log_softmax};

/// No larger factor is used, whatever was learnt: larger ones leave attacks without a gradient.
const MOST_SCALE: f64 = 40.0;

/// Features of a step's texts, of unit length.
#[derive(Debug, Clone)]
pub struct TextFeatures {
    /// One row for each caption, `[n, d]`.
    pub captions: Tensor,
    /// One row for each domain, `[k, d]`.
    pub domains: Tensor,
    /// The factor on cosines, a scalar.
    pub scale: Tensor,
}

impl TextFeatures {
    /// The same without a graph.
    pub fn detach(&self) -> Self {
        Self {
            captions: self.captions.detach(),
            domains: self.domains.detach(),
            scale: self.scale.detach(),
        }
    }

    fn scale(&self) -> Result<Tensor> {
        Ok(self.scale.minimum(MOST_SCALE)?)
    }

    /// Logits `[n, n]` of pictures `[n, d]` against captions.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit.
    pub fn caption_logits(&self, images: &Tensor) -> Result<Tensor> {
        Ok(matmul(images, &self.captions.t()?)?.broadcast_mul(&self.scale()?)?)
    }

    /// Logits `[n, k]` of pictures `[n, d]` against domains.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit.
    pub fn domain_logits(&self, images: &Tensor) -> Result<Tensor> {
        Ok(matmul(images, &self.domains.t()?)?.broadcast_mul(&self.scale()?)?)
    }
}

/// What is true of a step's pictures.
#[derive(Debug, Clone)]
pub struct Truth {
    /// `[n, n]`: 1 where a caption (column) is true of a picture (row).
    pub captions: Tensor,
    /// `[n, k]`: 1 at each picture's domain.
    pub domains: Tensor,
}

/// The losses of a step, scalars.
#[derive(Debug)]
pub struct Losses {
    /// Both directions of pictures against captions.
    pub captions: Tensor,
    /// Pictures against domains.
    pub domains: Tensor,
}

/// The losses of `images: [n, d]`, of unit length.
///
/// # Errors
///
/// Shapes that do not fit.
pub fn losses(images: &Tensor, texts: &TextFeatures, truth: &Truth) -> Result<Losses> {
    let rows =
        |target: &Tensor| -> Result<Tensor> { Ok(target.broadcast_div(&target.sum_keepdim(1)?)?) };
    let logits = texts.caption_logits(images)?;
    let forth = cross_entropy(&logits, &rows(&truth.captions)?)?.mean_all()?;
    let back =
        cross_entropy(&logits.t()?, &rows(&truth.captions.t()?.contiguous()?)?)?.mean_all()?;
    Ok(Losses {
        captions: ((forth + back)? * 0.5)?,
        domains: cross_entropy(&texts.domain_logits(images)?, &truth.domains)?.mean_all()?,
    })
}

/// What an attack wants of each picture.
#[derive(Debug, Clone)]
pub struct Goal {
    captions: Tensor, // [n, n]
    domains: Tensor,  // [n, k]
}

impl Goal {
    /// Away from its own caption and domain, or, for a share `targeted` of the pictures, towards those
    /// of another picture of another domain.
    ///
    /// # Errors
    ///
    /// A domain out of range.
    pub fn draw(
        domains: &[u32],
        classes: usize,
        targeted: f64,
        stream: &mut Stream,
        device: &Device,
    ) -> Result<Self> {
        let n = domains.len();
        let turn = if n > 1 { 1 + stream.index(n - 1)? } else { 0 };
        let (mut captions, mut classed) = (vec![0f32; n * n], vec![0f32; n * classes]);
        for (row, &domain) in domains.iter().enumerate() {
            let other = (row + turn) % n;
            let towards = stream.uniform_f64() < targeted && domains[other] != domain;
            let (at, sign) = if towards { (other, 1.0) } else { (row, -1.0) };
            captions[row * n + at] = sign;
            classed[row * classes + domains[at] as usize] = sign;
        }
        Ok(Self {
            captions: Tensor::from_vec(captions, (n, n), device)?,
            domains: Tensor::from_vec(classed, (n, classes), device)?,
        })
    }

    /// What the attack raises, summed over pictures.
    ///
    /// # Errors
    ///
    /// Shapes that do not fit.
    pub fn value(&self, images: &Tensor, texts: &TextFeatures) -> Result<Tensor> {
        let towards = |logits: Tensor, goal: &Tensor| -> Result<Tensor> {
            Ok(log_softmax(&logits)?.mul(goal)?.sum_all()?)
        };
        let captions = towards(texts.caption_logits(images)?, &self.captions)?;
        let domains = towards(texts.domain_logits(images)?, &self.domains)?;
        Ok((captions + domains)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::DType;
    use domex_random::Streams;

    use super::*;

    fn texts() -> TextFeatures {
        let rows = Tensor::new(&[[1f32, 0.0], [0.0, 1.0]], &Device::Cpu).unwrap();
        TextFeatures {
            captions: rows.clone(),
            domains: rows,
            scale: Tensor::new(10f32, &Device::Cpu).unwrap(),
        }
    }

    #[test]
    fn right_features_have_a_small_loss() {
        let texts = texts();
        let eye = Tensor::eye(2, DType::F32, &Device::Cpu).unwrap();
        let truth = Truth {
            captions: eye.clone(),
            domains: eye.clone(),
        };
        let value = |images: &Tensor| {
            let losses = losses(images, &texts, &truth).unwrap();
            (losses.captions + losses.domains)
                .unwrap()
                .to_scalar::<f32>()
                .unwrap()
        };
        let expected = 2.0 * (1.0 + (-10f32).exp()).ln();
        assert!((value(&texts.captions) - expected).abs() < 1e-6);
        let wrong = texts.captions.flip(&[0]).unwrap();
        assert!(value(&wrong) > 19.0);
    }

    #[test]
    fn goals_point_away_from_the_truth() {
        let texts = texts();
        let mut stream = Streams::new(1).stream("goal");
        for targeted in [0.0, 1.0] {
            let goal = Goal::draw(&[0, 1], 2, targeted, &mut stream, &Device::Cpu).unwrap();
            let value = |images: &Tensor| {
                goal.value(images, &texts)
                    .unwrap()
                    .to_scalar::<f32>()
                    .unwrap()
            };
            assert!(value(&texts.captions.flip(&[0]).unwrap()) > value(&texts.captions) + 10.0);
        }
    }
}
