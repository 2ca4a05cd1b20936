//! The semantic encoder: a picture to `z_sem`.
//!
//! The way down of a U-Net without conditions, then norm, SiLU, the mean of all places and a 1 × 1 convolution.
//! Tensors: `input_blocks.*`, `middle_block.*`, `out.{0,3}`.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_diffusion::{layers::GroupNorm, patches};

use crate::Result;
use crate::config::EncoderConfig;
use crate::error::{Error, expect_dims, multiples_of};
use crate::sequence::Sequence;

/// The semantic encoder: a picture to `z_sem`.
#[derive(Debug, Clone)]
pub struct Encoder {
    input: Vec<Sequence>,
    middle: Sequence,
    norm: GroupNorm,
    head: Head,
    cfg: EncoderConfig,
}

/// A 1 × 1 convolution of a picture of one pixel: `weight: [out, in, 1, 1]`, `bias: [out]`.
#[derive(Debug, Clone)]
struct Head {
    weight: Tensor,
    bias: Tensor,
}

impl Encoder {
    /// Reads the network from the node that holds `input_blocks`.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range; a missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, cfg: &EncoderConfig) -> Result<Self> {
        cfg.validate()?;
        let plan = cfg.plan();
        let input = vb.pp("input_blocks");
        let stages = plan.stages.iter().enumerate();
        let stages = stages.map(|(i, stage)| Sequence::new(&input.pp(i), &stage.parts));
        let width = plan.stages.last().map_or(0, |stage| stage.channels);
        let out = vb.pp("out");
        Ok(Self {
            input: stages.collect::<Result<_>>()?,
            middle: Sequence::new(&vb.pp("middle_block"), &plan.middle)?,
            norm: GroupNorm::new(&out.pp(0), width)?,
            head: Head {
                weight: out.get((cfg.out_channels, width, 1, 1), "3.weight")?,
                bias: out.get(cfg.out_channels, "3.bias")?,
            },
            cfg: cfg.clone(),
        })
    }

    /// The network's hyper-parameters.
    pub fn config(&self) -> &EncoderConfig {
        &self.cfg
    }

    /// Pictures `[n, c, h, w]` in `[-1, 1]` to `[n, out_channels]`.
    ///
    /// # Errors
    ///
    /// [`Error::Shape`] for other colours, or sides that cannot be halved as often as the network does.
    pub fn forward(&self, pictures: &Tensor) -> Result<Tensor> {
        expect_dims(
            "pictures",
            pictures,
            &[None, Some(self.cfg.in_channels), None, None],
        )?;
        let halvings = self.cfg.channels.len() - 1;
        let unit = self.cfg.patch << halvings;
        if pictures.dims()[2..]
            .iter()
            .any(|side| !side.is_multiple_of(unit))
        {
            return Err(Error::Shape {
                what: "pictures".to_owned(),
                expected: multiples_of(self.cfg.patch, halvings),
                found: pictures.dims().to_vec(),
            });
        }
        let mut h = patches::split(pictures, self.cfg.patch)?;
        for blocks in &self.input {
            h = blocks.forward(&h, None)?;
        }
        let h = self.norm.silu(&self.middle.forward(&h, None)?)?;
        let h = h.flatten_from(2)?.mean(2)?;
        let weight = self.head.weight.flatten_from(1)?;
        Ok(domex_ops::linear(&h, &weight, Some(&self.head.bias))?)
    }
}
