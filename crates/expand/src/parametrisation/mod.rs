//! What is trained: the numbers by which a generator learns its new domains.
//!
//! | `parametrisation` | trained | in the model's file |
//! | --- | --- | --- |
//! | [`full`] | the generator's weights | the weights |
//! | `stylespace` ([`vectors`]) | an offset to each style of each layer, for each new domain | the offsets, beside the source's weights |
//! | `cin-mult` ([`vectors`]) | a factor for each input channel behind a gate | the factors, beside the source's weights |
//! | `gated` ([`vectors`]) | the same and a factor for each input channel, behind a gate that is closed on the base | the vectors, beside the source's weights |
//! | `affine`, `affine-light` ([`vectors`]) | changes of the layers' affine maps, whole or of low rank, behind that gate | the changes, beside the source's weights |
//! | `dorm` ([`vectors`]) | the same changes as `affine`, and a mapping before them | both, beside the source's weights |
//! | `gan-memory` ([`vectors`]) | the deviation and the mean of each kernel, and biases, behind that gate | their changes, beside the source's weights |
//!
//! A parametrisation owns the variables and makes the trainee depend on them: [`Full`](full::Full) asks it to train its
//! weights, others give it a [`Modulator`](domex_latent::modulation::Modulator), which says how each layer is modulated for
//! each sample. The optimizer and the moving average know the variables only.

pub mod full;
pub mod vectors;

use domex_latent::Expansion;
use domex_latent::basis::Basis;
use domex_latent::subspace::Layout;
use domex_train::Parameters;
use domex_train::ema::Ema;
use serde::{Deserialize, Serialize};

use crate::{Config, Error, Result, Trainee};

/// The parametrisations that settings can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ParametrisationKind {
    /// See [`full`].
    #[default]
    Full,
    /// Offsets to styles, see [`vectors`].
    Stylespace,
    /// Factors of input channels behind a gate, HyperDomainNet's domain modulation, see [`vectors`].
    CinMult,
    /// Offsets and factors behind a gate, see [`vectors`].
    Gated,
    /// Changes of affine maps and their biases behind a gate, see [`vectors`].
    Affine,
    /// The same of low rank, without biases.
    AffineLight,
    /// What [`Affine`](Self::Affine) trains, with a mapping of the latent before it, as Domain Re-Modulation has them.
    Dorm,
    /// Changes of kernels' deviations and means, and of biases, GAN Memory's styles of kernels.
    GanMemory,
}

impl ParametrisationKind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Full,
        Self::Stylespace,
        Self::CinMult,
        Self::Gated,
        Self::Affine,
        Self::AffineLight,
        Self::Dorm,
        Self::GanMemory,
    ];

    /// What settings call it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Stylespace => "stylespace",
            Self::CinMult => "cin-mult",
            Self::Gated => "gated",
            Self::Affine => "affine",
            Self::AffineLight => "affine-light",
            Self::Dorm => "dorm",
            Self::GanMemory => "gan-memory",
        }
    }

    /// How many times the learning rate of weights serves. Vectors begin at zero and have to come to the order of a
    /// style, which is one, while weights move by hundredths, and so do matrices that are added to them.
    #[must_use]
    pub fn learning_rate_gain(self) -> f64 {
        match self {
            Self::Full | Self::Affine | Self::AffineLight | Self::Dorm | Self::GanMemory => 1.0,
            Self::Stylespace | Self::CinMult | Self::Gated => 5.0,
        }
    }

    /// Whether what is trained changes pictures of the base subspace, so that replay and training on the source domain hold
    /// something.
    #[must_use]
    pub fn changes_base(self) -> bool {
        self == Self::Full
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What StyleDomain's parametrisations leave open.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StyleDomainConfig {
    /// Of `affine-light`: the rank of each change.
    pub rank: usize,
    /// Of `affine` and `affine-light`: the resolution of the block whose weights get offsets too, as Affine+ and AffineLight+
    /// have them at 64; without this none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block: Option<usize>,
    /// Of `stylespace`: the share of a domain's offsets, the largest, that the model's file keeps.
    pub top: f64,
}

impl Default for StyleDomainConfig {
    /// As published: rank 5, and all offsets.
    fn default() -> Self {
        Self {
            rank: 5,
            block: None,
            top: 1.0,
        }
    }
}

impl StyleDomainConfig {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// # Errors
    ///
    /// A number out of range, or one that this parametrisation has no use for.
    pub(crate) fn validate(&self, kind: ParametrisationKind) -> Result<()> {
        use ParametrisationKind::{Affine, AffineLight, Stylespace};
        let default = Self::default();
        let of =
            |kinds: &str| format!("left out: parametrisation {:?} is not {kinds}", kind.name());
        if self.rank == 0 {
            return Err(Error::setting("styledomain.rank", 0, "a number above 0"));
        }
        if self.rank != default.rank && kind != AffineLight {
            let expected = of("\"affine-light\"");
            return Err(Error::setting("styledomain.rank", self.rank, expected));
        }
        if let Some(block) = self.block
            && !matches!(kind, Affine | AffineLight)
        {
            let expected = of("\"affine\" or \"affine-light\"");
            return Err(Error::setting("styledomain.block", block, expected));
        }
        if !(self.top > 0.0 && self.top <= 1.0) {
            let expected = "above 0 and at most 1";
            return Err(Error::setting("styledomain.top", self.top, expected));
        }
        if self.top < 1.0 && kind != Stylespace {
            let expected = of("\"stylespace\"");
            return Err(Error::setting("styledomain.top", self.top, expected));
        }
        Ok(())
    }
}

/// Where a run's domains lie: those that the generator had, then the new ones.
#[derive(Debug, Clone, Copy)]
pub struct Domains<'a> {
    /// All domains.
    pub layout: &'a Layout,
    /// How many the generator had.
    pub earlier: usize,
    /// Their directions.
    pub basis: &'a Basis,
}

/// See the [module docs](self).
pub trait Parametrisation {
    /// What is trained, by name.
    fn parameters(&self) -> &Parameters;

    /// Its moving average.
    fn ema(&self) -> &Ema;

    /// The row of a latent by which [adaptive layers](crate::layers) choose the layer of this parameter; `None` for what they
    /// never train.
    fn row_of(&self, parameter: &str, trainee: &dyn Trainee) -> Option<usize>;

    /// Whether this parameter is of no layer but before all of them, and trained in each step whichever layers are chosen.
    fn is_before_layers(&self, _parameter: &str) -> bool {
        false
    }

    /// The domains as they go into the model's file: with what of the parametrisation is not the generator's own weights.
    ///
    /// # Errors
    ///
    /// candle's own.
    fn record(&self, expansion: Expansion) -> Result<Expansion>;
}

/// Makes `trainee` depend on the variables of the run's parametrisation, and its averaged network on their average. `seed` is
/// that of every stream.
///
/// # Errors
///
/// A generator that cannot be parametrised so.
pub fn attach(
    config: &Config,
    trainee: &mut dyn Trainee,
    domains: Domains<'_>,
    seed: u64,
) -> Result<Box<dyn Parametrisation>> {
    Ok(match config.parametrisation {
        ParametrisationKind::Full => Box::new(full::Full::attach(trainee, config.ema)?),
        _ => Box::new(vectors::Vectors::attach(config, trainee, domains, seed)?),
    })
}
