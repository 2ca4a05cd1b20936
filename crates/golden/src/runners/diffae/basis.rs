//! The closed-form basis of `z_sem`, and the code that its first layers make of it.

use candle_core::{DType, Device, Tensor};
use domex_diffae::Autoencoder;
use domex_latent::basis::{Basis, BasisKind};

use super::{config, padded};
use crate::{Case, Result, computed::Computed, runners::vectors};

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let config = config(case)?;
    let networks = Autoencoder::from_tensors(&padded(case, &config)?, &config)?;
    let matrices = networks.unet.acting_matrices();
    let weights: Vec<&Tensor> = matrices.iter().map(|m| &m.weight).collect();
    computed.out("W", Tensor::cat(&weights, 0)?);
    let styles = networks.unet.stylespace(case.input("z_sem")?)?;
    computed.out("stylespace", styles);

    let raw = Basis::from_matrices(&BasisKind::DomainExpansion, &matrices)?;
    let eigenvalues = raw.eigenvalues().unwrap_or_default();
    let eigenvalues = vectors::row(&eigenvalues, DType::F64, &Device::Cpu)?;
    computed.out("eigenvalues_WtW", eigenvalues);
    answer(case, "", &raw, &mut computed)?;
    let unit_rows = BasisKind::Genforce { layers: None };
    answer(
        case,
        "rownorm.",
        &Basis::from_matrices(&unit_rows, &matrices)?,
        &mut computed,
    )?;
    Ok(computed)
}

/// The directions are columns of ours and rows of the case, and signed alike.
fn answer(case: &Case, prefix: &str, basis: &Basis, computed: &mut Computed) -> Result<()> {
    let values = basis.values().unwrap_or_default();
    let values = vectors::row(values, DType::F64, &Device::Cpu)?;
    computed.out(format_args!("{prefix}singular_values"), values);
    if let Some(reference) = case.get(&format!("out.{prefix}basis")) {
        let reference = reference.t()?.contiguous()?;
        let signed = vectors::signed_like(basis.vectors(), &reference)?;
        computed.out(format_args!("{prefix}basis"), signed.t()?.contiguous()?);
    }
    Ok(())
}
