//! Synthesis network: latents, one row per layer, to pictures.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_latent::ActingMatrix;
use domex_latent::basis::BasisKinds;
use domex_stylegan2::weights::{Tensors, Walk, join};
use domex_stylegan2::{Activations, expect_dims};

use crate::config::SynthesisConfig;
use crate::input::Input;
use crate::layer::Layer;
use crate::{Result, Transform};

/// Latents, one row per layer, to pictures.
///
/// Of the rows of `ws: [n, rows, w_dim]` the Fourier features take the first, and each layer one of the others, in order. Layers are named by
/// number, size and channels, such as `L3_52_512`. Follows `SynthesisNetwork` of stylegan3, `training/networks_stylegan3.py`.
#[derive(Debug, Clone)]
pub struct Synthesis {
    input: Input,
    layers: Vec<Layer>,
    dtype: DType,
    device: Device,
    activations: Activations,
    cfg: SynthesisConfig,
}

impl Synthesis {
    /// Reads the network from the node that holds `input`.
    ///
    /// # Errors
    ///
    /// A missing tensor or a wrong shape, with its full name.
    pub fn new(vb: &VarBuilder<'_>, cfg: &SynthesisConfig) -> Result<Self> {
        let layers = cfg.layers().into_iter().map(|shape| {
            let vb = vb.pp(&shape.name);
            Layer::new(&vb, cfg.w_dim, shape, cfg.conv_clamp)
        });
        Ok(Self {
            input: Input::new(&vb.pp("input"), cfg.w_dim, cfg.input())?,
            layers: layers.collect::<Result<_>>()?,
            dtype: vb.dtype(),
            device: vb.device().clone(),
            activations: Activations::Kept,
            cfg: cfg.clone(),
        })
    }

    /// `ws: [n, rows, w_dim]` to pictures `[n, colours, h, w]`, about -1 to 1 and not clamped.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(&self, ws: &Tensor) -> Result<Tensor> {
        let rows = self.cfg.num_ws();
        expect_dims("ws", ws, &[None, Some(rows), Some(self.cfg.w_dim)])?;
        let row = |index: usize| ws.narrow(1, index, 1)?.squeeze(1)?.contiguous();
        let mut x = self.input.forward(&row(0)?)?;
        for (index, layer) in self.layers.iter().enumerate() {
            let layer = layer.clone();
            let again = move |inputs: &[Tensor]| layer.forward(&inputs[0], &inputs[1]);
            x = self.activations.of(&[x, row(index + 1)?], again)?;
        }
        Ok((x * self.cfg.output_scale)?)
    }

    /// The Fourier features alone, from `w: [n, w_dim]`: `[n, c, size, size]`.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn features(&self, w: &Tensor) -> Result<Tensor> {
        expect_dims("w", w, &[None, Some(self.cfg.w_dim)])?;
        self.input.forward(w)
    }

    /// Moves all pictures from now on, in place of what the checkpoint says.
    ///
    /// # Errors
    ///
    /// Numbers that are not finite.
    pub fn set_transform(&mut self, transform: &Transform) -> Result<()> {
        let matrix = transform.matrix(self.dtype, &self.device)?;
        self.input.set_transform(matrix);
        Ok(())
    }

    /// What becomes of activations from now on.
    pub fn set_activations(&mut self, activations: Activations) {
        self.activations = activations;
    }

    /// What becomes of activations.
    #[must_use]
    pub fn activations(&self) -> Activations {
        self.activations
    }

    /// The network's hyper-parameters.
    #[must_use]
    pub fn config(&self) -> &SynthesisConfig {
        &self.cfg
    }

    /// Type of the weights.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Where the weights are.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The affine weights, in the order of the rows. No published basis knows this network; as both kinds take the maps of a network that decide
    /// on pictures, here they are all of them, those of the Fourier features and of to RGB too.
    pub(crate) fn acting_matrices(&self, path: &str) -> Vec<ActingMatrix> {
        let input = ("input", self.input.affine());
        let layers = self.layers.iter();
        std::iter::once(input)
            .chain(layers.map(|layer| (layer.name(), layer.affine())))
            .map(|(name, affine)| ActingMatrix {
                name: join(path, &format!("{name}.affine.weight")),
                kinds: BasisKinds::ALL,
                weight: affine.weight().clone(),
            })
            .collect()
    }
}

impl Walk for Synthesis {
    fn walk(&self, path: &str, out: &mut Tensors) {
        self.input.walk(&join(path, "input"), out);
        for layer in &self.layers {
            layer.walk(&join(path, layer.name()), out);
        }
    }
}
