//! Limits that follow from a file's size.
//!
//! A file may claim any length, repeat a reference a million times, or unpack to a thousand times
//! its size. Whoever allocates for a file asks its budget first, so that what is taken stays
//! within a small multiple of what the file really holds.

use crate::Problem;

/// Bytes of working memory (arena, stack, memo, values) per byte of the file.
const MEMORY_PER_BYTE: u64 = 24;
/// Small files have a higher share of structure.
const MEMORY_BASE: u64 = 256 << 10;
/// Bytes of tensors per byte of data: several tensors may share a storage, though few do.
const TENSORS_PER_BYTE: u64 = 4;
const TENSORS_BASE: u64 = 64 << 10;
/// Bytes unpacked from compressed records per byte of the file. Weights hardly compress.
const UNPACKED_PER_BYTE: u64 = 8;
const UNPACKED_BASE: u64 = 1 << 20;
/// Values met when walking the whole tree, shared ones counted each time.
const WALK_BASE: u64 = 1 << 20;

/// What a file of a given size may still take.
#[derive(Debug)]
pub(crate) struct Budget {
    data: u64,
    file: u64,
    memory: u64,
    tensors: u64,
}

impl Budget {
    pub fn new(file_len: usize) -> Self {
        let file = file_len as u64;
        Self {
            data: file,
            file,
            memory: 0,
            tensors: 0,
        }
    }

    /// Asks for working memory.
    pub fn memory(&mut self, bytes: usize) -> Result<(), Problem> {
        let limit = MEMORY_BASE + MEMORY_PER_BYTE * self.file;
        self.memory = self.memory.saturating_add(bytes as u64);
        within("the structure of the file", self.memory, limit, "bytes")
    }

    /// How much working memory is taken; to be given back to [`Self::release`].
    pub fn taken(&self) -> u64 {
        self.memory
    }

    /// Gives back what was taken since `taken`, after it was dropped.
    pub fn release(&mut self, taken: u64) {
        self.memory = taken;
    }

    /// Asks for a tensor, be it a view or a copy.
    pub fn tensor(&mut self, bytes: usize) -> Result<(), Problem> {
        let limit = TENSORS_BASE + TENSORS_PER_BYTE * self.data;
        self.tensors = self.tensors.saturating_add(bytes as u64);
        within("the tensors", self.tensors, limit, "bytes")
    }

    /// Asks to unpack a compressed record of that size.
    pub fn unpack(&mut self, bytes: u64) -> Result<(), Problem> {
        let limit = UNPACKED_BASE + UNPACKED_PER_BYTE * self.file;
        let unpacked = (self.data - self.file).saturating_add(bytes);
        within("unpacking the compressed records", unpacked, limit, "bytes")?;
        self.data += bytes;
        Ok(())
    }

    /// Checks the number of values that a walk through a value would meet.
    pub fn walk(&self, values: u64) -> Result<(), Problem> {
        within(
            "walking the values, which share parts,",
            values,
            WALK_BASE.max(self.file),
            "steps",
        )
    }
}

fn within(what: &str, need: u64, limit: u64, unit: &'static str) -> Result<(), Problem> {
    if need <= limit {
        return Ok(());
    }
    Err(Problem::TooMuch {
        what: what.to_owned(),
        need,
        limit,
        unit,
    })
}
