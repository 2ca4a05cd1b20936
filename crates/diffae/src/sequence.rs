//! Modules one after the other, built from a plan.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_diffusion::layers::{Conv2d, Linear};
use domex_diffusion::{AttentionBlock, Conditions, Downsample, ResBlock, Upsample};

use crate::Result;
use crate::plan::Part;

/// Modules under the indices `0`, `1`, .. of a node.
#[derive(Debug, Clone)]
pub(crate) struct Sequence(Vec<Module>);

#[derive(Debug, Clone)]
enum Module {
    Conv(Conv2d),
    Res(ResBlock),
    Attention(AttentionBlock),
    Down(Downsample),
    Up(Upsample),
}

impl Sequence {
    pub(crate) fn new(vb: &VarBuilder<'_>, parts: &[Part]) -> Result<Self> {
        let module = |(i, part): (usize, &Part)| Module::new(&vb.pp(i), part);
        let modules = parts.iter().enumerate().map(module);
        Ok(Self(modules.collect::<Result<_>>()?))
    }

    pub(crate) fn forward(&self, x: &Tensor, conditions: Option<&Conditions>) -> Result<Tensor> {
        let mut x = x.clone();
        for module in &self.0 {
            x = match module {
                Module::Conv(conv) => conv.forward(&x)?,
                Module::Res(block) => block.forward(&x, conditions)?,
                Module::Attention(block) => block.forward(&x)?,
                Module::Down(block) => block.forward(&x)?,
                Module::Up(block) => block.forward(&x)?,
            };
        }
        Ok(x)
    }

    /// The layers that act on the second condition, with the index of their block.
    pub(crate) fn cond_layers(&self) -> impl Iterator<Item = (usize, &Linear)> {
        self.0
            .iter()
            .enumerate()
            .filter_map(|(i, module)| match module {
                Module::Res(block) => Some((i, block.cond_layer()?)),
                _ => None,
            })
    }
}

impl Module {
    fn new(vb: &VarBuilder<'_>, part: &Part) -> Result<Self> {
        Ok(match part {
            Part::Conv { channels, out } => Self::Conv(Conv2d::new(vb, *channels, *out, 3, 1)?),
            Part::Res(cfg) => Self::Res(ResBlock::new(vb, cfg)?),
            Part::Attention {
                channels,
                heads,
                order,
            } => {
                let heads = heads.of(*channels)?;
                Self::Attention(AttentionBlock::new(vb, *channels, heads, *order)?)
            }
            Part::Down { channels, conv } => Self::Down(Downsample::new(vb, *channels, *conv)?),
            Part::Up { channels, conv } => Self::Up(Upsample::new(vb, *channels, *conv)?),
        })
    }
}
