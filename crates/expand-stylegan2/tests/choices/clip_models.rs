//! Which CLIP models look at a task.

use domex_expand::TaskSpec;
use serde_json::json;

use crate::world::{ONE, TWO, World, config, refused, step, value, zombie};

fn with(names: &[&str]) -> TaskSpec {
    zombie().with("clip", json!(names))
}

/// The first loss of a task with these models at hand.
fn first(world: &World, task: TaskSpec, guides: &[&str]) -> f64 {
    let mut job = world.job(config(), &[task], guides, None).unwrap();
    value(&step(&mut job, 0), "loss/expand")
}

#[test]
fn a_task_uses_the_models_that_it_names() {
    let world = World::new();
    let alone = first(&world, zombie(), &[TWO]);
    assert_eq!(first(&world, with(&["clip-two"]), &[ONE, TWO]), alone);
    assert!(alone != first(&world, zombie(), &[ONE, TWO]));
}

#[test]
fn a_model_may_be_named_by_the_file_that_its_name_comes_from() {
    let world = World::new();
    let by_file = with(&["models/clip-two.safetensors"]);
    assert_eq!(
        first(&world, by_file, &[ONE, TWO]),
        first(&world, zombie(), &[TWO])
    );
}

#[test]
fn the_order_of_names_does_not_matter() {
    let world = World::new();
    assert_eq!(
        first(&world, with(&["clip-two", "clip-one"]), &[ONE, TWO]),
        first(&world, zombie(), &[ONE, TWO])
    );
}

#[test]
fn an_unknown_model_is_told_the_nearest() {
    let world = World::new();
    refused(
        world.job(config(), &[with(&["clip-tow"])], &[ONE, TWO], None),
        &[
            "zombie",
            "clip-tow",
            "clip-one, clip-two",
            "did you mean \"clip-two\"?",
        ],
    );
}

#[test]
fn a_name_that_several_models_have_is_refused() {
    let world = World::new();
    refused(
        world.job(config(), &[with(&["clip-one"])], &[ONE, ONE], None),
        &["clip-one", "several"],
    );
}
