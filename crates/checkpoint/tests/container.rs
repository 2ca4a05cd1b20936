//! The container and the safetensors writer: what is written comes back, or nothing is written.
#![allow(clippy::unwrap_used)] // In helpers of tests too.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::container::{Container, Overwrite, Writer};
use domex_checkpoint::foreign::{self, Format};
use domex_checkpoint::{Dtype, Error, Problem, TensorData, safetensors};
use serde_json::json;

fn sample() -> Writer {
    let mut writer = Writer::new("stylegan2", &json!({ "z_dim": 8 }))
        .expansion(&json!({ "domains": ["sketch"] }))
        .provenance(&json!({ "seed": 3 }));
    let ramp = Tensor::arange(0f32, 24., &Device::Cpu)
        .unwrap()
        .reshape((2, 3, 4))
        .unwrap();
    for dtype in [
        DType::F16,
        DType::BF16,
        DType::F32,
        DType::F64,
        DType::I64,
        DType::I32,
        DType::U8,
    ] {
        let name = format!("generator_ema.{dtype:?}");
        writer
            .tensor(&name, &ramp.to_dtype(dtype).unwrap())
            .unwrap();
    }
    writer
        .data("scalar", TensorData::from_f32(vec![], &[1.5]).unwrap())
        .unwrap();
    writer
        .data("empty", TensorData::from_f32(vec![0, 3], &[]).unwrap())
        .unwrap();
    writer
}

fn listing(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name());
    let mut names: Vec<String> = names.map(|n| n.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn comes_back_as_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    sample().write(&path, Overwrite::Refuse).unwrap();
    let file = Container::open(&path).unwrap();
    assert_eq!(file.kind(), "stylegan2");
    assert_eq!(file.config(), &json!({ "z_dim": 8 }));
    assert_eq!(file.expansion(), Some(&json!({ "domains": ["sketch"] })));
    assert_eq!(file.provenance(), Some(&json!({ "seed": 3 })));
    assert_eq!(file.names().count(), 9);
    file.check_finite().unwrap();
    let under = file.under("generator_ema.");
    assert_eq!(under.len(), 7);
    for (name, data) in under {
        let tensor = file
            .tensor(&format!("generator_ema.{name}"), &Device::Cpu)
            .unwrap();
        assert_eq!(format!("{:?}", tensor.dtype()), name);
        let values = tensor.to_dtype(DType::F64).unwrap().flatten_all().unwrap();
        let wanted: Vec<f64> = (0..24).map(f64::from).collect();
        assert_eq!(values.to_vec1::<f64>().unwrap(), wanted);
        assert_eq!(
            (data.shape(), tensor.dims()),
            (&[2, 3, 4][..], &[2, 3, 4][..])
        );
    }
    let read = foreign::read(&path).unwrap();
    assert_eq!(read.format, Format::Domex);
    assert_eq!(read.metadata["kind"], "stylegan2");
}

#[test]
fn other_programs_can_read_it_and_bytes_repeat() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (folder.path().join("one"), folder.path().join("two"));
    sample().write(&one, Overwrite::Refuse).unwrap();
    sample().write(&two, Overwrite::Refuse).unwrap();
    let bytes = fs::read(&one).unwrap();
    assert_eq!(bytes, fs::read(&two).unwrap());
    let theirs = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(theirs.len(), 9);
    let view = theirs.tensor("generator_ema.F32").unwrap();
    assert_eq!(view.shape(), [2, 3, 4]);
    // Their data is aligned for use in place.
    assert_eq!(
        (view.data().as_ptr() as usize - bytes.as_ptr() as usize) % 4,
        0
    );
    let loaded = candle_core::safetensors::load(&one, &Device::Cpu).unwrap();
    assert_eq!(loaded["scalar"].to_scalar::<f32>().unwrap(), 1.5);
}

#[test]
fn the_header_is_sorted_and_the_data_aligned() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    let byte = TensorData::new(Dtype::U8, vec![1], vec![7]).unwrap();
    let mut writer = Writer::new("test", &json!({ "b": 1, "a": 2 }));
    writer.data("a", byte).unwrap();
    let float = TensorData::from_f32(vec![1, 1], &[1.0]).unwrap();
    writer.data("b", float).unwrap();
    writer.write(&path, Overwrite::Refuse).unwrap();
    let header = concat!(
        r#"{"__metadata__":{"checksum":"crc32:97c006fc","config":"{\"a\":2,\"b\":1}","format":"domex/1","kind":"test"},"#,
        r#""a":{"data_offsets":[4,5],"dtype":"U8","shape":[1]},"#,
        r#""b":{"data_offsets":[0,4],"dtype":"F32","shape":[1,1]}}"#,
    );
    let padded = format!("{header:width$}", width = header.len().next_multiple_of(8));
    let bytes = [
        &(padded.len() as u64).to_le_bytes(),
        padded.as_bytes(),
        &1.0f32.to_le_bytes(),
        &[7],
    ];
    assert_eq!(fs::read(&path).unwrap(), bytes.concat());
}

#[test]
fn refuses_to_overwrite_unless_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    fs::write(&path, "precious").unwrap();
    let error = sample().write(&path, Overwrite::Refuse).unwrap_err();
    assert!(matches!(error.problem(), Some(Problem::Exists)), "{error}");
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    sample().write(&path, Overwrite::Replace).unwrap();
    assert!(Container::open(&path).is_ok());
    assert_eq!(listing(folder.path()), ["model.safetensors"]);
}

#[test]
fn an_open_container_survives_its_replacement() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    sample().write(&path, Overwrite::Refuse).unwrap();
    let open = Container::open(&path).unwrap();
    let mut other = Writer::new("other", &json!({}));
    other
        .data("scalar", TensorData::from_f32(vec![], &[9.0]).unwrap())
        .unwrap();
    other.write(&path, Overwrite::Replace).unwrap();
    assert_eq!(open.data("scalar").unwrap().to_f64_vec(), [1.5]);
    assert_eq!(
        Container::open(&path)
            .unwrap()
            .data("scalar")
            .unwrap()
            .to_f64_vec(),
        [9.0]
    );
}

#[test]
fn a_failure_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("missing/model.safetensors");
    let error = sample().write(&nowhere, Overwrite::Replace).unwrap_err();
    assert!(matches!(error, Error::Io { .. }), "{error}");
    let taken = folder.path().join("folder");
    fs::create_dir(&taken).unwrap();
    assert!(sample().write(&taken, Overwrite::Replace).is_err());
    assert_eq!(listing(folder.path()), ["folder"]);
    assert!(listing(&taken).is_empty());
}

#[test]
fn names_are_given_once() {
    let mut writer = sample();
    let error = writer
        .data("scalar", TensorData::from_f32(vec![], &[0.0]).unwrap())
        .unwrap_err();
    assert!(error.to_string().contains("scalar"), "{error}");
}

#[test]
fn weights_that_are_not_numbers_are_refused_but_can_be_looked_at() {
    for (value, word) in [(f32::NAN, "NaN"), (f32::INFINITY, "inf")] {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("bad.safetensors");
        let mut writer = Writer::new("stylegan2", &json!({}));
        writer
            .data("fine", TensorData::from_f32(vec![2], &[0.0, 1.0]).unwrap())
            .unwrap();
        writer
            .data(
                "spoilt",
                TensorData::from_f32(vec![3], &[0.0, value, 1.0]).unwrap(),
            )
            .unwrap();
        writer.write(&path, Overwrite::Refuse).unwrap();
        let file = Container::open(&path).unwrap();
        assert_eq!(file.data("spoilt").unwrap().shape(), [3]);
        assert!(file.tensor("fine", &Device::Cpu).is_ok());
        let foreign = foreign::read(&path).unwrap();
        for error in [
            file.tensor("spoilt", &Device::Cpu).unwrap_err(),
            file.check_finite().unwrap_err(),
            foreign.weights(&foreign.value).unwrap_err(),
        ] {
            let text = error.to_string();
            for part in ["bad.safetensors", "spoilt", word, "element 1"] {
                assert!(text.contains(part), "{text}");
            }
            assert_eq!(text.lines().count(), 1);
        }
    }
}

#[test]
fn half_precision_is_checked_too() {
    let nan = [half::f16::ONE, half::f16::NAN]
        .map(half::f16::to_le_bytes)
        .concat();
    let tensor = TensorData::new(Dtype::F16, vec![2], nan).unwrap();
    assert_eq!(tensor.first_not_finite(), Some((1, "NaN")));
    let inf = [half::bf16::NEG_INFINITY, half::bf16::ONE]
        .map(half::bf16::to_le_bytes)
        .concat();
    let tensor = TensorData::new(Dtype::BF16, vec![2], inf).unwrap();
    assert_eq!(tensor.first_not_finite(), Some((0, "inf")));
}

#[test]
fn plain_state_dicts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plain.safetensors");
    let tensors: BTreeMap<String, TensorData> = [(
        "a.weight".to_owned(),
        TensorData::from_f32(vec![2], &[1.0, 2.0]).unwrap(),
    )]
    .into();
    safetensors::write(&path, &BTreeMap::new(), &tensors, Overwrite::Refuse).unwrap();
    let file = foreign::read(&path).unwrap();
    assert_eq!(file.format, Format::SafeTensors);
    assert_eq!(file.weights(&file.value).unwrap(), tensors);
    let error = Container::open(&path).unwrap_err().to_string();
    assert!(
        error.contains("domex/1") && error.lines().count() == 1,
        "{error}"
    );
}

#[test]
fn views_of_tensors() {
    let values: Vec<f32> = (0..6u8).map(f32::from).collect();
    let tensor = TensorData::from_f32(vec![2, 3], &values).unwrap();
    assert_eq!(
        tensor.permute(&[1, 0]).unwrap().to_f64_vec(),
        [0., 3., 1., 4., 2., 5.]
    );
    assert_eq!(
        tensor.flip(&[1]).unwrap().to_f64_vec(),
        [2., 1., 0., 5., 4., 3.]
    );
    assert_eq!(
        tensor.flip(&[0, 1]).unwrap().to_f64_vec(),
        [5., 4., 3., 2., 1., 0.]
    );
    assert_eq!(tensor.reshape(vec![3, 2]).unwrap().shape(), [3, 2]);
    assert!(tensor.permute(&[0, 0]).is_err());
    assert!(tensor.permute(&[0]).is_err());
    assert!(tensor.flip(&[2]).is_err());
    assert!(tensor.reshape(vec![4]).is_err());
    assert!(TensorData::from_f32(vec![usize::MAX, 4], &values).is_err());
}

/// A container with these metadata beside the usual ones.
fn with(metadata: &[(&str, &str)]) -> Vec<u8> {
    let usual = [
        ("format", "domex/1"),
        ("kind", "stylegan2"),
        ("config", "{}"),
    ];
    let metadata = usual.iter().chain(metadata);
    let metadata = metadata.map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let none: Vec<(String, ::safetensors::tensor::TensorView<'_>)> = Vec::new();
    ::safetensors::serialize(none, Some(metadata.collect())).unwrap()
}

fn read(bytes: Vec<u8>) -> Result<Container, String> {
    let bytes = domex_checkpoint::Bytes::from(bytes);
    Container::from_bytes(Path::new("model.safetensors"), &bytes).map_err(|e| e.to_string())
}

#[test]
fn a_newer_format_is_refused_with_both_formats() {
    let error = read(with(&[("format", "domex/2")])).unwrap_err();
    assert!(
        error.contains("domex/2") && error.contains("domex/1"),
        "{error}"
    );
}

#[test]
fn metadata_of_a_newer_program_are_refused_with_both_programs() {
    let error = read(with(&[
        ("gates", "{}"),
        ("provenance", r#"{"program": "domex 9.1.0"}"#),
    ]))
    .unwrap_err();
    let own = concat!("domex ", env!("CARGO_PKG_VERSION"));
    for part in ["model.safetensors", "gates", "domex 9.1.0", own] {
        assert!(error.contains(part), "{error}");
    }
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Known {}

#[test]
fn a_configuration_of_a_newer_program_is_refused_with_both_programs() {
    let file = read(with(&[
        ("config", r#"{"gates": 2}"#),
        ("provenance", r#"{"program": "domex 9.1.0"}"#),
    ]));
    let error = file.unwrap().config_as::<Known>().unwrap_err().to_string();
    let own = concat!("domex ", env!("CARGO_PKG_VERSION"));
    for part in ["model.safetensors", "gates", "domex 9.1.0", own] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn a_damaged_configuration_of_this_program_blames_no_version() {
    let own = concat!(r#"{"program": "domex "#, env!("CARGO_PKG_VERSION"), r#""}"#);
    let file = read(with(&[("config", "7"), ("provenance", own)])).unwrap();
    let error = file.config_as::<Known>().unwrap_err().to_string();
    assert!(!error.contains("wrote the file"), "{error}");
}

#[test]
fn a_file_that_is_no_container_is_not_found_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("file");
    for bytes in [&b"PK\x03\x04"[..], b"\x80\x02}.", b"some text"] {
        fs::write(&path, bytes).unwrap();
        assert!(Container::find(&path).unwrap().is_none());
    }
    let plain = std::collections::HashMap::from([(
        "w",
        Tensor::ones(2, DType::F32, &Device::Cpu).unwrap(),
    )]);
    candle_core::safetensors::save(&plain, &path).unwrap();
    assert!(Container::find(&path).unwrap().is_none());
    sample().write(&path, Overwrite::Replace).unwrap();
    assert_eq!(Container::find(&path).unwrap().unwrap().kind(), "stylegan2");
}
