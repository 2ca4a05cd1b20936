use candle_core::{DType, Device};

use super::*;
use crate::Config;

/// Of a network, a tensor for each of its names in a layout.
fn file(names: &Names, prefix: &str) -> Tensors {
    let config = Config {
        width: 64,
        layers: 2,
        heads: 1,
        mlp_width: 96,
        grid: 3,
    };
    let mut file = Tensors::new();
    for (own, tensor) in config.zeros().unwrap() {
        let (theirs, rows) = theirs(names, &own);
        let tensor = match rows {
            1 => tensor,
            _ => Tensor::cat(&vec![&tensor; rows], 0).unwrap(),
        };
        file.insert(format!("{prefix}{theirs}"), tensor);
    }
    file
}

/// What a layout calls a tensor, and how many of it are packed in one.
fn theirs(names: &Names, own: &str) -> (String, usize) {
    let pairs = |pairs: &[(&str, &'static str)], name: &str| {
        let found = pairs.iter().find(|(own, _)| *own == name);
        found.map(|(_, theirs)| *theirs)
    };
    let Some(rest) = own.strip_prefix("encoder.layers.") else {
        return (pairs(&names.whole, own).unwrap().to_owned(), 1);
    };
    let (number, rest) = rest.split_once('.').unwrap();
    let block = format!("{}{number}", names.blocks);
    if let Some(scale) = pairs(&names.scales, rest) {
        return (format!("{block}.{scale}"), 1);
    }
    let (layer, end) = rest.rsplit_once('.').unwrap();
    let theirs = pairs(&names.layers, layer).unwrap();
    let rows = if names.packed == Some(theirs) { 3 } else { 1 };
    (format!("{block}.{theirs}.{end}"), rows)
}

fn refused(tensors: &Tensors, words: &[&str]) {
    let found = renamed(tensors).and_then(|tensors| Config::deduce(&tensors));
    let error = found.unwrap_err().to_string();
    for word in words {
        assert!(error.contains(word), "{word:?} is not in: {error}");
    }
}

fn one() -> Tensor {
    Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap()
}

const LAYOUTS: [(&Names, &str); 3] = [
    (&facebook::NAMES, ""),
    (&transformers::NAMES, ""),
    (&transformers::NAMES, "dinov2."),
];

#[test]
fn both_layouts_have_the_same_network() {
    for (names, prefix) in LAYOUTS {
        let mut file = file(names, prefix);
        file.insert("mask_token".into(), one());
        file.insert("classifier.weight".into(), one());
        let tensors = renamed(&file).unwrap();
        let config = Config::deduce(&tensors).unwrap();
        assert_eq!((config.layers, config.heads, config.grid), (2, 1, 3));
        let shapes = tensors.into_iter();
        let shapes = shapes.map(|(name, tensor)| (name, tensor.dims().to_vec()));
        assert!(shapes.eq(config.shapes()));
    }
}

#[test]
fn queries_keys_and_values_come_apart_in_this_order() {
    let mut file = file(&facebook::NAMES, "");
    let rows: Vec<f32> = (0..192).map(|row| row as f32).collect();
    let packed = Tensor::new(rows, &Device::Cpu).unwrap();
    file.insert("blocks.1.attn.qkv.bias".into(), packed);
    let tensors = renamed(&file).unwrap();
    for (part, first) in [("q", 0.0), ("k", 64.0), ("v", 128.0)] {
        let bias = &tensors[&format!("encoder.layers.1.self_attn.{part}_proj.bias")];
        assert_eq!(bias.to_vec1::<f32>().unwrap()[0], first);
    }
}

#[test]
fn what_is_missing_is_named_as_in_the_file() {
    for (names, prefix) in LAYOUTS {
        let whole = file(names, prefix);
        // Without the first one no layout is known.
        for name in whole.keys().filter(|name| !name.ends_with("cls_token")) {
            let mut part = whole.clone();
            part.remove(name);
            refused(&part, &[name, "missing"]);
        }
    }
}

#[test]
fn other_networks_are_named() {
    for (names, prefix) in LAYOUTS {
        let with = |name: String| {
            let mut file = file(names, prefix);
            file.insert(name, one());
            file
        };
        let gated = format!("{prefix}{}0.{}.weight", names.blocks, names.gated);
        refused(&with(gated), &["ViT-g/14", "ViT-L/14"]);
        let registers = format!("{prefix}{}", names.registers);
        refused(&with(registers), &["register tokens"]);
        let far = format!("{prefix}{}99999999.x", names.blocks);
        refused(&with(far), &["blocks"]);
    }
    let mut patches = file(&facebook::NAMES, "");
    let sixteen = Tensor::zeros((64, 3, 16, 16), DType::F32, &Device::Cpu).unwrap();
    patches.insert("patch_embed.proj.weight".into(), sixteen);
    refused(&patches, &["[64, 3, 16, 16]", "14 × 14"]);
    let mut oblong = file(&facebook::NAMES, "");
    let places = Tensor::zeros((1, 12, 64), DType::F32, &Device::Cpu).unwrap();
    oblong.insert("pos_embed".into(), places);
    refused(&oblong, &["positions", "[1, 12, 64]"]);
    let other = Tensors::from([("conv1.weight".to_owned(), one())]);
    refused(
        &other,
        &["conv1.weight", "facebookresearch", "transformers"],
    );
}

#[test]
fn the_published_sizes_are_known() {
    for (width, layers, parameters) in [
        (384, 12, 22_056_576),
        (768, 12, 86_580_480),
        (1024, 24, 304_368_640),
    ] {
        let config = Config {
            width,
            layers,
            heads: width / 64,
            mlp_width: 4 * width,
            grid: 37,
        };
        let shapes = config.shapes().into_values();
        let count: usize = shapes.map(|shape| shape.iter().product::<usize>()).sum();
        // The token of masked patches is left out.
        assert_eq!(count + width, parameters);
    }
}
