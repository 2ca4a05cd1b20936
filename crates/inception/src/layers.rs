//! The convolution with its batch normalisation, and the five kinds of blocks.
//!
//! Source of the structure: torchvision `models/inception.py` with the pooling of pytorch-fid's `inception.py`: averages
//! that do not count the padding, and a maximum in the last block.

use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;
use domex_ops::{Pool, Weight, avg_pool2d, max_pool2d};

use crate::{Config, Error, Result};

/// Added to the variance.
const EPS: f64 = 1e-3;

/// Around a map, so that its size stays: the padding of pooling with stride 1.
const POOL: Pool = Pool {
    kernel: 3,
    stride: 1,
    padding: 1,
    ceil_mode: false,
};

/// The maximum that halves a map.
pub(crate) fn halve(x: &Tensor) -> Result<Tensor> {
    Ok(max_pool2d(x, &Pool::new(3, 2))?)
}

/// `relu(γ (w ∗ x − μ) / √(σ² + 1e-3) + β)`, with the normalisation folded into the weight and a bias.
#[derive(Debug, Clone)]
pub(crate) struct ConvBn {
    weight: Weight,
    bias: Tensor,
    stride: usize,
    /// Zeros above and below, left and right.
    padding: (usize, usize),
}

/// What a convolution looks like: channels out, kernel height and width, stride. Its padding keeps the size at
/// stride 1, unless it is *valid*.
#[derive(Debug, Clone, Copy)]
struct Plan {
    out: usize,
    kernel: (usize, usize),
    stride: usize,
    valid: bool,
}

const fn same(out: usize, kh: usize, kw: usize) -> Plan {
    Plan {
        out,
        kernel: (kh, kw),
        stride: 1,
        valid: false,
    }
}

const fn valid(out: usize, kernel: usize, stride: usize) -> Plan {
    Plan {
        out,
        kernel: (kernel, kernel),
        stride,
        valid: true,
    }
}

impl ConvBn {
    fn new(vb: &VarBuilder<'_>, input: usize, plan: Plan) -> Result<Self> {
        let Plan {
            out,
            kernel: (kh, kw),
            stride,
            valid,
        } = plan;
        let weight = vb.get((out, input, kh, kw), "conv.weight")?;
        let statistic = |name: &str| -> Result<Tensor> {
            Ok(vb.get(out, &format!("bn.{name}"))?.to_dtype(DType::F64)?)
        };
        let variance = statistic("running_var")?;
        let least = variance.min(0)?.to_scalar::<f64>()?;
        if least.is_nan() || least < 0.0 {
            let name = format!("{}.bn.running_var", vb.prefix());
            return Err(Error::weights(name, least, "variances of at least 0"));
        }
        let scale = (statistic("weight")? / (variance + EPS)?.sqrt()?)?;
        let bias = (statistic("bias")? - (statistic("running_mean")? * &scale)?)?;
        let folded = weight
            .to_dtype(DType::F64)?
            .broadcast_mul(&scale.reshape((out, 1, 1, 1))?)?;
        let padding = match valid {
            true => (0, 0),
            false => (kh / 2, kw / 2),
        };
        Ok(Self {
            weight: Weight::new(folded.to_dtype(vb.dtype())?.detach()),
            bias: bias.to_dtype(vb.dtype())?.detach(),
            stride,
            padding,
        })
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let (rows, columns) = self.padding;
        let around = rows.min(columns);
        // A kernel of one row needs zeros on two sides only, which the operator does not know.
        let x = x
            .pad_with_zeros(2, rows - around, rows - around)?
            .pad_with_zeros(3, columns - around, columns - around)?;
        Ok(self
            .weight
            .conv2d_relu(&x, Some(&self.bias), self.stride, around)?)
    }
}

/// Convolutions one after the other.
#[derive(Debug, Clone)]
struct Chain(Vec<ConvBn>);

impl Chain {
    /// Under the names `{name}{suffix}` of each plan.
    fn new(
        vb: &VarBuilder<'_>,
        cfg: &Config,
        mut input: usize,
        name: &str,
        plans: &[(&str, Plan)],
    ) -> Result<Self> {
        let mut layers = Vec::with_capacity(plans.len());
        for &(suffix, plan) in plans {
            let plan = Plan {
                out: cfg.channels(plan.out),
                ..plan
            };
            layers.push(ConvBn::new(&vb.pp(format!("{name}{suffix}")), input, plan)?);
            input = plan.out;
        }
        Ok(Self(layers))
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.0
            .iter()
            .try_fold(x.clone(), |x, layer| layer.forward(&x))
    }
}

/// What the last branch of a block pools by, before its 1×1 convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pooling {
    /// The mean of what is inside the picture.
    Mean,
    /// The maximum.
    Max,
}

/// A block: branches side by side, whose channels are joined.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    branches: Vec<Branch>,
}

#[derive(Debug, Clone)]
enum Branch {
    Chain(Chain),
    /// A chain whose result goes through two convolutions side by side.
    Fork(Chain, Chain, Chain),
    /// A pooling that keeps the size, and a convolution.
    Pooled(Pooling, Chain),
    /// The maximum that halves the map, alone.
    Halved,
}

impl Branch {
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Chain(chain) => chain.forward(x),
            Self::Fork(chain, a, b) => {
                let x = chain.forward(x)?;
                Ok(Tensor::cat(&[a.forward(&x)?, b.forward(&x)?], 1)?)
            }
            Self::Pooled(Pooling::Mean, chain) => chain.forward(&avg_pool2d(x, &POOL, false)?),
            Self::Pooled(Pooling::Max, chain) => chain.forward(&max_pool2d(x, &POOL)?),
            Self::Halved => halve(x),
        }
    }
}

impl Block {
    pub(crate) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let branches = self.branches.iter().map(|branch| branch.forward(x));
        Ok(Tensor::cat(&branches.collect::<Result<Vec<_>>>()?, 1)?)
    }
}

/// Makes the blocks of a network of some configuration, from the channels of the published one.
pub(crate) struct Maker<'a> {
    pub vb: &'a VarBuilder<'a>,
    pub cfg: &'a Config,
}

impl Maker<'_> {
    /// A convolution of the stem: 3×3 or 1×1.
    pub fn stem(
        &self,
        name: &str,
        [input, out]: [usize; 2],
        kernel: usize,
        stride: usize,
        keeps_size: bool,
    ) -> Result<ConvBn> {
        let input = if input == 3 {
            3
        } else {
            self.cfg.channels(input)
        };
        let plan = Plan {
            valid: !keeps_size,
            ..valid(self.cfg.channels(out), kernel, stride)
        };
        ConvBn::new(&self.vb.pp(name), input, plan)
    }

    fn chain(
        &self,
        block: &str,
        input: usize,
        name: &str,
        plans: &[(&str, Plan)],
    ) -> Result<Chain> {
        let vb = self.vb.pp(block);
        Chain::new(&vb, self.cfg, self.cfg.channels(input), name, plans)
    }

    /// 35 × 35: 1×1, 5×5, two 3×3, pooling.
    pub fn a(&self, block: &str, input: usize, pool: usize) -> Result<Block> {
        let chain = |name: &str, plans: &[(&str, Plan)]| self.chain(block, input, name, plans);
        Ok(Block {
            branches: vec![
                Branch::Chain(chain("branch1x1", &[("", same(64, 1, 1))])?),
                Branch::Chain(chain(
                    "branch5x5",
                    &[("_1", same(48, 1, 1)), ("_2", same(64, 5, 5))],
                )?),
                Branch::Chain(chain(
                    "branch3x3dbl",
                    &[
                        ("_1", same(64, 1, 1)),
                        ("_2", same(96, 3, 3)),
                        ("_3", same(96, 3, 3)),
                    ],
                )?),
                Branch::Pooled(
                    Pooling::Mean,
                    chain("branch_pool", &[("", same(pool, 1, 1))])?,
                ),
            ],
        })
    }

    /// From 35 × 35 to 17 × 17.
    pub fn b(&self, block: &str, input: usize) -> Result<Block> {
        let chain = |name: &str, plans: &[(&str, Plan)]| self.chain(block, input, name, plans);
        Ok(Block {
            branches: vec![
                Branch::Chain(chain("branch3x3", &[("", valid(384, 3, 2))])?),
                Branch::Chain(chain(
                    "branch3x3dbl",
                    &[
                        ("_1", same(64, 1, 1)),
                        ("_2", same(96, 3, 3)),
                        ("_3", valid(96, 3, 2)),
                    ],
                )?),
                Branch::Halved,
            ],
        })
    }

    /// 17 × 17: 1×1, 7×7 as rows and columns, the same twice, pooling.
    pub fn c(&self, block: &str, input: usize, inner: usize) -> Result<Block> {
        let chain = |name: &str, plans: &[(&str, Plan)]| self.chain(block, input, name, plans);
        Ok(Block {
            branches: vec![
                Branch::Chain(chain("branch1x1", &[("", same(192, 1, 1))])?),
                Branch::Chain(chain(
                    "branch7x7",
                    &[
                        ("_1", same(inner, 1, 1)),
                        ("_2", same(inner, 1, 7)),
                        ("_3", same(192, 7, 1)),
                    ],
                )?),
                Branch::Chain(chain(
                    "branch7x7dbl",
                    &[
                        ("_1", same(inner, 1, 1)),
                        ("_2", same(inner, 7, 1)),
                        ("_3", same(inner, 1, 7)),
                        ("_4", same(inner, 7, 1)),
                        ("_5", same(192, 1, 7)),
                    ],
                )?),
                Branch::Pooled(
                    Pooling::Mean,
                    chain("branch_pool", &[("", same(192, 1, 1))])?,
                ),
            ],
        })
    }

    /// From 17 × 17 to 8 × 8.
    pub fn d(&self, block: &str, input: usize) -> Result<Block> {
        let chain = |name: &str, plans: &[(&str, Plan)]| self.chain(block, input, name, plans);
        Ok(Block {
            branches: vec![
                Branch::Chain(chain(
                    "branch3x3",
                    &[("_1", same(192, 1, 1)), ("_2", valid(320, 3, 2))],
                )?),
                Branch::Chain(chain(
                    "branch7x7x3",
                    &[
                        ("_1", same(192, 1, 1)),
                        ("_2", same(192, 1, 7)),
                        ("_3", same(192, 7, 1)),
                        ("_4", valid(192, 3, 2)),
                    ],
                )?),
                Branch::Halved,
            ],
        })
    }

    /// 8 × 8: 1×1, 3×3 as a row and a column side by side, the same after a 3×3, pooling by the mean or the maximum.
    pub fn e(&self, block: &str, input: usize, by_maximum: bool) -> Result<Block> {
        let chain = |name: &str, plans: &[(&str, Plan)]| self.chain(block, input, name, plans);
        let side = |name: &str, kh: usize, kw: usize| {
            self.chain(block, 384, name, &[("", same(384, kh, kw))])
        };
        let pooling = match by_maximum {
            true => Pooling::Max,
            false => Pooling::Mean,
        };
        Ok(Block {
            branches: vec![
                Branch::Chain(chain("branch1x1", &[("", same(320, 1, 1))])?),
                Branch::Fork(
                    chain("branch3x3_1", &[("", same(384, 1, 1))])?,
                    side("branch3x3_2a", 1, 3)?,
                    side("branch3x3_2b", 3, 1)?,
                ),
                Branch::Fork(
                    chain(
                        "branch3x3dbl",
                        &[("_1", same(448, 1, 1)), ("_2", same(384, 3, 3))],
                    )?,
                    side("branch3x3dbl_3a", 1, 3)?,
                    side("branch3x3dbl_3b", 3, 1)?,
                ),
                Branch::Pooled(pooling, chain("branch_pool", &[("", same(192, 1, 1))])?),
            ],
        })
    }
}
