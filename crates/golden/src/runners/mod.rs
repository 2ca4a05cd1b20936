//! One runner per kind of case: builds what the case describes, and computes what it expects.

mod acting;
mod bias_act;
mod checkpoint;
mod clip;
mod clip_preprocess;
pub(crate) mod degan;
pub(crate) mod diffae;
mod discriminator;
mod expansion;
mod generator;
pub(crate) mod hyperdomain;
mod lpips;
pub(crate) mod metrics;
mod modulated_conv2d;
pub(crate) mod mystyle;
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
pub(crate) mod stylegan3;
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
        CaseKind::MystyleLosses => mystyle::losses(case),
        CaseKind::MystyleTaskLoss => mystyle::task_loss(case),
        CaseKind::MystyleHull => mystyle::hull(case),
        CaseKind::MystyleAlphaSpace => mystyle::alpha_space(case),
        CaseKind::MystyleEdits => mystyle::edits(case),
        CaseKind::MystyleDegradation => mystyle::degradation(case),
        CaseKind::PhaseGAdversarial => expansion::phases::generator_adversarial(case),
        CaseKind::PhaseDAdversarial => expansion::phases::discriminator_adversarial(case),
        CaseKind::PhaseDRegulariser => expansion::phases::discriminator_regularizer(case),
        CaseKind::PhaseGRegulariser => expansion::phases::generator_regularizer(case),
        CaseKind::ExpansionStep => expansion::step::run(case),
        CaseKind::ExpansionTrajectory => expansion::trajectory::run(case),
        CaseKind::DiffusionSchedule => diffae::schedule::run(case),
        CaseKind::DiffusionBlocks => diffae::blocks::run(case),
        CaseKind::DiffaeUNet => diffae::networks::unet(case),
        CaseKind::DiffaeEncoder => diffae::networks::encoder(case),
        CaseKind::DiffaeLoss => diffae::networks::training_loss(case),
        CaseKind::DiffaeSampling => diffae::sampling::chains(case),
        CaseKind::DiffaeRender => diffae::sampling::render(case),
        CaseKind::LatentNet => diffae::latent::run(case),
        CaseKind::DiffaeCheckpoint => diffae::checkpoint::run(case, checkpoint),
        CaseKind::DiffaeBasis => diffae::basis::run(case),
        CaseKind::Frechet => metrics::sets::frechet_distance(case),
        CaseKind::KernelDistance => metrics::sets::kernel_distance(case),
        CaseKind::PrecisionRecall => metrics::sets::precision_recall(case),
        CaseKind::InceptionScore => metrics::scores::inception(case),
        CaseKind::ClipScores => metrics::scores::clip(case),
        CaseKind::PerceptualPathLength => metrics::path_length::run(case),
        CaseKind::Inception => metrics::inception::run(case),
        CaseKind::DomainModulation => hyperdomain::layer(case),
        CaseKind::DomainModulatedGenerator => hyperdomain::generator(case),
        CaseKind::Hypernetwork => hyperdomain::hypernetwork(case),
        CaseKind::EmbeddingAugmentation => hyperdomain::augmentation(case),
        CaseKind::DomainEncoder => degan::encoder(case),
        CaseKind::StyleSpace => degan::stylespace(case),
        CaseKind::VggLosses => degan::vgg(case),
        CaseKind::DeganScores => degan::scores(case),
        CaseKind::StyleDirections => degan::directions(case),
        CaseKind::StyleDomain => degan::few_shot(case),
        CaseKind::StyleGan3 => stylegan3::run(case),
        CaseKind::StyleGan3Checkpoint => stylegan3::checkpoint(case, checkpoint),
    }
}

/// Whether a checkpoint file can be an instance of the kind.
pub(crate) fn reads_checkpoints(kind: CaseKind) -> bool {
    matches!(
        kind,
        CaseKind::NvlabsCheckpoint
            | CaseKind::RosinalityCheckpoint
            | CaseKind::DiffaeCheckpoint
            | CaseKind::StyleGan3Checkpoint
    )
}
