//! Measures of sets of pictures, and the Inception network: which of their cases a file is, and what each expects.

pub(super) mod inception;
pub(super) mod path_length;
pub(super) mod scores;
pub(super) mod sets;

use candle_core::{Device, Tensor};

use crate::{Case, CaseKind, Result};

/// The kind of a case of this family.
pub(crate) fn kind(case: &Case) -> Option<CaseKind> {
    let has = |name: &str| case.get(name).is_some();
    let kind = if set_names(case).next().is_some() && case.any("out.") {
        CaseKind::Frechet
    } else if has("in.gen_indices") && has("in.real_indices") && case.wants("kid") {
        CaseKind::KernelDistance
    } else if has("in.features_real") && case.wants("precision") && case.wants("recall") {
        CaseKind::PrecisionRecall
    } else if has("in.probs") && case.wants("split_scores") {
        CaseKind::InceptionScore
    } else if has("in.mapping_weight") && has("in.synthesis_weight") && case.wants("ppl") {
        CaseKind::PerceptualPathLength
    } else if has("in.image_features") && has("in.text_features") && case.wants("cosine") {
        CaseKind::ClipScores
    } else if has("in.images") && case.any("out.channel_mean.Conv2d_1a_3x3") {
        CaseKind::Inception
    } else {
        return None;
    };
    Some(kind)
}

/// Names of pairs of sets, `in.{name}_features_real` and `in.{name}_features_gen`.
fn set_names(case: &Case) -> impl Iterator<Item = &str> {
    case.with_prefix("in.")
        .filter_map(|(name, _)| name.strip_suffix("_features_real"))
}

/// One number as the reference writes it, `[1]`.
fn number(value: f64) -> Result<Tensor> {
    numbers(&[value])
}

fn numbers(values: &[f64]) -> Result<Tensor> {
    Ok(Tensor::new(values, &Device::Cpu)?)
}
