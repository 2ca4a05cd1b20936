//! Python pickles, protocols 0 to 5, as inert data.
//!
//! A pickle is a program for a small stack machine. `machine` runs that program, but where the
//! program says "call this", it only notes down *what* would be called with *which* arguments: no
//! name is looked up and no code is run. The outcome is a graph of `Node`s in one vector that
//! refer to each other by index, so cycles, sharing and depth cost nothing here and dropping it
//! never recurses. Giving a meaning to the noted calls is the work of
//! [`resolve`](crate::foreign).
//!
//! The way back is [`write()`], which turns a [`Value`](crate::Value) into a pickle that Python opens.
//!
//! Opcodes: the comments of CPython's `Lib/pickletools.py`.

mod machine;
mod opcode;
mod stack;
mod text;
mod write;

pub(crate) use machine::run;
pub use write::{to_bytes, write};

/// A value on the machine's stack: a small one, or a reference to a node.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Slot {
    None,
    Bool(bool),
    Int(i64),
    Float(f64),
    Node(u32),
}

/// A value with parts.
#[derive(Debug)]
pub(crate) enum Node {
    /// UTF-8 text at a place in the pickle.
    Text {
        start: usize,
        len: usize,
    },
    /// Text that had to be decoded.
    OwnedText(Box<str>),
    /// Bytes at a place in the pickle.
    Bytes {
        start: usize,
        len: usize,
    },
    /// Bytes that had to be decoded.
    OwnedBytes(Box<[u8]>),
    /// An integer beyond 64 bits.
    BigInt(Box<i128>),
    /// An integer beyond 128 bits: little-endian two's complement.
    HugeInt {
        start: usize,
        len: usize,
    },
    Tuple(Box<[Slot]>),
    List(Vec<Slot>),
    Set(Vec<Slot>),
    Dict(Vec<(Slot, Slot)>),
    /// `module.name` of a class or function.
    Global(Box<str>),
    /// Refers to something outside the pickle.
    Persistent(Slot),
    /// A call that was not made.
    Call(Box<Call>),
}

/// A call that was not made, and what was to be done with its outcome.
#[derive(Debug)]
pub(crate) struct Call {
    pub callable: Slot,
    pub args: Slot,
    /// Rarely there.
    pub rest: Option<Box<Rest>>,
}

/// What follows a call in some pickles.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    pub kwargs: Option<Slot>,
    pub state: Option<Slot>,
    pub items: Vec<Slot>,
    pub entries: Vec<(Slot, Slot)>,
}

/// The outcome of a pickle.
#[derive(Debug)]
pub(crate) struct Program {
    pub root: Slot,
    pub nodes: Vec<Node>,
    /// Bytes of input used, the final `STOP` included.
    pub used: usize,
}
