//! Bias, activation, gain and clamp in one step.
//!
//! `y = clamp(gain · act(x + bias))`, in this order, the clamp symmetric: `[−clamp, clamp]`.
//! `bias` has one element per index of dimension `dim`. Definition:
//! NVlabs/stylegan2-ada-pytorch, `torch_utils/ops/bias_act.py`.
//!
//! | activation | act(x) | default gain | default alpha |
//! | --- | --- | --- | --- |
//! | linear | x | 1 | |
//! | relu | max(x, 0) | √2 | |
//! | lrelu | x > 0: x, else alpha·x | √2 | 0.2 |
//! | tanh | tanh x | 1 | |
//! | sigmoid | 1/(1 + e⁻ˣ) | 1 | |
//! | elu | x > 0: x, else eˣ − 1 | 1 | |
//! | selu | λ·(x > 0: x, else α·(eˣ − 1)), the constants of Klambauer et al. 2017 | 1 | |
//! | softplus | ln(1 + eˣ) | 1 | |
//! | swish | x·sigmoid(x) | √2 | |
//!
//! The piecewise linear ones are one pass, and their gradients one more: `g · slope`, where the
//! slope is a constant almost everywhere, so the gradient is linear in `g` and exact to any order.
//! As in PyTorch, the slope at 0 is the left one, and a value that lies on the clamp's limit still
//! passes its gradient. The smooth ones are composed of candle's differentiable operations.

use std::{fmt, str::FromStr};

use candle_core::Tensor;

use crate::{
    Error, Result,
    body::{Bodies, Body},
    check,
    epilogue::Curve,
};

const OP: &str = "bias_act";
const BODIES: Bodies = Bodies::CPU_AND_CUDA;
const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

/// An activation function; the [module docs](self) have the formulas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// The identity.
    Linear,
    /// Rectifier.
    Relu,
    /// Leaky rectifier.
    Lrelu,
    /// Hyperbolic tangent.
    Tanh,
    /// Logistic function.
    Sigmoid,
    /// Exponential linear unit.
    Elu,
    /// Self-normalising exponential linear unit.
    Selu,
    /// Smooth rectifier.
    Softplus,
    /// Also known as SiLU.
    Swish,
}

impl Activation {
    /// All of them, in the order of the table.
    pub const ALL: [Self; 9] = [
        Self::Linear,
        Self::Relu,
        Self::Lrelu,
        Self::Tanh,
        Self::Sigmoid,
        Self::Elu,
        Self::Selu,
        Self::Softplus,
        Self::Swish,
    ];

    /// The published name, as [`FromStr`] reads it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Linear => "linear",
            Self::Relu => "relu",
            Self::Lrelu => "lrelu",
            Self::Tanh => "tanh",
            Self::Sigmoid => "sigmoid",
            Self::Elu => "elu",
            Self::Selu => "selu",
            Self::Softplus => "softplus",
            Self::Swish => "swish",
        }
    }

    /// The factor that keeps the variance of a standard normal input near 1.
    pub fn default_gain(self) -> f64 {
        match self {
            Self::Relu | Self::Lrelu | Self::Swish => std::f64::consts::SQRT_2,
            _ => 1.0,
        }
    }

    /// The slope for negative values where there is one to choose, else 0.
    pub fn default_alpha(self) -> f64 {
        if self == Self::Lrelu { 0.2 } else { 0.0 }
    }

    /// The slope for negative values where the activation is piecewise linear.
    fn negative_slope(self, alpha: f64) -> Option<f64> {
        match self {
            Self::Linear => Some(1.0),
            Self::Relu => Some(0.0),
            Self::Lrelu => Some(alpha),
            _ => None,
        }
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Activation {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL
            .into_iter()
            .find(|a| a.name() == name)
            .ok_or_else(|| {
                let names = Self::ALL.map(Self::name).join(", ");
                Error::parameter(OP, "activation", name, format!("one of {names}"))
            })
    }
}

/// How [`bias_act`] works.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BiasAct {
    /// The activation.
    pub act: Activation,
    /// Slope for negative values; None: the activation's own. Only `lrelu` uses it.
    pub alpha: Option<f64>,
    /// Factor after the activation; None: the activation's own.
    pub gain: Option<f64>,
    /// Largest magnitude of the result; None: no limit.
    pub clamp: Option<f64>,
    /// The dimension that `bias` runs along.
    pub dim: usize,
}

impl BiasAct {
    /// Defaults of `act`, no clamp, bias along dimension 1.
    pub fn new(act: Activation) -> Self {
        Self {
            act,
            alpha: None,
            gain: None,
            clamp: None,
            dim: 1,
        }
    }

    /// In the kernel's form, where the activation is piecewise linear.
    pub(crate) fn curve(&self) -> Option<Curve> {
        let negative = self.act.negative_slope(self.alpha())?;
        Some(Curve {
            negative,
            gain: self.gain(),
            clamp: self.clamp,
        })
    }

    fn gain(&self) -> f64 {
        self.gain.unwrap_or_else(|| self.act.default_gain())
    }

    fn alpha(&self) -> f64 {
        self.alpha.unwrap_or_else(|| self.act.default_alpha())
    }

    /// Gain, slope and clamp are numbers that make sense.
    pub(crate) fn check_numbers(&self) -> Result<()> {
        for (name, value) in [("gain", self.gain()), ("alpha", self.alpha())] {
            if !value.is_finite() {
                return Err(Error::parameter(OP, name, value, "a finite number"));
            }
        }
        if let Some(limit) = self.clamp.filter(|c| c.is_nan() || *c < 0.0) {
            return Err(Error::parameter(OP, "clamp", limit, "at least 0"));
        }
        Ok(())
    }

    pub(crate) fn check(&self, x: &Tensor, bias: Option<&Tensor>) -> Result<()> {
        check::float(OP, "x", x)?;
        check::nonempty(OP, "x", x)?;
        self.check_numbers()?;
        let Some(bias) = bias else { return Ok(()) };
        check::alike(OP, "bias", bias, x)?;
        let Some(&size) = x.dims().get(self.dim) else {
            let expected = format!("less than the rank of x {:?}", x.dims());
            return Err(Error::parameter(OP, "dim", self.dim, expected));
        };
        if bias.dims() != [size] {
            let expected = format!("[{size}], dimension {} of x {:?}", self.dim, x.dims());
            return Err(Error::shape(OP, "bias", bias.dims(), expected));
        }
        Ok(())
    }
}

/// `clamp(gain · act(x + bias))` for `x` of any shape and `bias: [x.dim(dim)]`. See the
/// [module docs](self).
///
/// # Errors
///
/// [`Error::Shape`] when `bias` does not fit or `x` has a dimension of size 0;
/// [`Error::Parameter`] for a dimension that `x` has not, a negative clamp, a gain or alpha that is
/// not finite; [`Error::DType`] and [`Error::Device`] when the operands do not match.
pub fn bias_act(x: &Tensor, bias: Option<&Tensor>, how: &BiasAct) -> Result<Tensor> {
    how.check(x, bias)?;
    if BODIES.of(&[x]) == Body::Composed {
        return reference(x, bias, how);
    }
    if let Some(curve) = how.curve() {
        return Ok(curve.of(x, bias, how.dim)?);
    }
    let y = smooth(&Curve::IDENTITY.of(x, bias, how.dim)?, how.act)?;
    let rest = Curve {
        gain: how.gain(),
        clamp: how.clamp,
        ..Curve::IDENTITY
    };
    Ok(rest.of(&y, None, how.dim)?)
}

/// The same from candle's own operations.
///
/// # Errors
///
/// As [`bias_act`].
pub fn reference(x: &Tensor, bias: Option<&Tensor>, how: &BiasAct) -> Result<Tensor> {
    how.check(x, bias)?;
    let x = match bias {
        Some(bias) => {
            let mut dims = vec![1; x.rank()];
            dims[how.dim] = bias.elem_count();
            x.broadcast_add(&bias.reshape(dims)?)?
        }
        None => x.clone(),
    };
    let y = match how.act {
        Activation::Relu | Activation::Lrelu => {
            let positive = x.gt(&x.zeros_like()?)?;
            let negative = if how.act == Activation::Relu {
                x.zeros_like()?
            } else {
                (&x * how.alpha())?
            };
            positive.where_cond(&x, &negative)?
        }
        act => smooth(&x, act)?,
    };
    let y = if how.gain() == 1.0 {
        y
    } else {
        (y * how.gain())?
    };
    match how.clamp {
        Some(limit) => Ok(y.clamp(-limit, limit)?),
        None => Ok(y),
    }
}

/// The activations that are not piecewise linear, each in a form that neither overflows nor
/// loses its gradient for large arguments.
fn smooth(x: &Tensor, act: Activation) -> Result<Tensor> {
    // e⁻ˣ overflows for large −x and makes 0·∞ in the gradient; tanh does not.
    let sigmoid = || ((x * 0.5)?.tanh()? * 0.5)? + 0.5;
    Ok(match act {
        Activation::Linear | Activation::Relu | Activation::Lrelu => x.clone(),
        Activation::Tanh => x.tanh()?,
        Activation::Sigmoid => sigmoid()?,
        Activation::Elu => x.elu(1.0)?,
        Activation::Selu => (x.elu(SELU_ALPHA)? * SELU_SCALE)?,
        // ln(1 + eˣ) = max(x, 0) + ln(1 + e^−|x|)
        Activation::Softplus => (x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?)?,
        Activation::Swish => (x * sigmoid()?)?,
    })
}

#[cfg(test)]
mod tests;
