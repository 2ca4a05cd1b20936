//! Convolutions with leaky rectifiers, one after the other.
//!
//! Tensors: `conv{i}.{weight,bias}`.

use candle_core::Tensor;
use candle_nn::VarBuilder;
use domex_ops::{Activation, BiasAct, bias_act, conv2d};

use crate::Result;

/// Stride of each convolution.
pub(crate) const STRIDES: [usize; 6] = [2, 2, 1, 2, 1, 2];

/// See the top of this module.
#[derive(Debug, Clone)]
pub(crate) struct Convolutions(Vec<(Tensor, Tensor)>);

impl Convolutions {
    pub(crate) fn new(vb: &VarBuilder<'_>, widths: &[usize]) -> Result<Self> {
        let mut input = 3;
        let mut layers = Vec::new();
        for (index, &out) in widths.iter().enumerate() {
            let vb = vb.pp(format!("conv{}", index + 1));
            layers.push((vb.get((out, input, 3, 3), "weight")?, vb.get(out, "bias")?));
            input = out;
        }
        Ok(Self(layers))
    }

    pub(crate) fn forward(&self, x: &Tensor) -> Result<Vec<Tensor>> {
        let mut x = x.clone();
        let mut maps = Vec::with_capacity(self.0.len());
        for ((weight, bias), stride) in self.0.iter().zip(STRIDES) {
            let y = conv2d(&x, weight, None, stride, 1)?;
            x = bias_act(&y, Some(bias), &BiasAct::new(Activation::Lrelu))?;
            maps.push(x.clone());
        }
        Ok(maps)
    }
}
