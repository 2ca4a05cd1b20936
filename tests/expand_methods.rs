//! Ways to learn a domain, and what is trained, as `domex expand` takes them; from end to end on small networks.

#![allow(clippy::unwrap_used)]

use std::sync::OnceLock;

use domex_checkpoint::container::Container;
use domex_test_support::program::World;

const SHORT: &str = "--batch 2 --tick 2 --threads 2 --quiet";

/// Pictures with their latents, and a file of tasks that learns them.
fn person() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "expand-person",
        |world| {
            world.ok("generate --seeds 0-2 --no-grid --out made");
            world.ok("invert --image made --steps 2 --out found");
            let task = "[[tasks]]\nmethod = \"mystyle\"\nname = \"Ann\"\npictures = [\"made\"]\n";
            world.write("tasks.toml", format!("{task}anchors = \"found/latents\"\n"));
            world.write("none.toml", format!("{task}anchors = \"nowhere\"\n"));
        },
    )
}

#[test]
fn a_person_is_learnt_from_pictures_and_their_latents() {
    let world = person();
    world.ok(&format!(
        "expand --tasks tasks.toml --out run --steps 2 {SHORT}"
    ));
    let model = Container::open(world.path("run/model.safetensors")).unwrap();
    let domain = &model.expansion().unwrap()["layout"]["domains"][0];
    assert_eq!(domain["name"], "Ann");
    assert_eq!(domain["task"]["type"], "mystyle");
}

#[test]
fn clip_models_are_refused_where_no_task_learns_by_them() {
    let line = format!("expand --tasks tasks.toml --clip one --out x {SHORT}");
    person().refused(&line, &["--clip", "no task learns by CLIP"]);
}

#[test]
fn latents_that_are_not_there_are_named() {
    let line = format!("expand --tasks none.toml --out x {SHORT}");
    person().refused(&line, &["nowhere"]);
}

/// A run of offsets to styles.
fn offsets() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "expand-offsets",
        |world| {
            let line = "expand --domain elf --parametrisation stylespace --out run --steps 2";
            world.ok(&format!("{line} {SHORT}"));
        },
    )
}

#[test]
fn offsets_to_styles_are_in_the_models_file() {
    let model = Container::open(offsets().path("run/model.safetensors")).unwrap();
    let offsets = model
        .names()
        .filter(|name| name.starts_with("expansion.offsets."));
    assert!(offsets.count() > 3);
}

#[test]
fn pictures_are_made_of_a_model_with_offsets() {
    let world = offsets();
    world.ok("generate --model run/model.safetensors --domains all --seeds 0-1 --out made");
    assert!(world.has("made/elf") && world.has("made/grid.png"));
}

#[test]
fn a_run_of_offsets_is_resumed() {
    let world = offsets();
    world.copy("run", "more");
    let result = world.json("expand --resume more --steps 4 --json --threads 2 --quiet");
    assert_eq!(result["step"], 4);
}
