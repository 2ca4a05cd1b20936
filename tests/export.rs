//! `domex export`: the files it writes, and what it refuses. That graphs draw what the program draws is tested in `domex-onnx`.

use std::path::Path;

use domex_test_support::networks;
use domex_test_support::program::World;

fn world() -> World {
    World::empty(env!("CARGO_BIN_EXE_domex"))
}

/// A small model with the domains sketch, elf and tiger.
fn expanded() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../stylegan2/tests/golden");
    let file = root.join("expansion/domain_expansion_snapshot_tiny.pkl");
    file.to_str().expect("a plain path").to_owned()
}

/// The names of the inputs of a description.
fn inputs(world: &World, file: &str) -> Vec<String> {
    let document = world.document(file);
    let inputs = document["inputs"].as_array().unwrap().iter();
    inputs
        .map(|input| input["name"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_graph_a_description_and_a_card_are_written() {
    let world = world();
    let result = world.json(&format!(
        "export --model {} --out hub/elf.onnx --card --json",
        expanded()
    ));
    assert_eq!(result["bytes"], world.read("hub/elf.onnx").len());
    assert_eq!(
        inputs(&world, "hub/elf.json"),
        ["z", "truncation", "strengths"]
    );
    let domains = &world.document("hub/elf.json")["domains"];
    for (place, name) in ["sketch", "elf", "tiger"].into_iter().enumerate() {
        assert_eq!(domains[place]["name"], name);
        assert!(
            world
                .text("hub/README.md")
                .contains(&format!("| {place} | {name} |"))
        );
    }
}

#[test]
fn inputs_are_those_that_were_asked_for() {
    let world = world();
    let model = expanded();
    world.ok(&format!(
        "export --model {model} --input w+ --noise input --precision float16 --out a.onnx"
    ));
    let names = inputs(&world, "a.json");
    assert_eq!(
        names[..4],
        ["w", "truncation", "strengths", "noise.b4.conv1"]
    );
    world.ok("export --random --input w --noise none --out b.onnx");
    assert_eq!(inputs(&world, "b.json"), ["w", "truncation"]);
    assert!(!world.has("README.md"));
}

#[test]
fn what_is_there_is_replaced_by_force_alone() {
    let world = world();
    world.write("README.md", "mine");
    let line = "export --random --out a.onnx --card";
    world.refused(line, &["README.md", "--force"]);
    assert!(!world.has("a.onnx") && world.text("README.md") == "mine");
    world.ok(&format!("{line} --force"));
    world.refused("export --random --out a.onnx", &["a.onnx", "--force"]);
    assert!(world.text("README.md").contains("onnxruntime"));
}

#[test]
fn bad_input_is_told_in_one_line() {
    let world = world();
    networks::autoencoder(&world.path("diffae.safetensors"));
    world.refused("export --random --out a.bin", &["--out a.bin", ".onnx"]);
    world.refused("export --model none.pkl --out new/a.onnx", &["none.pkl"]);
    world.refused(
        "export --model diffae.safetensors --out a.onnx",
        &["diffusion autoencoder", "StyleGAN2"],
    );
    assert!(!world.has("new") && !world.has("a.onnx") && !world.has("a.json"));
}
