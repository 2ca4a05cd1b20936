//! A checksum over all that a container says, kept in its metadata.
//!
//! Disks and memory flip bits, and a flipped bit in a weight is another weight. The sum is a CRC-32 (which finds every
//! single flipped bit and every burst up to 32) over names and texts of the metadata, and names, types, shapes and bytes
//! of the tensors, all in the order of names and each with its length before it. Files of programs that knew no checksum
//! have none, and are read without.

use std::collections::BTreeMap;

use crc32fast::Hasher;

use crate::TensorData;

/// The entry of the metadata.
pub(super) const KEY: &str = "checksum";

/// The checksum, as it stands in the file.
pub(super) fn of(
    metadata: &BTreeMap<String, String>,
    tensors: &BTreeMap<String, TensorData>,
) -> String {
    let mut hasher = Hasher::new();
    let mut add = |bytes: &[u8]| {
        hasher.update(&(bytes.len() as u64).to_le_bytes());
        hasher.update(bytes);
    };
    for (key, text) in metadata.iter().filter(|(key, _)| *key != KEY) {
        add(key.as_bytes());
        add(text.as_bytes());
    }
    for (name, tensor) in tensors {
        add(name.as_bytes());
        add(tensor.dtype().safetensors_name().as_bytes());
        for size in tensor.shape() {
            add(&(*size as u64).to_le_bytes());
        }
        add(tensor.bytes());
    }
    format!("crc32:{:08x}", hasher.finalize())
}
