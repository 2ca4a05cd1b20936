//! Expansions of class-conditional models, as their users meet them.

use std::sync::OnceLock;

use domex_checkpoint::container::Container;
use domex_test_support::networks;
use domex_test_support::program::World;

/// A short run on the model of three classes.
const EXPAND: &str = "expand --model classes.safetensors --clip one --perceptual shipped/perceptual.safetensors --domain zombie \
    --batch 2 --tick 2 --threads 2 --quiet";

/// A model of three classes, pictures of its classes, and a run for all of them.
fn classes() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "expand-classes",
        |world| {
            networks::conditional(&world.path("classes.safetensors"), 3, 3);
            for class in 0..3 {
                world.ok(&format!(
                    "generate --model classes.safetensors --class {class} --seeds 0-3 --no-grid --out photos/{class}"
                ));
            }
            world.ok("data prepare photos --labels folders --out set.zip");
            world.ok("data prepare photos --out unlabelled.zip");
            world.ok(&format!("{EXPAND} --data set.zip --out all --steps 4"));
        },
    )
}

#[test]
fn all_classes_are_learnt_with_labelled_pictures() {
    let events = classes().text("all/events.jsonl");
    for name in [
        "loss/G",
        "loss/D_real",
        "loss/r1",
        "loss/path_length",
        "validation/loss",
        "domain/zombie",
    ] {
        assert!(events.contains(name), "{name} is not in {events}");
    }
}

#[test]
fn an_expanded_model_makes_pictures_of_each_class() {
    let world = classes();
    let made = |class: usize| {
        world.ok(&format!(
            "generate --model all/model.safetensors --class {class} --domains all --seeds 1 --out made-{class}"
        ));
        world.read(&format!("made-{class}/zombie/seed0001.png"))
    };
    assert!(made(0) != made(2));
    for line in [
        "traverse --domain zombie",
        "compose --set zombie=0.5",
        "mix --rows 1 --cols 2",
    ] {
        let (verb, _) = line.split_once(' ').unwrap();
        world.ok(&format!(
            "{line} --model all/model.safetensors --class 1 --out {verb}"
        ));
    }
}

#[test]
fn a_class_is_measured_alone() {
    let world = classes();
    let judge = world.path("judge.safetensors");
    networks::judge(&judge, networks::SIDE, &["photo", "zombie"]);
    let eval = "eval --model all/model.safetensors --judge judge.safetensors --perceptual shipped/perceptual.safetensors --pictures 2";
    let figures = |more: &str, out: &str| {
        world.ok(&format!("{eval} {more} --out {out}"));
        world.text(&format!("{out}/eval.json"))
    };
    assert!(figures("--class 0", "measured-0") != figures("--class 2", "measured-2"));
    assert!(figures("", "measured").contains("zombie"));
    world.refused(&format!("{eval} --class 3 --out x"), &["allowed: 0 to 2"]);
}

#[test]
fn one_class_is_learnt_and_recorded() {
    let world = classes();
    for class in [1, 2] {
        world.ok(&format!(
            "{EXPAND} --data set.zip --class {class} --out only-{class} --steps 2"
        ));
        let model = world.path(&format!("only-{class}/model.safetensors"));
        let model = Container::open(&model).unwrap();
        assert_eq!(
            model.provenance().unwrap()["expansion"]["config"]["class"],
            class
        );
    }
    assert!(world.tensors("only-1") != world.tensors("only-2"));
}

#[test]
fn a_resumed_run_of_classes_reaches_the_same_bits() {
    let world = classes();
    world.ok(&format!("{EXPAND} --data set.zip --out parts --steps 2"));
    world.ok("expand --resume parts --steps 4 --threads 2 --quiet");
    assert!(world.tensors("parts") == world.tensors("all"));
}

#[test]
fn a_class_that_is_not_there_is_refused() {
    let world = classes();
    world.refused(
        &format!("{EXPAND} --class 3 --out x"),
        &["class", "3", "0 to 2"],
    );
    world.refused(
        "expand --domain zombie --class 0 --out x",
        &["class", "no classes"],
    );
}

#[test]
fn pictures_without_labels_are_refused() {
    classes().refused(
        &format!("{EXPAND} --data unlabelled.zip --out x"),
        &["dataset.json", "labels"],
    );
    classes().refused(
        &format!("{EXPAND} --data portraits --out x"),
        &["classes of the pictures", "0", "3"],
    );
}
