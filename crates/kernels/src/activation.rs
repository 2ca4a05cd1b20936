//! Activations: value and slope at a point.

use crate::Float;

/// The activations that the networks compute much of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// z.
    Linear,
    /// z above zero, `alpha · z` below; with alpha 0 the plain rectifier.
    Lrelu {
        /// Slope below zero.
        alpha: f64,
    },
    /// z · sigmoid(z).
    Swish,
    /// z · Φ(z), with the exact error function.
    Gelu,
    /// z · sigmoid(1.702 z), as CLIP has it.
    QuickGelu,
}

impl Activation {
    /// The activation at `z`.
    #[inline(always)]
    pub fn value<T: Float>(self, z: T) -> T {
        let (zero, one) = (T::zero(), T::one());
        match self {
            Self::Linear => z,
            Self::Lrelu { alpha } => {
                if z > zero {
                    z
                } else if alpha == 0.0 && z <= zero {
                    // Not z · 0, which is NaN for −∞.
                    zero
                } else {
                    z * T::of(alpha)
                }
            }
            Self::Swish => z * sigmoid(z),
            Self::Gelu => {
                z * T::of(0.5) * (one + (z * T::of(std::f64::consts::FRAC_1_SQRT_2)).fast_erf())
            }
            Self::QuickGelu => z * sigmoid(z * T::of(1.702)),
        }
    }

    /// The derivative at `z`; at a kink, that from below.
    #[inline(always)]
    pub fn slope<T: Float>(self, z: T) -> T {
        let (zero, one) = (T::zero(), T::one());
        let swish = |z: T, k: T| {
            let s = sigmoid(k * z);
            s * (one + k * z * (one - s))
        };
        match self {
            Self::Linear => one,
            Self::Lrelu { alpha } => {
                if z > zero {
                    one
                } else {
                    T::of(alpha)
                }
            }
            Self::Swish => swish(z, one),
            Self::Gelu => {
                // Φ(z) + z φ(z)
                let below =
                    T::of(0.5) * (one + (z * T::of(std::f64::consts::FRAC_1_SQRT_2)).fast_erf());
                let density = T::of(0.398_942_280_401_432_7) * (-z * z * T::of(0.5)).fast_exp();
                below + z * density
            }
            Self::QuickGelu => swish(z, T::of(1.702)),
        }
    }
}

/// An activation whose kind is known when the loop around it is compiled, so that the loop becomes vector code.
pub(crate) trait Curve<T>: Copy {
    fn value(self, z: T) -> T;
    fn slope(self, z: T) -> T;
}

macro_rules! curve {
    ($name:ident, |$own:ident| $act:expr) => {
        /// The activation of this name.
        #[derive(Clone, Copy)]
        pub(crate) struct $name<T>(pub T);

        impl<T: Float> Curve<T> for $name<T> {
            #[inline(always)]
            fn value(self, z: T) -> T {
                let $own = self.0;
                $act.value(z)
            }
            #[inline(always)]
            fn slope(self, z: T) -> T {
                let $own = self.0;
                $act.slope(z)
            }
        }
    };
}

curve!(Linear, |_alpha| Activation::Linear);
curve!(Gelu, |_alpha| Activation::Gelu);
curve!(QuickGelu, |_alpha| Activation::QuickGelu);

/// The leaky rectifier, with its slope below zero.
#[derive(Clone, Copy)]
pub(crate) struct Lrelu<T>(pub T);

impl<T: Float> Curve<T> for Lrelu<T> {
    #[inline(always)]
    fn value(self, z: T) -> T {
        if z > T::zero() { z } else { z * self.0 }
    }
    #[inline(always)]
    fn slope(self, z: T) -> T {
        if z > T::zero() { T::one() } else { self.0 }
    }
}

/// The rectifier: not the leaky one with a slope of zero, whose product is NaN for −∞.
#[derive(Clone, Copy)]
pub(crate) struct Relu;

impl<T: Float> Curve<T> for Relu {
    #[inline(always)]
    fn value(self, z: T) -> T {
        if z <= T::zero() { T::zero() } else { z }
    }
    #[inline(always)]
    fn slope(self, z: T) -> T {
        if z > T::zero() { T::one() } else { T::zero() }
    }
}

impl<T: Float> Curve<T> for Activation {
    #[inline(always)]
    fn value(self, z: T) -> T {
        Self::value(self, z)
    }
    #[inline(always)]
    fn slope(self, z: T) -> T {
        Self::slope(self, z)
    }
}

/// Evaluates `$body` with `$curve` bound to the [`Curve`] of an activation: one loop each for those of the hot paths, one that
/// looks at the kind for every element for the others.
macro_rules! with_curve {
    ($act:expr, $t:ty, |$curve:ident| $body:expr) => {{
        use $crate::activation::{Activation, Gelu, Linear, Lrelu, QuickGelu, Relu};
        match $act {
            Activation::Linear => {
                let $curve = Linear(<$t>::zero());
                $body
            }
            Activation::Lrelu { alpha: 0.0 } => {
                let $curve = Relu;
                $body
            }
            Activation::Lrelu { alpha } => {
                let $curve = Lrelu(<$t>::of(alpha));
                $body
            }
            Activation::Gelu => {
                let $curve = Gelu(<$t>::zero());
                $body
            }
            Activation::QuickGelu => {
                let $curve = QuickGelu(<$t>::zero());
                $body
            }
            $curve => $body,
        }
    }};
}
pub(crate) use with_curve;

#[inline(always)]
fn sigmoid<T: Float>(z: T) -> T {
    T::one() / (T::one() + (-z).fast_exp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_the_derivatives() {
        let all = [
            Activation::Linear,
            Activation::Lrelu { alpha: 0.2 },
            Activation::Lrelu { alpha: 0.0 },
            Activation::Swish,
            Activation::Gelu,
            Activation::QuickGelu,
        ];
        for act in all {
            for z in [-30.0, -4.1, -1.3, -0.2, 0.1, 0.9, 3.7, 30.0f64] {
                let h = 1e-5;
                let want = (act.value(z + h) - act.value(z - h)) / (2.0 * h);
                assert!((act.slope(z) - want).abs() < 1e-8, "{act:?} at {z}");
                let (single, double) = (act.value(z as f32), act.value(f64::from(z as f32)));
                assert!(
                    (f64::from(single) - double).abs() < 2e-6 * (1.0 + double.abs()),
                    "{act:?} at {z}"
                );
                let (single, double) = (act.slope(z as f32), act.slope(f64::from(z as f32)));
                assert!((f64::from(single) - double).abs() < 4e-6, "{act:?} at {z}");
            }
        }
    }

    #[test]
    fn known_values() {
        assert_eq!(Activation::Lrelu { alpha: 0.2 }.value(-2.0), -0.4);
        assert!((Activation::Gelu.value(1.0f64) - 0.841_344_746_068_542_9).abs() < 1e-14);
    }
}
