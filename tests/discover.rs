//! `domex domains discover`, from end to end on small networks.

use std::sync::OnceLock;

use domex_test_support::program::World;

static WORLD: OnceLock<World> = OnceLock::new();

fn world() -> &'static World {
    let (program, folder) = (env!("CARGO_BIN_EXE_domex"), env!("CARGO_TARGET_TMPDIR"));
    World::shared(&WORLD, program, folder, "discover", |world| {
        world.write("words.txt", "sketch\n\n zombie \nstatue\n");
    })
}

#[test]
fn domains_are_found_shown_and_added() {
    let world = world();
    let line = "domains discover -n 2 --edits 8 --steps 2 --seeds 0,1 --words words.txt";
    let would = world.json(&format!("{line} --dry-run --out dry --json"));
    assert_eq!((&would["domains"], &would["edits"]), (&2.into(), &8.into()));
    assert!(!world.has("dry"));

    let found = world.json(&format!("{line} --out found --json"));
    assert_eq!(found["cosines"].as_array().unwrap().len(), 2);
    let words = found["domains"][1]["words"].as_array().unwrap();
    assert_eq!(words.len(), 3);
    assert!(world.has("found/grid.png"));
    world.ok(
        "domains add found/found-1.safetensors found/found-2.safetensors --out more.safetensors",
    );
    let listed = world.json("domains list --model more.safetensors --json");
    assert_eq!(listed["domains"][1]["name"], "found 2");
    assert_eq!(listed["domains"][1]["task"]["method"], "discover");
    // Beside those that are there already.
    let found = world.json(
        "domains discover -n 1 --edits 4 --steps 0 --model more.safetensors --out third --json",
    );
    assert_eq!(found["domains"][0]["name"], "found 3");
}

#[test]
fn what_cannot_be_found_is_refused() {
    let world = world();
    world.refused(
        "domains discover -n 13 --out x",
        &["number of domains: 13", "1 to 12"],
    );
    world.refused(
        "domains discover -n 8 --edits 8 --out x",
        &["number of random edits: 8"],
    );
    world.refused(
        "domains discover --model shipped/diffae.safetensors --clip one --out x",
        &["StyleGAN2"],
    );
    // Flags of the grid, before the search.
    for (flag, words) in [
        ("--class 3", "--class 3"),
        ("--trunc nan", "truncation: NaN"),
        ("--sampling-steps 3", "--sampling-steps 3"),
    ] {
        let line = format!("domains discover -n 1 --edits 4 --steps 0 {flag} --out x");
        world.refused(&line, &[words]);
    }
    domex_test_support::networks::generator(&world.path("other.safetensors"), 8, false);
    world.refused(
        "domains discover --model other.safetensors --out x",
        &["--clip"],
    );
    domex_test_support::networks::conditional(&world.path("classes.safetensors"), 8, 3);
    let line = "domains discover --model classes.safetensors --clip one -n 2 --out x";
    world.refused(line, &["classes: 3"]);
    world.write("one.txt", "sketch\n");
    world.refused(
        "domains discover --words one.txt -n 2 --out x",
        &["one.txt: 1 word in it"],
    );
    assert!(!world.has("x"));
}
