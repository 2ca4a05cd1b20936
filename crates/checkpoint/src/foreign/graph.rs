//! Looking around in what a pickle left behind.

use crate::pickle::{Call, Node, Slot};
use crate::{Bytes, Problem};

/// The nodes, and the pickle that their texts and bytes lie in.
#[derive(Clone, Copy)]
pub(super) struct Graph<'a> {
    pub source: &'a Bytes,
    pub nodes: &'a [Node],
}

impl<'a> Graph<'a> {
    pub fn node(&self, slot: Slot) -> Option<&'a Node> {
        match slot {
            Slot::Node(index) => self.nodes.get(index as usize),
            _ => None,
        }
    }

    pub fn call(&self, slot: Slot) -> Option<&'a Call> {
        match self.node(slot)? {
            Node::Call(call) => Some(call),
            _ => None,
        }
    }

    /// The text, if it is one and is UTF-8.
    pub fn text(&self, slot: Slot) -> Option<&'a str> {
        match self.node(slot)? {
            Node::Text { start, len } => {
                std::str::from_utf8(self.source.get(*start..start + len)?).ok()
            }
            Node::OwnedText(text) => Some(text),
            _ => None,
        }
    }

    /// The name of a class or function, under the module that holds it today.
    pub fn global(&self, slot: Slot) -> Option<&'a str> {
        match self.node(slot)? {
            Node::Global(name) => Some(name),
            _ => None,
        }
    }

    /// The elements of a tuple or list, `torch.Size` included.
    pub fn items(&self, slot: Slot) -> Option<&'a [Slot]> {
        match self.node(slot)? {
            Node::Tuple(items) => Some(items),
            Node::List(items) => Some(items),
            Node::Call(call) if self.global(call.callable) == Some("torch.Size") => {
                match self.node(*self.args(call).first()?)? {
                    Node::Tuple(items) => Some(items),
                    Node::List(items) => Some(items),
                    _ => None,
                }
            }
            _ => None,
        }
    }

    /// The entries of a mapping.
    pub fn entries(&self, slot: Slot) -> Option<&'a [(Slot, Slot)]> {
        match self.node(slot)? {
            Node::Dict(entries) => Some(entries),
            Node::Call(call) => call.rest.as_ref().map(|rest| rest.entries.as_slice()),
            _ => None,
        }
    }

    /// The positional arguments of a call.
    pub fn args(&self, call: &Call) -> &'a [Slot] {
        match self.node(call.args) {
            Some(Node::Tuple(items)) => items,
            _ => &[],
        }
    }

    /// An integer that is a count or a size.
    pub fn int(&self, slot: Slot, what: &str) -> Result<i64, Problem> {
        match slot {
            Slot::Int(value) => Ok(value),
            _ => Err(Problem::malformed(what, "expected an integer")),
        }
    }

    /// A list of integers.
    pub fn ints(&self, slot: Slot, what: &str) -> Result<Vec<i64>, Problem> {
        let items = self.items(slot);
        let items =
            items.ok_or_else(|| Problem::malformed(what, "expected a tuple of integers"))?;
        items.iter().map(|&item| self.int(item, what)).collect()
    }

    /// A list of sizes.
    pub fn sizes(&self, slot: Slot, what: &str) -> Result<Vec<usize>, Problem> {
        let negative = |n| Problem::malformed(what, format!("negative size {n}"));
        self.ints(slot, what)?
            .into_iter()
            .map(|n| usize::try_from(n).map_err(|_| negative(n)))
            .collect()
    }

    /// Bytes, however the protocol spells them: `bytes`, `bytearray`, Latin-1 text.
    pub fn bytes(&self, slot: Slot) -> Option<Bytes> {
        match self.node(slot)? {
            Node::Bytes { start, len } => self.source.slice(*start..start + len),
            Node::OwnedBytes(bytes) => Some(bytes.to_vec().into()),
            // A Python 2 byte string that happens to be ASCII.
            Node::Text { start, len } if self.text(slot)?.is_ascii() => {
                self.source.slice(*start..start + len)
            }
            Node::OwnedText(text) if text.is_ascii() => Some(text.as_bytes().to_vec().into()),
            Node::Call(call) => self.called_bytes(call),
            _ => None,
        }
    }

    fn called_bytes(&self, call: &Call) -> Option<Bytes> {
        let args = self.args(call);
        match self.global(call.callable)? {
            "builtins.bytes" | "builtins.bytearray" if args.is_empty() => Some(Vec::new().into()),
            "builtins.bytearray" | "builtins.bytes" if args.len() == 1 => {
                match self.node(args[0])? {
                    Node::Call(inner) if self.is_latin1(inner) => {
                        self.latin1(*self.args(inner).first()?)
                    }
                    Node::Bytes { .. } | Node::OwnedBytes(_) => self.bytes(args[0]),
                    _ => None,
                }
            }
            "builtins.bytearray" | "builtins.bytes" => self.latin1(args[0]),
            "_codecs.encode" if self.is_latin1(call) => self.latin1(args[0]),
            _ => None,
        }
    }

    fn is_latin1(&self, call: &Call) -> bool {
        let args = self.args(call);
        self.global(call.callable) == Some("_codecs.encode")
            && args.len() == 2
            && matches!(self.text(args[1]), Some("latin1" | "latin-1"))
    }

    fn latin1(&self, slot: Slot) -> Option<Bytes> {
        let text = self.text(slot)?;
        let bytes: Option<Vec<u8>> = text
            .chars()
            .map(|c| u8::try_from(u32::from(c)).ok())
            .collect();
        bytes.map(Into::into)
    }
}
