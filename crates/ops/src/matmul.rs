//! Matrix product.
//!
//! `c[.., i, j] = Σ_k a[.., i, k] · b[.., k, j]` with `a: [.., m, k]`, `b: [.., k, n]`,
//! `c: [.., m, n]` and equal leading dimensions.
//!
//! Gradients: `∂a = g·bᵀ`, `∂b = aᵀ·g`, each a product again, so derivatives of any order are
//! exact. candle's own product computes both even when one operand is frozen; here an operand
//! that does not track costs nothing.

use candle_core::{CpuStorage, CustomOp2, Layout, Shape, Tensor};
use domex_kernels::gemm::{self, MatRef};

use crate::{
    Error, Result,
    autograd::{in_backward, weight_grad},
    body::{Bodies, Body},
    check,
    cpu::{self, Element, by_dtype},
};

const OP: &str = "matmul";
const BODIES: Bodies = Bodies::CPU;

/// `a: [.., m, k]` times `b: [.., k, n]`, giving `[.., m, n]`. See the [module docs](self).
///
/// Strided operands (transposes, broadcasts) are read where they are.
///
/// # Errors
///
/// [`Error::Shape`] for fewer than two dimensions, unequal leading dimensions or inner sizes, or
/// a size of zero; [`Error::DType`] and [`Error::Device`] when the operands do not match.
pub fn matmul(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    check_operands(a, b)?;
    if BODIES.of(&[a, b]) == Body::Composed {
        return reference(a, b);
    }
    product(a, b, false, false)
}

/// The same from candle's own operations, with gradients for both operands.
///
/// # Errors
///
/// As [`matmul`].
pub fn reference(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    check_operands(a, b)?;
    Ok(a.contiguous()?.matmul(&b.contiguous()?)?)
}

fn check_operands(a: &Tensor, b: &Tensor) -> Result<()> {
    check::float(OP, "a", a)?;
    check::alike(OP, "b", b, a)?;
    check::nonempty(OP, "a", a)?;
    check::nonempty(OP, "b", b)?;
    let rank = a.rank();
    if rank < 2 {
        return Err(Error::shape(OP, "a", a.dims(), "[.., m, k]"));
    }
    let (batch, inner) = (&a.dims()[..rank - 2], a.dims()[rank - 1]);
    if b.rank() != rank || b.dims()[..rank - 2] != *batch || b.dims()[rank - 2] != inner {
        let expected = format!("{batch:?} followed by [{inner}, n] for a {:?}", a.dims());
        return Err(Error::shape(OP, "b", b.dims(), expected));
    }
    let mut out = a.dims().to_vec();
    out[rank - 1] = b.dims()[rank - 1];
    check::elements(OP, &out, a.dtype()).map(|_| ())
}

/// `a·b`, or `a·bᵀ` with `b: [.., n, k]`. The operands have been checked.
pub(crate) fn product(
    a: &Tensor,
    b: &Tensor,
    b_transposed: bool,
    b_is_weight: bool,
) -> Result<Tensor> {
    let op = Product {
        b_transposed,
        b_is_weight,
    };
    Ok(readable(a)?.apply_op2(&readable(b)?, op)?)
}

/// `t` itself when its leading dimensions have one common stride, else a contiguous copy.
fn readable(t: &Tensor) -> candle_core::Result<Tensor> {
    match batch_stride(t.layout()) {
        Some(_) => Ok(t.clone()),
        None => t.contiguous(),
    }
}

/// The stride from one matrix to the next, when there is one.
fn batch_stride(l: &Layout) -> Option<usize> {
    let leading = l.dims().len() - 2;
    let mut axes = l.dims()[..leading]
        .iter()
        .zip(&l.stride()[..leading])
        .rev()
        .filter(|&(&size, _)| size > 1);
    let Some((&size, &stride)) = axes.next() else {
        return Some(0);
    };
    let mut span = stride * size;
    for (&size, &outer) in axes {
        if outer != span {
            return None;
        }
        span *= size;
    }
    Some(stride)
}

struct Product {
    b_transposed: bool,
    b_is_weight: bool,
}

impl Product {
    fn run<T: Element>(
        &self,
        (s1, l1): (&CpuStorage, &Layout),
        (s2, l2): (&CpuStorage, &Layout),
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let matrix = |data, l: &Layout, transposed: bool| {
            let [.., rows, cols] = *l.stride() else {
                unreachable!("rank is at least 2")
            };
            let (row_stride, col_stride) = if transposed {
                (cols, rows)
            } else {
                (rows, cols)
            };
            MatRef {
                data,
                row_stride,
                col_stride,
                // `readable` made sure of it.
                batch_stride: batch_stride(l).unwrap_or(0),
            }
        };
        let rank = l1.dims().len();
        let (m, k) = (l1.dims()[rank - 2], l1.dims()[rank - 1]);
        let n = l2.dims()[if self.b_transposed {
            rank - 2
        } else {
            rank - 1
        }];
        let batch = l1.dims()[..rank - 2].iter().product();
        let a = matrix(cpu::strided::<T>(s1, l1)?, l1, false);
        let b = matrix(cpu::strided::<T>(s2, l2)?, l2, self.b_transposed);
        let mut dims = l1.dims().to_vec();
        dims[rank - 1] = n;
        let sizes = gemm::Product { batch, m, n, k };
        let c = cpu::filled(batch * m * n, |c| {
            gemm::gemm(sizes, T::one(), a, b, T::zero(), c)
        })?;
        Ok((c, dims.into()))
    }
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        by_dtype!(s1, OP, T => self.run::<T>((s1, l1), (s2, l2)))
    }

    fn bwd(
        &self,
        a: &Tensor,
        b: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>)> {
        let for_a = if a.track_op() {
            // ∂a is g·bᵀ, or g·b where b was transposed already.
            Some(product(
                g,
                &in_backward(b),
                !self.b_transposed,
                self.b_is_weight,
            )?)
        } else {
            None
        };
        let gradient = || -> Result<Tensor> {
            Ok(if self.b_transposed {
                product(&g.t()?, &in_backward(a), false, false)?
            } else {
                product(&in_backward(a).t()?, g, false, false)?
            })
        };
        let for_b = if self.b_is_weight {
            weight_grad(b, gradient)?
        } else {
            b.track_op().then(gradient).transpose()?
        };
        Ok((for_a, for_b))
    }
}

#[cfg(test)]
mod tests;
