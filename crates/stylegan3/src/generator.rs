//! The whole generator.

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_latent::ActingMatrix;
use domex_latent::sample::draw_latents;
use domex_random::Streams;
use domex_stylegan2::mapping::{broadcast, truncate};
use domex_stylegan2::weights::{Spec, Tensors, Walk, builder, shapes};
use domex_stylegan2::{Mapping, Truncation};

use crate::config::GeneratorConfig;
use crate::layer::MAGNITUDE;
use crate::synthesis::Synthesis;
use crate::{Error, Result, Transform};

/// Mapping and synthesis under one roof. Tensors stand under `mapping.` and `synthesis.`, as in a published checkpoint.
#[derive(Debug, Clone)]
pub struct Generator {
    mapping: Mapping,
    synthesis: Synthesis,
    cfg: GeneratorConfig,
}

impl Generator {
    /// Reads the network from the node that holds `mapping` and `synthesis`.
    ///
    /// A builder that makes tensors up on request (a `VarMap`) cannot tell a misspelt name. Where
    /// the tensors come from a file, use [`from_tensors`](Self::from_tensors).
    ///
    /// # Errors
    ///
    /// A configuration that is out of range; a missing tensor or a wrong shape.
    pub fn new(vb: &VarBuilder<'_>, cfg: &GeneratorConfig) -> Result<Self> {
        cfg.validate()?;
        Ok(Self {
            synthesis: Synthesis::new(&vb.pp("synthesis"), &cfg.synthesis)?,
            mapping: Mapping::new(&vb.pp("mapping"), &cfg.mapping)?,
            cfg: cfg.clone(),
        })
    }

    /// Builds the network on exactly these tensors. Variables among them stay live: the network
    /// follows every write of an optimizer.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range; names or shapes that are not the network's; a magnitude that is not above 0.
    pub fn from_tensors(tensors: &Tensors, cfg: &GeneratorConfig) -> Result<Self> {
        Self::spec(cfg)?.check(&shapes(tensors))?;
        for (name, tensor) in tensors {
            if name.ends_with(MAGNITUDE) {
                let value = tensor.to_dtype(DType::F64)?.to_scalar::<f64>()?;
                if !(value.is_finite() && value > 0.0) {
                    return Err(Error::config(name, value, "a number above 0"));
                }
            }
        }
        Self::new(&builder(tensors), cfg)
    }

    /// The same network on other tensors, with the same [`Activations`](domex_stylegan2::Activations).
    ///
    /// # Errors
    ///
    /// Those of [`from_tensors`](Self::from_tensors).
    pub fn with_tensors(&self, tensors: &Tensors) -> Result<Self> {
        let mut other = Self::from_tensors(tensors, &self.cfg)?;
        other
            .synthesis
            .set_activations(self.synthesis.activations());
        Ok(other)
    }

    /// Names and shapes of all tensors, without building the network.
    ///
    /// # Errors
    ///
    /// A configuration that is out of range.
    pub fn spec(cfg: &GeneratorConfig) -> Result<Spec> {
        cfg.validate()?;
        Spec::record("generator", |vb| Self::new(&vb, cfg))
    }

    /// All tensors as they are now, by their published names.
    #[must_use]
    pub fn tensors(&self) -> Tensors {
        let mut out = Tensors::new();
        self.mapping.walk("mapping", &mut out);
        self.synthesis.walk("synthesis", &mut out);
        out
    }

    /// The mapping network.
    #[must_use]
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The synthesis network.
    #[must_use]
    pub fn synthesis(&self) -> &Synthesis {
        &self.synthesis
    }

    /// The synthesis network, to say how it is used.
    pub fn synthesis_mut(&mut self) -> &mut Synthesis {
        &mut self.synthesis
    }

    /// The network's hyper-parameters.
    #[must_use]
    pub fn config(&self) -> &GeneratorConfig {
        &self.cfg
    }

    /// Moves all pictures from now on.
    ///
    /// # Errors
    ///
    /// Numbers that are not finite.
    pub fn set_transform(&mut self, transform: &Transform) -> Result<()> {
        self.synthesis.set_transform(transform)
    }

    /// `z: [n, z_dim]` and `label: [n, c_dim]` to truncated latents `[n, rows, w_dim]`.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn latents(
        &self,
        z: &Tensor,
        label: Option<&Tensor>,
        truncation: Truncation,
    ) -> Result<Tensor> {
        let w = self.mapping.forward(Some(z), label)?;
        let ws = broadcast(&w, self.cfg.num_ws())?;
        if truncation.psi == 1.0 {
            return Ok(ws);
        }
        Ok(truncate(&ws, &self.mean_w()?, truncation)?)
    }

    /// `z: [n, z_dim]` and `label: [n, c_dim]` to pictures `[n, colours, h, w]`.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn forward(
        &self,
        z: &Tensor,
        label: Option<&Tensor>,
        truncation: Truncation,
    ) -> Result<Tensor> {
        self.synthesis.forward(&self.latents(z, label, truncation)?)
    }

    /// How far w lies from its mean, root mean square over 1024 latents, which are the same at every call.
    ///
    /// # Errors
    ///
    /// When the mapping network fails.
    pub fn spread(&self) -> Result<f64> {
        const SAMPLES: usize = 1024;
        let mut stream = Streams::new(0).stream("spread");
        let drawn = draw_latents(self, SAMPLES, &mut stream)?;
        let away = drawn.broadcast_sub(&self.mean_w()?)?.to_dtype(DType::F64)?;
        let square = away.sqr()?.sum_all()?.to_scalar::<f64>()?;
        Ok((square / SAMPLES as f64).sqrt())
    }

    /// The running mean of w `[w_dim]`.
    ///
    /// # Errors
    ///
    /// A mapping network without one, which no configuration here has.
    pub fn mean_w(&self) -> Result<Tensor> {
        let mean = self.mapping.w_avg().cloned();
        mean.ok_or_else(|| Error::config("mapping.w_avg", "none", "a mean of w"))
    }
}

impl domex_latent::Generator for Generator {
    fn latent_dim(&self) -> usize {
        self.cfg.w_dim()
    }

    fn layers(&self) -> usize {
        self.cfg.num_ws()
    }

    fn noise_dim(&self) -> usize {
        self.cfg.z_dim()
    }

    fn label_dim(&self) -> usize {
        self.cfg.c_dim()
    }

    fn resolution(&self) -> usize {
        self.cfg.synthesis.img_resolution
    }

    fn channels(&self) -> usize {
        self.cfg.synthesis.img_channels
    }

    fn widest(&self) -> usize {
        let layers = self.cfg.synthesis.layers().into_iter();
        let made = layers.map(|layer| layer.channels[1] * layer.sizes[1].pow(2));
        made.max().unwrap_or(0)
    }

    fn device(&self) -> &Device {
        self.synthesis.device()
    }

    fn dtype(&self) -> DType {
        self.synthesis.dtype()
    }

    fn mean(&self) -> domex_latent::Result<Tensor> {
        self.mean_w().map_err(foreign)
    }

    fn map(&self, z: &Tensor, label: Option<&Tensor>) -> domex_latent::Result<Tensor> {
        let w = self.mapping.forward(Some(z), label);
        w.map_err(|error| foreign(error.into()))
    }

    fn acting_matrices(&self) -> domex_latent::Result<Vec<ActingMatrix>> {
        Ok(self.synthesis.acting_matrices("synthesis"))
    }

    fn synthesize(&self, latent: &Tensor) -> domex_latent::Result<Tensor> {
        let ws = match latent.rank() {
            2 => broadcast(latent, self.cfg.num_ws()).map_err(|error| foreign(error.into()))?,
            _ => latent.clone(),
        };
        self.synthesis.forward(&ws).map_err(foreign)
    }
}

fn foreign(error: Error) -> domex_latent::Error {
    match error {
        Error::Latent(error) => error,
        error => domex_latent::Error::network("StyleGAN3 generator", error),
    }
}
