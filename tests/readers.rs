//! What cargo-fuzz runs on inputs that nobody wrote (`fuzz`), on samples of every format, whole and damaged.

use std::path::Path;

#[path = "../fuzz/src/readers.rs"]
mod fuzz;

/// What reads bytes as a file of its kind.
type Reader = fn(&[u8]);

/// Every target.
const READERS: [(&str, Reader); 17] = [
    ("anchors", fuzz::anchors),
    ("checkpoint", fuzz::checkpoint),
    ("clip", fuzz::clip),
    ("container", fuzz::container),
    ("dataset", fuzz::dataset),
    ("diffae", fuzz::diffae),
    ("diffusers", fuzz::diffusers),
    ("lpips", fuzz::lpips),
    ("manifest", fuzz::manifest),
    ("picture", fuzz::picture),
    ("snapshot", fuzz::snapshot),
    ("studio", fuzz::studio),
    ("stylegan2", fuzz::stylegan2),
    ("stylegan3", fuzz::stylegan3),
    ("tasks", fuzz::tasks),
    ("tokenizer", fuzz::tokenizer),
    ("vocabulary", fuzz::vocabulary),
];

/// One file of each format, in the folders of the crates.
const SAMPLES: [&str; 10] = [
    "checkpoint/tests/data/array.npy",
    "checkpoint/tests/data/arrays.npz",
    "checkpoint/tests/data/plain_p2.pkl",
    "checkpoint/tests/data/tensorflow_tiny.pkl",
    "checkpoint/tests/data/tensorflow_tiny.safetensors",
    "hub/models.toml",
    "lpips/tests/data/heads-alex.pth",
    "mystyle/tests/data/mystyle.pt",
    "../assets/portraits/expand.toml",
    "../assets/beside.png",
];

/// What the page of the studio sends: settings of a picture, a film, a sheet, an expansion.
const MESSAGES: [&str; 4] = [
    r#"{"source":{"seed":1},"truncation":0.7,"domains":{"zombie":1},"mixing":{"seed":2,"first":0,"last":9}}"#,
    r#"{"keyframes":[{"source":{"seed":1}},{"source":{"seed":2}}],"frames":9,"fps":10,"closed":true,"format":"gif"}"#,
    r#"{"settings":{"source":{"seed":1}},"x":{"domain":"zombie","from":0,"to":1,"steps":3},"y":{"domain":"statue","from":-1,"to":1,"steps":2}}"#,
    r#"{"domains":["a zombie","a pencil sketch"],"steps":400}"#,
];

#[test]
fn every_target_of_cargo_fuzz_is_tried_here() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/targets");
    let files = std::fs::read_dir(folder).expect("the folder of targets");
    let mut names: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    names.sort();
    let names = names.iter().filter_map(|path| path.file_stem()?.to_str());
    assert!(names.eq(READERS.iter().map(|(name, _)| *name)));
}

#[test]
fn no_reader_panics_on_a_sample_of_any_format_whole_cut_or_changed() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let files = SAMPLES.map(|sample| std::fs::read(crates.join(sample)).expect(sample));
    let messages = MESSAGES.map(|message| message.as_bytes().to_vec());
    for whole in files.into_iter().chain(messages) {
        let mut changed = whole.clone();
        for at in [3, 40, whole.len() / 2, whole.len() - 20] {
            changed[at] ^= 0x55;
        }
        for (_, read) in READERS {
            read(&whole);
            read(&whole[..whole.len() / 2]);
            read(&changed);
        }
    }
}
