//! Domains from folders and zips of pictures, as `domex expand` takes them; from end to end on small networks.

use std::sync::OnceLock;

use domex_checkpoint::container::Container;
use domex_test_support::program::World;

const SHORT: &str = "--batch 2 --tick 2 --threads 2";

/// Forty sketches in a sub-folder of `many` and `many.zip`, and two in `two`.
fn sketches() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "expand-adversarial",
        |world| {
            for (out, count, size) in [
                ("many", 40, 16),
                ("many.zip", 40, 16),
                ("two", 2, 16),
                ("large", 40, 32),
            ] {
                world.ok(&format!(
                    "data portraits --domains sketch --out {out} --count {count} --size {size}"
                ));
            }
            world.copy("many", "mixed");
            world.copy("large", "mixed/large");
            world.write(
                "tasks.toml",
                "[[tasks]]\nmethod = \"adversarial\"\nname = \"mine\"\npictures = \"many.zip\"\n\
                 [settings.adversarial]\ngamma = 3\n",
            );
        },
    )
}

#[test]
fn many_pictures_propose_the_method_and_a_notice_says_so() {
    let line = "expand --domain mine=@many --out proposed --dry-run --json";
    let told = sketches().json(line);
    let task = &told["settings"]["tasks"][0];
    assert_eq!(task["method"], "adversarial");
    let notices = told["notices"].as_array().unwrap();
    let says = |words: &str| {
        let mut notices = notices.iter();
        notices.any(|notice| notice.as_str().unwrap().contains(words))
    };
    assert!(
        says("40 pictures, enough to learn from by a discriminator"),
        "{told}"
    );
}

#[test]
fn another_method_is_taken_where_it_is_asked_for() {
    let line = "expand --domain mine=@many/00000 --method nada --out asked --dry-run --json";
    let told = sketches().json(line);
    assert!(told["settings"]["tasks"][0].get("method").is_none());
}

#[test]
fn the_settings_are_told_before_the_first_step() {
    let line = "expand --tasks tasks.toml --out told --dry-run";
    let told = sketches().ok(line);
    assert!(
        told.contains("adversary learning rate 0.002, gamma 3"),
        "{told}"
    );
}

#[test]
fn a_zip_is_learnt_and_the_model_says_so() {
    let world = sketches();
    world.ok(&format!(
        "expand --tasks tasks.toml --out run --steps 2 --quiet {SHORT}"
    ));
    let model = Container::open(world.path("run/model.safetensors")).unwrap();
    let domain = &model.expansion().unwrap()["layout"]["domains"][0];
    assert_eq!(domain["task"]["type"], "adversarial");
    assert_eq!(domain["task"]["pictures"][0], "many.zip");
}

#[test]
fn a_run_is_resumed() {
    let world = sketches();
    let line = "expand --domain mine=@many --method adversarial --out stopped --steps 2 --quiet";
    world.ok(&format!("{line} {SHORT}"));
    let told = world.json("expand --resume stopped --steps 4 --json --threads 2 --quiet");
    assert_eq!(told["step"], 4);
}

#[test]
fn a_run_is_not_resumed_with_other_pictures() {
    let world = sketches();
    world.copy("many", "changed");
    let line = "expand --domain mine=@changed --method adversarial --out before --steps 2 --quiet";
    world.ok(&format!("{line} {SHORT}"));
    let folder = std::fs::read_dir(world.path("changed/00000")).unwrap();
    let first = folder.flatten().next().unwrap().path();
    std::fs::remove_file(first).unwrap();
    let line = "expand --resume before --steps 4 --threads 2";
    world.refused(line, &["changed", "39 pictures", "40"]);
}

#[test]
fn two_pictures_are_refused_with_what_learns_them() {
    let line = "expand --domain mine=@two --method adversarial --out x";
    sketches().refused(line, &["two", "2 pictures", "expected 40", "\"nada\""]);
}

#[test]
fn pictures_of_another_size_are_refused_and_resize_makes_them_fit() {
    let line = "expand --domain mine=@large --method adversarial --out x";
    sketches().refused(line, &["large", "32 × 32", "16 × 16", "--resize"]);
}

#[test]
fn mixed_sizes_are_refused_and_resize_makes_them_fit() {
    let world = sketches();
    let line = "expand --domain mine=@mixed --method adversarial --out x";
    world.refused(line, &["mixed", "--resize"]);
    let told = world.json(&format!("{line} --resize --dry-run --json"));
    let notices = told["notices"].to_string();
    assert!(notices.contains("resized to 16 × 16"), "{told}");
}

#[test]
fn words_are_refused() {
    let line = "expand --domain sketch --method adversarial --out x";
    sketches().refused(line, &["--method adversarial", "NAME=@FOLDER"]);
}

#[test]
fn a_list_of_pictures_is_refused() {
    let line = "expand --domain mine=@two,many --method adversarial --out x";
    sketches().refused(line, &["one folder or zip file"]);
}

#[test]
fn a_folder_that_is_not_there_is_named() {
    let line = "expand --domain mine=@nowhere --method adversarial --out x";
    sketches().refused(line, &["nowhere", "no such folder"]);
}

#[test]
fn a_plateau_is_refused() {
    let line = "expand --domain mine=@many --method adversarial --plateau 3 --out x";
    sketches().refused(line, &["--plateau", "discriminator"]);
}
