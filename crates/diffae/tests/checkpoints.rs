//! Architectures from names and shapes, and what is in a file.

#![allow(clippy::unwrap_used)] // Also in the helpers.

mod common;

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use common::{apart, config, model, normal, pictures, tensors};
use domex_diffae::deduce::Hints;
use domex_diffae::weights::Shapes;
use domex_diffae::{Autoencoder, Config, Error, Model, Overwrite, Resampling, Statistics};
use domex_latent::Generator;
use domex_latent::basis::{Basis, BasisKind};
use domex_latent::expansion::Expansion;
use domex_latent::subspace::Layout;

fn shapes(config: &Config) -> Shapes {
    let spec = Autoencoder::spec(config).unwrap();
    let entries = spec.entries();
    entries
        .map(|(name, shape)| (name.to_owned(), shape.to_vec()))
        .collect()
}

fn hints(config: &Config) -> Hints {
    Hints {
        image_size: Some(config.unet.image_size),
        train_steps: Some(config.diffusion.train_steps),
        ..Hints::default()
    }
}

/// Configurations that differ in whatever shapes can tell.
fn variants() -> Vec<Config> {
    let change = |f: &dyn Fn(&mut Config)| {
        let mut config = Config::tiny();
        f(&mut config);
        config
    };
    vec![
        Config::tiny(),
        config(),
        Config::ffhq64(),
        Config::ffhq128(),
        Config::ffhq256(),
        change(&|c| c.latent = None),
        change(&|c| c.unet.num_input_res_blocks = 3),
        change(&|c| c.unet.num_res_blocks = 1),
        change(&|c| c.unet.input_channels = vec![16, 8]),
        change(&|c| c.encoder.num_res_blocks = 1),
        change(&|c| {
            c.unet.attention_resolutions = vec![16, 8];
            c.encoder.attention_resolutions = vec![16, 8];
        }),
        change(&|c| {
            c.unet.attention_resolutions.clear();
            c.encoder.attention_resolutions.clear();
        }),
        change(&|c| {
            c.unet.resampling = Resampling::Conv;
            c.encoder.resampling = Resampling::Conv;
        }),
        change(&|c| {
            c.unet.embed_channels = 24;
            c.unet.model_channels = 12;
        }),
        change(&|c| c.latent.as_mut().unwrap().use_norm = false),
        change(&|c| c.latent.as_mut().unwrap().time_layers = 3),
        change(&|c| c.latent.as_mut().unwrap().skip_layers = vec![0, 4, 9]),
    ]
}

#[test]
fn configurations_come_back_from_names_and_shapes() {
    for config in variants() {
        let found = Config::deduce(&shapes(&config), &hints(&config)).unwrap();
        assert_eq!(found, config);
    }
}

#[test]
fn the_size_of_a_picture_follows_from_attention_where_nothing_else_tells() {
    for config in [Config::ffhq128(), Config::ffhq256()] {
        let found = Config::deduce(&shapes(&config), &Hints::default()).unwrap();
        assert_eq!(found, config);
    }
    let mut config = Config::tiny();
    config.unet.attention_resolutions.clear();
    config.encoder.attention_resolutions.clear();
    let error = Config::deduce(&shapes(&config), &Hints::default()).unwrap_err();
    assert!(error.to_string().contains("size of a picture"), "{error}");
}

#[test]
fn the_published_training_codes_file_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/diffae/diffae_tiny.ckpt");
    let model = Model::load(path, &Device::Cpu).unwrap();
    let config = model.config();
    assert_eq!(config.unet.image_size, 16);
    assert_eq!(config.unet.output_channels, [8, 16]);
    assert_eq!(config.encoder.channels, [8, 16, 16]);
    assert_eq!(config.latent.as_ref().unwrap().skip_layers, [1, 2]);
    assert!(model.averaged && model.limits().is_empty());
    assert_eq!(model.fixed_noise().unwrap().dims(), [1, 3, 16, 16]);
    assert_eq!(model.provenance["source"]["format"], "torch zip");
}

#[test]
fn a_saved_model_comes_back_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let mut model = model();
    model
        .set_statistics(Some(Statistics {
            mean: normal("mean", &[1, 32]),
            std: normal("std", &[1, 32]).exp().unwrap(),
        }))
        .unwrap();
    let basis = Basis::of(&model, &BasisKind::DomainExpansion).unwrap();
    let mut layout = Layout::new(basis.count());
    layout
        .add("sketch", serde_json::Value::Null, None, 5.0)
        .unwrap();
    let mean = Generator::mean(&model).unwrap();
    model.expansion = Some(Expansion::new(layout, basis, mean).unwrap());
    model.save(&path, Overwrite::Refuse).unwrap();
    assert!(model.save(&path, Overwrite::Refuse).is_err());
    let back = Model::load(&path, &Device::Cpu).unwrap();
    assert_eq!(back.config(), model.config());
    assert_eq!(back.provenance, model.provenance);
    let layout = |model: &Model| model.expansion.as_ref().unwrap().layout.clone();
    assert_eq!(layout(&back), layout(&model));
    for (name, tensor) in model.tensors() {
        assert_eq!(apart(tensor, &back.tensors()[name]), 0.0);
    }
    let noise = normal("noise", &[1, 32]);
    let codes = |model: &Model| model.sample_codes(&noise, 10).unwrap();
    assert_eq!(apart(&codes(&model), &codes(&back)), 0.0);
}

/// A file of tensors under a prefix, with what `f` does to them.
fn file(
    folder: &Path,
    prefix: &str,
    f: impl FnOnce(&mut HashMap<String, Tensor>),
) -> domex_diffae::Result<Model> {
    let named = tensors(DType::F32).into_iter();
    let mut named = named
        .map(|(name, t)| (format!("{prefix}{name}"), t))
        .collect();
    f(&mut named);
    let path = folder.join("file.safetensors");
    candle_core::safetensors::save(&named, &path).unwrap();
    Model::load(path, &Device::Cpu)
}

fn with_noise(named: &mut HashMap<String, Tensor>) {
    named.insert("x_T".into(), normal("x_T", &[2, 3, 16, 16]));
}

#[test]
fn without_an_average_the_trained_weights_serve_and_it_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let model = file(folder.path(), "model.", with_noise).unwrap();
    assert!(!model.averaged);
    assert!(model.limits()[0].contains("no averaged weights"));
    assert!(model.encode(&pictures(1)).is_ok());
    // It stays so in our own container.
    let path = folder.path().join("saved.safetensors");
    model.save(&path, Overwrite::Refuse).unwrap();
    assert!(!Model::load(&path, &Device::Cpu).unwrap().averaged);
}

#[test]
fn the_average_is_preferred() {
    let folder = tempfile::tempdir().unwrap();
    let model = file(folder.path(), "ema_model.", |named| {
        with_noise(named);
        let doubled = named
            .iter()
            .filter(|(name, _)| name.starts_with("ema_model."));
        let doubled =
            doubled.map(|(name, t)| (name["ema_".len()..].to_owned(), (t * 2.0).unwrap()));
        let doubled: Vec<_> = doubled.collect();
        named.extend(doubled);
    });
    let model = model.unwrap();
    let name = "input_blocks.0.0.weight";
    assert_eq!(
        apart(&model.tensors()[name], &tensors(DType::F32)[name]),
        0.0
    );
}

#[test]
fn without_a_latent_network_it_encodes_and_decodes_and_says_what_it_cannot() {
    let folder = tempfile::tempdir().unwrap();
    let model = file(folder.path(), "ema_model.", |named| {
        with_noise(named);
        named.retain(|name, _| !name.contains("latent_net"));
    });
    let model = model.unwrap();
    assert_eq!(model.limits().len(), 2);
    let z = model.encode(&pictures(1)).unwrap();
    assert!(model.decode(&z, &model.fixed_noise().unwrap(), 5).is_ok());
    let error = model.sample_codes(&z, 5).unwrap_err();
    assert!(matches!(error, Error::Missing { .. }), "{error}");
    assert!(error.to_string().contains("encode pictures instead"));
    assert!(Generator::mean(&model).is_err());
}

#[test]
fn files_that_are_damaged_or_strange_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = |f: &dyn Fn(&mut HashMap<String, Tensor>)| {
        let result = file(folder.path(), "ema_model.", |named| {
            with_noise(named);
            f(named);
        });
        result.unwrap_err().to_string()
    };
    let tensor = |dims: &[usize]| Tensor::zeros(dims, DType::F32, &Device::Cpu).unwrap();
    let missing = text(&|named| {
        named.remove("ema_model.middle_block.1.qkv.bias");
    });
    assert!(
        missing.contains("1 tensors missing (middle_block.1.qkv.bias)"),
        "{missing}"
    );
    let unexpected = text(&|named| {
        named.insert("ema_model.input_blocks.0.1.weight".into(), tensor(&[1]));
    });
    assert!(
        unexpected.contains("unexpected (input_blocks.0.1.weight)"),
        "{unexpected}"
    );
    let shape = text(&|named| {
        named.insert("ema_model.encoder.out.3.bias".into(), tensor(&[31]));
    });
    assert!(
        shape.contains("encoder.out.3.bias has shape [31], expected [32]"),
        "{shape}"
    );
    let nan = text(&|named| {
        let bad = (tensor(&[32]) + f64::NAN).unwrap();
        named.insert("ema_model.encoder.out.3.bias".into(), bad);
    });
    assert!(nan.contains("encoder.out.3.bias"), "{nan}");
    let flat = text(&|named| {
        named.insert(
            "ema_model.time_embed.time_embed.0.weight".into(),
            tensor(&[]),
        );
    });
    assert!(flat.contains("expected more than 0 dimensions"), "{flat}");
    let noise = text(&|named| {
        named.insert("x_T".into(), tensor(&[2, 3, 16, 24]));
    });
    assert!(noise.contains("x_T"), "{noise}");
    let deviations = text(&|named| {
        named.insert("conds_mean".into(), tensor(&[1, 32]));
        named.insert("conds_std".into(), tensor(&[1, 32]));
    });
    assert!(deviations.contains("deviations above 0"), "{deviations}");
    let alone = text(&|named| {
        named.insert("conds_mean".into(), tensor(&[1, 32]));
    });
    assert!(alone.contains("conds_std beside it"), "{alone}");
    let doubles = text(&|named| {
        let name = "ema_model.latent_net.layers.0.cond_layers.1.weight";
        named.insert(name.into(), tensor(&[128, 32]));
    });
    assert!(doubles.contains("values differ"), "{doubles}");
    let other = text(&|named| {
        named.clear();
        named.insert("synthesis.b4.const".into(), tensor(&[4]));
    });
    assert!(other.contains("no diffusion autoencoder found"), "{other}");
}

#[test]
fn shapes_that_no_network_has_give_errors_and_never_a_panic() {
    let good = shapes(&config());
    let names: Vec<String> = good.keys().cloned().collect();
    for name in &names {
        for shape in [
            vec![],
            vec![0],
            vec![usize::MAX; 4],
            vec![1, 1 << 40, 3, 3],
            vec![7; 9],
        ] {
            let mut bad: BTreeMap<_, _> = good.clone();
            bad.insert(name.clone(), shape);
            for hints in [Hints::default(), hints(&config())] {
                // A tensor that is not looked at may be anything here: the comparison with the network is next.
                if let Ok(config) = Config::deduce(&bad, &hints) {
                    assert!(Autoencoder::spec(&config).unwrap().check(&bad).is_err());
                }
            }
        }
        let mut bad = good.clone();
        bad.remove(name);
        if let Ok(config) = Config::deduce(&bad, &Hints::default()) {
            assert!(Autoencoder::spec(&config).unwrap().check(&bad).is_err());
        }
    }
    // Hundreds of levels.
    let mut deep = good.clone();
    for i in 0..600 {
        for part in ["0.in_layers.2.weight", "1.in_layers.0.weight"] {
            deep.insert(format!("output_blocks.{i}.{part}"), vec![8, 8, 3, 3]);
            deep.insert(format!("encoder.input_blocks.{i}.{part}"), vec![8, 8, 3, 3]);
        }
    }
    assert!(Config::deduce(&deep, &Hints::default()).is_err());
}
