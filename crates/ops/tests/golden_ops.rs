//! The reference cases of `tests/golden` that are single operators: outputs and
//! gradients, within the tolerances stated for them. A tensor whose largest entry is below 1 % of
//! the largest in the file is measured against that floor.

// Clippy knows only `#[test]` functions as tests, not their helpers.
#![allow(clippy::unwrap_used)]

use std::{collections::HashMap, path::Path};

use candle_core::{DType, Device, Tensor, Var};
use domex_ops::{
    Activation, BiasAct, ModulatedConv, UpFirDn, autograd::backward_with_graph, bias_act,
    downsample2d, filter2d, linear, modulated_conv2d, setup_filter, setup_filter2d,
    testing::max_difference, upfirdn2d, upsample2d,
};
use serde_json::Value;

type Tensors = HashMap<String, Tensor>;

struct Golden {
    tensors: Tensors,
    config: Value,
    /// What was computed, under the names of the file.
    found: Tensors,
}

impl Golden {
    fn open(name: &str) -> Self {
        Self::of_area("stylegan2", name)
    }

    fn of_area(area: &str, name: &str) -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/golden")
            .join(area);
        let path = folder.join(format!("{name}.safetensors"));
        let bytes = std::fs::read(&path).unwrap();
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let config = &header.metadata().as_ref().unwrap()["config"];
        Self {
            tensors: candle_core::safetensors::load(&path, &Device::Cpu).unwrap(),
            config: serde_json::from_str(config).unwrap(),
            found: Tensors::new(),
        }
    }

    fn cases(&self) -> Vec<Value> {
        let cases = self.config["cases"].as_array().unwrap().clone();
        assert!(!cases.is_empty());
        cases
    }

    /// Runs `f` on the operands of case `i` that the file holds, and on the way back.
    fn run(&mut self, i: usize, names: &[&str], f: impl Fn(&[Option<Tensor>]) -> Tensor) {
        let operand = |name: &&str| self.tensors.get(&format!("in.{i}.{name}")).cloned();
        let vars: Vec<Option<Var>> = names
            .iter()
            .map(|n| operand(n).map(|t| Var::from_tensor(&t).unwrap()))
            .collect();
        let xs: Vec<Option<Tensor>> = vars
            .iter()
            .map(|v| v.as_ref().map(|v| v.as_tensor().clone()))
            .collect();
        let y = f(&xs);
        let loss = (&y * &self.tensors[&format!("in.{i}.R")])
            .unwrap()
            .sum_all()
            .unwrap();
        let grads = loss.backward().unwrap();
        self.found.insert(format!("out.{i}.y"), y);
        for (name, var) in names.iter().zip(&vars) {
            if let Some(grad) = var.as_ref().and_then(|v| grads.get(v)) {
                self.found.insert(format!("grad.{i}.{name}"), grad.clone());
            }
        }
    }

    /// Compares all of one kind; `kind` is the prefix.
    fn compare(&self, kind: &str, absolute: f64, relative: f64) {
        let wanted: Vec<(&String, &Tensor)> = self
            .tensors
            .iter()
            .filter(|(name, _)| name.starts_with(kind))
            .collect();
        assert!(!wanted.is_empty(), "no {kind} in the file");
        let largest = |t: &Tensor| max_difference(t, &t.zeros_like().unwrap());
        let floor = 1e-2 * wanted.iter().map(|(_, t)| largest(t)).fold(0.0, f64::max);
        for (name, want) in wanted {
            let got = self
                .found
                .get(name)
                .unwrap_or_else(|| panic!("{name} was not computed"));
            let error = max_difference(got, want);
            let ratio = error / largest(want).max(floor);
            assert!(
                error <= absolute,
                "{name}: error {error:e}, at most {absolute:e}"
            );
            assert!(
                ratio <= relative,
                "{name}: relative error {ratio:e}, at most {relative:e}"
            );
        }
    }
}

fn number(value: &Value) -> Option<f64> {
    value.as_f64()
}

fn pair(value: &Value) -> [usize; 2] {
    match value.as_array() {
        Some(xy) => [
            xy[0].as_u64().unwrap() as usize,
            xy[1].as_u64().unwrap() as usize,
        ],
        None => [value.as_u64().unwrap() as usize; 2],
    }
}

fn sides(value: &Value) -> [i64; 4] {
    match value.as_array() {
        Some(p) => std::array::from_fn(|i| p[i].as_i64().unwrap()),
        None => [value.as_i64().unwrap(); 4],
    }
}

#[test]
fn resampling() {
    let mut golden = Golden::open("upfirdn2d");
    for (i, case) in golden.cases().iter().enumerate() {
        let filter = case["filter"]
            .as_str()
            .map(|f| golden.tensors[&format!("in.filter.{f}")].clone());
        let f = filter.as_ref();
        let (up, down) = (pair(&case["up"]), pair(&case["down"]));
        let padding = sides(&case["padding"]);
        let flip_filter = case["flip_filter"].as_bool().unwrap();
        let gain = number(&case["gain"]).unwrap();
        golden.run(i, &["x"], |t| {
            let x = t[0].as_ref().unwrap();
            let how = UpFirDn {
                up,
                down,
                padding,
                flip_filter,
                gain,
            };
            match case["op"].as_str().unwrap() {
                "upfirdn2d" => upfirdn2d(x, f, &how),
                "upsample2d" => upsample2d(x, f, up[0], padding, flip_filter, gain),
                "downsample2d" => downsample2d(x, f, down[0], padding, flip_filter, gain),
                "filter2d" => filter2d(x, f, padding, flip_filter, gain),
                other => panic!("unknown operator {other}"),
            }
            .unwrap()
        });
    }
    golden.compare("out.", 2e-5, 5e-6);
    golden.compare("grad.", 3e-5, 5e-6);
}

#[test]
fn filters() {
    let golden = Golden::open("upfirdn2d");
    let (cpu, single) = (&Device::Cpu, DType::F32);
    let outer = setup_filter(&[1.0, 3.0, 3.0, 1.0], None, cpu, single).unwrap();
    assert_eq!(
        max_difference(&outer, &golden.tensors["in.filter.box1331"]),
        0.0
    );
    let raw = &golden.tensors["in.filter.asym_raw"];
    let taps: Vec<f64> = raw
        .flatten_all()
        .unwrap()
        .to_vec1::<f32>()
        .unwrap()
        .into_iter()
        .map(f64::from)
        .collect();
    let full = setup_filter2d(&taps, raw.dim(1).unwrap(), cpu, single).unwrap();
    assert!(max_difference(&full, &golden.tensors["in.filter.asym"]) < 1e-7);
}

#[test]
fn bias_and_activation() {
    let mut golden = Golden::open("bias_act");
    for (i, case) in golden.cases().iter().enumerate() {
        let how = BiasAct {
            act: case["act"].as_str().unwrap().parse::<Activation>().unwrap(),
            alpha: number(&case["alpha"]),
            gain: number(&case["gain"]),
            clamp: number(&case["clamp"]),
            dim: case["dim"].as_u64().unwrap() as usize,
        };
        golden.run(i, &["x", "b"], |t| {
            bias_act(t[0].as_ref().unwrap(), t[1].as_ref(), &how).unwrap()
        });
    }
    golden.compare("out.", 2e-5, 5e-6);
    golden.compare("grad.", 2e-5, 8e-6);
}

#[test]
fn modulated_convolution() {
    let mut golden = Golden::open("modulated_conv2d");
    let filter = golden.tensors["in.filter"].clone();
    for (i, case) in golden.cases().iter().enumerate() {
        let flag = |name: &str| case[name].as_bool().unwrap();
        let size = |name: &str| case[name].as_u64().unwrap() as usize;
        let noise = golden.tensors.get(&format!("in.{i}.noise")).cloned();
        assert_eq!(noise.is_some(), flag("noise"));
        let how = ModulatedConv {
            up: size("up"),
            down: size("down"),
            padding: size("padding"),
            filter: flag("filter").then_some(&filter),
            demodulate: flag("demodulate"),
            flip_weight: flag("flip_weight"),
            noise: noise.as_ref(),
            channel_factor: None,
        };
        golden.run(i, &["x", "weight", "styles"], |t| {
            let [x, weight, styles] = [0, 1, 2].map(|j| t[j].as_ref().unwrap());
            modulated_conv2d(x, weight, styles, &how).unwrap()
        });
    }
    golden.compare("out.", 2e-4, 7e-6);
    golden.compare("grad.", 2e-4, 2e-5);
}

#[test]
fn keeping_the_graph_changes_no_first_gradient() {
    let x = Var::from_tensor(&Golden::open("modulated_conv2d").tensors["in.0.x"]).unwrap();
    let y = bias_act(&x, None, &BiasAct::new(Activation::Swish)).unwrap();
    let plain = y.backward().unwrap().remove(&x).unwrap();
    let kept = backward_with_graph(&y).unwrap().remove(&x).unwrap();
    assert_eq!(max_difference(&plain, &kept), 0.0);
    assert!(kept.track_op() && !plain.is_variable());
}

/// HyperDomainNet's channel-in modulation `D·(1 + in)` of the demodulated weight `D`, shared and of each sample.
#[test]
fn a_factor_per_input_channel_after_demodulation() {
    let mut golden = Golden::of_area("hyperdomain", "domain_modulation");
    let filter = setup_filter(&[1.0, 3.0, 3.0, 1.0], None, &Device::Cpu, DType::F32).unwrap();
    for (layer, up) in [("plain", 1), ("up", 2)] {
        let param = |name: &str| golden.tensors[&format!("param.{layer}.{name}")].clone();
        let weight = param("weight").squeeze(0).unwrap();
        let (_, inputs, kh, kw) = weight.dims4().unwrap();
        // The published layers scale weight and modulation at run time.
        let fan_in = 1.0 / ((inputs * kh * kw) as f64).sqrt();
        let modulation = param("modulation.weight");
        let modulation = (&modulation / (modulation.dim(1).unwrap() as f64).sqrt()).unwrap();
        let bias = param("modulation.bias");
        let r = golden.tensors[&format!("in.{layer}.R")].clone();
        for case in ["cin_mult", "cin_mult.per_sample"] {
            let var = |name: String| Var::from_tensor(&golden.tensors[&name]).unwrap();
            let x = var(format!("in.{layer}.x"));
            let w = var(format!("in.{layer}.w"));
            let offset = var(format!("in.{layer}.{case}.in"));
            let weight = Var::from_tensor(&weight).unwrap();
            let styles = linear(&w, &modulation, Some(&bias)).unwrap();
            let factor = (offset.reshape(((), inputs)).unwrap() + 1.0).unwrap();
            let how = ModulatedConv {
                up,
                padding: 1,
                filter: Some(&filter),
                flip_weight: up == 1,
                channel_factor: Some(&factor),
                ..ModulatedConv::default()
            };
            let scaled = (weight.as_tensor() * fan_in).unwrap();
            let y = modulated_conv2d(&x, &scaled, &styles, &how).unwrap();
            let grads = (&y * &r).unwrap().sum_all().unwrap().backward().unwrap();
            golden.found.insert(format!("out.{layer}.{case}.y"), y);
            for (name, var) in [("x", &x), ("w", &w), ("in", &offset)] {
                let grad = grads.get(var).unwrap().clone();
                golden
                    .found
                    .insert(format!("grad.{layer}.{case}.{name}"), grad);
            }
            let grad = grads.get(&weight).unwrap().unsqueeze(0).unwrap();
            golden
                .found
                .insert(format!("grad.{layer}.{case}.weight"), grad);
        }
    }
    // The file holds other kinds of modulation too.
    golden.tensors.retain(|name, _| name.contains(".cin_mult."));
    golden.compare("out.", 2e-5, 6e-6);
    golden.compare("grad.", 2e-4, 8e-6);
}
