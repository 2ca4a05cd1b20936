//! What the calls in a pickle mean, for the few that are known. All others become an
//! [`Object`], which only says what would have been called.

use std::sync::Arc;

use super::resolve::{Resolver, Result};
use crate::pickle::{Call, Node, Slot};
use crate::{Object, Problem, Value};

impl<'a> Resolver<'a> {
    /// The value of a call that was not made.
    pub fn call(&mut self, call: &'a Call, slot: Slot, size: &mut u64) -> Result<Value> {
        let Some(name) = self.graph.global(call.callable) else {
            return match self.keyword_call(call, size)? {
                Some(value) => Ok(value),
                None => self.object("(computed)", call, size),
            };
        };
        let args = self.graph.args(call);
        match name {
            "collections.OrderedDict"
            | "collections.defaultdict"
            | "collections.Counter"
            | "builtins.dict" => self.mapping(call, args.last().copied(), size),
            _ if name.ends_with(".EasyDict") => self.mapping(call, args.last().copied(), size),
            "builtins.set" | "builtins.frozenset" => Ok(Value::Set(self.elements(call, size)?)),
            "builtins.list" => Ok(Value::List(self.elements(call, size)?)),
            "builtins.tuple" | "torch.Size" => Ok(Value::Tuple(self.elements(call, size)?)),
            "builtins.bytes" | "builtins.bytearray" | "_codecs.encode" => {
                match self.owned_bytes(slot)? {
                    Some(bytes) => Ok(Value::Bytes(Arc::new(bytes))),
                    None => self.object(name, call, size),
                }
            }
            "operator.getitem" => match self.loaded_module(args, size)? {
                Some(value) => Ok(value),
                None => self.object(name, call, size),
            },
            "copyreg._reconstructor" => self.reconstructor(call, args, size),
            _ if name.ends_with("persistence._reconstruct_persistent_obj") => {
                self.persistent_object(args, size)
            }
            _ => match self.torch_call(name, args, slot, size)? {
                Some(value) => Ok(value),
                None => match self.numpy_call(name, call)? {
                    Some(value) => Ok(value),
                    None => self.object(name, call, size),
                },
            },
        }
    }

    /// A mapping: entries set later, and those of the argument (a mapping or a list of pairs).
    fn mapping(&mut self, call: &'a Call, from: Option<Slot>, size: &mut u64) -> Result<Value> {
        let mut slots = Vec::new();
        match from.map(|slot| (slot, self.graph.node(slot))) {
            Some((_, Some(Node::Dict(entries)))) => slots.extend_from_slice(entries),
            Some((slot, Some(Node::List(_) | Node::Tuple(_)))) => {
                for &pair in self.graph.items(slot).unwrap_or_default() {
                    match self.graph.items(pair) {
                        Some(&[key, value]) => slots.push((key, value)),
                        _ => return Err(Problem::malformed("pickle", "expected a list of pairs")),
                    }
                }
            }
            _ => {}
        }
        self.budget
            .memory(slots.len() * size_of::<(Slot, Slot)>())?;
        let set_later = call
            .rest
            .as_ref()
            .map(|rest| rest.entries.as_slice())
            .unwrap_or_default();
        if slots.is_empty() {
            return Ok(Value::Dict(self.pairs(set_later, size)?));
        }
        slots.extend_from_slice(set_later);
        Ok(Value::Dict(self.pairs(&slots, size)?))
    }

    /// The elements given to the constructor of a collection.
    fn elements(&mut self, call: &'a Call, size: &mut u64) -> Result<Arc<[Value]>> {
        match self.graph.args(call) {
            [] => Ok(Arc::default()),
            [items] => {
                let items = match self.graph.node(*items) {
                    Some(Node::Set(items)) => items,
                    _ => self.graph.items(*items).ok_or_else(|| {
                        Problem::malformed("pickle", "expected the elements of a collection")
                    })?,
                };
                self.values(items, size)
            }
            _ => Err(Problem::malformed(
                "pickle",
                "expected one argument for a collection",
            )),
        }
    }

    /// `(class, base, state of the base)`: how protocols 0 and 1 write any object.
    fn reconstructor(&mut self, call: &'a Call, args: &'a [Slot], size: &mut u64) -> Result<Value> {
        let class = args.first().and_then(|&slot| self.graph.global(slot));
        let Some(class) = class else {
            return self.object("copyreg._reconstructor", call, size);
        };
        if class.ends_with(".EasyDict") || class == "collections.OrderedDict" {
            return self.mapping(call, args.get(2).copied(), size);
        }
        self.object(class, call, size)
    }

    /// A network or layer of stylegan2-ada-pytorch: `{type, version, module_src, class_name,
    /// state}`. The program text is skipped unread.
    fn persistent_object(&mut self, args: &'a [Slot], size: &mut u64) -> Result<Value> {
        let wrong = |reason: &str| Problem::malformed("persistent object", reason);
        let meta = args.first().and_then(|&slot| self.graph.entries(slot));
        let meta = meta.ok_or_else(|| wrong("expected a dict as its argument"))?;
        let entry = |name: &str| {
            let found = meta
                .iter()
                .find(|(key, _)| self.graph.text(*key) == Some(name));
            found.map(|&(_, value)| value)
        };
        let class = entry("class_name").and_then(|slot| self.graph.text(slot));
        let class = class.ok_or_else(|| wrong("expected a class_name"))?;
        let state = entry("state").ok_or_else(|| wrong("expected a state"))?;
        self.budget.memory(size_of::<Object>() + class.len() + 32)?;
        Ok(Value::Object(Arc::new(Object {
            class: class.into(),
            persistent: true,
            args: Arc::default(),
            state: self
                .resolve(state, size)
                .map_err(|problem| problem.within(class))?,
            items: Arc::default(),
            entries: Arc::default(),
        })))
    }

    /// Any other call, as data.
    fn object(&mut self, class: &str, call: &'a Call, size: &mut u64) -> Result<Value> {
        self.budget.memory(size_of::<Object>() + class.len() + 32)?;
        let mut args = match self.graph.node(call.args) {
            Some(Node::Tuple(items)) => self.values(items, size)?,
            _ => Arc::new([self.resolve(call.args, size)?]),
        };
        let Some(rest) = &call.rest else {
            return Ok(inert(
                class,
                args,
                Value::None,
                Arc::default(),
                Arc::default(),
            ));
        };
        if let Some(kwargs) = rest.kwargs {
            let kwargs = self.resolve(kwargs, size)?;
            args = args.iter().cloned().chain([kwargs]).collect();
        }
        let state = match rest.state {
            Some(state) => self.resolve(state, size)?,
            None => Value::None,
        };
        let items = self.values(&rest.items, size)?;
        let entries = self.pairs(&rest.entries, size)?;
        Ok(inert(class, args, state, items, entries))
    }
}

fn inert(
    class: &str,
    args: Arc<[Value]>,
    state: Value,
    items: Arc<[Value]>,
    entries: Arc<[(Value, Value)]>,
) -> Value {
    Value::Object(Arc::new(Object {
        class: class.into(),
        persistent: false,
        args,
        state,
        items,
        entries,
    }))
}
