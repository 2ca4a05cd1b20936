//! Loading published checkpoints, and the container's way out and back.

#![allow(clippy::unwrap_used)] // Also in the helpers.

mod common;

use std::path::PathBuf;

use candle_core::Device;
use common::{Case, Check, Outcome, golden, same_bits};
use domex_latent::Expansion;
use domex_latent::basis::Basis;
use domex_latent::subspace::Layout;
use domex_stylegan2::{
    Demodulation, GeneratorConfig, Model, Noise, Overwrite, Tensors, Truncation,
};

fn assert_same(found: &Tensors, expected: &Tensors) {
    assert!(found.keys().eq(expected.keys()));
    for (name, tensor) in expected {
        assert!(same_bits(&found[name], tensor), "{name}");
    }
}

/// Contents, latents, picture and logits of a pickle.
fn nvlabs(file: &str) -> Result<Model, Box<dyn std::error::Error>> {
    let case = Case::open(&format!("{file}.safetensors"));
    let model = Model::load(golden(&format!("{file}.pkl")), &Device::Cpu)?;
    assert_same(&model.g_ema.tensors(), &case.below("param.G_ema."));
    let g = model.g.as_ref().expect("the file holds G");
    assert_same(&g.tensors(), &case.below("param.G."));
    let d = model.discriminator.as_ref().expect("the file holds D");
    assert_same(&d.tensors(), &case.below("param.D."));
    assert_eq!(model.config().synthesis.conv_clamp, Some(256.0));
    assert_eq!(d.config().conv_clamp, Some(256.0));
    assert_eq!(d.config().mbstd_group_size, Some(4));

    let truncation = Truncation::psi(case.number("truncation_psi"));
    let ws = model.g_ema.latents(case.get("in.z"), None, truncation)?;
    let img = model.g_ema.synthesis().forward(&ws, Noise::Const)?;
    let logits = d.forward(&img, None)?;
    for (name, found) in [("ws_psi", &ws), ("img", &img), ("logits_of_img", &logits)] {
        let mut check = Check::new(f64::INFINITY, 3e-4);
        check.add(name, found, case.get(&format!("out.{name}")));
        check.finish();
    }
    Ok(model)
}

#[test]
fn an_ada_pickle() -> Outcome {
    let model = nvlabs("stylegan2/nvlabs_tiny")?;
    assert!(model.expansion.is_none());
    assert_eq!(model.provenance["source"]["file"], "nvlabs_tiny.pkl");
    Ok(())
}

#[test]
fn an_expanded_snapshot() -> Outcome {
    let model = nvlabs("expansion/domain_expansion_snapshot_tiny")?;
    let case = Case::open("expansion/domain_expansion_snapshot_tiny.safetensors");
    let expansion = model.expansion().expect("the file holds domains");
    assert!(same_bits(
        expansion.basis.vectors(),
        case.get("param.latent_basis")
    ));
    assert_eq!(expansion.layout.repurposed(), [31, 30, 3]);
    let elf = expansion.layout.domain("elf")?;
    assert_eq!((elf.dimension, elf.distance), (30, 20.0));
    assert_eq!(elf.task["args"]["source_text"], "person");
    assert!(same_bits(
        &expansion.mean,
        case.get("param.G_ema.mapping.w_avg")
    ));

    // All of it survives the container.
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("expanded.safetensors");
    model.save(&path, Overwrite::Refuse)?;
    let again = Model::load(&path, &Device::Cpu)?;
    let copy = again.expansion().expect("the container holds domains");
    assert_eq!(copy.layout, expansion.layout);
    assert!(same_bits(copy.basis.vectors(), expansion.basis.vectors()));
    assert!(same_bits(&copy.mean, &expansion.mean));
    assert_eq!(again.provenance, model.provenance);
    assert_same(&again.g_ema.tensors(), &model.g_ema.tensors());
    let tensors = |model: &Model| model.g.as_ref().map(domex_stylegan2::Generator::tensors);
    assert_same(&tensors(&again).unwrap(), &tensors(&model).unwrap());
    let networks = |model: &Model| model.discriminator.clone().unwrap();
    assert_same(&networks(&again).tensors(), &networks(&model).tensors());
    assert_eq!(networks(&again).config(), networks(&model).config());
    assert!(model.save(&path, Overwrite::Refuse).is_err());
    model.save(&path, Overwrite::Replace)?;
    Ok(())
}

#[test]
fn saved_and_loaded_again_it_draws_the_same_bits() -> Outcome {
    let model = Model::random(&GeneratorConfig::tiny(), 4, &Device::Cpu)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("random.safetensors");
    model.save(&path, Overwrite::Refuse)?;
    let again = Model::load(&path, &Device::Cpu)?;
    assert_eq!(again.config(), model.config());
    assert_same(&again.g_ema.tensors(), &model.g_ema.tensors());
    let z = candle_core::Tensor::ones((2, 64), candle_core::DType::F32, &Device::Cpu)?;
    let draw = |model: &Model| {
        model
            .g_ema
            .forward(&z, None, Truncation::psi(0.5), Noise::Const)
    };
    assert!(same_bits(&draw(&model)?, &draw(&again)?));
    Ok(())
}

/// Both kinds of torch file: registered noise, truncation towards `latent_avg`.
#[test]
fn rosinality_files() -> Outcome {
    let case = Case::open("stylegan2/rosinality_tiny.safetensors");
    for file in ["rosinality_tiny.pt", "rosinality_tiny_legacy.pt"] {
        let model = Model::load(golden(&format!("stylegan2/{file}")), &Device::Cpu)?;
        let net = model.generator();
        assert_eq!(net.config().synthesis.demodulation, Demodulation::FanIn);
        let mean = case.get("param.latent_avg").squeeze(0)?;
        assert!(same_bits(&net.mean_w()?, &mean));
        let truncation = Truncation::psi(case.number("truncation"));
        let img = net.forward(case.get("in.z"), None, truncation, Noise::Const)?;
        let mut check = Check::new(2e-4, f64::INFINITY);
        check.add("img", &img, case.get("out.img"));
        check.finish();
    }
    Ok(())
}

/// The original program's pickle: kernels in another order, mean in `dlatent_avg`.
#[test]
fn a_tensorflow_pickle() -> Outcome {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../checkpoint/tests/data");
    let model = Model::load(folder.join("tensorflow_tiny.pkl"), &Device::Cpu)?;
    let expected = folder.join("tensorflow_tiny.safetensors");
    let expected = candle_core::safetensors::load(expected, &Device::Cpu)?;
    let below = |prefix: &str| -> Tensors {
        let named = expected.iter();
        named
            .filter_map(|(name, t)| Some((name.strip_prefix(prefix)?.to_string(), t.clone())))
            .collect()
    };
    assert_same(&model.g_ema.tensors(), &below("generator_ema."));
    let d = model.discriminator.as_ref().expect("the file holds D");
    assert_same(&d.tensors(), &below("discriminator."));

    let folder = tempfile::tempdir()?;
    let path = folder.path().join("converted.safetensors");
    model.save(&path, Overwrite::Refuse)?;
    let again = Model::load(&path, &Device::Cpu)?;
    assert_eq!(again.config().synthesis.demodulation, Demodulation::FanIn);
    let z = candle_core::Tensor::ones((1, 6), candle_core::DType::F32, &Device::Cpu)?;
    let draw = |model: &Model| {
        let c_dim = model.config().c_dim();
        let label = candle_core::Tensor::ones((1, c_dim), z.dtype(), &Device::Cpu)?;
        let label = (c_dim > 0).then_some(&label);
        let net = &model.g_ema;
        net.forward(&z, label, Truncation::psi(0.5), Noise::Const)
    };
    assert!(same_bits(&draw(&model)?, &draw(&again)?));
    Ok(())
}

/// Plain safetensors files, with and without a prefix.
#[test]
fn plain_safetensors() -> Outcome {
    let case = Case::open("stylegan2/generator_conditional.safetensors");
    let expected = case.below("param.");
    let folder = tempfile::tempdir()?;
    for prefix in ["", "G_ema.", "generator_ema."] {
        let path = folder.path().join(format!("plain{prefix}.safetensors"));
        let named = expected
            .iter()
            .map(|(name, tensor)| (format!("{prefix}{name}"), tensor.clone()));
        let named: std::collections::HashMap<String, candle_core::Tensor> = named.collect();
        candle_core::safetensors::save(&named, &path)?;
        let model = Model::load(&path, &Device::Cpu)?;
        assert_same(&model.g_ema.tensors(), &expected);
        assert_eq!(model.config().c_dim(), 3);
    }
    Ok(())
}

/// Saves tensors under these names; `candle_core` takes them in any order.
fn save(path: &std::path::Path, tensors: impl Iterator<Item = (String, candle_core::Tensor)>) {
    let tensors: std::collections::HashMap<_, _> = tensors.collect();
    candle_core::safetensors::save(&tensors, path).unwrap();
}

/// What `DataParallel` and `torch.compile` put before names.
#[test]
fn prefixes_of_wrappers_are_left_out() -> Outcome {
    let case = Case::open("stylegan2/generator_conditional.safetensors");
    let expected = case.below("param.");
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("wrapped.safetensors");
    for prefix in ["module.", "g_ema.module.", "module._orig_mod.g_ema."] {
        let named = expected.iter();
        save(
            &path,
            named.map(|(name, t)| (format!("{prefix}{name}"), t.clone())),
        );
        let model = Model::load(&path, &Device::Cpu)?;
        assert_same(&model.g_ema.tensors(), &expected);
    }
    Ok(())
}

/// The decoder of an encoder's checkpoint is a generator; its mean stands beside the dict of all tensors.
#[test]
fn the_decoder_of_an_encoder_is_read() -> Outcome {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/e4e.pt");
    let file = domex_checkpoint::foreign::read(&path)?;
    let model = Model::load(&path, &Device::Cpu)?;
    let expected = file.get("latent_avg")?.as_tensor().expect("a tensor");
    let width = model.config().w_dim();
    let mean: Vec<f32> = model.g_ema.mean_w()?.to_vec1()?;
    let expected: Vec<f32> = expected.to_f64_vec()[..width]
        .iter()
        .map(|&v| v as f32)
        .collect();
    assert_eq!(mean, expected);
    assert!(model.discriminator.is_none());
    Ok(())
}

/// A discriminator that cannot be used does not stand in the way of pictures, and is named.
#[test]
fn pictures_need_no_discriminator() -> Outcome {
    let mut model = Model::load(golden("stylegan2/nvlabs_tiny.pkl"), &Device::Cpu)?;
    let named = |prefix: &'static str, tensors: Tensors| {
        tensors
            .into_iter()
            .map(move |(name, t)| (format!("{prefix}{name}"), t))
    };
    let mut d = model
        .discriminator
        .take()
        .expect("the file holds D")
        .tensors();
    let bias = d.get_mut("b4.out.bias").expect("an output");
    *bias = (bias.zeros_like()? + f64::NAN)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("damaged.safetensors");
    save(
        &path,
        named("G_ema.", model.g_ema.tensors()).chain(named("D.", d)),
    );
    let error = Model::load(&path, &Device::Cpu)
        .expect_err("NaN")
        .to_string();
    assert!(
        error.contains("D.b4.out.bias") && error.contains("NaN"),
        "{error}"
    );
    let read = Model::load_generator(&path, &Device::Cpu)?;
    assert_same(&read.g_ema.tensors(), &model.g_ema.tensors());
    read.save(folder.path().join("whole.safetensors"), Overwrite::Refuse)?;
    Ok(())
}

#[test]
fn files_that_are_no_model_are_named() -> Outcome {
    let folder = tempfile::tempdir()?;
    let refused = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        let error = Model::load(&path, &Device::Cpu)
            .expect_err("must be refused")
            .to_string();
        assert!(error.contains(name), "{error}");
        assert!(!error.contains('\n'), "{error}");
        error
    };
    refused("empty.pkl", b"");
    refused("text.pt", b"hello, this is no checkpoint");
    let whole = std::fs::read(golden("stylegan2/nvlabs_tiny.pkl"))?;
    refused("cut.pkl", &whole[..whole.len() / 2]);

    let other = Case::open("stylegan2/bias_act.safetensors").tensors;
    let path = folder.path().join("other.safetensors");
    candle_core::safetensors::save(&other.into_iter().collect(), &path)?;
    let error = Model::load(&path, &Device::Cpu)
        .expect_err("must be refused")
        .to_string();
    assert!(
        error.contains("other.safetensors") && error.contains("expected names as"),
        "{error}"
    );

    let absent = folder.path().join("absent.pkl");
    let error = Model::load(&absent, &Device::Cpu)
        .expect_err("must be refused")
        .to_string();
    assert!(error.contains("absent.pkl"), "{error}");
    Ok(())
}

/// A container whose tensors are not those of its own configuration: one of an older version, which has no checksum.
#[test]
fn a_container_with_wrong_tensors_is_refused() -> Outcome {
    let model = Model::random(&GeneratorConfig::tiny(), 4, &Device::Cpu)?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("model.safetensors");
    model.save(&path, Overwrite::Refuse)?;
    let mut bytes = std::fs::read(&path)?;
    let key = b"\"checksum\"";
    let at = bytes.windows(key.len()).position(|part| part == key);
    let entry = &mut bytes[at.expect("it has one")..];
    let end = entry.iter().position(|byte| *byte == b',');
    entry[..=end.expect("other entries follow")].fill(b' ');
    std::fs::write(&path, &bytes)?;
    Model::load(&path, &Device::Cpu)?;
    let replace = |from: &str, to: &str| {
        assert_eq!(from.len(), to.len());
        let at = bytes
            .windows(from.len())
            .position(|part| part == from.as_bytes());
        let at = at.expect("the header holds the name");
        let mut changed = bytes.clone();
        changed[at..at + to.len()].copy_from_slice(to.as_bytes());
        std::fs::write(&path, changed).unwrap();
        Model::load(&path, &Device::Cpu)
            .expect_err("must be refused")
            .to_string()
    };
    let error = replace("mapping.fc0.bias", "mapping.fc9.bias");
    assert!(
        error.contains("missing") && error.contains("mapping.fc9.bias"),
        "{error}"
    );
    let error = replace(
        "generator_ema.mapping.fc0.bias",
        "generator_emb.mapping.fc0.bias",
    );
    assert!(
        error.contains("unexpected") && error.contains("generator_emb"),
        "{error}"
    );
    Ok(())
}

/// A basis of another latent space, whole in itself.
#[test]
fn a_container_with_a_basis_of_the_wrong_size_is_refused() -> Outcome {
    let mut model = Model::random(&GeneratorConfig::tiny(), 4, &Device::Cpu)?;
    let size = model.config().w_dim() / 2;
    let eye = candle_core::Tensor::eye(size, candle_core::DType::F32, &Device::Cpu)?;
    let mean = eye.get(0)?;
    model.expansion = Some(Expansion::new(Layout::new(size), Basis::given(eye)?, mean)?);
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("other.safetensors");
    model.save(&path, Overwrite::Refuse)?;
    let error = Model::load(&path, &Device::Cpu)
        .expect_err("must be refused")
        .to_string();
    let expected = format!("[{}, directions]", 2 * size);
    for text in ["other.safetensors", "latent basis", expected.as_str()] {
        assert!(error.contains(text), "{error}");
    }
    Ok(())
}
