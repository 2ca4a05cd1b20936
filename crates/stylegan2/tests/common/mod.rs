//! Reading reference cases, and comparing with them.
#![allow(dead_code)] // Each test file uses a part.

use std::collections::BTreeMap;
use std::path::PathBuf;

use candle_core::{DType, Device, Tensor, Var};
use domex_stylegan2::Tensors;

pub type Outcome = Result<(), Box<dyn std::error::Error>>;

/// A file of the copied reference cases.
pub fn golden(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name)
}

/// One reference case.
pub struct Case {
    pub tensors: Tensors,
    pub config: serde_json::Value,
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

    pub fn number(&self, name: &str) -> f64 {
        self.config[name].as_f64().unwrap()
    }

    pub fn count(&self, name: &str) -> usize {
        self.config[name].as_u64().unwrap() as usize
    }

    /// Tensors below a prefix, without it.
    pub fn below(&self, prefix: &str) -> Tensors {
        self.tensors
            .iter()
            .filter_map(|(name, tensor)| {
                Some((name.strip_prefix(prefix)?.to_string(), tensor.clone()))
            })
            .collect()
    }
}

/// Compares tensors of one kind: absolute error, and error relative to the largest entry of the
/// tensor or, for small tensors, to a hundredth of the largest entry of the kind.
pub struct Check {
    absolute: f64,
    relative: f64,
    pairs: Vec<(String, Tensor, Tensor)>,
}

impl Check {
    pub fn new(absolute: f64, relative: f64) -> Self {
        Self {
            absolute,
            relative,
            pairs: Vec::new(),
        }
    }

    pub fn add(&mut self, name: &str, found: &Tensor, expected: &Tensor) {
        assert_eq!(found.dims(), expected.dims(), "{name}");
        self.pairs
            .push((name.to_string(), found.clone(), expected.clone()));
    }

    /// Gradients of all parameters of a case.
    pub fn gradients(
        &mut self,
        case: &Case,
        vars: &BTreeMap<String, Var>,
        store: &candle_core::backprop::GradStore,
    ) {
        let mut seen = 0;
        for (name, expected) in case.below("grad.") {
            let Some(var) = vars.get(&name) else { continue };
            let found = store
                .get(var)
                .unwrap_or_else(|| panic!("no gradient for {name}"));
            self.add(&name, found, &expected);
            seen += 1;
        }
        assert!(seen > 0, "the case holds gradients");
    }

    pub fn finish(self) {
        let peaks: Vec<f64> = self.pairs.iter().map(|(_, _, b)| peak(b)).collect();
        let floor = 1e-2 * peaks.iter().copied().fold(0.0, f64::max);
        let mut worst = (0f64, 0f64);
        for ((name, found, expected), size) in self.pairs.iter().zip(peaks) {
            let error = distance(found, expected);
            let relative = if error == 0.0 {
                0.0
            } else {
                error / size.max(floor)
            };
            worst = (worst.0.max(error), worst.1.max(relative));
            assert!(
                error <= self.absolute && relative <= self.relative,
                "{name}: error {error:.3e} of {:.1e}, relative {relative:.3e} of {:.1e}",
                self.absolute,
                self.relative
            );
        }
        println!(
            "{} tensors, worst {:.2e} of {:.1e}, relative {:.2e} of {:.1e}",
            self.pairs.len(),
            worst.0,
            self.absolute,
            worst.1,
            self.relative
        );
    }
}

pub fn peak(tensor: &Tensor) -> f64 {
    let tensor = tensor.to_dtype(DType::F64).unwrap().abs().unwrap();
    tensor.max_all().unwrap().to_scalar().unwrap()
}

/// Largest absolute difference.
pub fn distance(a: &Tensor, b: &Tensor) -> f64 {
    let wide = |t: &Tensor| t.to_dtype(DType::F64).unwrap();
    let difference = peak(&(wide(a) - wide(b)).unwrap());
    assert!(!difference.is_nan());
    difference
}

/// Whether two tensors agree in every bit.
pub fn same_bits(a: &Tensor, b: &Tensor) -> bool {
    let bits = |t: &Tensor| -> Vec<u32> {
        let values = t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        values.into_iter().map(f32::to_bits).collect()
    };
    a.dims() == b.dims() && bits(a) == bits(b)
}
