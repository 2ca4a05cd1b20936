//! Reading reference cases, and comparing with them.
#![allow(dead_code)] // Each test file uses a part.

use std::path::PathBuf;

use candle_core::{DType, Device, Tensor};
use domex_stylegan2::Tensors;
use domex_stylegan3::GeneratorConfig;
use serde_json::Value as Json;

pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A file of the reference cases.
pub fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden/stylegan3")
        .join(name)
}

/// One reference case.
pub struct Case {
    pub tensors: Tensors,
    pub config: Json,
}

impl Case {
    pub fn open(name: &str) -> Self {
        let path = golden(name);
        let tensors = candle_core::safetensors::load(&path, &Device::Cpu).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let config = header.metadata().clone().unwrap()["config"].clone();
        Self {
            tensors: tensors.into_iter().collect(),
            config: serde_json::from_str(&config).unwrap(),
        }
    }

    pub fn get(&self, name: &str) -> &Tensor {
        &self.tensors[name]
    }

    /// The generator's arguments, without what the case has beside them.
    pub fn generator(&self) -> domex_stylegan3::Result<GeneratorConfig> {
        let mut kwargs = self.config.clone();
        let beside = ["truncation_psi", "truncation_cutoff", "translate", "rotate"];
        kwargs
            .as_object_mut()
            .unwrap()
            .retain(|key, _| !beside.contains(&key.as_str()));
        GeneratorConfig::from_kwargs(&kwargs)
    }

    /// Tensors below a prefix, without it.
    pub fn below(&self, prefix: &str) -> Tensors {
        let tensors = self.tensors.iter();
        let below = tensors.filter_map(|(name, tensor)| {
            Some((name.strip_prefix(prefix)?.to_owned(), tensor.clone()))
        });
        below.collect()
    }
}

/// The largest number.
pub fn peak(tensor: &Tensor) -> f64 {
    let tensor = tensor.to_dtype(DType::F64).unwrap().abs().unwrap();
    tensor.max_all().unwrap().to_scalar().unwrap()
}

/// The largest difference, as a share of the largest number expected.
pub fn off(found: &Tensor, expected: &Tensor) -> f64 {
    assert_eq!(found.dims(), expected.dims());
    let wide = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
    let off = peak(&(wide(found) - wide(expected)).unwrap()) / peak(expected);
    assert!(off.is_finite());
    off
}
