//! The personal space in coordinates: α-space and its dilation P_β (section 3.3).
//!
//! A latent of the person is `α⁺ · anchors`, one row of `α⁺` for each row of W+. P₀ asks for `α ≥ 0` and `Σ α = 1`; P_β lets
//! each coordinate fall to `−β`, where a picture needs a little more than the hull holds:
//!
//! ```text
//! α⁺ = αᵀ + δ                                   α: [N], δ: [num_ws, N]
//! ᾱ  = softplus₁₀₀(α⁺ + β) − β                  softplus_k(x) = ln(1 + e^{kx}) / k; left out without β
//! ᾱ  ← ᾱ / Σ ᾱ
//! w⁺ = ᾱ · anchors
//! ```
//!
//! What keeps a projection in that space: `λ_δ Σ_l ‖δ_l‖₂` over the first layers, and `λ_Σ mean_l (Σ α⁺_l − 1)²`.

use candle_core::{D, DType, Tensor};
use domex_ops::{Activation, BiasAct, bias_act, matmul};

use crate::{Anchors, Error, Result};

/// Sharpness of the barrier at −β.
const SHARPNESS: f64 = 100.0;

/// Floor of a squared length that a length is divided by: where all deltas are 0, so are their length and its slope.
const FLOOR: f64 = 1e-36;

/// Coordinates of `n` pictures before the barrier.
#[derive(Debug, Clone)]
pub struct Codes {
    /// `[n, N]`, shared by the rows of W+.
    pub alpha: Tensor,
    /// `[n, num_ws, N]`, what each row adds.
    pub deltas: Tensor,
}

impl Codes {
    /// `α⁺: [n, num_ws, N]`.
    ///
    /// # Errors
    ///
    /// Shapes that do not belong together.
    pub fn plus(&self) -> Result<Tensor> {
        match (self.alpha.dims(), self.deltas.dims()) {
            ([n, count], [m, _, each]) if n == m && count == each => {}
            (alpha, deltas) => {
                let expected = format!("[n, num_ws, N] for an alpha [n, N] of {alpha:?}");
                return Err(Error::shape("deltas", deltas, expected));
            }
        }
        Ok(self.alpha.unsqueeze(1)?.broadcast_add(&self.deltas)?)
    }
}

/// What keeps codes near the anchors.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Regularization {
    /// How many of the first rows of W+ have their deltas held back; all of them where there are fewer.
    pub layers: usize,
    /// Weight of the deltas' lengths.
    pub deltas: f64,
    /// Weight of the sums' distance from 1.
    pub sum: f64,
}

impl Default for Regularization {
    /// The published values for a generator of 1024² pixels: 12 layers, both weights 10.
    fn default() -> Self {
        Self {
            layers: 12,
            deltas: 10.0,
            sum: 10.0,
        }
    }
}

impl Regularization {
    /// The penalty of `codes`, summed over the pictures: a scalar with its graph.
    ///
    /// # Errors
    ///
    /// Shapes that do not belong together.
    pub fn penalty(&self, codes: &Codes) -> Result<Tensor> {
        let plus = codes.plus()?;
        let off = (plus.sum(D::Minus1)? - 1.0)?.sqr()?.mean(1)?.sum_all()?;
        let sum = (off * self.sum)?;
        let layers = self.layers.min(codes.deltas.dim(1)?);
        if layers == 0 {
            return Ok(sum);
        }
        let square = codes.deltas.narrow(1, 0, layers)?.sqr()?.sum(D::Minus1)?;
        let lengths = (&square / square.maximum(FLOOR)?.sqrt()?)?.sum_all()?;
        Ok((sum + (lengths * self.deltas)?)?)
    }
}

/// The personal space of a generator with `num_ws` rows of W+.
#[derive(Debug, Clone)]
pub struct AlphaSpace {
    anchors: Tensor, // [N, D]
    num_ws: usize,
    beta: Option<f64>,
}

impl AlphaSpace {
    /// The space that `anchors` span, dilated by `beta`, or not held at all without it.
    ///
    /// # Errors
    ///
    /// A `beta` that is negative or not finite, or no rows.
    pub fn new(anchors: &Anchors, num_ws: usize, beta: Option<f64>) -> Result<Self> {
        check_beta(beta.unwrap_or(0.0))?;
        if num_ws == 0 {
            return Err(Error::setting("rows of W+", num_ws, "at least 1"));
        }
        Ok(Self {
            anchors: anchors.latents().clone(),
            num_ws,
            beta,
        })
    }

    /// Where a projection of `n` pictures starts: all coordinates `1/N`, no deltas.
    ///
    /// # Errors
    ///
    /// When the device has no room.
    pub fn start(&self, n: usize) -> Result<Codes> {
        let (count, device, dtype) = (
            self.anchors.dims()[0],
            self.anchors.device(),
            self.anchors.dtype(),
        );
        let alpha = Tensor::ones((n, count), DType::F32, device)?.to_dtype(dtype)?;
        Ok(Codes {
            alpha: (alpha / count as f64)?,
            deltas: Tensor::zeros((n, self.num_ws, count), dtype, device)?,
        })
    }

    /// The coordinates `ᾱ: [n, num_ws, N]` of `codes` behind the barrier, each row with sum 1.
    ///
    /// # Errors
    ///
    /// Codes of other anchors or another number of rows.
    pub fn constrained(&self, codes: &Codes) -> Result<Tensor> {
        let plus = codes.plus()?;
        let (_, rows, count) = plus.dims3()?;
        if (rows, count) != (self.num_ws, self.anchors.dims()[0]) {
            let expected = format!("[n, {}, {}]", self.num_ws, self.anchors.dims()[0]);
            return Err(Error::shape("codes", plus.dims(), expected));
        }
        let held = match self.beta {
            None => plus,
            Some(beta) => {
                let softplus = BiasAct::new(Activation::Softplus);
                let raised = plus.affine(SHARPNESS, SHARPNESS * beta)?;
                bias_act(&raised, None, &softplus)?.affine(1.0 / SHARPNESS, -beta)?
            }
        };
        Ok(held.broadcast_div(&held.sum_keepdim(D::Minus1)?)?)
    }

    /// Latents `[n, num_ws, D]` at coordinates `[n, num_ws, N]`.
    ///
    /// # Errors
    ///
    /// Coordinates of other anchors.
    pub fn latents(&self, coordinates: &Tensor) -> Result<Tensor> {
        let (count, dim) = self.anchors.dims2()?;
        let &[n, rows, found] = coordinates.dims() else {
            let expected = format!("[n, num_ws, {count}]");
            return Err(Error::shape("coordinates", coordinates.dims(), expected));
        };
        if found != count {
            let expected = format!("[n, num_ws, {count}]");
            return Err(Error::shape("coordinates", coordinates.dims(), expected));
        }
        let flat = matmul(&coordinates.reshape((n * rows, count))?, &self.anchors)?;
        Ok(flat.reshape((n, rows, dim))?)
    }
}

/// A dilation is 0 or more.
pub(crate) fn check_beta(beta: f64) -> Result<()> {
    if beta.is_finite() && beta >= 0.0 {
        return Ok(());
    }
    Err(Error::setting("beta", beta, "0 or a positive number"))
}
