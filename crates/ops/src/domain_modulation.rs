//! A modulated convolution whose demodulated weight is changed for a domain.
//!
//! HyperDomainNet (Alanov et al. 2022, arXiv 2210.08884, section 3) changes the weight of a layer after demodulation, and
//! normalises nothing afterwards. With `D` the demodulated weight of [`modulated_conv`](crate::modulated_conv), a factor `M`
//! and a shift `A`:
//!
//! `W'[n, o, i, k] = M[n, o, i, k] · D[n, o, i, k] + A[n, o, i, k]`.
//!
//! Both may be 1 along any axis. What that costs beside the layer itself:
//!
//! | change | cost |
//! | --- | --- |
//! | `M` along input channels, of each sample or shared | a product of two `[n, i]` matrices |
//! | `M` along output channels, of each sample or shared | a product with the feature map |
//! | `A` along input or along output channels | a convolution to one channel |
//! | any other `M`, the same for all samples | one weight |
//! | any other `A`, the same for all samples | one more convolution |
//! | any other change of each sample | a convolution, and a weight, for each sample |

use candle_core::Tensor;

use crate::modulated_conv::{check_noise, demodulation};
use crate::{Error, ModulatedConv, Result, channels, check, conv2d_resample, modulated_conv2d};

const OP: &str = "domain_modulated_conv2d";

/// What is done to the demodulated weight. See the [module docs](self).
#[derive(Debug, Clone, Copy, Default)]
pub struct WeightChange<'a> {
    /// Multiplies it: `[n, o, i, kh, kw]`, where each axis may also be 1.
    pub factor: Option<&'a Tensor>,
    /// Is added after that; of the same shapes.
    pub shift: Option<&'a Tensor>,
}

/// [`modulated_conv2d`] with a changed weight.
///
/// # Errors
///
/// As [`modulated_conv2d`]; a factor or shift of a shape that does not broadcast to the weight of each sample, or
/// one in half precision ([`Error::DType`]).
pub fn domain_modulated_conv2d(
    x: &Tensor,
    weight: &Tensor,
    styles: &Tensor,
    how: &ModulatedConv<'_>,
    change: WeightChange<'_>,
) -> Result<Tensor> {
    let (n, _, _, _) = check::dims4(OP, "x", x, "[n, i, h, w]")?;
    let (o, i, kh, kw) = check::dims4(OP, "weight", weight, "[o, i, kh, kw]")?;
    let full = [n, o, i, kh, kw];
    let changes = [("factor", change.factor), ("shift", change.shift)];
    for (name, given) in changes {
        if let Some(given) = given {
            check_change(name, given, full, x)?;
        }
    }
    let layer = Layer {
        weight,
        how: ModulatedConv {
            noise: None,
            ..*how
        },
        full,
    };
    let y = layer.changed(x, styles, change)?;
    let Some(noise) = how.noise else {
        return Ok(y);
    };
    let (n, _, h, w) = y.dims4()?;
    check_noise(noise, n, [h, w])?;
    Ok(y.broadcast_add(noise)?)
}

struct Layer<'a> {
    /// `[o, i, kh, kw]`.
    weight: &'a Tensor,
    /// Without noise.
    how: ModulatedConv<'a>,
    /// n, o, i, kh, kw.
    full: [usize; 5],
}

/// The axis along which a change goes, if no other is needed.
enum Along {
    Input,
    Output,
    Several,
}

fn along(t: &Tensor) -> Along {
    match t.dims() {
        [_, 1, _, 1, 1] => Along::Input,
        [_, _, 1, 1, 1] => Along::Output,
        _ => Along::Several,
    }
}

/// Whether each sample needs a weight of its own.
fn is_dear(t: Option<&Tensor>) -> bool {
    t.is_some_and(|t| t.dims()[0] > 1 && matches!(along(t), Along::Several))
}

impl Layer<'_> {
    fn changed(&self, x: &Tensor, styles: &Tensor, change: WeightChange<'_>) -> Result<Tensor> {
        let n = x.dim(0)?;
        if n > 1 && (is_dear(change.factor) || is_dear(change.shift)) {
            let samples = (0..n).map(|at| {
                let own = |t: &Tensor| t.narrow(0, at.min(t.dims()[0] - 1), 1);
                let factor = change.factor.map(own).transpose()?;
                let shift = change.shift.map(own).transpose()?;
                let change = WeightChange {
                    factor: factor.as_ref(),
                    shift: shift.as_ref(),
                };
                let (x, styles) = (x.narrow(0, at, 1)?, styles.narrow(0, at, 1)?);
                let how = self.how;
                let own_factor = how.channel_factor.map(own).transpose()?;
                let layer = Layer {
                    how: ModulatedConv {
                        channel_factor: own_factor.as_ref(),
                        ..how
                    },
                    ..*self
                };
                layer.changed(&x, &styles, change)
            });
            return Ok(Tensor::cat(&samples.collect::<Result<Vec<_>>>()?, 0)?);
        }
        let y = self.multiplied(x, styles, change.factor)?;
        match change.shift {
            Some(shift) => Ok(y.broadcast_add(&self.shifted(x, shift)?)?),
            None => Ok(y),
        }
    }

    /// The convolution with `M · D`.
    fn multiplied(&self, x: &Tensor, styles: &Tensor, factor: Option<&Tensor>) -> Result<Tensor> {
        let (n, [_, o, i, ..]) = (x.dim(0)?, self.full);
        let Some(factor) = factor else {
            return modulated_conv2d(x, self.weight, styles, &self.how);
        };
        match along(factor) {
            Along::Input => {
                let factor = factor.flatten_from(1)?;
                let factor = factor.broadcast_as((factor.dim(0)?, i))?.contiguous()?;
                let factor = match self.how.channel_factor {
                    Some(other) => other.broadcast_mul(&factor)?,
                    None => factor,
                };
                let how = ModulatedConv {
                    channel_factor: Some(&factor),
                    ..self.how
                };
                modulated_conv2d(x, self.weight, styles, &how)
            }
            Along::Output => {
                let y = modulated_conv2d(x, self.weight, styles, &self.how)?;
                let factor = factor.flatten_from(1)?.broadcast_as((n, o))?;
                channels::scale(&y, &factor.contiguous()?)
            }
            Along::Several => {
                let weight = self.weight.broadcast_mul(&factor.squeeze(0)?)?;
                let how = ModulatedConv {
                    demodulate: false,
                    ..self.how
                };
                let y = modulated_conv2d(x, &weight, styles, &how)?;
                match self.how.demodulate {
                    true => channels::scale(&y, &demodulation(self.weight, styles)?),
                    false => Ok(y),
                }
            }
        }
    }

    /// The convolution with `A`, which no style scales.
    fn shifted(&self, x: &Tensor, shift: &Tensor) -> Result<Tensor> {
        let (n, [_, o, i, kh, kw]) = (x.dim(0)?, self.full);
        let ones = || Tensor::ones((1, i, kh, kw), x.dtype(), x.device());
        match along(shift) {
            Along::Input => {
                let shift = shift.flatten_from(1)?.broadcast_as((n, i))?.contiguous()?;
                self.convolved(&channels::scale(x, &shift)?, &ones()?)
            }
            Along::Output => {
                let sums = self.convolved(x, &ones()?)?; // [n, 1, h, w]
                let shift = shift.flatten_from(1)?.unsqueeze(2)?.unsqueeze(3)?;
                Ok(sums.broadcast_mul(&shift)?)
            }
            Along::Several => {
                let weight = shift.squeeze(0)?.broadcast_as((o, i, kh, kw))?;
                self.convolved(x, &weight.contiguous()?)
            }
        }
    }

    fn convolved(&self, x: &Tensor, weight: &Tensor) -> Result<Tensor> {
        let how = &self.how;
        conv2d_resample(
            x,
            weight,
            how.filter,
            how.up,
            how.down,
            how.padding,
            how.flip_weight,
        )
    }
}

fn check_change(name: &'static str, t: &Tensor, full: [usize; 5], x: &Tensor) -> Result<()> {
    check::alike(OP, name, t, x)?;
    // Nothing keeps the weights of a change in the range of half precision.
    if x.dtype().size_in_bytes() < 4 {
        return Err(Error::DType {
            op: OP,
            tensor: "x",
            got: x.dtype(),
            expected: "float32 or float64".into(),
        });
    }
    let fits = t.rank() == 5
        && t.dims()
            .iter()
            .zip(full)
            .all(|(&d, all)| d == 1 || d == all);
    if fits {
        return Ok(());
    }
    let expected = format!("{full:?}, where each may also be 1");
    Err(Error::shape(OP, name, t.dims(), expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_gradients, max_difference, randn};

    const FULL: [usize; 5] = [2, 4, 3, 3, 3];

    fn operands() -> [Tensor; 3] {
        [
            randn(&[2, 3, 5, 5], 1),
            randn(&[4, 3, 3, 3], 2),
            (randn(&[2, 3], 3) + 1.5).unwrap(),
        ]
    }

    fn plain() -> ModulatedConv<'static> {
        ModulatedConv {
            padding: 1,
            ..ModulatedConv::default()
        }
    }

    /// The weight of each sample written out.
    fn by_definition(factor: &Tensor, shift: &Tensor) -> Tensor {
        let [x, weight, styles] = operands();
        let d = demodulation(&weight, &styles).unwrap();
        let samples = (0..2).map(|n| {
            let row = |t: &Tensor| t.narrow(0, n, 1).unwrap();
            let of = |t: &Tensor| t.broadcast_as(&FULL).unwrap().get(n).unwrap();
            let w = weight.broadcast_mul(&row(&styles).reshape((1, 3, 1, 1)).unwrap());
            let w = w
                .unwrap()
                .broadcast_mul(&row(&d).reshape((4, 1, 1, 1)).unwrap());
            let w = ((w.unwrap() * of(factor)).unwrap() + of(shift)).unwrap();
            crate::conv2d(&row(&x), &w, None, 1, 1).unwrap()
        });
        Tensor::cat(&samples.collect::<Vec<_>>(), 0).unwrap()
    }

    #[test]
    fn every_axis_of_a_change_gives_what_the_definition_says() {
        let [x, weight, styles] = operands();
        for mask in 0..32 {
            let shape: Vec<usize> = (0..5)
                .map(|axis| if mask >> axis & 1 == 1 { FULL[axis] } else { 1 })
                .collect();
            let (factor, shift) = (randn(&shape, 4), randn(&shape, 5));
            let change = WeightChange {
                factor: Some(&factor),
                shift: Some(&shift),
            };
            let y = domain_modulated_conv2d(&x, &weight, &styles, &plain(), change).unwrap();
            let expected = by_definition(&factor, &shift);
            assert!(max_difference(&y, &expected) < 1e-12, "{shape:?}");
        }
    }

    #[test]
    fn gradients_reach_every_operand() {
        let [x, weight, styles] = operands();
        for shape in [
            [1, 4, 3, 1, 1],
            [2, 1, 3, 1, 1],
            [2, 4, 1, 1, 1],
            [1, 1, 1, 3, 3],
        ] {
            let f = |t: &[Tensor]| {
                let change = WeightChange {
                    factor: Some(&t[3]),
                    shift: Some(&t[4]),
                };
                domain_modulated_conv2d(&t[0], &t[1], &t[2], &plain(), change)
            };
            let (factor, shift) = (randn(&shape, 6), randn(&shape, 7));
            let operands = [x.clone(), weight.clone(), styles.clone(), factor, shift];
            assert_gradients("domain modulation", f, &operands);
        }
    }

    #[test]
    fn a_change_that_does_not_fit_is_refused() {
        let [x, weight, styles] = operands();
        let factor = randn(&[2, 1, 4, 1, 1], 8);
        let change = WeightChange {
            factor: Some(&factor),
            shift: None,
        };
        let error = domain_modulated_conv2d(&x, &weight, &styles, &plain(), change).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("factor has shape [2, 1, 4, 1, 1]"),
            "{error}"
        );
        assert!(error.contains("[2, 4, 3, 3, 3]"), "{error}");

        // It would broadcast.
        let noise = randn(&[2, 4, 5, 5], 9);
        let how = ModulatedConv {
            noise: Some(&noise),
            ..plain()
        };
        let change = WeightChange::default();
        let error = domain_modulated_conv2d(&x, &weight, &styles, &how, change).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("noise has shape [2, 4, 5, 5]"), "{error}");
    }
}
