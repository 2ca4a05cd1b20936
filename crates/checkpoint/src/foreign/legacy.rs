//! The older torch container, which `torch.save` wrote before version 1.6 and still writes inside
//! pickles: five pickles (magic number, protocol version, system information, the object, the keys
//! of its storages), then each storage as a count of elements (`i64`) and the elements.
//! Source: `_legacy_save` and `_legacy_load` in `torch/serialization.py`.

use std::collections::HashMap;

use super::graph::Graph;
use super::resolve::{self, Result, Storages};
use super::torch::{Storage, StorageId};
use crate::budget::Budget;
use crate::pickle::{self, Node, Program, Slot};
use crate::{Bytes, Problem, Value};

const MAGIC: i128 = 0x1950_a86a_20f9_469c_fc6c;
const PROTOCOL: i64 = 1001;

/// Whether the first pickle of a file is the mark of this container.
pub(super) fn is_magic(program: &Program) -> bool {
    let Slot::Node(root) = program.root else {
        return false;
    };
    matches!(&program.nodes[root as usize], Node::BigInt(value) if **value == MAGIC)
}

/// Reads a whole file.
pub(super) fn read(bytes: &Bytes, budget: &mut Budget) -> Result<Value> {
    let mut file = File::parse(bytes, budget)?;
    let File {
        object,
        program,
        storages,
    } = &mut file;
    resolve::value(object, program, storages, budget)
}

/// Reads a file that holds one bare storage.
pub(super) fn storage(bytes: &Bytes, budget: &mut Budget) -> Result<Storage> {
    let mut file = File::parse(bytes, budget)?;
    let graph = Graph {
        source: &file.object,
        nodes: &file.program.nodes,
    };
    let Some(Node::Persistent(id)) = graph.node(file.program.root) else {
        return Err(Problem::malformed(
            "nested torch file",
            "expected a single storage",
        ));
    };
    let id = StorageId::parse(graph, *id)?;
    match file.storages.load(&id, budget) {
        Some(bytes) => Ok(Storage {
            dtype: id.dtype,
            bytes: id.cut(bytes?)?,
        }),
        None => Err(Problem::malformed(
            "nested torch file",
            "its storage is missing",
        )),
    }
}

struct File {
    /// The pickle of the object.
    object: Bytes,
    program: Program,
    storages: Records,
}

impl File {
    fn parse(bytes: &Bytes, budget: &mut Budget) -> Result<Self> {
        let mut at = 0;
        let mut next = |part: &str, budget: &mut Budget| {
            let source = rest(bytes, at)?;
            let program = pickle::run(&source, budget).map_err(|problem| problem.within(part))?;
            at += program.used;
            Ok::<_, Problem>((source, program))
        };
        if !is_magic(&next("magic number", budget)?.1) {
            return Err(Problem::malformed(
                "torch file",
                "expected the magic number",
            ));
        }
        let version = next("protocol version", budget)?.1.root;
        if version != Slot::Int(PROTOCOL) {
            let reason = format!("protocol version {version:?}, expected {PROTOCOL}");
            return Err(Problem::malformed("torch file", reason));
        }
        next("system information", budget)?;
        let (object, program) = next("object", budget)?;
        let (keys_source, keys) = next("storage keys", budget)?;
        let keys_graph = Graph {
            source: &keys_source,
            nodes: &keys.nodes,
        };
        let ids = ids(Graph {
            source: &object,
            nodes: &program.nodes,
        })?;
        let storages = Records::parse(&rest(bytes, at)?, keys_graph, keys.root, &ids, budget)?;
        Ok(Self {
            object,
            program,
            storages,
        })
    }
}

fn rest(bytes: &Bytes, at: usize) -> Result<Bytes> {
    let rest = bytes.slice(at..bytes.len());
    rest.ok_or_else(|| Problem::truncated("torch file", at as u64, bytes.len() as u64))
}

/// Every storage that the object refers to.
fn ids(graph: Graph) -> Result<HashMap<String, StorageId>> {
    let mut ids = HashMap::new();
    for node in graph.nodes {
        if let Node::Persistent(slot) = node {
            let id = StorageId::parse(graph, *slot)?;
            if let Some(other) = ids.get(&id.key) {
                let other: &StorageId = other;
                if (other.dtype, other.elements) != (id.dtype, id.elements) {
                    let what = format!("storage {}", crate::error::clean(&id.key));
                    return Err(Problem::malformed(
                        what,
                        "is referred to with two types or sizes",
                    ));
                }
            }
            ids.insert(id.key.clone(), id);
        }
    }
    Ok(ids)
}

/// The storages at the end of the file.
struct Records(HashMap<String, Bytes>);

impl Records {
    fn parse(
        bytes: &Bytes,
        graph: Graph,
        keys: Slot,
        ids: &HashMap<String, StorageId>,
        budget: &mut Budget,
    ) -> Result<Self> {
        let keys = graph.items(keys);
        let keys = keys.ok_or_else(|| Problem::malformed("storage keys", "expected a list"))?;
        budget.memory(keys.len() * 128)?;
        let mut records = HashMap::new();
        let mut at = 0;
        for &key in keys {
            let key = match graph.text(key) {
                Some(key) => key.to_owned(),
                None => graph.int(key, "key of a storage")?.to_string(),
            };
            let shown = crate::error::clean(&key);
            let id = ids.get(&key).ok_or_else(|| Problem::Missing {
                what: "storage",
                name: shown.clone(),
                hint: "the object does not refer to it".to_owned(),
            })?;
            let what = format!("storage {shown}");
            let count = part(bytes, &mut at, 8, &what)?;
            let count = i64::from_le_bytes(count[..].try_into().unwrap_or_default());
            if usize::try_from(count) != Ok(id.elements) {
                let reason = format!("holds {count} elements, expected {}", id.elements);
                return Err(Problem::malformed(what, reason));
            }
            let elements = part(bytes, &mut at, id.byte_len()?, &what)?;
            if records.insert(key, elements).is_some() {
                return Err(Problem::Duplicate {
                    what: "storage",
                    name: shown,
                });
            }
        }
        Ok(Self(records))
    }
}

fn part(bytes: &Bytes, at: &mut usize, len: usize, what: &str) -> Result<Bytes> {
    let have = bytes.len() - *at;
    let part = at.checked_add(len).and_then(|end| bytes.slice(*at..end));
    let part = part.ok_or_else(|| Problem::truncated(what, len as u64, have as u64))?;
    *at += len;
    Ok(part)
}

impl Storages for Records {
    fn load(&mut self, id: &StorageId, _: &mut Budget) -> Option<Result<Bytes>> {
        Some(
            self.0
                .get(&id.key)
                .cloned()
                .ok_or_else(|| Problem::Missing {
                    what: "storage",
                    name: crate::error::clean(&id.key),
                    hint: "the file does not hold it".to_owned(),
                }),
        )
    }
}
