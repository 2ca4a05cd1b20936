//! `domex train-degan` and `domex adapt --degan`, from end to end on small networks.

use std::sync::OnceLock;

use domex_test_support::networks;
use domex_test_support::program::World;
use image::{Rgb, RgbImage, Rgba, RgbaImage};

static WORLD: OnceLock<World> = OnceLock::new();

const ENCODER: &str = "--degan run/model.safetensors";

/// A world in which an encoder was trained for a few steps.
fn world() -> &'static World {
    let (program, folder) = (env!("CARGO_BIN_EXE_domex"), env!("CARGO_TARGET_TMPDIR"));
    World::shared(&WORLD, program, folder, "degan", |world| {
        let red = RgbImage::from_pixel(24, 20, Rgb([200, 30, 30]));
        red.save(world.path("red.png")).unwrap();
        world.ok("train-degan --clip one --out run --kimg 0.02 --batch 4 --tick 0.01 --fade-in 2");
    })
}

#[test]
fn a_domain_of_a_picture_is_stored_and_added() {
    let world = world();
    let made = world.json(&format!(
        "adapt --image red.png {ENCODER} --out red.safetensors --json"
    ));
    assert!(made["numbers"].as_u64().unwrap() > 0);
    world.ok("domains add red.safetensors --out more.safetensors");
    let listed = world.json("domains list --model more.safetensors --json");
    assert_eq!(listed["domains"][0]["name"], "red");
    world.ok("generate --model more.safetensors --domains red --seeds 0 --out domain");
    assert!(world.has("domain/red/seed0000.png"));
}

#[test]
fn at_strength_0_nothing_of_a_domain_is_seen() {
    let world = world();
    let blue = RgbImage::from_pixel(16, 16, Rgb([20, 20, 220]));
    blue.save(world.path("blue.png")).unwrap();
    // Both take the same direction, so the bases are the same.
    for name in ["red", "blue"] {
        let shown = format!("adapt --image {name}.png {ENCODER} --seeds 4");
        world.ok(&format!("{shown} --alpha 0 --out none-{name}"));
        world.ok(&format!("{shown} --out whole-{name}"));
    }
    let none = world.read("none-red/seed0004.png");
    assert_eq!(world.read("none-blue/seed0004.png"), none);
    assert_ne!(world.read("whole-red/seed0004.png"), none);
    assert_ne!(world.read("whole-blue/seed0004.png"), none);
}

#[test]
fn a_picture_with_alpha_is_seen_on_white() {
    let world = world();
    let (half, white) = (Rgba([10, 90, 10, 0]), Rgb([255, 255, 255]));
    RgbaImage::from_fn(16, 16, |x, _| match x < 8 {
        true => half,
        false => Rgba([200, 30, 30, 255]),
    })
    .save(world.path("alpha.png"))
    .unwrap();
    RgbImage::from_fn(16, 16, |x, _| match x < 8 {
        true => white,
        false => Rgb([200, 30, 30]),
    })
    .save(world.path("white.png"))
    .unwrap();
    for name in ["alpha", "white"] {
        world.ok(&format!(
            "adapt --image {name}.png {ENCODER} --seeds 0 --out {name}"
        ));
    }
    assert_eq!(
        world.read("alpha/seed0000.png"),
        world.read("white/seed0000.png")
    );
}

#[test]
fn a_picture_is_cropped_by_its_face() {
    let world = world();
    // The detector takes spots of 8 × 8 bright pixels for faces.
    let sample = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../face/tests/data/bright.safetensors"
    );
    let fetched = world.path("cache/models/yunet");
    std::fs::create_dir_all(&fetched).unwrap();
    std::fs::copy(sample, fetched.join("yunet_n.pth")).unwrap();
    let photo = |name: &str, border: u8| {
        RgbImage::from_fn(640, 480, |x, y| match (x, y) {
            (160..168, 240..248) => Rgb([255; 3]),
            (0..60, _) | (260.., _) => Rgb([border, 9, 9]),
            _ => Rgb([9, 20, 9]),
        })
        .save(world.path(name))
        .unwrap();
    };
    photo("indoors.png", 9);
    photo("outdoors.png", 90);
    // The square around the face shows nothing of the border.
    for name in ["indoors", "outdoors"] {
        for crop in ["face", "center"] {
            world.ok(&format!(
                "adapt --image {name}.png --crop {crop} {ENCODER} --seeds 0 --out {name}-{crop}"
            ));
        }
    }
    let shown = |name: &str| world.read(&format!("{name}/seed0000.png"));
    assert_eq!(shown("indoors-face"), shown("outdoors-face"));
    assert_ne!(shown("indoors-center"), shown("outdoors-center"));
    let line = format!("adapt --image indoors.png {ENCODER} --out x");
    world.refused(&format!("{line} --face 2"), &["--face 2", "--crop face"]);
    world.refused(
        &format!("{line} --crop face --face 2"),
        &["there is no face 2; it shows 1 face"],
    );
    world.refused(&format!("{line} --crop none"), &["640 × 480"]);
    world.refused(
        "adapt --text elf --crop face --hyperdomain absent.safetensors --out x",
        &["--text", "--crop"],
    );
    assert!(!world.has("x"));
}

#[test]
fn several_pictures_are_a_row_each() {
    let world = world();
    std::fs::create_dir(world.path("again")).unwrap();
    world.write("again/red.png", world.read("red.png"));
    let line = format!("adapt --image red.png --image again/red.png {ENCODER} --seeds 0,1");
    world.refused(
        &format!("{line} --out rows"),
        &["two domains", "\"red\"", "--name"],
    );
    world.refused(
        &format!("{line} --name a --name b --name c --out rows"),
        &["3 for 2 domains"],
    );
    world.refused(
        &format!("{line} --name a --out a.safetensors"),
        &["one domain", "a folder"],
    );
    assert!(!world.has("rows") && !world.has("a.safetensors"));
    let told = world.json(&format!("{line} --name \"first one\" --out rows --json"));
    assert_eq!(told["domains"][0]["domain"], "first one");
    assert_eq!(told["domains"][1]["domain"], "red");
    assert!(world.has("rows/first-one/seed0001.png") && world.has("rows/red/seed0000.png"));
    let grid = image::open(world.path("rows/grid.png")).unwrap();
    let one = format!("adapt --image red.png {ENCODER} --seeds 0,1 --out row");
    world.ok(&one);
    let single = image::open(world.path("row/grid.png")).unwrap();
    assert!(grid.height() > single.height() && world.has("row/seed0001.png"));
}

#[test]
fn an_encoder_for_another_generator_or_width_is_refused() {
    let world = world();
    networks::generator(&world.path("other.safetensors"), 8, false);
    let line = format!("adapt --image red.png {ENCODER} --model other.safetensors --out other");
    world.refused(&line, &["was trained for another generator", "--foreign"]);
    world.ok(&format!("{line} --foreign --seeds 0"));
    networks::half(&world.path("large.safetensors"), 32);
    let line = format!("adapt --image red.png {ENCODER} --model large.safetensors --foreign");
    world.refused(&line, &["generators of its own widths only"]);
}

#[test]
fn what_does_not_fit_is_refused() {
    let world = world();
    world.refused(
        "adapt --image red.png --out x",
        &["degan.safetensors", "is not there", "--degan"],
    );
    world.refused(
        &format!("adapt --image red.png {ENCODER} --clip one --out x"),
        &["--clip"],
    );
    world.refused(&format!("adapt --text elf {ENCODER}"), &["--text"]);
    world.refused(
        "adapt --image red.png --degan shipped/clip-one.safetensors --out x",
        &["an encoder that makes domains of pictures is needed"],
    );
    assert!(!world.has("x"));
    world.refused(
        "train-degan --model shipped/clip-one.safetensors --out y",
        &["a StyleGAN2"],
    );
    let out = "train-degan --clip one --out y";
    world.refused(&format!("{out} --styles absent"), &["absent"]);
    world.refused(
        &format!("{out} --batch 5"),
        &["batch is 5", "multiple of 2"],
    );
    world.refused(
        &format!("{out} --backbone shipped/perceptual.safetensors"),
        &["layout of the backbone", "timm"],
    );
    assert!(!world.has("y"));
}

#[test]
fn pictures_of_a_folder_are_styles_and_a_run_is_resumed_with_its_settings() {
    let world = world();
    world.ok("data portraits --out set --count 3 --size 16");
    let model = world.path("own.safetensors");
    networks::generator(&model, 3, false);
    let line = "train-degan --model own.safetensors --clip one --styles set --unseen set --out short --kimg 0.016 --batch 8 --tick 0.008";
    let dry = world.json(&format!("{line} --dry-run --json"));
    assert!(dry["settings"]["perceptual"].is_null() && !world.has("short"));
    let done = world.json(&format!("{line} --json"));
    assert_eq!(done["step"], 2);
    assert!(done["last"]["direction/unseen"].is_f64());
    let resumed = world.json("train-degan --resume short --json");
    assert_eq!(resumed["step"], 2);
    let longer = world.json("train-degan --resume short --kimg 0.024 --json");
    assert_eq!(longer["step"], 3);
    assert!(world.has("short/styles000000016.png"));
    std::fs::copy(&model, world.path("kept.safetensors")).unwrap();
    std::fs::remove_file(&model).unwrap();
    networks::generator(&model, 4, false);
    world.refused(
        "train-degan --resume short",
        &["own.safetensors", "has changed"],
    );
    std::fs::rename(world.path("kept.safetensors"), &model).unwrap();
    std::fs::copy(world.path("red.png"), world.path("set/00000/red.png")).unwrap();
    world.refused(
        "train-degan --resume short",
        &["set", "has 4 pictures", "began with"],
    );
}
