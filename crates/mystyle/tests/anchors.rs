//! Anchors from every kind of file, and the files that are refused.
#![allow(clippy::unwrap_used)] // In helpers of tests too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use domex_checkpoint::TensorData;
use domex_checkpoint::safetensors::{Overwrite, write};
use domex_mystyle::Anchors;

const DIM: usize = 3;

fn sample(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// A safetensors file of tensors whose elements count up from 0, row by row.
fn counting(path: &Path, tensors: &[(&str, &[usize])]) {
    let tensor = |shape: &[usize]| {
        let values: Vec<f32> = (0..shape.iter().product())
            .map(|i: usize| i as f32)
            .collect();
        TensorData::from_f32(shape.to_vec(), &values).unwrap()
    };
    let tensors = tensors
        .iter()
        .map(|(name, shape)| ((*name).to_owned(), tensor(shape)))
        .collect();
    write(path, &BTreeMap::new(), &tensors, Overwrite::Replace).unwrap();
}

fn values(path: &Path, values: &[f32], shape: &[usize]) {
    let tensor = TensorData::from_f32(shape.to_vec(), values).unwrap();
    let tensors = BTreeMap::from([("w".to_owned(), tensor)]);
    write(path, &BTreeMap::new(), &tensors, Overwrite::Replace).unwrap();
}

fn rows(anchors: &Anchors) -> Vec<Vec<f32>> {
    anchors.latents().to_vec2().unwrap()
}

/// The message about a file that must be refused: it names the file.
fn refused(path: &Path) -> String {
    let message = Anchors::read(path, DIM).unwrap_err().to_string();
    assert!(message.contains(path.to_str().unwrap()), "{message}");
    message
}

#[test]
fn what_other_programs_write_is_read() {
    let w = Anchors::read(&sample("projected_w.npz"), DIM).unwrap();
    assert_eq!(rows(&w), [[0.0, 0.25, 0.5]]);
    let w = Anchors::read(&sample("mystyle.pt"), DIM).unwrap();
    assert_eq!(rows(&w), [[1.0, 1.25, 1.5]]);
    let w = Anchors::read(&sample("projector.pt"), DIM).unwrap();
    assert_eq!(rows(&w), [[0.0, 0.25, 0.5], [2.0, 2.25, 2.5]]);
    assert_eq!(w.names().unwrap(), ["sea", "anna"]);
}

#[test]
fn one_tensor_may_have_any_of_the_shapes_and_any_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("anchors.safetensors");
    for (shape, count) in [
        (&[3][..], 1),
        (&[4, 3], 4),
        (&[4, 1, 3], 4),
        (&[4, 1, 1, 3], 4),
    ] {
        counting(&path, &[("codes", shape)]);
        let anchors = Anchors::read(&path, DIM).unwrap();
        assert_eq!((anchors.count(), anchors.dim()), (count, DIM));
        assert_eq!(rows(&anchors)[0], [0.0, 1.0, 2.0]);
        assert_eq!(anchors.names(), None);
    }
}

#[test]
fn a_folder_and_a_dict_hold_one_latent_for_each_name() {
    let dir = tempfile::tempdir().unwrap();
    counting(&dir.path().join("b.safetensors"), &[("w", &[1, 3])]);
    values(
        &dir.path().join("a.safetensors"),
        &[7.0, 8.0, 9.0].repeat(4),
        &[4, 3],
    );
    std::fs::copy(sample("projected_w.npz"), dir.path().join("c.npz")).unwrap();
    std::fs::write(dir.path().join("notes.txt"), "no latent").unwrap();
    std::fs::write(dir.path().join(".b.pt"), "hidden").unwrap();
    let anchors = Anchors::read(dir.path(), DIM).unwrap();
    assert_eq!(
        rows(&anchors),
        [[7.0, 8.0, 9.0], [0.0, 1.0, 2.0], [0.0, 0.25, 0.5]]
    );
    assert_eq!(anchors.names().unwrap(), ["a", "b", "c"]);

    let path = dir.path().join("all.safetensors");
    counting(&path, &[("x.png", &[3]), ("y.png", &[1, 1, 3])]);
    let anchors = Anchors::read(&path, DIM).unwrap();
    assert_eq!(
        (anchors.count(), anchors.names().unwrap()),
        (2, &["x".to_owned(), "y".to_owned()][..])
    );
}

#[test]
fn a_code_whose_rows_differ_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("wplus.safetensors");
    counting(&path, &[("w", &[2, 4, 3])]);
    let message = refused(&path);
    assert!(
        message.contains("not a W code") && message.contains("invert the picture into W"),
        "{message}"
    );
    let code = Tensor::arange(0.0_f32, 12.0, &Device::Cpu).unwrap();
    assert!(Anchors::new(&code.reshape((1, 1, 4, 3)).unwrap()).is_err());
}

#[test]
fn files_that_hold_no_fitting_latents_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.safetensors");
    for (tensors, word) in [
        (&[("w", &[2, 4][..])][..], "the generator's 3"),
        (&[("w", &[0, 3])], "at least one"),
        (&[("w", &[2, 0, 3])], "at least one"),
        (&[], "at least one"),
        (&[("w", &[1, 1, 1, 1, 3])], "expected latents"),
        (&[("x", &[2, 1, 3]), ("y", &[3])], "expected one"),
        (&[("x", &[5]), ("y", &[3])], "\"x\""),
        (&[("x.png", &[3]), ("x.jpg", &[3])], "two entries"),
    ] {
        counting(&path, tensors);
        let message = refused(&path);
        assert!(message.contains(word), "{message}");
    }
    values(&path, &[0.0, f32::NAN, 1.0], &[3]);
    assert!(refused(&path).contains("element 1 is NaN"));
    std::fs::write(&path, "garbage").unwrap();
    assert!(refused(&path).contains("text file"));
    refused(&dir.path().join("absent.pt"));
}

#[test]
fn folders_that_hold_no_fitting_latents_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    assert!(refused(dir.path()).contains("holds no latent"));
    counting(&dir.path().join("a.safetensors"), &[("w", &[3])]);
    std::fs::copy(sample("mystyle.pt"), dir.path().join("a.pt")).unwrap();
    let message = Anchors::read(dir.path(), DIM).unwrap_err().to_string();
    assert!(message.contains("another file of this name"), "{message}");
    std::fs::remove_file(dir.path().join("a.pt")).unwrap();
    counting(&dir.path().join("b.safetensors"), &[("w", &[2, 1, 3])]);
    let message = Anchors::read(dir.path(), DIM).unwrap_err().to_string();
    assert!(
        message.contains("b.safetensors: holds 2 latents"),
        "{message}"
    );
}

#[test]
fn each_picture_gets_the_anchor_of_its_name() {
    let anchors = Anchors::read(&sample("projector.pt"), DIM).unwrap();
    let sorted = anchors.for_pictures(&["anna", "sea"]).unwrap();
    assert_eq!(rows(&sorted), [[2.0, 2.25, 2.5], [0.0, 0.25, 0.5]]);
    for (pictures, word) in [
        (&["anna"][..], "\"sea\" without one"),
        (&["anna", "anna"], "none for the picture \"anna\""),
        (&["anna", "sea", "hill"], "none for the picture \"hill\""),
    ] {
        let message = anchors.for_pictures(pictures).unwrap_err().to_string();
        assert!(message.contains(word), "{message}");
    }
}

#[test]
fn anchors_without_names_need_as_many_pictures() {
    let anchors =
        Anchors::new(&Tensor::ones((2, 3), candle_core::DType::F32, &Device::Cpu).unwrap())
            .unwrap();
    assert!(anchors.for_pictures(&["x", "y"]).is_ok());
    let message = anchors.for_pictures(&["x"]).unwrap_err().to_string();
    assert!(message.contains("2 for 1 pictures"), "{message}");
}

#[test]
fn latents_that_are_none_are_refused() {
    let zeros =
        |shape: &[usize]| Tensor::zeros(shape, candle_core::DType::F32, &Device::Cpu).unwrap();
    assert!(Anchors::new(&zeros(&[0, 3])).is_err());
    assert!(Anchors::new(&zeros(&[3])).is_err());
    assert!(Anchors::new(&zeros(&[2, 2, 2, 3])).is_err());
    let message = Anchors::new(&(zeros(&[1, 3]) / 0.0).unwrap()).unwrap_err();
    assert!(message.to_string().contains("finite"), "{message}");
}
