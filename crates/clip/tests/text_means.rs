//! Prompts, directions between texts, and the files that keep them.

#![allow(
    clippy::unwrap_used,
    reason = "a test; clippy.toml's leave ends at its helper functions"
)]

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use domex_checkpoint::TensorData;
use domex_checkpoint::container::{Container, Overwrite, Writer};
use domex_clip::templates::{FACE_PARTS, IMAGENET, PLACE};
use domex_clip::{Clip, Config, Error, Overflow, Prompts, TextMeans, Tokenizer, unit_length};
use domex_ops::testing::{max_difference, randn};
use serde_json::json;

/// A tiny network on bytes: 512 ids, start and end.
fn clip(seed: u64) -> Clip {
    let block = json!({ "width": 16, "layers": 1, "heads": 2, "mlp_width": 24, "activation": "quick_gelu", "eps": 1e-5 });
    let config: Config = serde_json::from_value(json!({
        "embed_dim": 8,
        "vision": { "kind": "vit", "image_size": 16, "patch_size": 8, "transformer": block },
        "text": { "vocab_size": 514, "context_length": 64, "end_token": null, "transformer": block },
    }))
    .unwrap();
    let map = VarMap::new();
    let vb = VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu);
    Clip::new(&vb, &config).unwrap();
    for (name, var) in map.data().lock().unwrap().iter() {
        let seed = name
            .bytes()
            .fold(seed, |h, b| h * 31 % 65_521 + u64::from(b));
        let noise = (randn(var.dims(), seed) * 0.3).unwrap();
        var.set(&noise.to_dtype(DType::F32).unwrap()).unwrap();
    }
    Clip::new(&vb, &config).unwrap()
}

fn tokenizer() -> Tokenizer {
    Tokenizer::with_merges("").unwrap()
}

/// Features of unit length `[n, 8]`, each text alone.
fn unit_features(clip: &Clip, texts: &[String]) -> Tensor {
    let context = clip.config().text.context_length;
    let one = |text: &String| {
        let ids = tokenizer().tokenize(&[text], context, Overflow::Refuse, &Device::Cpu);
        clip.text_features(&ids.unwrap()).unwrap()
    };
    let all: Vec<Tensor> = texts.iter().map(one).collect();
    unit_length(&Tensor::cat(&all, 0).unwrap()).unwrap()
}

fn few() -> Prompts {
    Prompts::new(&["a photo of a {}.", "the {}", "{} art"]).unwrap()
}

#[test]
fn templates_are_the_published_ones() {
    assert_eq!(IMAGENET.len(), 79);
    assert_eq!(IMAGENET[0], "a bad photo of a {}.");
    assert_eq!(IMAGENET[78], "a tattoo of the {}.");
    let mut sorted: Vec<_> = IMAGENET.iter().chain(&FACE_PARTS).collect();
    sorted.sort_unstable();
    sorted.dedup();
    assert_eq!(sorted.len(), 79 + FACE_PARTS.len());
    assert!(sorted.iter().all(|t| t.matches(PLACE).count() == 1));
    assert_eq!(Prompts::default().templates(), IMAGENET);
    for wrong in [&[][..], &["no place"], &["{} and {}"]] {
        assert!(Prompts::new(wrong).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_direction_is_the_mean_step_between_unit_features() {
    let (clip, tokenizer, prompts) = (clip(1), tokenizer(), few());
    let unit = |text: &str| unit_features(&clip, &prompts.fill(text).unwrap());
    let step = (unit("robot") - unit("person")).unwrap().mean(0).unwrap();
    let step = step.unsqueeze(0).unwrap();
    let wanted = unit_length(&step).unwrap().squeeze(0).unwrap();
    let means = TextMeans::new(&clip, &tokenizer, None).unwrap();
    let found = means.direction(&prompts, "person", "robot").unwrap();
    assert_eq!((found.dims(), found.dtype()), (&[8][..], DType::F64));
    let wanted = wanted.to_dtype(DType::F64).unwrap();
    assert!(max_difference(&found, &wanted) < 1e-5);
}

#[test]
fn a_mean_over_many_prompts_is_that_of_each_alone() {
    let (clip, tokenizer, prompts) = (clip(1), tokenizer(), Prompts::imagenet());
    let means = TextMeans::new(&clip, &tokenizer, None).unwrap();
    let found = means.mean(&prompts, "cat").unwrap();
    let alone = unit_features(&clip, &prompts.fill("cat").unwrap());
    let wanted = alone.mean(0).unwrap().to_dtype(DType::F64).unwrap();
    assert!(max_difference(&found, &wanted) < 1e-5);
}

#[test]
fn the_same_twice_is_no_direction() {
    let (clip, tokenizer) = (clip(1), tokenizer());
    let means = TextMeans::new(&clip, &tokenizer, None).unwrap();
    let error = means.direction(&few(), "cat", " Cat").unwrap_err();
    assert!(matches!(error, Error::NoDirection { .. }), "{error}");
    assert!(means.mean(&few(), " ").is_err());
    let error = means.mean(&few(), &"long ".repeat(30)).unwrap_err();
    assert!(matches!(error, Error::TooLong { .. }), "{error}");
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// The mean of "cat" by a fresh store on `folder`.
fn mean(clip: &Clip, folder: &Path) -> Tensor {
    let tokenizer = tokenizer();
    let means = TextMeans::new(clip, &tokenizer, Some(folder)).unwrap();
    means.mean(&few(), "cat").unwrap()
}

#[test]
fn a_kept_mean_is_read_back() {
    let (clip, dir) = (clip(1), tempfile::tempdir().unwrap());
    let folder = dir.path().join("new/folder");
    let first = mean(&clip, &folder);
    let kept = files(&folder);
    assert_eq!(kept.len(), 1);
    let bits = |t: &Tensor| t.to_vec1::<f64>().unwrap();
    assert_eq!(bits(&first), bits(&mean(&clip, &folder)));

    // A sound file with other numbers shows that it is the file that is read.
    let file = Container::open(&kept[0]).unwrap();
    let mut config = file.config().clone();
    let other = TensorData::from_tensor(&(&first * 0.5).unwrap()).unwrap();
    let sum = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(sum.path(), &other.bytes()[..]).unwrap();
    config["sha256"] = json!(domex_checkpoint::sha256_file(sum.path()).unwrap());
    let mut writer = Writer::new(file.kind(), &config);
    writer.data("mean", other).unwrap();
    writer.write(&kept[0], Overwrite::Replace).unwrap();
    assert_eq!(bits(&mean(&clip, &folder)), bits(&(first * 0.5).unwrap()));
}

#[test]
fn a_damaged_file_is_computed_anew() {
    let (clip, dir) = (clip(1), tempfile::tempdir().unwrap());
    let wanted = mean(&clip, dir.path()).to_vec1::<f64>().unwrap();
    let path = files(dir.path()).remove(0);
    let good = std::fs::read(&path).unwrap();
    let edit = |at: usize, change: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= change;
        bytes
    };
    let last = good.len() - 1;
    let mut damaged = vec![
        Vec::new(),
        b"not a container".to_vec(),
        good[..good.len() / 2].to_vec(),
        good[..last].to_vec(),
        edit(last, 1),
        edit(last - 20, 0x80),
        edit(3, 0x40),
    ];
    // A sound file of another text under this name.
    let other = tempfile::tempdir().unwrap();
    let tokenizer = tokenizer();
    let means = TextMeans::new(&clip, &tokenizer, Some(other.path())).unwrap();
    means.mean(&few(), "dog").unwrap();
    damaged.push(std::fs::read(files(other.path()).remove(0)).unwrap());
    for (i, bytes) in damaged.iter().enumerate() {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(
            mean(&clip, dir.path()).to_vec1::<f64>().unwrap(),
            wanted,
            "{i}"
        );
        assert_eq!(
            std::fs::read(&path).unwrap(),
            good,
            "{i}: the file is mended"
        );
    }
}

#[test]
fn a_name_stands_for_one_network_and_its_prompts() {
    let dir = tempfile::tempdir().unwrap();
    mean(&clip(1), dir.path());
    mean(&clip(2), dir.path());
    assert_eq!(files(dir.path()).len(), 2, "two networks");
    let (clip, tokenizer) = (clip(1), tokenizer());
    let means = TextMeans::new(&clip, &tokenizer, Some(dir.path())).unwrap();
    means.mean(&Prompts::plain(), "cat").unwrap();
    assert_eq!(files(dir.path()).len(), 3, "other templates");
    means.mean(&few(), "CAT").unwrap();
    assert_eq!(files(dir.path()).len(), 3, "the same tokens");
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let (clip, tokenizer) = (clip(1), tokenizer());
    let error = TextMeans::new(&clip, &tokenizer, Some(file.path())).unwrap_err();
    let name = file.path().display().to_string();
    assert!(error.to_string().contains(&name), "{error}");
}

#[test]
fn a_folder_that_cannot_be_written_costs_time_only() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("texts");
    let (clip, tokenizer) = (clip(1), tokenizer());
    let means = TextMeans::new(&clip, &tokenizer, Some(&folder)).unwrap();
    // A file in its place: even an administrator cannot write into it.
    std::fs::remove_dir(&folder).unwrap();
    std::fs::write(&folder, "no folder").unwrap();
    let found = means.mean(&few(), "cat").unwrap();
    let plain = TextMeans::new(&clip, &tokenizer, None).unwrap();
    let values = |x: &Tensor| x.to_vec1::<f64>().unwrap();
    assert_eq!(values(&found), values(&plain.mean(&few(), "cat").unwrap()));
}
