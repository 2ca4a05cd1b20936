//! What is said about configurations, tensors and files that do not fit, and about those that are another network's.

#![allow(clippy::unwrap_used)] // Also in the helpers.

mod common;

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use common::{Case, Outcome, golden, off};
use domex_checkpoint::container::Container;
use domex_error::UserError;
use domex_stylegan2::Tensors;
use domex_stylegan3::model::recognizes;
use domex_stylegan3::{Generator, GeneratorConfig, Model, Overwrite, init};
use serde_json::{Value as Json, json};

fn tiny() -> (GeneratorConfig, Tensors) {
    let config = Case::open("stylegan3_tiny.safetensors")
        .generator()
        .unwrap();
    let tensors = init::generator(&config, 1, DType::F32, &Device::Cpu).unwrap();
    (config, tensors)
}

/// A state dict as a file.
fn file(tensors: &Tensors) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let tensors: std::collections::HashMap<String, Tensor> = tensors.clone().into_iter().collect();
    candle_core::safetensors::save(&tensors, &path).unwrap();
    (folder, path)
}

#[track_caller]
fn refused(path: &Path, parts: &[&str]) {
    let error = Model::load(path, &Device::Cpu).expect_err("must be refused");
    assert!(error.is_user_error());
    let message = error.to_string();
    for part in parts {
        assert!(message.contains(part), "{part} in: {message}");
    }
}

#[test]
fn arguments_that_are_unknown_or_out_of_range_are_named() {
    let good = json!({ "z_dim": 8, "w_dim": 8, "img_resolution": 32, "num_layers": 4, "channel_base": 64 });
    assert!(GeneratorConfig::from_kwargs(&good).is_ok());
    let mut long = good.clone();
    (long["filter_size"], long["lrelu_upsampling"]) = (json!(64), json!(8));
    let error = GeneratorConfig::from_kwargs(&long).expect_err("filters of 512 taps");
    assert!(error.to_string().contains("taps of L"), "{error}");
    let with = |key: &str, value: Json| {
        let mut kwargs = good.clone();
        kwargs[key] = value;
        kwargs
    };
    let mut slow = good.clone();
    (slow["first_cutoff"], slow["first_stopband"]) = (json!(0.1), json!(0.2));
    let wrong = [
        (with("num_hooks", json!(3)), "num_hooks"),
        (
            with("mapping_kwargs", json!({ "hooks": 1 })),
            "mapping_kwargs.hooks",
        ),
        (
            with("img_resolution", json!(48)),
            "img_resolution: 48, expected a power of two",
        ),
        (with("num_layers", json!(0)), "num_layers: 0"),
        (
            with("num_critical", json!(4)),
            "num_critical: 4, expected 0 to 3",
        ),
        (with("first_cutoff", json!(0.0)), "first_cutoff: 0"),
        (with("first_stopband", json!(1.5)), "first_stopband: 1.5"),
        (slow, "first_stopband: 0.2"),
        (
            with("last_stopband_rel", json!(1.0)),
            "last_stopband_rel: 1",
        ),
        (with("output_scale", json!(0)), "output_scale: 0"),
        (with("filter_size", json!(100_000)), "filter_size"),
        (with("lrelu_upsampling", json!(9)), "lrelu_upsampling: 9"),
        (with("conv_clamp", json!(-1)), "conv_clamp: -1"),
        (with("channel_base", json!("many")), "channel_base"),
        (with("use_radial_filters", json!(1)), "true or false"),
        (with("w_dim", Json::Null), "w_dim"),
        (json!([]), "a dictionary"),
    ];
    for (kwargs, part) in wrong {
        let error = GeneratorConfig::from_kwargs(&kwargs).expect_err(part);
        assert!(error.to_string().contains(part), "{part} in: {error}");
        assert!(error.is_user_error());
    }
}

/// Published sizes, without a weight being made: stylegan3-t-ffhq-1024x1024 and stylegan3-r-ffhq-1024x1024.
#[test]
fn published_configurations_have_their_layers() -> Outcome {
    let names = |kwargs: Json| -> domex_stylegan3::Result<Vec<String>> {
        let layers = GeneratorConfig::from_kwargs(&kwargs)?.synthesis.layers();
        Ok(layers.into_iter().map(|layer| layer.name).collect())
    };
    let t = names(json!({ "z_dim": 512, "w_dim": 512, "img_resolution": 1024 }))?;
    assert_eq!(t[0], "L0_36_512");
    assert_eq!(t[13], "L13_1024_32");
    assert_eq!(t[14], "L14_1024_3");
    let r = names(json!({
        "z_dim": 512, "w_dim": 512, "img_resolution": 1024, "channel_base": 65536, "channel_max": 1024,
        "conv_kernel": 1, "use_radial_filters": true,
    }))?;
    assert_eq!(r[0], "L0_36_1024");
    assert_eq!(r[13], "L13_1024_64");
    Ok(())
}

#[test]
fn tensors_that_do_not_fit_are_named() -> Outcome {
    let (config, tensors) = tiny();
    let layer = config.synthesis.layers()[1].name.clone();
    let weight = format!("synthesis.{layer}.weight");
    let changed = |change: &dyn Fn(&mut Tensors)| {
        let mut tensors = tensors.clone();
        change(&mut tensors);
        let net = Generator::from_tensors(&tensors, &config);
        net.expect_err("must be refused").to_string()
    };
    let error = changed(&|tensors| drop(tensors.remove(&weight)));
    assert!(
        error.contains(&format!("1 tensors missing ({weight})")),
        "{error}"
    );
    let error = changed(&|tensors| {
        tensors.insert("hooks".to_owned(), Tensor::new(1f32, &Device::Cpu).unwrap());
    });
    assert!(error.contains("unexpected (hooks)"), "{error}");
    // A filter of another length.
    let filter = format!("synthesis.{layer}.up_filter");
    let error = changed(&|tensors| {
        let short = tensors[&filter].narrow(0, 0, 6).unwrap();
        tensors.insert(filter.clone(), short);
    });
    assert!(error.contains("has shape [6], expected [12]"), "{error}");
    let magnitude = format!("synthesis.{layer}.magnitude_ema");
    let error = changed(&|tensors| {
        tensors.insert(magnitude.clone(), Tensor::new(0f32, &Device::Cpu).unwrap());
    });
    assert!(
        error.contains("magnitude_ema: 0, expected a number above 0"),
        "{error}"
    );
    let net = Generator::from_tensors(&tensors, &config)?;
    let error = net
        .synthesis()
        .forward(&Tensor::zeros((1, 2, 16), DType::F32, &Device::Cpu)?);
    assert!(error.unwrap_err().to_string().contains("[n, 6, 16]"));
    Ok(())
}

/// The names and filters of a saved state dict say the network, with filters or without.
#[test]
fn a_state_dict_is_read() -> Outcome {
    let (config, tensors) = tiny();
    let net = Generator::from_tensors(&tensors, &config)?;
    let ws = Tensor::ones(
        (1, config.num_ws(), config.w_dim()),
        DType::F32,
        &Device::Cpu,
    )?;
    let picture = net.synthesis().forward(&ws)?;
    let mut bare = tensors.clone();
    bare.retain(|name, _| !name.ends_with("_filter") && !name.ends_with("transform"));
    assert!(bare.len() < tensors.len());
    let prefixed = tensors
        .iter()
        .map(|(name, tensor)| (format!("G_ema.{name}"), tensor.clone()))
        .collect();
    for tensors in [tensors.clone(), bare, prefixed] {
        let (_folder, path) = file(&tensors);
        assert!(recognizes(&path)?);
        let model = Model::load(&path, &Device::Cpu)?;
        assert_eq!(model.config(), &config);
        assert_eq!(off(&model.g_ema.synthesis().forward(&ws)?, &picture), 0.0);
        assert!(!model.left_out);
    }
    Ok(())
}

#[test]
fn a_state_dict_of_another_network_is_refused() -> Outcome {
    let (_, tensors) = tiny();
    // Of networks whose frequencies are not the published ones: one has other sizes, one only other filters.
    let mut kwargs = Case::open("stylegan3_tiny.safetensors").config;
    kwargs.as_object_mut().unwrap().remove("truncation_psi");
    let others = [
        ("first_stopband", 4.0, "L0_28_8 is none"),
        ("first_cutoff", 2.1, "other taps"),
    ];
    for (key, value, part) in others {
        let mut kwargs = kwargs.clone();
        kwargs[key] = json!(value);
        let other = GeneratorConfig::from_kwargs(&kwargs)?;
        let tensors = init::generator(&other, 1, DType::F32, &Device::Cpu)?;
        let (_folder, path) = file(&tensors);
        refused(&path, &["weights.safetensors", part, "network pickle"]);
    }

    let without = |part: &str| {
        let mut tensors = tensors.clone();
        tensors.retain(|name, _| !name.contains(part));
        file(&tensors)
    };
    let (_folder, path) = without("synthesis.L2_");
    refused(&path, &["layer 2 is missing"]);
    let (_folder, path) = without("w_avg");
    refused(&path, &["mapping.w_avg"]);
    let (_folder, path) = without("synthesis.L");
    refused(&path, &["no tensor named `synthesis.L0_"]);
    let (_folder, path) = without("freqs");
    assert!(!recognizes(&path)?);
    refused(&path, &["no StyleGAN3 found", "synthesis.input.freqs"]);

    let mut damaged = tensors.clone();
    let phases = "synthesis.input.phases".to_owned();
    let nan = damaged[&phases].affine(f64::NAN, 0.0)?;
    damaged.insert(phases, nan);
    let (_folder, path) = file(&damaged);
    refused(&path, &["synthesis.input.phases", "NaN"]);
    Ok(())
}

/// stylegan3 writes StyleGAN2 pickles too, and they stay what they are.
#[test]
fn a_stylegan2_stays_a_stylegan2() -> Outcome {
    let pickle = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../stylegan2/tests/golden/stylegan2/nvlabs_tiny.pkl");
    assert!(!recognizes(&pickle)?);
    refused(&pickle, &["nvlabs_tiny.pkl", "no StyleGAN3 found"]);
    let error = domex_stylegan2::Model::load(golden("stylegan3_tiny.pkl"), &Device::Cpu);
    assert!(error.is_err());
    // As that program writes it, by the name of its class.
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("two.pkl");
    let program = domex_stylegan2::Program::Stylegan3;
    domex_stylegan2::Model::load(&pickle, &Device::Cpu)?.save_pickle(
        &path,
        program,
        Overwrite::Refuse,
    )?;
    assert!(!recognizes(&path)?);
    Ok(())
}

#[test]
fn a_container_keeps_everything() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("three.safetensors");
    let model = Model::load(golden("stylegan3_tiny.pkl"), &Device::Cpu)?;
    assert!(model.left_out);
    model.save(&path, Overwrite::Refuse)?;
    assert!(model.save(&path, Overwrite::Refuse).is_err());
    assert!(!recognizes(&path)?, "a container says its kind itself");
    assert_eq!(Container::open(&path)?.kind(), "stylegan3");
    let read = Model::load(&path, &Device::Cpu)?;
    assert_eq!(read.config(), model.config());
    assert_eq!(read.provenance, model.provenance);
    let (found, expected) = (read.g_ema.tensors(), model.g_ema.tensors());
    assert!(found.keys().eq(expected.keys()));
    for (name, tensor) in &found {
        assert_eq!(off(tensor, &expected[name]), 0.0, "{name}");
    }
    let other = domex_stylegan2::GeneratorConfig::with_defaults(8, 16, 8, 32, 4)?;
    let two = folder.path().join("two.safetensors");
    domex_stylegan2::Model::random(&other, 1, &Device::Cpu)?.save(&two, Overwrite::Refuse)?;
    refused(&two, &["\"stylegan2\"", "expected \"stylegan3\""]);
    Ok(())
}

/// Pictures can be made with a file whose discriminator is damaged.
#[test]
fn a_discriminator_that_is_not_wanted_is_not_looked_at() -> Outcome {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("three.safetensors");
    let mut model = Model::load(golden("stylegan3_tiny.pkl"), &Device::Cpu)?;
    let discriminator = model.discriminator.as_ref().ok_or("none")?;
    let mut tensors = discriminator.tensors();
    let bias = tensors.get_mut("b4.out.bias").ok_or("none")?;
    *bias = bias.affine(f64::NAN, 0.0)?;
    model.discriminator = Some(discriminator.with_tensors(&tensors)?);
    model.save(&path, Overwrite::Refuse)?;
    refused(&path, &["discriminator.b4.out.bias", "NaN"]);
    assert!(
        Model::load_generator(&path, &Device::Cpu)?
            .discriminator
            .is_none()
    );
    Ok(())
}
