//! Building blocks of hostile files.
// Each test program uses some of them; and clippy sees no tests here.
#![allow(dead_code, clippy::unwrap_used)]

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domex_checkpoint::foreign::{self, Foreign};
use domex_checkpoint::{Bytes, Error, Object, TensorData, Value, pickle};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A file under `tests/`.
pub fn file(name: &str) -> Vec<u8> {
    std::fs::read(
        PathBuf::from(env!("CARGO_MANIFEST_DIR"))
            .join("tests")
            .join(name),
    )
    .unwrap()
}

/// Reads a file from memory.
pub fn read(bytes: &[u8]) -> Result<Foreign, Error> {
    foreign::read_bytes(Path::new("hostile.bin"), &Bytes::from(bytes.to_vec()))
}

/// The message about a file that must be refused: one line that names the file.
pub fn refused(bytes: &[u8]) -> String {
    let message = read(bytes)
        .expect_err("a hostile file was read")
        .to_string();
    assert_eq!(message.lines().count(), 1, "{message}");
    assert!(message.starts_with("hostile.bin: "), "{message}");
    assert!(message.len() < 600, "{message}");
    message
}

/// A safetensors file with this header and as much data.
pub fn safetensors(header: &str, data: usize) -> Vec<u8> {
    let mut out = (header.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(header.as_bytes());
    out.resize(out.len() + data, 0);
    out
}

/// A zip archive of records.
pub fn archive(records: &[(&str, &[u8])], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    for (name, bytes) in records {
        zip.start_file(*name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// Protocol 2 text.
pub fn text(s: &str) -> Vec<u8> {
    [&b"X"[..], &(s.len() as u32).to_le_bytes(), s.as_bytes()].concat()
}

/// Protocol 2 integer.
pub fn int(value: i32) -> Vec<u8> {
    [&b"J"[..], &value.to_le_bytes()].concat()
}

/// Protocol 2 integer of 64 bits.
pub fn long(value: i64) -> Vec<u8> {
    [&b"\x8a\x08"[..], &value.to_le_bytes()].concat()
}

/// A tuple of pickled values.
pub fn tuple(parts: &[Vec<u8>]) -> Vec<u8> {
    [&b"("[..], &parts.concat(), b"t"].concat()
}

/// A call of a named function.
pub fn call(name: &str, args: &[Vec<u8>]) -> Vec<u8> {
    let (module, name) = name.rsplit_once('.').unwrap();
    [
        format!("c{module}\n{name}\n").as_bytes(),
        &tuple(args),
        b"R",
    ]
    .concat()
}

/// A reference to a storage.
pub fn persistent(class: &str, key: &str, elements: i64) -> Vec<u8> {
    let global = format!("ctorch\n{class}\n").into_bytes();
    let id = tuple(&[
        text("storage"),
        global,
        text(key),
        text("cpu"),
        long(elements),
    ]);
    [id, b"Q".to_vec()].concat()
}

/// A tensor on a storage.
pub fn tensor(storage: &[u8], offset: i64, shape: &[i64], strides: &[i64]) -> Vec<u8> {
    let list = |values: &[i64]| tuple(&values.iter().map(|&v| long(v)).collect::<Vec<_>>());
    let args = [
        storage.to_vec(),
        long(offset),
        list(shape),
        list(strides),
        b"\x89".to_vec(),
    ];
    call("torch._utils._rebuild_tensor_v2", &args)
}

/// A pickle of a dict `{"x": value}`.
pub fn pickle(value: &[u8]) -> Vec<u8> {
    [&b"\x80\x02}"[..], &text("x"), value, b"s."].concat()
}

/// A torch zip file with one storage record.
pub fn torch_zip(value: &[u8], storage: &[u8], method: CompressionMethod) -> Vec<u8> {
    archive(
        &[("a/data.pkl", &pickle(value)), ("a/data/0", storage)],
        method,
    )
}

/// A torch file of the older kind with these storages.
pub fn torch_legacy(value: &[u8], keys: &[&str], storages: &[u8]) -> Vec<u8> {
    let magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.";
    let keys: Vec<u8> = keys.iter().flat_map(|key| text(key)).collect();
    let keys = [&b"\x80\x02]("[..], &keys, b"e."].concat();
    [&magic[..], &pickle(value), &keys, storages].concat()
}

/// A dict of these entries.
pub fn dict(entries: &[(&str, Value)]) -> Value {
    let entries = entries.iter().cloned();
    Value::Dict(
        entries
            .map(|(key, value)| (Value::Str(key.into()), value))
            .collect(),
    )
}

/// A class called with arguments, and a module's state.
pub fn object(class: &str, args: &[Value], state: Value) -> Value {
    Value::Object(Arc::new(Object {
        class: class.into(),
        persistent: false,
        args: args.into(),
        state,
        items: Arc::default(),
        entries: Arc::default(),
    }))
}

/// A module with keyword arguments and weights.
pub fn module() -> Value {
    let weight = TensorData::from_f32(vec![2, 3], &[0.5, -1.0, 2.0, f32::MIN, 1e-9, 3.0]).unwrap();
    let state = dict(&[("fc.weight", Value::Tensor(Arc::new(weight)))]);
    let kwargs = dict(&[("size", Value::Int(3)), ("limit", Value::None)]);
    object("somewhere.networks.Network", &[kwargs], state)
}

/// A pickle that `pickle::write` makes of it.
pub fn module_pickle() -> Vec<u8> {
    pickle::to_bytes(&dict(&[("G", module())])).unwrap()
}
