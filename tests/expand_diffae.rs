//! A diffusion autoencoder in `domex expand` and the verbs behind it; from end to end on small networks.

use std::sync::OnceLock;

use domex_checkpoint::container::Container;
use domex_test_support::program::World;

const SHORT: &str = "--batch 2 --tick 2 --threads 2 --quiet";

/// An expanded one, and a picture that it made before.
fn expanded() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "expand-diffae",
        |world| {
            world.write(
                "tasks.toml",
                "[[tasks]]\ntarget = \"elf\"\n[[tasks]]\ntarget = \"sketch\"\n\n[settings]\ndimensions = \"dormant\"\nsteps = 2\ngradient_steps = 2\n",
            );
            world.ok(&format!(
                "expand --model diffae --tasks tasks.toml --out run --steps 2 {SHORT}"
            ));
            world.ok("generate --model diffae --seeds 1 --sampling-steps 2 --no-grid --out face");
        },
    )
}

#[test]
fn its_domains_and_their_distance_are_in_the_models_file() {
    let world = expanded();
    let model = Container::open(world.path("run/model.safetensors")).unwrap();
    assert_eq!(model.kind(), "diffae");
    let domains = &model.expansion().unwrap()["layout"]["domains"];
    assert_eq!(domains[0]["name"], "elf");
    assert_eq!(domains[1]["name"], "sketch");
    // Deviations of 1 in 32 numbers.
    let distance = domains[1]["distance"].as_f64().unwrap();
    assert!((distance - 32f64.sqrt()).abs() < 1e-6, "{distance}");
    assert!(world.has("run/report.html"));
    assert!(
        world
            .ok("info --model run/model.safetensors")
            .contains("sketch")
    );
}

#[test]
fn pictures_are_made_in_its_domains() {
    let world = expanded();
    let model = "--model run/model.safetensors --sampling-steps 2";
    world.ok(&format!(
        "generate {model} --domains all --seeds 0-1 --out made"
    ));
    assert!(world.has("made/elf") && world.has("made/grid.png"));
    world.ok(&format!(
        "compose {model} --set elf=1,sketch=0.5 --seeds 1 --out both"
    ));
    world.ok(&format!(
        "traverse {model} --domain elf --seeds 1 --steps 2 --frames 2 --out way"
    ));
    world.refused(
        &format!("compose {model} --set elf --region made/grid.png --out r"),
        &["--region", "no layers"],
    );
}

#[test]
fn a_picture_is_edited_without_a_search_or_from_its_codes() {
    let world = expanded();
    let edit = "edit --model run/model.safetensors --set elf";
    world.ok(&format!(
        "{edit} --image face/seed0001.png --steps 4 --out edited"
    ));
    assert!(world.has("edited/seed0001.png") && world.has("edited/grid.png"));
    world.ok("encode --model run/model.safetensors face/seed0001.png --steps 4 --out codes");
    world.ok(&format!(
        "{edit} --latents codes/codes.safetensors --out again"
    ));
    assert!(world.read("again/picture0000.png") == world.read("edited/seed0001.png"));
    world.refused(
        &format!("{edit} --image face/seed0001.png --perceptual x --out x"),
        &["--perceptual", "without a search"],
    );
}

#[test]
fn its_run_is_resumed_and_its_model_expanded_again() {
    let world = expanded();
    world.copy("run", "more");
    let result = world.json("expand --resume more --steps 4 --json --threads 2 --quiet");
    assert_eq!(result["step"], 4);
    world.write(
        "robot.toml",
        "[[tasks]]\ntarget = \"robot\"\n\n[settings]\ndimensions = \"dormant\"\nsteps = 2\ngradient_steps = 1\n",
    );
    world.ok(&format!(
        "expand --model run/model.safetensors --tasks robot.toml --out third --steps 2 {SHORT}"
    ));
    let model = Container::open(world.path("third/model.safetensors")).unwrap();
    let domains = &model.expansion().unwrap()["layout"]["domains"];
    assert_eq!(domains.as_array().unwrap().len(), 3);
}

#[test]
fn what_it_cannot_do_is_said_before_the_first_step() {
    let world = expanded();
    let expand = format!("expand --model diffae --domain elf --out x --steps 2 {SHORT}");
    world.refused(
        &format!("{expand} --parametrisation stylespace --dimensions dormant"),
        &["stylespace", "kind diffae can be trained by"],
    );
    world.refused(
        &format!("{expand} --parametrisation affine --dimensions dormant"),
        &["affine", "kind diffae can be trained by"],
    );
    world.refused(&format!("{expand} --gamma 2"), &["gamma", "gradient_steps"]);
    world.write(
        "many.toml",
        "[[tasks]]\ntarget = \"elf\"\n[settings]\nsteps = 2000\n",
    );
    world.refused(
        "expand --model diffae --tasks many.toml --out x",
        &["2000", "1000 steps of training"],
    );
}

/// New codes of the latent prior, each from noise of its own.
#[test]
fn its_samples_are_compared_with_pictures() {
    let world = expanded();
    let line = "eval --model run/model.safetensors --data portraits --path-length --pictures 4";
    let found = world.json(&format!("{line} --out measured --json"));
    let distance = &found["likeness"]["frechet"];
    assert!(distance.as_f64().is_some_and(|d| d > 0.0), "{found}");
    assert!(
        found["path_length"]["mean"]
            .as_f64()
            .is_some_and(|l| l > 0.0)
    );
    let again = world.json(&format!("{line} --out repeated --json"));
    assert_eq!(again["likeness"], found["likeness"]);
}
