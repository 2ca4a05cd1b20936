//! `domex expand` and the verbs for what it makes, as their users meet them.

#![allow(clippy::unwrap_used)]

#[path = "tiny/program.rs"]
mod program;
mod tiny;

use std::path::Path;

use domex_pretrain::judge::{self, Config as JudgeConfig, Judge};
use domex_pretrain::scenes::Factor;
use program::{domex, json, ok, refused, tensors, world};
use serde_json::Value as Json;

/// A short run on two threads.
const SHORT: &str = "--batch 2 --tick 2 --snap 1 --threads 2";

#[test]
fn from_words_to_a_model_and_a_report() {
    let root = world();
    let root = root.path();
    let words = "--domain \"pencil sketch\" --domain photo=>zombie";
    let result = json(&domex(
        root,
        &format!("expand {words} --out run --steps 4 --json {SHORT}"),
    ));
    assert_eq!(
        (&result["step"], &result["images"]),
        (&Json::from(4), &Json::from(8))
    );
    assert_eq!(
        result["notices"],
        Json::Array(vec![]),
        "a discriminator and pictures are there"
    );
    for name in [
        "loss/expand",
        "loss/lpips",
        "loss/D_real",
        "domain/zombie",
        "validation/loss",
    ] {
        assert!(result["last"][name].is_f64(), "{name} is not in {result}");
    }
    assert_eq!(result["measures"]["domains"][1]["dimension"], tiny::DIM - 2);
    assert!(result["measures"]["base_pixel_change"].is_f64());
    for file in [
        "model.safetensors",
        "run.json",
        "events.jsonl",
        "report.json",
        "aligned_init.png",
        "aligned000002.png",
    ] {
        assert!(root.join("run").join(file).is_file(), "{file}");
    }
    let page = std::fs::read_to_string(root.join("run/report.html")).unwrap();
    for text in [
        "pencil sketch",
        "zombie, 1.25",
        "singular values",
        "data:image/png;base64,",
        "<polyline",
        "prefers-color-scheme",
    ] {
        assert!(page.contains(text), "{text}");
    }
    // Nothing is fetched, nothing is run.
    for text in ["http:", "https:", "<script", "url(", ",NaN", "NaN,"] {
        assert!(!page.contains(text), "{text}");
    }

    assert!(root.join("run/best.safetensors").is_file());

    // Gone on with, it has the bits of a run that never stopped.
    let text = ok(&domex(root, "expand --resume run --steps 6 --threads 2"));
    assert!(
        text.contains("run/model.safetensors") && text.contains("run/report.html"),
        "{text}"
    );
    ok(&domex(
        root,
        &format!("expand {words} --out whole --steps 6 --quiet {SHORT}"),
    ));
    assert!(tensors(&root.join("run")) == tensors(&root.join("whole")));

    // A run that stands still ends before its length, with everything that one of full length has.
    let still = "expand --domain elf --out still --lr 1e-12 --lambda-src 0 --steps 500 --plateau 2 --batch 2 --tick 1 --json";
    let result = json(&domex(root, still));
    assert!(
        result["plateau"] == true && result["step"].as_u64().unwrap() < 20,
        "{result}"
    );
    assert!(root.join("still/report.html").is_file());

    refused(
        &domex(root, "expand --resume run --lr 3"),
        &["--lr", "--resume"],
    );
    refused(
        &domex(root, "expand --resume run --seed 5"),
        &["--seed 5", "has 0"],
    );
    refused(
        &domex(root, "expand --resume run/model.safetensors"),
        &["run/model.safetensors", "--model"],
    );
    refused(
        &domex(root, "expand --resume nowhere"),
        &["nowhere", "no snapshot"],
    );
    refused(
        &domex(root, &format!("expand {words} --out run")),
        &["--resume run", "--force"],
    );
    std::fs::remove_file(root.join("shipped/clip-one.safetensors")).unwrap();
    tiny::clip(&root.join("shipped/clip-one.safetensors"), 9);
    refused(
        &domex(root, "expand --resume run --steps 8"),
        &["clip-one", "changed"],
    );
}

#[test]
fn pictures_in_every_domain_and_in_several() {
    let root = world();
    let root = root.path();
    let run = format!(
        "expand --domain \"pencil sketch\" --domain zombie --out run --steps 1 --quiet {SHORT}"
    );
    ok(&domex(root, &run));
    let model = "--model run/model.safetensors";
    let text = ok(&domex(root, &format!("info {model}")));
    assert!(
        text.contains("pencil sketch") && text.contains("dimension   10"),
        "{text}"
    );

    let result = json(&domex(
        root,
        &format!("generate {model} --domains all --seeds 0-2 --out all --json"),
    ));
    assert_eq!(result["domains"].as_array().unwrap().len(), 3);
    for file in [
        "base/seed0002.png",
        "pencil-sketch/seed0000.png",
        "zombie/seed0001.png",
        "grid.png",
    ] {
        assert!(root.join("all").join(file).is_file(), "{file}");
    }
    ok(&domex(
        root,
        &format!("generate {model} --domains zombie --seeds 1 --out one"),
    ));
    let bytes = |path: &str| std::fs::read(root.join(path)).unwrap();
    assert_eq!(
        bytes("one/zombie/seed0001.png"),
        bytes("all/zombie/seed0001.png")
    );

    // At full strength and by itself a composition is the domain; at 0 it is the base.
    ok(&domex(
        root,
        &format!("compose {model} --set zombie=1 --seeds 0,1 --out c1"),
    ));
    assert_eq!(bytes("c1/seed0001.png"), bytes("all/zombie/seed0001.png"));
    ok(&domex(
        root,
        &format!("compose {model} --set \"zombie=0,pencil sketch=0\" --seeds 0 --out c0"),
    ));
    assert_eq!(bytes("c0/seed0000.png"), bytes("all/base/seed0000.png"));
    let result = json(&domex(
        root,
        &format!("compose {model} --set \"zombie=1,pencil sketch=0.5\" --seeds 0 --out c2 --json"),
    ));
    assert_eq!(result["set"][1]["alpha"], 0.5);
    ok(&domex(
        root,
        &format!("traverse {model} --domain zombie --seeds 0 --steps 3 --frames 2 --out way"),
    ));

    refused(
        &domex(root, &format!("compose {model} --set zombi=1 --out x")),
        &["zombi", "zombie"],
    );
    refused(
        &domex(
            root,
            &format!("compose {model} --set zombie --out x --force"),
        ),
        &["NAME=ALPHA"],
    );
    refused(
        &domex(root, "compose --set zombie=1 --out y"),
        &["no domains", "domex expand"],
    );
    refused(
        &domex(
            root,
            &format!("generate {model} --domains zombie,zombie --out z"),
        ),
        &["twice"],
    );
    refused(
        &domex(root, "generate --domains all --out w"),
        &["no domains"],
    );
}

#[test]
fn more_domains_and_the_earlier_ones_stay() {
    let root = world();
    let root = root.path();
    ok(&domex(
        root,
        &format!("expand --domain sketch --out one --steps 2 --quiet {SHORT}"),
    ));
    let line = format!(
        "expand --model one/model.safetensors --domain robot --out two --steps 2 --json {SHORT}"
    );
    let result = json(&domex(root, &line));
    for name in ["loss/earlier", "validation/earlier", "loss/D_real"] {
        assert!(result["last"][name].is_f64(), "{name} is not in {result}");
    }
    let result = json(&domex(
        root,
        "expand --model one/model.safetensors --domain robot --data none --out x -n --json",
    ));
    let notice = result["notices"][0].as_str().unwrap();
    assert!(notice.contains("--data"), "{notice}");
    let domains = |run: &str| {
        json(&domex(
            root,
            &format!("info --model {run}/model.safetensors --json"),
        ))["expansion"]["domains"]
            .clone()
    };
    let (one, two) = (domains("one"), domains("two"));
    assert_eq!(two[0], one[0]);
    assert_eq!(
        (&two[1]["name"], &two[1]["dimension"]),
        (&"robot".into(), &(tiny::DIM - 2).into())
    );
    let dimension = |text: &str| {
        std::fs::write(
            root.join("tasks.toml"),
            format!("[[tasks]]\ntarget = \"robot\"\ndimension = {text}\n"),
        )
        .unwrap();
        domex(
            root,
            "expand --model one/model.safetensors --tasks tasks.toml --out three -n",
        )
    };
    refused(&dimension("11"), &["11", "taken", "sketch"]);
    refused(&dimension("12"), &["12", "0 to 11"]);
    ok(&dimension("3"));
}

#[test]
fn what_is_refused_before_the_first_step() {
    let root = world();
    let root = root.path();
    let expand = |rest: &str| domex(root, &format!("expand --out run {rest}"));
    let tasks = |name: &str, text: &str| {
        std::fs::write(root.join(name), text).unwrap();
        expand(&format!("--tasks {name}"))
    };
    refused(&expand(""), &["--domain", "--tasks"]);
    refused(&expand("--domain \" \""), &["target", "empty"]);
    refused(
        &expand("--domain Photo --source Photo"),
        &["Photo", "other than the source"],
    );
    refused(
        &expand("--domain elf --domain elf"),
        &["elf", "no other task"],
    );
    refused(
        &expand("--domain elf --clip no-such"),
        &["no-such", "one, two", "ViT-B/32"],
    );
    refused(&expand("--domain elf --clip ViT-B/32"), &["clip-vit-b32"]);
    refused(&expand("--domain elf --clip one:-2"), &["-2", "above 0"]);
    refused(
        &expand("--domain elf --clip shipped/perceptual.safetensors"),
        &["perceptual", "clip"],
    );
    refused(
        &expand("--domain elf --perceptual shipped/clip-one.safetensors"),
        &["clip-one", "lpips"],
    );
    refused(
        &expand("--domain elf --model shipped/clip-one.safetensors"),
        &["clip-one", "stylegan2"],
    );
    refused(&expand("--domain elf --lr=-1"), &["lr", "above 0"]);
    refused(&expand("--domain elf --lambda-l2=-1"), &["-1", "0 or more"]);
    refused(
        &expand("--domain elf --distance 0"),
        &["distance", "above 0"],
    );
    refused(&expand("--domain elf --steps 0"), &["--steps"]);
    let mut bytes = std::fs::read(root.join("shipped/generator.safetensors")).unwrap();
    let at = bytes
        .windows(7)
        .position(|bytes| bytes == b"domex/1")
        .unwrap();
    bytes[at + 6] = b'2';
    std::fs::write(root.join("newer.safetensors"), bytes).unwrap();
    refused(
        &expand("--domain elf --model newer.safetensors"),
        &["newer.safetensors", "domex/2", "domex/1"],
    );
    let many: Vec<String> = (0..=tiny::DIM).map(|i| format!("--domain d{i}")).collect();
    refused(&expand(&many.join(" ")), &["13", "at most 12"]);
    refused(
        &tasks(
            "a.toml",
            "[[tasks]]\ntarget = \"a\"\ndimension = 3\n[[tasks]]\ntarget = \"b\"\ndimension = 3\n",
        ),
        &["a.toml", "\"b\"", "3"],
    );
    refused(
        &tasks("b.toml", "[[tasks]]\ntaget = \"a\"\n"),
        &["b.toml", "taget", "did you mean `target`"],
    );
    refused(
        &tasks(
            "c.json",
            "{\"tasks\": [{\"type\": \"NADAA\", \"args\": {}}]}",
        ),
        &["c.json", "NADAA", "did you mean"],
    );
    refused(&expand("--tasks nowhere.toml"), &["nowhere.toml"]);
    let set = "data portraits --out set --count 4 --size 32";
    ok(&domex(root, set));
    refused(&expand("--domain elf --data set"), &["32 × 32", "16 × 16"]);
    refused(&expand("--domain elf --data nowhere"), &["nowhere"]);
    std::fs::remove_file(root.join("shipped/perceptual.safetensors")).unwrap();
    refused(
        &expand("--domain elf"),
        &["perceptual.safetensors", "--lambda-lpips 0", "DOMEX_ASSETS"],
    );
    let result = json(&expand("--domain elf --lambda-lpips 0 --dry-run --json"));
    assert_eq!(result["domains"][0]["dimension"], tiny::DIM - 1);
    std::fs::remove_dir_all(root.join("shipped")).unwrap();
    refused(
        &expand("--domain elf"),
        &["--model", "generator.safetensors"],
    );
    assert!(!root.join("run").exists(), "nothing was written");
}

#[test]
fn an_official_file_of_tasks_is_read_unchanged() {
    let root = world();
    let root = root.path();
    let text = r#"{
        "tasks": [
            {"type": "NADA", "dimension": 7, "args": {"source_text": "photo", "target_text": "sketch"}},
            {"type": "NADA", "args": {"source_text": "photo", "target_text": "tiger"}}
        ],
        "tasks_losses": {"NADA": {"clip_models": ["one", "two"], "clip_model_weights": [1.0, 0.5]}}
    }"#;
    std::fs::write(root.join("tasks.json"), text).unwrap();
    let result = json(&domex(
        root,
        "expand --tasks tasks.json --out run -n --json",
    ));
    let dims: Vec<u64> = result["domains"]
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["dimension"].as_u64().unwrap())
        .collect();
    assert_eq!(dims, [7, 11]);
    assert_eq!(result["settings"]["clip"][1]["weight"], 0.5);
}

#[test]
fn a_model_without_a_discriminator_is_told_of() {
    let root = world();
    let root = root.path();
    tiny::generator(&root.join("plain.safetensors"), false);
    let result = json(&domex(
        root,
        &format!(
            "expand --model plain.safetensors --domain elf --out run --steps 1 --json {SHORT}"
        ),
    ));
    assert!(
        result["notices"][0]
            .as_str()
            .unwrap()
            .contains("no discriminator")
    );
    assert!(result["last"]["loss/D_real"].is_null());
}

/// A judge of pictures of `size` pixels on a side.
fn small_judge(path: &Path, size: usize) {
    let factors = [
        Factor::new("domain", ["photo", "pencil sketch", "zombie"]),
        Factor::new("glasses", ["none", "round"]),
    ];
    let config = JudgeConfig {
        size,
        widths: [4; 6],
        factors: factors.to_vec(),
    };
    let tensors = Judge::init(&config, 6).unwrap();
    judge::write(path, &config, &tensors, &Json::Null).unwrap();
}

#[test]
fn an_expanded_model_is_measured() {
    let root = world();
    let root = root.path();
    small_judge(&root.join("shipped/judge.safetensors"), tiny::SIDE);
    let words = "--domain \"a Pencil-Sketch of a face\" --domain elf";
    ok(&domex(
        root,
        &format!("expand {words} --dimensions probed --out run --steps 1 --quiet {SHORT}"),
    ));
    // The report has the judge's table, as it is there.
    let report: Json =
        serde_json::from_slice(&std::fs::read(root.join("run/report.json")).unwrap()).unwrap();
    assert_eq!(report["judged"]["domains"].as_array().unwrap().len(), 2);
    let page = std::fs::read_to_string(root.join("run/report.html")).unwrap();
    assert!(page.contains("What a judge sees") && page.contains("no class"));
    let run: Json =
        serde_json::from_slice(&std::fs::read(root.join("run/run.json")).unwrap()).unwrap();
    assert!(
        run.to_string().contains("\"dimensions\":\"probed\""),
        "{run}"
    );
    let eval = |rest: &str| {
        domex(
            root,
            &format!("eval --model run/model.safetensors --pictures 5 {rest}"),
        )
    };
    let result = json(&eval("--source portraits --out one --json"));
    let total = |seen: &Json| -> f64 {
        let shares = seen.as_object().unwrap().values();
        shares.map(|share| share.as_f64().unwrap()).sum()
    };
    assert!((total(&result["base"]) - 1.0).abs() < 1e-9);
    let domains = result["domains"].as_array().unwrap();
    assert_eq!(domains[0]["class"], "pencil sketch");
    let seen = domains[0]["seen"]["pencil sketch"].as_f64();
    assert_eq!(domains[0]["reached"].as_f64(), Some(seen.unwrap_or(0.0)));
    assert!(domains[1]["class"].is_null() && domains[1]["reached"].is_null());
    for domain in domains {
        assert!((total(&domain["seen"]) - 1.0).abs() < 1e-9, "{domain}");
        let kept = domain["kept"]["glasses"].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&kept), "{domain}");
    }
    // One step of training has moved the base.
    assert!(result["distance_to_source"].as_f64().unwrap() > 0.0);
    let written = std::fs::read(root.join("one/eval.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Json>(&written).unwrap(), result);
    // Against itself it has not.
    let same = json(&eval("--source run/model.safetensors --out same --json"));
    assert_eq!(same["distance_to_source"], 0.0);
    let text = ok(&eval("--out two"));
    assert!(
        text.contains("reached") && text.contains("no class"),
        "{text}"
    );

    refused(&eval("--out one"), &["one", "--force"]);
    refused(&eval("--judge nowhere --out x"), &["--judge nowhere"]);
    refused(
        &eval("--judge shipped/clip-one.safetensors --out x"),
        &["clip-one", "judge"],
    );
    refused(
        &domex(root, "eval --out x"),
        &["no domains", "domex expand"],
    );
    small_judge(&root.join("large.safetensors"), 32);
    refused(
        &eval("--judge large.safetensors --out x"),
        &["16 × 16", "32 × 32", "--judge"],
    );
    std::fs::remove_file(root.join("shipped/judge.safetensors")).unwrap();
    refused(&eval("--out x"), &["judge.safetensors", "DOMEX_ASSETS"]);
    assert!(!root.join("x").exists(), "nothing was written");
}
