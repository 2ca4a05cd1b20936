//! Which layers move: a generator whose layers are known to matter or not.

#![allow(clippy::unwrap_used)]

mod common;

use candle_core::Tensor;
use common::{files, guide, pictures, scalar};
use domex_clip::{Prompts, TextMeans, unit_length};
use domex_nada::{Config, Error, LayerChoice, Nada, Task, choose_layers};
use domex_ops::testing::randn;

/// Pictures `[n, 3, 20, 24]` to which layer 2 of 4 adds most, layer 0 a little, the others nothing.
fn synthesize(ws: &Tensor) -> Result<Tensor, Error> {
    let n = ws.dim(0)?;
    let layer = |k: usize| ws.narrow(1, k, 1).and_then(|row| row.squeeze(1));
    let basis = randn(&[5, 3 * 20 * 24], 9);
    let mixed = ((layer(2)? * 1.0)? + (layer(0)? * 0.2)?)?;
    let pictures = mixed.matmul(&basis)?.reshape((n, 3, 20, 24))?;
    Ok((pictures + pictures_like(n)?)?.tanh()?)
}

fn pictures_like(n: usize) -> Result<Tensor, Error> {
    Ok(pictures(n, 4))
}

#[test]
fn the_layers_that_matter_are_chosen() {
    let nada = Nada::new(vec![guide(1), guide(2)], Config::default()).unwrap();
    let prepared = nada.prepare(&[Task::pictures("snow", pictures(2, 1), files(1, 2))], None);
    let prepared = prepared.unwrap();
    let ws = (randn(&[2, 4, 5], 3) * 0.1).unwrap();
    let loss = |pictures: &Tensor| nada.global(&prepared, pictures, &[0, 0]);
    for steps in [1, 3] {
        let choice = LayerChoice {
            keep: 2,
            steps,
            ..LayerChoice::default()
        };
        let layers = choose_layers(&ws, &choice, synthesize, loss).unwrap();
        assert_eq!(layers.chosen, [2, 0]);
        assert_eq!((layers.movement[1], layers.movement[3]), (0.0, 0.0));
        assert!(layers.movement[2] > 3.0 * layers.movement[0]);
        assert!(layers.movement[0] > 0.0);
    }
}

#[test]
fn going_down_lowers_the_global_term() {
    let nada = Nada::new(vec![guide(1)], Config::default()).unwrap();
    let prepared = nada
        .prepare(&[Task::texts("photo", "sketch")], None)
        .unwrap();
    let seen = std::cell::RefCell::new(Vec::new());
    let choice = LayerChoice {
        steps: 5,
        learning_rate: 0.5,
        keep: 1,
    };
    let loss = |pictures: &Tensor| {
        let loss = nada.global(&prepared, pictures, &[0, 0])?;
        seen.borrow_mut().push(scalar(&loss));
        Ok::<_, Error>(loss)
    };
    let ws = (randn(&[2, 4, 5], 3) * 0.1).unwrap();
    choose_layers(&ws, &choice, synthesize, loss).unwrap();
    let seen = seen.into_inner();
    assert!(seen.windows(2).all(|pair| pair[1] < pair[0]), "{seen:?}");
}

#[test]
fn the_text_to_go_to_is_the_target_as_it_is_whatever_the_loss_weighs() {
    let (guide, seen) = (guide(1), pictures(2, 4));
    let texts = TextMeans::new(&guide.clip, &guide.tokenizer, None).unwrap();
    let text = texts.mean(&Prompts::plain(), "sketch").unwrap();
    let features = unit_length(&guide.features(&seen).unwrap()).unwrap();
    let cosines = features.broadcast_mul(&text).unwrap().sum_all().unwrap();
    let scale = scalar(guide.clip.logit_scale());
    let expected = 1.0 - scale / 100.0 * scalar(&cosines) / 2.0;
    for global in [0.0, 0.5] {
        let mut config = Config::default();
        config.weights.global = global;
        let nada = Nada::new(vec![guide.clone()], config).unwrap();
        let task = [Task::texts("photo", "sketch")];
        let prepared = nada.prepare(&task, None).unwrap();
        let found = scalar(&nada.global(&prepared, &seen, &[0, 0]).unwrap());
        assert!((found - expected).abs() < 1e-12, "{found} and {expected}");
    }
}

#[test]
fn what_cannot_work_is_refused() {
    let ws = randn(&[1, 4, 5], 3);
    let run = |choice: LayerChoice, ws: &Tensor| {
        let loss = |pictures: &Tensor| Ok::<_, Error>(pictures.mean_all()?);
        choose_layers(ws, &choice, synthesize, loss).map_err(|error| error.to_string())
    };
    let base = LayerChoice::default();
    let message = run(LayerChoice { keep: 5, ..base }, &ws).unwrap_err();
    assert!(message.contains("1 to 4"), "{message}");
    let message = run(LayerChoice { steps: 0, ..base }, &ws).unwrap_err();
    assert!(message.contains("steps"), "{message}");
    let message = run(base, &randn(&[4, 5], 3)).unwrap_err();
    assert!(message.contains("[1 or more, layers, width]"), "{message}");
    let wild = LayerChoice {
        learning_rate: f64::INFINITY,
        ..base
    };
    let message = run(wild, &ws).unwrap_err();
    assert!(message.contains("finite"), "{message}");
    let lost = choose_layers(
        &ws,
        &base,
        |ws| Ok::<_, Error>(ws.detach()),
        |x| Ok(x.mean_all()?),
    );
    assert!(lost.unwrap_err().to_string().contains("gradient"));
}
