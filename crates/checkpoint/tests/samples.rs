//! Pickles of every protocol, a TensorFlow network pickle and NumPy's files, made by `data/make_samples.py`.
#![allow(clippy::unwrap_used)] // In helpers of tests too.

use std::path::PathBuf;

use domex_checkpoint::foreign::{self, Format, tensorflow_networks};
use domex_checkpoint::{Dtype, Value};

fn data(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

#[test]
fn every_protocol_gives_the_same_values() {
    for protocol in 0..=5 {
        let file = foreign::read(data(&format!("plain_p{protocol}.pkl"))).unwrap();
        assert_eq!(file.format, Format::Pickle);
        println!("protocol {protocol}");
        check_plain(&file.value);
        check_arrays(&file.value);
    }
}

fn check_plain(value: &Value) {
    let get = |name: &str| value.get(name).unwrap_or_else(|| panic!("no {name}"));
    let slice = |name: &str| get(name).as_slice().unwrap().to_vec();
    assert_eq!(get("none"), &Value::None);
    assert_eq!(slice("bools"), [Value::Bool(true), Value::Bool(false)]);
    let small = [
        0,
        255,
        65535,
        -1,
        i64::from(i32::MAX),
        i64::from(i32::MIN),
        1 << 62,
    ];
    let mut ints: Vec<Value> = small.map(Value::Int).to_vec();
    ints.extend([Value::BigInt(1 << 100), Value::BigInt(-(1 << 100))]);
    assert_eq!(slice("ints"), ints);
    assert_eq!(
        slice("floats"),
        [0.5, -1e300, f64::INFINITY].map(Value::Float)
    );
    assert_eq!(get("text").as_str(), Some("héllo\n\\ 😀"));
    assert_eq!(
        get("bytes").as_bytes().unwrap(),
        (0..=255).collect::<Vec<u8>>()
    );
    let empty = slice("empty");
    assert!(empty[..2].iter().all(|v| v.as_slice() == Some(&[])));
    assert_eq!(empty[2].as_dict(), Some([].as_slice()));
    assert_eq!(
        (empty[3].as_str(), empty[4].as_bytes()),
        (Some(""), Some([].as_slice()))
    );
    let lengths: Vec<usize> = slice("tuples")
        .iter()
        .map(|t| t.as_slice().unwrap().len())
        .collect();
    assert_eq!(lengths, [1, 2, 3, 4]);
    assert!(matches!(get("set"), Value::Set(items) if **items == [Value::Int(5)]));
    assert!(matches!(get("frozen"), Value::Set(items) if **items == [Value::Int(6)]));
    assert_eq!(value.path(&["ordered", "b"]), Some(&Value::Int(2)));
    assert_eq!(value.path(&["easy", "z_dim"]), Some(&Value::Int(8)));
    assert_eq!(
        value.path(&["easy", "inner", "x"]),
        Some(&Value::Float(1.5))
    );
    assert_eq!(slice("shared")[0], slice("shared")[1]);
    let object = get("object").as_object().unwrap();
    assert_eq!(
        (&*object.class, object.persistent),
        ("somewhere.Plain", false)
    );
    assert_eq!(get("object").get("size"), Some(&Value::Int(7)));
    assert!(matches!(get("class"), Value::Global(name) if **name == *"collections.OrderedDict"));
    assert_eq!(value.to_json()["easy"]["inner"]["x"], 1.5);
}

fn check_arrays(value: &Value) {
    let tensor = |name: &str| value.get(name).unwrap().as_tensor().unwrap().clone();
    let wanted: Vec<f64> = (0..12).map(|i| f64::from(i) / 8.0 - 0.5).collect();
    for name in ["array", "fortran", "big_endian"] {
        assert_eq!(tensor(name).shape(), [3, 4], "{name}");
        assert_eq!(tensor(name).dtype(), Dtype::F32);
        assert_eq!(tensor(name).to_f64_vec(), wanted, "{name}");
    }
    let strided: Vec<f64> = wanted.iter().copied().step_by(2).collect();
    assert_eq!(
        (tensor("strided").to_f64_vec(), tensor("strided").shape()),
        (strided, &[3, 2][..])
    );
    assert_eq!(tensor("scalar_array").shape(), [0; 0]);
    assert_eq!(tensor("scalar_array").to_f64_vec(), [2.5]);
    assert_eq!(
        (
            tensor("empty_array").shape(),
            tensor("empty_array").elements()
        ),
        (&[0, 3][..], 0)
    );
    for (name, dtype, last) in [
        ("bool", Dtype::Bool, 1.0),
        ("u1", Dtype::U8, 100.0),
        ("i1", Dtype::I8, 100.0),
        ("u2", Dtype::U16, 100.0),
        ("i2", Dtype::I16, 100.0),
        ("u4", Dtype::U32, 100.0),
        ("i4", Dtype::I32, 100.0),
        ("u8", Dtype::U64, 100.0),
        ("i8", Dtype::I64, 100.0),
        ("f2", Dtype::F16, 100.0),
        ("f4", Dtype::F32, 100.0),
        ("f8", Dtype::F64, 100.0),
    ] {
        let tensor = value.path(&["arrays", name]).unwrap().as_tensor().unwrap();
        assert_eq!(tensor.dtype(), dtype);
        assert_eq!(tensor.to_f64_vec(), [0.0, 1.0, last], "{name}");
        let tensor = tensor.to_tensor(&candle_core::Device::Cpu).unwrap();
        let tensor = tensor.to_dtype(candle_core::DType::F64).unwrap();
        assert_eq!(tensor.to_vec1::<f64>().unwrap(), [0.0, 1.0, last], "{name}");
    }
    let scalars = value.get("scalars").unwrap().as_slice().unwrap();
    let wanted = [
        Value::Float(0.25),
        Value::Float(-2.0),
        Value::Int(-3),
        Value::Bool(true),
        Value::BigInt(1 << 63),
    ];
    assert_eq!(scalars, wanted);
    // Text arrays are no tensors, and do no harm.
    let words = value.get("words").unwrap().as_object().unwrap();
    assert!(words.class.starts_with("numpy"), "{}", words.class);
    assert_eq!(tensor("doubles").to_f64_vec(), [0.1, 1.0 / 3.0]);
}

#[test]
fn tensorflow_networks_with_components() {
    let file = foreign::read(data("tensorflow_tiny.pkl")).unwrap();
    assert_eq!(file.format, Format::TensorFlow);
    let networks = tensorflow_networks(&file.value).unwrap();
    let names: Vec<&str> = networks.iter().map(|n| n.name.as_str()).collect();
    assert_eq!(names, ["G", "D", "Gs"]);
    let generator = &networks[2];
    assert_eq!(
        (generator.version, generator.build_func_name.as_str()),
        (4, "G_main")
    );
    assert_eq!(
        generator.static_kwargs.get("latent_size"),
        Some(&Value::Int(6))
    );
    assert_eq!(generator.variables["dlatent_avg"].shape(), [5]);
    assert_eq!(generator.variables["mapping/Dense0/weight"].shape(), [6, 5]);
    assert_eq!(
        generator.variables["synthesis/8x8/Conv0_up/weight"].shape(),
        [3, 3, 4, 3]
    );
    assert_eq!(
        generator.variables["synthesis/4x4/Conv/noise_strength"].shape(),
        [0; 0]
    );
    assert_eq!(networks[1].variables["4x4/Dense0/weight"].shape(), [64, 4]);
}

#[test]
fn numpy_archives_and_single_arrays() {
    let file = foreign::read(data("projected_w.npz")).unwrap();
    assert_eq!(file.format, Format::NumPy);
    let w = file.get("w").unwrap().as_tensor().unwrap();
    assert_eq!((w.dtype(), w.shape()), (Dtype::F32, &[1, 4, 3][..]));
    assert_eq!(w.to_f64_vec(), [0.0, 0.25, 0.5].repeat(4));

    let file = foreign::read(data("arrays.npz")).unwrap();
    let tensor = |name: &str| file.value.get(name).unwrap().as_tensor().unwrap().clone();
    let matrix = tensor("column_major");
    assert_eq!((matrix.dtype(), matrix.shape()), (Dtype::F64, &[2, 3][..]));
    assert_eq!(matrix.to_f64_vec(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(tensor("big_endian").to_i64_vec().unwrap(), [0, 1, 2]);
    assert_eq!(tensor("truth").to_i64_vec().unwrap(), [1, 0]);
    assert_eq!(tensor("scalar").shape(), [0; 0]);
    assert_eq!(tensor("scalar").to_f64_vec(), [0.5]);
    assert_eq!(tensor("empty").shape(), [0, 3]);

    let file = foreign::read(data("array.npy")).unwrap();
    let array = file.value.as_tensor().unwrap();
    assert_eq!(array.shape(), [3, 2]);
    assert_eq!(array.to_i64_vec().unwrap(), [0, 1, 2, 3, 4, 5]);
}
