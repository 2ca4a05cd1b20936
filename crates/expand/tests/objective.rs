//! Laws of the objective, on the toy network and methods made up for the test.

#![allow(clippy::unwrap_used)]

mod toy;

use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use domex_expand::methods::mystyle::ByPictures;
use domex_expand::{
    Latents, LossPart, Method, Objective, ObjectiveConfig, Pictures, Place, Result, Samples,
};
use domex_latent::toy::{DIM, Toy};
use domex_latent::{Generator as _, PixelRms, basis::Basis, subspace::Subspaces};
use domex_ops::testing::{max_difference, randn};
use domex_random::{Stream, Streams};
use domex_replay::AlignmentConfig;
use toy::Means;

/// With weights that are variables.
fn generator(gain: f64) -> Toy {
    let mut toy = Toy::new([1.0; DIM], [gain; DIM]).unwrap();
    toy.later = Var::from_tensor(&toy.later).unwrap().into_inner();
    toy
}

/// Pictures of a step, by these networks.
fn pictures(
    objective: &Objective,
    trained: &Toy,
    source: &Toy,
    latents: &Latents,
) -> Result<Pictures> {
    let make = |network: &Toy, groups: &[&Tensor]| -> Result<Vec<Tensor>> {
        groups.iter().map(|w| Ok(network.synthesize(w)?)).collect()
    };
    objective.pictures(latents, |own, before| {
        Ok((make(trained, own)?, make(source, before)?))
    })
}

fn subspaces() -> Subspaces {
    let basis = Basis::given(Tensor::eye(DIM, DType::F64, &Device::Cpu).unwrap()).unwrap();
    Subspaces::new(
        &basis,
        &[DIM - 1, DIM - 2, DIM - 3],
        None,
        &Device::Cpu,
        DType::F64,
    )
    .unwrap()
}

fn place(method: usize, number: usize, column: usize) -> Place {
    Place {
        method,
        number,
        column,
        distance: 2.0 + column as f64,
    }
}

fn methods() -> Vec<Box<dyn Method>> {
    let known = ByPictures::known(Arc::new(PixelRms), 3.0);
    vec![Box::new(Means), Box::new(known)]
}

fn objective(config: ObjectiveConfig) -> Objective {
    // Column 1 belongs to a domain of an earlier expansion.
    let tasks = vec![place(0, 0, 0), place(1, 0, 2)];
    Objective::new(subspaces(), tasks, methods(), config)
        .unwrap()
        .with_distance(Arc::new(PixelRms))
}

fn stream() -> Stream {
    Streams::new(1).stream("methods")
}

fn number(t: &Tensor) -> f64 {
    t.to_scalar::<f64>().unwrap()
}

#[test]
fn latents_move_along_their_own_direction() {
    let objective = objective(ObjectiveConfig::default());
    let (w, mean) = (randn(&[3, DIM], 1), randn(&[DIM], 2));
    let latents = objective.latents(&w, &mean, &[1, 0, 1]).unwrap();
    let rows = |t: &Tensor| t.to_vec2::<f64>().unwrap();
    let (base, edited, w) = (rows(&latents.base), rows(&latents.edited), rows(&w));
    let mean: Vec<f64> = mean.to_vec1().unwrap();
    let moves = [(DIM - 3, 4.0), (DIM - 1, 2.0), (DIM - 3, 4.0)];
    for (sample, (direction, distance)) in moves.into_iter().enumerate() {
        for j in 0..DIM {
            let kept = if j < DIM - 3 { w[sample][j] } else { mean[j] };
            assert!((base[sample][j] - kept).abs() < 1e-12);
            let moved = if j == direction { distance } else { 0.0 };
            assert!((edited[sample][j] - kept - moved).abs() < 1e-12);
        }
    }
}

#[test]
fn the_terms_add_up() {
    let config = ObjectiveConfig {
        expand: 0.5,
        alignment: AlignmentConfig {
            l2: 2.0,
            lpips: 3.0,
        },
        diversity: 0.25,
    };
    let objective = objective(config);
    let (trained, source) = (generator(0.5), generator(0.3));
    let tasks = [0, 1, 0, 1];
    let latents = objective
        .latents(&randn(&[4, DIM], 3), &randn(&[DIM], 4), &tasks)
        .unwrap();
    let pictures = pictures(&objective, &trained, &source, &latents).unwrap();
    let targets = randn(&[4, 3, 8, 8], 5);
    let known: Vec<_> = (0..4)
        .map(|i| Some(targets.narrow(0, i, 1).unwrap()))
        .collect();
    let losses = objective
        .loss(&pictures, &tasks, &known, 8, &mut stream())
        .unwrap();

    let row = |t: &Tensor, i: usize| t.narrow(0, i, 1).unwrap();
    let mean = |t: &Tensor| number(&t.mean_all().unwrap());
    let square = |a: &Tensor, b: &Tensor| mean(&(a - b).unwrap().sqr().unwrap());
    let each = |i: usize| match tasks[i] {
        0 => mean(&row(&pictures.edited, i)) + 100.0 * mean(&row(&pictures.base, i)),
        _ => {
            let square = square(&row(&pictures.edited, i), &row(&targets, i));
            square.sqrt() + 3.0 * square
        }
    };
    let sum: f64 = (0..4).map(each).sum();
    for i in 0..4 {
        assert!((losses.per_sample[i] - each(i)).abs() < 1e-10);
    }
    assert!((number(&losses.expand) - sum / 8.0).abs() < 1e-10);
    let from = pictures.source.as_ref().unwrap();
    let l2 = square(&pictures.base, from);
    assert!((number(&losses.alignment.l2) - l2).abs() < 1e-12);
    let far = |a, b| square(&row(&pictures.edited, a), &row(&pictures.edited, b)).sqrt();
    let diversity = (far(0, 2) + far(1, 3)) / 2.0;
    assert!((number(losses.diversity.as_ref().unwrap()) - diversity).abs() < 1e-12);
    let lpips = number(&losses.alignment.perceptual);
    let total = 0.5 * sum / 8.0 + 2.0 * l2 + 3.0 * lpips - 0.25 * diversity;
    assert!((number(&losses.total) - total).abs() < 1e-10);
    let grads = losses.total.backward().unwrap();
    assert!(grads.get(&trained.later).is_some());
}

#[test]
fn without_alignment_no_source_is_asked() {
    let off = AlignmentConfig {
        l2: 0.0,
        lpips: 0.0,
    };
    let config = ObjectiveConfig {
        alignment: off,
        ..ObjectiveConfig::default()
    };
    let trained = generator(0.5);
    let objective = objective(config);
    let latents = objective
        .latents(&randn(&[1, DIM], 3), &randn(&[DIM], 4), &[0])
        .unwrap();
    let pictures = pictures(&objective, &trained, &trained, &latents).unwrap();
    assert!(pictures.source.is_none());
    let losses = objective
        .loss(&pictures, &[0], &[None], 1, &mut stream())
        .unwrap();
    assert_eq!(number(&losses.alignment.loss), 0.0);
    assert_eq!(max_difference(&losses.total, &losses.expand), 0.0);
}

#[test]
fn an_lpips_only_alignment_counts() {
    let config = ObjectiveConfig {
        alignment: AlignmentConfig {
            l2: 0.0,
            lpips: 1.0,
        },
        ..ObjectiveConfig::default()
    };
    let (trained, source) = (generator(0.5), generator(0.3));
    let objective = objective(config);
    let latents = objective
        .latents(&randn(&[2, DIM], 3), &randn(&[DIM], 4), &[0, 0])
        .unwrap();
    let pictures = pictures(&objective, &trained, &source, &latents).unwrap();
    let losses = objective
        .loss(&pictures, &[0, 0], &[None, None], 2, &mut stream())
        .unwrap();
    assert!(number(&losses.alignment.perceptual) > 1e-3);
    let total = number(&losses.expand) + number(&losses.alignment.perceptual);
    assert!((number(&losses.total) - total).abs() < 1e-12);
}

/// What a wrong objective is told.
fn refusal(tasks: Vec<Place>, config: ObjectiveConfig) -> String {
    let refused = Objective::new(subspaces(), tasks, methods(), config).err();
    refused.unwrap().to_string()
}

#[test]
fn tasks_that_cannot_be_are_refused_with_the_reason() {
    let nowhere = Place {
        distance: 0.0,
        ..place(0, 0, 0)
    };
    for (tasks, reason) in [
        (vec![], "tasks"),
        (vec![place(0, 0, 1), place(0, 1, 1)], "task 0 has this one"),
        (vec![place(2, 0, 0)], "method of task 0"),
        (vec![place(0, 0, 3)], "direction of task 0"),
        (vec![nowhere], "distance of task 0"),
    ] {
        let error = refusal(tasks, ObjectiveConfig::default());
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn a_weight_that_is_no_number_is_refused() {
    let bad = ObjectiveConfig {
        expand: f64::NAN,
        ..ObjectiveConfig::default()
    };
    assert!(refusal(vec![place(0, 0, 0)], bad).contains("expand"));
}

/// Two latents, one a task.
fn two(objective: &Objective) -> Latents {
    let (w, mean) = (randn(&[2, DIM], 1), randn(&[DIM], 2));
    objective.latents(&w, &mean, &[0, 1]).unwrap()
}

#[test]
fn latents_need_a_task_each() {
    let objective = objective(ObjectiveConfig::default());
    let (w, mean) = (randn(&[2, DIM], 1), randn(&[DIM], 2));
    for (tasks, reason) in [(&[0][..], "one for each task"), (&[0, 2], "below 2")] {
        let refused = objective.latents(&w, &mean, tasks).err().unwrap();
        assert!(refused.to_string().contains(reason), "{refused}");
    }
}

#[test]
fn pictures_that_a_network_does_not_make_are_missed() {
    let objective = objective(ObjectiveConfig::default());
    let trained = generator(0.5);
    let missing = objective.pictures(&two(&objective), |own, _| {
        Ok((
            own.iter().map(|w| trained.synthesize(w).unwrap()).collect(),
            Vec::new(),
        ))
    });
    let error = missing.err().unwrap().to_string();
    assert!(error.contains("pictures of a step"), "{error}");
}

#[test]
fn a_loss_needs_a_batch_and_the_pictures_that_its_method_asks_for() {
    let objective = objective(ObjectiveConfig::default());
    let trained = generator(0.5);
    let pictures = pictures(&objective, &trained, &trained, &two(&objective)).unwrap();
    let refused = |batch| {
        let loss = objective.loss(&pictures, &[0, 1], &[None, None], batch, &mut stream());
        loss.err().unwrap().to_string()
    };
    assert!(refused(0).contains("batch"));
    // Task 1 wants to know its picture.
    assert!(refused(2).contains("target pictures"));
}

/// A method that compares the samples of a step with one another.
struct Together;

impl Method for Together {
    fn name(&self) -> &str {
        "together"
    }

    fn wants_one_task(&self) -> bool {
        true
    }

    fn loss(&self, samples: &Samples<'_>, stream: &mut Stream) -> Result<LossPart> {
        Means.loss(samples, stream)
    }
}

#[test]
fn samples_of_a_method_that_compares_them_are_of_one_task() {
    let tasks = vec![place(0, 0, 0), place(1, 0, 1), place(1, 1, 2)];
    let methods: Vec<Box<dyn Method>> = vec![Box::new(Means), Box::new(Together)];
    let config = ObjectiveConfig::default();
    let objective = Objective::new(subspaces(), tasks, methods, config).unwrap();
    let mut tasks = [2, 0, 1, 0, 2, 1];
    objective.gather(&mut tasks).unwrap();
    assert_eq!(tasks, [2, 0, 2, 0, 2, 2]);
}
