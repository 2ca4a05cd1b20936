//! A domain encoder learns to edit as its pictures show, and resumes exactly.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_data::source::{self, Options};
use domex_degan::{Config, file, stylespace};
use domex_lpips::Lpips;
use domex_nada::Guide;
use domex_pretrain::degan::{DeganConfig, DeganJob, Networks, PictureStyles, Styles};
use domex_pretrain::portraits::{DomainStyles, Shares, recipes};
use domex_stylegan2::Model;
use domex_test_support::{networks, runs::assert_resume_is_exact};
use domex_train::{RunConfig, run};

/// Where pictures come from.
#[derive(Clone, Copy, PartialEq)]
enum From {
    Renderings,
    /// A folder of them: which latents they belong to is not known.
    Folder,
}

fn network(dims: Vec<Vec<usize>>) -> Config {
    Config {
        image_size: 16,
        patch_size: 8,
        num_layers: 3,
        num_heads: 2,
        hidden_dim: 16,
        mlp_dim: 16,
        domain_dims_per_resolution: dims,
    }
}

fn config(network: Config, from: From) -> DeganConfig {
    let mut config = match from {
        From::Renderings => recipes::domain_encoder(network, 1600),
        From::Folder => DeganConfig::new(network, 1600),
    };
    config.learning.batch = 8;
    config.fade_in.steps = 4;
    config.augment.noise = 0.0;
    config
}

fn styles(folder: &Path, from: From) -> Box<dyn Styles> {
    if from == From::Renderings {
        let shares = Shares {
            both: 0.4,
            made_up: 0.2,
        };
        return Box::new(DomainStyles::new(networks::SIDE as u32, 8, shares));
    }
    let set = folder.join("set");
    if !set.exists() {
        std::fs::create_dir(&set).unwrap();
        for (name, colour) in [("a", [255, 0, 0]), ("b", [0, 0, 255]), ("c", [9, 200, 9])] {
            let picture = image::RgbImage::from_pixel(16, 16, image::Rgb(colour));
            picture.save(set.join(format!("{name}.png"))).unwrap();
        }
    }
    let open = || source::open(&set, Options::default()).unwrap().source;
    Box::new(PictureStyles::new(open(), Some(open())).unwrap())
}

fn job_on(
    folder: &Path,
    from: From,
    backbone: Option<BTreeMap<String, Tensor>>,
) -> Result<DeganJob, Box<domex_pretrain::Error>> {
    let names = ["generator", "clip", "perceptual"];
    let [model, clip, lpips] = names.map(|name| folder.join(format!("{name}.safetensors")));
    if !model.exists() {
        networks::generator(&model, 3, false);
        networks::clip(&clip, 1);
        networks::perceptual(&lpips);
    }
    let generator = Model::load(&model, &Device::Cpu).unwrap().g_ema;
    let dims = stylespace::dims(generator.synthesis());
    let perceptual = Lpips::load(&lpips, DType::F32, &Device::Cpu).unwrap();
    let networks = Networks {
        guides: vec![Guide::load(&clip, 1.0, &Device::Cpu).unwrap()],
        perceptual: (from == From::Renderings).then_some(perceptual),
        vgg: None,
    };
    let hashes = ("generator".to_owned(), vec!["clip".to_owned()]);
    let (config, styles) = (config(network(dims), from), styles(folder, from));
    DeganJob::new(
        config,
        generator,
        styles,
        networks,
        backbone,
        hashes,
        &Device::Cpu,
    )
    .map_err(Box::new)
}

fn job(folder: &Path, from: From) -> DeganJob {
    job_on(folder, from, None).unwrap()
}

fn settings(out: &Path, images: u64) -> RunConfig {
    RunConfig {
        images,
        tick_images: images,
        signals: false,
        ..RunConfig::new(out)
    }
}

#[test]
fn edited_pictures_come_nearer_to_what_they_should_be() {
    let folder = tempfile::tempdir().unwrap();
    let learnt = |images: u64| {
        let out = folder.path().join(format!("run{images}"));
        let config = RunConfig {
            tick_images: 400,
            ..settings(&out, images)
        };
        let mut job = job(folder.path(), From::Renderings);
        let values = run(&mut job, &config).unwrap().last.unwrap().values;
        assert!(values["direction/unseen"].abs() <= 1.0);
        values["squares"]
    };
    let (before, after) = (learnt(16), learnt(1600));
    assert!(after < 0.8 * before, "{before} {after}");
}

#[test]
fn edits_turn_to_the_directions_of_pictures_without_latents() {
    let folder = tempfile::tempdir().unwrap();
    let learnt = |images: u64| {
        let out = folder.path().join(format!("run{images}"));
        let config = RunConfig {
            tick_images: 400,
            ..settings(&out, images)
        };
        let mut job = job(folder.path(), From::Folder);
        run(&mut job, &config).unwrap().last.unwrap().values["direction"]
    };
    let (before, after) = (learnt(16), learnt(1600));
    assert!(after < 0.8 * before, "{before} {after}");
}

#[test]
fn a_resumed_run_comes_to_the_same_weights() {
    let folder = tempfile::tempdir().unwrap();
    for from in [From::Renderings, From::Folder] {
        assert_resume_is_exact(|| job(folder.path(), from), settings, 64);
    }
}

#[test]
fn a_run_that_stops_while_offsets_come_in_says_so_in_its_file() {
    let folder = tempfile::tempdir().unwrap();
    let multiplier = |images: u64| {
        let out = folder.path().join(format!("run{images}"));
        let outcome = run(
            &mut job(folder.path(), From::Folder),
            &settings(&out, images),
        );
        let (_, purpose) = file::read(&outcome.unwrap().model, &Device::Cpu).unwrap();
        purpose.multiplier
    };
    assert!((multiplier(16) - 0.7).abs() < 1e-9);
    assert_eq!(multiplier(40), 1.0);
}

#[test]
fn a_backbone_stays_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let trained = |name: &str, backbone: Option<BTreeMap<String, Tensor>>| {
        let mut job = job_on(folder.path(), From::Folder, backbone).unwrap();
        let outcome = run(&mut job, &settings(&folder.path().join(name), 16)).unwrap();
        let written = domex_checkpoint::container::Container::open(&outcome.model).unwrap();
        let names = written.names().map(str::to_owned).collect::<Vec<_>>();
        let tensor = |name: String| {
            let tensor = written.tensor(&name, &Device::Cpu).unwrap();
            (name, tensor.to_dtype(DType::F32).unwrap())
        };
        names.into_iter().map(tensor).collect::<BTreeMap<_, _>>()
    };
    let values = |tensor: &Tensor| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let mut backbone = trained("first", None);
    backbone.retain(|name, _| !name.contains("domain_proj"));
    let token = Tensor::full(0.5f32, (1, 1, 16), &Device::Cpu).unwrap();
    backbone.insert("class_token".to_owned(), token);
    let written = trained("second", Some(backbone.clone()));
    assert!(written.len() > backbone.len());
    for (name, tensor) in &backbone {
        assert_eq!(values(tensor), values(&written[name]), "{name}");
    }

    // Nothing of it is left to chance.
    let gone = "encoder.layers.encoder_layer_1.self_attention.in_proj_bias";
    backbone.remove(gone);
    let error = job_on(folder.path(), From::Folder, Some(backbone)).err();
    let error = error.unwrap().to_string();
    assert!(error.contains(gone), "{error}");
}

#[test]
fn a_batch_that_does_not_divide_into_domains_is_refused() {
    let mut config = config(network(vec![vec![4]]), From::Folder);
    config.learning.batch = 10;
    let error = config.validate().unwrap_err().to_string();
    assert!(error.contains("a multiple of 4"), "{error}");
    config.learning.batch = 4;
    let error = config.validate().unwrap_err().to_string();
    assert!(error.contains("two domains"), "{error}");
}
