//! The stack machine.

use super::stack::{Memo, append};
use super::{Call, Node, Program, Rest, Slot, opcode as op, text};
use crate::{Problem, budget::Budget};

pub(super) type Result<T> = std::result::Result<T, Problem>;

/// Runs the pickle at the start of `input`. Bytes after its `STOP` are left alone.
pub(crate) fn run(input: &[u8], budget: &mut Budget) -> Result<Program> {
    let mut machine = Machine {
        input,
        at: 0,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: Memo::default(),
        nodes: Vec::new(),
        budget,
    };
    loop {
        let opcode = machine.byte()?;
        if opcode == op::STOP {
            let root = machine.pop()?;
            return Ok(Program {
                root,
                nodes: machine.nodes,
                used: machine.at,
            });
        }
        machine.step(opcode)?;
    }
}

pub(super) struct Machine<'a> {
    pub input: &'a [u8],
    pub at: usize,
    pub stack: Vec<Slot>,
    /// Heights of the stack at each open `MARK`.
    pub marks: Vec<usize>,
    pub memo: Memo,
    pub nodes: Vec<Node>,
    pub budget: &'a mut Budget,
}

impl Machine<'_> {
    fn step(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            op::PROTO => self.protocol(),
            op::FRAME => self.frame(),
            op::NONE => self.push(Slot::None),
            op::NEWTRUE => self.push(Slot::Bool(true)),
            op::NEWFALSE => self.push(Slot::Bool(false)),
            op::BININT1 => self.unsigned(1),
            op::BININT2 => self.unsigned(2),
            op::BININT => {
                let value = i32::from_le_bytes(self.array()?);
                self.push(Slot::Int(value.into()))
            }
            op::BINFLOAT => {
                let value = f64::from_be_bytes(self.array()?);
                self.push(Slot::Float(value))
            }
            op::INT => self.text_int(),
            op::LONG => {
                let value = text::integer(self.line_str()?)?;
                self.push_integer(value)
            }
            op::FLOAT => {
                let value = text::float(self.line_str()?)?;
                self.push(Slot::Float(value))
            }
            op::LONG1 => self.long(1),
            op::LONG4 => self.long(4),
            op::STRING => self.quoted(),
            op::SHORT_BINSTRING => self.byte_string(1),
            op::BINSTRING => self.byte_string(4),
            op::UNICODE => {
                let text = text::raw_unicode(self.line()?)?;
                self.owned_text(text)
            }
            op::SHORT_BINUNICODE => self.text(1),
            op::BINUNICODE => self.text(4),
            op::BINUNICODE8 => self.text(8),
            op::SHORT_BINBYTES => self.bytes(1),
            op::BINBYTES => self.bytes(4),
            op::BINBYTES8 | op::BYTEARRAY8 => self.bytes(8),
            op::READONLY_BUFFER => Ok(()),
            op::EMPTY_LIST => self.push_node(Node::List(Vec::new())),
            op::EMPTY_DICT => self.push_node(Node::Dict(Vec::new())),
            op::EMPTY_SET => self.push_node(Node::Set(Vec::new())),
            op::EMPTY_TUPLE => self.push_node(Node::Tuple(Box::default())),
            op::TUPLE1 => self.short_tuple(1),
            op::TUPLE2 => self.short_tuple(2),
            op::TUPLE3 => self.short_tuple(3),
            op::TUPLE => {
                let items = self.pop_to_mark()?;
                self.push_node(Node::Tuple(items.into()))
            }
            op::LIST => {
                let items = self.pop_to_mark()?;
                self.push_node(Node::List(items))
            }
            op::FROZENSET => {
                let items = self.pop_to_mark()?;
                self.push_node(Node::Set(items))
            }
            op::DICT => {
                let entries = self.pop_entries()?;
                self.push_node(Node::Dict(entries))
            }
            op::APPEND => {
                let item = self.pop()?;
                self.extend(&[item])
            }
            op::APPENDS | op::ADDITEMS => {
                let taken = self.budget.taken();
                let items = self.pop_to_mark()?;
                self.budget.release(taken); // the elements move on at once
                self.extend(&items)
            }
            op::SETITEM => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.insert(&[(key, value)])
            }
            op::SETITEMS => {
                let taken = self.budget.taken();
                let entries = self.pop_entries()?;
                self.budget.release(taken);
                self.insert(&entries)
            }
            op::MARK => self.mark(),
            op::POP => self.pop_or_mark(),
            op::POP_MARK => self.pop_to_mark().map(drop),
            op::DUP => {
                let top = self.top()?;
                self.push(top)
            }
            _ => self.step_object(opcode),
        }
    }

    /// The memo, names, calls.
    fn step_object(&mut self, opcode: u8) -> Result<()> {
        match opcode {
            op::MEMOIZE => self.memoize(self.memo.len()),
            op::BINPUT => {
                let key = self.little(1)?;
                self.memoize(key)
            }
            op::LONG_BINPUT => {
                let key = self.little(4)?;
                self.memoize(key)
            }
            op::PUT => {
                let key = self.text_key()?;
                self.memoize(key)
            }
            op::BINGET => {
                let key = self.little(1)?;
                self.recall(key)
            }
            op::LONG_BINGET => {
                let key = self.little(4)?;
                self.recall(key)
            }
            op::GET => {
                let key = self.text_key()?;
                self.recall(key)
            }
            op::GLOBAL => {
                let callable = self.text_global()?;
                self.push(callable)
            }
            op::STACK_GLOBAL => self.stack_global(),
            op::REDUCE | op::NEWOBJ => {
                let (args, callable) = (self.pop()?, self.pop()?);
                self.call(callable, args, None)
            }
            op::NEWOBJ_EX => {
                let (kwargs, args, callable) = (self.pop()?, self.pop()?, self.pop()?);
                self.call(callable, args, Some(kwargs))
            }
            op::INST => {
                let callable = self.text_global()?;
                let args = self.pop_to_mark()?;
                self.call_with(callable, args)
            }
            op::OBJ => {
                let mut items = self.pop_to_mark()?;
                if items.is_empty() {
                    return Err(bad("an object without a class"));
                }
                let callable = items.remove(0);
                self.call_with(callable, items)
            }
            op::BUILD => {
                let state = self.pop()?;
                self.rest("BUILD")?.state = Some(state);
                Ok(())
            }
            op::PERSID => {
                let id = self.line_str()?.to_owned();
                self.owned_text(id)?;
                let id = self.pop()?;
                self.push_node(Node::Persistent(id))
            }
            op::BINPERSID => {
                let id = self.pop()?;
                self.push_node(Node::Persistent(id))
            }
            op::EXT1 | op::EXT2 | op::EXT4 => Err(bad("extension codes are not supported")),
            op::NEXT_BUFFER => Err(bad("buffers outside the pickle are not supported")),
            unknown => Err(bad(format!(
                "unknown opcode 0x{unknown:02x} at byte {}",
                self.at - 1
            ))),
        }
    }

    // Values.

    fn protocol(&mut self) -> Result<()> {
        match self.byte()? {
            0..=5 => Ok(()),
            newer => Err(bad(format!("protocol {newer}, expected 0 to 5"))),
        }
    }

    /// A frame only tells a reader how much to read ahead.
    fn frame(&mut self) -> Result<()> {
        let len = self.little(8)?;
        if len > self.left() as u64 {
            return Err(Problem::truncated(
                "pickle: a frame",
                len,
                self.left() as u64,
            ));
        }
        Ok(())
    }

    fn unsigned(&mut self, size: usize) -> Result<()> {
        let value = self.little(size)?;
        self.push_integer(value.into())
    }

    fn push_integer(&mut self, value: i128) -> Result<()> {
        match i64::try_from(value) {
            Ok(small) => self.push(Slot::Int(small)),
            Err(_) => {
                self.budget.memory(32)?;
                self.push_node(Node::BigInt(Box::new(value)))
            }
        }
    }

    fn text_int(&mut self) -> Result<()> {
        match self.line_str()? {
            "00" => self.push(Slot::Bool(false)),
            "01" => self.push(Slot::Bool(true)),
            digits => {
                let value = text::integer(digits)?;
                self.push_integer(value)
            }
        }
    }

    /// A little-endian two's complement integer of any length.
    fn long(&mut self, prefix: usize) -> Result<()> {
        let (start, len) = self.counted(prefix, "an integer")?;
        let bytes = &self.input[start..start + len];
        if len > 16 {
            return self.push_node(Node::HugeInt { start, len });
        }
        let fill = if bytes.last().is_some_and(|&b| b >= 0x80) {
            0xff
        } else {
            0
        };
        let mut wide = [fill; 16];
        wide[..len].copy_from_slice(bytes);
        self.push_integer(i128::from_le_bytes(wide))
    }

    fn counted(&mut self, prefix: usize, what: &str) -> Result<(usize, usize)> {
        let len = self.little(prefix)?;
        let start = self.take(len, what)?;
        Ok((start, self.at - start))
    }

    fn text(&mut self, prefix: usize) -> Result<()> {
        let (start, len) = self.counted(prefix, "a text")?;
        self.push_node(Node::Text { start, len })
    }

    fn bytes(&mut self, prefix: usize) -> Result<()> {
        let (start, len) = self.counted(prefix, "a byte string")?;
        self.push_node(Node::Bytes { start, len })
    }

    /// Python 2's `str` is text or data: text when it is ASCII, as Python 3 takes it.
    fn byte_string(&mut self, prefix: usize) -> Result<()> {
        let (start, len) = self.counted(prefix, "a string")?;
        let ascii = self.input[start..start + len].is_ascii();
        self.push_node(if ascii {
            Node::Text { start, len }
        } else {
            Node::Bytes { start, len }
        })
    }

    fn quoted(&mut self) -> Result<()> {
        let bytes = text::quoted(self.line()?)?;
        match String::from_utf8(bytes) {
            Ok(text) if text.is_ascii() => self.owned_text(text),
            other => {
                let bytes =
                    other.map_or_else(std::string::FromUtf8Error::into_bytes, String::into_bytes);
                self.budget.memory(bytes.len())?;
                self.push_node(Node::OwnedBytes(bytes.into()))
            }
        }
    }

    fn owned_text(&mut self, text: String) -> Result<()> {
        self.budget.memory(text.len())?;
        self.push_node(Node::OwnedText(text.into()))
    }

    fn short_tuple(&mut self, len: usize) -> Result<()> {
        if self.stack.len() < self.floor() + len {
            return Err(bad(format!("the stack is empty at byte {}", self.at)));
        }
        self.budget.memory(len * size_of::<Slot>() + 16)?;
        let items = self.stack.split_off(self.stack.len() - len);
        self.push_node(Node::Tuple(items.into()))
    }

    fn extend(&mut self, items: &[Slot]) -> Result<()> {
        let Slot::Node(index) = self.top()? else {
            return Err(bad("elements for something that is no list"));
        };
        match &mut self.nodes[index as usize] {
            Node::List(list) | Node::Set(list) => append(list, items, self.budget),
            Node::Call(_) => {
                self.budget.memory(2 * size_of_val(items))?;
                self.rest("APPENDS")?.items.extend_from_slice(items);
                Ok(())
            }
            _ => Err(bad("elements for something that is no list")),
        }
    }

    fn insert(&mut self, entries: &[(Slot, Slot)]) -> Result<()> {
        let Slot::Node(index) = self.top()? else {
            return Err(bad("entries for something that is no mapping"));
        };
        match &mut self.nodes[index as usize] {
            Node::Dict(dict) => append(dict, entries, self.budget),
            Node::Call(_) => {
                self.budget.memory(2 * size_of_val(entries))?;
                self.rest("SETITEMS")?.entries.extend_from_slice(entries);
                Ok(())
            }
            _ => Err(bad("entries for something that is no mapping")),
        }
    }

    // Memo.

    fn memoize(&mut self, key: u64) -> Result<()> {
        let top = self.top()?;
        self.memo.insert(key, top, self.budget)
    }

    fn recall(&mut self, key: u64) -> Result<()> {
        let slot = self.memo.get(key);
        self.push(slot.ok_or_else(|| bad(format!("memo {key} was never filled")))?)
    }

    // Names and calls.

    fn text_global(&mut self) -> Result<Slot> {
        let module = self.line_str()?.to_owned();
        let name = self.line_str()?.to_owned();
        self.global(&module, &name)
    }

    fn stack_global(&mut self) -> Result<()> {
        let (name, module) = (self.pop()?, self.pop()?);
        let module = self.node_text(module)?.to_owned();
        let name = self.node_text(name)?.to_owned();
        let global = self.global(&module, &name)?;
        self.push(global)
    }

    fn global(&mut self, module: &str, name: &str) -> Result<Slot> {
        // Older names of the same modules.
        let module = match module {
            "__builtin__" => "builtins",
            "copy_reg" => "copyreg",
            other => other,
        };
        self.budget.memory(module.len() + name.len() + 17)?;
        self.node(Node::Global(format!("{module}.{name}").into()))
    }

    fn node_text(&self, slot: Slot) -> Result<&str> {
        let Slot::Node(index) = slot else {
            return Err(bad("a name that is no text"));
        };
        match &self.nodes[index as usize] {
            Node::Text { start, len } => std::str::from_utf8(&self.input[*start..start + len])
                .map_err(|_| bad("a name is not UTF-8 text")),
            Node::OwnedText(text) => Ok(text),
            _ => Err(bad("a name that is no text")),
        }
    }

    fn call_with(&mut self, callable: Slot, args: Vec<Slot>) -> Result<()> {
        let args = self.node(Node::Tuple(args.into()))?;
        self.call(callable, args, None)
    }

    fn call(&mut self, callable: Slot, args: Slot, kwargs: Option<Slot>) -> Result<()> {
        self.budget.memory(size_of::<Call>() + 16)?;
        self.push_node(Node::Call(Box::new(Call {
            callable,
            args,
            rest: None,
        })))?;
        if kwargs.is_some() {
            self.rest("NEWOBJ_EX")?.kwargs = kwargs;
        }
        Ok(())
    }

    /// What follows the call on top of the stack.
    fn rest(&mut self, what: &str) -> Result<&mut Rest> {
        let wrong = || bad(format!("{what} for something that is no object"));
        let Slot::Node(index) = self.top()? else {
            return Err(wrong());
        };
        let Node::Call(call) = &mut self.nodes[index as usize] else {
            return Err(wrong());
        };
        if call.rest.is_none() {
            self.budget.memory(size_of::<Rest>() + 16)?;
        }
        Ok(call.rest.get_or_insert_default())
    }
}

pub(super) fn bad(reason: impl Into<String>) -> Problem {
    Problem::malformed("pickle", reason)
}
