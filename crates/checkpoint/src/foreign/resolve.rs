//! From a pickle's graph to a tree of values.
//!
//! Every node is turned into a value once and then shared. Cycles, great depth and sharing that
//! would make a walk through the tree explode are refused here, so that whoever gets a
//! [`Value`] may walk it recursively.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::graph::Graph;
use super::torch::{Storage, StorageId};
use crate::budget::Budget;
use crate::pickle::{Node, Program, Slot};
use crate::{Bytes, Object, Problem, Value};

/// Networks nest about 40 levels deep (module, arguments, state, modules, ...).
const DEEPEST: usize = 200;

pub(super) type Result<T> = std::result::Result<T, Problem>;

/// Where tensors that a pickle refers to keep their elements.
pub(super) trait Storages {
    /// The elements of a storage; `None` where persistent ids have no meaning.
    fn load(&mut self, id: &StorageId, budget: &mut Budget) -> Option<Result<Bytes>>;
}

/// For pickles that stand alone.
pub(super) struct NoStorages;

impl Storages for NoStorages {
    fn load(&mut self, _: &StorageId, _: &mut Budget) -> Option<Result<Bytes>> {
        None
    }
}

/// The value that `program`, run on `source`, describes.
pub(super) fn value(
    source: &Bytes,
    program: &Program,
    storages: &mut dyn Storages,
    budget: &mut Budget,
) -> Result<Value> {
    let nodes = &program.nodes;
    budget.memory(nodes.len() * size_of::<Memo>())?;
    let mut resolver = Resolver {
        graph: Graph { source, nodes },
        memo: std::iter::repeat_with(|| Memo::New)
            .take(nodes.len())
            .collect(),
        budget,
        storages,
        nested: HashMap::new(),
        depth: 0,
    };
    let mut size = 0;
    resolver.resolve(program.root, &mut size)
}

enum Memo {
    New,
    /// Being turned into a value further up: meeting it again is a cycle.
    Open,
    /// The value, and how many nodes a walk through it meets.
    Done(Value, u64),
}

pub(super) struct Resolver<'a> {
    pub graph: Graph<'a>,
    memo: Vec<Memo>,
    pub budget: &'a mut Budget,
    pub storages: &'a mut dyn Storages,
    /// Storages that lie in byte strings, by the node of the byte string.
    pub nested: HashMap<u32, Storage>,
    depth: usize,
}

impl<'a> Resolver<'a> {
    /// The value of a slot; adds to `size` how many nodes a walk through it meets.
    pub fn resolve(&mut self, slot: Slot, size: &mut u64) -> Result<Value> {
        let index = match slot {
            Slot::None => return one(size, Value::None),
            Slot::Bool(value) => return one(size, Value::Bool(value)),
            Slot::Int(value) => return one(size, Value::Int(value)),
            Slot::Float(value) => return one(size, Value::Float(value)),
            Slot::Node(index) => index as usize,
        };
        match self.memo.get(index) {
            Some(Memo::Done(value, nodes)) => {
                *size = size.saturating_add(*nodes);
                self.budget.walk(*size)?;
                return Ok(value.clone());
            }
            Some(Memo::Open) => {
                return Err(Problem::malformed("pickle", "a value contains itself"));
            }
            _ => {}
        }
        if self.depth >= DEEPEST {
            let reason = format!("values nest more than {DEEPEST} levels deep");
            return Err(Problem::malformed("pickle", reason));
        }
        self.memo[index] = Memo::Open;
        self.depth += 1;
        let mut nodes = 1;
        let value = self.node(&self.graph.nodes[index], slot, &mut nodes)?;
        self.depth -= 1;
        *size = size.saturating_add(nodes);
        self.budget.walk(*size)?;
        self.memo[index] = Memo::Done(value.clone(), nodes);
        Ok(value)
    }

    fn node(&mut self, node: &'a Node, slot: Slot, size: &mut u64) -> Result<Value> {
        match node {
            Node::Text { .. } | Node::OwnedText(_) => {
                let text = self.graph.text(slot);
                let text =
                    text.ok_or_else(|| Problem::malformed("pickle", "a text is not UTF-8"))?;
                self.budget.memory(text.len() + 16)?;
                Ok(Value::Str(text.into()))
            }
            Node::Bytes { .. } | Node::OwnedBytes(_) => self.bytes(slot),
            Node::BigInt(value) => Ok(Value::BigInt(**value)),
            Node::HugeInt { .. } => self.huge_int(node),
            Node::Tuple(items) => Ok(Value::Tuple(self.values(items, size)?)),
            Node::List(items) => Ok(Value::List(self.values(items, size)?)),
            Node::Set(items) => Ok(Value::Set(self.values(items, size)?)),
            Node::Dict(entries) => Ok(Value::Dict(self.pairs(entries, size)?)),
            Node::Global(name) => {
                self.budget.memory(name.len() + 16)?;
                Ok(Value::Global((&**name).into()))
            }
            Node::Persistent(id) => self.persistent(slot, *id, size),
            Node::Call(call) => self.call(call, slot, size),
        }
    }

    pub fn bytes(&mut self, slot: Slot) -> Result<Value> {
        let bytes = self.owned_bytes(slot)?;
        let bytes = bytes.ok_or_else(|| Problem::malformed("pickle", "bytes out of range"))?;
        Ok(Value::Bytes(Arc::new(bytes)))
    }

    /// Bytes for keeping; those that had to be decoded are paid for.
    pub fn owned_bytes(&mut self, slot: Slot) -> Result<Option<Bytes>> {
        let bytes = self.graph.bytes(slot);
        if let Some(bytes) = &bytes {
            let decoded = !matches!(self.graph.node(slot), Some(Node::Bytes { .. }));
            self.budget
                .memory(64 + if decoded { bytes.len() } else { 0 })?;
        }
        Ok(bytes)
    }

    fn huge_int(&mut self, node: &Node) -> Result<Value> {
        let bytes = match node {
            Node::HugeInt { start, len } => self.graph.source.slice(*start..start + len),
            _ => None,
        };
        let bytes = bytes.ok_or_else(|| Problem::malformed("pickle", "integer out of range"))?;
        self.budget.memory(size_of::<Object>() + 64)?;
        Ok(Value::Object(Arc::new(Object {
            class: "builtins.int".into(),
            persistent: false,
            args: Arc::new([Value::Bytes(Arc::new(bytes))]),
            state: Value::None,
            items: Arc::default(),
            entries: Arc::default(),
        })))
    }

    /// Each slot's value. A message about one names its position.
    pub fn values(&mut self, slots: &[Slot], size: &mut u64) -> Result<Arc<[Value]>> {
        self.budget.memory(slots.len() * size_of::<Value>() + 16)?;
        let mut values = Vec::with_capacity(slots.len());
        for (index, &slot) in slots.iter().enumerate() {
            let value = self.resolve(slot, size);
            values.push(value.map_err(|problem| problem.within(&index.to_string()))?);
        }
        Ok(values.into())
    }

    /// Each entry's values. A message about one names its key.
    pub fn pairs(
        &mut self,
        slots: &[(Slot, Slot)],
        size: &mut u64,
    ) -> Result<Arc<[(Value, Value)]>> {
        self.budget
            .memory(slots.len() * (size_of::<(Value, Value)>() + 32) + 16)?;
        let mut pairs = Vec::with_capacity(slots.len());
        for &(key, value) in slots {
            let key = self.resolve(key, size)?;
            let value = self.resolve(value, size).map_err(|problem| match &key {
                Value::Str(name) => problem.within(name),
                _ => problem,
            })?;
            pairs.push((key, value));
        }
        check_unique(&pairs)?;
        Ok(pairs.into())
    }
}

fn check_unique(pairs: &[(Value, Value)]) -> Result<()> {
    let mut seen = HashSet::with_capacity(pairs.len());
    let mut seen_int = HashSet::new();
    for (key, _) in pairs {
        let new = match key {
            Value::Str(name) => seen.insert(&**name),
            Value::Int(number) => seen_int.insert(*number),
            _ => true,
        };
        if !new {
            let name = crate::error::clean(key.as_str().unwrap_or("an integer"));
            return Err(Problem::Duplicate { what: "key", name });
        }
    }
    Ok(())
}

fn one(size: &mut u64, value: Value) -> Result<Value> {
    *size = size.saturating_add(1);
    Ok(value)
}
