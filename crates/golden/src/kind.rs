//! What sort of case a file holds.
//!
//! The content decides: names of tensors and keys of the config. The file's stem is asked only
//! when the content fits no kind, so that a case may carry any name, size or seed.

use serde_json::Value;

use crate::case::Case;

/// The cases that can be run. `area` is the folder a case of the kind belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CaseKind {
    /// Pad, upsample, filter, downsample.
    UpFirDn2d,
    /// Bias, activation, gain, clamp.
    BiasAct,
    /// Modulated convolution.
    ModulatedConv2d,
    /// A whole generator: mapping and synthesis.
    Generator,
    /// A discriminator with first-order gradients.
    Discriminator,
    /// A discriminator with the R1 penalty (second order).
    DiscriminatorR1,
    /// Path length regularisation (second order).
    PathLength,
    /// A generator in the rosinality layout.
    RosinalityGenerator,
    /// Contents of a rosinality checkpoint, and a picture made from it.
    RosinalityCheckpoint,
    /// Contents of a network pickle (plain or of an expanded model), and a picture made from it.
    NvlabsCheckpoint,
    /// Closed-form basis as Domain Expansion computes it.
    SefaBasis,
    /// Closed-form basis as genforce computes it.
    SefaBasisNormalised,
    /// Projection on subspaces and traversal.
    Projection,
    /// CLIP's preprocessing of picture tensors, named cases.
    ResizeBicubic,
    /// CLIP's preprocessing of 8-bit pictures.
    ResizePil,
    /// Max and average pooling.
    Pooling,
    /// Bilinear resize, half-pixel and TensorFlow 1.
    ResizeBilinear,
    /// CLIP's preprocessing of picture tensors, numbered cases.
    ClipPreprocess,
    /// The perceptual distance, whole.
    Lpips,
    /// The perceptual distance's building blocks.
    LpipsHelpers,
    /// A CLIP network in either layout.
    Clip,
    /// Directions between texts and between pictures, from features.
    TextDirection,
    /// The directional loss, summed and averaged, from features.
    DirectionLosses,
    /// The directional loss by several weighted CLIP networks, from features.
    DirectionByModels,
    /// The directional loss from pictures and token ids.
    DirectionEndToEnd,
    /// The other terms of StyleGAN-NADA, from features.
    ClipTerms,
    /// HyperDomainNet's losses, from embeddings.
    HyperdomainLosses,
    /// The domain encoder's losses and scores, from embeddings.
    DeganLosses,
    /// MyStyle's losses with distances as given and by a stand-in.
    MystyleLosses,
    /// MyStyle's loss of a task, with LPIPS.
    MystyleTaskLoss,
    /// Points between a person's anchors.
    MystyleHull,
    /// Coordinates in the personal space, and a projection's first steps.
    MystyleAlphaSpace,
    /// Directions, nearest points and edits in the personal space.
    MystyleEdits,
    /// Holes, down-scaling and bytes as numbers.
    MystyleDegradation,
    /// The expansion's generator against the discriminator, on the base subspace.
    PhaseGAdversarial,
    /// The expansion's discriminator, with fakes from the base subspace.
    PhaseDAdversarial,
    /// The expansion's R1 penalty.
    PhaseDRegulariser,
    /// The expansion's path length penalty.
    PhaseGRegulariser,
    /// A step of the expansion: tasks and reconstruction.
    ExpansionStep,
    /// Steps of the expansion with an optimizer.
    ExpansionTrajectory,
    /// Noise schedules, timestep maps and timestep embeddings.
    DiffusionSchedule,
    /// The blocks of a diffusion U-Net.
    DiffusionBlocks,
    /// The Diffusion Autoencoder's U-Net.
    DiffaeUNet,
    /// The Diffusion Autoencoder's semantic encoder.
    DiffaeEncoder,
    /// The Diffusion Autoencoder's training loss.
    DiffaeLoss,
    /// DDIM sampling and its reversal, step by step.
    DiffaeSampling,
    /// A picture from noise by way of a new code.
    DiffaeRender,
    /// The Diffusion Autoencoder's latent prior.
    LatentNet,
    /// Contents of a Diffusion Autoencoder's checkpoint, and what its networks make.
    DiffaeCheckpoint,
    /// Closed-form basis of the Diffusion Autoencoder's latent.
    DiffaeBasis,
    /// Fréchet distances of pairs of sets, and their moments.
    Frechet,
    /// The kernel distance over given subsets.
    KernelDistance,
    /// Improved precision and recall.
    PrecisionRecall,
    /// The Inception score of class probabilities.
    InceptionScore,
    /// Scores of pictures and texts by CLIP's features, and CLIP-MMD.
    ClipScores,
    /// Perceptual path length through stub networks.
    PerceptualPathLength,
    /// The Inception network that FID is defined on.
    Inception,
    /// A layer with every kind of domain modulation.
    DomainModulation,
    /// A generator with domain modulations.
    DomainModulatedGenerator,
    /// HyperDomainNet's hypernetwork, in training and afterwards.
    Hypernetwork,
    /// Embeddings between and around those of the trained domains.
    EmbeddingAugmentation,
    /// The domain encoder, a vision transformer with heads.
    DomainEncoder,
    /// Styles out of a generator and into it, with offsets.
    StyleSpace,
    /// Losses by VGG's features and styles.
    VggLosses,
    /// The schedule of offsets, and scores of generated pictures.
    DeganScores,
    /// One-shot directions of StyleDomain.
    StyleDirections,
    /// What StyleDomain trains for few pictures.
    StyleDomain,
    /// A StyleGAN3 generator.
    StyleGan3,
    /// Contents of a StyleGAN3's network pickle, and a picture made from it.
    StyleGan3Checkpoint,
}

impl CaseKind {
    /// The area whose page states the tolerance of a case of this kind.
    #[must_use]
    pub fn area(self) -> &'static str {
        match self {
            Self::SefaBasis | Self::SefaBasisNormalised | Self::Projection => "latent",
            Self::ResizeBicubic
            | Self::ResizePil
            | Self::Clip
            | Self::TextDirection
            | Self::DirectionLosses
            | Self::DirectionByModels
            | Self::DirectionEndToEnd
            | Self::ClipTerms
            | Self::HyperdomainLosses
            | Self::DeganLosses => "clip",
            Self::Pooling | Self::Lpips | Self::LpipsHelpers => "lpips",
            Self::MystyleLosses
            | Self::MystyleTaskLoss
            | Self::MystyleHull
            | Self::MystyleAlphaSpace
            | Self::MystyleEdits
            | Self::MystyleDegradation => "mystyle",
            Self::ResizeBilinear
            | Self::Frechet
            | Self::KernelDistance
            | Self::PrecisionRecall
            | Self::InceptionScore
            | Self::ClipScores
            | Self::PerceptualPathLength
            | Self::Inception => "metrics",
            Self::ClipPreprocess
            | Self::PhaseGAdversarial
            | Self::PhaseDAdversarial
            | Self::PhaseDRegulariser
            | Self::PhaseGRegulariser
            | Self::ExpansionStep
            | Self::ExpansionTrajectory => "expansion",
            Self::DiffusionSchedule
            | Self::DiffusionBlocks
            | Self::DiffaeUNet
            | Self::DiffaeEncoder
            | Self::DiffaeLoss
            | Self::DiffaeSampling
            | Self::DiffaeRender
            | Self::LatentNet
            | Self::DiffaeCheckpoint
            | Self::DiffaeBasis => "diffae",
            Self::DomainModulation
            | Self::DomainModulatedGenerator
            | Self::Hypernetwork
            | Self::EmbeddingAugmentation => "hyperdomain",
            Self::DomainEncoder
            | Self::StyleSpace
            | Self::VggLosses
            | Self::DeganScores
            | Self::StyleDirections
            | Self::StyleDomain => "degan",
            Self::StyleGan3 | Self::StyleGan3Checkpoint => "stylegan3",
            _ => "stylegan2",
        }
    }

    /// Whether the relative error of small tensors is taken against the floor. The pages of
    /// `clip`, `lpips`, `metrics` and `mystyle` take it per tensor.
    #[must_use]
    pub fn floored(self) -> bool {
        !matches!(self.area(), "clip" | "lpips" | "metrics" | "mystyle")
            && !matches!(
                self,
                Self::NvlabsCheckpoint | Self::RosinalityCheckpoint | Self::StyleGan3Checkpoint
            )
            // Timestep maps would raise the floor above the arrays.
            && !matches!(self, Self::DiffusionSchedule)
    }

    /// The kind of `case`, `None` for one that nothing here can run.
    #[must_use]
    pub fn of(case: &Case) -> Option<Self> {
        Self::by_content(case).or_else(|| Self::by_stem(&case.stem))
    }

    fn by_content(case: &Case) -> Option<Self> {
        if let Some(kind) = Self::by_subcases(case) {
            return Some(kind);
        }
        if let Some(kind) = crate::runners::stylegan3::kind(case) {
            return Some(kind);
        }
        // A case of the expansion's training carries several networks and a basis.
        if case.any("in.basis") {
            return Self::by_phase(case);
        }
        let has = |name: &str| case.get(name).is_some();
        let kind = if has("param.latent_basis") || case.any("param.G_ema.synthesis.") {
            Self::NvlabsCheckpoint
        } else if case.any("param.g_ema.conv1.") {
            Self::RosinalityCheckpoint
        } else if has("param.input.input") && has("in.wplus") && case.wants("img_wplus") {
            Self::RosinalityGenerator
        } else if has("in.pl_noise") && has("in.ws") && case.any("param.synthesis.") {
            Self::PathLength
        } else if has("param.b4.out.weight") && case.wants("r1_penalty") {
            Self::DiscriminatorR1
        } else if has("param.b4.out.weight") && case.wants("logits") {
            Self::Discriminator
        } else if case.setting("/synthesis_kwargs").is_some() && case.wants("img_const") {
            Self::Generator
        } else if case.any("param.synthesis.") && case.wants("singular_values") {
            Self::SefaBasis
        } else if case.any("param.synthesis.")
            && case
                .with_prefix("out.")
                .any(|(name, _)| name.ends_with(".eigenvalues_sorted"))
        {
            Self::SefaBasisNormalised
        } else if has("in.pixel_values") && has("in.input_ids") && case.wants("image_features") {
            Self::Clip
        } else if case.setting("/net").is_some() && case.wants("distance") && has("in.img0") {
            Self::Lpips
        } else if case.wants("normalized") && has("in.features") && has("in.grad_is_nan") {
            Self::LpipsHelpers
        } else if case.setting("/target").is_some()
            && case
                .with_prefix("out.")
                .any(|(name, _)| name.contains("_to_"))
        {
            Self::ResizeBilinear
        } else {
            return crate::runners::nada::kind(case)
                .or_else(|| crate::runners::mystyle::kind(case))
                .or_else(|| crate::runners::metrics::kind(case))
                .or_else(|| crate::runners::diffae::kind(case))
                .or_else(|| crate::runners::hyperdomain::kind(case))
                .or_else(|| crate::runners::degan::kind(case));
        };
        Some(kind)
    }

    /// The kinds whose config lists its cases: the keys of the first one tell.
    fn by_subcases(case: &Case) -> Option<Self> {
        let first = case.setting("/cases")?.as_array()?.first()?;
        let key = |name: &str| first.get(name).is_some();
        let first_op = first.get("op").and_then(Value::as_str).unwrap_or_default();
        if first_op.contains("2d") && key("up") && key("down") {
            Some(Self::UpFirDn2d)
        } else if key("act") {
            Some(Self::BiasAct)
        } else if key("demodulate") {
            Some(Self::ModulatedConv2d)
        } else if key("latent") && key("dims") {
            Some(Self::Projection)
        } else if key("image_resolution") && key("antialias") {
            Some(Self::ClipPreprocess)
        } else if key("n_px") && case.any("in.rgb_") {
            Some(Self::ResizePil)
        } else if key("n_px") && case.any("in.img_") {
            Some(Self::ResizeBicubic)
        } else if key("tag") && key("kernel_size") {
            Some(Self::Pooling)
        } else {
            None
        }
    }

    /// The kinds of the expansion's training, which the config names.
    fn by_phase(case: &Case) -> Option<Self> {
        match case.setting("/phase").and_then(Value::as_str) {
            Some("G_adv") => Some(Self::PhaseGAdversarial),
            Some("D_adv") => Some(Self::PhaseDAdversarial),
            Some("D_reg") => Some(Self::PhaseDRegulariser),
            Some("G_reg") => Some(Self::PhaseGRegulariser),
            Some(_) => None,
            None if case.setting("/adam").is_some() && case.any("out.final.") => {
                Some(Self::ExpansionTrajectory)
            }
            None if case.wants("edit_w") && case.wants("loss_expand") => Some(Self::ExpansionStep),
            None => None,
        }
    }

    fn by_stem(stem: &str) -> Option<Self> {
        const STEMS: &[(&str, CaseKind)] = &[
            ("upfirdn2d", CaseKind::UpFirDn2d),
            ("bias_act", CaseKind::BiasAct),
            ("modulated_conv2d", CaseKind::ModulatedConv2d),
            ("generator_skip", CaseKind::Generator),
            ("generator_resnet", CaseKind::Generator),
            ("generator_orig", CaseKind::Generator),
            ("generator_conditional", CaseKind::Generator),
            ("discriminator_r1", CaseKind::DiscriminatorR1),
            ("discriminator", CaseKind::Discriminator),
            ("path_length", CaseKind::PathLength),
            ("rosinality_generator", CaseKind::RosinalityGenerator),
            ("rosinality_tiny", CaseKind::RosinalityCheckpoint),
            ("nvlabs_tiny", CaseKind::NvlabsCheckpoint),
            ("domain_expansion_snapshot", CaseKind::NvlabsCheckpoint),
            ("sefa_basis_normalised", CaseKind::SefaBasisNormalised),
            ("project_", CaseKind::Projection),
            ("resize_bicubic", CaseKind::ResizeBicubic),
            ("resize_pil", CaseKind::ResizePil),
            ("pooling", CaseKind::Pooling),
            ("lpips_", CaseKind::Lpips),
            ("resize_bilinear", CaseKind::ResizeBilinear),
            ("clip_preprocess", CaseKind::ClipPreprocess),
        ];
        STEMS
            .iter()
            .find(|(prefix, _)| stem.starts_with(prefix))
            .map(|(_, kind)| *kind)
    }
}
