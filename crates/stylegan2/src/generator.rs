//! The whole generator: mapping and synthesis under one roof.
//!
//! Tensors stand under `mapping.` and `synthesis.`, as in a published checkpoint.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_latent::{ActingMatrix, Expansion, sample::estimate_mean};
use domex_random::{Stream, Streams};

use crate::config::GeneratorConfig;
use crate::mapping::{Mapping, Truncation, broadcast, truncate};
use crate::noise::Noise;
use crate::synthesis::Synthesis;
use crate::weights::{Spec, Tensors, Walk, builder, join, shapes};
use crate::{Error, Result};

/// Mapping and synthesis network of a checkpoint, under one roof.
///
/// ```
/// use domex_stylegan2::{Generator, GeneratorConfig, Noise, Truncation, init};
/// # use candle_core::{Device, DType, Tensor};
/// let config = GeneratorConfig::with_defaults(8, 16, 16, 64, 8)?;
/// let weights = init::generator(&config, 1, DType::F32, &Device::Cpu)?;
/// let generator = Generator::from_tensors(&weights, &config)?;
///
/// let z = Tensor::ones((2, 8), DType::F32, &Device::Cpu)?;
/// let ws = generator.latents(&z, None, Truncation::psi(0.7))?; // [2, 6, 16]
/// let pictures = generator.synthesis().forward(&ws, Noise::Const)?;
/// assert_eq!(pictures.dims(), [2, 3, 16, 16]);
/// # Ok::<(), domex_stylegan2::Error>(())
/// ```
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
    /// A configuration that is out of range; names or shapes that are not the network's.
    pub fn from_tensors(tensors: &Tensors, cfg: &GeneratorConfig) -> Result<Self> {
        Self::spec(cfg)?.check(&shapes(tensors))?;
        Self::new(&builder(tensors), cfg)
    }

    /// The same network on other tensors, changed by the same [modulators](domex_latent::modulation), with the same
    /// [`Activations`](crate::Activations).
    ///
    /// # Errors
    ///
    /// Names or shapes that are not the network's.
    pub fn with_tensors(&self, tensors: &Tensors) -> Result<Self> {
        let mut other = Self::from_tensors(tensors, &self.cfg)?;
        other
            .synthesis
            .set_activations(self.synthesis.activations());
        for modulator in self.synthesis.modulators() {
            other.synthesis.add_modulator(modulator.clone());
        }
        Ok(other)
    }

    /// Lets the offsets of domains, where they have some, change the layers.
    ///
    /// # Errors
    ///
    /// Offsets that are not for this network.
    pub fn follow_domains(&mut self, expansion: &Expansion) -> Result<()> {
        let layers = self.synthesis.modulated_layers();
        let (device, dtype) = (self.synthesis.device(), self.synthesis.dtype());
        if let Some(offsets) = expansion.modulator(&layers, device, dtype)? {
            self.synthesis.add_modulator(Arc::new(offsets));
        }
        Ok(())
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
    pub fn tensors(&self) -> Tensors {
        let mut out = Tensors::new();
        self.walk("", &mut out);
        out
    }

    /// The mapping network.
    pub fn mapping(&self) -> &Mapping {
        &self.mapping
    }

    /// The mapping network, to move its running mean.
    pub fn mapping_mut(&mut self) -> &mut Mapping {
        &mut self.mapping
    }

    /// The synthesis network.
    pub fn synthesis(&self) -> &Synthesis {
        &self.synthesis
    }

    /// The synthesis network, to set its precision.
    pub fn synthesis_mut(&mut self) -> &mut Synthesis {
        &mut self.synthesis
    }

    /// The network's hyper-parameters.
    pub fn config(&self) -> &GeneratorConfig {
        &self.cfg
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
        truncate(&ws, &self.mean_w()?, truncation)
    }

    /// `z: [n, z_dim]` and `label: [n, c_dim]` to pictures `[n, colours, h, w]`.
    ///
    /// # Errors
    ///
    /// As [`latents`](Self::latents) and [`Synthesis::forward`].
    pub fn forward(
        &self,
        z: &Tensor,
        label: Option<&Tensor>,
        truncation: Truncation,
        noise: Noise<'_>,
    ) -> Result<Tensor> {
        let ws = self.latents(z, label, truncation)?;
        self.synthesis.forward(&ws, noise)
    }

    /// The running mean of w `[w_dim]`; for a network that has none, the mean of
    /// [`MEAN_SAMPLES`] latents, which are the same at every call.
    ///
    /// # Errors
    ///
    /// When the mapping network fails.
    pub fn mean_w(&self) -> Result<Tensor> {
        match self.mapping.w_avg() {
            Some(mean) => Ok(mean.clone()),
            None => self.estimate_mean(),
        }
    }

    /// Mean of w over [`MEAN_SAMPLES`] latents `[w_dim]`, which are the same at every call.
    ///
    /// # Errors
    ///
    /// When the mapping network fails.
    pub fn estimate_mean(&self) -> Result<Tensor> {
        let mut stream = Streams::new(0).stream("w_avg");
        Ok(estimate_mean(self, MEAN_SAMPLES, 512, &mut stream)?)
    }

    /// Replaces the running mean of w `[w_dim]`. A network that had none tracks it from now on.
    ///
    /// # Errors
    ///
    /// A wrong shape.
    pub fn set_mean_w(&mut self, mean: &Tensor) -> Result<()> {
        self.mapping.set_w_avg(mean)?;
        self.cfg.mapping = self.mapping.config().clone();
        Ok(())
    }
}

/// Latents in the mean of w where a checkpoint has none.
pub const MEAN_SAMPLES: usize = 4096;

impl Walk for Generator {
    fn walk(&self, path: &str, out: &mut Tensors) {
        self.mapping.walk(&join(path, "mapping"), out);
        self.synthesis.walk(&join(path, "synthesis"), out);
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
        self.cfg.synthesis.widest()
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
        self.mapping.forward(Some(z), label).map_err(foreign)
    }

    fn acting_matrices(&self) -> domex_latent::Result<Vec<ActingMatrix>> {
        Ok(self.synthesis.acting_matrices("synthesis"))
    }

    fn synthesize(&self, latent: &Tensor) -> domex_latent::Result<Tensor> {
        self.painted(latent, Noise::Const).map_err(foreign)
    }

    fn synthesize_anew(&self, latent: &Tensor, noise: &mut Stream) -> domex_latent::Result<Tensor> {
        self.painted(latent, Noise::Random(noise)).map_err(foreign)
    }
}

impl Generator {
    /// Pictures of latents `[n, w_dim]` or `[n, rows, w_dim]`.
    fn painted(&self, latent: &Tensor, noise: Noise<'_>) -> Result<Tensor> {
        let ws = match latent.rank() {
            2 => broadcast(latent, self.cfg.num_ws())?,
            _ => latent.clone(),
        };
        self.synthesis.forward(&ws, noise)
    }
}

fn foreign(error: Error) -> domex_latent::Error {
    match error {
        Error::Latent(error) => error,
        error => domex_latent::Error::network("StyleGAN2 generator", error),
    }
}
