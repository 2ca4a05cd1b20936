//! The rows of networks that make domains: the pages of `hyperdomain` and `degan`.

use super::{Bound, Kind, Row, all, grad, named, out, row};
use crate::kind::CaseKind::*;

/// As [`ROWS`](super::ROWS).
pub(super) const ROWS: &[Row] = &[
    row(
        DomainModulation,
        "domain_modulation",
        &[
            named(Kind::Out, "svd_s", Bound::abs(1e-4)),
            out(2e-5, 6e-6),
            grad(2e-4, 8e-6),
        ],
    ),
    row(
        DomainModulatedGenerator,
        "generator_offsets",
        &[out(2e-4, 2e-5), grad(7e-2, 4e-5)],
    ),
    row(
        Hypernetwork,
        "mapper_residual_channelin",
        &[out(5e-5, 2e-5), grad(7e-3, 9e-5)],
    ),
    row(
        Hypernetwork,
        "mapper_residual_channelwise_sep",
        &[out(5e-5, 9e-6), grad(7e-3, 7e-5)],
    ),
    row(
        EmbeddingAugmentation,
        "resample_and_convex",
        &[out(3e-6, 4e-6)],
    ),
    row(
        DomainEncoder,
        "domain_encoder",
        &[out(2e-5, 2e-5), grad(2e-4, 4e-5)],
    ),
    row(
        StyleSpace,
        "stylespace",
        &[out(6e-5, 2e-5), grad(2e-4, 1e-5)],
    ),
    row(
        VggLosses,
        "vgg_losses",
        &[
            // Enlarged pictures have many equal neighbours, and rounding decides which of them pooling takes.
            named(Kind::Grad, "vgg_resized.gen_img", Bound::new(1e-2, 2e-4)),
            out(4e-2, 3e-5),
            grad(2e-3, 3e-5),
        ],
    ),
    row(DeganScores, "metrics_and_fade_in", &[all(Bound::abs(1e-6))]),
    row(
        StyleDirections,
        "stylespace_directions",
        &[out(8e-5, 2e-5), grad(4e-4, 2e-5)],
    ),
    row(
        StyleDomain,
        "affine_light_plus",
        &[out(9e-5, 8e-6), grad(8e-4, 2e-5)],
    ),
    row(
        StyleDomain,
        "affine_plus",
        &[out(5e-5, 7e-6), grad(5e-4, 4e-5)],
    ),
    row(
        StyleDomain,
        "stylespace",
        &[out(3e-5, 5e-6), grad(2e-4, 3e-5)],
    ),
    row(
        StyleDomain,
        "multiplicative_rank",
        &[out(5e-5, 9e-6), grad(3e-4, 4e-5)],
    ),
];
