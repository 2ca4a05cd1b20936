//! What vectors beside the weights cannot change: steps ask for no replay of it.

use candle_core::{Tensor, Var};
use domex_expand::{Expand, Noise, ParametrisationKind, Weights};
use domex_stylegan2::Model;
use domex_test_support::networks as tiny;
use domex_train::Job as _;

use crate::vectors::{GATED, moved, settings, vectors};
use crate::{clock, job, steps, tasks};

/// The largest gradient of what a run trains, by pictures of latents on the base, and by those of the same moved into a domain, all
/// made in one batch as in a step.
fn slopes(run: &Expand, model: &Model) -> [f32; 2] {
    let latents = [moved(model, 0.0), moved(model, 1.0)];
    let both = [&latents[0], &latents[1]];
    let made = run
        .trainee()
        .pictures(Weights::Live, &both, &[], Noise::Fixed);
    let largest = |pictures: &Tensor| {
        let loss = pictures.sqr().unwrap().mean_all().unwrap();
        let gradients = loss.backward().unwrap();
        let of = |(_, var): (&str, &Var)| {
            let gradient = gradients.get(var)?.abs().unwrap();
            let largest = gradient.flatten_all().unwrap().max(0).unwrap();
            Some(largest.to_scalar::<f32>().unwrap())
        };
        run.parameters().iter().filter_map(of).fold(0.0, f32::max)
    };
    let [base, edited] = <[Tensor; 2]>::try_from(made.unwrap().0).unwrap();
    [largest(&base), largest(&edited)]
}

#[test]
fn what_replay_would_hold_gives_vectors_no_gradient() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    for kind in GATED.into_iter().chain([ParametrisationKind::Stylespace]) {
        let mut run = job(root.path(), None, settings(kind), &tasks(&["zombie"])).unwrap();
        steps(&mut run, 0, 2);
        let path = root.path().join("model.safetensors");
        run.export(&clock(2), &path).unwrap();
        let model = Model::load(&path, &candle_core::Device::Cpu).unwrap();
        let [base, edited] = slopes(&run, &model);
        // A smooth gate is closed; a linear one lets through how far rounding moves a latent from the base.
        let most = match kind {
            ParametrisationKind::Stylespace => 1e-5 * edited,
            _ => 0.0,
        };
        assert!(edited > 0.0 && base <= most, "{kind:?}: {base} of {edited}");
    }
}

#[test]
fn a_step_of_vectors_asks_for_no_replay() {
    let root = tempfile::tempdir().unwrap();
    tiny::world(root.path());
    let first = vectors(GATED[0], root.path(), None);
    let told = |kind: ParametrisationKind| {
        let tasks = tasks(&["robot"]);
        let mut second = job(root.path(), Some(&first), settings(kind), &tasks).unwrap();
        let losses = second.step(&clock(0)).unwrap().values;
        ["loss/expand", "loss/l2", "loss/lpips", "loss/earlier"]
            .map(|name| losses.iter().any(|(known, _)| known == name))
    };
    assert_eq!(told(GATED[0]), [true, false, false, false]);
    assert_eq!(told(ParametrisationKind::Full), [true; 4]);
}
