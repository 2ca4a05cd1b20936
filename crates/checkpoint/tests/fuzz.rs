//! Randomly damaged files: no panic, and never more memory than a small multiple of the file.
#![allow(clippy::unwrap_used)] // In helpers of tests too.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{file, persistent, safetensors, tensor, torch_zip};
use domex_checkpoint::Bytes;
use domex_checkpoint::foreign::{self, state_dict};
use proptest::prelude::*;
use proptest::sample::Index;

/// Counts what each thread allocates. Reading a file uses one thread.
struct Counting;

thread_local! {
    // Constant and without a destructor, so that using them allocates nothing.
    static NOW: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    let now = NOW.get() + change;
    NOW.set(now);
    PEAK.set(PEAK.get().max(now));
}

// SAFETY: every call is passed on to the system's allocator unchanged; counting does not
// allocate.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: the caller keeps the contract of `dealloc`, and `alloc` used the same allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Reads a file, walks all that it holds, and says how much memory that took at most.
fn measured(bytes: &[u8]) -> usize {
    let bytes = Bytes::from(bytes.to_vec());
    let before = NOW.get();
    PEAK.set(before);
    let file = foreign::read_bytes("fuzz.bin".as_ref(), &bytes);
    let peak = PEAK.get();
    match file {
        Ok(file) => {
            // Showing and walking a value costs the caller; it must not fail.
            let _ = file.value.to_json();
            let _ = state_dict(&file.value);
            for (_, value) in file.value.as_dict().unwrap_or_default() {
                let _ = state_dict(value);
            }
        }
        Err(error) => {
            let message = error.to_string();
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }
    usize::try_from(peak - before).unwrap()
}

/// The promise: 32 bytes per byte of the file, and half a megabyte for small ones.
fn check(bytes: &[u8]) -> usize {
    let peak = measured(bytes);
    let limit = 32 * bytes.len() + (512 << 10);
    assert!(
        peak <= limit,
        "{peak} bytes taken for a file of {}",
        bytes.len()
    );
    peak
}

fn corpus() -> Vec<Vec<u8>> {
    let floats = vec![1; 64];
    let value = tensor(&persistent("FloatStorage", "0", 16), 0, &[4, 4], &[1, 4]);
    let mut files: Vec<Vec<u8>> = (0..=5)
        .map(|p| file(&format!("data/plain_p{p}.pkl")))
        .collect();
    files.extend([
        file("data/tensorflow_tiny.pkl"),
        file("data/tensorflow_tiny.safetensors"),
        file("data/projected_w.npz"),
        file("data/arrays.npz"),
        file("data/array.npy"),
        torch_zip(&value, &floats, zip::CompressionMethod::Stored),
        torch_zip(&value, &floats, zip::CompressionMethod::Deflated),
        file("golden/rosinality_tiny.pt"),
        file("golden/rosinality_tiny_legacy.pt"),
        file("golden/nvlabs_tiny.pkl"),
        common::module_pickle(),
    ]);
    files
}

/// One way to damage a file.
#[derive(Debug, Clone)]
enum Damage {
    Set(Index, u8),
    Flip(Index, u8),
    Copy(Index, Index, usize),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    Cut(Index),
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |index: &Index| {
            index
                .index(bytes.len().max(1))
                .min(bytes.len().saturating_sub(1))
        };
        if bytes.is_empty() {
            return;
        }
        match self {
            Self::Set(i, value) => {
                let i = at(i);
                bytes[i] = *value;
            }
            Self::Flip(i, bit) => {
                let i = at(i);
                bytes[i] ^= 1 << (bit % 8);
            }
            Self::Copy(from, to, len) => {
                let (from, to) = (at(from), at(to));
                let len = (*len).min(bytes.len() - from.max(to));
                bytes.copy_within(from..from + len, to);
            }
            Self::Remove(i, len) => {
                let i = at(i);
                let end = (i + len).min(bytes.len());
                bytes.drain(i..end);
            }
            Self::Insert(i, new) => {
                let i = at(i);
                bytes.splice(i..i, new.iter().copied());
            }
            Self::Cut(i) => {
                let i = at(i);
                bytes.truncate(i);
            }
        }
    }
}

fn damage() -> impl Strategy<Value = Damage> {
    let index = any::<Index>;
    prop_oneof![
        4 => (index(), any::<u8>()).prop_map(|(i, b)| Damage::Set(i, b)),
        // Values that are special as opcodes, lengths and counts.
        2 => (index(), prop::sample::select(vec![0, 1, 0x7f, 0x80, 0xff, b'(', b'.', b'R', b'b', b'h', b'u']))
            .prop_map(|(i, b)| Damage::Set(i, b)),
        3 => (index(), any::<u8>()).prop_map(|(i, b)| Damage::Flip(i, b)),
        2 => (index(), index(), 1usize..64).prop_map(|(i, j, n)| Damage::Copy(i, j, n)),
        1 => (index(), 1usize..64).prop_map(|(i, n)| Damage::Remove(i, n)),
        1 => (index(), prop::collection::vec(any::<u8>(), 1..16)).prop_map(|(i, v)| Damage::Insert(i, v)),
        1 => index().prop_map(Damage::Cut),
    ]
}

proptest! {
    // Fixed seed: a failure can be repeated. PROPTEST_CASES and PROPTEST_RNG_SEED widen the search.
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|v| v.parse().ok()).unwrap_or(256),
        rng_seed: std::env::var("PROPTEST_RNG_SEED").ok().and_then(|v| v.parse().ok())
            .map_or(proptest::test_runner::RngSeed::Fixed(0), proptest::test_runner::RngSeed::Fixed),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn damaged_files(which in any::<Index>(), damages in prop::collection::vec(damage(), 1..8)) {
        let files = corpus();
        let mut bytes = files[which.index(files.len())].clone();
        for damage in &damages {
            damage.apply(&mut bytes);
        }
        check(&bytes);
    }

    #[test]
    fn random_opcodes(body in prop::collection::vec(
        prop::sample::select(b"()]}.0122NKKKhhhqqRRbaaeustXc\nQ\x81\x85\x86\x87\x88\x89\x8c\x8f\x90\x93\x94\x01\x02".to_vec()),
        0..400,
    )) {
        check(&[&b"\x80\x04"[..], &body, b"."].concat());
    }

    #[test]
    fn random_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        check(&bytes);
        check(&[&b"PK\x03\x04"[..], &bytes].concat());
        check(&[&(bytes.len() as u64).to_le_bytes()[..], b"{", &bytes].concat());
    }
}

#[test]
fn whole_files_stay_small() {
    for bytes in corpus() {
        check(&bytes);
    }
    // Elements are used in place.
    let bytes = file("golden/diffae_tiny.ckpt");
    let peak = check(&bytes);
    assert!(peak < 4 * bytes.len(), "{peak}");
}

/// A header of one tensor with so many sizes.
fn long_shape(sizes: usize) -> String {
    let ones = "1,".repeat(sizes - 1);
    format!(r#"{{"a":{{"dtype":"U8","shape":[{ones}1],"data_offsets":[0,1]}}}}"#)
}

/// A header of so many tensors without elements.
fn small_tensors(count: usize) -> String {
    let one = |i| format!(r#""{i:x}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#);
    format!("{{{}}}", (0..count).map(one).collect::<Vec<_>>().join(","))
}

#[test]
fn bombs_stay_small() {
    let n = 1 << 20;
    let wrap = |body: Vec<u8>| [b"\x80\x04".to_vec(), body, b".".to_vec()].concat();
    let call = b"\x80\x04\x8c\x01a\x8c\x01b\x93\x94".to_vec();
    for bytes in [
        wrap(vec![b']'; n]),
        wrap(vec![b'}'; n]),
        wrap(vec![b'N'; n]),
        wrap(vec![b'('; n]),
        wrap([vec![b']'], vec![0x94; n]].concat()),
        wrap([vec![b'N'], vec![0x85; n]].concat()),
        wrap([vec![b'N'], vec![b'2'; n]].concat()),
        wrap([b"(".to_vec(), b"K\x01".repeat(n / 2), b"l".to_vec()].concat()),
        wrap([b"](".to_vec(), b"]\x94".repeat(n / 2), b"e".to_vec()].concat()),
        wrap([b"}(".to_vec(), b"K\x01N".repeat(n / 3), b"u".to_vec()].concat()),
        [call.clone(), b"h\0)R".repeat(n / 4), b".".to_vec()].concat(),
        [call, b"h\0)R}b".repeat(n / 6), b".".to_vec()].concat(),
        b"PK\x01\x02".repeat(n / 4),
        [b"PK\x03\x04".to_vec(), b"PK\x05\x06".repeat(n / 4)].concat(),
        // Just over a power of two, where a growing list takes most.
        safetensors(&long_shape(n / 2 + 2), 0),
        safetensors(&small_tensors(n / 50), 0),
    ] {
        let peak = check(&bytes);
        println!(
            "{} .. {:?}: {} times its size",
            bytes.len(),
            &bytes[..8],
            peak / bytes.len()
        );
    }
}
