//! What a contrastive model is trained for; an attack raises the same.
//!
//! With features of unit length, pictures `f: [n, d]`, captions `t: [n, d]`, one sentence for each
//! domain `u: [k, d]`, and the factor `s` on cosines:
//!
//! `L = ½ H(T, s f tᵀ) + ½ H(Tᵀ, s t fᵀ) + H(D, s f uᵀ) + Σ H(Q, s f qᵀ)`
//!
//! `H` is the mean cross entropy of rows. `D` is the domain of each picture; `T` says which captions are
//! true of which pictures, rows scaled to sum 1: two captions of a batch can be true of one picture. `q` are the answers to a
//! question, asked of the pictures in which the right one, `Q`, can be seen.

use candle_core::Tensor;
use domex_ops::matmul;

use crate::Result;
use crate::losses::cross_entropy;

/// No larger factor is used, whatever was learnt: larger ones leave attacks without a gradient.
const MOST_SCALE: f64 = 40.0;

/// Features of a step's texts, of unit length.
#[derive(Debug, Clone)]
pub struct TextFeatures {
    /// One row for each caption, `[n, d]`.
    pub captions: Tensor,
    /// One row for each domain, `[k, d]`.
    pub domains: Tensor,
    /// One row for each answer, question by question `[k, d]`.
    pub answers: Vec<Tensor>,
    /// The factor on cosines, a scalar.
    pub scale: Tensor,
}

impl TextFeatures {
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
    /// For each question `[n, k]`: 1 at the right answer, nothing in rows that are not asked.
    pub answers: Vec<Tensor>,
}

/// The losses of a step, scalars.
#[derive(Debug)]
pub struct Losses {
    /// Both directions of pictures against captions.
    pub captions: Tensor,
    /// Pictures against domains.
    pub domains: Tensor,
    /// Mean over questions; `None` where nothing was asked.
    pub answers: Option<Tensor>,
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
    let mut answers: Option<Tensor> = None;
    for (texts_of, truth) in texts.answers.iter().zip(&truth.answers) {
        let asked = f64::from(truth.sum_all()?.to_scalar::<f32>()?);
        if asked == 0.0 {
            continue;
        }
        let logits = matmul(images, &texts_of.t()?)?.broadcast_mul(&texts.scale()?)?;
        let share = 1.0 / (asked * texts.answers.len() as f64);
        let one = (cross_entropy(&logits, truth)?.sum_all()? * share)?;
        answers = Some(match answers {
            Some(sum) => (sum + one)?,
            None => one,
        });
    }
    Ok(Losses {
        answers,
        captions: ((forth + back)? * 0.5)?,
        domains: cross_entropy(&texts.domain_logits(images)?, &truth.domains)?.mean_all()?,
    })
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn texts() -> TextFeatures {
        let rows = Tensor::new(&[[1f32, 0.0], [0.0, 1.0]], &Device::Cpu).unwrap();
        TextFeatures {
            captions: rows.clone(),
            domains: rows,
            answers: Vec::new(),
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
            answers: Vec::new(),
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
    fn only_pictures_that_are_asked_answer() {
        let mut texts = texts();
        texts.answers = vec![texts.domains.clone()];
        let eye = Tensor::eye(2, DType::F32, &Device::Cpu).unwrap();
        let mut truth = Truth {
            captions: eye.clone(),
            domains: eye,
            answers: vec![Tensor::new(&[[0f32, 1.0], [0.0, 0.0]], &Device::Cpu).unwrap()],
        };
        let value = |truth: &Truth| {
            let losses = losses(&texts.captions, &texts, truth).unwrap();
            losses.answers.map(|loss| loss.to_scalar::<f32>().unwrap())
        };
        // The first picture is at the first answer, and the second is right.
        assert!((value(&truth).unwrap() - 10.0).abs() < 1e-3);
        truth.answers = vec![truth.answers[0].zeros_like().unwrap()];
        assert_eq!(value(&truth), None);
    }
}
