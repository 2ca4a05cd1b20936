//! Published weights of a vision transformer, brought to the encoder's keys.
//!
//! Known are torchvision's own names (of its old files too, `mlp.linear_1`), those of timm (`blocks.0.attn.qkv.weight`) and those
//! of Hugging Face's transformers (`vit.encoder.layer.0.…`, with or without `vit.`). The last norm and the classifier are left
//! out: the encoder has none.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::{Error, Result};

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// The backbone under the encoder's keys.
///
/// # Errors
///
/// Names of no layout that is known.
pub fn backbone(tensors: &Tensors) -> Result<Tensors> {
    let has = |name: &str| tensors.contains_key(name);
    if has("class_token") {
        return Ok(renamed(tensors, torchvision));
    }
    if has("cls_token") {
        return Ok(renamed(tensors, timm));
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

fn renamed(tensors: &Tensors, name: impl Fn(&str) -> Option<String>) -> Tensors {
    let tensors = tensors.iter();
    tensors
        .filter_map(|(old, tensor)| Some((name(old)?, tensor.clone())))
        .collect()
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
    let mut out = renamed(tensors, transformers);
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
    fn other_names_are_shown() {
        let error = backbone(&named(&["conv1.weight"])).unwrap_err().to_string();
        assert!(
            error.contains("conv1.weight") && error.contains("timm"),
            "{error}"
        );
    }
}
