//! Damaged and hostile files of every format: a one-line error, never a panic.
#![allow(clippy::unwrap_used)] // In helpers of tests too.

mod common;

use common::{
    archive, call, file, persistent, pickle, read, refused, safetensors, tensor, text,
    torch_legacy, torch_zip,
};
use domex_checkpoint::Value;
use zip::CompressionMethod::{Deflated, Stored};

/// Every refusal names what is wrong.
fn refused_for(bytes: &[u8], word: &str) {
    let message = refused(bytes);
    assert!(message.contains(word), "expected {word:?} in: {message}");
}

const SMALL: [&str; 10] = [
    "data/plain_p0.pkl",
    "data/plain_p1.pkl",
    "data/plain_p2.pkl",
    "data/plain_p3.pkl",
    "data/plain_p4.pkl",
    "data/plain_p5.pkl",
    "data/tensorflow_tiny.pkl",
    "data/projected_w.npz",
    "data/arrays.npz",
    "data/array.npy",
];

#[test]
fn cut_short_at_every_byte() {
    for name in SMALL {
        let bytes = file(name);
        for len in 0..bytes.len() {
            refused(&bytes[..len]);
        }
    }
    let floats: Vec<u8> = (0..8).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let value = tensor(&persistent("FloatStorage", "0", 8), 0, &[2, 4], &[4, 1]);
    let counted = [&8i64.to_le_bytes()[..], &floats].concat();
    for bytes in [
        torch_zip(&value, &floats, Stored),
        torch_zip(&value, &floats, Deflated),
        torch_legacy(&value, &["0"], &counted),
        safetensors(
            r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#,
            8,
        ),
    ] {
        read(&bytes).unwrap();
        for len in 0..bytes.len() {
            refused(&bytes[..len]);
        }
    }
}

#[test]
fn large_files_cut_short_anywhere() {
    for name in [
        "golden/nvlabs_tiny.pkl",
        "golden/rosinality_tiny.pt",
        "golden/rosinality_tiny_legacy.pt",
        "golden/rosinality_tiny.safetensors",
        "golden/domain_expansion_snapshot_tiny.pkl",
    ] {
        let bytes = file(name);
        for len in (0..bytes.len()).step_by(4999).chain([bytes.len() - 1]) {
            refused(&bytes[..len]);
        }
    }
}

#[test]
fn no_checkpoint_at_all() {
    refused_for(b"", "empty");
    refused_for(b"Just a few words.\n", "text");
    refused_for(b"<!DOCTYPE html><html></html>", "web page");
    refused_for(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "not a checkpoint");
    refused_for(&[0; 64], "not a checkpoint");
    refused_for(b"\x80\x09.", "not a checkpoint");
    refused_for(&archive(&[("readme.txt", b"hello")], Stored), "data.pkl");
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_owned(), folder.path().join("missing.pt")] {
        let message = domex_checkpoint::foreign::read(&path)
            .unwrap_err()
            .to_string();
        assert!(message.contains(path.to_str().unwrap()), "{message}");
    }
}

#[test]
fn a_file_name_with_a_line_break_stays_on_one_line() {
    let path = std::path::Path::new("two\nlines.pt");
    let error = domex_checkpoint::foreign::read(path)
        .unwrap_err()
        .to_string();
    assert_eq!(error.lines().count(), 1, "{error}");
}

#[test]
fn safetensors_headers() {
    let one = |entry: &str| format!(r#"{{"a":{entry}}}"#);
    let whole = |entry: &str, data| safetensors(&one(entry), data);
    let f32s = r#"{"dtype":"F32","shape":[2],"data_offsets":[0,8]}"#;
    read(&whole(f32s, 8)).unwrap();
    refused_for(&whole(f32s, 7), "cut short");
    refused_for(&whole(f32s, 9), "belong to no tensor");
    refused_for(
        &whole(r#"{"dtype":"F7","shape":[2],"data_offsets":[0,8]}"#, 8),
        "tensor a: unknown variant `F7`, expected one of",
    );
    refused_for(
        &whole(r#"{"dtype":"F8_E4M3","shape":[8],"data_offsets":[0,8]}"#, 8),
        "tensor a: dtype F8_E4M3 is not supported, expected one of BOOL, ",
    );
    refused_for(
        &whole(r#"{"dtype":"F32","shape":[3],"data_offsets":[0,8]}"#, 8),
        "needs 12",
    );
    refused_for(
        &whole(r#"{"dtype":"F32","shape":[2],"data_offsets":[8,0]}"#, 8),
        "before its start",
    );
    refused_for(
        &whole(r#"{"dtype":"F32","shape":[2],"data_offsets":[1,9]}"#, 9),
        "ends at 0",
    );
    refused_for(
        &whole(r#"{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}"#, 8),
        "header",
    );
    refused_for(&whole(r#"{"dtype":"F32","shape":[2]}"#, 8), "data_offsets");
    let huge = r#"{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}"#;
    refused_for(&whole(huge, 0), "does not fit");
    let ones = vec!["1"; 100].join(",");
    let ones = format!(r#"{{"dtype":"U8","shape":[{ones}],"data_offsets":[0,1]}}"#);
    refused_for(&whole(&ones, 1), "dimensions");
    let (a, b) = (
        format!(r#"{{"a":{f32s},"a":{f32s}}}"#),
        r#"{"__metadata__":{"k":"1","k":"2"}}"#,
    );
    refused_for(&safetensors(&a, 8), "twice");
    refused_for(&safetensors(b, 0), "twice");
    refused_for(
        &safetensors(r#"{"__metadata__":{},"__metadata__":{}}"#, 0),
        "twice",
    );
    let overlap = format!(r#"{{"a":{f32s},"b":{f32s}}}"#);
    refused_for(&safetensors(&overlap, 8), "starts at byte 0");
    refused_for(&safetensors(&"[".repeat(100_000), 0), "not a checkpoint");
    refused_for(
        &safetensors(&format!(r#"{{"a":{}"#, "[".repeat(100_000)), 0),
        "header",
    );
    let mut long = safetensors("{}", 0);
    long[..8].copy_from_slice(&u64::from(u32::MAX).to_le_bytes());
    refused_for(&long, "4294967295");
}

#[test]
fn pickles_that_lie_about_lengths() {
    for opcode in [&b"X"[..], b"B", b"T", b"\x8b"] {
        let bytes = [b"\x80\x02", opcode, &u32::MAX.to_le_bytes(), b"."].concat();
        refused_for(&bytes, "cut short");
    }
    for opcode in [0x8d, 0x8e, 0x95, 0x96] {
        let bytes = [&[0x80, 4, opcode][..], &u64::MAX.to_le_bytes(), b"."].concat();
        refused_for(&bytes, "cut short");
    }
}

#[test]
fn pickles_that_misuse_the_stack() {
    for (bytes, word) in [
        (&b"\x80\x02."[..], "stack is empty"),
        (b"\x80\x020.", "stack is empty"),
        (b"\x80\x02(0(t0.", "stack is empty"),
        (b"\x80\x02t.", "no mark"),
        (b"\x80\x02h\x07.", "never filled"),
        (b"\x80\x02q\x01.", "stack is empty"),
        (b"\x80\x02NNs.", "stack is empty"),
        (b"\x80\x02NNNs.", "no mapping"),
        (b"\x80\x02NNa.", "no list"),
        (b"\x80\x02NNb.", "no object"),
        (b"\x80\x02}(Nu.", "without a value"),
        (b"\x80\x02NN\x93.", "no text"),
        (b"\x80\x02\x82\x01.", "extension"),
        (b"\x80\x05\x97.", "outside the pickle"),
        (b"\x80\x02\xff.", "0xff"),
        (b"\x80\x02X\x02\0\0\0\xff\xfe.", "UTF-8"),
        (b"\x80\x02cos\nsystem", "no end"),
    ] {
        refused_for(bytes, word);
    }
}

#[test]
fn values_that_contain_themselves() {
    refused_for(b"\x80\x02]q\0h\0a.", "contains itself");
    refused_for(b"\x80\x02}q\0X\x01\0\0\0ah\0s.", "contains itself");
    refused_for(
        b"\x80\x02ccollections\nOrderedDict\n)Rq\0X\x01\0\0\0ah\0s.",
        "contains itself",
    );
    refused_for(b"\x80\x02csome\nClass\n)\x81q\0h\0b.", "contains itself");
}

#[test]
fn deep_nesting() {
    let deep = 1_000_000;
    let lists = [
        b"\x80\x02".to_vec(),
        vec![b']'; deep],
        vec![b'a'; deep - 1],
        b".".to_vec(),
    ];
    refused(&lists.concat());
    let tuples = [b"\x80\x02N".to_vec(), vec![0x85; deep], b".".to_vec()];
    refused(&tuples.concat());
    let marks = [b"\x80\x02".to_vec(), vec![b'('; deep], b".".to_vec()];
    refused(&marks.concat());
    let calls = [
        b"\x80\x02ca\nb\nq\0N".to_vec(),
        b"\x85h\0".repeat(1000),
        b".".to_vec(),
    ];
    read(&calls.concat()).unwrap(); // only the last value counts
    let dicts = [
        b"\x80\x02".to_vec(),
        b"}N".repeat(1000),
        b"N".to_vec(),
        b"s".repeat(1000),
        b".".to_vec(),
    ];
    refused_for(&dicts.concat(), "levels deep");
    // What any network needs is no problem.
    read(&[b"\x80\x02N".to_vec(), vec![0x85; 190], b".".to_vec()].concat()).unwrap();
}

#[test]
fn shared_values_do_not_multiply() {
    // Ten references to the value before, forty times: 10^40 values to walk.
    let mut laughs = b"\x80\x02]q\0".to_vec();
    for level in 0..40u8 {
        laughs.extend_from_slice(b"](");
        for _ in 0..10 {
            laughs.extend_from_slice(&[b'h', level]);
        }
        laughs.extend_from_slice(&[b'e', b'q', level + 1]);
    }
    laughs.push(b'.');
    refused_for(&laughs, "steps");
    // One long text in many places is kept once.
    let text = text(&"x".repeat(10_000));
    let many = [
        &b"\x80\x02("[..],
        &text,
        b"q\0",
        &b"h\0".repeat(1000),
        b"t.",
    ]
    .concat();
    let value = read(&many).unwrap().value;
    let items = value.as_slice().unwrap();
    let (Value::Str(first), Value::Str(last)) = (&items[0], &items[1000]) else {
        panic!()
    };
    assert!(std::sync::Arc::ptr_eq(first, last));
}

#[test]
fn keys_that_are_there_twice() {
    refused_for(
        b"\x80\x02}(X\x01\0\0\0aK\x01X\x01\0\0\0aK\x02u.",
        "\"a\" is there twice",
    );
    refused_for(b"\x80\x02}(K\x01K\x01K\x01K\x02u.", "twice");
}

#[test]
fn nothing_is_called() {
    let folder = tempfile::tempdir().unwrap();
    let mark = folder.path().join("mark");
    let command = format!("touch {}", mark.display());
    let file = read(&pickle(&call("os.system", &[text(&command)]))).unwrap();
    let object = file.value.get("x").unwrap().as_object().unwrap();
    assert_eq!(
        (&*object.class, object.args[0].as_str()),
        ("os.system", Some(command.as_str()))
    );
    assert!(!mark.exists());
}

#[test]
fn numpy_arrays_that_claim_other_than_they_hold() {
    let array = |header: &str, data: usize| {
        let length = (header.len() as u16).to_le_bytes();
        let mut out = [&b"\x93NUMPY\x01\x00"[..], &length, header.as_bytes()].concat();
        out.resize(out.len() + data, 0);
        out
    };
    let of = |descr: &str, shape: &str| {
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': ({shape}), }}\n")
    };
    assert!(read(&array(&of("<f4", "2, 3"), 24)).is_ok());
    for (header, data, word) in [
        (of("<f4", "2, 3"), 20, "20 bytes"),
        (of("<f4", "2, 3"), 28, "28 bytes"),
        (of("<f4", "99999999999, 99999999999"), 24, "does not fit"),
        (of("<f4", "999999999"), 24, "needs 3999999996"),
        (of("<f4", "-1"), 24, "header"),
        (of("|O", "3"), 24, "expected numbers"),
        (of("<q7", "3"), 24, "q7"),
        (of("<f4", &"1, ".repeat(80)), 4, "dimensions"),
        ("import os".to_owned(), 24, "import os"),
    ] {
        refused_for(&array(&header, data), word);
        let name = [("w.npy", &array(&header, data)[..])];
        refused_for(&archive(&name, Stored), word);
        refused_for(&archive(&name, Deflated), word);
    }
    refused_for(b"\x93NUMPY\x09\x00\x00\x00", "version");
    // A header of 4 GiB that is not there.
    refused_for(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{", "4294967295");
    refused_for(
        &archive(&[("notes.txt", b"x")], Stored),
        "neither a torch file",
    );
}

#[test]
fn numpy_archives_that_unpack_to_far_more_than_their_size() {
    let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (33554432,), }";
    let mut array = [
        &b"\x93NUMPY\x01\x00"[..],
        &(header.len() as u16).to_le_bytes(),
        header.as_bytes(),
    ]
    .concat();
    array.resize(array.len() + (32 << 20), 0);
    refused_for(&archive(&[("w.npy", &array)], Deflated), "unpacking");
}
