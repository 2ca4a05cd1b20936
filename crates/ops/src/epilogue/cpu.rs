//! The epilogue on the CPU.

use candle_core::{CpuStorage, Layout, Result, Shape, Tensor};
use domex_kernels::{
    Activation,
    epilogue::{self as kernel, EpilogueGrads, EpilogueShape},
};

use super::{Curve, Epilogue, Gradients, OP};
use crate::cpu::{self, Borrowed, Element, by_dtype};

impl Epilogue {
    /// The kernel's form of it; bias and noise come from `added`.
    pub(super) fn kernel<'a, T: Element>(
        &self,
        scale: Option<&'a [T]>,
        added: Option<&'a [T]>,
    ) -> kernel::Epilogue<'a, T> {
        let (bias, noise) = added.unwrap_or(&[]).split_at(self.bias.len);
        let Curve {
            negative: alpha,
            gain,
            clamp,
        } = self.curve;
        kernel::Epilogue {
            scale,
            noise: (!noise.is_empty()).then_some(noise),
            bias: (!bias.is_empty()).then_some(bias),
            act: if alpha == 1.0 {
                Activation::Linear
            } else {
                Activation::Lrelu { alpha }
            },
            gain,
            clamp,
        }
    }

    pub(super) fn cpu_forward(
        &self,
        (s, l): (&CpuStorage, &Layout),
        scale: Option<(&CpuStorage, &Layout)>,
        added: Option<(&CpuStorage, &Layout)>,
    ) -> Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s, OP, T => {
            let small = |t: Option<_>| t.map(|(s, l)| cpu::slice::<T>(s, l)).transpose();
            let (scale, added, x) = (small(scale)?, small(added)?, cpu::slice::<T>(s, l)?);
            let e = self.kernel(scale, added);
            let EpilogueShape { n, channels, pixels } = self.shape;
            cpu::filled(n * channels * pixels, |y| match &self.filter {
                Some(filter) => filter.then(&self.shape, &e, x, y),
                None => kernel::forward(&self.shape, &e, x, y),
            })
        })?;
        let mut shape = l.shape().clone().into_dims();
        if let Some(filter) = &self.filter {
            shape[2..].copy_from_slice(&filter.size());
        }
        Ok((y, Shape::from(shape)))
    }

    /// All gradients that are wanted, in one pass.
    pub(super) fn cpu_backward(
        &self,
        x: &Tensor,
        scale: Option<&Tensor>,
        added: Option<&Tensor>,
        g: &Tensor,
    ) -> Result<Gradients> {
        let g = g.contiguous()?;
        let [x_data, g_data] = [x, &g].map(Borrowed::new);
        let [scale_data, added_data] = [scale, added].map(|t| t.map(Borrowed::new));
        by_dtype!(x_data.storage()?, OP, T => {
            let e = self.kernel(
                scale_data.as_ref().map(Borrowed::slice::<T>).transpose()?,
                added_data.as_ref().map(Borrowed::slice::<T>).transpose()?,
            );
            let (gx, g_scale, g_added) = self.fused::<T>(
                &e,
                x_data.slice()?,
                g_data.slice()?,
                scale.is_some_and(Tensor::track_op),
            )?;
            let like = |t: Option<&Tensor>, data: Vec<T>| -> Result<Option<Tensor>> {
                match t.filter(|t| t.track_op()) {
                    Some(t) => Tensor::from_vec(data, t.shape(), t.device()).map(Some),
                    None => Ok(None),
                }
            };
            Ok((like(Some(x), gx)?, like(scale, g_scale)?, like(added, g_added)?))
        })
    }

    /// All gradients from the kernel; those that nobody wants come empty or as zeros.
    fn fused<T: Element>(
        &self,
        e: &kernel::Epilogue<'_, T>,
        x: &[T],
        g: &[T],
        scale_wanted: bool,
    ) -> Result<(Vec<T>, Vec<T>, Vec<T>)> {
        let mut gx = cpu::zeros(x.len());
        let planes = self.shape.n * self.shape.channels;
        let mut g_scale = vec![T::default(); if scale_wanted { planes } else { 0 }];
        let mut g_added = vec![T::default(); self.bias.len + self.noise.len];
        let (bias, noise) = g_added.split_at_mut(self.bias.len);
        let grads = EpilogueGrads {
            scale: scale_wanted.then_some(&mut g_scale[..]),
            bias: self.bias.wanted.then_some(bias),
            noise: self.noise.wanted.then_some(noise),
        };
        kernel::backward(&self.shape, e, x, g, &mut gx, grads).map_err(candle_core::Error::wrap)?;
        Ok((gx, g_scale, g_added))
    }
}
