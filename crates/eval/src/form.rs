//! Form without colour: how much line and grain the grey picture has.

use candle_core::{DType, Tensor};

use crate::Result;

/// What was summed over pictures.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Form {
    edges: f64,
    fine: f64,
    all: f64,
    pictures: usize,
}

impl Form {
    /// Adds `pictures: [n, 3, h, w]` in `[-1, 1]`.
    pub(crate) fn add(&mut self, pictures: &Tensor) -> Result<()> {
        let (n, _, h, w) = pictures.dims4()?;
        let channels = [0.299, 0.587, 0.114].into_iter().enumerate();
        let mut grey = pictures.narrow(1, 0, 1)?.zeros_like()?;
        for (channel, weight) in channels {
            grey = (grey + (pictures.narrow(1, channel, 1)? * (127.5 * weight))?)?;
        }
        // Differences to the right and downwards, where both are.
        let inner = grey.narrow(2, 0, h - 1)?.narrow(3, 0, w - 1)?;
        let right = (grey.narrow(2, 0, h - 1)?.narrow(3, 1, w - 1)? - &inner)?;
        let down = (grey.narrow(2, 1, h - 1)?.narrow(3, 0, w - 1)? - &inner)?;
        let length = (right.sqr()? + down.sqr()?)?.sqrt()?;
        self.edges += sum(&length)? / ((h - 1) * (w - 1)) as f64;
        // What is left of a pixel without the mean of its 3 × 3 neighbours.
        let mut mean = grey
            .narrow(2, 1, h - 2)?
            .narrow(3, 1, w - 2)?
            .zeros_like()?;
        for (y, x) in (0..9).map(|i| (i / 3, i % 3)) {
            mean = (mean + grey.narrow(2, y, h - 2)?.narrow(3, x, w - 2)?)?;
        }
        let fine = (grey.narrow(2, 1, h - 2)?.narrow(3, 1, w - 2)? - (mean / 9.0)?)?;
        self.fine += sum(&fine.sqr()?)? / ((h - 2) * (w - 2)) as f64;
        let centred = grey.broadcast_sub(&grey.mean_keepdim((2, 3))?)?;
        self.all += sum(&centred.sqr()?)? / (h * w) as f64;
        self.pictures += n;
        Ok(())
    }

    /// Mean length of the grey picture's gradient, in levels of 255 a pixel.
    pub(crate) fn edge_energy(&self) -> f64 {
        self.edges / self.pictures.max(1) as f64
    }

    /// The share of the grey picture's variance that a mean of 3 × 3 pixels takes away.
    pub(crate) fn high_frequency(&self) -> f64 {
        self.fine / self.all.max(f64::MIN_POSITIVE)
    }
}

fn sum(x: &Tensor) -> Result<f64> {
    Ok(x.to_dtype(DType::F64)?.sum_all()?.to_scalar::<f64>()?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    fn form(value: impl Fn(usize, usize) -> f32) -> Form {
        let plane: Vec<f32> = (0..64).map(|at| value(at / 8, at % 8)).collect();
        let x = Tensor::from_vec(plane.repeat(3), (1, 3, 8, 8), &Device::Cpu).unwrap();
        let mut form = Form::default();
        form.add(&x).unwrap();
        form
    }

    #[test]
    fn edges_are_levels_a_pixel_whatever_the_colour() {
        let ramp = form(|_, x| x as f32 * 0.1 - 0.4);
        assert!((ramp.edge_energy() - 12.75).abs() < 1e-3);
        let both = form(|y, x| (x + y) as f32 * 0.1 - 0.7);
        assert!((both.edge_energy() - 12.75 * 2f64.sqrt()).abs() < 1e-3);
        assert!(form(|_, _| 0.3).edge_energy() < 1e-5);
    }

    #[test]
    fn a_checkerboard_is_fine_and_a_ramp_is_not() {
        let board = form(|y, x| if (x + y) % 2 == 0 { 0.5 } else { -0.5 });
        let ramp = form(|_, x| x as f32 * 0.1 - 0.4);
        assert!(board.high_frequency() > 0.7, "{}", board.high_frequency());
        assert!(ramp.high_frequency() < 1e-6, "{}", ramp.high_frequency());
    }
}
