//! `domex person` from end to end, on small networks.

use std::sync::OnceLock;

use domex_test_support::program::World;
use image::{Rgb, RgbImage};
use serde_json::Value as Json;

/// A person of four pictures, in a model with another domain beside it.
const TASKS: &str = r#"
[[tasks]]
method = "mystyle"
name = "anna"
pictures = ["made"]
anchors = "found/latents"

[[tasks]]
target = "zombie"
"#;

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    World::shared(
        &WORLD,
        env!("CARGO_BIN_EXE_domex"),
        env!("CARGO_TARGET_TMPDIR"),
        "person",
        |root| {
            root.ok("generate --seeds 0-3 --no-grid --out made");
            root.ok("invert --image made --steps 2 --keep-noise --out found");
            root.write("tasks.toml", TASKS);
            root.ok("expand --tasks tasks.toml --out run --steps 1 --batch 2 --threads 2 --quiet");
        },
    )
}

const SPACE: &str = "--model run/model.safetensors --anchors found/latents --name anna";

fn json(root: &World, line: &str) -> Json {
    root.json(&format!("{line} --json"))
}

#[test]
fn a_person_is_drawn_found_and_edited() {
    let root = world();
    let drawn = json(
        root,
        &format!("person sample {SPACE} --count 5 --out drawn"),
    );
    assert_eq!(drawn["pictures"].as_array().unwrap().len(), 5);
    assert_eq!((&drawn["anchors"], &drawn["mix"]), (&4.into(), &3.into()));
    // With nothing on top other pictures than with a zombie.
    root.ok(&format!(
        "person sample {SPACE} --count 5 --set zombie=1 --out zombie"
    ));
    assert_ne!(
        root.read("drawn/sample0000.png"),
        root.read("zombie/sample0000.png")
    );

    let found = json(
        root,
        &format!("person project {SPACE} --image made --steps 2 --out projected"),
    );
    assert_eq!(found["pictures"].as_array().unwrap().len(), 4);
    assert!(root.has("projected/latents/seed0002.safetensors"));
    assert!(root.has("projected/beside.png") && !root.has("projected/filled"));

    let edit = |edge: &str| {
        let line = "--latents projected/latents --dim 0 --distance 2 --steps 6";
        json(
            root,
            &format!("person edit {SPACE} {line} --edge {edge} --out {edge}"),
        )
    };
    let steps = |result: &Json| result["latents"][0]["strengths"].as_array().unwrap().len();
    let [stopped, went, brought] = ["stop", "continue", "project"].map(edit);
    assert_eq!((steps(&went), steps(&brought)), (5, 5));
    assert!(steps(&stopped) < 5, "{stopped}");
    assert!(brought["cosine"].as_f64().unwrap().abs() <= 1.0 + 1e-6);
    assert_ne!(
        root.read("continue/seed0000-4.png"),
        root.read("project/seed0000-4.png")
    );
}

#[cfg(unix)]
#[test]
fn any_number_of_samples_is_written_as_they_are_made() {
    use domex_test_support::process;
    let root = world();
    let line = format!("person sample {SPACE} --count 100000 --threads 1 --out many");
    let mut child = process::start(root.command(&line));
    process::wait_until(&mut child, "picture", || root.has("many/sample0008.png"));
    process::signal(&child, "INT");
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!root.has("many/sample99999.png"));
}

#[test]
fn a_hole_is_filled_and_what_is_known_stays() {
    let root = world();
    let mask = RgbImage::from_fn(16, 16, |x, y| match (4..10).contains(&x) && y > 7 {
        true => Rgb([0; 3]),
        false => Rgb([255; 3]),
    });
    mask.save(root.path("hole.png")).unwrap();
    root.ok(&format!(
        "person project {SPACE} --image made/seed0001.png --mask hole.png --steps 2 --out filled"
    ));
    let open = |path: &str| image::open(root.path(path)).unwrap().into_rgb8();
    let (given, filled) = (
        open("made/seed0001.png"),
        open("filled/filled/seed0001.png"),
    );
    let pixels = given.pixels().zip(filled.pixels()).zip(mask.pixels());
    for ((given, filled), mask) in pixels {
        let apart = given
            .0
            .iter()
            .zip(filled.0)
            .map(|(a, b)| a.abs_diff(b))
            .max();
        assert!(mask.0[0] == 0 || apart <= Some(1), "{given:?} {filled:?}");
    }
    assert_ne!(given, filled);
}

#[test]
fn a_face_is_cut_out_with_its_mask() {
    let root = world();
    let sample = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../face/tests/data/bright.safetensors"
    );
    let fetched = root.path("cache/models/yunet");
    std::fs::create_dir_all(&fetched).unwrap();
    std::fs::copy(sample, fetched.join("yunet_n.pth")).unwrap();
    // A spot that the detector takes for a face; the hole is left of it, in its square of 64 pixels.
    let spot = |x: u32, y: u32| (320..328).contains(&x) && (240..248).contains(&y);
    let photo = RgbImage::from_fn(640, 480, |x, y| Rgb([if spot(x, y) { 255 } else { 30 }; 3]));
    photo.save(root.path("photo.png")).unwrap();
    let mask = RgbImage::from_fn(640, 480, |x, _| Rgb([if x < 304 { 0 } else { 255 }; 3]));
    mask.save(root.path("left.png")).unwrap();
    let project = format!("person project {SPACE} --image photo.png --crop face --steps 2");
    root.ok(&format!("{project} --mask left.png --out cut"));
    let filled = image::open(root.path("cut/filled/photo.png"))
        .unwrap()
        .into_rgb8();
    // Four of sixteen columns are the hole; right of it all stays, the spot in the middle too.
    assert!(
        (4..16).all(|x| filled.get_pixel(x, 1).0[0].abs_diff(30) <= 3),
        "{filled:?}"
    );
    assert!(filled.get_pixel(9, 10).0[0] > 150);
    root.refused(
        &format!("{project} --enlarge --out x"),
        &["--crop", "--enlarge"],
    );
}

#[test]
fn a_small_picture_is_shown_at_the_generators_size() {
    let root = world();
    let small = image::open(root.path("made/seed0001.png")).unwrap();
    let small = small.resize_exact(8, 8, image::imageops::FilterType::Triangle);
    small.save(root.path("small.png")).unwrap();
    root.ok(&format!(
        "person project {SPACE} --image small.png --enlarge --steps 2 --out large"
    ));
    assert_eq!(
        image::open(root.path("large/pictures/small.png"))
            .unwrap()
            .width(),
        16
    );
    root.refused(
        &format!("person project {SPACE} --image made --enlarge --out x"),
        &["--enlarge", "smaller than the generator's 16 × 16"],
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let root = world();
    RgbImage::new(8, 8).save(root.path("small.png")).unwrap();
    let named = "--model run/model.safetensors --anchors found/latents";
    for (line, words) in [
        (
            format!("sample {SPACE} --mix 5"),
            &["--mix 5", "anchors of a point", "1 to 4"][..],
        ),
        (format!("sample {named} --name elf"), &["elf", "anna"]),
        (
            format!("sample {SPACE} --set anna=1"),
            &["the person itself"],
        ),
        (
            "sample --anchors found/latents --name anna".to_owned(),
            &["no domains"],
        ),
        (
            format!("sample {SPACE}").replace("found/latents", "made"),
            &["made"],
        ),
        (
            format!("project {SPACE} --image made/seed0000.png --mask small.png"),
            &["--mask", "8 × 8", "16 × 16"],
        ),
        (
            format!("project {SPACE} --image made --beta -1"),
            &["--beta"],
        ),
        (
            format!("project {SPACE} --image made --steps 0"),
            &["--steps"],
        ),
        (
            format!("edit {SPACE} --latents found/latents --dim 0 --steps 3"),
            &["--steps"],
        ),
        (
            format!("edit {SPACE} --latents found/latents --dim 99"),
            &["99"],
        ),
    ] {
        root.refused(&format!("person {line} --out x"), words);
    }
}

#[test]
fn one_person_is_drawn_on_several_occasions() {
    let root = world();
    root.ok("data portraits --person 4 --count 3 --size 16 --out anna");
    let text = root.text("anna/portraits.jsonl");
    let factors: Vec<Json> = text
        .lines()
        .map(|line| serde_json::from_str::<Json>(line).unwrap()["factors"].clone())
        .collect();
    let alike = |name: &str| factors.iter().all(|one| one[name] == factors[0][name]);
    for name in [
        "skin",
        "hair_style",
        "hair_colour",
        "glasses",
        "beard",
        "jaw",
        "age",
    ] {
        assert!(alike(name), "{name}");
    }
    for name in ["yaw", "smile", "light"] {
        assert!(!alike(name), "{name}");
    }
}
