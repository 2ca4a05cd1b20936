//! `--crop face` of the verbs that take photographs, with a detector that takes every bright spot for a face.

use domex_test_support::program::{World, ok};
use image::{Rgb, RgbImage};

/// With the made-up detector where `domex fetch yunet` puts the published one: 8 × 8 pixels that are brighter than a half are a
/// face of 16 × 24, whose eyes are 16 pixels apart and 16 above the mouth.
fn world() -> World {
    let world = World::new(env!("CARGO_BIN_EXE_domex"));
    let sample = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../face/tests/data/bright.safetensors"
    );
    let fetched = world.path("cache/models/yunet");
    std::fs::create_dir_all(&fetched).unwrap();
    std::fs::copy(sample, fetched.join("yunet_n.pth")).unwrap();
    world
}

/// A dark photograph with spots of these shades.
fn photo(spots: &[(u32, u32, u8)]) -> RgbImage {
    let mut photo = RgbImage::from_pixel(640, 480, Rgb([9, 20, 9]));
    for &(x, y, shade) in spots {
        for (i, j) in (0..64).map(|i| (i % 8, i / 8)) {
            photo.put_pixel(x + i, y + j, Rgb([shade; 3]));
        }
    }
    photo
}

const ONE: (u32, u32, u8) = (320, 240, 255);

#[test]
fn the_largest_face_is_taken_and_several_are_told() {
    let world = world();
    let party = photo(&[(80, 160, 200), ONE]);
    party.save(world.path("party.png")).unwrap();
    let output = world.run("invert --image party.png --crop face --steps 1 --out found");
    ok(&output);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("party.png: shows 2 faces; the largest is taken, at 320, 240; --face N takes another: 2 at 8"),
        "{said}"
    );

    // What is looked for is the same as without the other face, and not the middle of the photograph.
    photo(&[ONE]).save(world.path("alone.png")).unwrap();
    let figures = |image: &str, crop: &str| {
        let out = format!("{image}-{}", crop.replace(' ', ""));
        let line = format!("invert --image {image}.png --crop {crop} --steps 1 --out {out} --json");
        world.json(&line)["pictures"][0]["found"].clone()
    };
    let face = figures("party", "face");
    assert_eq!(face, figures("alone", "face"));
    assert_ne!(face, figures("party", "center"));

    // And the other one is the same as without the largest; that it is taken needs no telling.
    photo(&[(80, 160, 200)])
        .save(world.path("second.png"))
        .unwrap();
    let second = figures("party", "face --face 2");
    assert_eq!(second, figures("second", "face"));
    assert_ne!(second, face);
    let told = world.run("invert --image party.png --crop face --face 2 --steps 1 --out told");
    ok(&told);
    assert!(!String::from_utf8(told.stderr).unwrap().contains("2 faces"));
}

#[test]
fn a_face_that_is_not_there_is_refused_with_those_that_are() {
    let world = world();
    photo(&[(80, 160, 200), ONE])
        .save(world.path("party.png"))
        .unwrap();
    let line = "invert --image party.png --out x";
    world.refused(
        &format!("{line} --crop face --face 3"),
        &[
            "party.png: there is no face 3; it shows 2 faces: 1 at 320, 240; 2 at 8",
            "--crop center",
        ],
    );
    world.refused(&format!("{line} --crop face --face 0"), &["--face"]);
    for line in [
        line,
        "edit --image party.png --set elf=1 --out x",
        "encode party.png --out x",
        "data prepare . --size 16 --out x",
    ] {
        world.refused(&format!("{line} --face 1"), &["--face 1", "--crop face"]);
    }
    assert!(!world.has("x"));
}

#[test]
fn without_a_face_or_its_detector_nothing_is_begun() {
    let world = world();
    photo(&[]).save(world.path("wall.png")).unwrap();
    photo(&[ONE]).save(world.path("anna.png")).unwrap();
    world.refused(
        "invert --image anna.png --image wall.png --crop face --out x",
        &[
            "wall.png: no face was found",
            "640",
            "--crop center",
            "--crop none",
        ],
    );
    assert!(!world.has("x"));
    std::fs::remove_dir_all(world.path("cache/models")).unwrap();
    for line in [
        "invert --image anna.png",
        "encode anna.png",
        "data prepare . --size 16",
    ] {
        let line = format!("{line} --crop face --out x");
        world.refused(&line, &["--crop face", "`domex fetch yunet`"]);
    }
}

#[test]
fn a_folder_of_photographs_becomes_a_set_of_faces() {
    let world = world();
    let save = |name: &str, spots: &[(u32, u32, u8)]| {
        let path = world.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        photo(spots).save(path).unwrap();
    };
    save("photos/anna/a.png", &[ONE, (80, 160, 200)]);
    save("photos/bert/b.png", &[(8, 240, 255)]);
    let line = "data prepare photos --crop face --size 64 --labels folders --json --out";
    let made = world.json(&format!("{line} set"));
    assert_eq!((&made["pictures"], &made["size"]), (&2.into(), &64.into()));
    assert_eq!(made["classes"], serde_json::json!(["anna", "bert"]));
    let notices = made["notices"].to_string();
    for part in [
        "1 of 2 pictures show several faces",
        "1 of 2 pictures end within the square",
    ] {
        assert!(notices.contains(part), "{notices}");
    }
    // The spot, 32 right of the square's left edge and 38.4 below its upper one.
    let picture = image::open(world.path("set/00000/img00000000.png")).unwrap();
    let picture = picture.into_rgb8();
    assert_eq!(picture.get_pixel(36, 42).0, [255; 3]);
    assert_eq!(picture.get_pixel(28, 42).0, [9, 20, 9]);

    // Of pictures with several another one can be asked for; the others have none.
    let second = world.json(&format!("{line} second --face 2 --skip-bad"));
    assert_eq!(second["pictures"], 1);
    assert!(!second["notices"].to_string().contains("several"));
    let left = second["left_out"].to_string();
    assert!(
        left.contains("b.png (there is no face 2; it shows 1 face: 1 at"),
        "{left}"
    );

    save("photos/wall.png", &[]);
    let refused = "data prepare photos --crop face --size 64 --out other";
    world.refused(
        refused,
        &["1 of 3", "wall.png (no face was found", "--skip-bad"],
    );
    assert!(!world.has("other"));
    let left = world.json(&format!("{refused} --skip-bad --json"));
    assert_eq!(left["pictures"], 2);
    assert!(left["left_out"][0].as_str().unwrap().contains("wall.png"));
    world.refused("data prepare photos --crop face --out x", &["--size"]);
}

#[test]
fn a_diffusion_autoencoder_is_shown_the_face_too() {
    let world = world();
    let model = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../diffae/tests/golden/diffae/diffae_tiny.ckpt"
    );
    photo(&[(80, 160, 200), ONE])
        .save(world.path("party.png"))
        .unwrap();
    photo(&[ONE]).save(world.path("alone.png")).unwrap();
    let codes = |image: &str, crop: &str| {
        let out = format!("{image}-{crop}");
        world.ok(&format!(
            "encode --model {model} {image}.png --crop {crop} --steps 0 --out {out}"
        ));
        world.read(&format!("{out}/codes.safetensors"))
    };
    let face = codes("party", "face");
    assert!(face == codes("alone", "face"));
    assert!(face != codes("party", "center"));
}
