//! From pictures to what the network reads: 299 × 299, values about −1 to 1.
//!
//! Two programs are in use, which differ in how they resize and in the last half level of brightness; distances by the one
//! are not to be compared with distances by the other.

use candle_core::Tensor;
use domex_ops::{Resize, resize};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Pixels on a side of what the network was trained on.
pub const SIDE: usize = 299;

/// Whose preparation of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pipeline {
    /// pytorch-fid: bilinear with pixel centres at half-integers, then `2x/255 − 1`.
    #[default]
    PytorchFid,
    /// torch-fidelity and the stylegan2-ada family: bilinear as TensorFlow 1 does it, then `(x − 128)/128`.
    TorchFidelity,
}

/// Pictures `[n, 3, h, w]` in `[0, 255]` as the network reads them, `[n, 3, 299, 299]`.
///
/// # Errors
///
/// A wrong shape.
pub fn prepare(pictures: &Tensor, pipeline: Pipeline) -> Result<Tensor> {
    match pictures.dims() {
        [_, 3, _, _] => {}
        dims => return Err(Error::shape("pictures", dims, "[n, 3, h, w]")),
    }
    Ok(match pipeline {
        Pipeline::PytorchFid => {
            resize(pictures, SIDE, SIDE, Resize::Bilinear)?.affine(2.0 / 255.0, -1.0)?
        }
        Pipeline::TorchFidelity => {
            resize(pictures, SIDE, SIDE, Resize::BilinearTf1)?.affine(1.0 / 128.0, -1.0)?
        }
    })
}
