//! Published weights of a vision transformer, brought to the encoder's keys.
//!
//! Known are torchvision's own names (of its old files too, `mlp.linear_1`), those of timm (`blocks.0.attn.qkv.weight`) and those
//! of Hugging Face's transformers (`vit.encoder.layer.0.…`, with or without `vit.`). The last norm and the classifier are left
//! out: the encoder has none. What else a file has of its blocks, such as the layer scales of DINOv2, would change what they
//! compute, and is refused.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::{Config, Error, Result};

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// The backbone under the encoder's keys.
///
/// # Errors
///
/// Names of no layout that is known, or a part of a block that the encoder does not have.
pub fn backbone(tensors: &Tensors) -> Result<Tensors> {
    let has = |name: &str| tensors.contains_key(name);
    if has("class_token") {
        return Ok(renamed(tensors, torchvision));
    }
    if has("cls_token") {
        return known_blocks(tensors, timm, "blocks.", |_| false);
    }
    let bare: Tensors = tensors
        .iter()
        .map(|(name, tensor)| {
            let name = name.strip_prefix("vit.").unwrap_or(name);
            (name.to_owned(), tensor.clone())
        })
        .collect();
    if bare.contains_key("embeddings.cls_token") {
        return packed(&bare);
    }
    let found: Vec<&str> = tensors.keys().take(3).map(String::as_str).collect();
    Err(Error::config(
        "layout of the backbone",
        format!("unknown ({}, ..)", found.join(", ")),
        "a vision transformer of torchvision, timm or transformers",
    ))
}

/// What fixes an encoder on this backbone, under the encoder's keys. Heads of attention are taken to be 64 channels wide, as in every
/// published size of the network.
///
/// # Errors
///
/// A tensor that is missing, or sizes of which no network can be made.
pub fn config(backbone: &Tensors, domain_dims_per_resolution: Vec<Vec<usize>>) -> Result<Config> {
    const HEAD: usize = 64;
    let dims = |name: &str| {
        let tensor = backbone.get(name).map(Tensor::dims);
        tensor.ok_or_else(|| Error::config("backbone", format!("without {name}"), "whole"))
    };
    let wrong = |name: &str, found: &[usize], expected: &str| {
        Err(Error::shape(format!("backbone: {name}"), found, expected))
    };
    let (patches, positions) = ("conv_proj.weight", "encoder.pos_embedding");
    let (patch_size, hidden_dim) = match *dims(patches)? {
        [width, 3, side, _] => (side, width),
        ref found => return wrong(patches, found, "[width, 3, patch_size, patch_size]"),
    };
    let grid = match *dims(positions)? {
        [1, tokens, _] => tokens.saturating_sub(1).isqrt(),
        ref found => return wrong(positions, found, "[1, patches + 1, width]"),
    };
    let mlp = "encoder.layers.encoder_layer_0.mlp.0.weight";
    let mlp_dim = match *dims(mlp)? {
        [inner, _] => inner,
        ref found => return wrong(mlp, found, "[mlp_dim, width]"),
    };
    let blocks = backbone
        .keys()
        .filter(|name| name.ends_with(".mlp.0.weight"));
    let config = Config {
        image_size: grid * patch_size,
        patch_size,
        num_layers: blocks.count(),
        num_heads: hidden_dim / HEAD,
        hidden_dim,
        mlp_dim,
        domain_dims_per_resolution,
    };
    config.validate()?;
    Ok(config)
}

fn renamed(tensors: &Tensors, name: impl Fn(&str) -> Option<String>) -> Tensors {
    let tensors = tensors.iter();
    tensors
        .filter_map(|(old, tensor)| Some((name(old)?, tensor.clone())))
        .collect()
}

/// The same, where all tensors of blocks are known, but for `others` of them.
fn known_blocks(
    tensors: &Tensors,
    name: impl Fn(&str) -> Option<String>,
    word: &str,
    others: impl Fn(&str) -> bool,
) -> Result<Tensors> {
    let strange = |old: &&String| {
        let rest = block(old, word).map(|(_, rest)| rest);
        rest.is_some_and(|rest| name(old).is_none() && !others(rest))
    };
    match tensors.keys().find(strange) {
        None => Ok(renamed(tensors, name)),
        Some(old) => Err(Error::config(
            "a tensor of the backbone",
            old,
            "one of a plain vision transformer",
        )),
    }
}

fn torchvision(name: &str) -> Option<String> {
    if name.starts_with("heads.") || name.starts_with("encoder.ln.") {
        return None;
    }
    let name = name.replace("mlp.linear_1.", "mlp.0.");
    Some(name.replace("mlp.linear_2.", "mlp.3."))
}

/// `0.attn.…` after the word that begins a block, as (`0`, `attn.…`).
fn block<'a>(name: &'a str, word: &str) -> Option<(&'a str, &'a str)> {
    name.strip_prefix(word)?.split_once('.')
}

fn timm(name: &str) -> Option<String> {
    let plain = match name {
        "cls_token" => Some("class_token"),
        "pos_embed" => Some("encoder.pos_embedding"),
        "patch_embed.proj.weight" => Some("conv_proj.weight"),
        "patch_embed.proj.bias" => Some("conv_proj.bias"),
        _ => None,
    };
    if let Some(plain) = plain {
        return Some(plain.to_owned());
    }
    let (index, rest) = block(name, "blocks.")?;
    let (part, end) = rest.rsplit_once('.')?;
    let part = match part {
        "norm1" => "ln_1.",
        "norm2" => "ln_2.",
        "attn.qkv" => "self_attention.in_proj_",
        "attn.proj" => "self_attention.out_proj.",
        "mlp.fc1" => "mlp.0.",
        "mlp.fc2" => "mlp.3.",
        _ => return None,
    };
    Some(format!("encoder.layers.encoder_layer_{index}.{part}{end}"))
}

/// Transformers' layout has queries, keys and values apart.
fn packed(tensors: &Tensors) -> Result<Tensors> {
    let attention = |rest: &str| rest.starts_with("attention.attention.");
    let mut out = known_blocks(tensors, transformers, "encoder.layer.", attention)?;
    for name in tensors.keys() {
        let Some((index, rest)) = block(name, "encoder.layer.") else {
            continue;
        };
        let Some(end) = rest.strip_prefix("attention.attention.query.") else {
            continue;
        };
        let part = |which: &str| {
            let name = format!("encoder.layer.{index}.attention.attention.{which}.{end}");
            let tensor = tensors.get(&name);
            tensor.ok_or_else(|| Error::config("backbone", format!("without {name}"), "whole"))
        };
        let all = Tensor::cat(&[part("query")?, part("key")?, part("value")?], 0)?;
        let name = format!("encoder.layers.encoder_layer_{index}.self_attention.in_proj_{end}");
        out.insert(name, all);
    }
    Ok(out)
}

fn transformers(name: &str) -> Option<String> {
    let plain = match name {
        "embeddings.cls_token" => Some("class_token"),
        "embeddings.position_embeddings" => Some("encoder.pos_embedding"),
        "embeddings.patch_embeddings.projection.weight" => Some("conv_proj.weight"),
        "embeddings.patch_embeddings.projection.bias" => Some("conv_proj.bias"),
        _ => None,
    };
    if let Some(plain) = plain {
        return Some(plain.to_owned());
    }
    let (index, rest) = block(name, "encoder.layer.")?;
    let (part, end) = rest.rsplit_once('.')?;
    let part = match part {
        "layernorm_before" => "ln_1.",
        "layernorm_after" => "ln_2.",
        "attention.output.dense" => "self_attention.out_proj.",
        "intermediate.dense" => "mlp.0.",
        "output.dense" => "mlp.3.",
        _ => return None,
    };
    Some(format!("encoder.layers.encoder_layer_{index}.{part}{end}"))
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn named(names: &[&str]) -> Tensors {
        let tensor = Tensor::ones((1, 2), DType::F32, &Device::Cpu).unwrap();
        names
            .iter()
            .map(|name| ((*name).to_owned(), tensor.clone()))
            .collect()
    }

    fn names(tensors: &[&str]) -> Vec<String> {
        backbone(&named(tensors)).unwrap().into_keys().collect()
    }

    const BLOCK: &str = "encoder.layers.encoder_layer_1";

    #[test]
    fn names_of_timm_are_known() {
        let found = names(&[
            "cls_token",
            "blocks.1.attn.qkv.bias",
            "blocks.1.mlp.fc2.weight",
            "norm.weight",
            "head.bias",
        ]);
        let expected = [
            "class_token".to_owned(),
            format!("{BLOCK}.mlp.3.weight"),
            format!("{BLOCK}.self_attention.in_proj_bias"),
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn queries_keys_and_values_of_transformers_are_packed() {
        let attention = "vit.encoder.layer.1.attention.attention";
        let [q, k, v] = ["query", "key", "value"].map(|part| format!("{attention}.{part}.weight"));
        let all = named(&["vit.embeddings.cls_token", &q, &k, &v, "classifier.weight"]);
        let found = backbone(&all).unwrap();
        let packed = &found[&format!("{BLOCK}.self_attention.in_proj_weight")];
        assert_eq!(packed.dims(), [3, 2]);
        assert_eq!(found.len(), 2);
    }

    #[test]
    fn blocks_of_another_arithmetic_are_refused() {
        for names in [
            ["cls_token", "blocks.0.ls1.gamma"],
            [
                "vit.embeddings.cls_token",
                "vit.encoder.layer.0.layer_scale1.lambda1",
            ],
        ] {
            let error = backbone(&named(&names)).unwrap_err().to_string();
            assert!(
                error.contains(names[1].trim_start_matches("vit.")),
                "{error}"
            );
        }
    }

    #[test]
    fn old_files_of_torchvision_are_known() {
        let old = format!("{BLOCK}.mlp.linear_1.weight");
        let found = names(&[
            "class_token",
            &old,
            "encoder.ln.weight",
            "heads.head.weight",
        ]);
        assert_eq!(
            found,
            ["class_token".to_owned(), format!("{BLOCK}.mlp.0.weight")]
        );
    }

    #[test]
    fn the_sizes_of_vit_b16_are_found_in_its_tensors() {
        let published = Config::vit_b16(vec![vec![4]; 9]);
        let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::U8, &Device::Cpu).unwrap();
        let mut tensors = Tensors::new();
        tensors.insert("conv_proj.weight".into(), zeros(&[768, 3, 16, 16]));
        tensors.insert("encoder.pos_embedding".into(), zeros(&[1, 197, 768]));
        for at in 0..12 {
            let name = format!("encoder.layers.encoder_layer_{at}.mlp.0.weight");
            tensors.insert(name, zeros(&[3072, 768]));
        }
        assert_eq!(config(&tensors, vec![vec![4]; 9]).unwrap(), published);
    }

    #[test]
    fn a_backbone_that_is_not_whole_is_refused() {
        let error = config(&named(&["class_token"]), vec![vec![4]]).unwrap_err();
        assert!(
            error.to_string().contains("without conv_proj.weight"),
            "{error}"
        );
    }

    #[test]
    fn other_names_are_shown() {
        let error = backbone(&named(&["conv1.weight"])).unwrap_err().to_string();
        assert!(
            error.contains("conv1.weight") && error.contains("timm"),
            "{error}"
        );
    }
}
