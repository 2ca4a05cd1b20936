//! A network for tests whose every effect is known: `x = tanh(M diag(gain) A w)`.

use candle_core::{DType, Device, Tensor};
use domex_random::Streams;

use crate::{ActingMatrix, Generator, Result, Role};

pub const DIM: usize = 8;
const SIDE: usize = 8;
const PIXELS: usize = 3 * SIDE * SIDE;

/// A latent coordinate is a direction of its own here: `A = diag(values)`, so the basis is the
/// identity and column `j` acts with `values[j] · gains[j]` on its own pixels.
pub struct Toy {
    acting: Tensor, // [DIM, DIM]
    later: Tensor,  // [PIXELS, DIM]
    pub classes: usize,
    pub offset: f64,
}

impl Toy {
    pub fn new(values: [f64; DIM], gains: [f64; DIM]) -> Result<Self> {
        let acting = Tensor::new(&values, &Device::Cpu)?;
        let acting = Tensor::eye(DIM, DType::F64, &Device::Cpu)?.broadcast_mul(&acting)?;
        let mut stream = Streams::new(5).stream("toy");
        let later: Vec<f64> = (0..PIXELS * DIM).map(|_| stream.normal_f64()).collect();
        let later = Tensor::from_vec(later, (PIXELS, DIM), &Device::Cpu)?;
        let later = later.broadcast_mul(&Tensor::new(&gains, &Device::Cpu)?)?;
        Ok(Self {
            acting,
            later,
            classes: 0,
            offset: 0.0,
        })
    }
}

impl Generator for Toy {
    fn latent_dim(&self) -> usize {
        DIM
    }
    fn layers(&self) -> usize {
        2
    }
    fn noise_dim(&self) -> usize {
        DIM
    }
    fn label_dim(&self) -> usize {
        self.classes
    }
    fn resolution(&self) -> usize {
        SIDE
    }
    fn device(&self) -> &Device {
        &Device::Cpu
    }
    fn dtype(&self) -> DType {
        DType::F64
    }
    fn mean(&self) -> Result<Tensor> {
        Ok(Tensor::full(self.offset, DIM, &Device::Cpu)?)
    }
    fn map(&self, z: &Tensor, label: Option<&Tensor>) -> Result<Tensor> {
        let w = (z + self.offset)?;
        match label {
            // Classes move the first coordinates.
            Some(label) => Ok((w + label.pad_with_zeros(1, 0, DIM - self.classes)?)?),
            None => Ok(w),
        }
    }
    fn acting_matrices(&self) -> Result<Vec<ActingMatrix>> {
        let weight = self.acting.clone();
        Ok(vec![ActingMatrix {
            name: "acting".into(),
            role: Role::Conv,
            stage: 0,
            weight,
        }])
    }
    fn synthesize(&self, latent: &Tensor) -> Result<Tensor> {
        let w = if latent.rank() == 3 {
            latent.mean(1)?
        } else {
            latent.clone()
        };
        let x = w
            .matmul(&self.acting.t()?)?
            .matmul(&self.later.t()?)?
            .tanh()?;
        Ok(x.reshape(((), 3, SIDE, SIDE))?)
    }
}
