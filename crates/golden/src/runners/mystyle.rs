//! MyStyle: losses, the personal space, edits in it, and what pictures may have lost.

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor, Var, backprop::GradStore};
use candle_nn::{VarBuilder, VarMap};
use domex_data::picture::from_byte;
use domex_latent::ImageDistance;
use domex_lpips::{Config as LpipsConfig, Lpips};
use domex_mystyle::{
    Anchors, Degradation,
    alpha::{AlphaSpace, Codes, Regularization},
    edit::{EdgePolicy, edit, span_direction, strengths},
    hull::{mix, transport},
    nearest::nearest,
    project::{ProjectionConfig, Projector},
    reconstruction,
};
use domex_replay::alignment::Perceptual;
use serde::Deserialize;

use crate::{
    Case, CaseKind, Result,
    compare::values,
    computed::{Computed, dot, var},
    formula,
};

/// The kind of a case of this family.
pub(crate) fn kind(case: &Case) -> Option<CaseKind> {
    let has = |name: &str| case.get(name).is_some();
    let kind = if has("in.perceptual") && case.wants("task_loss_constant_perceptual") {
        CaseKind::MystyleLosses
    } else if case.setting("/net").is_some() && has("in.generated") && case.wants("loss") {
        CaseKind::MystyleTaskLoss
    } else if has("in.uniform") && has("in.indices") && case.wants("points") {
        CaseKind::MystyleHull
    } else if has("in.gen_weight") && has("in.deltas") && case.wants("trace_losses") {
        CaseKind::MystyleAlphaSpace
    } else if has("in.gamma_plus") && case.wants("convex_w") {
        CaseKind::MystyleEdits
    } else if has("in.mask") && case.wants("hole") {
        CaseKind::MystyleDegradation
    } else {
        return None;
    };
    Some(kind)
}

/// A perceptual distance that a case describes.
struct Stub<F>(F);

impl<F: Fn(&Tensor, &Tensor) -> candle_core::Result<Tensor>> ImageDistance for Stub<F> {
    fn name(&self) -> &str {
        "the case's stand-in"
    }

    fn distance(&self, a: &Tensor, b: &Tensor) -> domex_latent::Result<Tensor> {
        Ok((self.0)(a, b)?)
    }
}

/// `[n]`.
fn per_picture(x: &Tensor) -> candle_core::Result<Tensor> {
    x.mean((1, 2, 3))
}

#[derive(Deserialize)]
struct LossConfig {
    l2_weight: f64,
}

/// The task's loss with distances as given and by a stand-in, and the loss of one picture.
pub(crate) fn losses(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let LossConfig { l2_weight } = case.config()?;
    let (generated, target) = (var(case.input("generated")?)?, case.input("target")?);
    let given = var(case.input("perceptual")?)?;
    let constant = Stub(|_: &Tensor, _: &Tensor| given.flatten_all());
    let weight = case.input("stub_weight")?;
    let stub = Stub(|a: &Tensor, b: &Tensor| per_picture(&(a - b)?.sqr()?.broadcast_mul(weight)?));

    let name = "task_loss_constant_perceptual";
    let loss = reconstruction(&generated, target, &constant, l2_weight)?.total;
    let grads = loss.backward()?;
    computed.grad(format_args!("{name}.generated"), &grads, &generated)?;
    computed.grad(format_args!("{name}.perceptual"), &grads, &given)?;
    computed.out(name, loss.reshape(1)?);

    let first = |x: &Tensor| x.narrow(0, 0, 1);
    for (name, x, y) in [
        (
            "task_loss_stub",
            generated.as_tensor().clone(),
            target.clone(),
        ),
        (
            "reconstruction_loss_stub_first_image",
            first(&generated)?,
            first(target)?,
        ),
    ] {
        let loss = reconstruction(&x, &y, &stub, l2_weight)?.total;
        computed.grad(
            format_args!("{name}.generated"),
            &loss.backward()?,
            &generated,
        )?;
        computed.out(name, loss.reshape(1)?);
    }
    Ok(computed)
}

/// The task's loss with LPIPS, whose weights follow the formula under the network's own names.
pub(crate) fn task_loss(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let LossConfig { l2_weight } = case.config()?;
    let config = LpipsConfig::new(super::lpips::backbone(case)?);
    let map = VarMap::new();
    Lpips::new(
        &VarBuilder::from_varmap(&map, DType::F32, case.device()),
        &config,
    )?;
    let shapes = match map.data().lock() {
        Ok(vars) => vars
            .iter()
            .map(|(name, var)| (name.clone(), var.dims().to_vec()))
            .collect(),
        Err(_) => return Err(case.malformed("the network's names cannot be listed")),
    };
    let weights = formula::weights_of(case, &shapes)?;
    let vb = VarBuilder::from_tensors(weights, DType::F32, case.device());
    let distance = Perceptual(Lpips::new(&vb, &config)?);
    let generated = var(case.input("generated")?)?;
    let loss = reconstruction(&generated, case.input("target")?, &distance, l2_weight)?.total;
    computed.grad("generated", &loss.backward()?, &generated)?;
    computed.out("loss", loss.reshape(1)?);
    Ok(computed)
}

/// Points between anchors, and anchors on a subspace of their own.
pub(crate) fn hull(case: &Case) -> Result<Computed> {
    #[derive(Deserialize)]
    struct Config {
        subspace_distance: f64,
    }
    let mut computed = Computed::default();
    let Config { subspace_distance } = case.config()?;
    let (indices, uniform) = (case.input("indices")?, case.input("uniform")?);
    let indices = indices.to_dtype(DType::U32)?;
    computed.out("points", mix(case.input("anchors")?, &indices, uniform)?);
    let wplus = case.input("anchors_wplus")?;
    computed.out("points_wplus", mix(wplus, &indices, uniform)?);
    let moved = transport(wplus, case.input("direction")?, subspace_distance)?;
    computed.out("anchors_transported", moved);
    Ok(computed)
}

#[derive(Deserialize)]
struct SpaceConfig {
    num_ws: usize,
    beta: f64,
    deltas_layers_to_reg: usize,
    sum_1_reg_weight: f64,
    deltas_reg_weight: f64,
    l2_weight: f64,
    steps: usize,
    adam: AdamConfig,
}

#[derive(Deserialize)]
struct AdamConfig {
    lr: f64,
}

impl SpaceConfig {
    fn regularization(&self) -> Regularization {
        Regularization {
            layers: self.deltas_layers_to_reg,
            deltas: self.deltas_reg_weight,
            sum: self.sum_1_reg_weight,
        }
    }
}

/// Codes of one picture as a case writes them: `alpha: [N, 1]` and `deltas: [num_ws, N]`.
struct OnePicture {
    alpha: Var,
    deltas: Var,
}

impl OnePicture {
    fn new(alpha: &Tensor, deltas: &Tensor) -> Result<Self> {
        Ok(Self {
            alpha: var(alpha)?,
            deltas: var(deltas)?,
        })
    }

    fn codes(&self) -> Result<Codes> {
        Ok(Codes {
            alpha: self.alpha.t()?.contiguous()?,
            deltas: self.deltas.unsqueeze(0)?,
        })
    }

    fn grads(&self, computed: &mut Computed, name: &str, grads: &GradStore) -> Result<()> {
        computed.grad(format_args!("{name}.alpha"), grads, &self.alpha)?;
        computed.grad(format_args!("{name}.deltas"), grads, &self.deltas)
    }
}

/// Coordinates with and without the barrier, what holds them, and a projection's first steps.
pub(crate) fn alpha_space(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let config: SpaceConfig = case.config()?;
    let anchors = Anchors::new(case.input("anchors")?)?;
    let space = |beta| AlphaSpace::new(&anchors, config.num_ws, beta);
    let picture = OnePicture::new(case.input("alpha")?, case.input("deltas")?)?;
    for (name, beta) in [("beta", Some(config.beta)), ("nobeta", None)] {
        let (space, codes) = (space(beta)?, picture.codes()?);
        let coordinates = space.constrained(&codes)?;
        let latent = space.latents(&coordinates)?;
        let grads = dot(&latent, case.input("R")?)?.backward()?;
        picture.grads(&mut computed, name, &grads)?;
        computed.out(format_args!("{name}.alpha_plus"), codes.plus()?.squeeze(0)?);
        computed.out(
            format_args!("{name}.constrained_alpha"),
            coordinates.squeeze(0)?,
        );
        computed.out(format_args!("{name}.latent"), latent);
    }
    let space = space(Some(config.beta))?;
    let start = space.start(1)?;
    let start = OnePicture::new(&start.alpha.t()?.contiguous()?, &start.deltas.squeeze(0)?)?;
    for (name, picture) in [
        ("regularization", &picture),
        ("regularization_at_start", &start),
    ] {
        let penalty = config.regularization().penalty(&picture.codes()?)?;
        picture.grads(&mut computed, name, &penalty.backward()?)?;
        computed.out(name, penalty.reshape(1)?);
    }
    trace(case, &config, &space, &mut computed)?;
    Ok(computed)
}

fn trace(
    case: &Case,
    config: &SpaceConfig,
    space: &AlphaSpace,
    computed: &mut Computed,
) -> Result<()> {
    let (target, weight) = (case.input("target")?, case.input("gen_weight")?);
    let synthesize = |w: &Tensor| {
        let flat = w.flatten_from(1)?.matmul(weight)?.tanh()?;
        Ok(flat.reshape(target.dims())?)
    };
    let projector = Projector {
        space,
        synthesize: &synthesize,
        distance: &Stub(|a: &Tensor, b: &Tensor| per_picture(&(a - b)?.abs()?)),
        degradation: &Degradation::None,
        config: ProjectionConfig {
            steps: config.steps,
            lr: config.adam.lr,
            l2: config.l2_weight,
            w_plus: true,
            regularization: config.regularization(),
        },
    };
    let projected = projector.project(target, &mut |_, _| ControlFlow::Continue(()))?;
    let losses: Vec<f32> = projected.losses.iter().map(|&loss| loss as f32).collect();
    computed.out(
        "trace_losses",
        Tensor::new(losses.as_slice(), &Device::Cpu)?,
    );
    computed.out("trace_alpha", projected.codes.alpha.t()?.contiguous()?);
    computed.out("trace_deltas", projected.codes.deltas.squeeze(0)?);
    computed.out("trace_latent", projected.latents);
    Ok(())
}

#[derive(Deserialize)]
struct EditConfig {
    beta: f64,
    edit_mag: f64,
    num_edits: usize,
}

/// A direction in the anchors' span, the nearest points of the personal space, and edits by each policy.
pub(crate) fn edits(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let config: EditConfig = case.config()?;
    let anchors = Anchors::new(case.input("anchors")?)?;
    let number = |x: f64| Tensor::new(&[x as f32], &Device::Cpu);

    let spanned = span_direction(&anchors, &case.input("direction")?.flatten_all()?)?;
    computed.out("gamma", spanned.gamma.unsqueeze(1)?);
    computed.out("direction_projected", spanned.direction.unsqueeze(1)?);
    computed.out("cosine_to_original", number(spanned.cosine)?);

    let point = nearest(&anchors, case.input("w")?, config.beta)?;
    computed.out("convex_w", point.latents);
    computed.out("convex_alpha", point.coordinates);
    computed.out("convex_objective", number(point.objective)?);

    let coordinates = case.input("alpha")?.squeeze(0)?;
    let gamma = case.input("gamma_plus")?.squeeze(0)?;
    let strengths = strengths(config.edit_mag, config.num_edits)?;
    for (name, policy) in [
        ("stop", EdgePolicy::Stop),
        ("continue", EdgePolicy::Continue),
        ("project", EdgePolicy::Project),
    ] {
        let edits = edit(
            &anchors,
            &coordinates,
            &gamma,
            &strengths,
            policy,
            config.beta,
        )?;
        let thetas: Vec<f32> = edits.iter().map(|edit| edit.strength as f32).collect();
        let latents: Vec<_> = edits.into_iter().map(|edit| edit.latent).collect();
        let latents = match latents.as_slice() {
            // No step of this policy is left.
            [] => Tensor::zeros(
                (0, coordinates.dim(0)?, anchors.dim()),
                DType::F32,
                &Device::Cpu,
            )?,
            latents => Tensor::stack(latents, 0)?,
        };
        computed.out(
            format_args!("edit_{name}_thetas"),
            Tensor::from_vec(thetas, latents.dim(0)?, &Device::Cpu)?,
        );
        computed.out(format_args!("edit_{name}_ws"), latents);
    }
    Ok(computed)
}

/// A hole, fewer pixels, and bytes as numbers.
pub(crate) fn degradation(case: &Case) -> Result<Computed> {
    #[derive(Deserialize)]
    struct Config {
        scale_factor: f64,
    }
    let mut computed = Computed::default();
    let Config { scale_factor } = case.config()?;
    let pictures = case.input("img")?;
    let hole = Degradation::Hole(case.input("mask")?.clone());
    computed.out("hole", hole.apply(pictures)?);
    let smaller = Degradation::Downscale(scale_factor).apply(pictures)?;
    computed.out("downsampled", smaller);
    let bytes = case.input("u8")?;
    let normalised: Vec<f32> = values(bytes)?
        .iter()
        .map(|&byte| from_byte(byte as u8))
        .collect();
    computed.out(
        "normalised",
        Tensor::from_vec(normalised, bytes.dims(), &Device::Cpu)?,
    );
    Ok(computed)
}
