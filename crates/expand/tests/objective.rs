//! Laws of the objective, on a tiny generator and methods made up for the test.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor};
use domex_expand::{
    Error, Method, Objective, ObjectiveConfig, Place, Reconstruction, Result, Samples, Share,
};
use domex_latent::{PixelRms, basis::Basis, subspace::Subspaces};
use domex_ops::testing::{max_difference, randn};
use domex_random::{Stream, Streams};
use domex_replay::AlignmentConfig;
use domex_stylegan2::{Generator, GeneratorConfig, Noise, Vars, init};

const DIM: usize = 6;

fn generator(seed: u64) -> (Generator, Vars) {
    let cfg = GeneratorConfig::with_defaults(4, DIM, 8, 32, 4).unwrap();
    let weights = init::generator(&cfg, seed, DType::F64, &Device::Cpu).unwrap();
    let (vars, live) = Generator::spec(&cfg).unwrap().trainable(&weights).unwrap();
    (Generator::from_tensors(&live, &cfg).unwrap(), vars)
}

/// The mean of the edited picture plus 100 times that of the base picture, times the task's number
/// plus one. Wants the base without a graph.
struct Means;

impl Method for Means {
    fn name(&self) -> &str {
        "means"
    }

    fn loss(&self, samples: &Samples<'_>, _: &mut Stream) -> Result<Share> {
        assert!(!samples.base.track_op() && samples.edited.track_op());
        let of = |x: &Tensor| x.mean((1, 2, 3));
        let factors: Vec<f64> = samples.tasks.iter().map(|&t| t as f64 + 1.0).collect();
        let factors = Tensor::from_vec(factors, samples.tasks.len(), &Device::Cpu)?;
        let each = ((of(samples.edited)? + (of(samples.base)? * 100.0)?)? * factors)?;
        Ok(Share {
            total: each.sum_all()?,
            per_sample: each,
        })
    }
}

fn subspaces() -> Subspaces {
    let basis = Basis::given(Tensor::eye(DIM, DType::F64, &Device::Cpu).unwrap()).unwrap();
    Subspaces::new(&basis, &[5, 4, 3], None, &Device::Cpu, DType::F64).unwrap()
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
    let known = Reconstruction {
        distance: Box::new(PixelRms),
        l2: 3.0,
    };
    vec![Box::new(Means), Box::new(known)]
}

fn objective(config: ObjectiveConfig) -> Objective {
    // Column 1 belongs to a domain of an earlier expansion.
    let tasks = vec![place(0, 0, 0), place(1, 0, 2)];
    Objective::new(subspaces(), tasks, methods(), config)
        .unwrap()
        .with_distance(Box::new(PixelRms))
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
    for (sample, (direction, distance)) in [(3, 4.0), (5, 2.0), (3, 4.0)].into_iter().enumerate() {
        for j in 0..DIM {
            let kept = if j < 3 { w[sample][j] } else { mean[j] };
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
    let ((trained, vars), (source, _)) = (generator(1), generator(2));
    let tasks = [0, 1, 0, 1];
    let latents = objective
        .latents(&randn(&[4, DIM], 3), &randn(&[DIM], 4), &tasks)
        .unwrap();
    let pictures = objective
        .pictures(
            &trained,
            Some(&source),
            &latents,
            Noise::Const,
            Noise::Const,
        )
        .unwrap();
    let targets = randn(&[4, 3, 8, 8], 5);
    let losses = objective
        .loss(&pictures, &tasks, Some(&targets), 8, &mut stream())
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
    assert!(grads.get(&vars["synthesis.b8.conv0.weight"]).is_some());
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
    let (trained, _) = generator(1);
    let objective = objective(config);
    let latents = objective
        .latents(&randn(&[1, DIM], 3), &randn(&[DIM], 4), &[0])
        .unwrap();
    let pictures = objective
        .pictures(&trained, None, &latents, Noise::Const, Noise::Const)
        .unwrap();
    assert!(pictures.source.is_none());
    let losses = objective
        .loss(&pictures, &[0], None, 1, &mut stream())
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
    let ((trained, _), (source, _)) = (generator(1), generator(2));
    let objective = objective(config);
    let latents = objective
        .latents(&randn(&[2, DIM], 3), &randn(&[DIM], 4), &[0, 0])
        .unwrap();
    let pictures = objective
        .pictures(
            &trained,
            Some(&source),
            &latents,
            Noise::Const,
            Noise::Const,
        )
        .unwrap();
    let losses = objective
        .loss(&pictures, &[0, 0], None, 2, &mut stream())
        .unwrap();
    assert!(number(&losses.alignment.perceptual) > 1e-3);
    let total = number(&losses.expand) + number(&losses.alignment.perceptual);
    assert!((number(&losses.total) - total).abs() < 1e-12);
}

#[test]
fn refusals_name_the_reason() {
    let new = |tasks: Vec<Place>, config| {
        let text = |error: Error| error.to_string();
        Objective::new(subspaces(), tasks, methods(), config)
            .err()
            .map(text)
            .unwrap_or_default()
    };
    let default = ObjectiveConfig::default();
    assert!(new(vec![], default).contains("tasks"));
    let twice = vec![place(0, 0, 1), place(0, 1, 1)];
    assert!(new(twice, default).contains("task 0 has this one"));
    assert!(new(vec![place(2, 0, 0)], default).contains("method of task 0"));
    assert!(new(vec![place(0, 0, 3)], default).contains("direction of task 0"));
    let nowhere = Place {
        distance: 0.0,
        ..place(0, 0, 0)
    };
    assert!(new(vec![nowhere], default).contains("distance of task 0"));
    let bad = ObjectiveConfig {
        expand: f64::NAN,
        ..default
    };
    assert!(new(vec![place(0, 0, 0)], bad).contains("expand"));

    let objective = objective(default);
    let (w, mean) = (randn(&[2, DIM], 1), randn(&[DIM], 2));
    let text = |r: Result<_>| {
        r.map(|_: domex_expand::Latents| ())
            .unwrap_err()
            .to_string()
    };
    assert!(text(objective.latents(&w, &mean, &[0])).contains("one for each task"));
    assert!(text(objective.latents(&w, &mean, &[0, 2])).contains("below 2"));
    let latents = objective.latents(&w, &mean, &[0, 1]).unwrap();
    let (trained, _) = generator(1);
    let missing = objective.pictures(&trained, None, &latents, Noise::Const, Noise::Const);
    assert!(
        missing
            .unwrap_err()
            .to_string()
            .contains("source generator")
    );
    let pictures = objective
        .pictures(
            &trained,
            Some(&trained),
            &latents,
            Noise::Const,
            Noise::Const,
        )
        .unwrap();
    let loss = |batch| objective.loss(&pictures, &[0, 1], None, batch, &mut stream());
    assert!(loss(0).unwrap_err().to_string().contains("batch"));
    // Task 1 wants to know its picture.
    assert!(loss(2).unwrap_err().to_string().contains("target pictures"));
}
