//! Tensors and storages as `torch.save` and `Tensor.__reduce_ex__` write them.
//!
//! A tensor is `torch._utils._rebuild_tensor_v2(storage, offset, size, stride, ...)`. Its storage is
//! a persistent id `("storage", torch.FloatStorage, key, location, elements)` in a torch file; in a
//! plain pickle it is a whole torch file of the older kind inside a byte string
//! (`torch.storage._load_from_bytes`). Source: `torch/_utils.py`, `torch/serialization.py`.

use std::sync::Arc;

use super::graph::Graph;
use super::legacy;
use super::resolve::{Resolver, Result};
use crate::pickle::{Node, Slot};
use crate::view::View;
use crate::{Bytes, Dtype, Object, Problem, TensorData, Value};

/// A flat run of elements.
#[derive(Clone)]
pub(super) struct Storage {
    pub dtype: Dtype,
    pub bytes: Bytes,
}

/// A persistent id.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct StorageId {
    pub dtype: Dtype,
    pub key: String,
    pub elements: usize,
    /// First element and number of elements, where the storage is a part of another one.
    pub part: Option<(usize, usize)>,
}

impl StorageId {
    /// Reads the tuple of a persistent id.
    pub fn parse(graph: Graph, slot: Slot) -> Result<Self> {
        let wrong = |reason: &str| Problem::malformed("reference to a storage", reason);
        let items = graph.items(slot).ok_or_else(|| wrong("expected a tuple"))?;
        let [kind, class, key, _location, elements, rest @ ..] = items else {
            return Err(wrong("expected (kind, class, key, location, elements)"));
        };
        if graph.text(*kind) != Some("storage") {
            return Err(wrong("expected the kind \"storage\""));
        }
        let class = graph
            .global(*class)
            .ok_or_else(|| wrong("expected a storage class"))?;
        let key = match graph.text(*key) {
            Some(key) => key.to_owned(),
            None => graph.int(*key, "key of a storage")?.to_string(),
        };
        let dtype = storage_dtype(class, &key)?;
        let size = |slot: Slot| {
            let value = graph.int(slot, "size of a storage")?;
            usize::try_from(value).map_err(|_| wrong("a negative size"))
        };
        let part = match rest.first().and_then(|&slot| graph.items(slot)) {
            Some(&[_key, first, count]) => Some((size(first)?, size(count)?)),
            _ => None,
        };
        Ok(Self {
            dtype,
            key,
            elements: size(*elements)?,
            part,
        })
    }

    /// The length of the whole storage in bytes.
    pub fn byte_len(&self) -> Result<usize> {
        crate::view::byte_len(self.dtype, &[self.elements])
    }

    /// Cuts the referenced part out of the whole storage.
    pub fn cut(&self, whole: Bytes) -> Result<Bytes> {
        let Some((first, count)) = self.part else {
            return Ok(whole);
        };
        let size = self.dtype.size();
        let range = first
            .checked_mul(size)
            .zip(count.checked_mul(size))
            .and_then(|(start, len)| whole.slice(start..start.checked_add(len)?));
        range.ok_or_else(|| {
            Problem::malformed(
                format!("storage {}", crate::error::clean(&self.key)),
                format!("a part of {count} elements from {first} lies outside"),
            )
        })
    }
}

fn storage_dtype(class: &str, key: &str) -> Result<Dtype> {
    let name = class.strip_prefix("torch.").unwrap_or(class);
    let name = name.rsplit('.').next().unwrap_or(name);
    Dtype::from_torch_name(name).ok_or_else(|| Problem::Dtype {
        what: format!("storage {}", crate::error::clean(key)),
        found: crate::error::clean(class),
        expected:
            "torch's Bool, Byte, Char, Short, Int, Long, Half, BFloat16, Float, DoubleStorage"
                .to_owned(),
    })
}

impl<'a> Resolver<'a> {
    /// The value of a call to torch, if it is one that is known.
    pub fn torch_call(
        &mut self,
        name: &str,
        args: &'a [Slot],
        slot: Slot,
        size: &mut u64,
    ) -> Result<Option<Value>> {
        match name {
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2" => {
                self.rebuild_tensor(args, None).map(Some)
            }
            "torch._utils._rebuild_tensor_v3" => {
                let dtype = args.get(6).and_then(|&slot| self.graph.global(slot));
                self.rebuild_tensor(args, dtype).map(Some)
            }
            "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
                match args.first() {
                    Some(&data) => self.resolve(data, size).map(Some),
                    None => Err(Problem::malformed("parameter", "expected its tensor")),
                }
            }
            "torch._tensor._rebuild_from_type_v2" => {
                let call = args.first().zip(args.get(2));
                let call =
                    call.and_then(|(&f, &a)| Some((self.graph.global(f)?, self.graph.items(a)?)));
                match call {
                    // One level only: a rebuilt tensor is not wrapped twice.
                    Some((inner, args)) if inner != name => {
                        self.torch_call(inner, args, slot, size)
                    }
                    _ => Ok(None),
                }
            }
            "torch.storage._load_from_bytes" => {
                let storage = self.storage(slot)?;
                self.flat(&storage).map(Some)
            }
            "torch.tensor" => match *args {
                [data] => {
                    let value = self.resolve(data, size)?;
                    Ok(matches!(value, Value::Tensor(_)).then_some(value))
                }
                _ => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// A persistent id on its own: its storage as a flat tensor.
    pub fn persistent(&mut self, slot: Slot, id: Slot, size: &mut u64) -> Result<Value> {
        if let Some(storage) = self.loaded(id)? {
            debug_assert!(matches!(self.graph.node(slot), Some(Node::Persistent(_))));
            return self.flat(&storage);
        }
        self.budget.memory(size_of::<Object>() + 64)?;
        Ok(Value::Object(Arc::new(Object {
            class: "(persistent id)".into(),
            persistent: false,
            args: Arc::new([self.resolve(id, size)?]),
            state: Value::None,
            items: Arc::default(),
            entries: Arc::default(),
        })))
    }

    fn flat(&mut self, storage: &Storage) -> Result<Value> {
        let elements = storage.bytes.len() / storage.dtype.size();
        let view = View {
            shape: vec![elements],
            strides: vec![1],
            offset: 0,
        };
        self.tensor(&view, storage.dtype, &storage.bytes)
    }

    /// `(storage, offset, size, stride, ...)`.
    fn rebuild_tensor(&mut self, args: &'a [Slot], dtype: Option<&str>) -> Result<Value> {
        let [storage, offset, size, stride, ..] = *args else {
            return Err(Problem::malformed(
                "tensor",
                "expected (storage, offset, size, stride)",
            ));
        };
        let storage = self.storage(storage)?;
        let dtype = match dtype {
            Some(name) => storage_dtype(name, "of a tensor")?,
            None => storage.dtype,
        };
        let view = View {
            shape: self.graph.sizes(size, "shape of a tensor")?,
            strides: self.graph.ints(stride, "strides of a tensor")?,
            offset: self.graph.int(offset, "offset of a tensor")?,
        };
        self.tensor(&view, dtype, &storage.bytes)
    }

    /// A tensor, paid for.
    pub fn tensor(&mut self, view: &View, dtype: Dtype, storage: &Bytes) -> Result<Value> {
        let header = size_of::<TensorData>() + 64 + view.shape.len() * size_of::<usize>();
        self.budget.memory(header)?;
        self.budget.tensor(view.byte_len(dtype)?)?;
        Ok(Value::Tensor(Arc::new(view.gather(dtype, storage)?)))
    }

    fn storage(&mut self, slot: Slot) -> Result<Storage> {
        let unknown = || Problem::malformed("tensor", "its storage is of an unknown kind");
        match self.graph.node(slot).ok_or_else(unknown)? {
            Node::Persistent(id) => self.loaded(*id)?.ok_or_else(|| {
                Problem::malformed("tensor", "it refers to a storage outside the file")
            }),
            Node::Call(call) => {
                if self.graph.global(call.callable) != Some("torch.storage._load_from_bytes") {
                    return Err(unknown());
                }
                let [Slot::Node(bytes)] = *self.graph.args(call) else {
                    return Err(unknown());
                };
                self.nested_storage(bytes)
            }
            _ => Err(unknown()),
        }
    }

    fn loaded(&mut self, id: Slot) -> Result<Option<Storage>> {
        let Ok(id) = StorageId::parse(self.graph, id) else {
            // Outside torch files, persistent ids may be anything; inside they must be right.
            let blank = StorageId {
                dtype: Dtype::U8,
                key: String::new(),
                elements: 0,
                part: None,
            };
            return match self.storages.load(&blank, self.budget) {
                None => Ok(None),
                Some(_) => StorageId::parse(self.graph, id).map(|_| None),
            };
        };
        let Some(bytes) = self.storages.load(&id, self.budget) else {
            return Ok(None);
        };
        Ok(Some(Storage {
            dtype: id.dtype,
            bytes: id.cut(bytes?)?,
        }))
    }

    /// A storage that is a torch file of its own. Each byte string is read once.
    fn nested_storage(&mut self, node: u32) -> Result<Storage> {
        if let Some(storage) = self.nested.get(&node) {
            return Ok(storage.clone());
        }
        let bytes = self.owned_bytes(Slot::Node(node))?;
        let bytes = bytes.ok_or_else(|| Problem::malformed("storage", "expected a byte string"))?;
        let taken = self.budget.taken();
        let storage = legacy::storage(&bytes, self.budget);
        let storage = storage.map_err(|problem| problem.within("storage in a byte string"))?;
        self.budget.release(taken);
        self.budget.memory(2 * size_of::<(u32, Storage)>() + 32)?;
        self.nested.insert(node, storage.clone());
        Ok(storage)
    }
}
