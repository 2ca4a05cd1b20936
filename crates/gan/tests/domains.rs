//! Laws of the discriminator of several domains.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use domex_gan::{Discriminator, DomainDiscriminator, Widths};
use domex_stylegan2::{DiscriminatorConfig, config::channels, init};

const WIDTHS: Widths = Widths {
    channel_base: 64,
    channel_max: 8,
};

fn random(domains: usize) -> DomainDiscriminator {
    DomainDiscriminator::random((8, 3), WIDTHS, domains, 1, &Device::Cpu).unwrap()
}

/// Of one class, or of several.
fn source(classes: usize) -> Discriminator {
    let mut config = DiscriminatorConfig::new(8, 3, channels(8, 64, 8).unwrap());
    config.mapping = (classes > 0).then(|| DiscriminatorConfig::label_mapping(classes, 8));
    let tensors = init::discriminator(&config, 5, DType::F32, &Device::Cpu).unwrap();
    Discriminator::from_tensors(&tensors, &config).unwrap()
}

fn pictures(n: usize) -> Tensor {
    let pictures = domex_ops::testing::randn(&[n, 3, 8, 8], 3);
    pictures.to_dtype(DType::F32).unwrap()
}

fn values(x: &Tensor) -> Vec<f32> {
    x.flatten_all().unwrap().to_vec1().unwrap()
}

#[test]
fn the_domain_decides_what_is_said_of_a_picture() {
    let d = random(2);
    let said = |domain| values(&d.realism(&pictures(2), domain, None).unwrap().logits);
    assert_ne!(said(0), said(1));
}

#[test]
fn a_logit_is_the_projection_of_the_features_on_the_domains_embedding() {
    let d = random(1);
    let x = pictures(2);
    let logit = values(&d.realism(&x, 0, None).unwrap().logits);
    let bias = d.vars()["b4.out.bias"].as_detached_tensor();
    // One more in every number of the projection is the mean of the embedding, times √k: e has the mean square 1.
    d.vars()["b4.out.bias"].set(&(bias + 1.0).unwrap()).unwrap();
    let more = values(&d.realism(&x, 0, None).unwrap().logits);
    let embedding = (d.vars()["mapping.embed.weight"].as_detached_tensor())
        .flatten_all()
        .unwrap();
    let square = embedding.sqr().unwrap().mean_all().unwrap();
    let root = square.to_scalar::<f32>().unwrap().sqrt();
    let sum = embedding.sum_all().unwrap().to_scalar::<f32>().unwrap() / root;
    let expected = sum / (embedding.elem_count() as f32).sqrt();
    for (before, after) in logit.iter().zip(more) {
        assert!((after - before - expected).abs() < 1e-4);
    }
}

#[test]
fn it_begins_with_the_features_of_the_sources_discriminator() {
    for classes in [0, 3] {
        let source = source(classes);
        let d = DomainDiscriminator::from_source(&source, 2, 0, 1).unwrap();
        let known = source.tensors();
        for name in ["b8.conv0.weight", "b4.conv.weight", "b4.fc.weight"] {
            assert_eq!(values(&d.vars()[name]), values(&known[name]), "{name}");
        }
    }
}

#[test]
fn first_layers_that_stay_are_not_trained() {
    let d = DomainDiscriminator::from_source(&source(0), 2, 2, 1).unwrap();
    assert!(!d.vars().contains_key("b8.fromrgb.weight"));
    assert!(!d.vars().contains_key("b8.conv0.weight"));
    assert!(d.vars().contains_key("b8.conv1.weight"));
    let gradients = d
        .real_loss(&pictures(2), 0, None)
        .unwrap()
        .loss
        .backward()
        .unwrap();
    assert!(d.vars().values().all(|var| gradients.get(var).is_some()));
}

#[test]
fn the_generators_loss_gives_it_no_gradient() {
    let d = random(1);
    let x = candle_core::Var::from_tensor(&pictures(2)).unwrap();
    let gradients = d.realism(&x, 0, None).unwrap().loss.backward().unwrap();
    assert!(gradients.get(&x).is_some());
    assert!(d.vars().values().all(|var| gradients.get(var).is_none()));
}

#[test]
fn activations_that_are_computed_again_leave_the_gradients_as_they_are() {
    let gradients = |d: &DomainDiscriminator| {
        let loss = d.fake_loss(&pictures(2), 0, None).unwrap().loss;
        let gradients = loss.backward().unwrap();
        let of = |var: &candle_core::Var| values(gradients.get(var).unwrap());
        d.vars().values().map(of).collect::<Vec<_>>()
    };
    assert_eq!(gradients(&random(1).recomputed()), gradients(&random(1)));
}

#[test]
fn a_domain_that_is_not_there_is_refused() {
    let error = random(2).realism(&pictures(1), 2, None).unwrap_err();
    assert!(error.to_string().contains("below 2"), "{error}");
}

#[test]
fn no_domain_is_refused() {
    let none = DomainDiscriminator::random((8, 3), WIDTHS, 0, 1, &Device::Cpu);
    assert!(none.unwrap_err().to_string().contains("1 or more"));
}
