//! A network for tests whose every effect is known: `x = tanh(M (A w + offset))`.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use domex_random::Streams;

use crate::basis::BasisKinds;
use crate::modulation::{Layer, Modulation, Modulator, modulations};
use crate::{ActingMatrix, Generator, Result};

/// Numbers in a latent.
pub const DIM: usize = 8;

/// Rows of a W+ latent; the network reads their mean.
const ROWS: usize = 2;
const SIDE: usize = 8;
const PIXELS: usize = 3 * SIDE * SIDE;

/// What its only layer is called.
const LAYER: &str = "later";

/// A latent coordinate is a direction of its own here: `A = diag(values)`, so the basis is the
/// identity and column `j` acts with `values[j] · gains[j]` on its own pixels.
#[derive(Debug, Clone)]
pub struct Toy {
    acting: Tensor, // [DIM, DIM]
    /// `M`: `[pixels, DIM]`, what a training may change.
    pub later: Tensor,
    /// Classes of a label, which move the first coordinates.
    pub classes: usize,
    /// Added to every latent: the mean.
    pub offset: f64,
    /// What is done to its layer, `later`.
    pub modulators: Vec<Arc<dyn Modulator>>,
}

impl Toy {
    /// In double precision.
    ///
    /// # Errors
    ///
    /// candle's own.
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
            modulators: Vec::new(),
        })
    }

    /// The same in another type.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn to_dtype(&self, dtype: DType) -> Result<Self> {
        Ok(Self {
            acting: self.acting.to_dtype(dtype)?,
            later: self.later.to_dtype(dtype)?,
            ..self.clone()
        })
    }

    /// The layer that a modulator can change.
    #[must_use]
    pub fn modulated_layers() -> Vec<Layer> {
        vec![Layer {
            name: LAYER.to_owned(),
            channels: DIM,
            outputs: PIXELS,
            kernel: 1,
            resolution: SIDE,
            row: 0,
        }]
    }
}

impl Generator for Toy {
    fn latent_dim(&self) -> usize {
        DIM
    }
    fn layers(&self) -> usize {
        ROWS
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
        self.acting.dtype()
    }
    fn mean(&self) -> Result<Tensor> {
        let mean = Tensor::full(self.offset, DIM, &Device::Cpu)?;
        Ok(mean.to_dtype(self.dtype())?)
    }
    fn map(&self, z: &Tensor, label: Option<&Tensor>) -> Result<Tensor> {
        let w = (z + self.offset)?;
        match label {
            Some(label) => Ok((w + label.pad_with_zeros(1, 0, DIM - self.classes)?)?),
            None => Ok(w),
        }
    }
    fn acting_matrices(&self) -> Result<Vec<ActingMatrix>> {
        let weight = self.acting.clone();
        Ok(vec![ActingMatrix {
            name: "acting".into(),
            kinds: BasisKinds::ALL,
            weight,
        }])
    }
    fn synthesize(&self, latent: &Tensor) -> Result<Tensor> {
        let w = match latent.rank() {
            3 => latent.mean(1)?,
            _ => latent.clone(),
        };
        let mut modulation = Modulation::default();
        if !self.modulators.is_empty() {
            let n = w.dim(0)?;
            let rows = w.unsqueeze(1)?.broadcast_as((n, ROWS, DIM))?.contiguous()?;
            modulation = modulations(&self.modulators, &rows)?
                .remove(LAYER)
                .unwrap_or_default();
        }
        let read = match modulation.latent_offset {
            Some(offset) => w.broadcast_add(&offset)?,
            None => w,
        };
        let mut style = read.matmul(&self.acting.t()?)?;
        if let Some(offset) = modulation.style_offset {
            style = style.broadcast_add(&offset)?;
        }
        if let Some(factor) = modulation.channel_factor {
            style = style.broadcast_mul(&factor)?;
        }
        let x = style.matmul(&self.later.t()?)?.tanh()?;
        Ok(x.reshape(((), 3, SIDE, SIDE))?)
    }
}
