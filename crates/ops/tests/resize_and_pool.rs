//! The reference cases of resizing and pooling: values and gradients as PyTorch and torchvision give
//! them. Tolerances are those published with the cases, relative to the largest value of a tensor.

use std::{collections::HashMap, path::Path};

use candle_core::{DType, Device, Tensor, Var};
use domex_ops::{
    Pool, Resize, Result, avg_pool2d, centre_crop, max_pool2d, resize, resize_shorter_side,
    testing::max_difference,
};
use serde_json::Value;

/// One file: its tensors and its configuration.
struct Case {
    tensors: HashMap<String, Tensor>,
    config: Value,
}

impl Case {
    fn read(name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
        let path = folder.join(name).with_extension("safetensors");
        let bytes = std::fs::read(&path).expect("the golden file");
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
        let config = &header.metadata().as_ref().expect("metadata")["config"];
        Self {
            tensors: candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).expect("tensors"),
            config: serde_json::from_str(config).expect("JSON"),
        }
    }

    fn get(&self, name: &str) -> &Tensor {
        self.tensors
            .get(name)
            .unwrap_or_else(|| panic!("{name} is not in the file"))
    }

    fn cases(&self) -> &[Value] {
        self.config["cases"].as_array().expect("a list of cases")
    }

    /// Checks `f(x)` and the gradient of `Σ f(x) · r`.
    fn check(
        &self,
        f: impl Fn(&Tensor) -> Result<Tensor>,
        x: &str,
        r: &str,
        names: [&str; 2],
        tolerance: f64,
    ) {
        let x = Var::from_tensor(self.get(x)).expect("a variable");
        let y = f(&x).expect("an output");
        self.close(names[0], &y, tolerance);
        let loss = (y * self.get(r)).and_then(|t| t.sum_all()).expect("a loss");
        let grads = loss.backward().expect("gradients");
        self.close(names[1], grads.get(&x).expect("a gradient"), tolerance);
    }

    fn close(&self, name: &str, got: &Tensor, tolerance: f64) {
        let expected = self.get(name);
        let largest = max_difference(expected, &expected.zeros_like().expect("zeros"));
        let error = max_difference(got, expected);
        assert!(
            error <= tolerance * largest,
            "{name}: off by {error:e}, largest value {largest:e}"
        );
    }
}

/// CLIP's preprocessing of an image tensor in [−1, 1].
fn preprocess(x: &Tensor, size: usize, antialias: bool) -> Result<Tensor> {
    let spread = |v: [f64; 3]| {
        Tensor::new(&v, &Device::Cpu)?
            .reshape((1, 3, 1, 1))?
            .to_dtype(DType::F32)
    };
    let mean = spread([0.48145466, 0.4578275, 0.40821073])?;
    let std = spread([0.26862954, 0.26130258, 0.27577711])?;
    let x = resize_shorter_side(&x.affine(0.5, 0.5)?, size, Resize::Bicubic { antialias })?;
    Ok(centre_crop(&x, size)?
        .broadcast_sub(&mean)?
        .broadcast_div(&std)?)
}

fn number(case: &Value, key: &str) -> usize {
    case[key]
        .as_u64()
        .unwrap_or_else(|| panic!("no {key} in {case}")) as usize
}

#[test]
fn clip_resize_bicubic() {
    let case = Case::read("clip/resize_bicubic");
    for entry in case.cases() {
        let (name, size) = (
            entry["name"].as_str().expect("a name"),
            number(entry, "n_px"),
        );
        let (x, r) = (format!("in.img_{name}"), format!("in.R_{name}"));
        for (tag, antialias) in [("aa", true), ("noaa", false)] {
            let names = [
                &*format!("out.{tag}_{name}"),
                &*format!("grad.{tag}_{name}"),
            ];
            case.check(|x| preprocess(x, size, antialias), &x, &r, names, 8e-5);
            let unit = case.get(&x).affine(0.5, 0.5).expect("a tensor");
            let resized = resize_shorter_side(&unit, size, Resize::Bicubic { antialias });
            case.close(
                &format!("out.resized_{tag}_{name}"),
                &resized.expect("a tensor"),
                8e-5,
            );
        }
    }
}

#[test]
fn expansion_clip_preprocess() {
    let case = Case::read("expansion/clip_preprocess");
    for (i, entry) in case.cases().iter().enumerate() {
        let antialias = entry["antialias"].as_bool().expect("a flag");
        let x = format!("in.{}", entry["img"].as_str().expect("a name"));
        let size = number(entry, "image_resolution");
        let names = [&*format!("out.{i}.y"), &*format!("grad.{i}.x")];
        case.check(
            |x| preprocess(x, size, antialias),
            &x,
            &format!("in.{i}.R"),
            names,
            8e-5,
        );
    }
}

#[test]
fn lpips_pooling() {
    let case = Case::read("lpips/pooling");
    for entry in case.cases() {
        let input = entry["input"].as_str().expect("a name");
        let tag = entry["tag"].as_str().expect("a tag");
        let pool = Pool {
            kernel: number(entry, "kernel_size"),
            stride: number(entry, "stride"),
            padding: entry.get("padding").map_or(0, |_| number(entry, "padding")),
            ceil_mode: entry["ceil_mode"].as_bool().unwrap_or(false),
        };
        let with_padding = entry["count_include_pad"].as_bool().unwrap_or(true);
        let (x, r) = (format!("in.{input}"), format!("in.R_{tag}_{input}"));
        let names = [
            &*format!("out.{tag}_{input}"),
            &*format!("grad.{tag}_{input}"),
        ];
        if tag.starts_with("avg") {
            case.check(|x| avg_pool2d(x, &pool, with_padding), &x, &r, names, 1e-6);
        } else {
            // Picked values are exact; gradients of overlapping windows are added in one order.
            case.check(|x| max_pool2d(x, &pool), &x, &r, names, 0.0);
        }
    }
}

#[test]
fn metrics_resize_bilinear() {
    let case = Case::read("metrics/resize_bilinear");
    for (input, size) in [("small", 299), ("large", 61)] {
        for (suffix, kind) in [("", Resize::Bilinear), ("_tf1", Resize::BilinearTf1)] {
            let y = resize(case.get(&format!("in.{input}")), size, size, kind).expect("a tensor");
            case.close(&format!("out.{input}_to_{size}{suffix}"), &y, 1e-5);
        }
    }
}
