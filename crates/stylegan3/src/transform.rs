//! A shift and a turn of the picture, by way of its Fourier features.

use candle_core::{DType, Device, Tensor};

use crate::{Error, Result};

/// Where the picture goes: turned, then shifted, as `gen_images.py` has it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Transform {
    /// Shift to the right and down, in widths of the picture.
    pub translate: [f64; 2],
    /// Degrees counterclockwise.
    pub rotate: f64,
}

impl Transform {
    /// What a network multiplies its frequencies with, `[3, 3]`: the inverse of
    ///
    /// ```text
    /// ⎡ cos α  sin α  x ⎤
    /// ⎢-sin α  cos α  y ⎥
    /// ⎣   0      0    1 ⎦
    /// ```
    ///
    /// # Errors
    ///
    /// Numbers that are not finite.
    pub fn matrix(&self, dtype: DType, device: &Device) -> Result<Tensor> {
        let [x, y] = self.translate;
        if !(x.is_finite() && y.is_finite() && self.rotate.is_finite()) {
            let expected = "finite numbers";
            return Err(Error::config("transform", format!("{self:?}"), expected));
        }
        let (sin, cos) = self.rotate.to_radians().sin_cos();
        let inverse = [
            [cos, -sin, sin * y - cos * x],
            [sin, cos, -(sin * x + cos * y)],
            [0.0, 0.0, 1.0],
        ];
        let matrix = Tensor::new(&inverse, &Device::Cpu)?.to_dtype(dtype)?;
        Ok(matrix.to_device(device)?)
    }
}
