//! Names, shapes and tensors of a network: the bridge between checkpoints and modules.
//!
//! A module asks a [`VarBuilder`] for its tensors by the published `state_dict` keys. Building it
//! once on a backend that only takes notes yields the [`Spec`] of a configuration: every name with
//! its shape. So the key tree is written down in one place, the modules themselves, and a
//! checkpoint is compared with it before any network is built.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Shape, Tensor, Var};
use candle_nn::{Init, VarBuilder};
use domex_checkpoint::{Asked, asked};

use crate::{Error, Result};

/// Tensors by their published names.
pub type Tensors = BTreeMap<String, Tensor>;

/// Variables by the published names of their parameters.
pub type Vars = BTreeMap<String, Var>;

/// Whether a tensor is trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Written by an optimizer.
    Parameter,
    /// A constant or a running mean: `resample_filter`, `noise_const`, `w_avg`; of a StyleGAN3 also its filters, magnitudes
    /// and Fourier features.
    Buffer,
}

impl Kind {
    /// What a tensor is, told by the last part of its name.
    pub fn of(name: &str) -> Self {
        match name.rsplit('.').next() {
            Some(
                "resample_filter" | "noise_const" | "w_avg" | "up_filter" | "down_filter"
                | "magnitude_ema" | "transform" | "freqs" | "phases",
            ) => Self::Buffer,
            _ => Self::Parameter,
        }
    }
}

/// Name and shape of every tensor of a network, in the order in which its modules hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    network: String,
    entries: Asked,
}

impl Spec {
    /// Takes notes of what `build` asks for. Nothing is allocated.
    ///
    /// # Errors
    ///
    /// Those of `build`.
    pub fn record<T, E>(
        network: &str,
        build: impl FnOnce(VarBuilder<'static>) -> std::result::Result<T, E>,
    ) -> std::result::Result<Self, E> {
        Ok(Self {
            network: network.to_string(),
            entries: asked(build)?,
        })
    }

    /// Names and shapes in module order, which is the published parameter order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.entries
            .iter()
            .map(|(name, shape)| (name.as_str(), shape.as_slice()))
    }

    /// Names of the trained tensors, in module order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.of_kind(Kind::Parameter)
    }

    /// Names of the tensors that are not trained, in module order.
    pub fn buffers(&self) -> impl Iterator<Item = &str> {
        self.of_kind(Kind::Buffer)
    }

    fn of_kind(&self, kind: Kind) -> impl Iterator<Item = &str> {
        let names = self.entries.iter().map(|(name, _)| name.as_str());
        names.filter(move |name| Kind::of(name) == kind)
    }

    /// Compares names and shapes with those of a checkpoint.
    ///
    /// # Errors
    ///
    /// [`Error::Names`] with all missing and unexpected names, else [`Error::TensorShape`] with
    /// the first shape that differs.
    pub fn check(&self, found: &BTreeMap<String, Vec<usize>>) -> Result<()> {
        let missing: Vec<String> = self
            .entries
            .iter()
            .filter(|(name, _)| !found.contains_key(name))
            .map(|(name, _)| name.clone())
            .collect();
        let known: std::collections::BTreeSet<&str> =
            self.entries.iter().map(|(name, _)| name.as_str()).collect();
        let unexpected: Vec<String> = found
            .keys()
            .filter(|name| !known.contains(name.as_str()))
            .cloned()
            .collect();
        if !missing.is_empty() || !unexpected.is_empty() {
            return Err(Error::Names {
                network: self.network.clone(),
                missing,
                unexpected,
            });
        }
        for (name, expected) in &self.entries {
            if found[name] != *expected {
                return Err(Error::TensorShape {
                    network: self.network.clone(),
                    name: name.clone(),
                    expected: expected.clone(),
                    found: found[name].clone(),
                });
            }
        }
        Ok(())
    }

    /// Turns every parameter of `tensors` into a [`Var`] for training; buffers stay constants.
    ///
    /// The second result has the variables in place of the parameters: a network built on it
    /// follows every write of an optimizer. All tensors are copied, so that the source stays as
    /// it is.
    ///
    /// # Errors
    ///
    /// When names or shapes are not those of this network, or memory runs out.
    pub fn trainable(&self, tensors: &Tensors) -> Result<(Vars, Tensors)> {
        self.check(&shapes(tensors))?;
        let mut vars = Vars::new();
        let mut live = Tensors::new();
        for (name, tensor) in tensors {
            if Kind::of(name) == Kind::Parameter {
                let var = Var::from_tensor(&tensor.detach())?;
                live.insert(name.clone(), var.as_tensor().clone());
                vars.insert(name.clone(), var);
            } else {
                live.insert(name.clone(), tensor.detach().copy()?);
            }
        }
        Ok((vars, live))
    }
}

/// Shapes of a set of tensors.
pub fn shapes(tensors: &Tensors) -> BTreeMap<String, Vec<usize>> {
    tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.dims().to_vec()))
        .collect()
}

/// A builder over `tensors`, on the device and with the type of the first of them. Variables among
/// them stay live.
pub fn builder(tensors: &Tensors) -> VarBuilder<'static> {
    let (dtype, device) = tensors
        .values()
        .next()
        .map_or((DType::F32, Device::Cpu), |tensor| {
            (tensor.dtype(), tensor.device().clone())
        });
    let map: HashMap<String, Tensor> = tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.clone()))
        .collect();
    VarBuilder::from_tensors(map, dtype, &device)
}

/// Walks over the tensors of a network under their published names.
pub trait Walk {
    /// Adds every tensor below `path` to `out`.
    fn walk(&self, path: &str, out: &mut Tensors);
}

/// `path.name`, or `name` at the root.
pub fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_string()
    } else {
        format!("{path}.{name}")
    }
}

/// Adds a tensor under `path.name`.
pub fn put(out: &mut Tensors, path: &str, name: &str, tensor: &Tensor) {
    out.insert(join(path, name), tensor.clone());
}

/// Standard normal entries divided by `divisor`.
pub fn normal(divisor: f64) -> Init {
    Init::Randn {
        mean: 0.0,
        stdev: 1.0 / divisor,
    }
}

/// A tensor that is not trained. Detached, so that no gradient is ever asked for it, and still
/// following writes to a variable that may stand behind it.
///
/// # Errors
///
/// A missing tensor or a wrong shape.
pub fn buffer(
    vb: &VarBuilder<'_>,
    shape: impl Into<Shape>,
    name: &str,
    init: Init,
) -> candle_core::Result<Tensor> {
    Ok(vb.get_with_hints(shape, name, init)?.detach())
}
