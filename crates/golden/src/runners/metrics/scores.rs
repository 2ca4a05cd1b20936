//! Scores of pictures alone and with texts: Inception score, CLIP score, CLIP-MMD.

use domex_metrics::{
    ClipScore, Gaussian, SPLITS, cmmd, cosines, inception_score, pairwise_diversity, unit_rows,
};

use super::{number, numbers};
use crate::{Case, Result, computed::Computed};

/// The Inception score and those of its parts.
pub(in crate::runners) fn inception(case: &Case) -> Result<Computed> {
    let splits = case.count("/num_splits").unwrap_or(SPLITS);
    let found = inception_score(case.input("probs")?, splits)?;
    let mut computed = Computed::default();
    for kind in ["", "_published_f32"] {
        computed.out(format!("mean{kind}"), number(found.mean)?);
        computed.out(format!("std{kind}"), number(found.std)?);
    }
    computed.out("split_scores", numbers(&found.splits)?);
    Ok(computed)
}

/// Scores of pictures with their texts, and distances of two sets of pictures.
pub(in crate::runners) fn clip(case: &Case) -> Result<Computed> {
    let (images, texts) = (case.input("image_features")?, case.input("text_features")?);
    let mut computed = Computed::default();
    let angles = cosines(images, texts)?;
    let score = ClipScore::new(&angles)?;
    computed.out("cosine", numbers(&angles)?);
    computed.out("clip_score_100", number(score.mean)?);
    computed.out("clip_score_100_clamped_mean", number(score.clamped_mean)?);
    computed.out("clip_score_100_clamped_each", number(score.clamped_each)?);
    computed.out("clip_s_2_5", number(score.clip_s)?);
    computed.out("pairwise_diversity", number(pairwise_diversity(images)?)?);

    let other = case.input("other_image_features")?;
    let published = Gaussian::default();
    let kernel = Gaussian {
        sigma: case.number("/cmmd/sigma").unwrap_or(published.sigma),
        scale: case.number("/cmmd/scale").unwrap_or(published.scale),
    };
    let narrow = Gaussian {
        sigma: 1.0,
        scale: 1.0,
    };
    let (units, other_units) = (unit_rows(images)?, unit_rows(other)?);
    for (name, a, b, kernel) in [
        ("cmmd_raw", images, other, kernel),
        ("cmmd_same", images, images, kernel),
        ("cmmd_normalised", &units, &other_units, kernel),
        ("cmmd_sigma1_scale1", &units, &other_units, narrow),
    ] {
        computed.out(name, number(cmmd(a, b, kernel)?)?);
    }
    Ok(computed)
}
