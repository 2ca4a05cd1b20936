//! YuNet: from a picture to what each place says of a face there.
//!
//! A *unit* is a 1×1 convolution, a depthwise 3×3 one, and, but for predictions, batch normalisation and a rectifier. All of it
//! before the rectifier is linear, so a unit is one dense 3×3 convolution here: of so few channels that is as fast. The first
//! bias lies under the padding of the second convolution, which the folded one gets right by a channel of ones.
//!
//! Source: W. Wu, H. Peng, S. Yu, YuNet: A Tiny Millisecond-level Face Detector (2023); key names as in libfacedetection.train.

use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;
use domex_ops::{Pool, Weight, max_pool2d, upsample_nearest};

use crate::{Config, Error, Result};

/// Pixels from one place to the next, on each level.
pub const STRIDES: [usize; 3] = [8, 16, 32];

/// Numbers at a place: two logits, the box, and five points.
pub(crate) const CHANNELS: usize = 1 + 1 + 4 + 10;

/// Added to the variance.
const EPS: f64 = 1e-5;

/// A convolution, with what is linear after it folded in.
#[derive(Debug, Clone)]
struct Conv {
    weight: Weight,
    bias: Tensor,
}

/// A weight and a bias as `f64`, before they are folded.
struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn read(vb: &VarBuilder<'_>, shape: (usize, usize, usize, usize)) -> Result<Self> {
        Ok(Self {
            weight: vb.get(shape, "weight")?.to_dtype(DType::F64)?,
            bias: vb.get(shape.0, "bias")?.to_dtype(DType::F64)?,
        })
    }

    /// The convolution of a unit `[o, i + 1, 3, 3]`, the last channel for ones.
    fn unit(vb: &VarBuilder<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        let point = Self::read(&vb.pp("conv1"), (outputs, inputs, 1, 1))?;
        let depth = Self::read(&vb.pp("conv2"), (outputs, 1, 3, 3))?;
        let first = point.bias.reshape((outputs, 1, 1, 1))?;
        let first = Tensor::cat(&[&point.weight, &first], 1)?;
        Ok(Self {
            weight: first.broadcast_mul(&depth.weight)?,
            bias: depth.bias,
        })
    }

    /// With batch normalisation after it.
    fn normalized(self, vb: &VarBuilder<'_>) -> Result<Self> {
        let outputs = self.bias.dim(0)?;
        let get =
            |name: &str| -> Result<Tensor> { Ok(vb.get(outputs, name)?.to_dtype(DType::F64)?) };
        let variance = get("running_var")?;
        let least = variance.min(0)?.to_scalar::<f64>()?;
        if least.is_nan() || least < 0.0 {
            let name = format!("{}.running_var", vb.prefix());
            return Err(Error::weights(name, least, "variances of at least 0"));
        }
        let scale = (get("weight")? / (variance + EPS)?.sqrt()?)?;
        let bias = ((self.bias - get("running_mean")?)? * &scale)? + get("bias")?;
        Ok(Self {
            weight: self
                .weight
                .broadcast_mul(&scale.reshape((outputs, 1, 1, 1))?)?,
            bias: bias?,
        })
    }

    fn done(self, vb: &VarBuilder<'_>) -> Result<Conv> {
        Ok(Conv {
            weight: Weight::new(self.weight.to_dtype(vb.dtype())?.detach()),
            bias: self.bias.to_dtype(vb.dtype())?.detach(),
        })
    }
}

/// A unit with its rectifier.
#[derive(Debug, Clone)]
struct Unit(Conv);

impl Unit {
    fn new(vb: &VarBuilder<'_>, inputs: usize, outputs: usize) -> Result<Self> {
        let linear = Linear::unit(vb, inputs, outputs)?;
        Ok(Self(linear.normalized(&vb.pp("bn"))?.done(vb)?))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = with_ones(x)?;
        Ok(self.0.weight.conv2d_relu(&x, Some(&self.0.bias), 1, 1)?)
    }
}

fn with_ones(x: &Tensor) -> Result<Tensor> {
    let (n, _, h, w) = x.dims4()?;
    let ones = Tensor::ones((n, 1, h, w), x.dtype(), x.device())?;
    Ok(Tensor::cat(&[x, &ones], 1)?)
}

/// What one level predicts: the kinds of predictions of the file, side by side.
#[derive(Debug, Clone)]
struct Head {
    shared: Option<Unit>,
    predictions: Conv,
}

impl Head {
    fn new(vb: &VarBuilder<'_>, config: &Config, level: usize) -> Result<Self> {
        let width = config.level();
        let of_kind = |(kind, outputs): (&str, usize)| {
            let vb = vb.pp(format!("multi_level_{kind}.{level}"));
            Linear::unit(&vb, width, outputs)
        };
        let kinds = [("cls", 1), ("obj", 1), ("bbox", 4), ("kps", 10)].map(of_kind);
        let kinds = kinds.into_iter().collect::<Result<Vec<_>>>()?;
        let weights: Vec<&Tensor> = kinds.iter().map(|kind| &kind.weight).collect();
        let biases: Vec<&Tensor> = kinds.iter().map(|kind| &kind.bias).collect();
        let all = Linear {
            weight: Tensor::cat(&weights, 0)?,
            bias: Tensor::cat(&biases, 0)?,
        };
        let shared = || {
            Unit::new(
                &vb.pp(format!("multi_level_share_convs.{level}.0")),
                width,
                width,
            )
        };
        Ok(Self {
            shared: config.shared.then(shared).transpose()?,
            predictions: all.done(vb)?,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let x = match &self.shared {
            Some(unit) => unit.forward(x)?,
            None => x.clone(),
        };
        let Conv { weight, bias } = &self.predictions;
        Ok(weight.conv2d(&with_ones(&x)?, Some(bias), 1, 1)?)
    }
}

/// The network. See the [crate's docs](crate).
#[derive(Debug, Clone)]
pub struct YuNet {
    first: Conv,
    second: Unit,
    stages: Vec<[Unit; 2]>,
    laterals: Vec<Unit>,
    heads: Vec<Head>,
}

impl YuNet {
    /// Reads `backbone`, `neck` and `bbox_head`. The weights are frozen.
    ///
    /// # Errors
    ///
    /// A configuration out of range, a missing tensor, a wrong shape, or a negative variance.
    pub fn new(vb: &VarBuilder<'_>, config: &Config) -> Result<Self> {
        config.check()?;
        let widths = config.widths;
        let stem = vb.pp("backbone.model0");
        let first = Linear::read(&stem.pp("conv1"), (widths[0], 3, 3, 3))?;
        let stage = |i: usize| {
            let vb = vb.pp(format!("backbone.model{i}"));
            Ok([
                Unit::new(&vb.pp("conv1"), widths[i], widths[i])?,
                Unit::new(&vb.pp("conv2"), widths[i], widths[i + 1])?,
            ])
        };
        let level = config.level();
        let lateral = |i| Unit::new(&vb.pp(format!("neck.lateral_convs.{i}")), level, level);
        let head = |i| Head::new(&vb.pp("bbox_head"), config, i);
        Ok(Self {
            first: first.normalized(&stem.pp("bn1"))?.done(vb)?,
            second: Unit::new(&stem.pp("conv2"), widths[0], widths[1])?,
            stages: (1..6).map(stage).collect::<Result<_>>()?,
            laterals: (0..3).map(lateral).collect::<Result<_>>()?,
            heads: (0..3).map(head).collect::<Result<_>>()?,
        })
    }

    /// Of `pictures: [n, 3, h, w]`, blue, green and red from 0 to 255, sides multiples of 32, what each place predicts on the
    /// levels of [`STRIDES`]: `[n, 16, h / stride, w / stride]`, with two logits (a face's class, and that there is one), the
    /// box (its centre from the place, in strides, and the logarithms of width and height in strides), and five
    /// points (from the place, in strides).
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(&self, pictures: &Tensor) -> Result<[Tensor; 3]> {
        match *pictures.dims() {
            [_, 3, h, w] if h > 0 && w > 0 && h % 32 == 0 && w % 32 == 0 => {}
            _ => {
                return Err(Error::Shape {
                    found: pictures.dims().to_vec(),
                    expected: "[n, 3, h, w] with h and w multiples of 32",
                });
            }
        }
        let x = self
            .first
            .weight
            .conv2d_relu(pictures, Some(&self.first.bias), 2, 1)?;
        let mut x = halved(&self.second.forward(&x)?)?;
        let mut levels = Vec::new();
        for (i, [first, second]) in self.stages.iter().enumerate() {
            x = second.forward(&first.forward(&x)?)?;
            // The first two stages work on one size; each of the last three is a level.
            if i >= 2 {
                levels.push(x.clone());
            }
            if (1..4).contains(&i) {
                x = halved(&x)?;
            }
        }
        // From the coarsest level to the finest: what each says goes into the next one.
        let mut above: Option<Tensor> = None;
        for (level, lateral) in levels.iter_mut().zip(&self.laterals).rev() {
            if let Some(above) = above {
                *level = (&*level + upsample_nearest(&above, 2)?)?;
            }
            *level = lateral.forward(level)?;
            above = Some(level.clone());
        }
        let predict = |i: usize| self.heads[i].forward(&levels[i]);
        Ok([predict(0)?, predict(1)?, predict(2)?])
    }
}

fn halved(x: &Tensor) -> Result<Tensor> {
    Ok(max_pool2d(x, &Pool::new(2, 2))?)
}
