//! Configurations from names and shapes, and what is said about tensors that do not fit.

#![allow(clippy::unwrap_used)] // Also in the helpers.

mod common;

use std::collections::BTreeMap;

use candle_core::{DType, Device, Tensor};
use common::{Case, Outcome};
use domex_stylegan2::weights::shapes;
use domex_stylegan2::{
    Architecture, Discriminator, DiscriminatorConfig, Generator, GeneratorConfig, Noise, Tensors,
    init,
};

fn small() -> (GeneratorConfig, Tensors) {
    let config = GeneratorConfig::with_defaults(6, 10, 8, 64, 8).unwrap();
    let tensors = init::generator(&config, 1, DType::F32, &Device::Cpu).unwrap();
    (config, tensors)
}

#[test]
fn generators_are_deduced() -> Outcome {
    for file in [
        "generator_skip_32",
        "generator_resnet",
        "generator_conditional",
    ] {
        let case = Case::open(&format!("stylegan2/{file}.safetensors"));
        let expected = GeneratorConfig::from_kwargs(&case.config)?;
        let found = GeneratorConfig::deduce(&shapes(&case.below("param.")))?;
        let mut found = found;
        // The one field here that no shape tells.
        found.synthesis.conv_clamp = expected.synthesis.conv_clamp;
        assert_eq!(found, expected, "{file}");
    }
    Ok(())
}

#[test]
fn a_discriminator_is_deduced() -> Outcome {
    let case = Case::open("stylegan2/discriminator_32.safetensors");
    let expected = DiscriminatorConfig::from_kwargs(&case.config)?;
    let mut found = DiscriminatorConfig::deduce(&shapes(&case.below("param.")))?;
    found.mbstd_group_size = expected.mbstd_group_size;
    assert_eq!(found, expected);
    Ok(())
}

/// The published generator of FFHQ at 1024².
fn ffhq() -> domex_stylegan2::Result<GeneratorConfig> {
    GeneratorConfig::with_defaults(512, 512, 1024, 32768, 512)
}

/// Names and shapes alone: no weight of these sizes is ever made.
#[test]
fn every_configuration_is_deduced_from_its_own_shapes() -> Outcome {
    let mut configs = vec![ffhq()?, GeneratorConfig::tiny()];
    for architecture in [Architecture::Orig, Architecture::Skip, Architecture::Resnet] {
        for resolution in [8, 64, 1024] {
            let mut config = GeneratorConfig::with_defaults(32, 48, resolution, 2048, 64)?;
            config.synthesis.architecture = architecture;
            config.synthesis.use_noise = resolution != 64;
            config.synthesis.resample_filter = match resolution {
                8 => vec![1.0, 1.0],
                64 => vec![1.0, 2.0, 1.0],
                _ => vec![1.0, 3.0, 3.0, 1.0],
            };
            config.mapping.num_layers = 3;
            config.mapping.layer_features = 20;
            config.mapping.c_dim = 5;
            config.mapping.embed_features = 7;
            configs.push(config);
        }
    }
    for config in configs {
        let spec = Generator::spec(&config)?;
        let shapes: BTreeMap<_, _> = spec
            .entries()
            .map(|(name, shape)| (name.to_string(), shape.to_vec()))
            .collect();
        assert_eq!(GeneratorConfig::deduce(&shapes)?, config);
        spec.check(&shapes)?;
    }
    for (mapping_layers, architecture) in [
        (8, Architecture::Orig),
        (0, Architecture::Skip),
        (1, Architecture::Resnet),
    ] {
        let channels = domex_stylegan2::config::channels(256, 16384, 512)?;
        let mut config = DiscriminatorConfig::new(256, 3, channels);
        config.architecture = architecture;
        config.mbstd_num_channels = 2;
        let mut mapping = DiscriminatorConfig::label_mapping(10, 33);
        mapping.num_layers = mapping_layers;
        config.mapping = Some(mapping);
        let spec = Discriminator::spec(&config)?;
        let shapes: BTreeMap<_, _> = spec
            .entries()
            .map(|(name, shape)| (name.to_string(), shape.to_vec()))
            .collect();
        assert_eq!(DiscriminatorConfig::deduce(&shapes)?, config);
    }
    Ok(())
}

#[test]
fn ffhq_has_its_published_size() -> Outcome {
    let spec = Generator::spec(&ffhq()?)?;
    let sizes: BTreeMap<&str, usize> = spec
        .entries()
        .map(|(name, shape)| (name, shape.iter().product()))
        .collect();
    let parameters: usize = spec.parameters().map(|name| sizes[name]).sum();
    // 8 mapping layers of 512 x 512 with biases, 2,101,248; the rest is the synthesis network.
    assert_eq!(parameters, 30_370_060);
    assert_eq!(ffhq()?.num_ws(), 18);
    Ok(())
}

fn load_error(tensors: &Tensors, config: &GeneratorConfig) -> String {
    Generator::from_tensors(tensors, config)
        .expect_err("must be refused")
        .to_string()
}

#[test]
fn tensors_that_do_not_fit_are_named() -> Outcome {
    let (config, tensors) = small();
    let mut missing = tensors.clone();
    missing.remove("synthesis.b8.conv1.weight");
    let error = load_error(&missing, &config);
    assert!(
        error.contains("1 tensors missing (synthesis.b8.conv1.weight)"),
        "{error}"
    );

    let mut unexpected = tensors.clone();
    for index in 0..6 {
        unexpected.insert(format!("extra{index}"), Tensor::new(1f32, &Device::Cpu)?);
    }
    let error = load_error(&unexpected, &config);
    assert!(
        error.contains("6 tensors unexpected (extra0, extra1, extra2, extra3 and 2 more)"),
        "{error}"
    );

    let mut wrong = tensors.clone();
    wrong.insert(
        "mapping.fc1.bias".to_string(),
        Tensor::zeros(9, DType::F32, &Device::Cpu)?,
    );
    let error = load_error(&wrong, &config);
    assert!(
        error.contains("mapping.fc1.bias has shape [9], expected [10]"),
        "{error}"
    );
    Ok(())
}

#[test]
fn shapes_that_are_no_network_are_refused() {
    let deduce = |shapes: &[(&str, &[usize])]| {
        let shapes = shapes
            .iter()
            .map(|(name, shape)| (name.to_string(), shape.to_vec()))
            .collect();
        GeneratorConfig::deduce(&shapes)
            .expect_err("must be refused")
            .to_string()
    };
    let error = deduce(&[("conv.weight", &[3, 3])]);
    assert!(
        error.contains("not the weights of a StyleGAN2 generator"),
        "{error}"
    );
    let error = deduce(&[("synthesis.b4.const", &[8, 4, 4])]);
    assert!(
        error.contains("synthesis.b4.conv1.affine.weight"),
        "{error}"
    );
    let error = deduce(&[
        ("synthesis.b4.conv1.affine.weight", &[8, 10]),
        ("synthesis.b4.conv1.weight", &[8, 8, 3, 3]),
        ("synthesis.b99999999999.torgb.weight", &[3, 8, 1, 1]),
    ]);
    assert!(error.contains("synthesis.b8.conv1.weight"), "{error}");
    let error = deduce(&[
        ("synthesis.b4.conv1.affine.weight", &[8, 10]),
        ("synthesis.b4.conv1.weight", &[8, 8, 3, 3]),
        (
            "synthesis.b18446744073709551615.torgb.weight",
            &[3, 8, 1, 1],
        ),
    ]);
    assert!(error.contains("synthesis.b8.conv1.weight"), "{error}");
    let error = deduce(&[
        ("synthesis.b4.conv1.affine.weight", &[8, 10]),
        ("synthesis.b4.conv1.weight", &[8, 8, 3, 3]),
        ("synthesis.b4.torgb.weight", &[3, 8, 1, 1]),
        ("mapping.fc0.weight", &[usize::MAX, 8]),
    ]);
    assert!(error.contains("mapping.w_dim"), "{error}");
}

#[test]
fn numbers_out_of_range_are_refused() {
    let refused = |change: &dyn Fn(&mut GeneratorConfig)| {
        let (mut config, _) = small();
        change(&mut config);
        Generator::spec(&config)
            .expect_err("must be refused")
            .to_string()
    };
    assert!(refused(&|c| c.synthesis.img_resolution = 24).contains("a power of two from 4"));
    assert!(refused(&|c| c.synthesis.img_resolution = 16).contains("channels"));
    assert!(refused(&|c| c.mapping.num_layers = 0).contains("mapping.num_layers: 0"));
    assert!(refused(&|c| c.mapping.w_dim = 1 << 40).contains("mapping.w_dim"));
    assert!(refused(&|c| c.synthesis.w_dim = 11).contains("mapping.w_dim, which is 10"));
    assert!(refused(&|c| c.synthesis.conv_clamp = Some(f64::NAN)).contains("conv_clamp"));
    assert!(
        refused(&|c| c.synthesis.resample_filter = vec![1.0, -1.0]).contains("resample_filter")
    );
    assert!(GeneratorConfig::with_defaults(1, 1, 12, 64, 8).is_err());
}

#[test]
fn inputs_of_the_wrong_shape_are_refused() -> Outcome {
    let (config, tensors) = small();
    let net = Generator::from_tensors(&tensors, &config)?;
    let zeros = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu);
    let error = net
        .synthesis()
        .forward(&zeros(&[1, 5, 10])?, Noise::Const)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "ws: shape [1, 5, 10], expected [n, 4, 10]"
    );
    let error = net
        .mapping()
        .forward(Some(&zeros(&[1, 7])?), None)
        .unwrap_err();
    assert_eq!(error.to_string(), "z: shape [1, 7], expected [n, 6]");
    let label = zeros(&[1, 2])?;
    let error = net
        .mapping()
        .forward(Some(&zeros(&[1, 6])?), Some(&label))
        .unwrap_err();
    assert!(error.to_string().contains("takes no label"), "{error}");
    Ok(())
}

#[test]
fn keyword_arguments_of_the_wrong_kind_are_refused() {
    let refused =
        |json: serde_json::Value| GeneratorConfig::from_kwargs(&json).unwrap_err().to_string();
    let base = || serde_json::json!({ "z_dim": 8, "w_dim": 8, "img_resolution": 8 });
    assert!(refused(serde_json::json!({})).contains("z_dim: none"));
    let mut json = base();
    json["synthesis_kwargs"] = serde_json::json!({ "architecture": "dense" });
    assert!(refused(json).contains("orig, skip or resnet"));
    let mut json = base();
    json["mapping_kwargs"] = serde_json::json!({ "num_layers": "two" });
    assert!(refused(json).contains("mapping_kwargs.num_layers: \"two\""));
    let mut json = base();
    json["synthesis_kwargs"] = serde_json::json!({ "activation": "nonsense" });
    assert!(refused(json).contains("nonsense"));
}
