//! `domex eval` with pictures: figures for any model.

#![allow(clippy::unwrap_used)]

#[expect(dead_code, reason = "these tests need some of it")]
#[path = "tiny/program.rs"]
mod program;
mod tiny;

use domex_pretrain::judge::{self, Config as JudgeConfig, Judge};
use domex_pretrain::scenes::Factor;
use program::{domex, json, ok, refused, world};
use serde_json::Value as Json;

#[test]
fn any_model_is_measured_against_pictures() {
    let root = world();
    let root = root.path();
    for (name, size) in [("set", tiny::SIDE), ("large", 32)] {
        let line = format!("data portraits --out {name} --count 30 --size {size}");
        ok(&domex(root, &line));
    }
    let eval = |rest: &str| domex(root, &format!("eval {rest}"));
    let result = json(&eval("--data set --pictures 12 --out one --json"));
    let found = &result["likeness"];
    assert_eq!(
        (&found["samples"], &found["pictures"]),
        (&12.into(), &12.into())
    );
    // A random network's samples are unlike portraits; parts of a set are like each other.
    let figure = |name: &str| found[name].as_f64().unwrap();
    assert!(
        figure("frechet") > 3.0 * figure("frechet_of_set"),
        "{found}"
    );
    assert!(
        figure("kernel") > 0.0 && figure("diversity") > 0.0,
        "{found}"
    );
    assert!(
        figure("precision") < 0.5 && figure("recall") < 0.5,
        "{found}"
    );
    assert!(result["domains"].is_null());
    let written = std::fs::read(root.join("one/eval.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Json>(&written).unwrap(), result);
    // The same again is the same; fewer pictures than asked for are said.
    let again = json(&eval("--data set --pictures 12 --out again --json"));
    assert_eq!(again, result);
    let few = json(&eval("--data set --pictures 20 --out few --json"));
    assert_eq!(few["likeness"]["pictures"], 20);
    assert!(
        few["likeness"]["frechet_of_set"].is_null(),
        "10 others are not 20"
    );
    let text = ok(&eval("--data portraits --pictures 4 --out words"));
    for word in [
        "Fréchet distance",
        "kernel distance",
        "recall",
        "portraits of the domain photo",
    ] {
        assert!(text.contains(word), "{word}: {text}");
    }

    let refuse = |rest: &str, words: &[&str]| refused(&eval(&format!("{rest} --out x")), words);
    refuse("", &["no domains", "--data"]);
    refuse("--data large", &["32 × 32", "16 × 16"]);
    refuse("--data nowhere", &["nowhere"]);
    refuse(
        "--data set --judge shipped/perceptual.safetensors",
        &["--judge", "expanded"],
    );
    let wrong = "--data set --perceptual shipped/clip-one.safetensors";
    refuse(wrong, &["clip-one", "lpips"]);
    refuse(
        "--data set --perceptual lpips-vgg",
        &["lpips-vgg", "cargo xtask fetch"],
    );
    assert!(!root.join("x/eval.json").exists());
}

#[test]
fn an_expanded_model_has_both_kinds_of_figures() {
    let root = world();
    let root = root.path();
    ok(&domex(
        root,
        "expand --domain zombie --out run --steps 1 --batch 2 --threads 2 --quiet",
    ));
    let judge = |name: &str, size: usize| {
        let config = JudgeConfig {
            size,
            widths: [4; 6],
            factors: vec![Factor::new("domain", ["photo", "zombie"])],
        };
        let tensors = Judge::init(&config, 6).unwrap();
        judge::write(&root.join(name), &config, &tensors, &Json::Null).unwrap();
    };
    let eval = |rest: &str| {
        let model = "--model run/model.safetensors --data portraits --pictures 4";
        domex(root, &format!("eval {model} {rest}"))
    };
    judge("shipped/judge.safetensors", tiny::SIDE);
    let result = json(&eval("--out both --json"));
    assert_eq!(result["domains"][0]["name"], "zombie");
    assert!(result["likeness"]["frechet"].is_f64());
    // The shipped judge is of another world: it is left out. One that was asked for is not.
    std::fs::remove_file(root.join("shipped/judge.safetensors")).unwrap();
    judge("shipped/judge.safetensors", 32);
    let result = json(&eval("--out one --json"));
    assert!(result["domains"].is_null() && result["likeness"]["frechet"].is_f64());
    refused(
        &eval("--judge shipped/judge.safetensors --out x"),
        &["16 × 16", "32 × 32", "--judge"],
    );
}
