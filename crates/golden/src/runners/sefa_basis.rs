//! Closed-form basis as Domain Expansion computes it.

use candle_core::{DType, Device, Tensor};
use domex_latent::basis::{Basis, BasisKind};
use domex_latent::subspace::Subspaces;
use serde::Deserialize;

use super::{acting, vectors};
use crate::{Case, Result, computed::Computed};

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    probe_dims: Vec<usize>,
}

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let matrices = acting::matrices(case)?;
    let basis = Basis::from_matrices(&BasisKind::DomainExpansion, &matrices)?;
    let v = basis.vectors();
    let values = basis.values().unwrap_or_default();

    let stacked = basis
        .sources()
        .iter()
        .map(|name| case.param(name).cloned())
        .collect::<Result<Vec<_>>>()?;
    computed.out("W", Tensor::cat(&stacked, 0)?);
    computed.out("abs_V", v.abs()?);
    computed.out64("abs_V", v.abs()?);
    if let Some(reference) = case.get("out.V") {
        computed.out("V", vectors::signed_like(v, reference)?);
    }
    if let Some(reference) = case.get("out64.V") {
        computed.out64("V", vectors::signed_like(v, reference)?);
    }
    computed.out(
        "singular_values",
        vectors::row(values, DType::F64, &Device::Cpu)?,
    );
    computed.out64(
        "singular_values",
        vectors::row(values, DType::F64, &Device::Cpu)?,
    );
    for (name, _) in case.with_prefix("out.projector_") {
        if let Some(projector) = vectors::projector(v, name)? {
            computed.out(format_args!("projector_{name}"), projector);
        }
    }
    if case.wants("base_latent_probe") {
        let (w, mean) = (case.input("w")?, case.input("mean")?);
        let dims = case.config::<Config>()?.probe_dims;
        let spaces = Subspaces::new(&basis, &dims, None, w.device(), w.dtype())?;
        computed.out("base_latent_probe", spaces.project(w, Some(mean))?);
    }
    Ok(computed)
}
