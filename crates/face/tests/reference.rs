//! The network against numbers of an independent forward pass, and files that are refused.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use domex_face::{Config, STRIDES, YuNet};

type Tensors = HashMap<String, Tensor>;

fn sample(name: &str) -> Tensors {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{name}.safetensors"));
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

/// The weights of a sample under the names of the network.
fn weights(sample: &Tensors) -> Tensors {
    let named = |(name, tensor): (&String, &Tensor)| {
        Some((name.strip_prefix("param.")?.to_owned(), tensor.clone()))
    };
    sample.iter().filter_map(named).collect()
}

/// The largest difference, over the largest entry.
fn difference(a: &Tensor, b: &Tensor) -> f32 {
    let most = |x: &Tensor| -> f32 { x.abs().unwrap().max_all().unwrap().to_scalar().unwrap() };
    most(&(a - b).unwrap()) / most(b)
}

fn check(name: &str, config: Config) {
    let sample = sample(name);
    let vb = VarBuilder::from_tensors(weights(&sample), DType::F32, &Device::Cpu);
    let network = YuNet::new(&vb, &config).unwrap();
    let pictures = &sample["in.pictures"];
    let levels = network.forward(pictures).unwrap();
    for (level, stride) in levels.iter().zip(STRIDES) {
        let expected = &sample[&format!("out.{stride}")];
        assert_eq!(level.dims(), expected.dims());
        let off = difference(level, expected);
        assert!(off < 3e-6, "{name}, stride {stride}: {off}");
    }
    // A batch equals its pictures one by one.
    let second = network.forward(&pictures.narrow(0, 1, 1).unwrap()).unwrap();
    let off = difference(&second[2], &levels[2].narrow(0, 1, 1).unwrap());
    assert!(off < 1e-6, "{off}");
}

#[test]
fn both_forms_agree_with_the_reference() {
    check(
        "yunet_n",
        Config {
            widths: [3, 4, 5, 6, 6, 6, 6],
            shared: true,
        },
    );
    check(
        "yunet_s",
        Config {
            widths: [2, 3, 4, 5, 5, 5, 5],
            shared: false,
        },
    );
}

#[test]
fn the_shapes_of_the_published_networks_are_known() {
    for (config, parameters) in [(Config::n(), 75_856), (Config::s(), 54_608)] {
        let map = candle_nn::VarMap::new();
        let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
        YuNet::new(&vb, &config).unwrap();
        let data = map.data().lock().unwrap();
        let trained = data.iter().filter(|(name, _)| !name.contains("running"));
        let count: usize = trained.map(|(_, tensor)| tensor.elem_count()).sum();
        assert_eq!(count, parameters);
        let shapes = data
            .iter()
            .map(|(name, var)| (name.clone(), var.dims().to_vec()));
        assert_eq!(Config::deduce(&shapes.collect()).unwrap(), config);
    }
}

/// A file with these weights.
fn file(tensors: &Tensors) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("face.safetensors");
    candle_core::safetensors::save(tensors, &path).unwrap();
    (folder, path)
}

#[test]
fn a_file_gives_the_same_network() {
    let sample = sample("yunet_n");
    let (_folder, path) = file(&weights(&sample));
    let network = YuNet::load(path, &Device::Cpu).unwrap();
    let levels = network.forward(&sample["in.pictures"]).unwrap();
    assert!(difference(&levels[0], &sample["out.8"]) < 3e-6);
}

#[test]
fn other_files_and_other_pictures_are_named() {
    let whole = weights(&sample("yunet_n"));
    let refused = |change: &dyn Fn(&mut Tensors), words: &[&str]| {
        let mut tensors = whole.clone();
        change(&mut tensors);
        let (_folder, path) = file(&tensors);
        let error = YuNet::load(path, &Device::Cpu).unwrap_err().to_string();
        for word in words {
            assert!(error.contains(word), "{word:?} is not in: {error}");
        }
    };
    let rename = |tensors: &mut Tensors| {
        *tensors = [(
            "weight".to_owned(),
            Tensor::new(1f32, &Device::Cpu).unwrap(),
        )]
        .into();
    };
    refused(
        &rename,
        &[
            "face.safetensors",
            "backbone.model0.conv1.weight",
            "missing",
            "yunet_n.pth",
        ],
    );
    let part = "neck.lateral_convs.1.bn.running_mean";
    refused(&|tensors| drop(tensors.remove(part)), &[part]);
    let variance = "backbone.model3.conv1.bn.running_var";
    let negative = |tensors: &mut Tensors| {
        let below = (&tensors[variance] - 2.0).unwrap();
        tensors.insert(variance.to_owned(), below);
    };
    refused(&negative, &[variance, "at least 0"]);
    let narrow = |tensors: &mut Tensors| {
        let name = "backbone.model5.conv2.conv1.weight";
        let cut = tensors[name].narrow(0, 0, 2).unwrap();
        tensors.insert(name.to_owned(), cut);
    };
    refused(&narrow, &["channels", "the last three equal"]);

    let vb = VarBuilder::from_tensors(whole.clone(), DType::F32, &Device::Cpu);
    let config = Config {
        widths: [3, 4, 5, 6, 6, 6, 6],
        shared: true,
    };
    let network = YuNet::new(&vb, &config).unwrap();
    for shape in [[1, 3, 32, 40], [1, 1, 32, 32], [1, 3, 0, 32]] {
        let pictures = Tensor::zeros(&shape, DType::F32, &Device::Cpu).unwrap();
        let error = network.forward(&pictures).unwrap_err().to_string();
        assert!(error.contains("multiples of 32"), "{error}");
    }
}
