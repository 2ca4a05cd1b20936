//! The two regularizers whose loss is itself a gradient, for any function in place of the networks.
//!
//! R1 (arXiv 1801.04406): `penalty_i = sum_{c,h,w} (d sum(logits) / d img_i)^2`; the loss is
//! `gamma / 2` times its mean over the batch.
//!
//! Path length (section 3.2 of arXiv 1912.04958), with y standard normal noise over `sqrt(h w)`:
//!
//! ```text
//! g        = d sum(img * y) / d ws                                 [n, rows, w_dim]
//! length_i = sqrt(mean over rows of sum over w_dim of g_i^2)
//! mean     = old mean + decay (mean(length) - old mean)
//! penalty_i = (length_i - mean)^2
//! ```
//!
//! The gradient flows through the new mean; only the value that is kept for the next step is
//! detached. Both are exact and can be differentiated with respect to the parameters.

use candle_core::{Tensor, Var};
use domex_ops::autograd::{backward_with_graph, grad_with_graph, watch, without_weight_grads};

use crate::{Error, Result};

/// What [`r1_penalty`] computes.
#[derive(Debug, Clone)]
pub struct R1 {
    /// `[n, 1]`, as the discriminator gave them.
    pub logits: Tensor,
    /// Gradient of their sum with respect to the pictures, of the pictures' shape.
    pub grads: Tensor,
    /// Sum of squares per sample `[n]`, without `gamma / 2`.
    pub penalty: Tensor,
}

/// R1 penalty of `discriminator` at `img: [n, c, h, w]`.
///
/// # Errors
///
/// When the discriminator fails, or its logits do not depend on the pictures.
pub fn r1_penalty<F, E>(img: &Tensor, discriminator: F) -> Result<R1>
where
    F: FnOnce(&Tensor) -> std::result::Result<Tensor, E>,
    E: Into<Error>,
{
    expect(img.rank() == 4, "pictures", img, "[n, c, h, w]")?;
    // A variable of their own: the pictures may be constants, and a generator's graph behind them
    // must not be walked.
    let img = if img.is_variable() {
        img.clone()
    } else {
        Var::from_tensor(&img.detach())?.as_tensor().clone()
    };
    let logits = discriminator(&img).map_err(Into::into)?;
    let sum = logits.sum_all()?;
    // The pass after this one is for the weights.
    let grads = without_weight_grads(|| grad_with_graph(&sum, &img))?;
    let penalty = grads.sqr()?.sum((1, 2, 3))?;
    Ok(R1 {
        logits,
        grads,
        penalty,
    })
}

/// What [`path_length_penalty`] computes.
#[derive(Debug, Clone)]
pub struct PathLength {
    /// The pictures that `synthesis` made.
    pub img: Tensor,
    /// Gradient with respect to the latents `[n, rows, w_dim]`.
    pub grads: Tensor,
    /// `[n]`.
    pub lengths: Tensor,
    /// The moved mean, a scalar inside the graph. Detach what is kept for the next step.
    pub mean: Tensor,
    /// `[n]`, without a weight.
    pub penalty: Tensor,
}

/// Path length penalty of `synthesis` at `ws: [n, rows, w_dim]`.
///
/// `noise` is standard normal, of the pictures' shape; `mean` is the running mean, a scalar.
/// Where `ws` tracks gradients, such as the output of a mapping network, the penalty's gradient
/// reaches behind it.
///
/// # Errors
///
/// A wrong shape, or when the synthesis fails or does not depend on `ws`.
pub fn path_length_penalty<F, E>(
    ws: &Tensor,
    synthesis: F,
    noise: &Tensor,
    mean: &Tensor,
    decay: f64,
) -> Result<PathLength>
where
    F: FnOnce(&Tensor) -> std::result::Result<Tensor, E>,
    E: Into<Error>,
{
    expect(ws.rank() == 3, "ws", ws, "[n, rows, w_dim]")?;
    expect(mean.rank() == 0, "mean path length", mean, "[]")?;
    let ws = if ws.track_op() {
        ws.clone()
    } else {
        Var::from_tensor(ws)?.as_tensor().clone()
    };
    let (ws, watched) = watch(&ws)?;
    let img = synthesis(&ws).map_err(Into::into)?;
    let expected = format!("{:?}, as the pictures", img.dims());
    expect(
        noise.dims() == img.dims(),
        "path length noise",
        noise,
        expected,
    )?;
    let (_, _, h, w) = img.dims4()?;
    let scaled = (noise.to_dtype(img.dtype())? / ((h * w) as f64).sqrt())?;
    let sum = img.mul(&scaled)?.sum_all()?;
    let _ = without_weight_grads(|| backward_with_graph(&sum))?;
    let grads = watched.take().ok_or(Error::Constant)?;
    let lengths = grads.sqr()?.sum(2)?.mean(1)?.sqrt()?;
    let old = mean.to_dtype(lengths.dtype())?;
    let mean = (&old + ((lengths.mean_all()? - &old)? * decay)?)?;
    let penalty = lengths.broadcast_sub(&mean)?.sqr()?;
    Ok(PathLength {
        img,
        grads,
        lengths,
        mean,
        penalty,
    })
}

fn expect(
    fits: bool,
    what: &'static str,
    found: &Tensor,
    expected: impl Into<String>,
) -> Result<()> {
    match fits {
        true => Ok(()),
        false => Err(Error::shape(what, found.dims(), expected)),
    }
}
