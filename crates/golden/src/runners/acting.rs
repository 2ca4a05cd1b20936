//! Acting matrices from a case that holds only the affine weights of a synthesis network.

use domex_latent::{ActingMatrix, Role};

use crate::{Case, Result};

/// Every `param.synthesis.b{n}.{layer}.affine.weight`, in parameter order.
pub(super) fn matrices(case: &Case) -> Result<Vec<ActingMatrix>> {
    let mut found = Vec::new();
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
        let matrix = ActingMatrix {
            name: name.to_owned(),
            role: if layer == "torgb" {
                Role::ToRgb
            } else {
                Role::Conv
            },
            stage: resolution.ilog2() as usize - 2,
            weight: weight.clone(),
        };
        found.push(((resolution, place), matrix));
    }
    // Block by block, not by the letters of the name: b16 comes after b8.
    found.sort_by_key(|(place, _)| *place);
    Ok(found.into_iter().map(|(_, matrix)| matrix).collect())
}

fn parse(name: &str) -> Option<(usize, &str)> {
    let rest = name
        .strip_prefix("synthesis.b")?
        .strip_suffix(".affine.weight")?;
    let (resolution, layer) = rest.split_once('.')?;
    Some((resolution.parse().ok()?, layer))
}
