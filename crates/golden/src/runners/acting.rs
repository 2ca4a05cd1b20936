//! Acting matrices from a case that holds only the affine weights of a synthesis network.

use candle_core::Tensor;
use domex_latent::ActingMatrix;
use domex_stylegan2::synthesis::basis_kinds;

use crate::{Case, Result};

/// Every `param.synthesis.b{n}.{layer}.affine.weight`, in parameter order.
pub(super) fn matrices(case: &Case) -> Result<Vec<ActingMatrix>> {
    let mut found: Vec<((usize, u8), &str, &str, &Tensor)> = Vec::new();
    for (name, weight) in case.with_prefix("param.") {
        let Some((resolution, layer)) = parse(name) else {
            continue;
        };
        let place = match layer {
            "conv0" => 0,
            "conv1" => 1,
            "torgb" => 2,
            _ => return Err(case.malformed(format!("`param.{name}`: layer `{layer}`?"))),
        };
        if !resolution.is_power_of_two() || resolution < 4 {
            return Err(case.malformed(format!("`param.{name}`: resolution {resolution}?")));
        }
        found.push(((resolution, place), layer, name, weight));
    }
    // Block by block, not by the letters of the name: b16 comes after b8.
    found.sort_by_key(|(place, ..)| *place);
    let stage = |resolution: usize| resolution.ilog2() as usize - 2;
    let blocks = found.last().map_or(0, |((at, _), ..)| stage(*at) + 1);
    let matrix =
        |((resolution, _), layer, name, weight): ((usize, u8), &str, &str, &Tensor)| ActingMatrix {
            name: name.to_owned(),
            kinds: basis_kinds(layer, stage(resolution), blocks),
            weight: weight.clone(),
        };
    Ok(found.into_iter().map(matrix).collect())
}

fn parse(name: &str) -> Option<(usize, &str)> {
    let rest = name
        .strip_prefix("synthesis.b")?
        .strip_suffix(".affine.weight")?;
    let (resolution, layer) = rest.split_once('.')?;
    Some((resolution.parse().ok()?, layer))
}
