//! Pickles that this crate writes.
#![allow(clippy::unwrap_used)] // In helpers of tests too.

mod common;

use std::sync::Arc;

use common::{dict, module, object, read, text};
use domex_checkpoint::container::Overwrite;
use domex_checkpoint::foreign::{self, Format};
use domex_checkpoint::{Bytes, Dtype, TensorData, Value, pickle};

fn back(value: &Value) -> Value {
    read(&pickle::to_bytes(value).unwrap()).unwrap().value
}

fn tensor(dtype: Dtype, shape: &[usize]) -> Value {
    let len = shape.iter().product::<usize>() * dtype.size();
    let bytes: Vec<u8> = (0..len).map(|at| (at % 2) as u8).collect();
    Value::Tensor(Arc::new(
        TensorData::new(dtype, shape.to_vec(), bytes).unwrap(),
    ))
}

#[test]
fn what_is_written_comes_back() {
    let ints = [0, -1, 255, 1 << 31, i64::MAX, i64::MIN].map(Value::Int);
    let long = "é".repeat(300);
    let value = dict(&[
        ("none", Value::None),
        ("bools", Value::Tuple([true, false].map(Value::Bool).into())),
        ("ints", Value::List(ints.into())),
        ("big", Value::BigInt(-(1 << 100))),
        ("float", Value::Float(-1e300)),
        (
            "texts",
            Value::List(["", "a", &long].map(|t| Value::Str(t.into())).into()),
        ),
        (
            "bytes",
            Value::Bytes(Arc::new(Bytes::from(vec![7; 70_000]))),
        ),
        ("set", Value::Set([Value::Int(5)].into())),
        (
            "empty",
            Value::List([Value::Tuple([].into()), dict(&[]), Value::List([].into())].into()),
        ),
        ("class", Value::Global("torch.float32".into())),
        ("plain", object("torch.nn.Identity", &[], Value::None)),
        ("module", module()),
        ("scalar", tensor(Dtype::F32, &[])),
    ]);
    assert_eq!(back(&value), value);
    // More names than one byte counts.
    let many = (0..150).map(|at| object(&format!("a.b{at}"), &[], Value::None));
    let many: Vec<Value> = many.clone().chain(many).collect();
    let many = Value::List(many.into());
    assert_eq!(back(&many), many);
}

#[test]
fn tensors_of_every_type_that_torch_and_numpy_have() {
    for dtype in Dtype::ALL {
        let value = tensor(dtype, &[2, 1, 3]);
        match dtype {
            Dtype::U16 | Dtype::U32 | Dtype::U64 | Dtype::BF16 => {
                let error = pickle::to_bytes(&value).unwrap_err().to_string();
                assert!(error.contains(&dtype.to_string()), "{error}");
            }
            _ => assert_eq!(back(&value), value),
        }
    }
}

#[test]
fn one_object_stays_one_and_its_tensors_are_found() {
    let module = module();
    let value = back(&dict(&[("G", module.clone()), ("G_ema", module.clone())]));
    let (Some(Value::Object(one)), Some(Value::Object(two))) = (value.get("G"), value.get("G_ema"))
    else {
        panic!("{value:?}");
    };
    assert!(Arc::ptr_eq(one, two));
    let tensors = foreign::state_dict(value.get("G").unwrap()).unwrap();
    assert_eq!(tensors.into_keys().collect::<Vec<_>>(), ["fc.weight"]);
}

#[test]
fn a_file_is_whole_or_absent() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("network.pkl");
    let value = dict(&[("G", module())]);
    pickle::write(&path, &value, Overwrite::Refuse).unwrap();
    let file = foreign::read(&path).unwrap();
    assert_eq!((file.format, &file.value), (Format::Pickle, &value));
    let error = pickle::write(&path, &value, Overwrite::Refuse).unwrap_err();
    assert!(error.to_string().contains("exists already"), "{error}");
    let no_form = object("Bare", &[], Value::None);
    let error = pickle::write(&path, &no_form, Overwrite::Replace).unwrap_err();
    assert!(
        error.to_string().contains("network.pkl: expected a class"),
        "{error}"
    );
    assert_eq!(foreign::read(&path).unwrap().value, value);
}

/// Forms that are nearly those of a module are data like any other call.
#[test]
fn other_calls_of_these_functions_are_objects() {
    let global = |module: &str, name: &str| [text(module), text(name), b"\x93".to_vec()].concat();
    let pickle = |parts: &[Vec<u8>]| [b"\x80\x04".to_vec(), parts.concat(), b".".to_vec()].concat();
    let getitem = global("operator", "getitem");
    let tuple = b"K\x01K\x02\x86K\x00\x86R".to_vec();
    let value = read(&pickle(&[getitem, tuple])).unwrap().value;
    assert_eq!(&*value.as_object().unwrap().class, "operator.getitem");
    let partial = global("functools", "partial");
    let value = read(&pickle(&[partial, b"K\x01\x85R)R".to_vec()]))
        .unwrap()
        .value;
    assert_eq!(&*value.as_object().unwrap().class, "(computed)");
    let array = global("numpy", "ndarray");
    let value = read(&pickle(&[array.clone(), b"K\x02\x85\x85R".to_vec()]))
        .unwrap()
        .value;
    assert_eq!(&*value.as_object().unwrap().class, "numpy.ndarray");
    // An array that its bytes do not fill.
    let short = [
        b"K\x02\x85".to_vec(),
        text("<f4"),
        b"C\x04abcd\x87R".to_vec(),
    ]
    .concat();
    let error = common::refused(&pickle(&[array, short]));
    assert!(error.contains("its shape needs 8"), "{error}");
}
