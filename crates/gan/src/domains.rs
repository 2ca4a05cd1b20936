//! A discriminator of several domains: whether a picture is a real one *of its domain*.
//!
//! ```text
//! logit(x, d) = ⟨out(features(x)), e_d⟩ / √k        e_d: an embedding of k numbers for each domain
//! ```
//!
//! This is the projection of Miyato and Koyama (arXiv 1802.05637) as a StyleGAN2's discriminator has it for classes, with
//! `mapping.embed` alone and no layers after it. All domains share the features; each weighs them in its own way. What it
//! learns of lines in one domain serves another.
//!
//! It begins from the discriminator of the source domain, of which the first layers may stay as they are
//! ([`first_layers`](crate::frozen::first_layers)), or at random. Statistics of a minibatch are those of the whole batch,
//! whose pictures should be of one domain.

use candle_core::{DType, Device, Tensor};
use domex_ops::upload;
use domex_stylegan2::{
    Activations, Discriminator, DiscriminatorConfig, Vars, config::channels, init,
};
use serde::{Deserialize, Serialize};

use crate::{
    AdversarialLoss, Error, PictureTransform, R1Loss, Result, fake_loss, frozen, r1, real_loss,
    realism,
};

/// Widths of a discriminator that begins at random: `min(channel_base / resolution, channel_max)` features in the block of a
/// resolution, in the published names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Widths {
    /// Features times resolution.
    pub channel_base: usize,
    /// The most features.
    pub channel_max: usize,
}

impl Default for Widths {
    fn default() -> Self {
        Self {
            channel_base: 2048,
            channel_max: 128,
        }
    }
}

/// See the top of this module.
#[derive(Debug, Clone)]
pub struct DomainDiscriminator {
    live: Discriminator,
    /// The same weights without variables, for the generator's loss.
    frozen: Discriminator,
    vars: Vars,
    domains: usize,
}

impl DomainDiscriminator {
    /// Begun from the discriminator of another domain: all its layers but the last, which gets a row for each number of an
    /// embedding. `layers` of them, the first ones, stay as they are. What is random is drawn by `seed`. Activations are kept or
    /// recomputed as the other's are.
    ///
    /// # Errors
    ///
    /// No domain, or a network that cannot be built.
    pub fn from_source(
        source: &Discriminator,
        domains: usize,
        layers: usize,
        seed: u64,
    ) -> Result<Self> {
        let config = conditional(source.config().clone(), domains)?;
        let known = source.tensors();
        let device = known
            .values()
            .next()
            .map_or(Device::Cpu, |tensor| tensor.device().clone());
        let mut tensors = init::discriminator(&config, seed, DType::F32, &device)?;
        for (name, tensor) in &mut tensors {
            let is_new = name.starts_with("mapping.") || name.starts_with("b4.out.");
            if let Some(known) = known.get(name).filter(|_| !is_new) {
                *tensor = known.to_dtype(DType::F32)?;
            }
        }
        let begun = Self::build(&config, &tensors, domains, layers)?;
        Ok(match source.activations() {
            Activations::Kept => begun,
            Activations::Recomputed => begun.recomputed(),
        })
    }

    /// At random, for pictures `[n, channels, size, size]`.
    ///
    /// # Errors
    ///
    /// No domain, or sizes that no network has.
    pub fn random(
        (size, channels_of_picture): (usize, usize),
        widths: Widths,
        domains: usize,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let features = channels(size, widths.channel_base, widths.channel_max)?;
        let config = DiscriminatorConfig::new(size, channels_of_picture, features);
        let config = conditional(config, domains)?;
        let tensors = init::discriminator(&config, seed, DType::F32, device)?;
        Self::build(&config, &tensors, domains, 0)
    }

    /// With activations that are computed again on the way back.
    #[must_use]
    pub fn recomputed(mut self) -> Self {
        self.live.set_activations(Activations::Recomputed);
        self.frozen.set_activations(Activations::Recomputed);
        self
    }

    fn build(
        config: &DiscriminatorConfig,
        tensors: &domex_stylegan2::Tensors,
        domains: usize,
        layers: usize,
    ) -> Result<Self> {
        let spec = Discriminator::spec(config)?;
        let (mut vars, mut live) = spec.trainable(tensors)?;
        for name in frozen::first_layers(&spec, layers) {
            vars.remove(&name);
            if let Some(tensor) = live.get_mut(&name) {
                *tensor = tensor.detach();
            }
        }
        let live = Discriminator::from_tensors(&live, config)?;
        Ok(Self {
            frozen: frozen::discriminator(&live)?,
            live,
            vars,
            domains,
        })
    }

    /// What is trained, by the published names.
    #[must_use]
    pub fn vars(&self) -> &Vars {
        &self.vars
    }

    /// The generator's loss on `pictures: [n, c, h, w]`, which should be of `domain`: [`realism`].
    ///
    /// # Errors
    ///
    /// A domain that is not there, a wrong shape, or a failing transform.
    pub fn realism(
        &self,
        pictures: &Tensor,
        domain: usize,
        transform: Option<PictureTransform<'_>>,
    ) -> Result<AdversarialLoss> {
        let label = self.label(pictures, domain)?;
        realism(&self.frozen, pictures, Some(&label), transform)
    }

    /// The discriminator's loss on generated pictures `[n, c, h, w]`: [`fake_loss`].
    ///
    /// # Errors
    ///
    /// As [`realism`](Self::realism).
    pub fn fake_loss(
        &self,
        pictures: &Tensor,
        domain: usize,
        transform: Option<PictureTransform<'_>>,
    ) -> Result<AdversarialLoss> {
        let label = self.label(pictures, domain)?;
        fake_loss(&self.live, pictures, Some(&label), transform)
    }

    /// The discriminator's loss on real pictures `[n, c, h, w]`: [`real_loss`].
    ///
    /// # Errors
    ///
    /// As [`realism`](Self::realism).
    pub fn real_loss(
        &self,
        pictures: &Tensor,
        domain: usize,
        transform: Option<PictureTransform<'_>>,
    ) -> Result<AdversarialLoss> {
        let label = self.label(pictures, domain)?;
        real_loss(&self.live, pictures, Some(&label), transform)
    }

    /// The discriminator's regularizer on real pictures `[n, c, h, w]`: [`r1`].
    ///
    /// # Errors
    ///
    /// As [`realism`](Self::realism), or a `gamma` out of range.
    pub fn r1(
        &self,
        pictures: &Tensor,
        domain: usize,
        gamma: f64,
        transform: Option<PictureTransform<'_>>,
    ) -> Result<R1Loss> {
        let label = self.label(pictures, domain)?;
        r1(&self.live, pictures, Some(&label), gamma, transform)
    }

    /// The domain of every picture, `[n, domains]`.
    fn label(&self, pictures: &Tensor, domain: usize) -> Result<Tensor> {
        if domain >= self.domains {
            let expected = format!("below {}", self.domains);
            return Err(Error::setting("number of a domain", domain, expected));
        }
        let n = pictures.dims().first().copied().unwrap_or(0);
        let mut label = vec![0f32; n * self.domains];
        for row in label.chunks_mut(self.domains) {
            row[domain] = 1.0;
        }
        let label = Tensor::from_vec(label, (n, self.domains), &Device::Cpu)?;
        Ok(upload(&label, pictures.device())?)
    }
}

/// The same network with an embedding for each domain in place of classes, and statistics over whole batches, as those of a
/// step may be of any size.
fn conditional(mut config: DiscriminatorConfig, domains: usize) -> Result<DiscriminatorConfig> {
    if domains == 0 {
        return Err(Error::setting("domains of a discriminator", 0, "1 or more"));
    }
    let features = config.channels.get(&4).copied().unwrap_or(1);
    let mut mapping = DiscriminatorConfig::label_mapping(domains, features);
    mapping.num_layers = 0;
    config.mapping = Some(mapping);
    config.mbstd_group_size = None;
    Ok(config)
}
