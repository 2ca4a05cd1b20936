//! Weights that do not change, in the form in which the kernels read them.
//!
//! A convolution or a matrix product first brings its weight into another order (and Winograd's form takes 16 numbers for 9). A
//! network that judges pictures at every step of a training would do that at every step: with few pixels or tokens that
//! is a fifth of its time. [`Weight`] does it once for each direction, when first asked, and keeps the result beside the
//! weight for as long as the weight lives (once more its size for each direction, 16/9 of it for a 3×3 kernel), or until
//! [`give_up`] is called.
//!
//! The operators are linear in what remains, so they are their own derivatives of any order, and no gradient of the
//! weight is ever computed.

mod convolution;

use std::sync::{Arc, Mutex, PoisonError, Weak};

use candle_core::{CpuStorage, CustomOp1, Layout, Result as CandleResult, Shape, Tensor};
use domex_kernels::{
    conv::{Direction, PackedWeights},
    dense::PackedMatrix,
    gemm::MatRef,
};

use self::convolution::{Conv, ConvRelu};
use crate::{
    Activation, BiasAct, Result, bias_act,
    body::{Bodies, Body},
    conv::{self, conv2d},
    cpu::{self, Borrowed},
    linear::{self, linear},
};

const BODIES: Bodies = Bodies::CPU_F32;

/// A weight, frozen or not: one that tracks gradients is used as it is at each call.
///
/// What is kept is never looked at again, so a frozen weight's elements must not be written to after the first use. (A
/// tensor that was detached from a variable shares the variable's elements.)
#[derive(Debug, Clone)]
pub struct Weight {
    tensor: Tensor,
    kept: Option<Arc<Kept>>,
}

/// Per direction: forward and back.
#[derive(Debug, Default)]
struct Kept {
    matrix: [Place<PackedMatrix>; 2],
    conv: [Place<PackedWeights>; 2],
}

/// What is made when it is first asked for.
#[derive(Debug)]
struct Place<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Place<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Place<T> {
    fn get(&self) -> Option<Arc<T>> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Puts something into an empty place. Another thread may have been first; what it made is as good, and what stays.
    fn put(&self, made: T, of: &Arc<Kept>) -> Arc<T> {
        let mut place = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = place.get_or_insert_with(|| {
            remember(of);
            Arc::new(made)
        });
        Arc::clone(kept)
    }

    fn clear(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// Weights that something is kept beside.
static ALL: Mutex<Vec<Weak<Kept>>> = Mutex::new(Vec::new());

fn remember(kept: &Arc<Kept>) {
    let mut all = ALL.lock().unwrap_or_else(PoisonError::into_inner);
    // Now and then without those that are gone.
    if all.len().is_power_of_two() {
        all.retain(|one| one.strong_count() > 0);
    }
    all.push(Arc::downgrade(kept));
}

/// Gives up what is kept beside all frozen weights, for who needs the memory for something else meanwhile. It is made again when it
/// is next asked for.
pub fn give_up() {
    let all = std::mem::take(&mut *ALL.lock().unwrap_or_else(PoisonError::into_inner));
    for kept in all.iter().filter_map(Weak::upgrade) {
        kept.matrix.iter().for_each(Place::clear);
        kept.conv.iter().for_each(Place::clear);
    }
}

impl Weight {
    /// Of a convolution `[o, i, kh, kw]` or a fully connected layer `[out, in]`.
    pub fn new(tensor: Tensor) -> Self {
        Self {
            kept: (!tensor.track_op()).then(Arc::default),
            tensor,
        }
    }

    /// The weight itself.
    pub fn tensor(&self) -> &Tensor {
        &self.tensor
    }

    /// Bytes kept beside the weight so far.
    pub fn kept_bytes(&self) -> usize {
        self.kept.as_ref().map_or(0, |kept| {
            let matrices = kept.matrix.iter().filter_map(Place::get);
            let convs = kept.conv.iter().filter_map(Place::get);
            matrices.map(|packed| packed.bytes()).sum::<usize>()
                + convs.map(|packed| packed.bytes()).sum::<usize>()
        })
    }

    /// What is kept of a frozen weight, where the kernels that read it suit the operands.
    fn kept_for(&self, x: &Tensor, bias: Option<&Tensor>) -> Option<&Arc<Kept>> {
        let constant = bias.is_none_or(|bias| !bias.track_op());
        let operands = [x, &self.tensor, bias.unwrap_or(x)];
        let kept = self.kept.as_ref().filter(|_| constant)?;
        (BODIES.of(&operands) == Body::Cpu).then_some(kept)
    }

    /// [`linear()`] with this weight.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn linear(&self, x: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let Some(kept) = self.kept_for(x, bias) else {
            return linear(x, &self.tensor, bias);
        };
        let dims = linear::check_operands(x, &self.tensor, bias)?;
        let (outputs, inputs) = self.tensor.dims2()?;
        let op = Linear {
            weight: self.tensor.clone(),
            kept: Arc::clone(kept),
            bias: bias.map(Tensor::contiguous).transpose()?,
            back: false,
        };
        let rows = x.elem_count() / inputs;
        let y = x.reshape((rows, inputs))?.contiguous()?.apply_op1(op)?;
        debug_assert_eq!(y.dims(), [rows, outputs]);
        Ok(y.reshape(dims)?)
    }

    /// [`conv2d()`] with this weight.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn conv2d(
        &self,
        x: &Tensor,
        bias: Option<&Tensor>,
        stride: usize,
        padding: usize,
    ) -> Result<Tensor> {
        match self.convolution(x, bias, stride, padding)? {
            None => conv2d(x, &self.tensor, bias, stride, padding),
            Some(op) => {
                let y = x.contiguous()?.apply_op1(op)?;
                match bias {
                    Some(_) => bias_act(&y, bias, &BiasAct::new(Activation::Linear)),
                    None => Ok(y),
                }
            }
        }
    }

    /// `max(conv2d + bias, 0)`. With a frozen weight one operator, which keeps nothing but its result.
    ///
    /// # Errors
    ///
    /// As [`conv2d()`].
    pub fn conv2d_relu(
        &self,
        x: &Tensor,
        bias: Option<&Tensor>,
        stride: usize,
        padding: usize,
    ) -> Result<Tensor> {
        match self.convolution(x, bias, stride, padding)? {
            None => {
                let relu = BiasAct {
                    gain: Some(1.0),
                    ..BiasAct::new(Activation::Relu)
                };
                conv::activated(x, &self.tensor, bias, [stride, padding], &relu)
            }
            Some(op) => {
                let bias = bias.map(Tensor::contiguous).transpose()?;
                Ok(x.contiguous()?.apply_op1(ConvRelu { conv: op, bias })?)
            }
        }
    }

    /// The operator for a frozen weight. All operands have been checked then.
    fn convolution(
        &self,
        x: &Tensor,
        bias: Option<&Tensor>,
        stride: usize,
        padding: usize,
    ) -> Result<Option<Conv>> {
        let Some(kept) = self.kept_for(x, bias) else {
            return Ok(None);
        };
        Ok(Some(Conv {
            shape: conv::forward_shape(x, &self.tensor, bias, stride, padding)?,
            weight: self.tensor.contiguous()?,
            kept: Arc::clone(kept),
            direction: Direction::Forward,
        }))
    }
}

/// `x wᵀ + b` for `x: [m, in]`, `w: [out, in]`, or back: `g w`.
struct Linear {
    weight: Tensor,
    kept: Arc<Kept>,
    bias: Option<Tensor>,
    back: bool,
}

impl Linear {
    fn packed(&self) -> CandleResult<Arc<PackedMatrix>> {
        let kept = &self.kept.matrix[usize::from(self.back)];
        if let Some(packed) = kept.get() {
            return Ok(packed);
        }
        let (outputs, inputs) = self.weight.dims2()?;
        let weight = self.weight.contiguous()?;
        let data = Borrowed::new(&weight);
        let data = data.slice::<f32>()?;
        let packed = if self.back {
            PackedMatrix::new(outputs, inputs, MatRef::row_major(data, outputs, inputs))
        } else {
            PackedMatrix::new(inputs, outputs, MatRef::transposed(data, outputs, inputs))
        };
        let packed = packed.map_err(candle_core::Error::wrap)?;
        Ok(kept.put(packed, &self.kept))
    }
}

impl CustomOp1 for Linear {
    fn name(&self) -> &'static str {
        "frozen-linear"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        let packed = self.packed()?;
        let x = cpu::slice::<f32>(s, l)?;
        let rows = l.dims()[0];
        let bias = self.bias.as_ref().map(Borrowed::new);
        let bias = bias.as_ref().map(Borrowed::slice::<f32>).transpose()?;
        let y = cpu::filled(rows * packed.n(), |y| {
            packed.run(rows, MatRef::row_major(x, rows, packed.k()), bias, y)
        })?;
        Ok((y, Shape::from((rows, packed.n()))))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, g: &Tensor) -> CandleResult<Option<Tensor>> {
        let op = Self {
            weight: self.weight.clone(),
            kept: Arc::clone(&self.kept),
            bias: None,
            back: !self.back,
        };
        g.contiguous()?.apply_op1(op).map(Some)
    }
}

#[cfg(test)]
mod tests;
