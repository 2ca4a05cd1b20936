//! The reference cases of `tests/golden/latent`, with the tolerances of its README.

#![allow(
    clippy::unwrap_used,
    reason = "a test; clippy.toml's leave ends at its helper functions"
)]

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use domex_latent::ActingMatrix;
use domex_latent::basis::{Basis, BasisKind, BasisKinds};
use domex_latent::subspace::{Steps, Subspaces};

type TestResult = Result<(), Box<dyn std::error::Error>>;

struct Case {
    tensors: HashMap<String, Tensor>,
    config: serde_json::Value,
}

impl Case {
    fn load(name: &str) -> Result<Self, Box<dyn std::error::Error>> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/latent");
        let bytes = std::fs::read(format!("{folder}/{name}.safetensors"))?;
        let (_, header) = safetensors::SafeTensors::read_metadata(&bytes)?;
        let config = header.metadata().as_ref().ok_or("no metadata")?["config"].clone();
        let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?;
        Ok(Self {
            tensors,
            config: serde_json::from_str(&config)?,
        })
    }

    fn get(&self, name: &str) -> &Tensor {
        self.tensors
            .get(name)
            .unwrap_or_else(|| panic!("no tensor {name}"))
    }

    fn integers(&self, name: &str) -> Vec<usize> {
        let values: Vec<i64> = self.get(name).to_vec1().unwrap();
        values
            .into_iter()
            .map(|v| usize::try_from(v).unwrap())
            .collect()
    }

    /// The weights that the config lists under `key`, in order.
    fn matrices(&self, key: &str) -> Vec<ActingMatrix> {
        let names = self.config[key].as_array().unwrap();
        let matrix = |name: &serde_json::Value| {
            let name = name.as_str().unwrap();
            let block = name
                .split('.')
                .find_map(|part| part.strip_prefix('b'))
                .unwrap();
            let is_conv = !name.contains("torgb");
            let kinds = BasisKinds {
                domain_expansion: is_conv || block == "4",
                genforce: is_conv || Some(name) == names.last().and_then(|name| name.as_str()),
            };
            let weight = self.get(&format!("param.{name}")).clone();
            ActingMatrix {
                name: name.to_owned(),
                kinds,
                weight,
            }
        };
        names.iter().map(matrix).collect()
    }
}

#[track_caller]
fn within(what: &str, found: &Tensor, wanted: &Tensor, absolute: f64, relative: f64) {
    assert_eq!(found.dims(), wanted.dims(), "{what}");
    let f64 = |t: &Tensor| t.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
    let (found, wanted) = (f64(found), f64(wanted));
    let max = |t: Tensor| {
        t.abs()
            .unwrap()
            .max_all()
            .unwrap()
            .to_scalar::<f64>()
            .unwrap()
    };
    let error = max((found - &wanted).unwrap());
    let size = max(wanted);
    println!("{what}: abs {error:.2e} rel {:.2e}", error / size);
    assert!(
        error <= absolute && error <= relative * size,
        "{what}: {error:e} of {size:e}"
    );
}

fn numbers(values: &[f64]) -> Tensor {
    Tensor::new(values, &Device::Cpu).unwrap()
}

/// `V_k V_kᵀ` of the first or last k columns.
fn projector(v: &Tensor, name: &str) -> Result<Tensor, Box<dyn std::error::Error>> {
    let count = v.dims()[1];
    let part = match (name.split_once("first"), name.split_once("last")) {
        (Some((_, k)), _) => v.narrow(1, 0, k.parse()?)?,
        (_, Some((_, k))) => v.narrow(1, count - k.parse::<usize>()?, k.parse()?)?,
        _ => return Err(format!("{name}: neither first nor last").into()),
    };
    Ok(part.matmul(&part.t()?.contiguous()?)?)
}

#[test]
fn sefa_basis() -> TestResult {
    let case = Case::load("sefa_basis")?;
    // From all affine layers: choosing the right ones is part of the case.
    let matrices = case.matrices("all_affine_layers");
    let basis = Basis::from_matrices(&BasisKind::DomainExpansion, &matrices)?;
    let listed: Vec<_> = case
        .matrices("layers_in_order")
        .into_iter()
        .map(|m| m.name)
        .collect();
    assert_eq!(basis.sources(), listed);

    let v = basis.vectors();
    let values = basis.values().ok_or("no values")?;
    for (dtype, tolerance) in [("out", 1e-5), ("out64", 1e-10)] {
        let wanted = case
            .get(&format!("{dtype}.singular_values"))
            .to_dtype(DType::F64)?;
        let ratio = (numbers(values) / &wanted)?;
        within(
            &format!("{dtype} values"),
            &ratio,
            &ratio.ones_like()?,
            tolerance,
            1.0,
        );
    }
    within("abs_V", &v.abs()?, case.get("out.abs_V"), 5e-4, 1.0);
    within("abs_V 64", &v.abs()?, case.get("out64.abs_V"), 1e-8, 1.0);
    let projectors = case
        .tensors
        .keys()
        .filter(|name| name.contains("projector"));
    assert_eq!(projectors.clone().count(), 5);
    for name in projectors {
        within(name, &projector(v, name)?, case.get(name), 1e-4, 1.0);
    }

    let probe: Vec<usize> = serde_json::from_value(case.config["probe_dims"].clone())?;
    let spaces = Subspaces::new(&basis, &probe, None, &Device::Cpu, DType::F32)?;
    let base = spaces.project(case.get("in.w"), Some(case.get("in.mean")))?;
    within(
        "base_latent_probe",
        &base,
        case.get("out.base_latent_probe"),
        1e-4,
        1.0,
    );

    // The stored basis, honoured as it is, gives the stored latent as well.
    let given = Basis::given(case.get("out.V").clone())?;
    let spaces = Subspaces::new(&given, &probe, None, &Device::Cpu, DType::F32)?;
    let base = spaces.project(case.get("in.w"), Some(case.get("in.mean")))?;
    within(
        "the same, given",
        &base,
        case.get("out.base_latent_probe"),
        1e-4,
        1.0,
    );
    Ok(())
}

#[test]
fn sefa_basis_normalised() -> TestResult {
    let case = Case::load("sefa_basis_normalised")?;
    let mut matrices = case.matrices("layers_in_order");
    // Another ToRgb in front, which the kind must leave out.
    let mut early = matrices[7].clone();
    early.name = "synthesis.b4.torgb.affine.weight".to_owned();
    early.kinds.genforce = false;
    matrices.insert(1, early);
    for which in ["all", "subset"] {
        let layers = Some(case.integers(&format!("out.{which}.layers")));
        let basis = Basis::from_matrices(&BasisKind::Genforce { layers }, &matrices)?;
        let eigenvalues = numbers(&basis.eigenvalues().ok_or("no values")?);
        let get = |name: &str| case.get(&name.replace('*', which));
        within(
            "eigenvalues",
            &eigenvalues,
            get("out.*.eigenvalues_sorted"),
            5e-5,
            1.0,
        );
        within(
            "eigenvalues 64",
            &eigenvalues,
            get("out64.*.eigenvalues_sorted"),
            1e-9,
            1.0,
        );
        let v = basis.vectors();
        within("abs_V", &v.abs()?, get("out.*.sorted_abs_V"), 2e-2, 1.0);
        within(
            "abs_V 64",
            &v.abs()?,
            get("out64.*.sorted_abs_V"),
            1e-6,
            1.0,
        );
        let prefix = format!("out.{which}.sorted_projector");
        let projectors = case.tensors.keys().filter(|name| name.starts_with(&prefix));
        assert_eq!(projectors.clone().count(), 5);
        for name in projectors {
            let tolerance = if name.contains("first") { 1e-5 } else { 2e-2 };
            within(name, &projector(v, name)?, case.get(name), tolerance, 1.0);
        }
        // As the published program returned them: rows, unsorted. They are a basis as well, and each
        // has the gain that came with it.
        let rows = get("out.*.vectors_as_returned_rows");
        let given = Basis::given(rows.t()?.contiguous()?)?;
        let gains = given.gains(basis.kind(), &matrices)?;
        let squares: Vec<f64> = gains.iter().map(|g| g * g).collect();
        within(
            "as returned",
            &numbers(&squares),
            get("out.*.eigenvalues_as_returned"),
            5e-5,
            1.0,
        );
    }
    Ok(())
}

#[test]
fn projections() -> TestResult {
    for (file, absolute, relative) in [
        ("project_to_subspaces", 3e-5, 7e-6),
        ("project_512", 5e-5, 2e-5),
    ] {
        let case = Case::load(file)?;
        let basis = Basis::given(case.get("in.basis").clone())?;
        let cases = case.config["cases"].as_array().ok_or("no cases")?;
        assert!(!cases.is_empty());
        for one in cases {
            let text = |key: &str| one[key].as_str().map(|name| format!("in.{name}"));
            let name = one["name"].as_str().ok_or("no name")?;
            let dims = case.integers(&text("dims").ok_or("no dims")?);
            let base_dims = text("base_dims").map(|name| case.integers(&name));
            let spaces = Subspaces::new(
                &basis,
                &dims,
                base_dims.as_deref(),
                &Device::Cpu,
                DType::F32,
            )?;
            let mean = one["mean"]
                .as_bool()
                .ok_or("no mean")?
                .then(|| case.get("in.mean"));
            let base = spaces.project(case.get(&text("latent").ok_or("no latent")?), mean)?;
            let wanted = case.get(&format!("out.{name}.base_latent"));
            within(&format!("{name} base"), &base, wanted, absolute, relative);

            let steps = match (&one["step"], text("step")) {
                (serde_json::Value::Null, _) => continue,
                (_, Some(name)) => Steps::from_tensor(case.get(&name))?,
                (step, None) => Steps::one(step.as_f64().ok_or("step")?),
            };
            let edits = spaces.traverse(&base, &steps)?;
            let wanted = case.get(&format!("out.{name}.edit_latents"));
            within(&format!("{name} edits"), &edits, wanted, absolute, relative);
        }
    }
    Ok(())
}
