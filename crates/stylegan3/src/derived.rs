//! Tensors of a checkpoint that its configuration says: filters, and the user's transform, which is none.

use std::collections::btree_map::Entry;

use candle_core::{DType, Device, Tensor};
use domex_stylegan2::weights::Tensors;

use crate::config::SynthesisConfig;
use crate::filter::{radial, separable};
use crate::input::TRANSFORM;
use crate::layer::{DOWN_FILTER, UP_FILTER};
use crate::{Result, Transform};

/// Those tensors in double precision, by their names below the generator.
pub(crate) fn tensors(cfg: &SynthesisConfig) -> Result<Tensors> {
    let mut out = Tensors::new();
    let matrix = Transform::default().matrix(DType::F64, &Device::Cpu)?;
    out.insert(format!("synthesis.input.{TRANSFORM}"), matrix);
    for layer in cfg.layers() {
        let path = |name: &str| format!("synthesis.{}.{name}", layer.name);
        if let Some((taps, band)) = &layer.up_filter {
            let filter = Tensor::new(separable(*taps, band), &Device::Cpu)?;
            out.insert(path(UP_FILTER), filter);
        }
        if let Some((taps, band)) = &layer.down_filter {
            let filter = match layer.radial {
                true => Tensor::from_vec(radial(*taps, band), (*taps, *taps), &Device::Cpu)?,
                false => Tensor::new(separable(*taps, band), &Device::Cpu)?,
            };
            out.insert(path(DOWN_FILTER), filter);
        }
    }
    Ok(out)
}

/// Adds what of them a checkpoint leaves out.
pub(crate) fn complete(tensors: &mut Tensors, cfg: &SynthesisConfig) -> Result<()> {
    let like = tensors.values().next();
    let (dtype, device) = like.map_or((DType::F32, Device::Cpu), |tensor| {
        (tensor.dtype(), tensor.device().clone())
    });
    for (name, tensor) in self::tensors(cfg)? {
        if let Entry::Vacant(missing) = tensors.entry(name) {
            missing.insert(tensor.to_dtype(dtype)?.to_device(&device)?);
        }
    }
    Ok(())
}
