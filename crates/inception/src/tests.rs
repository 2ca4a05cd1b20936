use std::collections::HashMap;

use candle_core::{DType, Device};
use candle_nn::VarMap;

use super::*;

/// A network a sixteenth as wide whose maps neither vanish nor grow, and its tensors.
fn narrow() -> (Inception, HashMap<String, Tensor>) {
    let config = Config {
        narrow: 16,
        classes: 10,
    };
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    Inception::new(&vb, &config).unwrap();
    let data = map.data().lock().unwrap();
    let tensors = data.iter().map(|(name, var)| {
        let n = var.elem_count();
        let wave = |i: usize| (i as f32 * 2.399 + name.len() as f32).sin();
        let value = |i: usize| match name.rsplit('.').next() {
            Some("running_var") => 1.0 + 0.5 * wave(i),
            Some("running_mean" | "bias") => 0.1 * wave(i),
            _ if var.rank() == 1 => 1.0 + 0.3 * wave(i),
            _ => wave(i) * (6.0 * var.dims()[0] as f32 / n as f32).sqrt(),
        };
        let values: Vec<f32> = (0..n).map(value).collect();
        let tensor = Tensor::from_vec(values, var.dims(), &Device::Cpu).unwrap();
        (name.clone(), tensor)
    });
    let tensors: HashMap<String, Tensor> = tensors.collect();
    (build(&tensors, &config).unwrap(), tensors)
}

fn build(tensors: &HashMap<String, Tensor>, config: &Config) -> Result<Inception> {
    let vb = VarBuilder::from_tensors(tensors.clone(), DType::F32, &Device::Cpu);
    Inception::new(&vb, config)
}

fn pictures(n: usize, side: usize) -> Tensor {
    let values: Vec<f32> = (0..n * 3 * side * side)
        .map(|i| (i as f32 * 0.37).sin())
        .collect();
    Tensor::from_vec(values, (n, 3, side, side), &Device::Cpu).unwrap()
}

/// The largest difference, over the largest entry.
fn difference(a: &Tensor, b: &Tensor) -> f32 {
    let most = |x: &Tensor| -> f32 {
        let x = x.abs().unwrap().flatten_all().unwrap();
        x.max(0).unwrap().to_scalar().unwrap()
    };
    most(&(a - b).unwrap()) / most(a)
}

#[test]
fn a_batch_equals_its_pictures_one_by_one() {
    let (inception, _) = narrow();
    let x = pictures(3, 90);
    let together = inception.features(&x).unwrap();
    assert!(
        together
            .abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
            > 0.1
    );
    let alone: Vec<Tensor> = (0..3)
        .map(|i| inception.features(&x.narrow(0, i, 1).unwrap()).unwrap())
        .collect();
    let alone = Tensor::cat(&alone, 0).unwrap();
    assert!(difference(&together, &alone) < 1e-5);
}

#[test]
fn folded_normalisation_equals_the_composed_one() {
    let (inception, tensors) = narrow();
    let x = pictures(1, 75);
    let mut first = None;
    inception
        .visit(&x, |name, map| {
            if name == "Conv2d_1a_3x3" {
                first = Some(map.clone());
            }
            Ok(())
        })
        .unwrap();
    let get = |name: &str| tensors[&format!("Conv2d_1a_3x3.{name}")].clone();
    let per_channel = |name: &str| get(name).reshape((1, 2, 1, 1)).unwrap();
    let y = x
        .conv2d(&get("conv.weight"), 0, 2, 1, 1)
        .unwrap()
        .broadcast_sub(&per_channel("bn.running_mean"))
        .unwrap();
    let deviation = (per_channel("bn.running_var") + 1e-3)
        .unwrap()
        .sqrt()
        .unwrap();
    let y = y
        .broadcast_div(&deviation)
        .unwrap()
        .broadcast_mul(&per_channel("bn.weight"))
        .unwrap()
        .broadcast_add(&per_channel("bn.bias"))
        .unwrap();
    let off = difference(&y.relu().unwrap(), &first.unwrap());
    assert!(off < 5e-6, "{off}");
}

#[test]
fn the_smallest_picture_is_just_large_enough() {
    let (inception, _) = narrow();
    let features = inception.features(&pictures(1, SMALLEST)).unwrap();
    assert_eq!(features.dims(), [1, inception.config().features()]);
    let error = inception.features(&pictures(1, SMALLEST - 1)).unwrap_err();
    assert!(error.to_string().contains("at least 75"), "{error}");
    let grey = Tensor::zeros((1, 1, 99, 99), DType::F32, &Device::Cpu).unwrap();
    assert!(inception.features(&grey).is_err());
    assert!(prepare(&grey, Pipeline::PytorchFid).is_err());
}

#[test]
fn probabilities_leave_the_bias_out() {
    let (inception, tensors) = narrow();
    let features = inception.features(&pictures(2, 75)).unwrap();
    let (with, without) = (
        inception.logits(&features).unwrap(),
        inception.unbiased_logits(&features).unwrap(),
    );
    let bias = with.broadcast_sub(&tensors["fc.bias"]).unwrap();
    assert!(difference(&bias, &without) < 1e-5);
    let sums = inception.probabilities(&features).unwrap().sum(1).unwrap();
    for sum in sums.to_vec1::<f32>().unwrap() {
        assert!((sum - 1.0).abs() < 1e-5);
    }
}

#[test]
fn a_written_network_sees_alike() {
    let (own, tensors) = narrow();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("inception.safetensors");
    candle_core::safetensors::save(&tensors, &path).unwrap();
    let read = Inception::load(&path, DType::F32, &Device::Cpu).unwrap();
    assert_eq!(read.config(), own.config());
    let see = |net: &Inception| {
        let features = net.features(&pictures(1, 75)).unwrap();
        features.to_vec2::<f32>().unwrap()
    };
    assert_eq!(see(&read), see(&own));
}

#[test]
fn files_of_other_networks_are_named() {
    let (_, tensors) = narrow();
    let folder = tempfile::tempdir().unwrap();
    let refused = |change: &dyn Fn(&mut HashMap<String, Tensor>), words: &[&str]| {
        let mut tensors = tensors.clone();
        change(&mut tensors);
        let path = folder.path().join("other.safetensors");
        candle_core::safetensors::save(&tensors, &path).unwrap();
        let error = Inception::load(&path, DType::F32, &Device::Cpu).unwrap_err();
        let error = error.to_string();
        for word in words {
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
    };
    let zero = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu).unwrap();
    refused(
        &|t| {
            t.insert("AuxLogits.fc.bias".into(), zero(&[10]));
        },
        &["other.safetensors", "torchvision", "pytorch-fid"],
    );
    refused(
        &|t| {
            t.remove("fc.weight");
        },
        &["fc.weight", "missing"],
    );
    refused(
        &|t| {
            t.insert("Conv2d_1a_3x3.conv.weight".into(), zero(&[5, 3, 3, 3]));
        },
        &["[5, 3, 3, 3]", "[32, 3, 3, 3]"],
    );
    refused(
        &|t| {
            t.remove("Mixed_7c.branch_pool.bn.bias");
        },
        &["other.safetensors", "Mixed_7c.branch_pool.bn.bias"],
    );
    let var = "Mixed_6b.branch7x7_2.bn.running_var";
    refused(
        &|t| {
            let negative = (t[var].clone() - 2.0).unwrap();
            t.insert(var.into(), negative);
        },
        &[var, "at least 0"],
    );
}
