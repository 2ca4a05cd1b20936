use serde_json::Value as Json;

use super::*;

/// The layers of a StyleGAN2, by the published rule of feature counts.
fn layers(resolution: usize, base: usize) -> Vec<Layer> {
    let features = |side: usize| (base / side).min(512);
    let layer = |name: &str, side: usize, [channels, outputs]: [usize; 2]| Layer {
        name: format!("b{side}.{name}"),
        channels,
        outputs,
        kernel: if name == "torgb" { 1 } else { 3 },
        resolution: side,
        row: 0,
    };
    let mut all = Vec::new();
    let mut side = 4;
    while side <= resolution {
        let own = features(side);
        if side > 4 {
            all.push(layer("conv0", side, [features(side / 2), own]));
        }
        all.push(layer("conv1", side, [own, own]));
        all.push(layer("torgb", side, [own, 3]));
        side *= 2;
    }
    all
}

#[test]
fn every_parametrisation_trains_as_many_numbers_as_published() {
    let path = "../degan/tests/golden/degan/styledomain/parameter_counts_few_shot.json";
    let path = format!("{}/{path}", env!("CARGO_MANIFEST_DIR"));
    let published: Json = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    for (name, resolution, base) in [("config_f_1024", 1024, 32768), ("paper256", 256, 16384)] {
        let of = &published["few_shot_trainable_parameters"][name];
        for (kind, block, key) in [
            (ParametrisationKind::Stylespace, None, "/stylespace"),
            (ParametrisationKind::Affine, None, "/affine"),
            (ParametrisationKind::Affine, Some(64), "/affine_plus"),
            (
                ParametrisationKind::AffineLight,
                None,
                "/affine_light_plus_breakdown/affine_offsets",
            ),
            (
                ParametrisationKind::AffineLight,
                Some(64),
                "/affine_light_plus",
            ),
        ] {
            let config = StyleDomainConfig {
                block,
                ..StyleDomainConfig::default()
            };
            let layers = layers(resolution, base).into_iter();
            let parts = layers.flat_map(|layer| parts(kind, &config, &layer, 512));
            let found: usize = parts
                .map(|(_, shape)| shape.iter().product::<usize>())
                .sum();
            let expected = of.pointer(key).and_then(Json::as_u64).unwrap();
            assert_eq!(found as u64, expected, "{name} {key}");
        }
    }
}

#[test]
fn a_mapping_and_styles_of_kernels_are_as_many_numbers_as_they_say() {
    let count = |kind, side, base, width| -> usize {
        let layers = layers(side, base);
        let layers = layers.iter();
        let config = StyleDomainConfig::default();
        let parts = layers.flat_map(|layer| parts(kind, &config, layer, width));
        parts
            .map(|(_, shape)| shape.iter().product::<usize>())
            .sum()
    };
    // Kernels of 8 → 8, 8 → 4 and 4 → 4 features.
    let kernels = 8 * 8 + 8 * 4 + 4 * 4;
    let found = count(ParametrisationKind::GanMemory, 8, 32, 6);
    assert_eq!(found, 2 * kernels + 8 + 4 + 4);
    let [dorm, affine] = [ParametrisationKind::Dorm, ParametrisationKind::Affine];
    assert_eq!(count(dorm, 8, 32, 6), count(affine, 8, 32, 6));
    let like = Tensor::zeros(6, candle_core::DType::F32, &Device::Cpu).unwrap();
    let own = mappings(2, &like, 1).unwrap();
    let found: usize = own.values().map(|var| var.elem_count()).sum();
    assert_eq!(found, 2 * 2 * 6 * (6 + 1));
}

#[test]
fn a_mapping_begins_at_nothing_and_is_anothers_for_each_domain_and_seed() {
    let like = Tensor::zeros(6, candle_core::DType::F32, &Device::Cpu).unwrap();
    let begun = |seed, domain| {
        let own = mappings(2, &like, seed).unwrap().into_iter();
        let own = own.map(|(name, var)| (name, var.as_detached_tensor()));
        own_mapping(&own.collect(), domain).unwrap().unwrap()
    };
    let w = Tensor::ones((1, 6), candle_core::DType::F32, &Device::Cpu).unwrap();
    let zero = begun(1, 0).forward(&w).unwrap().to_vec2::<f32>().unwrap();
    assert_eq!(zero, [[0.0; 6]]);
    let hidden = |seed, domain| begun(seed, domain).hidden.to_vec2::<f32>().unwrap();
    assert_eq!(hidden(1, 0), hidden(1, 0));
    assert_ne!(hidden(1, 0), hidden(1, 1));
    assert_ne!(hidden(1, 0), hidden(2, 0));
}

#[test]
fn pruning_keeps_the_largest_share_of_each_domain_over_all_layers() {
    let rows = |values: &[[f32; 2]; 2]| Tensor::new(values, &Device::Cpu).unwrap();
    let all = Rows::from([
        ("a".to_owned(), rows(&[[0.1, -5.0], [1.0, 2.0]])),
        ("b".to_owned(), rows(&[[3.0, 0.2], [0.0, -9.0]])),
    ]);
    let kept = pruned(&all, 0.5, 2).unwrap();
    let values = |layer: &str| kept[layer].to_vec2::<f32>().unwrap();
    assert_eq!(values("a"), [[0.0, -5.0], [0.0, 2.0]]);
    assert_eq!(values("b"), [[3.0, 0.0], [0.0, -9.0]]);
}

#[test]
fn inner_factors_begin_at_length_one_and_differ() {
    let like = Tensor::zeros(1, candle_core::DType::F32, &Device::Cpu).unwrap();
    let mut stream = Streams::new(1).stream("affine maps");
    let found = beginning(Part::AffineIn, &[2, 5, 7], &like, &mut stream).unwrap();
    let rows = found.reshape((10, 7)).unwrap().to_vec2::<f32>().unwrap();
    for row in &rows {
        let length = row.iter().map(|x| x * x).sum::<f32>();
        assert!((length - 1.0).abs() < 1e-6, "{length}");
    }
    assert_ne!(rows[0], rows[5]);
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    let layers = layers(8, 64);
    let refused = |config: StyleDomainConfig, word: &str| {
        let kind = ParametrisationKind::AffineLight;
        let error = check(kind, &config, "toy", &layers, 12).unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    };
    let default = StyleDomainConfig::default();
    refused(
        StyleDomainConfig {
            rank: 13,
            ..default
        },
        "at most 12",
    );
    let block = Some(64);
    refused(StyleDomainConfig { block, ..default }, "4, 8");
    let only_points: Vec<Layer> = layers
        .iter()
        .filter(|layer| layer.kernel == 1)
        .cloned()
        .collect();
    let kind = ParametrisationKind::GanMemory;
    let error = check(kind, &default, "toy", &only_points, 12).unwrap_err();
    assert!(
        error.to_string().contains("kind toy has kernels"),
        "{error}"
    );
}
