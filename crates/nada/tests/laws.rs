//! What holds for every batch, network and setting.

#![allow(clippy::unwrap_used)]

mod common;

use candle_core::{Device, Tensor, Var};
use common::{files, guide, pictures, scalar};
use domex_nada::direction::Guard;
use domex_nada::terms::{TEMPERATURE, contrastive};
use domex_nada::{Augment, Config, Guide, Nada, Patches, Prepared, Task, Weights};
use domex_ops::testing::{assert_gradients, max_difference};
use domex_random::{Stream, Streams};

fn draws() -> Stream {
    Streams::new(3).stream("nada")
}

fn tasks() -> Vec<Task> {
    let mut statue = Task::texts("photo", "statue");
    statue.texture = vec![pictures(2, 50)];
    vec![
        Task::texts("photo", "sketch"),
        statue,
        Task::pictures("snow", pictures(3, 51), files(3, 52)),
    ]
}

/// Everything on.
fn all() -> Config {
    Config {
        weights: Weights {
            direction: 1.0,
            global: 0.5,
            patch: 0.7,
            manifold: 0.3,
            texture: 0.2,
            in_domain: 0.4,
            target_direction: 0.6,
            contrastive: 0.8,
        },
        patches: Patches {
            count: 2,
            size: 0.4,
        },
        augment: Augment {
            crop: 0.7,
            shift: 0.1,
            flip: true,
            colour: 0.2,
            noise: 0.05,
            views: 2,
        },
    }
}

fn plain(guides: Vec<Guide>) -> (Nada, Prepared) {
    let nada = Nada::new(guides, Config::default()).unwrap();
    let prepared = nada.prepare(&tasks(), None).unwrap();
    (nada, prepared)
}

#[test]
fn a_loss_needs_no_text_encoder_once_its_tasks_are_prepared() {
    let texture = Guide {
        weight: 0.5,
        ..guide(2)
    };
    let nada = Nada::with_texture(vec![guide(1)], texture, all()).unwrap();
    let prepared = nada.prepare(&tasks(), None).unwrap();
    let (base, edited, numbers) = (pictures(3, 1), pictures(3, 2), [2, 1, 0]);
    let loss = |nada: &Nada| {
        let loss = nada.loss(&prepared, &base, &edited, &numbers, &mut draws());
        scalar(&loss.unwrap().total).to_bits()
    };
    let before = loss(&nada);
    let nada = nada.without_texts();
    assert_eq!(loss(&nada), before);
    let error = nada.prepare(&tasks(), None).unwrap_err().to_string();
    assert!(error.contains("text encoder"), "{error}");
}

#[test]
fn a_batch_is_the_sum_of_its_pairs() {
    let (nada, prepared) = plain(vec![guide(1)]);
    let (base, edited, tasks) = (pictures(3, 1), pictures(3, 2), [2, 0, 0]);
    let loss = nada
        .loss(&prepared, &base, &edited, &tasks, &mut draws())
        .unwrap();
    let each = loss.per_sample.to_vec1::<f64>().unwrap();
    assert!((each.iter().sum::<f64>() - scalar(&loss.total)).abs() < 1e-12);
    for i in 0..3 {
        let one = |x: &Tensor| x.narrow(0, i, 1).unwrap();
        let alone = nada
            .loss(
                &prepared,
                &one(&base),
                &one(&edited),
                &tasks[i..=i],
                &mut draws(),
            )
            .unwrap();
        assert!((scalar(&alone.total) - each[i]).abs() < 1e-12, "{i}");
    }
}

#[test]
fn networks_are_summed_by_their_weights() {
    let (mut a, mut b) = (guide(1), guide(2));
    (a.weight, b.weight) = (0.7, 1.3);
    let value = |guides: Vec<Guide>| {
        let (nada, prepared) = plain(guides);
        let (base, edited) = (pictures(2, 1), pictures(2, 2));
        let loss = nada.loss(&prepared, &base, &edited, &[0, 2], &mut draws());
        scalar(&loss.unwrap().total)
    };
    let apart = 0.7 * value(vec![guide(1)]) + 1.3 * value(vec![guide(2)]);
    assert!((value(vec![a, b]) - apart).abs() < 1e-12);
}

#[test]
fn a_task_is_looked_at_by_the_networks_that_it_names() {
    let weights = Weights {
        texture: 0.0,
        in_domain: 0.0,
        target_direction: 0.0,
        contrastive: 0.0,
        ..all().weights
    };
    let config = Config { weights, ..all() };
    let mut tasks = tasks();
    tasks[0].guides = vec![1];
    tasks[2].guides = vec![0, 1];
    let numbers = [2, 0, 1, 0];
    let (base, edited) = (pictures(4, 1), pictures(4, 2));
    let seen = |guides: Vec<Guide>, tasks: &[Task]| {
        let nada = Nada::new(guides, config).unwrap();
        let prepared = nada.prepare(tasks, None).unwrap();
        let loss = nada.loss(&prepared, &base, &edited, &numbers, &mut draws());
        let global = scalar(&nada.global(&prepared, &edited, &numbers).unwrap());
        (loss.unwrap(), global)
    };
    let each = |loss: &domex_nada::Loss| loss.per_sample.to_vec1::<f64>().unwrap();
    let (loss, global) = seen(vec![guide(1), guide(2)], &tasks);
    let both = each(&loss);
    let plain = self::tasks();
    let (one, two) = (seen(vec![guide(1)], &plain), seen(vec![guide(2)], &plain));
    for (place, task) in numbers.iter().enumerate() {
        let first = if *task == 0 { 0.0 } else { each(&one.0)[place] };
        let expected = first + each(&two.0)[place];
        assert!((both[place] - expected).abs() < 1e-12, "pair {place}");
    }
    assert!((scalar(&loss.total) - both.iter().sum::<f64>()).abs() < 1e-12);
    assert!(global.is_finite() && global != one.1 + two.1);
    // A network may be left without work.
    let nada = Nada::new(vec![guide(1), guide(2)], Config::default()).unwrap();
    tasks.truncate(1);
    let alone = nada.prepare(&tasks, None).unwrap();
    assert!(alone.directions(0).unwrap().dims() == [0] && alone.directions(1).is_some());
    nada.loss(&alone, &base, &edited, &[0; 4], &mut draws())
        .unwrap();
    tasks[0].guides = vec![2];
    let error = nada.prepare(&tasks, None).unwrap_err().to_string();
    assert!(
        error.contains("sketch") && error.contains("below 2"),
        "{error}"
    );
}

#[test]
fn gradients_of_parts_of_a_batch_are_right() {
    let nada = Nada::new(vec![guide(1), guide(2)], Config::default()).unwrap();
    let mut tasks = tasks();
    tasks[0].guides = vec![1];
    let prepared = nada.prepare(&tasks, None).unwrap();
    let base = pictures(3, 1);
    let loss = |xs: &[Tensor]| {
        let loss = nada.loss(&prepared, &base, &xs[0], &[0, 2, 0], &mut draws());
        Ok(loss.map_err(candle_core::Error::wrap)?.total)
    };
    assert_gradients("nada", loss, &[pictures(3, 2)]);
}

/// With every term on; the network for textures is apart.
fn everything() -> (Nada, Prepared) {
    let nada = Nada::with_texture(vec![guide(1), guide(2)], guide(3), all()).unwrap();
    let prepared = nada.prepare(&tasks(), None).unwrap();
    (nada, prepared)
}

#[test]
fn gradients_of_all_terms_are_right() {
    let (nada, prepared) = everything();
    let base = pictures(3, 1);
    let loss = |xs: &[Tensor]| {
        let loss = nada.loss(&prepared, &base, &xs[0], &[0, 0, 1], &mut draws());
        Ok(loss.map_err(candle_core::Error::wrap)?.total)
    };
    assert_gradients("nada", loss, &[pictures(3, 2)]);
}

#[test]
fn only_the_edited_pictures_get_a_gradient() {
    let (nada, prepared) = everything();
    let base = Var::from_tensor(&pictures(3, 1)).unwrap();
    let edited = Var::from_tensor(&pictures(3, 2)).unwrap();
    let loss = nada
        .loss(&prepared, &base, &edited, &[0, 1, 2], &mut draws())
        .unwrap();
    let grads = loss.total.backward().unwrap();
    assert!(grads.get(&base).is_none());
    assert!(grads.get(&edited).is_some());
    let features = nada.guides()[0].features(&base.detach()).unwrap();
    assert!(
        !features.track_op(),
        "base pictures are seen without a graph"
    );
}

#[test]
fn each_term_counts_by_its_weight() {
    let (base, edited, tasks) = (pictures(4, 1), pictures(4, 2), [0, 1, 0, 1]);
    let value = |weights: Weights| {
        let config = Config {
            weights,
            ..Config::default()
        };
        let nada = Nada::with_texture(vec![guide(1)], guide(3), config).unwrap();
        let prepared = nada.prepare(&self::tasks(), None).unwrap();
        let loss = nada.loss(&prepared, &base, &edited, &tasks, &mut draws());
        scalar(&loss.unwrap().total)
    };
    let direction = value(Weights::default());
    type Turn = fn(&mut Weights, f64);
    let terms: [(&str, Turn); 7] = [
        ("global", |w, x| w.global = x),
        ("patch", |w, x| w.patch = x),
        ("manifold", |w, x| w.manifold = x),
        ("texture", |w, x| w.texture = x),
        ("in_domain", |w, x| w.in_domain = x),
        ("target_direction", |w, x| w.target_direction = x),
        ("contrastive", |w, x| w.contrastive = x),
    ];
    for (name, turn) in terms {
        let with = |weight: f64| {
            let mut weights = Weights::default();
            turn(&mut weights, weight);
            value(weights) - direction
        };
        let one = with(1.0);
        assert!(one > 1e-6, "{name}: {one}");
        assert!((with(2.0) - 2.0 * one).abs() < 1e-10, "{name}");
    }
}

#[test]
fn both_pictures_of_a_pair_get_the_same_view() {
    let guide = guide(1);
    let config = Config {
        augment: all().augment,
        ..Config::default()
    };
    let nada = Nada::new(vec![guide], config).unwrap();
    let prepared = nada.prepare(&tasks(), None).unwrap();
    let same = pictures(3, 1);
    let loss = nada
        .loss(&prepared, &same, &same, &[0, 1, 2], &mut draws())
        .unwrap();
    // No edit: no direction, a cosine of 0.
    assert_eq!(loss.per_sample.to_vec1::<f64>().unwrap(), [1.0; 3]);
}

#[test]
fn the_same_stream_gives_the_same_loss() {
    let (nada, prepared) = everything();
    let (base, edited) = (pictures(2, 1), pictures(2, 2));
    let run = |stream: &mut Stream| {
        let loss = nada.loss(&prepared, &base, &edited, &[1, 2], stream);
        scalar(&loss.unwrap().total)
    };
    let (mut a, mut b) = (draws(), draws());
    let first = run(&mut a);
    assert_eq!(first.to_bits(), run(&mut b).to_bits());
    assert_ne!(first.to_bits(), run(&mut a).to_bits(), "the next draw");
}

#[test]
fn directions_alone_serve_the_directional_term() {
    let (nada, prepared) = plain(vec![guide(1)]);
    let directions = prepared.directions(0).unwrap().clone();
    let names = prepared.names().to_vec();
    let alone = Prepared::from_directions(names, &[(directions * 3.0).unwrap()]).unwrap();
    let (base, edited) = (pictures(2, 1), pictures(2, 2));
    let loss = |prepared: &Prepared| {
        let loss = nada.loss(prepared, &base, &edited, &[0, 1], &mut draws());
        loss.unwrap().per_sample
    };
    assert!(max_difference(&loss(&prepared), &loss(&alone)) < 1e-12);
    let error = nada.global(&alone, &edited, &[0, 1]).unwrap_err();
    assert!(error.to_string().contains("global"), "{error}");
}

#[test]
fn text_features_are_kept_once_for_each_text_and_network() {
    let dir = tempfile::tempdir().unwrap();
    let nada = Nada::new(vec![guide(1), guide(2)], Config::default()).unwrap();
    let first = nada.prepare(&tasks(), Some(dir.path())).unwrap();
    // "photo", "sketch" and "statue" in the templates, and the targets as they are, twice; pictures are not kept.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 10);
    let again = nada.prepare(&tasks(), Some(dir.path())).unwrap();
    assert_eq!(again.names(), ["sketch", "statue", "snow"]);
    for guide in 0..2 {
        let (a, b) = (first.directions(guide), again.directions(guide));
        assert_eq!(max_difference(a.unwrap(), b.unwrap()), 0.0);
    }
}

#[test]
fn an_edit_is_told_from_the_directions_of_other_tasks() {
    let directions = Tensor::new(&[[2.0, 0.0], [0.0, 3.0]], &Device::Cpu).unwrap();
    // Along the first direction, along the second, and between the two.
    let edits = Tensor::new(&[[5.0, 0.0], [0.0, 0.1], [1.0, 1.0]], &Device::Cpu).unwrap();
    let own = Tensor::new(&[0u32, 0, 1], &Device::Cpu).unwrap();
    let losses = contrastive(&edits, &directions, &own, Guard::default()).unwrap();
    let sharp = TEMPERATURE.recip();
    let right = (-sharp).exp().ln_1p();
    let expected = [right, sharp + right, 2f64.ln()];
    for (loss, expected) in losses.to_vec1::<f64>().unwrap().into_iter().zip(expected) {
        assert!((loss - expected).abs() < 1e-12, "{loss} {expected}");
    }
}
