//! Tensors and storages that lie about themselves: a one-line error, never a panic.
#![allow(clippy::unwrap_used)] // In helpers of tests too.

mod common;

use common::{
    archive, call, int, long, persistent, pickle, read, refused, tensor, text, torch_legacy,
    torch_zip, tuple,
};
use domex_checkpoint::Problem;
use domex_checkpoint::foreign::{Format, state_dict};
use zip::CompressionMethod::{Deflated, Stored};

/// Every refusal names what is wrong.
fn refused_for(bytes: &[u8], word: &str) {
    let message = refused(bytes);
    assert!(message.contains(word), "expected {word:?} in: {message}");
}

#[test]
fn tensors_outside_their_storage() {
    let storage = persistent("FloatStorage", "0", 4);
    let zip = |value: &[u8]| torch_zip(value, &[0; 16], Stored);
    read(&zip(&tensor(&storage, 0, &[2, 2], &[2, 1]))).unwrap();
    read(&zip(&tensor(&storage, 0, &[0, 5], &[5, 1]))).unwrap();
    for (offset, shape, strides) in [
        (1, vec![4], vec![1]),
        (0, vec![5], vec![1]),
        (0, vec![2, 2], vec![3, 1]),
        (-1, vec![1], vec![1]),
        (3, vec![4], vec![-2]),
        (i64::MAX, vec![4], vec![i64::MAX]),
        (0, vec![2], vec![]),
        (0, vec![], vec![1]),
    ] {
        refused_for(
            &zip(&tensor(&storage, offset, &shape, &strides)),
            "outside its storage",
        );
    }
    refused_for(&zip(&tensor(&storage, 0, &[-1], &[1])), "negative");
    refused_for(
        &zip(&tensor(&storage, 0, &[i64::MAX, 4], &[0, 0])),
        "does not fit",
    );
    refused_for(&zip(&tensor(&storage, 0, &[1 << 40], &[0])), "more than");
    let views: Vec<Vec<u8>> = (0..20_000)
        .map(|_| tensor(&storage, 0, &[4], &[1]))
        .collect();
    read(&zip(&tuple(&views))).unwrap(); // small views may share
    let big = persistent("ByteStorage", "0", 1 << 20);
    let views: Vec<Vec<u8>> = (0..100)
        .map(|_| tensor(&big, 0, &[1 << 20], &[1]))
        .collect();
    refused_for(
        &torch_zip(&tuple(&views), &vec![0; 1 << 20], Stored),
        "tensors",
    );
}

#[test]
fn storages() {
    let zip = |id: &[u8]| torch_zip(&tensor(id, 0, &[4], &[1]), &[0; 16], Stored);
    refused_for(&zip(&persistent("FloatStorage", "1", 4)), "missing");
    refused_for(&zip(&persistent("FloatStorage", "../../0", 4)), "missing");
    refused_for(&zip(&persistent("FloatStorage", "0", 5)), "cut short");
    refused_for(
        &zip(&persistent("FloatStorage", "0", i64::MAX)),
        "does not fit",
    );
    refused_for(&zip(&persistent("FloatStorage", "0", -4)), "negative");
    refused_for(
        &zip(&persistent("ComplexFloatStorage", "0", 2)),
        "ComplexFloatStorage",
    );
    refused_for(&zip(b"NQ"), "tuple");
    let legacy = |count: i64, data: usize| {
        let value = tensor(&persistent("FloatStorage", "0", 4), 0, &[4], &[1]);
        torch_legacy(
            &value,
            &["0"],
            &[&count.to_le_bytes()[..], &vec![0; data]].concat(),
        )
    };
    read(&legacy(4, 16)).unwrap();
    refused_for(&legacy(5, 20), "expected 4");
    refused_for(&legacy(i64::MAX, 16), "expected 4");
    refused_for(&legacy(4, 15), "cut short");
    let value = tensor(&persistent("FloatStorage", "0", 4), 0, &[4], &[1]);
    refused_for(&torch_legacy(&value, &["1"], &[0; 64]), "does not refer");
    refused_for(&torch_legacy(&value, &[], &[]), "does not hold");
    let nested = |bytes: &[u8]| {
        let bytes = [&b"B"[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat();
        pickle(&tensor(
            &call("torch.storage._load_from_bytes", &[bytes]),
            0,
            &[4],
            &[1],
        ))
    };
    refused_for(&nested(b"garbage"), "byte string");
    refused_for(&nested(&legacy(4, 16)), "single storage");
    refused_for(&pickle(&tensor(&int(3), 0, &[4], &[1])), "unknown kind");
    refused_for(
        &pickle(&tensor(&persistent("FloatStorage", "0", 4), 0, &[4], &[1])),
        "outside",
    );
}

#[test]
fn archives() {
    let value = tensor(&persistent("FloatStorage", "0", 4), 0, &[4], &[1]);
    let good = torch_zip(&value, &[7; 16], Stored);
    assert_eq!(read(&good).unwrap().format, Format::TorchZip);
    let at = good.windows(16).position(|w| w == [7; 16]).unwrap();
    let mut wrong = good.clone();
    wrong[at] ^= 1;
    refused_for(&wrong, "hecksum");
    // A megabyte from a kilobyte.
    let bomb = tensor(
        &persistent("FloatStorage", "0", 1 << 24),
        0,
        &[1 << 24],
        &[1],
    );
    refused_for(&torch_zip(&bomb, &vec![0; 1 << 26], Deflated), "unpacking");
    let two = [
        ("a/data.pkl", &pickle(&value)[..]),
        ("b/data.pkl", &pickle(&value)),
    ];
    refused_for(&archive(&two, Stored), "twice");
}

#[test]
fn byte_order() {
    let value = tensor(&persistent("FloatStorage", "0", 2), 0, &[2], &[1]);
    let pickle = pickle(&value);
    let file = |order: &[u8], data: &[u8]| {
        archive(
            &[
                ("a/data.pkl", &pickle),
                ("a/byteorder", order),
                ("a/data/0", data),
            ],
            Stored,
        )
    };
    let little: Vec<u8> = [1.5f32, -2.0]
        .iter()
        .flat_map(|v| v.to_le_bytes())
        .collect();
    let big: Vec<u8> = [1.5f32, -2.0]
        .iter()
        .flat_map(|v| v.to_be_bytes())
        .collect();
    for bytes in [file(b"little", &little), file(b"big", &big)] {
        let value = read(&bytes).unwrap().value;
        assert_eq!(
            value.get("x").unwrap().as_tensor().unwrap().to_f64_vec(),
            [1.5, -2.0]
        );
    }
    refused_for(&file(b"middle", &little), "byteorder");
}

#[test]
fn strided_views_are_copied_out() {
    let data: Vec<u8> = (0..6u8).flat_map(|i| f32::from(i).to_le_bytes()).collect();
    let view = |offset, shape: &[i64], strides: &[i64]| {
        let value = tensor(&persistent("FloatStorage", "0", 6), offset, shape, strides);
        let value = read(&torch_zip(&value, &data, Stored)).unwrap().value;
        value.get("x").unwrap().as_tensor().unwrap().to_f64_vec()
    };
    assert_eq!(view(0, &[3, 2], &[1, 3]), [0., 3., 1., 4., 2., 5.]);
    assert_eq!(view(1, &[2, 2], &[3, 1]), [1., 2., 4., 5.]);
    assert_eq!(view(2, &[3], &[0]), [2., 2., 2.]);
    assert_eq!(view(5, &[], &[]), [5.]);
    assert_eq!(view(2, &[1, 2], &[i64::MAX, 1]), [2., 3.]);
}

#[test]
fn numpy_arrays() {
    let dtype = |code: &str| {
        call(
            "numpy.dtype",
            &[text(code), b"\x89".to_vec(), b"\x88".to_vec()],
        )
    };
    let array = |code: &str, shape: &[i64], data: &[u8]| {
        let shape = tuple(&shape.iter().map(|&n| long(n)).collect::<Vec<_>>());
        let data = [&b"B"[..], &(data.len() as u32).to_le_bytes(), data].concat();
        let state = tuple(&[int(1), shape, dtype(code), b"\x89".to_vec(), data]);
        let made = call("numpy.core.multiarray._reconstruct", &[int(0)]);
        pickle(&[made, state, b"b".to_vec()].concat())
    };
    read(&array("f4", &[2], &[0; 8])).unwrap();
    refused_for(&array("f4", &[3], &[0; 8]), "needs 12");
    refused_for(&array("f4", &[-3], &[0; 8]), "negative");
    refused_for(&array("f4", &[1 << 40, 1 << 40], &[0; 8]), "does not fit");
    refused_for(&array("q9", &[2], &[0; 8]), "q9");
    let complex = read(&array("c8", &[1], &[0; 8])).unwrap().value;
    assert!(complex.get("x").unwrap().as_object().is_some());
    let scalar = call(
        "numpy.core.multiarray.scalar",
        &[dtype("f8"), b"C\x02ab".to_vec()],
    );
    refused_for(&pickle(&scalar), "number of bytes");
}

#[test]
fn persistent_objects_without_their_parts() {
    let object = |meta: &[u8]| {
        pickle(&call(
            "torch_utils.persistence._reconstruct_persistent_obj",
            &[meta.to_vec()],
        ))
    };
    refused_for(&object(b"N"), "dict");
    refused_for(&object(b"}"), "class_name");
    refused_for(
        &object(&[&b"}"[..], &text("class_name"), &text("G"), b"s"].concat()),
        "state",
    );
}

#[test]
fn state_dicts_of_other_things() {
    let value = |bytes: &[u8]| {
        read(&pickle(bytes))
            .unwrap()
            .value
            .get("x")
            .unwrap()
            .clone()
    };
    for bytes in [
        &b"N"[..],
        b"]",
        b"}",
        b"K\x01",
        b"}X\x01\0\0\0aK\x01s",
        b"}K\x01Ns",
    ] {
        let error = state_dict(&value(bytes)).unwrap_err();
        assert!(
            matches!(error.problem().unwrap().root(), Problem::Type { .. }),
            "{error}"
        );
    }
}
