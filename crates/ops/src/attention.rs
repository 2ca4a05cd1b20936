//! Attention: each token becomes a mean of what all tokens offer, weighted by how well they answer it.
//!
//! `y = softmax(q kᵀ / √d + mask) v` for each of `heads` heads of `d` channels (Vaswani et al. 2017, arXiv 1706.03762).
//! `q: [n, s, w]`, `k, v: [n, t, w]`, `y: [n, s, w]`; head `h` has channels `h·d .. (h+1)·d` of the `w`.
//! [`Mask::Causal`] hides from query `i` the keys behind `i`.
//!
//! Forward and backward are one pass over the heads each; the weights `p` exist for a few queries at
//! a time, are kept for nobody and computed again on the way back: with the gradient `g` of `y` and `gp = g vᵀ`,
//! `gs = p (gp − Σ gp p) / √d`, `∂v = pᵀ g`, `∂q = gs k`, `∂k = gsᵀ q`. Where the graph is kept, the same is composed
//! of differentiable operators, so any order is exact. candle's fused attention has no backward and drops the gradient.

use candle_core::{CpuStorage, CustomOp3, D, Layout, Shape, Tensor};
use domex_kernels::attention::{self as kernel, AttentionGrads, AttentionShape};

use crate::{
    Error, Result,
    body::{Bodies, Body},
    check,
    cpu::{self, Borrowed, Element, by_dtype},
    matmul, softmax,
};

const OP: &str = "attention";
const BODIES: Bodies = Bodies::CPU_AND_CUDA;

/// Which keys a query sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mask {
    /// All.
    None,
    /// Those up to its own place; there are as many keys as queries.
    Causal,
}

/// Attention of `q: [n, s, w]` to `k, v: [n, t, w]`, giving `[n, s, w]`. See the [module docs](self).
///
/// # Errors
///
/// [`Error::Shape`] when the operands do not fit each other, or a size is zero; [`Error::Parameter`] when `heads` does not divide
/// the width; [`Error::DType`] and [`Error::Device`] when the operands do not match.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize, mask: Mask) -> Result<Tensor> {
    let shape = check_operands(q, k, v, heads, mask)?;
    match BODIES.of(&[q]) {
        Body::Composed => return composed(&shape, q, k, v),
        #[cfg(feature = "cuda")]
        Body::Cuda if shape.depth > domex_cuda::plan::DEEPEST => {
            return composed(&shape, q, k, v);
        }
        _ => {}
    }
    let [q, k, v] = [q.contiguous()?, k.contiguous()?, v.contiguous()?];
    Ok(q.apply_op3(&k, &v, Attention(shape))?)
}

/// The same from candle's own operations and those of this crate.
///
/// # Errors
///
/// As [`attention`].
pub fn reference(q: &Tensor, k: &Tensor, v: &Tensor, heads: usize, mask: Mask) -> Result<Tensor> {
    composed(&check_operands(q, k, v, heads, mask)?, q, k, v)
}

fn check_operands(
    q: &Tensor,
    k: &Tensor,
    v: &Tensor,
    heads: usize,
    mask: Mask,
) -> Result<AttentionShape> {
    check::float(OP, "q", q)?;
    for (name, t) in [("k", k), ("v", v)] {
        check::alike(OP, name, t, q)?;
        check::nonempty(OP, name, t)?;
    }
    check::nonempty(OP, "q", q)?;
    let [n, queries, width] = *q.dims() else {
        return Err(Error::shape(OP, "q", q.dims(), "[n, s, w] (rank 3)"));
    };
    if heads == 0 || width % heads != 0 {
        let expected = format!("a divisor of the width {width}");
        return Err(Error::parameter(OP, "heads", heads, expected));
    }
    let keys = match *k.dims() {
        [batch, keys, w] if batch == n && w == width => keys,
        _ => {
            let expected = format!("[{n}, t, {width}] for q {:?}", q.dims());
            return Err(Error::shape(OP, "k", k.dims(), expected));
        }
    };
    if v.dims() != k.dims() {
        let expected = format!("{:?} as k", k.dims());
        return Err(Error::shape(OP, "v", v.dims(), expected));
    }
    let causal = mask == Mask::Causal;
    if causal && keys != queries {
        let expected = format!("[{n}, {queries}, {width}]: causal, as many keys as queries");
        return Err(Error::shape(OP, "k", k.dims(), expected));
    }
    let shape = AttentionShape {
        n,
        queries,
        keys,
        heads,
        depth: width / heads,
        causal,
    };
    shape.check().map_err(|e| {
        Error::shape(
            OP,
            "q",
            q.dims(),
            format!("sizes that can be worked on ({e})"),
        )
    })?;
    Ok(shape)
}

/// `[n, t, h·d]` to `[n, h, t, d]`.
fn split(s: &AttentionShape, x: &Tensor) -> candle_core::Result<Tensor> {
    x.reshape((s.n, (), s.heads, s.depth))?
        .transpose(1, 2)?
        .contiguous()
}

/// `[n, h, t, d]` to `[n, t, h·d]`.
fn join(s: &AttentionShape, x: &Tensor) -> candle_core::Result<Tensor> {
    x.transpose(1, 2)?
        .contiguous()?
        .reshape((s.n, (), s.heads * s.depth))
}

fn scale(s: &AttentionShape) -> f64 {
    (s.depth as f64).sqrt().recip()
}

/// The weights `[n, h, s, t]` from operands that are split.
fn weights(s: &AttentionShape, q: &Tensor, k: &Tensor) -> Result<Tensor> {
    let scores = matmul(&(q * scale(s))?, &k.transpose(2, 3)?)?;
    if !s.causal {
        return softmax(&scores, 3);
    }
    let hidden = |i: usize| i % s.keys > i / s.keys;
    let mask: Vec<f32> = (0..s.queries * s.keys)
        .map(|i| if hidden(i) { f32::NEG_INFINITY } else { 0.0 })
        .collect();
    let mask = Tensor::from_vec(mask, (s.queries, s.keys), q.device())?.to_dtype(q.dtype())?;
    softmax(&scores.broadcast_add(&mask)?, 3)
}

fn composed(s: &AttentionShape, q: &Tensor, k: &Tensor, v: &Tensor) -> Result<Tensor> {
    let p = weights(s, &split(s, q)?, &split(s, k)?)?;
    Ok(join(s, &matmul(&p, &split(s, v)?)?)?)
}

/// The gradients from differentiable operators.
fn composed_backward(s: &AttentionShape, [q, k, v, g]: [&Tensor; 4]) -> Result<[Tensor; 3]> {
    let [q, k, v, g] = [split(s, q)?, split(s, k)?, split(s, v)?, split(s, g)?];
    let p = weights(s, &q, &k)?;
    let gp = matmul(&g, &v.transpose(2, 3)?)?;
    let level = (&gp * &p)?.sum_keepdim(D::Minus1)?;
    let gs = ((&p * gp.broadcast_sub(&level)?)? * scale(s))?;
    Ok([
        join(s, &matmul(&gs, &k)?)?,
        join(s, &matmul(&gs.transpose(2, 3)?, &q)?)?,
        join(s, &matmul(&p.transpose(2, 3)?, &g)?)?,
    ])
}

struct Attention(AttentionShape);

impl Attention {
    /// The gradients of all operands in one pass over the heads.
    fn cpu_backward(&self, operands: [&Tensor; 3], g: &Tensor) -> candle_core::Result<[Tensor; 3]> {
        let data = operands.map(Borrowed::new);
        let [qs, ks, vs] = &data;
        let gs = Borrowed::new(g);
        by_dtype!(qs.storage()?, OP, T => {
            let data = [qs.slice()?, ks.slice()?, vs.slice()?];
            let [gq, gk, gv] = self.backward::<T>(data, gs.slice()?)?;
            let like = |data, t: &Tensor| Tensor::from_vec(data, t.shape(), t.device());
            let [q, k, v] = operands;
            Ok([like(gq, q)?, like(gk, k)?, like(gv, v)?])
        })
    }

    /// The same on a device, in three launches.
    #[cfg(feature = "cuda")]
    fn cuda_backward(
        &self,
        operands: [&Tensor; 3],
        g: &Tensor,
    ) -> candle_core::Result<[Tensor; 3]> {
        use crate::cuda::{Input, Operand, element, run};
        let [q, k, v] = operands;
        let element = element(q.dtype())?;
        let data = [q, k, v, g].map(Borrowed::new);
        let read = data.iter().map(|t| Input::of(t).map(Operand::Read));
        let new = operands
            .iter()
            .map(|t| Ok(Operand::New(t.elem_count(), element)));
        let all = read.chain(new).collect::<candle_core::Result<_>>()?;
        let mut made = run(domex_cuda::plan::attention_backward(&self.0, element), all)?;
        Ok([
            made.tensor(q.shape())?,
            made.tensor(k.shape())?,
            made.tensor(v.shape())?,
        ])
    }

    fn backward<T: Element>(
        &self,
        operands: [&[T]; 3],
        g: &[T],
    ) -> candle_core::Result<[Vec<T>; 3]> {
        let s = &self.0;
        let mut grads = [s.q_len(), s.k_len(), s.k_len()].map(cpu::zeros::<T>);
        let [q, k, v] = &mut grads;
        kernel::backward(s, operands, g, AttentionGrads { q, k, v })
            .map_err(candle_core::Error::wrap)?;
        Ok(grads)
    }
}

impl CustomOp3 for Attention {
    fn name(&self) -> &'static str {
        OP
    }

    fn cpu_fwd(
        &self,
        s1: &CpuStorage,
        l1: &Layout,
        s2: &CpuStorage,
        l2: &Layout,
        s3: &CpuStorage,
        l3: &Layout,
    ) -> candle_core::Result<(CpuStorage, Shape)> {
        let y = by_dtype!(s1, OP, T => {
            let q = cpu::slice::<T>(s1, l1)?;
            let (k, v) = (cpu::slice(s2, l2)?, cpu::slice(s3, l3)?);
            cpu::filled(q.len(), |y| kernel::forward(&self.0, q, k, v, y))
        })?;
        Ok((y, l1.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        s1: &candle_core::CudaStorage,
        l1: &Layout,
        s2: &candle_core::CudaStorage,
        l2: &Layout,
        s3: &candle_core::CudaStorage,
        l3: &Layout,
    ) -> candle_core::Result<(candle_core::CudaStorage, Shape)> {
        use crate::cuda::{Input, compute, element_of};
        let inputs = [Input::All(s1, l1), Input::All(s2, l2), Input::All(s3, l3)];
        let plan = domex_cuda::plan::attention(&self.0, element_of(s1)?);
        let y = compute(plan, &inputs, 3, l1.shape().elem_count())?;
        Ok((y, l1.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        _: &Tensor,
        g: &Tensor,
    ) -> candle_core::Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [gq, gk, gv] = match BODIES.gradients_in_one_pass(&[q]) {
            Body::Cpu => self.cpu_backward([q, k, v], &g.contiguous()?)?,
            #[cfg(feature = "cuda")]
            Body::Cuda => self.cuda_backward([q, k, v], &g.contiguous()?)?,
            _ => composed_backward(&self.0, [q, k, v, g]).map_err(candle_core::Error::wrap)?,
        };
        let wanted = |g: Tensor, t: &Tensor| t.track_op().then_some(g);
        Ok((wanted(gq, q), wanted(gk, k), wanted(gv, v)))
    }
}

#[cfg(test)]
mod tests;
