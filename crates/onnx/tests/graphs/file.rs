//! What a file says of itself, and what is refused.

use std::sync::Arc;

use super::common::{self, config, expanded, model};
use domex_error::UserError as _;
use domex_latent::Generator as _;
use domex_latent::matrices::Matrices;
use domex_latent::modulation::{Modulations, Modulator};
use domex_onnx::{Input, Noise, Options, Precision, export};

#[test]
fn the_description_lists_inputs_and_domains_in_their_order() {
    let description = export(&expanded(model(&config(8)), 2), &Options::default())
        .unwrap()
        .description;
    let names: Vec<_> = description.inputs.iter().map(|port| &port.name).collect();
    assert_eq!(names, ["z", "truncation", "strengths"]);
    let domains: Vec<_> = description
        .domains
        .iter()
        .map(|d| (d.name.as_str(), d.distance))
        .collect();
    assert_eq!(domains, [("domain 0", 3.0), ("domain 1", 5.0)]);
}

#[test]
fn the_file_holds_the_domains_for_programs_that_read_it() {
    let exported = export(&expanded(model(&config(8)), 2), &Options::default()).unwrap();
    let text = String::from_utf8_lossy(&exported.bytes);
    assert!(text.contains(r#"["domain 0","domain 1"]"#));
    assert!(text.contains("[3.0,5.0]"));
}

#[test]
fn the_same_model_gives_the_same_bytes() {
    let bytes = || {
        export(&expanded(model(&config(8)), 2), &Options::default())
            .unwrap()
            .bytes
    };
    assert!(bytes() == bytes());
}

#[test]
fn constants_have_the_names_of_the_checkpoint() {
    let model = model(&config(8));
    let exported = export(&model, &Options::default()).unwrap();
    let graph = rten::Model::load(exported.bytes).unwrap();
    for name in model.generator().tensors().keys() {
        // A layer that keeps its size has a filter and does not use it; nor has the first block a picture to double.
        let unused =
            name.ends_with("resample_filter") && (name.contains("conv1") || name.contains("b4."));
        assert_eq!(graph.find_node(name).is_some(), !unused, "{name}");
    }
}

#[test]
fn half_precision_halves_the_file() {
    let mut config = config(8);
    config
        .synthesis
        .channels
        .values_mut()
        .for_each(|width| *width = 64);
    let size = |precision| {
        let options = Options {
            precision,
            ..Options::default()
        };
        export(&model(&config), &options).unwrap().bytes.len() as f64
    };
    let share = size(Precision::Float16) / size(Precision::Float32);
    assert!((0.5..0.55).contains(&share), "{share}");
}

#[derive(Debug)]
struct Nothing;

impl Modulator for Nothing {
    fn modulate(&self, _: &candle_core::Tensor) -> domex_latent::Result<Modulations> {
        Ok(Modulations::new())
    }
}

#[test]
fn what_a_graph_cannot_say_is_refused_by_name() {
    let refused = |model: &domex_stylegan2::Model, options: Options, text: &str| {
        let error = export(model, &options).unwrap_err();
        assert!(
            error.is_user_error() && error.to_string().contains(text),
            "{error}"
        );
    };
    let mut changed = model(&config(8));
    changed
        .g_ema
        .synthesis_mut()
        .add_modulator(Arc::new(Nothing));
    refused(&changed, Options::default(), "does not hold");

    let mut heavy = expanded(model(&config(8)), 1);
    let offset =
        candle_core::Tensor::zeros((4, 4), candle_core::DType::F32, &candle_core::Device::Cpu);
    let own = Matrices {
        weights: [("b8.conv1".to_owned(), offset.unwrap())].into(),
        ..Matrices::default()
    };
    let expansion = heavy.expansion.take().unwrap();
    heavy.expansion = Some(expansion.with_matrices(vec![own]).unwrap());
    refused(&heavy, Options::default(), "domains fuse");

    let mut silent = config(8);
    silent.synthesis.use_noise = false;
    let noise = Options {
        noise: Noise::Input,
        ..Options::default()
    };
    refused(&model(&silent), noise, "adds no noise");
}

#[test]
fn a_latent_goes_in_without_the_mapping_network() {
    let model = model(&config(8));
    let options = Options {
        input: Input::W,
        ..Options::default()
    };
    let graph = rten::Model::load(export(&model, &options).unwrap().bytes).unwrap();
    assert!(graph.find_node("mapping.fc0.weight").is_none());
    assert_eq!(model.generator().latent_dim(), common::W_DIM);
}
