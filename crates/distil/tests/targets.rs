//! Targets by a small teacher: which are kept, and where.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_clip::{Bundle, Preprocess};
use domex_distil::{Request, Translation, Translator, targets};
use domex_test_support::networks;

const SIDE: usize = 8;

fn teacher(folder: &Path) -> Translator {
    let (clip, teacher) = (
        folder.join("clip.safetensors"),
        folder.join("teacher.safetensors"),
    );
    networks::clip(&clip, 1);
    networks::teacher(&teacher, SIDE, &clip);
    Translator::load(&teacher, &[clip], &Device::Cpu).unwrap()
}

fn pictures(n: usize) -> Tensor {
    let value = |i: usize| (i as f32 * 0.7).sin();
    let values: Vec<f32> = (0..n * 3 * SIDE * SIDE).map(value).collect();
    Tensor::from_vec(values, (n, 3, SIDE, SIDE), &Device::Cpu).unwrap()
}

fn request(target: &str, keep: f64) -> Request {
    Request {
        source: "photo".to_owned(),
        target: target.to_owned(),
        how: Translation {
            steps: 3,
            ..Translation::default()
        },
        keep,
    }
}

fn apart(a: &Tensor, b: &Tensor) -> f32 {
    let d = (a - b).unwrap().abs().unwrap().max_all().unwrap();
    d.to_scalar().unwrap()
}

#[test]
fn a_share_of_the_translations_is_kept_with_their_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let (teacher, base) = (teacher(folder.path()), pictures(6));
    let make = |keep| targets(&teacher, &base, &request("zombie", keep), None).unwrap();
    let (all, half) = (make(1.0), make(0.5));
    assert_eq!(all.rows, [0, 1, 2, 3, 4, 5]);
    assert_eq!(
        (half.rows.len(), half.pictures.dims()),
        (3, &[3, 3, SIDE, SIDE][..])
    );
    assert!(half.rows.is_sorted());
    for (place, &row) in half.rows.iter().enumerate() {
        let pair = [
            half.pictures.get(place).unwrap(),
            all.pictures.get(row).unwrap(),
        ];
        assert_eq!(apart(&pair[0], &pair[1]), 0.0);
    }
    assert_eq!(make(0.01).rows.len(), 1);
}

/// How much nearer a picture is to `target` than to the source, by the CLIP model in the folder.
fn nearer(folder: &Path, picture: &Tensor, target: &str) -> f32 {
    let bundle = Bundle::load(folder.join("clip.safetensors"), DType::F32, &Device::Cpu).unwrap();
    let pixels = Preprocess::new(bundle.clip.image_size());
    let pixels = pixels.apply(&picture.unsqueeze(0).unwrap()).unwrap();
    let seen = bundle.clip.encode_image(&pixels).unwrap();
    let words = bundle.encode_text(&["photo", target]).unwrap();
    let cosines = seen.matmul(&words.t().unwrap()).unwrap();
    let cosines = cosines.to_vec2::<f32>().unwrap();
    cosines[0][1] - cosines[0][0]
}

#[test]
fn those_are_kept_that_are_most_in_the_domain() {
    let folder = tempfile::tempdir().unwrap();
    let (teacher, base) = (teacher(folder.path()), pictures(6));
    let make = |keep| targets(&teacher, &base, &request("zombie", keep), None).unwrap();
    let (all, half) = (make(1.0), make(0.5));
    let scores: Vec<f32> = (0..6)
        .map(|row| nearer(folder.path(), &all.pictures.get(row).unwrap(), "zombie"))
        .collect();
    let (kept, left): (Vec<usize>, Vec<usize>) = (0..6).partition(|row| half.rows.contains(row));
    let worst = kept.iter().map(|&row| scores[row]).reduce(f32::min);
    let best = left.iter().map(|&row| scores[row]).reduce(f32::max);
    assert!(worst > best, "{scores:?}, of which {kept:?} are kept");
}

#[test]
fn targets_are_found_again_by_what_made_them() {
    let folder = tempfile::tempdir().unwrap();
    let (teacher, base) = (teacher(folder.path()), pictures(3));
    let cache = folder.path().join("cache");
    std::fs::create_dir(&cache).unwrap();
    let make = |target: &str, base: &Tensor| {
        targets(&teacher, base, &request(target, 0.7), Some(&cache)).unwrap()
    };
    let files = || std::fs::read_dir(&cache).unwrap().count();
    let first = make("zombie", &base);
    assert_eq!(files(), 1);
    let again = make("zombie", &base);
    assert_eq!((files(), &again.rows), (1, &first.rows));
    assert_eq!(apart(&again.pictures, &first.pictures), 0.0);
    make("sketch", &base);
    make("zombie", &(base * 0.5).unwrap());
    assert_eq!(files(), 3);
}

#[test]
fn a_damaged_file_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (teacher, base) = (teacher(folder.path()), pictures(3));
    let make = || {
        let request = request("zombie", 0.7);
        targets(&teacher, &base, &request, Some(folder.path())).unwrap()
    };
    let first = make();
    let mut names = std::fs::read_dir(folder.path()).unwrap();
    let file = names.find_map(|entry| {
        let path = entry.unwrap().path();
        let name = path.file_name()?.to_str()?;
        name.starts_with("targets-").then_some(path.clone())
    });
    let file = file.unwrap();
    let mut bytes = std::fs::read(&file).unwrap();
    // Of the last number.
    let at = bytes.len() - 2;
    bytes[at] ^= 1;
    for damaged in [b"nothing".to_vec(), bytes] {
        std::fs::write(&file, damaged).unwrap();
        assert_eq!(apart(&make().pictures, &first.pictures), 0.0);
    }
}

#[test]
fn what_cannot_be_made_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let teacher = teacher(folder.path());
    let refused = |base: &Tensor, keep| {
        let found = targets(&teacher, base, &request("zombie", keep), None);
        found.unwrap_err().to_string()
    };
    assert!(refused(&pictures(2), 0.0).contains("keep"));
    let large = Tensor::zeros((1, 3, 16, 16), DType::F32, &Device::Cpu).unwrap();
    assert!(refused(&large, 1.0).contains("[1, 3, 8, 8]"));
    let other = folder.path().join("other.safetensors");
    networks::clip(&other, 2);
    let error = Translator::load(
        &folder.path().join("teacher.safetensors"),
        &[other],
        &Device::Cpu,
    );
    let message = error.err().unwrap().to_string();
    assert!(message.contains("text encoder"), "{message}");
}
