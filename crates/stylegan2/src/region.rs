//! Two latents in one picture: one inside a region, the other outside.

use std::ops::ControlFlow;

use candle_core::Tensor;
use domex_ops::{Pool, avg_pool2d};

use crate::block::State;
use crate::error::expect_dims;
use crate::noise::Noise;
use crate::synthesis::{Synthesis, last_picture};
use crate::{Error, Result};

impl Synthesis {
    /// Pictures of `inside: [n, rows, w_dim]` where `region: [1 or n, 1, h, w]` is 1, of `outside` where it is 0, and of both
    /// between, for pictures of `h × w`. The features that leave each block are blended, so what comes next makes one picture of
    /// them; a region of nothing is the picture of `outside` to the bit, one of everything that of `inside`.
    ///
    /// Both have the noise of `noise`, which cannot be drawn twice from a stream.
    ///
    /// # Errors
    ///
    /// Latents of different shapes, a region of another size than the pictures, [`Noise::Random`].
    pub fn forward_within(
        &self,
        inside: &Tensor,
        outside: &Tensor,
        region: &Tensor,
        noise: Noise<'_>,
    ) -> Result<Tensor> {
        let again = match &noise {
            Noise::Const => Noise::Const,
            Noise::None => Noise::None,
            Noise::Maps(maps) => Noise::Maps(maps),
            Noise::Random(_) => {
                let expected = "constant, given or none: both pictures have the same";
                return Err(Error::config("noise within a region", "random", expected));
            }
        };
        let side = self.config().img_resolution;
        expect_dims("region", region, &[None, Some(1), Some(side), Some(side)])?;
        let dims: Vec<_> = inside.dims().iter().copied().map(Some).collect();
        expect_dims("latents outside the region", outside, &dims)?;

        let mut around = Vec::new();
        self.run_until(&self.modulated_styles(outside)?, again, |_, state| {
            around.push((state.x.clone(), state.img.clone()));
            Ok(ControlFlow::Continue(()))
        })?;
        let mut around = around.into_iter();
        let blend = |resolution: usize, state: &mut State| {
            let (x, img) = around.next().unwrap_or_default();
            let share = at(region, side / resolution)?;
            state.x = blended(state.x.take(), x, &share)?;
            state.img = blended(state.img.take(), img, &share)?;
            Ok(ControlFlow::Continue(()))
        };
        last_picture(self.run_until(&self.modulated_styles(inside)?, noise, blend)?)
    }
}

/// The region's mean over squares of `factor` pixels.
fn at(region: &Tensor, factor: usize) -> Result<Tensor> {
    if factor == 1 {
        return Ok(region.clone());
    }
    Ok(avg_pool2d(region, &Pool::new(factor, factor), false)?)
}

fn blended(
    inside: Option<Tensor>,
    outside: Option<Tensor>,
    share: &Tensor,
) -> Result<Option<Tensor>> {
    let (Some(inside), Some(outside)) = (inside, outside) else {
        return Ok(None);
    };
    let share = share.to_dtype(inside.dtype())?;
    let rest = share.affine(-1.0, 1.0)?;
    let both = (inside.broadcast_mul(&share)? + outside.broadcast_mul(&rest)?)?;
    Ok(Some(both))
}
