//! `domex invert` from end to end, on small networks.

use std::process::Output;

use domex_checkpoint::foreign;
use domex_test_support::networks::DIM;
use domex_test_support::program::{World, ok, refused};
use serde_json::Value as Json;

fn world() -> World {
    World::new(env!("CARGO_BIN_EXE_domex"))
}

fn json(output: &Output) -> Json {
    serde_json::from_str(&ok(output)).unwrap()
}

#[test]
fn what_is_done_to_a_picture_is_said() {
    let root = world();
    let clear = image::RgbaImage::from_pixel(20, 16, image::Rgba([9, 9, 9, 0]));
    clear.save(root.path("clear.png")).unwrap();
    let output = root.run("invert --image clear.png --steps 1 --out found");
    ok(&output);
    let said = String::from_utf8(output.stderr).unwrap();
    for part in [
        "clear.png: is transparent somewhere",
        "20 × 16",
        "square in its middle",
    ] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn the_grid_of_a_folder_of_pictures_is_passed_over() {
    let root = world();
    ok(&root.run("generate --seeds 0-1 --out made"));
    let output = root.run("invert --image made --steps 1 --json --out found");
    let found = json(&output);
    assert_eq!(found["pictures"].as_array().unwrap().len(), 2, "{found}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("grid.png passed over"), "{said}");
    ok(&root.run("invert --image made/grid.png --steps 1 --out grid"));
    ok(&root.run("expand --domain zombie --out run --steps 1 --batch 2 --threads 2 --quiet"));
    let edit =
        "edit --model run/model.safetensors --image made --steps 1 --set zombie --out edited";
    let said = String::from_utf8(root.run(edit).stderr).unwrap();
    assert_eq!(said.matches("passed over").count(), 1, "{said}");
}

#[test]
fn pictures_become_latents_and_a_tuned_model_makes_them() {
    let root = world();
    ok(&root.run("generate --seeds 0-1 --no-grid --out made"));
    // A picture of another size and shape is cropped.
    ok(&root.run("data portraits --out set --count 1 --size 32"));
    let wide = image::RgbImage::new(40, 20);
    wide.save(root.path("wide.png")).unwrap();
    let invert = |rest: &str| root.run(&format!("invert {rest}"));

    let line = "--image made --image wide.png --space w+ --steps 20 --tune 10 --batch 2 --out found --json";
    let result = json(&invert(line));
    let names: Vec<_> = (0..3)
        .map(|i| result["pictures"][i]["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["seed0000", "seed0001", "wide"]);
    for picture in result["pictures"].as_array().unwrap() {
        let name = picture["name"].as_str().unwrap();
        let latent = root.path(&format!("found/latents/{name}.safetensors"));
        let latent = foreign::read(latent).unwrap();
        let w = latent.get("w").unwrap().as_tensor().unwrap();
        assert_eq!(w.shape(), [1, 6, DIM]);
        // The tuned generator gives the picture with its own noise.
        assert!(latent.get("noise.b4.conv1").is_err());
        assert!(root.path(&format!("found/pictures/{name}.png")).is_file());
        for stage in ["found", "tuned"] {
            assert!(
                picture[stage]["distance"].as_f64().unwrap() >= 0.0,
                "{picture}"
            );
        }
    }
    assert!(root.path("found/beside.png").is_file() && root.path("found/invert.json").is_file());
    let text = ok(&root.run("info --model found/model.safetensors"));
    assert!(text.contains("16"), "{text}");

    // The same again is the same.
    let again = json(&invert(&line.replace("--out found", "--out again")));
    assert_eq!(again["pictures"], result["pictures"]);
    refused(&invert("--image made --steps 1 --out found"), &["--force"]);
}

#[test]
fn a_picture_is_looked_for_on_a_domain_of_an_expanded_model() {
    let root = world();
    ok(&root.run("expand --domain zombie --out run --steps 1 --batch 2 --threads 2 --quiet"));
    ok(&root.run("generate --seeds 3 --no-grid --out made"));
    let model = "invert --model run/model.safetensors --image made --steps 3 --keep-noise";
    ok(&root.run(&format!("{model} --out base")));
    ok(&root.run(&format!("{model} --domain zombie --out zombie")));
    // On the base and on the domain the same coordinates are free: what differs lies along the domain's direction.
    let latent = |run: &str| {
        let file =
            foreign::read(root.path(&format!("{run}/latents/seed0003.safetensors"))).unwrap();
        file.get("w").unwrap().as_tensor().unwrap().to_f64_vec()
    };
    let apart: Vec<f64> = latent("base")
        .iter()
        .zip(latent("zombie"))
        .map(|(a, b)| (a - b).powi(2))
        .collect();
    let distance = apart[..DIM].iter().sum::<f64>().sqrt();
    assert!(distance > 19.9, "{distance}");
    refused(
        &root.run(&format!("{model} --domain elf --out x")),
        &["elf", "zombie"],
    );
}

#[test]
fn pictures_and_flags_that_do_not_fit_are_refused() {
    let root = world();
    std::fs::create_dir_all(root.path("empty")).unwrap();
    std::fs::create_dir_all(root.path("other")).unwrap();
    let picture = image::RgbImage::new(16, 16);
    picture.save(root.path("a.png")).unwrap();
    picture.save(root.path("other/a.png")).unwrap();
    image::RgbImage::new(20, 16)
        .save(root.path("wide.png"))
        .unwrap();
    std::fs::write(root.path("text.png"), "no picture").unwrap();
    for (rest, words) in [
        ("--image empty", &["empty", "no picture"][..]),
        ("--image absent.png", &["absent.png"]),
        ("--image text.png", &["text.png"]),
        (
            "--image a.png --image other",
            &["another picture is called a"],
        ),
        ("--image a.png --domain sketch", &["--domain", "no domains"]),
        ("--image a.png --space z", &["--space"]),
        ("--image a.png --l2 -1 --steps 1", &["--l2"]),
        ("--image a.png --steps 0", &["--steps 0", "--encoder"]),
        ("--image a.png --perceptual absent", &["absent"]),
        (
            "--image a.png --encoder absent",
            &["absent", "train-encoder"],
        ),
        (
            "--image a.png --encoder shipped/perceptual.safetensors",
            &["an encoder is needed"],
        ),
        (
            "--image wide.png --crop none",
            &["20 × 16", "--crop center"],
        ),
        ("", &["--image"]),
    ] {
        refused(&root.run(&format!("invert {rest} --out x")), words);
    }
}

#[test]
fn a_picture_is_shown_in_a_domain_from_the_file_or_from_its_latent() {
    let root = world();
    ok(&root.run("expand --domain zombie --out run --steps 1 --batch 2 --threads 2 --quiet"));
    ok(&root.run("generate --seeds 3 --no-grid --out made"));
    let edit = |rest: &str| root.run(&format!("edit --model run/model.safetensors {rest}"));
    let line = "--image made --steps 3 --set zombie=1 --out one --json";
    let result = json(&edit(line));
    assert_eq!(result["set"][0]["domain"], "zombie");
    assert!(root.path("one/grid.png").is_file());
    // The latent that was found gives the same picture.
    ok(&edit(
        "--latents one/inverted/latents --set zombie=1 --out two",
    ));
    let bytes = |run: &str| std::fs::read(root.path(&format!("{run}/seed0003.png"))).unwrap();
    assert_eq!(bytes("one"), bytes("two"));
    // At 0 it is what was found, up to the rounding of a second projection.
    ok(&edit(
        "--latents one/inverted/latents/seed0003.safetensors --set zombie=0 --out none",
    ));
    let open = |path: &str| image::open(root.path(path)).unwrap().into_rgb8().into_raw();
    let found = open("one/inverted/pictures/seed0003.png");
    let pairs = found.iter().zip(open("none/seed0003.png"));
    assert!(pairs.into_iter().all(|(a, b)| a.abs_diff(b) <= 1));

    std::fs::create_dir_all(root.path("empty")).unwrap();
    refused(&edit("--set zombie=1 --out x"), &["--image"]);
    refused(
        &edit("--latents empty --set zombie=1 --out x"),
        &["holds no latent"],
    );
    refused(
        &edit("--latents made --image made --set zombie=1 --out x"),
        &["cannot be used"],
    );
    refused(
        &edit("--latents one/grid.png --set zombie=1 --out x"),
        &["grid.png"],
    );
    refused(
        &edit("--latents one --set elf=1 --out x"),
        &["elf", "zombie"],
    );
    refused(
        &root.run("edit --image made --set elf=1 --out x"),
        &["no domains"],
    );
}

#[test]
fn of_many_pictures_the_first_are_in_the_grid_and_all_are_in_files() {
    let root = world();
    ok(&root.run("expand --domain zombie --out run --steps 1 --batch 2 --threads 2 --quiet"));
    ok(&root.run("generate --seeds 0-68 --no-grid --out made"));
    let model = "--model run/model.safetensors";
    let said = ok(&root.run(&format!(
        "invert {model} --image made --steps 1 --keep-noise --batch 8 --out found"
    )));
    assert!(said.contains("the grid has 64 of 69 rows"), "{said}");
    assert!(root.has("found/pictures/seed0068-zombie.png"));
    let drawn = image::open(root.path("found/beside.png")).unwrap();
    assert!(drawn.height() < 65 * 150, "{}", drawn.height());

    let said = ok(&root.run(&format!(
        "edit {model} --latents found/latents --set zombie --out edited"
    )));
    assert!(said.contains("the grid has 64 of 69 rows"), "{said}");
    assert!(said.contains("69 pictures and grid.png"), "{said}");
    assert!(root.has("edited/seed0068.png"));
}

#[test]
fn no_result_is_written_over_another_or_over_a_picture() {
    let root = world();
    ok(&root.run("expand --domain zombie --out run --steps 1 --batch 2 --threads 2 --quiet"));
    std::fs::create_dir_all(root.path("made")).unwrap();
    for name in ["anna", "anna-zombie", "grid"] {
        let file = root.path(&format!("made/{name}.png"));
        image::RgbImage::new(16, 16).save(file).unwrap();
    }
    let model = "--model run/model.safetensors --steps 1";
    let edit = |rest: &str| root.run(&format!("edit {model} --set zombie=1 {rest}"));
    refused(
        &root.run(&format!(
            "invert {model} --image made/anna.png --image made/anna-zombie.png --out x"
        )),
        &["anna-zombie.png", "another name"],
    );
    refused(
        &edit("--image made/grid.png --out x"),
        &["grid.png", "another name"],
    );
    let over = "--image made/anna.png --out made --force";
    refused(&edit(over), &["made/anna.png", "written over it"]);
    ok(&edit("--image made/anna.png --out one"));
    let again = json(&edit(
        "--image made/anna-zombie.png --out one --force --json",
    ));
    assert_eq!(again["pictures"].as_array().unwrap().len(), 1);

    let found = root.path("one/inverted/latents/anna.safetensors");
    std::fs::create_dir_all(root.path("both")).unwrap();
    for file in ["anna.safetensors", "anna.pt"] {
        std::fs::copy(&found, root.path(&format!("both/{file}"))).unwrap();
    }
    let line = "edit --model run/model.safetensors --set zombie=1 --latents both --out x";
    refused(&root.run(line), &["two latents", "anna"]);
    assert!(!root.path("x").exists());
}

#[test]
fn latents_are_written_as_the_projector_does() {
    let root = world();
    ok(&root.run("generate --seeds 0 --no-grid --out made"));
    ok(&root.run("invert --image made --steps 2 --npz --out found"));
    let file = foreign::read(root.path("found/projected/seed0000.npz")).unwrap();
    let w = file.get("w").unwrap().as_tensor().unwrap();
    assert_eq!(w.shape(), [1, 6, DIM]);
    let ours = foreign::read(root.path("found/latents/seed0000.safetensors")).unwrap();
    assert!(ours.get("noise.b4.conv1").is_ok());
    let ours = ours.get("w").unwrap().as_tensor().unwrap();
    assert_eq!(w.bytes(), ours.bytes());
}

#[test]
fn an_encoder_is_trained_resumed_and_gives_the_start_of_a_search() {
    let root = world();
    let train = "train-encoder --batch 4 --tick 0.004 --threads 1 --quiet";
    ok(&root.run(&format!("{train} --kimg 0.008 --out enc")));
    ok(&root.run("train-encoder --resume enc --kimg 0.012 --threads 1 --quiet"));
    refused(
        &root.run("generate --model enc/model.safetensors --out x"),
        &["is an encoder", "`--encoder` of `domex invert`"],
    );
    refused(&root.run(&format!("{train} --out enc")), &["--resume enc"]);
    refused(
        &root.run("train-encoder --resume enc --batch 8"),
        &["--batch", "keeps its settings"],
    );
    for input in ["--model portraits", "--perceptual lpips-vgg"] {
        let line = format!("train-encoder --resume enc {input}");
        refused(&root.run(&line), &["--resume"]);
    }
    let perceptual = root.path("shipped/perceptual.safetensors");
    let before = std::fs::read(&perceptual).unwrap();
    std::fs::write(&perceptual, "another").unwrap();
    refused(
        &root.run("train-encoder --resume enc --kimg 0.016"),
        &["perceptual.safetensors", "has changed"],
    );
    std::fs::write(&perceptual, before).unwrap();

    ok(&root.run("generate --seeds 0-1 --no-grid --out made"));
    let found = |rest: &str| {
        json(&root.run(&format!(
            "invert --image made --encoder enc/model.safetensors {rest} --json"
        )))
    };
    let at_once = found("--steps 0 --out at-once");
    let line = "invert --image made --encoder enc/model.safetensors --steps 0 --l2 1 --out weighed";
    refused(&root.run(line), &["--l2 1", "--steps 0"]);
    assert_eq!(
        (&at_once["start"], &at_once["steps"]),
        (&"encoder".into(), &0.into())
    );
    assert!(at_once["seconds_per_picture"].as_f64().unwrap() > 0.0);
    let refined = found("--out refined");
    assert_eq!(refined["steps"], 50);
    let distance = |result: &Json| result["pictures"][0]["found"]["distance"].as_f64().unwrap();
    assert!(distance(&refined) < distance(&at_once));

    // What is expanded from the generator has its space, another generator has not.
    ok(&root.run("expand --domain zombie --out run --steps 1 --batch 2 --threads 2 --quiet"));
    let model = "--model run/model.safetensors --encoder enc/model.safetensors --image made";
    ok(&root.run(&format!(
        "edit {model} --set zombie=1 --steps 1 --out edited"
    )));
    refused(
        &root.run(&format!("invert {model} --domain zombie --out x")),
        &["--encoder", "--domain"],
    );
    domex_test_support::networks::generator(&root.path("other"), 9, false);
    refused(
        &root.run("invert --model other --encoder enc/model.safetensors --image made --out x"),
        &["latent space of the encoder", "domex train-encoder"],
    );
}
