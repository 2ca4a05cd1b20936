//! Minibatch standard deviation: tells a discriminator how varied its batch is.
//!
//! `x: [n, c, h, w]` is cut into `m = n / g` groups of `g` samples, sample `i` being in group
//! `i mod m`, and its channels into `f` equal sets. For each group and set, the standard deviation
//! over the samples, `√(var + 1e-8)` with the variance divided by `g`, is averaged over the set's
//! channels and pixels. The result, the same number for every pixel of a group's samples, is
//! appended as `f` channels: `[n, c + f, h, w]`.
//!
//! Source: Karras et al., "Progressive growing of GANs" (2018), section 3; grouped as
//! `MinibatchStdLayer` of stylegan2-ada-pytorch, `training/networks.py`.
//!
//! It stands on the last 4 × 4 maps of a discriminator, where it costs next to nothing, so on the CPU it is
//! composed of candle's operations. Those are differentiable to any order, which R1 needs: the gradient of the square root
//! changes fast where two samples nearly agree. On a CUDA device, where each operation is a launch of some microseconds whatever its
//! size, it is one kernel, and one back; the gradient is composed where the graph is kept:
//! `∂x = g + (x − mean) / σ · Σ g' / (g m')` with `g'` the gradient of the set's appended pixels in the group and `m'` the elements
//! that the set has in a sample.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::Tensor;

#[cfg(feature = "cuda")]
use crate::body::{Bodies, Body};
use crate::{Error, Result, check};

#[cfg(feature = "cuda")]
const BODIES: Bodies = Bodies::CUDA;

/// `x: [n, c, h, w]` with `channels` channels appended. Groups have `group` samples (all of them if
/// `None`), or `n` when there are fewer. See the [module docs](self).
///
/// # Errors
///
/// [`Error::Shape`] when `x` is not of rank 4, `n` is not a multiple of the group size or `c` not one
/// of `channels`; [`Error::Parameter`] when `group` or `channels` is 0.
pub fn minibatch_std(x: &Tensor, group: Option<usize>, channels: usize) -> Result<Tensor> {
    const OP: &str = "minibatch_std";
    check::float(OP, "x", x)?;
    let (n, c, h, w) = check::dims4(OP, "x", x, "[n, c, h, w]")?;
    for (name, value) in [("group", group.unwrap_or(n)), ("channels", channels)] {
        if value == 0 {
            return Err(Error::parameter(OP, name, value, "at least 1"));
        }
    }
    let size = group.unwrap_or(n).min(n);
    if n % size != 0 {
        return Err(Error::shape(
            OP,
            "x",
            x.dims(),
            format!("n a multiple of the group size {size}"),
        ));
    }
    if c % channels != 0 {
        let expected = format!("c a multiple of the {channels} channels to append");
        return Err(Error::shape(OP, "x", x.dims(), expected));
    }

    let sets = Sets {
        n,
        c,
        pixels: h * w,
        group: size,
        channels,
    };
    #[cfg(feature = "cuda")]
    if BODIES.of(&[x]) == Body::Cuda {
        return Ok(x.contiguous()?.apply_op1(sets)?);
    }
    Ok(sets.append(x)?)
}

/// The sizes, which fit each other.
#[derive(Debug, Clone, Copy)]
struct Sets {
    n: usize,
    c: usize,
    pixels: usize,
    /// Samples of a group.
    group: usize,
    /// Sets of channels, each of which gives one.
    channels: usize,
}

impl Sets {
    /// Elements that a set has in a sample.
    fn members(&self) -> usize {
        self.c / self.channels * self.pixels
    }

    /// One row per sample of a group, one column per group and set of channels, `[g, m, f, members]`: the distance of each element
    /// from the mean of its group, and of these the deviation, `[1, m, f, members]`.
    fn moments(&self, x: &Tensor) -> candle_core::Result<[Tensor; 2]> {
        let x = x.reshape((
            self.group,
            self.n / self.group,
            self.channels,
            self.members(),
        ))?;
        let centred = x.broadcast_sub(&x.mean_keepdim(0)?)?;
        let deviation = (centred.sqr()?.mean_keepdim(0)? + 1e-8)?.sqrt()?;
        Ok([centred, deviation])
    }

    /// x with the channels appended.
    fn append(&self, x: &Tensor) -> candle_core::Result<Tensor> {
        let (_, _, h, w) = x.dims4()?;
        let [_, deviation] = self.moments(x)?;
        let groups = self.n / self.group;
        let mean = deviation.mean(3)?.unsqueeze(3)?; // [1, m, f, 1]
        let mean = mean
            .broadcast_as((self.group, groups, self.channels, self.pixels))?
            .reshape((self.n, self.channels, h, w))?;
        Tensor::cat(&[x, &mean], 1)
    }

    /// The gradient of x from that of the result, `g`, in operations that can be differentiated again.
    #[cfg(any(test, feature = "cuda"))]
    fn gradient(&self, x: &Tensor, g: &Tensor) -> candle_core::Result<Tensor> {
        let groups = self.n / self.group;
        let [centred, deviation] = self.moments(x)?;
        let appended = g.narrow(1, self.c, self.channels)?.contiguous()?;
        let appended = appended.reshape((self.group, groups, self.channels, self.pixels))?;
        let each = appended.sum_keepdim((0, 3))?; // [1, m, f, 1]
        let each = (each / (self.group * self.members()) as f64)?;
        let through = centred.broadcast_div(&deviation)?.broadcast_mul(&each)?;
        g.narrow(1, 0, self.c)? + through.reshape(x.shape())?
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Tensor, Var};

    use super::{Sets, minibatch_std};
    use crate::testing::{assert_gradients, assert_second_order, max_difference, randn};

    #[test]
    fn agrees_with_the_formula_by_hand() {
        let (n, c, h, w, channels) = (6, 4, 2, 3, 2);
        let x = randn(&[n, c, h, w], 1);
        let values: Vec<f64> = x.flatten_all().unwrap().to_vec1().unwrap();
        let at = |i: usize, ch: usize, p: usize| values[(i * c + ch) * h * w + p];
        for group in [1, 2, 3, 6, 9] {
            let size = group.min(n);
            let y = minibatch_std(&x, Some(group), channels).unwrap();
            assert_eq!(y.dims(), [n, c + channels, h, w]);
            assert_eq!(max_difference(&y.narrow(1, 0, c).unwrap(), &x), 0.0);
            let got = y.narrow(1, c, channels).unwrap();
            for i in 0..n {
                let members: Vec<usize> = (0..n)
                    .filter(|j| j % (n / size) == i % (n / size))
                    .collect();
                for f in 0..channels {
                    let mut sum = 0.0;
                    for ch in f * c / channels..(f + 1) * c / channels {
                        for p in 0..h * w {
                            let over = |g: &dyn Fn(f64) -> f64| {
                                members.iter().map(|&j| g(at(j, ch, p))).sum::<f64>() / size as f64
                            };
                            let mean = over(&|v| v);
                            sum += (over(&|v| (v - mean).powi(2)) + 1e-8).sqrt();
                        }
                    }
                    let expected = sum / (c / channels * h * w) as f64;
                    let plane = got.get(i).unwrap().get(f).unwrap();
                    let plane: Vec<f64> = plane.flatten_all().unwrap().to_vec1().unwrap();
                    assert!(
                        plane.iter().all(|v| (v - expected).abs() < 1e-12),
                        "group {group}"
                    );
                }
            }
        }
    }

    #[test]
    fn derivatives() {
        let x = randn(&[4, 4, 2, 2], 2);
        for (group, channels) in [(Some(2), 1), (None, 2)] {
            let f = |xs: &[Tensor]| minibatch_std(&xs[0], group, channels);
            assert_gradients("minibatch_std", f, std::slice::from_ref(&x));
            assert_second_order("minibatch_std", f, std::slice::from_ref(&x));
        }
    }

    #[test]
    fn the_composed_gradient_is_that_of_the_result_and_has_one_itself() {
        let (x, along) = (randn(&[4, 4, 2, 3], 4), randn(&[4, 6, 2, 3], 5));
        let sets = Sets {
            n: 4,
            c: 4,
            pixels: 6,
            group: 2,
            channels: 2,
        };
        let var = Var::from_tensor(&x).unwrap();
        let y = (sets.append(&var).unwrap() * &along).unwrap();
        let grads = y.sum_all().unwrap().backward().unwrap();
        let gradient = sets.gradient(&x, &along).unwrap();
        assert!(max_difference(grads.get(&var).unwrap(), &gradient) < 1e-12);
        let f = |t: &[Tensor]| Ok(sets.gradient(&t[0], &t[1])?);
        assert_gradients("gradient of minibatch_std", f, &[x, along]);
    }

    #[test]
    fn f32_is_close_to_f64_and_bad_shapes_are_refused() {
        let x = randn(&[4, 3, 4, 4], 3);
        let wide = minibatch_std(&x, Some(2), 1).unwrap();
        let narrow = minibatch_std(&x.to_dtype(DType::F32).unwrap(), Some(2), 1).unwrap();
        assert!(max_difference(&wide, &narrow) < 1e-6);

        let text = |x: &Tensor, group, channels| {
            minibatch_std(x, group, channels).unwrap_err().to_string()
        };
        assert!(text(&x, Some(3), 1).contains("multiple of the group size 3"));
        assert!(text(&x, None, 2).contains("multiple of the 2 channels"));
        assert!(text(&x, Some(0), 1).contains("group is 0"));
        assert!(text(&x, None, 0).contains("channels is 0"));
        assert!(text(&x.get(0).unwrap(), None, 1).contains("rank 4"));
        let whole = Tensor::zeros((2, 2, 2, 2), DType::U32, &Device::Cpu).unwrap();
        assert!(text(&whole, None, 1).contains("floating point"));
    }
}
