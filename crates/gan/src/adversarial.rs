//! The adversarial losses of both networks, and the discriminator's regularizer.
//!
//! Non-saturating loss (Goodfellow et al. 2014) with `softplus(x) = ln(1 + eˣ)`, each a mean over
//! the batch, and R1 (Mescheder et al. 2018):
//!
//! ```text
//! G     mean softplus(−D(t(G(ws))))
//! D     mean softplus(D(t(fake))),  mean softplus(−D(t(real)))
//! R1    γ/2 · mean over the batch of ‖∂ ΣD(t(real)) / ∂ real‖²
//! ```
//!
//! `t` is a change of the pictures that the discriminator is shown, such as adaptive augmentation,
//! or nothing. It is differentiated through, also inside R1. The fake and the real batch of D go
//! through it separately, so the minibatch statistics never mix them. Definition:
//! NVlabs/stylegan2-ada-pytorch, `training/loss.py`.

use candle_core::Tensor;
use domex_ops::{Activation, BiasAct, bias_act};
use domex_stylegan2::{Discriminator, Generator, Noise};

use crate::penalty::r1_penalty;
use crate::{Error, Result};

/// A change of pictures `[n, c, h, w]` before a discriminator, made of differentiable operators.
/// R1 calls it on a thread of its own, and a change that draws at random has drawn before.
pub type PictureTransform<'a> = &'a (dyn Fn(&Tensor) -> Result<Tensor> + Sync);

/// A loss on what a discriminator says of a batch.
#[derive(Debug, Clone)]
pub struct AdversarialLoss {
    /// Mean over the batch, a scalar.
    pub loss: Tensor,
    /// `[n, 1]`.
    pub per_sample: Tensor,
    /// `[n, 1]`. The signs of those of real pictures steer adaptive augmentation.
    pub logits: Tensor,
}

/// A generator's loss, and the pictures that it made.
#[derive(Debug, Clone)]
pub struct GeneratorLoss {
    /// Mean over the batch, a scalar.
    pub loss: Tensor,
    /// `[n, 1]`.
    pub per_sample: Tensor,
    /// `[n, 1]`.
    pub logits: Tensor,
    /// `[n, c, h, w]`, before any change for the discriminator.
    pub pictures: Tensor,
}

/// The R1 penalty of a batch.
#[derive(Debug, Clone)]
pub struct R1Loss {
    /// `γ/2` times the mean of the squared gradients, a scalar.
    pub loss: Tensor,
    /// `[n]`: each sample's squared gradient, without `γ/2`.
    pub penalty: Tensor,
    /// `[n, 1]`.
    pub logits: Tensor,
}

/// The generator's adversarial phase: pictures from `ws: [n, rows, w_dim]`, and how little the
/// discriminator takes them for real. Give the discriminator [frozen](crate::frozen).
///
/// # Errors
///
/// A wrong shape, or a failing network or transform.
pub fn generator_loss(
    generator: &Generator,
    discriminator: &Discriminator,
    ws: &Tensor,
    label: Option<&Tensor>,
    noise: Noise<'_>,
    transform: Option<PictureTransform<'_>>,
) -> Result<GeneratorLoss> {
    let pictures = generator.synthesis().forward(ws, noise)?;
    let adversarial = realism(discriminator, &pictures, label, transform)?;
    Ok(GeneratorLoss {
        loss: adversarial.loss,
        per_sample: adversarial.per_sample,
        logits: adversarial.logits,
        pictures,
    })
}

/// How little the discriminator takes `pictures: [n, c, h, w]` for real: `softplus(−D)`, with the
/// pictures' graph. The same formula as [`real_loss`], for the generator's side.
///
/// # Errors
///
/// A wrong shape, or a failing network or transform.
pub fn realism(
    discriminator: &Discriminator,
    pictures: &Tensor,
    label: Option<&Tensor>,
    transform: Option<PictureTransform<'_>>,
) -> Result<AdversarialLoss> {
    let logits = discriminator.forward(&changed(pictures, transform)?, label)?;
    softplus(&logits.neg()?, logits)
}

/// The discriminator's loss on generated pictures `[n, c, h, w]`, which are detached:
/// `softplus(D)`.
///
/// # Errors
///
/// A wrong shape, or a failing network or transform.
pub fn fake_loss(
    discriminator: &Discriminator,
    pictures: &Tensor,
    label: Option<&Tensor>,
    transform: Option<PictureTransform<'_>>,
) -> Result<AdversarialLoss> {
    let logits = discriminator.forward(&changed(&pictures.detach(), transform)?, label)?;
    softplus(&logits, logits.clone())
}

/// The discriminator's loss on real pictures `[n, c, h, w]`, which are detached: `softplus(−D)`.
///
/// # Errors
///
/// A wrong shape, or a failing network or transform.
pub fn real_loss(
    discriminator: &Discriminator,
    pictures: &Tensor,
    label: Option<&Tensor>,
    transform: Option<PictureTransform<'_>>,
) -> Result<AdversarialLoss> {
    realism(discriminator, &pictures.detach(), label, transform)
}

/// The discriminator's lazy regularizer on real pictures `[n, c, h, w]`, exact to second order.
///
/// # Errors
///
/// A wrong shape, a `gamma` that is negative or not finite, or a failing network or transform.
pub fn r1(
    discriminator: &Discriminator,
    pictures: &Tensor,
    label: Option<&Tensor>,
    gamma: f64,
    transform: Option<PictureTransform<'_>>,
) -> Result<R1Loss> {
    if !(gamma.is_finite() && gamma >= 0.0) {
        return Err(Error::setting("R1 gamma", gamma, "0 or more"));
    }
    let r1 = r1_penalty(&pictures.detach(), |x| -> Result<Tensor> {
        Ok(discriminator.forward(&changed(x, transform)?, label)?)
    })?;
    Ok(R1Loss {
        loss: (r1.penalty.mean_all()? * (gamma / 2.0))?,
        penalty: r1.penalty,
        logits: r1.logits,
    })
}

fn changed(pictures: &Tensor, transform: Option<PictureTransform<'_>>) -> Result<Tensor> {
    match transform {
        None => Ok(pictures.clone()),
        Some(transform) => {
            let changed = transform(pictures)?;
            if changed.dims() != pictures.dims() {
                let expected = format!("{:?}, as before the change", pictures.dims());
                return Err(Error::shape("changed pictures", changed.dims(), expected));
            }
            Ok(changed)
        }
    }
}

fn softplus(x: &Tensor, logits: Tensor) -> Result<AdversarialLoss> {
    let per_sample = bias_act(x, None, &BiasAct::new(Activation::Softplus))?;
    Ok(AdversarialLoss {
        loss: per_sample.mean_all()?,
        per_sample,
        logits,
    })
}
