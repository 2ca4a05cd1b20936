//! Measures of two sets of features: Fréchet distance, kernel distance, precision and recall.

use candle_core::{DType, Device, Tensor};
use domex_metrics::{
    KernelDistance, Manifold, Moments, NEIGHBOUR, PrecisionRecall, Rounding, frechet,
    frechet_biased,
};

use super::{number, numbers, set_names};
use crate::{Case, Result, computed::Computed};

/// Moments and distances of each pair of sets, with either divisor of the covariance. What the public programs return
/// (`published`) is answered by the exact number, too.
pub(in crate::runners) fn frechet_distance(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    for set in set_names(case) {
        let mut sides = Vec::new();
        for side in ["real", "gen"] {
            let features = case.input(&format!("{set}_features_{side}"))?;
            let mut moments = Moments::new(features.dim(1)?);
            moments.add(features)?;
            computed.out(format!("{set}_mu_{side}"), numbers(&moments.mean()?)?);
            for (name, covariance) in [
                ("", moments.covariance()?),
                ("_biased", moments.biased_covariance()?),
            ] {
                let d = moments.dim();
                let values = (0..d * d).map(|at| covariance[(at / d, at % d)]);
                let sigma = Tensor::from_iter(values, &Device::Cpu)?.reshape((d, d))?;
                computed.out(format!("{set}_sigma_{side}{name}"), sigma);
            }
            sides.push(moments);
        }
        for (name, distance) in [
            ("unbiased", frechet(&sides[0], &sides[1])?),
            ("biased", frechet_biased(&sides[0], &sides[1])?),
        ] {
            for kind in ["exact", "published"] {
                computed.out(format!("{set}_fid_{name}_{kind}"), number(distance)?);
            }
        }
    }
    Ok(computed)
}

/// The kernel distance over the case's subsets.
pub(in crate::runners) fn kernel_distance(case: &Case) -> Result<Computed> {
    let indices = |name: &str| -> Result<Vec<Vec<u32>>> {
        Ok(case.input(name)?.to_dtype(DType::U32)?.to_vec2()?)
    };
    let (real, generated) = (indices("real_indices")?, indices("gen_indices")?);
    let subsets: Vec<_> = generated.into_iter().zip(real).collect();
    let (features, other) = (case.input("features_gen")?, case.input("features_real")?);
    let found = KernelDistance::of_subsets(features, other, &subsets)?;
    let mut computed = Computed::default();
    computed.out("kid", number(found.mean)?);
    computed.out("kid_published_f32", number(found.mean)?);
    Ok(computed)
}

/// Precision and recall, each sample's and picture's part in them, and the neighbourhoods' radii.
pub(in crate::runners) fn precision_recall(case: &Case) -> Result<Computed> {
    let k = case.count("/k").unwrap_or(NEIGHBOUR);
    let (real, samples) = (case.input("features_real")?, case.input("features_gen")?);
    let mut computed = Computed::default();
    for (name, features) in [("kth_real", real), ("kth_gen", samples)] {
        let manifold = Manifold::new(features, k, Rounding::None)?;
        computed.out(name, numbers(manifold.radii())?);
    }
    let hits = |hits: &[bool]| numbers(&hits.iter().map(|&hit| f64::from(hit)).collect::<Vec<_>>());
    let found = PrecisionRecall::new(samples, real, k, Rounding::None)?;
    computed.out("precision", number(found.precision)?);
    computed.out("recall", number(found.recall)?);
    computed.out("precision_hits", hits(&found.precision_hits)?);
    computed.out("recall_hits", hits(&found.recall_hits)?);
    let half = PrecisionRecall::new(samples, real, k, Rounding::Half)?;
    computed.out("precision_half", number(half.precision)?);
    computed.out("recall_half", number(half.recall)?);
    Ok(computed)
}
