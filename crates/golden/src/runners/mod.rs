//! One runner per kind of case: builds what the case describes, and computes what it expects.

mod acting;
mod bias_act;
mod checkpoint;
mod clip;
mod clip_preprocess;
mod discriminator;
mod expansion;
mod generator;
mod lpips;
mod modulated_conv2d;
pub(crate) mod nada;
mod network;
mod path_length;
mod pooling;
mod projection;
mod resize_bilinear;
mod resize_pil;
mod rosinality;
mod sefa_basis;
mod sefa_normalised;
mod upfirdn2d;
mod vectors;

use std::path::Path;

use crate::{Case, CaseKind, Result, computed::Computed};

/// Computes all that `case` expects. `checkpoint` is the file to read the network from, where the
/// case is one of a checkpoint's contents; `None` builds it from the case's own tensors.
pub(crate) fn run(kind: CaseKind, case: &Case, checkpoint: Option<&Path>) -> Result<Computed> {
    match kind {
        CaseKind::UpFirDn2d => upfirdn2d::run(case),
        CaseKind::BiasAct => bias_act::run(case),
        CaseKind::ModulatedConv2d => modulated_conv2d::run(case),
        CaseKind::Generator => generator::run(case),
        CaseKind::Discriminator | CaseKind::DiscriminatorR1 => discriminator::run(case),
        CaseKind::PathLength => path_length::run(case),
        CaseKind::RosinalityGenerator => rosinality::run(case),
        CaseKind::RosinalityCheckpoint => checkpoint::rosinality(case, checkpoint),
        CaseKind::NvlabsCheckpoint => checkpoint::nvlabs(case, checkpoint),
        CaseKind::SefaBasis => sefa_basis::run(case),
        CaseKind::SefaBasisNormalised => sefa_normalised::run(case),
        CaseKind::Projection => projection::run(case),
        CaseKind::ResizeBicubic => clip_preprocess::named(case),
        CaseKind::ClipPreprocess => clip_preprocess::numbered(case),
        CaseKind::ResizePil => resize_pil::run(case),
        CaseKind::Pooling => pooling::run(case),
        CaseKind::Lpips => lpips::distance(case),
        CaseKind::LpipsHelpers => lpips::helpers(case),
        CaseKind::Clip => clip::run(case),
        CaseKind::ResizeBilinear => resize_bilinear::run(case),
        CaseKind::TextDirection => nada::directions::text_direction(case),
        CaseKind::DirectionLosses => nada::directions::losses(case),
        CaseKind::DirectionByModels => nada::directions::by_models(case),
        CaseKind::DirectionEndToEnd => nada::end_to_end::run(case),
        CaseKind::ClipTerms => nada::terms::run(case),
        CaseKind::HyperdomainLosses => nada::domains::hyperdomain(case),
        CaseKind::DeganLosses => nada::domains::degan(case),
        CaseKind::PhaseGAdversarial => expansion::phases::generator_adversarial(case),
        CaseKind::PhaseDAdversarial => expansion::phases::discriminator_adversarial(case),
        CaseKind::PhaseDRegulariser => expansion::phases::discriminator_regulariser(case),
        CaseKind::PhaseGRegulariser => expansion::phases::generator_regulariser(case),
        CaseKind::ExpansionStep => expansion::step::run(case),
        CaseKind::ExpansionTrajectory => expansion::trajectory::run(case),
    }
}

/// Whether a checkpoint file can be an instance of the kind.
pub(crate) fn reads_checkpoints(kind: CaseKind) -> bool {
    matches!(
        kind,
        CaseKind::NvlabsCheckpoint | CaseKind::RosinalityCheckpoint
    )
}
