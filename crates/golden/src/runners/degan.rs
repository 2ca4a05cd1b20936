//! DEGAN and StyleDomain: the encoder, StyleSpace, losses by VGG, scores, and what is trained for few pictures.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::VarBuilder;
use domex_degan::{
    Config, Encoder, FadeIn, VggConfig, VggLoss,
    styledomain::{Changed, Parametrization},
    stylespace::{is_convolution, shift},
};
use domex_latent::{
    matrices::AffineChange,
    modulation::{Modulation, Modulations},
};
use domex_nada::{
    direction::{COSINE_EPS, Guard, cosine},
    offsets::mean_length,
    pairs::{Pairs, diversity},
};
use domex_stylegan2::{Generator, GeneratorConfig, Noise, Tensors, Truncation, mapping::truncate};
use serde::Deserialize;

use super::{network, rosinality};
use crate::{
    Case, CaseKind, Result,
    compare::values,
    computed::{Computed, dot, var},
};

/// The kind of a case of this family.
pub(crate) fn kind(case: &Case) -> Option<CaseKind> {
    let set = |pointer: &str| case.setting(pointer).is_some();
    let kind = if set("/domain_dims_per_resolution") && case.get("in.img").is_some() {
        CaseKind::DomainEncoder
    } else if set("/s_layers") {
        CaseKind::StyleSpace
    } else if set("/vgg_layers") {
        CaseKind::VggLosses
    } else if set("/fade_in") {
        CaseKind::DeganScores
    } else if set("/offset_power") {
        CaseKind::StyleDirections
    } else if set("/domain_modulation_parametrization") {
        CaseKind::StyleDomain
    } else {
        return None;
    };
    Some(kind)
}

/// The encoder's offsets and its gradients.
pub(super) fn encoder(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let config: Config = case.config()?;
    let vars: BTreeMap<String, Var> = network::tensors(case, "")
        .iter()
        .map(|(name, tensor)| Ok((name.clone(), var(tensor)?)))
        .collect::<Result<_>>()?;
    let live: HashMap<String, Tensor> = vars
        .iter()
        .map(|(name, var)| (name.clone(), var.as_tensor().clone()))
        .collect();
    let encoder = Encoder::new(
        &VarBuilder::from_tensors(live, DType::F32, case.device()),
        &config,
    )?;
    let img = var(case.input("img")?)?;
    let mut loss = Tensor::zeros((), DType::F32, case.device())?;
    for (at, offset) in encoder.forward(&img)?.into_iter().enumerate() {
        loss = (loss + dot(&offset, case.input(&format!("R_{at}"))?)?)?;
        computed.out(format_args!("offset_{at}"), offset);
    }
    let grads = loss.backward()?;
    computed.grad("img", &grads, &img)?;
    for (name, var) in &vars {
        computed.grad(name, &grads, var)?;
    }
    Ok(computed)
}

/// Styles out and in, and with offsets.
pub(super) fn stylespace(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let generator = rosinality::generator(case, &network::tensors(case, ""), None)?;
    let synthesis = generator.synthesis();
    let w = generator.mapping().forward(Some(case.input("z")?), None)?;
    let ws = generator.latents(case.input("z")?, None, Truncation::NONE)?;
    let styles = synthesis.styles(&ws)?;
    computed.out("w", w);
    computed.out("img_from_z", synthesis.forward(&ws, Noise::Const)?);
    computed.out(
        "img_from_s",
        synthesis.forward_styles(&styles, Noise::Const)?,
    );
    for (at, (_, style)) in styles.into_iter().enumerate() {
        computed.out(format_args!("s_{at}"), style);
    }
    let psi = case.number("/truncation").unwrap_or(1.0);
    let mean = case.input("w_avg")?.squeeze(0)?;
    let truncated = truncate(&ws, &mean, Truncation::psi(psi))?;
    for (at, (_, style)) in synthesis.styles(&truncated)?.into_iter().enumerate() {
        computed.out(format_args!("truncated.s_{at}"), style);
    }
    computed.out(
        "wplus.img",
        synthesis.forward(case.input("wplus")?, Noise::Const)?,
    );

    let count = synthesis.style_names().len();
    let offsets = (0..count).map(|at| var(case.input(&format!("offset_{at}"))?));
    let offsets: Vec<Var> = offsets.collect::<Result<_>>()?;
    let plain: Vec<Tensor> = offsets.iter().map(|var| var.as_tensor().clone()).collect();
    let shifted = |multiplier: f64| -> Result<Tensor> {
        let changes = shift(synthesis, &plain, multiplier)?;
        Ok(synthesis.forward_modulated(&ws, &changes, Noise::Const)?)
    };
    let multiplier = case.number("/offset_multiplier_for_img_shifted_mult");
    computed.out("img_shifted_mult", shifted(multiplier.unwrap_or(1.0))?);
    let img = shifted(1.0)?;
    let grads = dot(&img, case.input("R")?)?.backward()?;
    for (at, offset) in offsets.iter().enumerate() {
        computed.grad(format_args!("offset_{at}"), &grads, offset)?;
    }
    computed.out("img_shifted", img);
    Ok(computed)
}

/// Losses by VGG's features, and of pixels.
pub(super) fn vgg(case: &Case) -> Result<Computed> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Entry {
        Channels(usize),
        Pool(String),
    }
    #[derive(Deserialize)]
    struct Settings {
        vgg_layers: Vec<Entry>,
        features_pos: Vec<usize>,
        use_feature_layers: Vec<usize>,
        use_style_layers: Vec<usize>,
        mult: BTreeMap<String, f64>,
        resize_to: [usize; 2],
    }
    let mut computed = Computed::default();
    let settings: Settings = case.config()?;
    let layers = settings.vgg_layers.iter().map(|entry| match entry {
        Entry::Channels(channels) => Ok(Some(*channels)),
        Entry::Pool(word) if word == "M" => Ok(None),
        Entry::Pool(word) => Err(case.malformed(format!("unknown layer `{word}`"))),
    });
    let layers: Vec<Option<usize>> = layers.collect::<Result<_>>()?;
    let (features, styles) = (&settings.use_feature_layers, &settings.use_style_layers);
    let none = Vec::new();
    let losses = [
        ("vgg_feature", features, &none, None, ""),
        ("vgg_style", &none, styles, None, ""),
        ("vgg_both", features, styles, None, ""),
        (
            "vgg_resized",
            features,
            styles,
            Some(settings.resize_to),
            "resized.",
        ),
    ];
    let weights: HashMap<String, Tensor> = network::tensors(case, "").into_iter().collect();
    let vb = VarBuilder::from_tensors(weights, DType::F32, case.device());
    let mult = |name: &str| settings.mult.get(name).copied().unwrap_or(1.0);
    for (name, features, styles, size, pictures) in losses {
        if !case.wants(name) {
            continue;
        }
        let config = VggConfig {
            layers: layers.clone(),
            positions: settings.features_pos.clone(),
            feature_blocks: features.clone(),
            style_blocks: styles.clone(),
            size,
        };
        let x = var(case.input(&format!("{pictures}src_img"))?)?;
        let y = var(case.input(&format!("{pictures}gen_img"))?)?;
        let loss = (VggLoss::new(&vb, &config)?.forward(&x, &y)? * mult(name))?;
        let grads = loss.backward()?;
        computed.grad(format_args!("{name}.src_img"), &grads, &x)?;
        computed.grad(format_args!("{name}.gen_img"), &grads, &y)?;
        computed.out(name, loss);
    }
    let name = "l2_reconstruction";
    if case.wants(name) {
        let y = var(case.input("gen_img")?)?;
        let step = (y.as_tensor() - case.input("src_img")?)?;
        let loss = (step.sqr()?.mean_all()? * mult(name))?;
        computed.grad(format_args!("{name}.gen_img"), &loss.backward()?, &y)?;
        computed.out(name, loss);
    }
    Ok(computed)
}

/// The schedule of the offsets, and scores of generated pictures.
pub(super) fn scores(case: &Case) -> Result<Computed> {
    #[derive(Deserialize)]
    struct Schedule {
        start: f64,
        end: f64,
        annealing_steps: usize,
    }
    #[derive(Deserialize)]
    struct Settings {
        fade_in: BTreeMap<String, Schedule>,
    }
    let mut computed = Computed::default();
    for (name, schedule) in case.config::<Settings>()?.fade_in {
        let fade = FadeIn {
            start: schedule.start,
            end: schedule.end,
            steps: schedule.annealing_steps,
        };
        let steps = values(case.input(&format!("fade_in.{name}.step"))?)?;
        let multipliers: Vec<f32> = steps
            .iter()
            .map(|step| fade.at(*step as usize) as f32)
            .collect();
        let multipliers = Tensor::new(multipliers, &Device::Cpu)?;
        computed.out(format_args!("fade_in.{name}.multiplier"), multipliers);
    }
    let (mut semantic, mut diverse) = (Vec::new(), Vec::new());
    for at in 0.. {
        let Some(pictures) = case.get(&format!("in.d{at}.gen_emb")) else {
            break;
        };
        let domain = case.input(&format!("d{at}.domain_emb"))?.unsqueeze(0)?;
        let likeness = cosine(pictures, &domain, Guard::Floor(COSINE_EPS))?.mean_all()?;
        let spread = diversity(pictures, &Pairs::all(pictures.dim(0)?))?;
        computed.out(format_args!("d{at}.semantic_score"), likeness.clone());
        computed.out(format_args!("d{at}.diversity_score"), spread.clone());
        semantic.push(likeness);
        diverse.push(spread);
    }
    computed.out(
        "mean_semantic_score",
        Tensor::stack(&semantic, 0)?.mean_all()?,
    );
    computed.out(
        "mean_diversity_score",
        Tensor::stack(&diverse, 0)?.mean_all()?,
    );
    for (at, offsets) in case.with_prefix("in.offsets_") {
        computed.out(
            format_args!("domain_offset_norm_{at}"),
            mean_length(offsets)?,
        );
    }
    Ok(computed)
}

/// One-shot directions of every rule.
pub(super) fn directions(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let generator = rosinality::generator(case, &network::tensors(case, ""), None)?;
    let synthesis = generator.synthesis();
    let ws = generator.latents(case.input("z")?, None, Truncation::NONE)?;
    computed.out("no_offsets", synthesis.forward(&ws, Noise::Const)?);
    let power = case.number("/offset_power").unwrap_or(1.0);
    for rule in ["s_delta", "s_mod", "s_linear", "s_affine", "cin_mult"] {
        let prefix = format!("in.{rule}.");
        let own: BTreeMap<String, Var> = case
            .with_prefix(&prefix)
            .map(|(name, tensor)| Ok((name.to_owned(), var(tensor)?)))
            .collect::<Result<_>>()?;
        if own.is_empty() {
            continue;
        }
        let img = changed(&generator, &ws, rule, &own, 1.0)?;
        let grads = dot(&img, case.input("R")?)?.backward()?;
        for (name, var) in &own {
            computed.grad(format_args!("{rule}.{name}"), &grads, var)?;
        }
        computed.out(format_args!("{rule}.img"), img);
        let name = format!("{rule}.img_power");
        if case.wants(&name) {
            computed.out(name, changed(&generator, &ws, rule, &own, power)?);
        }
    }
    Ok(computed)
}

/// The rules act on a style s = A w / √D + b, so each is a change of A and b.
fn changed(
    generator: &Generator,
    ws: &Tensor,
    rule: &str,
    own: &BTreeMap<String, Var>,
    power: f64,
) -> Result<Tensor> {
    let get = |at: usize, name: &str| offset(own, at, name);
    let (synthesis, tensors) = (generator.synthesis(), generator.tensors());
    let layers = synthesis.modulated_layers().into_iter();
    let convolutions = layers.filter(|layer| is_convolution(&layer.name));
    let mut changes = Modulations::new();
    for (at, layer) in convolutions.enumerate() {
        if rule == "cin_mult" {
            let factor = (get(at, "in")?.flatten_from(1)? * power)?;
            let modulation = Modulation {
                channel_factor: Some((factor + 1.0)?),
                ..Modulation::default()
            };
            changes.insert(layer.name, modulation);
            continue;
        }
        let affine = format!("synthesis.{}.affine", layer.name);
        let map = &tensors[&format!("{affine}.weight")];
        let bias = tensors[&format!("{affine}.bias")].unsqueeze(0)?;
        let (map, bias) = match rule {
            "s_delta" => (None, (get(at, "in")? * power)?),
            "s_mod" => {
                let gamma = get(at, "in")?;
                (Some(map.broadcast_mul(&gamma.t()?)?), (gamma * &bias)?)
            }
            "s_linear" => {
                let (gamma, shift) = (get(at, "gamma")?, get(at, "shift")?);
                let bias = ((gamma * &bias)? + shift)?;
                (Some(map.broadcast_mul(&gamma.t()?)?), bias)
            }
            _ => {
                let (matrix, shift) = (get(at, "A")?, get(at, "shift")?);
                let bias = ((bias.matmul(matrix)? - &bias)? + shift)?;
                (Some((matrix.t()?.matmul(map)? - map)?), bias)
            }
        };
        let step = match map {
            Some(map) => {
                let w = ws.narrow(1, layer.row, 1)?.squeeze(1)?.contiguous()?;
                AffineChange::Full(map).forward(&w)?.broadcast_add(&bias)?
            }
            None => bias,
        };
        let modulation = Modulation {
            style_offset: Some(step),
            ..Modulation::default()
        };
        changes.insert(layer.name, modulation);
    }
    Ok(synthesis.forward_modulated(ws, &changes, Noise::Const)?)
}

fn offset<'a>(own: &'a BTreeMap<String, Var>, at: usize, name: &str) -> Result<&'a Tensor> {
    let name = format!("conv_{at}.{name}");
    let var = own.get(&name).map(Var::as_tensor);
    Ok(var.ok_or_else(|| candle_core::Error::Msg(format!("no offset {name}")))?)
}

/// A generator with what is trained for few pictures.
pub(super) fn few_shot(case: &Case) -> Result<Computed> {
    #[derive(Deserialize)]
    struct Settings {
        domain_modulation_parametrization: String,
        trainable_parameters: Vec<String>,
    }
    let mut computed = Computed::default();
    let settings: Settings = case.config()?;
    let parametrization: Parametrization = settings.domain_modulation_parametrization.parse()?;
    let mut tensors = network::tensors(case, "");
    let mut vars = BTreeMap::new();
    for name in &settings.trainable_parameters {
        let trained = var(case.param(name)?)?;
        tensors.insert(name.clone(), trained.as_tensor().clone());
        vars.insert(name, trained);
    }
    let plain = |tensors: &Tensors| {
        let own = |name: &str| !name.contains("offset") && !name.contains(".ones");
        let names = tensors.iter().filter(|(name, _)| own(name));
        names
            .map(|(name, t)| (name.clone(), t.dims().to_vec()))
            .collect()
    };
    let mut config = GeneratorConfig::deduce(&plain(&tensors))?;
    if let Some(multiplier) = case.number("/mapping_lr_multiplier") {
        config.mapping.lr_multiplier = multiplier;
    }
    let changed = Changed::new(&tensors, &config, parametrization)?;
    let ws = changed
        .network()
        .latents(case.input("z")?, None, Truncation::NONE)?;
    let img = changed.forward(&ws, Noise::Const)?;
    let grads = dot(&img, case.input("R")?)?.backward()?;
    for (name, var) in &vars {
        computed.grad(name, &grads, var)?;
    }
    computed.out("img", img);
    computed.out("ws", ws);
    Ok(computed)
}
