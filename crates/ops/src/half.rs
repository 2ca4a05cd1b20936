//! A frozen network in half precision between tensors of float32.
//!
//! [`enter`] rounds what the network is given, [`leave`] brings what it says to float32, where losses are added up. A gradient has to pass
//! through the network's own numbers, of which float16 has none below 6·10⁻⁸ and loses bits from 6·10⁻⁵ on, and a mean over pixels leaves
//! less than that for each. So on the way back [`leave`] multiplies it by 2¹³ before it is rounded, and [`enter`] divides by that what
//! arrives, in float32: powers of two, which change no bit else. With operands that are of the wanted type already nothing is done.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result as CandleResult, Shape, Tensor};

use crate::{Result, cpu};

/// The factor of gradients within the network.
const FACTOR: f64 = 8192.0;

/// `x` as numbers of `dtype`, for a network of that type.
///
/// # Errors
///
/// candle's own.
pub fn enter(x: &Tensor, dtype: DType) -> Result<Tensor> {
    if x.dtype() == dtype {
        return Ok(x.clone());
    }
    Ok(by(x, FACTOR.recip())?.to_dtype(dtype)?)
}

/// What the network made of it as numbers of `dtype`.
///
/// # Errors
///
/// candle's own.
pub fn leave(y: &Tensor, dtype: DType) -> Result<Tensor> {
    if y.dtype() == dtype {
        return Ok(y.clone());
    }
    Ok(by(&y.to_dtype(dtype)?, FACTOR)?)
}

/// `x`, whose gradient is multiplied by `factor`.
fn by(x: &Tensor, factor: f64) -> CandleResult<Tensor> {
    match x.track_op() {
        true => x.contiguous()?.apply_op1(Magnified(factor)),
        false => Ok(x.clone()),
    }
}

/// The identity, but for gradients.
struct Magnified(f64);

impl CustomOp1 for Magnified {
    fn name(&self) -> &'static str {
        "magnified-gradient"
    }

    fn cpu_fwd(&self, s: &CpuStorage, l: &Layout) -> CandleResult<(CpuStorage, Shape)> {
        Ok((cpu::copy(s, l)?, l.shape().clone()))
    }

    fn cuda_fwd(
        &self,
        s: &candle_core::CudaStorage,
        l: &Layout,
    ) -> CandleResult<(candle_core::CudaStorage, Shape)> {
        use candle_core::backend::BackendStorage;
        Ok((s.affine(l, 1.0, 0.0)?, l.shape().clone()))
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, g: &Tensor) -> CandleResult<Option<Tensor>> {
        g.affine(self.0, 0.0).map(Some)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    /// The gradient of the mean of x through a network that is the identity, and times a small weight.
    fn gradient(dtype: DType, weight: f64) -> Vec<f32> {
        let x = Var::ones(4096, DType::F32, &Device::Cpu).unwrap();
        let y = leave(&enter(&x, dtype).unwrap(), DType::F32).unwrap();
        assert_eq!(y.dtype(), DType::F32);
        let loss = (y.mean_all().unwrap() * weight).unwrap();
        let grads = loss.backward().unwrap();
        grads.get(&x).unwrap().to_vec1().unwrap()
    }

    #[test]
    fn gradients_that_are_less_than_half_precision_has_arrive() {
        // 2⁻²⁷, of which float16 has nothing.
        for dtype in [DType::F16, DType::BF16, DType::F32] {
            let want = 0.5f32.powi(27);
            assert!(gradient(dtype, 0.5f64.powi(15)).iter().all(|&g| g == want));
        }
    }

    #[test]
    fn values_are_rounded_once_and_constants_stay_constants() {
        let x = Tensor::new(&[1.0f32, 1.0 + 0.5f32.powi(12), 3.3], &Device::Cpu).unwrap();
        let half = enter(&x, DType::F16).unwrap();
        assert_eq!(half.dtype(), DType::F16);
        let back: Vec<f32> = leave(&half, DType::F32).unwrap().to_vec1().unwrap();
        assert_eq!(back, [1.0, 1.0, half::f16::from_f32(3.3).to_f32()]);
        assert!(!half.track_op());
    }
}
