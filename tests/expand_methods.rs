//! Ways to learn a domain, and what is trained, as `domex expand` takes them; from end to end on small networks.

mod diffusion;
mod frozen;

use std::sync::OnceLock;

use domex_checkpoint::container::Container;
use domex_test_support::{networks, program::World};

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

/// Two runs on the same generator, each with one gated domain: models `elf` and `orc`.
fn gated() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "expand-gated",
        |world| {
            for name in ["elf", "orc"] {
                let line = format!("expand --domain {name} --parametrisation gated --out {name}");
                world.ok(&format!("{line} --steps 2 {SHORT}"));
                std::fs::copy(
                    world.path(&format!("{name}/model.safetensors")),
                    world.path(&format!("{name}.safetensors")),
                )
                .unwrap();
            }
            world.ok("domains merge elf.safetensors orc.safetensors --out both.safetensors");
        },
    )
}

/// The numbers of a model's domain, by way of its file.
fn numbers(world: &World, name: &str, model: &str) -> Vec<(String, Vec<u8>)> {
    let file = format!("{name}-of-{model}.safetensors");
    world.ok(&format!(
        "domains export {name} --model {model}.safetensors --out {file} --force"
    ));
    let file = Container::open(world.path(&file)).unwrap();
    let tensors = file.tensors().iter();
    tensors
        .map(|(name, data)| (name.clone(), data.bytes().to_vec()))
        .collect()
}

#[test]
fn merged_domains_keep_their_numbers() {
    let world = gated();
    for name in ["elf", "orc"] {
        assert!(numbers(world, name, "both") == numbers(world, name, name));
    }
}

#[test]
fn merged_domains_are_drawn_together() {
    let world = gated();
    world.ok("compose --model both.safetensors --set elf,orc=0.5 --seeds 0 --out together.png");
    assert!(world.has("together.png"));
}

#[test]
fn merged_domains_lie_on_directions_of_their_own() {
    let list = gated().json("domains list --model both.safetensors --json");
    let domains = list["domains"].as_array().unwrap();
    assert_eq!(domains.len(), 2);
    assert!(domains[0]["dimension"] != domains[1]["dimension"]);
    assert!(domains[0]["numbers"].as_u64().unwrap() > 0);
}

#[test]
fn two_domains_of_one_name_are_not_merged() {
    let line = "domains merge both.safetensors elf.safetensors --out x.safetensors";
    gated().refused(line, &["elf", "`domex domains rename`"]);
}

#[test]
fn a_domain_travels_in_a_file() {
    let world = gated();
    world.ok("domains export elf --model elf.safetensors --out elf.domain.safetensors");
    world
        .ok("domains add elf.domain.safetensors --model orc.safetensors --out carried.safetensors");
    assert!(numbers(world, "elf", "carried") == numbers(world, "elf", "elf"));
}

#[test]
fn a_domain_is_added_to_the_generator_that_its_run_began_with() {
    let world = gated();
    world.ok("domains export orc --model orc.safetensors --out home.domain.safetensors");
    world.ok("domains add home.domain.safetensors --model portraits --out home.safetensors");
    assert!(numbers(world, "orc", "home") == numbers(world, "orc", "orc"));
}

#[test]
fn a_domain_is_not_added_to_another_generator() {
    let world = gated();
    world.ok("domains export orc --model orc.safetensors --out orc.domain.safetensors");
    let line = "domains add orc.domain.safetensors --random --out x.safetensors";
    world.refused(line, &["another generator", "--foreign"]);
    assert!(!world.has("x.safetensors"));
}

#[test]
fn a_domain_is_renamed_and_removed() {
    let world = gated();
    world.ok("domains rename elf fay --model both.safetensors --out renamed.safetensors");
    world.ok("domains remove orc --model renamed.safetensors --out alone.safetensors");
    let list = world.json("domains list --model alone.safetensors --json");
    assert_eq!(list["domains"].as_array().unwrap().len(), 1);
    assert_eq!(list["domains"][0]["name"], "fay");
    let line = "domains remove elk --model both.safetensors --out y.safetensors";
    world.refused(line, &["elk", "elf, orc"]);
}

#[test]
fn offsets_are_fused_into_plain_weights() {
    let world = offsets();
    world.ok("domains fuse elf --model run/model.safetensors --out fused.safetensors");
    let info = world.json("info --json --model fused.safetensors");
    assert!(info["expansion"].is_null());
    assert_eq!(info["provenance"]["fused"]["domain"], "elf");
}

/// A run of two changes of affine maps with offsets of weights, as model `affine`, and one of them on its own as `light`.
fn affine() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "expand-affine",
        |world| {
            for (name, flags) in [("affine", "--block 8"), ("affine-light", "--rank 2")] {
                let line = format!("expand --domain {name} --parametrisation {name} {flags}");
                world.ok(&format!("{line} --out {name} --steps 2 {SHORT}"));
                std::fs::copy(
                    world.path(&format!("{name}/model.safetensors")),
                    world.path(&format!("{name}.safetensors")),
                )
                .unwrap();
            }
            world.ok(
                "domains merge affine.safetensors affine-light.safetensors --out two.safetensors",
            );
        },
    )
}

#[test]
fn affine_changes_are_merged_removed_and_carried_with_their_numbers() {
    let world = affine();
    for name in ["affine", "affine-light"] {
        assert!(numbers(world, name, "two") == numbers(world, name, name));
    }
    world.ok("domains remove affine --model two.safetensors --out one.safetensors");
    assert!(
        numbers(world, "affine-light", "one") == numbers(world, "affine-light", "affine-light")
    );
    world.ok("domains export affine --model two.safetensors --out affine.domain.safetensors");
    world.ok("domains add affine.domain.safetensors --model portraits --out home.safetensors");
    assert!(numbers(world, "affine", "home") == numbers(world, "affine", "affine"));
}

#[test]
fn pictures_are_made_of_affine_changes() {
    let world = affine();
    world.ok(
        "compose --model two.safetensors --set affine,affine-light=0.5 --seeds 0 --out both.png",
    );
    world.ok("traverse --model two.safetensors --domain affine-light --seeds 0 --out way");
    assert!(world.has("both.png"));
}

#[test]
fn a_run_of_affine_changes_is_resumed_to_the_same_bits() {
    let world = affine();
    world.copy("affine-light", "more");
    world.ok("expand --resume more --steps 4 --threads 2 --quiet");
    let line = "expand --domain affine-light --parametrisation affine-light --rank 2";
    world.ok(&format!("{line} --out whole --steps 4 {SHORT}"));
    assert!(world.tensors("more") == world.tensors("whole"));
}

#[test]
fn affine_changes_are_fused_and_exported_but_not_offsets_of_weights() {
    let world = affine();
    let told = world.ok("domains fuse affine=0.5 --model two.safetensors --out fused.safetensors");
    assert!(told.contains("without affine-light"), "{told}");
    let info = world.json("info --json --model fused.safetensors");
    assert!(info["expansion"].is_null());
    world.ok("export --model affine-light.safetensors --out light.onnx");
    let line = "export --model affine.safetensors --out heavy.onnx";
    world.refused(line, &["affine adds to weights", "domains fuse"]);
}

#[test]
fn sparse_offsets_take_less_of_a_file() {
    let world = offsets();
    let line = "expand --domain elf --parametrisation stylespace --top 0.2 --out sparse --steps 2";
    world.ok(&format!("{line} {SHORT}"));
    let export = |run: &str| {
        let line = format!("domains export elf --model {run}/model.safetensors --json");
        world.json(&format!("{line} --out {run}.domain.safetensors"))
    };
    let (dense, sparse) = (export("run"), export("sparse"));
    let number = |found: &serde_json::Value, key: &str| found[key].as_u64().unwrap();
    let all = number(&dense, "numbers");
    assert_eq!(number(&sparse, "numbers"), all.div_ceil(5));
    assert!(number(&sparse, "bytes") < number(&dense, "bytes"));
    world.ok("domains add sparse.domain.safetensors --model portraits --out sparse.safetensors");
    let list = world.json("domains list --model sparse.safetensors --json");
    assert_eq!(number(&list["domains"][0], "numbers"), all.div_ceil(5));
}

#[test]
fn settings_of_another_parametrisation_are_refused() {
    let world = offsets();
    let refused = |flags: &str, words: &[&str]| {
        let line = format!("expand --domain orc --out x --parametrisation {flags}");
        world.refused(&format!("{line} {SHORT}"), words);
    };
    refused("affine --rank 3", &["styledomain.rank", "affine-light"]);
    refused("stylespace --top 0", &["styledomain.top", "above 0"]);
    refused("affine-lite", &["affine-lite", "'affine-light'"]);
    assert!(!world.has("x"));
}

#[test]
fn factors_cannot_be_fused() {
    let line = "domains fuse elf --model elf.safetensors --out z.safetensors";
    gated().refused(line, &["factors", "stylespace"]);
}

#[test]
fn vectors_are_trained_faster_than_weights_unless_a_rate_is_given() {
    let world = offsets();
    let rate = |flags: &str| {
        let line = format!("expand --domain orc --out dry --dry-run --json {flags}");
        let settings = &world.json(&line)["settings"];
        settings["config"]["lr"].as_f64().unwrap()
    };
    let weights = rate("");
    assert!((rate("--parametrisation gated") / weights - 5.0).abs() < 1e-9);
    assert_eq!(rate("--parametrisation gated --lr 0.001"), 0.001);
}

#[test]
fn what_cannot_change_is_not_said_to_be_held() {
    let told = |flags: &str| offsets().ok(&format!("expand --domain orc --out dry -n {flags}"));
    assert!(told("").contains("squared"));
    assert!(!told("--parametrisation gated").contains("squared"));
}
