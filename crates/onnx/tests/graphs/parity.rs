//! A graph, run by a runtime that knows nothing of this program, draws what the program draws.

use super::common::{
    self, by_candle, by_graph, config, difference, expanded, given, model, with_affine_changes,
    with_vectors,
};
use domex_latent::domain_vectors::Gate;
use domex_onnx::{Input, Noise, Options, Precision};
use domex_ops::Activation;
use domex_stylegan2::{Architecture, Demodulation, MappingConfig, Model, Noise as Maps};

const TOLERANCE: f32 = 1e-4;

/// Three pictures at once, from random inputs.
#[track_caller]
fn agrees(model: &Model, options: &Options) {
    let given = given(model, options, 3);
    let maps = match options.noise {
        Noise::Const => Maps::Const,
        Noise::None => Maps::None,
        Noise::Input => Maps::Maps(&given.noise),
    };
    let (found, shape) = by_graph(model, &given, options);
    let synthesis = &model.config().synthesis;
    let side = synthesis.img_resolution;
    assert_eq!(shape, [3, synthesis.img_channels, side, side]);
    let error = difference(&found, &by_candle(model, &given, maps));
    assert!(error < TOLERANCE, "{error}");
}

fn from(input: Input) -> Options {
    Options {
        input,
        ..Options::default()
    }
}

#[test]
fn every_size_is_drawn_as_the_program_draws_it() {
    for resolution in [4, 8, 16, 32] {
        agrees(&model(&config(resolution)), &Options::default());
    }
}

#[test]
fn every_architecture_agrees() {
    for architecture in [Architecture::Orig, Architecture::Skip, Architecture::Resnet] {
        let mut config = config(16);
        config.synthesis.architecture = architecture;
        agrees(&model(&config), &Options::default());
    }
}

#[test]
fn grey_pictures_agree() {
    let mut config = config(16);
    config.synthesis.img_channels = 1;
    agrees(&model(&config), &Options::default());
}

#[test]
fn every_activation_agrees() {
    for activation in Activation::ALL {
        let mut config = config(8);
        config.synthesis.activation = activation;
        config.mapping.activation = activation;
        agrees(&model(&config), &Options::default());
    }
}

#[test]
fn limits_and_the_other_demodulation_agree() {
    let mut config = config(16);
    config.synthesis.conv_clamp = Some(0.8);
    config.synthesis.demodulation = Demodulation::FanIn;
    agrees(&model(&config), &Options::default());
}

#[test]
fn filters_of_any_number_of_taps_agree() {
    for taps in [
        vec![1.0],
        vec![1.0, 2.0],
        vec![1.0, 3.0, 2.0],
        vec![1.0, 2.0, 3.0, 4.0, 5.0],
    ] {
        let mut config = config(16);
        config.synthesis.resample_filter = taps;
        agrees(&model(&config), &Options::default());
    }
    // From eight on a filter is stored as one axis.
    let mut config = config(16);
    config.synthesis.resample_filter = (1..=9).map(f64::from).collect();
    agrees(&model(&config), &Options::default());
}

#[test]
fn a_label_goes_in_with_z() {
    let mut config = config(8);
    config.mapping = MappingConfig {
        num_layers: 2,
        ..MappingConfig::new(common::Z_DIM, 4, common::W_DIM)
    };
    agrees(&model(&config), &Options::default());
}

#[test]
fn every_input_leads_into_the_domains() {
    for input in [Input::Z, Input::W, Input::WPlus] {
        for domains in [1, 3] {
            agrees(&expanded(model(&config(8)), domains), &from(input));
        }
    }
}

#[test]
fn a_base_that_is_listed_agrees() {
    let mut model = expanded(model(&config(8)), 2);
    let expansion = model.expansion.as_mut().unwrap();
    expansion.layout = expansion.layout.clone().with_base(vec![0, 2, 5]).unwrap();
    agrees(&model, &Options::default());
}

#[test]
fn every_kind_of_noise_agrees() {
    for noise in [Noise::Const, Noise::None, Noise::Input] {
        let options = Options {
            noise,
            ..Options::default()
        };
        agrees(&model(&config(16)), &options);
    }
}

#[test]
fn a_network_without_noise_agrees() {
    let mut config = config(8);
    config.synthesis.use_noise = false;
    agrees(&model(&config), &Options::default());
}

#[test]
fn domains_as_vectors_come_in_through_their_gates() {
    for gates in [
        [Gate::Linear; 2],
        [Gate::Smooth; 2],
        [Gate::Smooth, Gate::Linear],
    ] {
        let model = with_vectors(model(&config(16)), &gates);
        for input in [Input::Z, Input::WPlus] {
            agrees(&model, &from(input));
        }
    }
}

#[test]
fn changes_of_affine_maps_come_in_through_their_gates() {
    for gates in [[Gate::Smooth; 2], [Gate::Smooth, Gate::Linear]] {
        let model = with_affine_changes(model(&config(16)), &gates);
        for input in [Input::Z, Input::WPlus] {
            agrees(&model, &from(input));
        }
    }
}

#[test]
fn weights_of_half_precision_are_half_the_size_and_draw_nearly_the_same() {
    let model = expanded(model(&config(16)), 2);
    let options = Options {
        precision: Precision::Float16,
        ..Options::default()
    };
    let given = given(&model, &options, 2);
    let (found, _) = by_graph(&model, &given, &options);
    let error = difference(&found, &by_candle(&model, &given, Maps::Const));
    assert!(error > 0.0 && error < 1e-2, "{error}");
}
