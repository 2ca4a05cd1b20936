//! StyleGAN3 in the program: what serves it, what it looks like, and what refuses it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Stdio;

use candle_core::{DType, Device};
use domex_stylegan2::{Discriminator, DiscriminatorConfig, config::channels, init};
use domex_stylegan3::{GeneratorConfig, Model, Overwrite};
use domex_test_support::program::{World, refused};
use serde_json::json;

const MODEL: &str = "three.safetensors";

/// A folder with a small network in a container, and a network pickle.
fn world() -> World {
    let world = World::new(env!("CARGO_BIN_EXE_domex"));
    let config = GeneratorConfig::from_kwargs(&json!({
        "z_dim": 12, "w_dim": 16, "img_resolution": 32, "num_layers": 4, "channel_base": 128, "channel_max": 12,
    }))
    .unwrap();
    let mut model = Model::random(&config, 5, &Device::Cpu).unwrap();
    let config = DiscriminatorConfig::new(32, 3, channels(32, 128, 8).unwrap());
    let tensors = init::discriminator(&config, 4, DType::F32, &Device::Cpu).unwrap();
    model.discriminator = Some(Discriminator::from_tensors(&tensors, &config).unwrap());
    model.save(world.path(MODEL), Overwrite::Refuse).unwrap();
    let pickle = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../stylegan3/tests/golden/stylegan3/stylegan3_tiny.pkl");
    std::fs::copy(pickle, world.path("three.pkl")).unwrap();
    world
}

fn pixels(world: &World, name: &str) -> Vec<u8> {
    image::open(world.path(name)).unwrap().to_rgb8().into_raw()
}

#[test]
fn a_pickle_is_shown_converted_and_drawn() {
    let world = world();
    let shown = world.ok("info --model three.pkl");
    for part in [
        "StyleGAN3, configuration T, 16×16 pixels",
        "z 12, w 16, 6 rows of w",
        "L0_36_8 L1_36_8 L2_36_4 L3_16_4 L4_16_3",
        "not read",
        "none: this model is not expanded",
    ] {
        assert!(shown.contains(part), "{part} in: {shown}");
    }
    let converted = world.json("convert three.pkl --out made.safetensors --json");
    assert!(converted["notice"].as_str().unwrap().contains("left out"));
    let listed = world.json("info --model made.safetensors --tensors --json");
    assert_eq!(listed["kind"], "stylegan3");
    assert!(listed["tensors"].as_array().unwrap().len() > 40);
    // A file that holds no other network has nothing left out.
    let again = world.json("convert made.safetensors --out again.safetensors --json");
    assert!(again["notice"].is_null());

    world.ok("generate --model three.pkl --seeds 0-1 --out pickle");
    world.ok("generate --model made.safetensors --seeds 0-1 --out container");
    for picture in ["seed0000.png", "seed0001.png", "grid.png"] {
        let of = |folder: &str| world.read(&format!("{folder}/{picture}"));
        // The grid has the file's name on it.
        let differ = of("pickle") != of("container");
        assert_eq!(differ, picture == "grid.png", "{picture}");
    }
    refused(
        &world.run("convert three.pkl --out two.pkl --to pkl"),
        &["only a StyleGAN2", "a StyleGAN3", "--to domex"],
    );
}

#[test]
fn pictures_are_moved() {
    let world = world();
    let draw = |flags: &str, out: &str| {
        world.ok(&format!(
            "generate --model {MODEL} --seeds 3 --no-grid {flags} --out {out}"
        ));
        pixels(&world, &format!("{out}/seed0003.png"))
    };
    let still = draw("", "still");
    assert_eq!(draw("--translate 0,0 --rotate 0", "same"), still);
    assert_eq!(draw("--rotate 360", "round"), still);
    let turned = draw("--rotate -90", "turned");
    let moved = draw("--translate -0.25,0.1", "moved");
    assert!(turned != still && moved != still && turned != moved);

    let refuse = |line: &str, parts: &[&str]| refused(&world.run(line), parts);
    refuse(
        "generate --rotate 10 --out wrong",
        &[
            "--translate and --rotate",
            "a StyleGAN3",
            "this is a StyleGAN2",
        ],
    );
    refuse(
        &format!("generate --model {MODEL} --translate 1 --out wrong"),
        &["'1' is not two numbers"],
    );
    refuse(
        &format!("generate --model {MODEL} --noise-mode random --out wrong"),
        &["no pixel noise"],
    );
    refuse(
        &format!("generate --model {MODEL} --precision float16 --out wrong"),
        &["float32 alone"],
    );
    refuse(
        &format!("generate --model {MODEL} --sampling-steps 4 --out wrong"),
        &["--sampling-steps 4"],
    );
    refuse(
        &format!("generate --model {MODEL} --class 1 --out wrong"),
        &["no classes"],
    );
    refuse(
        &format!("generate --model {MODEL} --domains all --out wrong"),
        &["the model has no domains"],
    );
    assert!(!world.has("wrong"));
}

#[test]
fn its_latent_space_is_explored() {
    let world = world();
    let way = world.json(&format!(
        "traverse --model {MODEL} --dim 0 --seeds 0-1 --steps 3 --frames 2 --out way --json"
    ));
    assert!(way["unit"].as_f64().unwrap() > 0.5);
    let (grid, _) = (
        pixels(&world, "way/grid.png"),
        world.read("way/traverse.gif"),
    );
    assert!(grid.iter().any(|value| *value != grid[0]));
    let dormant = world.json(&format!(
        "dormant --model {MODEL} --probe 4 --samples 2 --out dormant --json"
    ));
    assert_eq!(dormant["singular_values"].as_array().unwrap().len(), 16);
    let mixed = world.json(&format!(
        "mix --model {MODEL} --rows 0-1 --cols 2 --styles 2-3 --out mixed --json"
    ));
    assert_eq!(mixed["styles"], json!([2, 3]));
    assert!(world.has("mixed/grid.png"));
}

#[test]
fn a_picture_is_found_again() {
    let world = world();
    world.ok(&format!(
        "generate --model {MODEL} --seeds 1 --no-grid --out made"
    ));
    for space in ["w", "w+"] {
        let distance = |steps: u32| {
            let found = world.json(&format!(
                "invert --model {MODEL} --image made/seed0001.png --space {space} --steps {steps} --out {space}-{steps} --json"
            ));
            found["pictures"][0]["found"]["distance"].as_f64().unwrap()
        };
        let (first, last) = (distance(1), distance(60));
        assert!(last < 0.7 * first, "{space}: {first} {last}");
        assert!(world.has(&format!("{space}-60/latents/seed0001.safetensors")));
    }
    for (flags, part) in [
        ("--tune 5", "a StyleGAN2 is needed here"),
        (
            "--encoder some.safetensors",
            "encoders predict latents of a StyleGAN2",
        ),
        ("--domain elf", "the model has no domains"),
    ] {
        let line = format!("invert --model {MODEL} --image made --steps 1 {flags} --out wrong");
        refused(&world.run(&line), &[part]);
    }
    assert!(!world.has("wrong"));
}

/// The program while it shows a page.
struct Studio(std::process::Child);

impl Drop for Studio {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// What the page asks for: sliders of directions, styles of another seed.
#[test]
fn the_studio_draws_it() {
    let world = world();
    // A port of the system's choice, free again at once.
    let port = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let mut command = world.command(&format!("studio --model {MODEL} --port {port} --json"));
    let mut studio = Studio(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut told = String::new();
    let mut output = BufReader::new(studio.0.stdout.take().unwrap());
    output.read_line(&mut told).unwrap();
    assert!(told.contains(&port.to_string()), "{told}");

    let settings = json!({
        "settings": [{
            "source": { "seed": 1 }, "truncation": 0.7, "directions": { "0": 0.3 },
            "mixing": { "seed": 2, "first": 2, "last": 3 },
        }],
        "draft": false,
    });
    let body = settings.to_string();
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    write!(
        stream,
        "POST /api/pictures HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nx-domex-studio: 1\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    let start = answer.windows(4).position(|four| four == b"\x89PNG");
    let start = start.unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&answer)));
    let picture = image::load_from_memory(&answer[start..]).unwrap();
    assert_eq!((picture.width(), picture.height()), (32, 32));
}

/// An expansion from end to end, and what serves the model that comes of it.
#[test]
fn it_is_expanded() {
    let world = world();
    let networks = "--clip one --perceptual shipped/perceptual.safetensors";
    let run = |flags: &str| {
        format!(
            "expand --model {MODEL} --domain elf --domain sketch {networks} --batch 2 --tick 1 {flags}"
        )
    };
    let told = world.ok(&run("--data portraits --steps 2 --out run"));
    assert!(!told.contains("no discriminator"), "{told}");
    let shown = world.ok("info --model run/model.safetensors");
    for part in ["discriminator", "2 of 16 dimensions", "sketch"] {
        assert!(shown.contains(part), "{part} in: {shown}");
    }
    assert!(world.has("run/report.html"));
    let listed = world.json("domains list --model run/model.safetensors --json");
    assert_eq!(listed["domains"][1]["name"], "sketch");
    let model = "--model run/model.safetensors";
    world.ok(&format!(
        "generate {model} --domains all --seeds 0-1 --out made"
    ));
    world.ok(&format!(
        "compose {model} --set elf=1,sketch=0.5 --seeds 1 --out both"
    ));
    world.ok(&format!(
        "traverse {model} --domain elf --seeds 1 --steps 2 --frames 2 --out way"
    ));
    let image =
        "--image made/base/seed0000.png --steps 2 --perceptual shipped/perceptual.safetensors";
    world.ok(&format!("edit {model} {image} --set elf=1 --out edited"));
    assert!(world.has("edited/seed0000.png") && world.has("edited/grid.png"));
    world.ok(&format!("invert {model} {image} --out found"));
    assert!(world.has("found/pictures/seed0000-elf.png"));
    let measured = world.json(&format!(
        "eval {model} --data portraits --path-length --pictures 4 --out eval --json"
    ));
    assert!(measured["likeness"]["diversity"].as_f64().unwrap() > 0.0);
    assert!(measured["path_length"]["mean"].as_f64().unwrap() > 0.0);
    // A domain changes its picture, and the base stays near what it was.
    assert!(pixels(&world, "made/elf/seed0000.png") != pixels(&world, "made/base/seed0000.png"));

    // The last step's model is that of a run that was stopped before it.
    world.ok(&run("--data portraits --steps 1 --snap 1 --out halves"));
    world.ok("expand --resume halves --steps 2");
    assert!(world.tensors("halves") == world.tensors("run"));

    refused(
        &world.run(&run("--parametrisation gated --out wrong")),
        &["gated", "kind stylegan3 can be trained by"],
    );
    refused(&world.run(&run("--phase texture --out wrong")), &["phase"]);
    assert!(!world.has("wrong"));
}

/// Each says in one line what the file is and what takes it.
#[test]
fn verbs_that_cannot_serve_it_refuse() {
    let world = world();
    world.write("tasks.toml", "[[task]]\nname = \"zombie\"\n");
    let takes = "`--model` of `domex info`, `generate`";
    for line in [
        "train-hyperdomain --out wrong",
        "export --out wrong.onnx",
        "encode made --out wrong",
        "domains discover --out wrong",
        "train-encoder --out wrong",
    ] {
        let output = world.run(&format!("{line} --model {MODEL}"));
        let stderr = String::from_utf8(output.stderr.clone()).unwrap();
        refused(&output, &[]);
        for part in [MODEL, "is a StyleGAN3", takes] {
            assert!(stderr.contains(part), "{line}: {part} in: {stderr}");
        }
        assert!(!world.has("wrong"), "{line}");
    }
    refused(
        &world.run(&format!("compose --model {MODEL} --set zombie --out wrong")),
        &["the model has no domains"],
    );
}
