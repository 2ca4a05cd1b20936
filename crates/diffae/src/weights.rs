//! Names, shapes and tensors of the networks: the bridge between a checkpoint and the modules.
//!
//! A module asks a [`VarBuilder`] for its tensors by the published `state_dict` keys. Building it once on a backend that only
//! takes notes yields the [`Spec`] of a configuration: every name with its shape. So the key tree is written down in one
//! place, the modules themselves, and a checkpoint is compared with it before any network is built.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use domex_checkpoint::{Asked, asked};

use crate::{Error, Result};

/// Tensors by their published names.
pub type Tensors = BTreeMap<String, Tensor>;

/// Variables by the published names of their parameters.
pub type Vars = BTreeMap<String, Var>;

/// Shapes by published names.
pub type Shapes = BTreeMap<String, Vec<usize>>;

/// Name and shape of every tensor of a network, in the order in which its modules hold them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    entries: Asked,
}

impl Spec {
    /// Takes notes of what `build` asks for. Nothing is allocated.
    pub(crate) fn record<T>(build: impl FnOnce(&VarBuilder<'_>) -> Result<T>) -> Result<Self> {
        let entries = asked(|vb| build(&vb))?;
        Ok(Self { entries })
    }

    /// Names and shapes in module order, which is the published parameter order.
    pub fn entries(&self) -> impl Iterator<Item = (&str, &[usize])> {
        self.entries
            .iter()
            .map(|(name, shape)| (name.as_str(), shape.as_slice()))
    }

    /// Compares names and shapes with those of a checkpoint.
    ///
    /// # Errors
    ///
    /// [`Error::Names`] with all missing and unexpected names, else [`Error::TensorShape`] with the first shape that differs.
    pub fn check(&self, found: &Shapes) -> Result<()> {
        let known: BTreeSet<&str> = self.entries().map(|(name, _)| name).collect();
        let missing = self.entries().map(|(name, _)| name);
        let missing = missing.filter(|name| !found.contains_key(*name));
        let missing: Vec<String> = missing.map(str::to_owned).collect();
        let unexpected = found.keys().filter(|name| !known.contains(name.as_str()));
        let unexpected: Vec<String> = unexpected.cloned().collect();
        if !missing.is_empty() || !unexpected.is_empty() {
            return Err(Error::Names {
                missing,
                unexpected,
            });
        }
        for (name, expected) in self.entries() {
            if found[name] != expected {
                return Err(Error::TensorShape {
                    name: name.to_owned(),
                    expected: expected.to_vec(),
                    found: found[name].clone(),
                });
            }
        }
        Ok(())
    }

    /// Turns every tensor into a [`Var`] for training. The second result has the variables' tensors: a network built on it
    /// follows every write of an optimizer. All are copied, so that the source stays as it is.
    ///
    /// # Errors
    ///
    /// When names or shapes are not those of this network, or memory runs out.
    pub fn trainable(&self, tensors: &Tensors) -> Result<(Vars, Tensors)> {
        self.check(&shapes(tensors))?;
        let mut vars = Vars::new();
        for (name, tensor) in tensors {
            vars.insert(name.clone(), Var::from_tensor(&tensor.detach())?);
        }
        let live = vars.iter();
        let live = live.map(|(name, var)| (name.clone(), var.as_tensor().clone()));
        let live = live.collect();
        Ok((vars, live))
    }
}

/// Shapes of a set of tensors.
pub fn shapes(tensors: &Tensors) -> Shapes {
    tensors
        .iter()
        .map(|(name, tensor)| (name.clone(), tensor.dims().to_vec()))
        .collect()
}

/// A builder over `tensors`, on the device and with the type of the first of them. Variables among them stay live.
pub(crate) fn builder(tensors: &Tensors) -> VarBuilder<'static> {
    let first = tensors.values().next();
    let (dtype, device) = first.map_or((DType::F32, Device::Cpu), |tensor| {
        (tensor.dtype(), tensor.device().clone())
    });
    let map: HashMap<String, Tensor> = tensors.clone().into_iter().collect();
    VarBuilder::from_tensors(map, dtype, &device)
}
