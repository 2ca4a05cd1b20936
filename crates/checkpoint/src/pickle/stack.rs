//! Input, stack and memo of the machine.

use std::collections::HashMap;

use super::machine::{Machine, Result, bad};
use super::{Node, Slot, text};
use crate::{Problem, budget::Budget};

impl Machine<'_> {
    // Input.

    pub(super) fn left(&self) -> usize {
        self.input.len() - self.at
    }

    pub(super) fn take(&mut self, len: u64, what: &str) -> Result<usize> {
        match usize::try_from(len) {
            Ok(len) if len <= self.left() => {
                let start = self.at;
                self.at += len;
                Ok(start)
            }
            _ => Err(Problem::truncated(
                format!("pickle: {what}"),
                len,
                self.left() as u64,
            )),
        }
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let start = self.take(N as u64, "an opcode's argument")?;
        let mut out = [0; N];
        out.copy_from_slice(&self.input[start..start + N]);
        Ok(out)
    }

    pub(super) fn byte(&mut self) -> Result<u8> {
        let start = self.take(1, "the next opcode")?;
        Ok(self.input[start])
    }

    /// A little-endian number of `size` bytes.
    pub(super) fn little(&mut self, size: usize) -> Result<u64> {
        let start = self.take(size as u64, "an opcode's argument")?;
        let bytes = &self.input[start..start + size];
        Ok(bytes
            .iter()
            .rev()
            .fold(0, |value, &b| value << 8 | u64::from(b)))
    }

    /// Up to the next line feed, which is skipped.
    pub(super) fn line(&mut self) -> Result<&[u8]> {
        let rest = &self.input[self.at..];
        let Some(len) = rest.iter().position(|&b| b == b'\n') else {
            return Err(bad("a line has no end"));
        };
        self.at += len + 1;
        Ok(&rest[..len])
    }

    pub(super) fn line_str(&mut self) -> Result<&str> {
        std::str::from_utf8(self.line()?).map_err(|_| bad("a line is not UTF-8 text"))
    }

    pub(super) fn text_key(&mut self) -> Result<u64> {
        let key = text::integer(self.line_str()?)?;
        u64::try_from(key).map_err(|_| bad(format!("memo number {key}")))
    }

    // Stack.

    pub(super) fn push(&mut self, slot: Slot) -> Result<()> {
        grow(&mut self.stack, self.budget)?;
        self.stack.push(slot);
        Ok(())
    }

    pub(super) fn push_node(&mut self, node: Node) -> Result<()> {
        let slot = self.node(node)?;
        self.push(slot)
    }

    pub(super) fn node(&mut self, node: Node) -> Result<Slot> {
        grow(&mut self.nodes, self.budget)?;
        let index = u32::try_from(self.nodes.len()).map_err(|_| bad("too many values"))?;
        self.nodes.push(node);
        Ok(Slot::Node(index))
    }

    pub(super) fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    pub(super) fn pop(&mut self) -> Result<Slot> {
        if self.stack.len() <= self.floor() {
            return Err(bad(format!("the stack is empty at byte {}", self.at)));
        }
        self.stack.pop().ok_or_else(|| bad("the stack is empty"))
    }

    pub(super) fn top(&self) -> Result<Slot> {
        let above = &self.stack[self.floor()..];
        above
            .last()
            .copied()
            .ok_or_else(|| bad(format!("the stack is empty at byte {}", self.at)))
    }

    pub(super) fn mark(&mut self) -> Result<()> {
        grow(&mut self.marks, self.budget)?;
        self.marks.push(self.stack.len());
        Ok(())
    }

    pub(super) fn pop_or_mark(&mut self) -> Result<()> {
        if self.marks.last() == Some(&self.stack.len()) {
            self.marks.pop();
            return Ok(());
        }
        self.pop().map(drop)
    }

    pub(super) fn pop_to_mark(&mut self) -> Result<Vec<Slot>> {
        let mark = self
            .marks
            .pop()
            .ok_or_else(|| bad(format!("no mark at byte {}", self.at)))?;
        self.budget
            .memory((self.stack.len() - mark) * size_of::<Slot>())?;
        Ok(self.stack.split_off(mark))
    }

    pub(super) fn pop_entries(&mut self) -> Result<Vec<(Slot, Slot)>> {
        let items = self.pop_to_mark()?;
        let (pairs, odd) = items.as_chunks::<2>();
        if !odd.is_empty() {
            return Err(bad("a key without a value"));
        }
        self.budget.memory(size_of_val(pairs))?;
        Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
    }
}

/// Values by number. Picklers count from 0, but a pickle may name any number.
#[derive(Default)]
pub(super) struct Memo {
    dense: Vec<Slot>,
    sparse: HashMap<u64, Slot>,
}

impl Memo {
    pub(super) fn len(&self) -> u64 {
        (self.dense.len() + self.sparse.len()) as u64
    }

    pub(super) fn get(&self, key: u64) -> Option<Slot> {
        let dense = usize::try_from(key)
            .ok()
            .and_then(|index| self.dense.get(index));
        dense.or_else(|| self.sparse.get(&key)).copied()
    }

    pub(super) fn insert(&mut self, key: u64, slot: Slot, budget: &mut Budget) -> Result<()> {
        let dense = self.dense.len() as u64;
        if key < dense {
            self.dense[key as usize] = slot;
        } else if key == dense && self.sparse.is_empty() {
            grow(&mut self.dense, budget)?;
            self.dense.push(slot);
        } else {
            budget.memory(3 * size_of::<(u64, Slot)>())?;
            self.sparse.insert(key, slot);
        }
        Ok(())
    }
}

/// Asks the budget before a vector doubles.
pub(super) fn grow<T>(vec: &mut Vec<T>, budget: &mut Budget) -> Result<()> {
    if vec.len() == vec.capacity() {
        let more = vec.capacity().max(8);
        budget.memory(more * size_of::<T>())?;
        vec.reserve_exact(more);
    }
    Ok(())
}

/// Appends, asking the budget for what the vector grows by.
pub(super) fn append<T: Copy>(vec: &mut Vec<T>, more: &[T], budget: &mut Budget) -> Result<()> {
    let need = vec.len() + more.len();
    if need > vec.capacity() {
        let capacity = need.max(2 * vec.capacity());
        budget.memory((capacity - vec.capacity()) * size_of::<T>())?;
        vec.reserve_exact(capacity - vec.len());
    }
    vec.extend_from_slice(more);
    Ok(())
}
