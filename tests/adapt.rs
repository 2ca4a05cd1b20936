//! `domex train-hyperdomain` and `domex adapt`, from end to end on small networks.

use std::sync::OnceLock;

use domex_test_support::program::World;

static WORLD: OnceLock<World> = OnceLock::new();

/// A world in which a network was trained for a few steps.
fn world() -> &'static World {
    let (program, folder) = (env!("CARGO_BIN_EXE_domex"), env!("CARGO_TARGET_TMPDIR"));
    World::shared(&WORLD, program, folder, "adapt", |world| {
        world.write("texts.txt", "sketch\n\n zombie \nstatue\n");
        world.ok("train-hyperdomain --clip one --texts texts.txt --out run --kimg 0.02 --batch 4 --tick 0.01");
    })
}

#[test]
fn a_domain_of_a_text_is_stored_and_added() {
    let world = world();
    let line = "--hyperdomain run/model.safetensors --out elf.safetensors";
    let told = world.ok(&format!("adapt --text elf {line}"));
    assert!(told.contains("not among the texts") && told.contains("sketch, zombie, statue"));
    world.refused(
        &format!("adapt --text zombie {line} --force --alpha 0.5"),
        &["--alpha 0.5"],
    );
    world.refused(
        &format!("adapt --text zombie {line} --force --seeds 3"),
        &["--seeds 3", "elf.safetensors", "give a folder"],
    );
    world.refused(
        &format!("adapt --text \" \" {line} --force"),
        &["--text", "is empty"],
    );
    let told = world.ok(&format!("adapt --text zombie {line} --force --name elf"));
    assert!(!told.contains("not among"), "{told}");
    world.ok("domains add elf.safetensors --out more.safetensors");
    let listed = world.json("domains list --model more.safetensors --json");
    assert_eq!(listed["domains"][0]["name"], "elf");
    assert!(world.has("more.safetensors"));
    world.ok("generate --model more.safetensors --domains elf --seeds 0 --out elf");
    assert!(world.has("elf/elf/seed0000.png"));
}

#[test]
fn a_picture_is_shown_in_one_pass() {
    let world = world();
    world.ok("generate --seeds 3 --out style");
    world.ok(
        "adapt --image style/seed0003.png --hyperdomain run/model.safetensors --seeds 0,1 --out shown",
    );
    assert!(world.has("shown/grid.png") && world.has("shown/seed0001.png"));
}

#[test]
fn the_shipped_network_is_taken_where_none_is_given() {
    let world = world();
    let line = "adapt --text elf --seeds 0 --out";
    world.refused(
        &format!("{line} none"),
        &["hyperdomain.safetensors", "is not there", "--hyperdomain"],
    );
    // In a folder of its own: what the other tests know ships no such network.
    world.copy("shipped", "with");
    let to = world.path("with/hyperdomain.safetensors");
    std::fs::copy(world.path("run/model.safetensors"), to).unwrap();
    let with = |line: &str| {
        let assets = world.path("with");
        world
            .command(line)
            .env("DOMEX_ASSETS", assets)
            .output()
            .unwrap()
    };
    assert!(with(&format!("{line} by-itself")).status.success());
    world.ok(&format!("{line} named --hyperdomain run/model.safetensors"));
    let picture = |name: &str| world.read(&format!("{name}/seed0000.png"));
    assert_eq!(picture("by-itself"), picture("named"));
    domex_test_support::networks::generator(&world.path("another.safetensors"), 9, false);
    let refused = with(&format!("{line} elsewhere --model another.safetensors"));
    assert_eq!(refused.status.code(), Some(2));
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        told.contains("train-hyperdomain") && told.contains("--foreign"),
        "{told}"
    );
}

#[test]
fn a_network_for_another_generator_is_refused() {
    let world = world();
    domex_test_support::networks::generator(&world.path("other.safetensors"), 8, false);
    let line = "adapt --text elf --hyperdomain run/model.safetensors --model other.safetensors --out other";
    world.refused(line, &["was trained for another generator", "--foreign"]);
    world.ok(&format!("{line} --foreign --seeds 0"));
}

#[test]
fn a_file_of_another_kind_and_a_list_that_is_not_there_are_refused() {
    let world = world();
    world.refused(
        "adapt --text elf --hyperdomain shipped/clip-one.safetensors --out x",
        &["a network that makes domains of texts is needed"],
    );
    world.refused(
        "train-hyperdomain --clip one --texts empty.txt --out y",
        &["empty.txt"],
    );
}

#[test]
fn a_run_is_resumed_with_its_settings() {
    let world = world();
    world.ok("train-hyperdomain --clip one --out short --kimg 0.01 --batch 4 --tick 0.01 --augmentation none");
    let resumed = world.json("train-hyperdomain --resume short --json");
    assert_eq!(resumed["step"], 3);
    let longer = world.json("train-hyperdomain --resume short --kimg 0.02 --json");
    assert_eq!(longer["step"], 5);
    world.refused(
        "train-hyperdomain --resume short --seed 7",
        &["--seed", "keeps its settings"],
    );
    world.refused(
        "train-hyperdomain --clip one --clip two --texts texts.txt --out y",
        &["--clip", "--augmentation none"],
    );
    let other = world.path("other-clip.safetensors");
    domex_test_support::networks::clip(&other, 1);
    world.ok("train-hyperdomain --clip other-clip.safetensors --texts texts.txt --out own --kimg 0.004 --batch 4 --tick 0.004");
    std::fs::copy(world.path("shipped/clip-two.safetensors"), other).unwrap();
    world.refused(
        "train-hyperdomain --resume own",
        &["other-clip.safetensors", "has changed"],
    );
}
