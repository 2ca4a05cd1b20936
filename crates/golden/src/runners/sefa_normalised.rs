//! Closed-form basis as genforce computes it, for all layers and for choices of them.
//!
//! Each choice has a name (`all`, `subset`) and its answers stand under `out.{name}.`. The
//! published program returns its eigenvectors in the solver's order, which no other solver need
//! share: those answers are ours, put in the reference's order by the rank of the eigenvalues.

use std::collections::BTreeSet;

use candle_core::{DType, Device, Tensor};
use domex_latent::basis::{Basis, BasisKind};

use super::{acting, vectors};
use crate::{Case, Result, compare::values, computed::Computed};

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let matrices = acting::matrices(case)?;
    let names: BTreeSet<&str> = case
        .with_prefix("out.")
        .chain(case.with_prefix("out64."))
        .filter_map(|(name, _)| name.split_once('.').map(|(choice, _)| choice))
        .collect();
    for name in names {
        let layers = match case
            .setting(&format!("/{name}_layer_idx"))
            .and_then(|v| v.as_str())
        {
            None | Some("all") => None,
            Some(list) => Some(parse_layers(list).ok_or_else(|| {
                case.malformed(format!(
                    "config `{name}_layer_idx`: {list:?} is no list of layers"
                ))
            })?),
        };
        let basis = Basis::from_matrices(
            &BasisKind::Genforce {
                layers: layers.clone(),
            },
            &matrices,
        )?;
        let layers = layers.unwrap_or_else(|| (0..basis.sources().len()).collect());
        answer(case, name, &basis, &layers, &mut computed)?;
    }
    Ok(computed)
}

fn answer(
    case: &Case,
    name: &str,
    basis: &Basis,
    layers: &[usize],
    computed: &mut Computed,
) -> Result<()> {
    let v = basis.vectors();
    let eigenvalues = basis.eigenvalues().unwrap_or_default();
    let row = |numbers: &[f64]| vectors::row(numbers, DType::F64, &Device::Cpu);
    let layers: Vec<f64> = layers.iter().map(|&layer| layer as f64).collect();

    computed.out(format_args!("{name}.layers"), row(&layers)?);
    computed.out(
        format_args!("{name}.eigenvalues_sorted"),
        row(&eigenvalues)?,
    );
    computed.out64(
        format_args!("{name}.eigenvalues_sorted"),
        row(&eigenvalues)?,
    );
    computed.out(format_args!("{name}.sorted_abs_V"), v.abs()?);
    computed.out64(format_args!("{name}.sorted_abs_V"), v.abs()?);
    if let Some(reference) = case.get(&format!("out.{name}.sorted_V")) {
        computed.out(
            format_args!("{name}.sorted_V"),
            vectors::signed_like(v, reference)?,
        );
    }
    for (which, _) in case.with_prefix(&format!("out.{name}.sorted_projector_")) {
        if let Some(projector) = vectors::projector(v, which)? {
            computed.out(format_args!("{name}.sorted_projector_{which}"), projector);
        }
    }
    let Some(returned) = case.get(&format!("out.{name}.eigenvalues_as_returned")) else {
        return Ok(());
    };
    let ranks = ranks(&values(returned)?);
    if ranks.len() != eigenvalues.len() || v.dim(1)? != ranks.len() {
        return Ok(());
    }
    let returned: Vec<f64> = ranks
        .iter()
        .map(|&rank| eigenvalues[rank as usize])
        .collect();
    computed.out(
        format_args!("{name}.eigenvalues_as_returned"),
        row(&returned)?,
    );
    if let Some(reference) = case.get(&format!("out.{name}.vectors_as_returned_rows")) {
        let order = Tensor::new(ranks, v.device())?;
        let columns = v.contiguous()?.index_select(&order, 1)?;
        let signed = vectors::signed_like(&columns, &reference.t()?.contiguous()?)?;
        computed.out(format_args!("{name}.vectors_as_returned_rows"), signed.t()?);
    }
    Ok(())
}

/// For each number its place among all, largest first.
fn ranks(numbers: &[f64]) -> Vec<u32> {
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|&a, &b| numbers[b].total_cmp(&numbers[a]));
    let mut ranks = vec![0; numbers.len()];
    for (rank, &at) in order.iter().enumerate() {
        ranks[at] = rank as u32;
    }
    ranks
}

/// `0-1,3` is 0, 1, 3.
fn parse_layers(list: &str) -> Option<Vec<usize>> {
    let mut layers = Vec::new();
    for part in list.split(',').map(str::trim) {
        match part.split_once('-') {
            Some((first, last)) => {
                let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
                if first > last || last > 64 {
                    return None;
                }
                layers.extend(first..=last);
            }
            None => layers.push(part.parse().ok()?),
        }
    }
    Some(layers)
}
