//! The frozen convolution, with and without a rectifier behind it.

use std::sync::Arc;

use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, Layout, Result as CandleResult, Shape, Tensor,
};
use domex_kernels::{
    conv::{ConvShape, Direction, PackedWeights},
    epilogue::{self, EpilogueShape},
};

use super::Kept;
use crate::cpu::{self, Borrowed, Element, by_dtype};

/// A convolution of x, or back: of the gradient of y.
#[derive(Clone)]
pub(super) struct Conv {
    pub weight: Tensor,
    pub kept: Arc<Kept>,
    pub shape: ConvShape,
    pub direction: Direction,
}

impl Conv {
    fn run(&self, from: &[f32], to: &mut [f32]) -> domex_kernels::Result<()> {
        let data = Borrowed::new(&self.weight);
        // The weight was f32 on the CPU and contiguous when this operator was made.
        let Ok(weight) = data.slice::<f32>() else {
            unreachable!("a weight that changed its type")
        };
        let s = &self.shape;
        if !PackedWeights::pays(s, self.direction) {
            return match self.direction {
                Direction::Forward => domex_kernels::conv::forward(s, from, weight, to),
                Direction::GradInput => domex_kernels::conv::grad_input(s, weight, from, to),
            };
        }
        let kept = &self.kept.conv[usize::from(self.direction == Direction::GradInput)];
        // A weight that is used with two strides or paddings keeps the first one's form.
        if let Some(packed) = kept.get().filter(|packed| packed.fits(s)) {
            return packed.run(s, from, to);
        }
        let packed = PackedWeights::new(s, self.direction, weight)?;
        packed.run(s, from, to)?;
        kept.put(packed, &self.kept);
        Ok(())
    }

    /// The adjoint.
    fn reversed(&self) -> Self {
        Self {
            direction: match self.direction {
                Direction::Forward => Direction::GradInput,
                Direction::GradInput => Direction::Forward,
            },
            ..self.clone()
        }
    }

    fn output(&self) -> Shape {
        let c = &self.shape;
        Shape::from(match self.direction {
            Direction::Forward => (c.n, c.c_out, c.out_h(), c.out_w()),
            Direction::GradInput => (c.n, c.c_in, c.h, c.w),
        })
    }
}

impl CustomOp1 for Conv {
    fn name(&self) -> &'static str {
        "frozen-conv2d"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let shape = self.output();
        let from = cpu::slice::<f32>(s, l)?;
        let y = cpu::filled(shape.elem_count(), |to| self.run(from, to))?;
        Ok((y, shape))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, g: &Tensor) -> CandleResult<Option<Tensor>> {
        g.contiguous()?.apply_op1(self.reversed()).map(Some)
    }
}

/// `max(conv + bias, 0)`.
pub(super) struct ConvRelu {
    pub conv: Conv,
    pub bias: Option<Tensor>,
}

impl CustomOp1 for ConvRelu {
    fn name(&self) -> &'static str {
        "frozen-conv2d-relu"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let (shape, c) = (self.conv.output(), &self.conv.shape);
        let planes = EpilogueShape {
            n: c.n,
            channels: c.c_out,
            pixels: c.out_h() * c.out_w(),
        };
        let from = cpu::slice::<f32>(s, l)?;
        let bias = self.bias.as_ref().map(Borrowed::new);
        let bias = bias.as_ref().map(Borrowed::slice::<f32>).transpose()?;
        let y = cpu::filled(shape.elem_count(), |to| {
            self.conv.run(from, to)?;
            epilogue::bias_relu(&planes, bias, to)
        })?;
        Ok((y, shape))
    }

    fn bwd(&self, _: &Tensor, y: &Tensor, g: &Tensor) -> CandleResult<Option<Tensor>> {
        // The slope is a constant almost everywhere, so the gradient is linear in g and nothing else.
        let gz = g.contiguous()?.apply_op2(&y.detach(), Passed)?;
        let gx = gz.apply_op1(self.conv.reversed())?;
        Ok(Some(gx))
    }
}

/// `g` where the constant `y` is above zero, zero elsewhere. Its own adjoint.
struct Passed;

impl CustomOp2 for Passed {
    fn name(&self) -> &'static str {
        "relu-slope"
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> CandleResult<(CpuStorage, Shape)> {
        fn typed<T: Element>(g: &[T], y: &[T]) -> CandleResult<CpuStorage> {
            cpu::filled(y.len(), |gz| epilogue::relu_backward(y, g, gz))
        }
        let gz =
            by_dtype!(s1, self.name(), T => typed::<T>(cpu::slice(s1, l1)?, cpu::slice(s2, l2)?))?;
        Ok((gz, l1.shape().clone()))
    }

    fn bwd(
        &self,
        _: &Tensor,
        y: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> CandleResult<(Option<Tensor>, Option<Tensor>)> {
        Ok((Some(g.contiguous()?.apply_op2(y, Self)?), None))
    }
}
