//! Pivotal tuning.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use domex_invert::{TuneConfig, tune};
use domex_latent::modulation::{Modulation, Modulations, Modulator};
use domex_random::Streams;
use domex_stylegan2::Generator;

use crate::{SIDE, apart, generator, normal, perceptual, pictures, synthesize};

/// Pictures that the generator does not make.
fn foreign() -> Tensor {
    let noise = (normal(&[2, 3, SIDE, SIDE], "wanted") * 0.3).unwrap();
    noise.tanh().unwrap()
}

/// The pictures of a step.
fn of(all: &Tensor) -> impl FnMut(&[usize]) -> domex_invert::Result<Tensor> {
    |turn| {
        let index = turn.iter().map(|&index| index as u32).collect::<Vec<_>>();
        Ok(all.index_select(&Tensor::new(index, all.device())?, 0)?)
    }
}

#[test]
fn a_tuned_generator_gives_the_pictures_and_the_given_one_is_as_it_was() {
    let (generator, perceptual) = (generator(), perceptual());
    let (_, ws) = pictures(&generator);
    let wanted = foreign();
    let before = synthesize(&generator, &ws);
    let config = TuneConfig {
        steps: 60,
        lr: 5e-3,
        locality: 0.0,
        ..TuneConfig::default()
    };
    let mut losses = Vec::new();
    let mut stream = Streams::new(0).stream("tune");
    let tuned = tune(
        &generator,
        &perceptual,
        &ws,
        &mut of(&wanted),
        &config,
        &mut stream,
        &mut |_, loss| {
            losses.push(loss);
        },
    )
    .unwrap();
    assert!(losses.last().unwrap() < &(0.6 * losses[0]), "{losses:?}");
    assert_eq!(apart(&synthesize(&generator, &ws), &before), 0.0);
    assert!(apart(&synthesize(&tuned, &ws), &before) > 0.1);
    let mapped = |g: &Generator| {
        g.mapping()
            .forward(Some(&normal(&[2, 8], "z")), None)
            .unwrap()
    };
    assert_eq!(apart(&mapped(&tuned), &mapped(&generator)), 0.0);
}

/// The styles of a layer moved, as a domain behind an open gate does.
#[derive(Debug)]
struct Moved;

impl Modulator for Moved {
    fn modulate(&self, _: &Tensor) -> domex_latent::Result<Modulations> {
        let moved = Modulation {
            style_offset: Some(Tensor::ones((1, 8), DType::F32, &Device::Cpu)?),
            ..Modulation::default()
        };
        Ok([("b8.conv0".to_owned(), moved)].into())
    }
}

#[test]
fn what_changes_the_layers_changes_them_in_a_tuned_generator_too() {
    let (plain, perceptual) = (generator(), perceptual());
    let (_, ws) = pictures(&plain);
    let mut moved = plain.clone();
    moved.synthesis_mut().add_modulator(Arc::new(Moved));
    let wanted = synthesize(&moved, &ws);
    assert!(apart(&wanted, &synthesize(&plain, &ws)) > 0.01);
    // It gives these pictures already, so it is left as it is.
    let tuned = tune(
        &moved,
        &perceptual,
        &ws,
        &mut of(&wanted),
        &TuneConfig::default(),
        &mut Streams::new(0).stream("tune"),
        &mut |_, _| {},
    )
    .unwrap();
    assert_eq!(apart(&synthesize(&tuned, &ws), &wanted), 0.0);
}

#[test]
fn locality_keeps_the_generator_around_the_pivots() {
    let (generator, perceptual) = (generator(), perceptual());
    let (_, ws) = pictures(&generator);
    let wanted = foreign();
    let away = (&ws + (normal(ws.dims(), "away") * 0.5).unwrap()).unwrap();
    let moved = |locality: f64| {
        let config = TuneConfig {
            steps: 30,
            lr: 3e-3,
            locality,
            locality_distance: 4.0,
            ..TuneConfig::default()
        };
        let mut stream = Streams::new(0).stream("tune");
        let tuned = tune(
            &generator,
            &perceptual,
            &ws,
            &mut of(&wanted),
            &config,
            &mut stream,
            &mut |_, _| {},
        )
        .unwrap();
        let change = (synthesize(&tuned, &away) - synthesize(&generator, &away)).unwrap();
        change
            .sqr()
            .unwrap()
            .mean_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
    };
    let (free, held) = (moved(0.0), moved(10.0));
    assert!(held < 0.7 * free, "{held} {free}");
}

#[test]
fn tuning_stops_when_the_pictures_are_near_enough() {
    let (generator, perceptual) = (generator(), perceptual());
    let (pictures, ws) = pictures(&generator);
    let mut steps = Vec::new();
    let config = TuneConfig::default();
    let mut stream = Streams::new(0).stream("tune");
    tune(
        &generator,
        &perceptual,
        &ws,
        &mut of(&pictures),
        &config,
        &mut stream,
        &mut |step, _| steps.push(step),
    )
    .unwrap();
    assert_eq!(steps, [config.steps]);
    let one = pictures.narrow(0, 0, 1).unwrap();
    let mut same = |_: &[usize]| domex_invert::Result::Ok(one.clone());
    let message: domex_invert::Error = tune(
        &generator,
        &perceptual,
        &ws,
        &mut same,
        &config,
        &mut stream,
        &mut |_, _| {},
    )
    .unwrap_err();
    assert!(
        message.to_string().contains("as many as were asked for"),
        "{message}"
    );
    let config = TuneConfig {
        batch: 0,
        ..TuneConfig::default()
    };
    assert!(
        tune(
            &generator,
            &perceptual,
            &ws,
            &mut of(&pictures),
            &config,
            &mut stream,
            &mut |_, _| {}
        )
        .is_err()
    );
}
