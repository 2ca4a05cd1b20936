//! LPIPS: distances, their shares by depth, maps, features, and gradients for the pictures.

use candle_core::{DType, Tensor};
use candle_nn::VarBuilder;
use domex_lpips::{Backbone, Config, Lpips, unit_length};
use domex_ops::{Resize, resize};

use crate::{
    Case, Result,
    computed::{Computed, dot, var},
    formula,
};

/// A whole distance with weights by formula.
pub(crate) fn distance(case: &Case) -> Result<Computed> {
    let backbone = backbone(case)?;
    let weights = formula::weights(case)?;
    let vb = VarBuilder::from_tensors(weights, DType::F32, case.device());
    let published = Config::new(backbone);
    let lpips = Lpips::new(&vb, &published)?;
    let baseline = Lpips::new(
        &vb,
        &Config {
            heads: false,
            ..published.clone()
        },
    )?;
    let unscaled = Lpips::new(
        &vb,
        &Config {
            scale_input: false,
            ..published
        },
    )?;

    let mut computed = Computed::default();
    let (a, b) = (var(case.input("img0")?)?, var(case.input("img1")?)?);
    let loss = distances(&lpips, "", &a, &b, &mut computed)?;
    let grads = loss.backward()?;
    computed.grad("img0", &grads, &a)?;
    computed.grad("img1", &grads, &b)?;
    let loss = distances(&baseline, "baseline_", &a, &b, &mut computed)?;
    computed.grad("baseline.img0", &loss.backward()?, &a)?;

    computed.out("distance_v0_0", map(&unscaled.distance(&a, &b)?)?);
    computed.out("identical_distance", map(&lpips.distance(&a, &a)?)?);
    unit_pictures(&lpips, &a, &b, &mut computed)?;
    spatial(case, &lpips, &a, &b, &mut computed)?;
    features(&lpips, &a, &mut computed)?;
    Ok(computed)
}

/// `{prefix}distance` and `{prefix}layer{k}`; returns the sum of the distances.
fn distances(
    lpips: &Lpips,
    prefix: &str,
    a: &Tensor,
    b: &Tensor,
    computed: &mut Computed,
) -> Result<Tensor> {
    let (a, b) = (lpips.features(a)?, lpips.features(b)?);
    let distance = lpips.between(&a, &b)?;
    computed.out(format!("{prefix}distance"), map(&distance)?);
    for (k, layer) in lpips.layers_between(&a, &b)?.iter().enumerate() {
        computed.out(format!("{prefix}layer{k}"), map(layer)?);
    }
    Ok(distance.sum_all()?)
}

/// Pictures in `[0, 1]`, brought to `[-1, 1]` before the comparison.
fn unit_pictures(lpips: &Lpips, a: &Tensor, b: &Tensor, computed: &mut Computed) -> Result<()> {
    let unit = |x: &Tensor| -> Result<Tensor> { Ok(((x.detach() + 1.0)? / 2.0)?) };
    let (a, b) = (var(&unit(a)?)?, unit(b)?);
    let signed = |x: &Tensor| -> Result<Tensor> { Ok(((x * 2.0)? - 1.0)?) };
    let distance = lpips.distance(&signed(&a)?, &signed(&b)?)?;
    computed.out("distance_normalize", map(&distance)?);
    computed.grad("img0_01", &distance.sum_all()?.backward()?, &a)
}

fn spatial(
    case: &Case,
    lpips: &Lpips,
    a: &candle_core::Var,
    b: &Tensor,
    computed: &mut Computed,
) -> Result<()> {
    let distance = lpips.spatial_between(&lpips.features(a)?, &lpips.features(b)?)?;
    let grads = dot(&distance, case.input("spatial_R")?)?.backward()?;
    computed.grad("spatial.img0", &grads, a)?;
    computed.out("spatial_map", distance);
    Ok(())
}

fn features(lpips: &Lpips, a: &Tensor, computed: &mut Computed) -> Result<()> {
    let features = lpips.raw_features(a)?;
    for (k, feature) in features.iter().enumerate() {
        computed.out(format!("feature{k}_channel_mean"), feature.mean((2, 3))?);
    }
    if let Some(last) = features.last() {
        computed.out("feature_last", last.clone());
    }
    Ok(())
}

/// `[n]` as the reference writes it, `[n, 1, 1, 1]`.
fn map(distances: &Tensor) -> Result<Tensor> {
    Ok(distances.reshape(((), 1, 1, 1))?)
}

pub(super) fn backbone(case: &Case) -> Result<Backbone> {
    match case.setting("/net").and_then(serde_json::Value::as_str) {
        Some("alex") => Ok(Backbone::Alex),
        Some("vgg") => Ok(Backbone::Vgg),
        Some("squeeze") => Ok(Backbone::Squeeze),
        other => Err(case.malformed(format!("net {other:?}, expected alex, vgg or squeeze"))),
    }
}

/// The building blocks one by one.
pub(crate) fn helpers(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let features = var(case.input("features")?)?;
    let normalised = unit_length(&features)?;
    let grads = dot(&normalised, case.input("R")?)?.backward()?;
    // Where the whole vector is 0 the reference's gradient is NaN, stored as 0.
    if let Some(grad) = grads.get(&features) {
        let defined = case.input("grad_is_nan")?.affine(-1.0, 1.0)?;
        computed.grad_tensor("features", grad.mul(&defined)?);
    }
    computed.out("normalized", normalised);
    let vb = VarBuilder::zeros(DType::F32, case.device());
    let lpips = Lpips::new(&vb, &Config::new(Backbone::Squeeze))?;
    computed.out("scaled", lpips.scale_input(case.input("img")?)?);
    let (_, _, h, w) = case.tensor("out.map_upsampled")?.dims4()?;
    computed.out(
        "map_upsampled",
        resize(case.input("map")?, h, w, Resize::Bilinear)?,
    );
    Ok(computed)
}
