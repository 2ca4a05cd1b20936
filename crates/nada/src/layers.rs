//! Which layers of a generator a domain should change.
//!
//! A change of domain in texture needs other layers than one of shape. Following StyleGAN-NADA (Gal et al.
//! 2021, arXiv 2108.00946, section 4.2), a few latents with one row for each layer are moved towards the
//! target by gradient descent on the global CLIP loss; the layers whose rows moved most are the ones to train,
//! the others stay frozen. The published program does so anew before each training step.

use candle_core::{DType, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// How layers are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LayerChoice {
    /// How many layers are chosen.
    pub keep: usize,
    /// Steps of gradient descent.
    pub steps: usize,
    /// Its learning rate.
    pub learning_rate: f64,
}

impl Default for LayerChoice {
    /// As published.
    fn default() -> Self {
        Self {
            keep: 1,
            steps: 1,
            learning_rate: 0.01,
        }
    }
}

/// What [`choose_layers`] found.
#[derive(Debug, Clone, PartialEq)]
pub struct Layers {
    /// How far each layer's row moved: the mean of `|w' − w|` over pictures and channels.
    pub movement: Vec<f64>,
    /// The layers that moved most, the furthest first; of two that moved alike, the earlier.
    pub chosen: Vec<usize>,
}

/// Moves `ws: [n, layers, w]` and says which layers moved most. `synthesize` makes pictures of latents,
/// `loss` a scalar of pictures: [`Nada::global`](crate::Nada::global), say.
///
/// The weights of the generator get no part of this; where they are variables, let `synthesize` run inside
/// of [`without_weight_grads`](domex_ops::autograd::without_weight_grads), or their gradients are computed
/// for nothing.
///
/// # Errors
///
/// No step, more layers to keep than there are, a gradient that does not reach the latents or is not
/// finite, and what `synthesize` and `loss` return.
pub fn choose_layers<E: From<Error>>(
    ws: &Tensor,
    choice: &LayerChoice,
    mut synthesize: impl FnMut(&Tensor) -> Result<Tensor, E>,
    mut loss: impl FnMut(&Tensor) -> Result<Tensor, E>,
) -> Result<Layers, E> {
    let layers = check(ws, choice)?;
    let moved = variable(&ws.detach())?;
    for _ in 0..choice.steps {
        let loss = loss(&synthesize(&moved)?)?;
        descend(&moved, &loss, choice.learning_rate)?;
    }
    Ok(rank(ws, &moved, layers, choice.keep)?)
}

fn check(ws: &Tensor, choice: &LayerChoice) -> Result<usize> {
    let layers = match *ws.dims() {
        [n, layers, _] if n > 0 => layers,
        _ => {
            return Err(Error::shape(
                "latents",
                ws.dims(),
                "[1 or more, layers, width]",
            ));
        }
    };
    if choice.steps == 0 {
        return Err(Error::config("steps of the layer choice", 0, "at least 1"));
    }
    if choice.keep == 0 || choice.keep > layers {
        return Err(Error::config(
            "layers to keep",
            choice.keep,
            format!("1 to {layers}"),
        ));
    }
    Ok(layers)
}

fn variable(ws: &Tensor) -> Result<Var> {
    Ok(Var::from_tensor(ws)?)
}

fn descend(ws: &Var, loss: &Tensor, rate: f64) -> Result<()> {
    let grads = loss.backward()?;
    let grad = grads.get(ws).ok_or_else(|| {
        Error::config(
            "the loss of the layer choice",
            "not a function of the latents",
            "one whose gradient reaches them",
        )
    })?;
    Ok(ws.set(&(ws.as_tensor() - (grad * rate)?)?.detach())?)
}

fn rank(before: &Tensor, after: &Tensor, layers: usize, keep: usize) -> Result<Layers> {
    let moved = (after.detach() - before)?.abs()?.mean(2)?.mean(0)?; // [layers]
    let movement: Vec<f64> = moved.to_dtype(DType::F64)?.to_vec1()?;
    if let Some(layer) = movement.iter().position(|moved| !moved.is_finite()) {
        return Err(Error::config(
            format!("movement of layer {layer}"),
            movement[layer],
            "a finite number; lower the learning rate",
        ));
    }
    let mut chosen: Vec<usize> = (0..layers).collect();
    chosen.sort_by(|&a, &b| movement[b].total_cmp(&movement[a]));
    chosen.truncate(keep);
    Ok(Layers { movement, chosen })
}
