//! HyperDomainNet: modulated layers and generators, the hypernetwork, augmented embeddings.

use std::collections::{BTreeMap, HashMap};

use candle_core::{DType, Tensor, Var};
use candle_nn::VarBuilder;
use domex_hyperdomain::{
    Config, Convolution, Hypernetwork, ModulationKind, Offsets,
    augment::{Draws, hull, resample},
    is_statistic,
    modulation::{Part, Spectrum, convolutions, modulations},
};
use domex_ops::{ModulatedConv, WeightChange, domain_modulated_conv2d, linear, setup_filter};
use domex_stylegan2::{Noise, Truncation};
use serde::Deserialize;

use super::{network, rosinality};
use crate::{
    Case, CaseKind, Result,
    computed::{Computed, dot, var},
};

/// The kind of a case of this family.
pub(crate) fn kind(case: &Case) -> Option<CaseKind> {
    let has = |name: &str| case.get(name).is_some();
    let kind = if case.setting("/mapper_type").is_some() && has("in.e") {
        CaseKind::Hypernetwork
    } else if has("in.alphas") && case.any("out.hull.") {
        CaseKind::EmbeddingAugmentation
    } else if case.setting("/patch_keys").is_some() && case.setting("/variants").is_some() {
        CaseKind::DomainModulation
    } else if case.setting("/patch_keys").is_some() && has("param.input.input") {
        CaseKind::DomainModulatedGenerator
    } else {
        return None;
    };
    Some(kind)
}

fn part(case: &Case, name: &str) -> Result<Part> {
    let parts = ModulationKind::ALL
        .into_iter()
        .flat_map(ModulationKind::parts);
    let part = parts.into_iter().find(|part| part.name() == name);
    part.copied()
        .ok_or_else(|| case.malformed(format!("unknown offset `{name}`")))
}

/// The offsets below `in.{prefix}.`, as variables.
fn offsets(case: &Case, prefix: &str) -> Result<BTreeMap<Part, Var>> {
    let prefix = format!("in.{prefix}.");
    let own = case
        .with_prefix(&prefix)
        .filter(|(name, _)| !name.contains('.'));
    own.map(|(name, tensor)| Ok((part(case, name)?, var(tensor)?)))
        .collect()
}

fn tensors(offsets: &BTreeMap<Part, Var>) -> Offsets {
    let offsets = offsets.iter();
    offsets
        .map(|(part, var)| (*part, var.as_tensor().clone()))
        .collect()
}

/// One layer, plain and up-sampling, with every kind of modulation.
pub(super) fn layer(case: &Case) -> Result<Computed> {
    #[derive(Deserialize)]
    struct Variant {
        upsample: bool,
    }
    #[derive(Deserialize)]
    struct Layers {
        variants: BTreeMap<String, Variant>,
        blur_kernel: Vec<f64>,
    }
    let mut computed = Computed::default();
    let config: Layers = case.config()?;
    let filter = setup_filter(&config.blur_kernel, None, case.device(), DType::F32)?;
    for (variant, Variant { upsample }) in &config.variants {
        let param = |name: &str| case.param(&format!("{variant}.{name}"));
        let up = if *upsample { 2 } else { 1 };
        let r = case.input(&format!("{variant}.R"))?;
        let style_dim = param("modulation.weight")?.dim(1)? as f64;
        let affine = (param("modulation.weight")? / style_dim.sqrt())?;
        let run = |name: Option<&str>, computed: &mut Computed| -> Result<()> {
            let weight = var(param("weight")?)?;
            let x = var(case.input(&format!("{variant}.x"))?)?;
            let w = var(case.input(&format!("{variant}.w"))?)?;
            let stored = weight.squeeze(0)?;
            let (mut modulation, mut own) = (
                domex_latent::modulation::Modulation::default(),
                BTreeMap::new(),
            );
            if let Some(name) = name {
                let kind: ModulationKind = name.split('.').next().unwrap_or_default().parse()?;
                own = offsets(case, &format!("{variant}.{name}"))?;
                modulation = match own.get(&Part::Singular) {
                    None => kind.modulation(&tensors(&own))?,
                    Some(singular) => {
                        let spectrum = Spectrum::of(variant, &stored)?;
                        let values = spectrum.values().clone();
                        computed.out(format_args!("{variant}.{name}.singular_values"), values);
                        spectrum.modulation(singular)?
                    }
                };
            }
            let stored = match &modulation.weight_offset {
                Some(offset) => stored.broadcast_add(offset)?,
                None => stored,
            };
            let (_, inputs, kh, kw) = stored.dims4()?;
            let scaled = (stored / ((inputs * kh * kw) as f64).sqrt())?;
            let styles = linear(&w, &affine, Some(param("modulation.bias")?))?;
            let how = ModulatedConv {
                up,
                padding: 1,
                filter: Some(&filter),
                flip_weight: up == 1,
                channel_factor: modulation.channel_factor.as_ref(),
                ..ModulatedConv::default()
            };
            let change = WeightChange {
                factor: modulation.weight_factor.as_ref(),
                shift: modulation.weight_shift.as_ref(),
            };
            let y = domain_modulated_conv2d(&x, &scaled, &styles, &how, change)?;
            let Some(name) = name else {
                computed.out(format_args!("{variant}.no_offsets"), y);
                return Ok(());
            };
            let grads = dot(&y, r)?.backward()?;
            computed.out(format_args!("{variant}.{name}.y"), y);
            for (part, offset) in &own {
                computed.grad(
                    format_args!("{variant}.{name}.{}", part.name()),
                    &grads,
                    offset,
                )?;
            }
            for (of, operand) in [("x", &x), ("w", &w), ("weight", &weight)] {
                computed.grad(format_args!("{variant}.{name}.{of}"), &grads, operand)?;
            }
            Ok(())
        };
        run(None, &mut computed)?;
        let prefix = format!("in.{variant}.");
        let names = case.with_prefix(&prefix);
        let mut names: Vec<&str> = names
            .filter_map(|(name, _)| Some(name.rsplit_once('.')?.0))
            .collect();
        names.dedup();
        for name in names {
            run(Some(name), &mut computed)?;
        }
    }
    Ok(computed)
}

/// A whole generator with a domain for all samples.
pub(super) fn generator(case: &Case) -> Result<Computed> {
    #[derive(Deserialize)]
    struct Keys {
        patch_keys: Vec<String>,
    }
    let mut computed = Computed::default();
    let generator = rosinality::generator(case, &network::tensors(case, ""), None)?;
    let z = case.input("z")?;
    computed.out("w", generator.mapping().forward(Some(z), None)?);
    let ws = generator.latents(z, None, Truncation::NONE)?;
    let synthesis = generator.synthesis();
    computed.out("no_offsets", synthesis.forward(&ws, Noise::Const)?);
    let layers = convolutions(&generator);
    for key in case.config::<Keys>()?.patch_keys {
        let kind: ModulationKind = key.parse()?;
        let domain = (0..layers.len()).map(|at| offsets(case, &format!("{key}.conv_{at}")));
        let domain: Vec<_> = domain.collect::<Result<_>>()?;
        let plain: Vec<Offsets> = domain.iter().map(tensors).collect();
        let changes = modulations(kind, &layers, &plain)?;
        let img = synthesis.forward_modulated(&ws, &changes, Noise::Const)?;
        let grads = dot(&img, case.input("R")?)?.backward()?;
        computed.out(format_args!("{key}.img"), img);
        for (at, own) in domain.iter().enumerate() {
            for (part, offset) in own {
                let name = format!("{key}.conv_{at}.{}", part.name());
                computed.grad(name, &grads, offset)?;
            }
        }
    }
    Ok(computed)
}

/// The hypernetwork in training, and in evaluation with the statistics that the case has.
pub(super) fn hypernetwork(case: &Case) -> Result<Computed> {
    #[derive(Deserialize)]
    struct Mapper {
        backbone_type: String,
        mapper_type: String,
        input_dimension: usize,
        width: usize,
        head_depth: usize,
        backbone_depth: usize,
        #[serde(default)]
        no_coarse: bool,
        #[serde(default)]
        no_medium: bool,
        #[serde(default)]
        no_fine: bool,
        conv_dimensions_in_out: Vec<[usize; 2]>,
    }
    let mapper: Mapper = case.config()?;
    let modulation = match mapper.mapper_type.as_str() {
        "residual_channelin" => ModulationKind::CinMult,
        "residual_channelwise_sep" => ModulationKind::CsepMult,
        other => return Err(case.malformed(format!("unknown mapper `{other}`"))),
    };
    let is_whole = !(mapper.no_coarse || mapper.no_medium || mapper.no_fine);
    if mapper.backbone_type != "shared" || mapper.input_dimension != mapper.width || !is_whole {
        return Err(case.malformed("only the whole shared mapper has a known form"));
    }
    let convolution = |(at, [inputs, outputs]): (usize, &[usize; 2])| Convolution {
        name: format!("conv_{at}"),
        inputs: *inputs,
        outputs: *outputs,
    };
    let layers = mapper.conv_dimensions_in_out.iter().enumerate();
    let config = Config {
        modulation,
        width: mapper.width,
        backbone_depth: mapper.backbone_depth,
        head_depth: mapper.head_depth,
        convolutions: layers.map(convolution).collect(),
    };
    let mut computed = Computed::default();
    let mut weights = network::tensors(case, "");
    weights.retain(|_, tensor| tensor.dtype().is_float());
    for mode in ["train", "eval"] {
        let vars: BTreeMap<String, Var> = weights
            .iter()
            .map(|(name, tensor)| Ok((name.clone(), var(tensor)?)))
            .collect::<Result<_>>()?;
        let live: HashMap<String, Tensor> = vars
            .iter()
            .map(|(name, var)| (name.clone(), var.as_tensor().clone()))
            .collect();
        let vb = VarBuilder::from_tensors(live, DType::F32, case.device());
        let network = Hypernetwork::new(&vb, &config)?;
        let e = var(case.input("e")?)?;
        let domains = if mode == "train" {
            let (domains, statistics) = network.forward_train(&e)?;
            for (name, moved) in statistics {
                computed.out(format_args!("after_train.{name}"), moved);
            }
            domains
        } else {
            network.forward(&e)?
        };
        let mut loss: Option<Tensor> = None;
        for (at, domain) in domains.iter().enumerate() {
            for (part, offset) in domain {
                let name = format!("conv_{at}.{}", part.name());
                let own = dot(offset, case.input(&format!("R.{name}"))?)?;
                loss = Some(match loss {
                    Some(sum) => (sum + own)?,
                    None => own,
                });
                computed.out(format_args!("{mode}.{name}"), offset.clone());
            }
        }
        let Some(loss) = loss else {
            return Err(case.malformed("a network without heads"));
        };
        let grads = loss.backward()?;
        computed.grad(format_args!("{mode}.e"), &grads, &e)?;
        for (name, var) in vars.iter().filter(|(name, _)| !is_statistic(name)) {
            computed.grad(format_args!("{mode}.{name}"), &grads, var)?;
        }
    }
    Ok(computed)
}

/// Hull and cone, with given weights and draws.
pub(super) fn augmentation(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let cosine = case
        .number("/cos_lower_bound")
        .unwrap_or(domex_hyperdomain::augment::COSINE);
    let weights = case.input("alphas")?;
    for name in ["mapper_input", "src_emb", "trg_emb"] {
        computed.out(
            format_args!("hull.{name}"),
            hull(case.input(name)?, weights)?,
        );
    }
    let turned = |embeddings: &Tensor, name: &str| -> Result<Tensor> {
        let draws = Draws {
            directions: case.input(&format!("{name}.rand_direction"))?.clone(),
            cosines: case.input(&format!("{name}.rand_cos"))?.clone(),
        };
        Ok(resample(embeddings, &draws, cosine)?)
    };
    let targets = hull(case.input("trg_emb")?, weights)?;
    computed.out("resample.trg_emb", turned(&targets, "resample")?);
    computed.out(
        "resample2d",
        turned(case.input("mapper_input")?, "resample2d")?,
    );
    let single = case.input("single.target")?.unsqueeze(0)?;
    computed.out("single", turned(&single, "single")?);
    Ok(computed)
}
