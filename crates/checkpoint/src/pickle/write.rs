//! Writing pickles that Python opens with the packages its user has.
//!
//! Protocol 4, which Python has read since 3.4, without frames and persistent ids, so that `pickle.load` needs no torch file
//! around it. Beside plain values a pickle has calls of these functions:
//!
//! | value | calls |
//! | --- | --- |
//! | [`Value::Tensor`] | `torch.tensor(numpy.ndarray(shape, code, bytes))`: in every torch and NumPy, and writable |
//! | [`Value::Object`] without a state | `class(*args)` |
//! | [`Value::Object`] with a state | a module `m = functools.partial(class, **kwargs)()` with its weights: `operator.getitem((m, torch.nn.Module.load_state_dict(m, state)), 0)` |
//!
//! A module's `args` are one dict, its keyword arguments, and its `state` is a dict of tensors. A pickle can call a function,
//! but then has what the function returned in place of the module; the pair keeps both and gives the module. An object that is
//! met twice is written once and is one object in Python too.
//!
//! [`foreign::read`](crate::foreign::read) gives the same values back and makes none of these calls.

use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

use super::opcode as op;
use crate::safetensors::{Overwrite, whole};
use crate::{Object, Problem, Result, TensorData, Value};

/// `module, name`, and keyword arguments in its state.
const PARTIAL: (&str, &str) = ("functools", "partial");
const GETITEM: (&str, &str) = ("operator", "getitem");
/// Protocol 4 allows a dotted name.
const LOAD: (&str, &str) = ("torch.nn", "Module.load_state_dict");
const TENSOR: (&str, &str) = ("torch", "tensor");
const ARRAY: (&str, &str) = ("numpy", "ndarray");

/// Writes a value as a pickle, whole or not at all; the same value always gives the same bytes.
///
/// # Errors
/// A value that has no form here: a tensor of bfloat16 or of unsigned integers wider than a byte, an object that is neither
/// of the two above. The file exists and is not to be replaced, or the folder cannot be written.
pub fn write(path: impl AsRef<Path>, value: &Value, overwrite: Overwrite) -> Result<()> {
    let path = path.as_ref();
    check(value).map_err(|problem| problem.in_file(path))?;
    whole(path, overwrite, |out| Writer::new(out).file(value))
}

/// The same in memory.
///
/// # Errors
/// A value that has no form here, see [`write()`].
pub fn to_bytes(value: &Value) -> Result<Vec<u8>> {
    check(value)?;
    let mut bytes = Vec::new();
    let written = Writer::new(&mut bytes).file(value);
    written.map_err(|source| crate::Error::io(Path::new("(memory)"), source))?;
    Ok(bytes)
}

/// Refuses what cannot be written, before the first byte is.
fn check(value: &Value) -> std::result::Result<(), Problem> {
    let all = |items: &[Value]| items.iter().try_for_each(check);
    match value {
        Value::Tensor(tensor) if tensor.dtype().numpy_code().is_none() => Err(Problem::Dtype {
            what: "tensor of a pickle".to_owned(),
            found: tensor.dtype().to_string(),
            expected: "bool, u8, signed integers, f16, f32, f64".to_owned(),
        }),
        Value::Global(name) if !name.contains('.') => Err(Problem::Type {
            expected: "the name of a module before that of a class",
            found: value.kind(),
        }),
        Value::List(items) | Value::Tuple(items) | Value::Set(items) => all(items),
        Value::Dict(entries) => entries
            .iter()
            .try_for_each(|(key, value)| check(key).and_then(|()| check(value))),
        Value::Object(object) => object_check(object).and_then(|()| {
            all(&object.args)?;
            check(&object.state)
        }),
        _ => Ok(()),
    }
}

fn object_check(object: &Object) -> std::result::Result<(), Problem> {
    let module = matches!(&*object.args, [Value::Dict(_)]);
    let plain = match &object.state {
        Value::None => true,
        Value::Dict(_) => module,
        _ => false,
    };
    let nothing_else = !object.persistent && object.items.is_empty() && object.entries.is_empty();
    if plain && nothing_else && object.class.contains('.') {
        return Ok(());
    }
    Err(Problem::Type {
        expected: "a class with arguments, or a module with keyword arguments and a dict of tensors",
        found: Value::Object(Arc::new(object.clone())).kind(),
    })
}

struct Writer<W> {
    out: W,
    /// How many values the reader remembers.
    remembered: u32,
    names: HashMap<(String, String), u32>,
    /// By address: the value outlives the writer.
    objects: HashMap<*const Object, u32>,
}

impl<W: Write> Writer<W> {
    fn new(out: W) -> Self {
        Self {
            out,
            remembered: 0,
            names: HashMap::new(),
            objects: HashMap::new(),
        }
    }

    fn file(&mut self, value: &Value) -> io::Result<()> {
        self.put(&[op::PROTO, 4])?;
        self.value(value)?;
        self.put(&[op::STOP])?;
        self.out.flush()
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    fn value(&mut self, value: &Value) -> io::Result<()> {
        match value {
            Value::None => self.put(&[op::NONE]),
            Value::Bool(value) => self.put(&[if *value { op::NEWTRUE } else { op::NEWFALSE }]),
            Value::Int(value) => self.integer((*value).into()),
            Value::BigInt(value) => self.integer(*value),
            Value::Float(value) => {
                self.put(&[op::BINFLOAT])?;
                self.put(&value.to_be_bytes())
            }
            Value::Str(text) => self.text(text),
            Value::Bytes(bytes) => self.bytes(bytes),
            Value::List(items) => {
                self.put(&[op::EMPTY_LIST, op::MARK])?;
                self.values(items)?;
                self.put(&[op::APPENDS])
            }
            Value::Set(items) => {
                self.put(&[op::EMPTY_SET, op::MARK])?;
                self.values(items)?;
                self.put(&[op::ADDITEMS])
            }
            Value::Tuple(items) => {
                self.put(&[op::MARK])?;
                self.values(items)?;
                self.put(&[op::TUPLE])
            }
            Value::Dict(entries) => {
                self.put(&[op::EMPTY_DICT, op::MARK])?;
                for (key, value) in entries.iter() {
                    self.value(key)?;
                    self.value(value)?;
                }
                self.put(&[op::SETITEMS])
            }
            Value::Tensor(tensor) => self.tensor(tensor),
            Value::Global(name) => self.global(split(name)),
            Value::Object(object) => self.object(object),
        }
    }

    fn values(&mut self, items: &[Value]) -> io::Result<()> {
        items.iter().try_for_each(|item| self.value(item))
    }

    fn integer(&mut self, value: i128) -> io::Result<()> {
        if let Ok(small) = i32::try_from(value) {
            self.put(&[op::BININT])?;
            return self.put(&small.to_le_bytes());
        }
        self.put(&[op::LONG1, 16])?;
        self.put(&value.to_le_bytes())
    }

    /// A text or byte string: the shortest of three forms, by the size of its length.
    fn counted(&mut self, [one, four, eight]: [u8; 3], bytes: &[u8]) -> io::Result<()> {
        let len = bytes.len();
        if let Ok(len) = u8::try_from(len) {
            self.put(&[one, len])?;
        } else if let Ok(len) = u32::try_from(len) {
            self.put(&[four])?;
            self.put(&len.to_le_bytes())?;
        } else {
            self.put(&[eight])?;
            self.put(&(len as u64).to_le_bytes())?;
        }
        self.put(bytes)
    }

    fn text(&mut self, text: &str) -> io::Result<()> {
        let forms = [op::SHORT_BINUNICODE, op::BINUNICODE, op::BINUNICODE8];
        self.counted(forms, text.as_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.counted([op::SHORT_BINBYTES, op::BINBYTES, op::BINBYTES8], bytes)
    }

    /// Has the reader remember what is on top of its stack.
    fn remember(&mut self) -> io::Result<u32> {
        let number = self.remembered;
        self.remembered += 1;
        self.put(&[op::MEMOIZE])?;
        Ok(number)
    }

    fn recall(&mut self, number: u32) -> io::Result<()> {
        if let Ok(short) = u8::try_from(number) {
            return self.put(&[op::BINGET, short]);
        }
        self.put(&[op::LONG_BINGET])?;
        self.put(&number.to_le_bytes())
    }

    fn global(&mut self, (module, name): (&str, &str)) -> io::Result<()> {
        let key = (module.to_owned(), name.to_owned());
        if let Some(&number) = self.names.get(&key) {
            return self.recall(number);
        }
        self.text(module)?;
        self.text(name)?;
        self.put(&[op::STACK_GLOBAL])?;
        let number = self.remember()?;
        self.names.insert(key, number);
        Ok(())
    }

    fn tensor(&mut self, tensor: &TensorData) -> io::Result<()> {
        let code = tensor.dtype().numpy_code().unwrap_or_default(); // `check` was there first.
        self.global(TENSOR)?;
        self.global(ARRAY)?;
        self.put(&[op::MARK])?;
        for &size in tensor.shape() {
            self.integer(size as i128)?;
        }
        self.put(&[op::TUPLE])?;
        self.text(code)?;
        self.bytes(tensor.bytes())?;
        self.put(&[op::TUPLE3, op::REDUCE, op::TUPLE1, op::REDUCE])
    }

    fn object(&mut self, object: &Arc<Object>) -> io::Result<()> {
        if let Some(&number) = self.objects.get(&Arc::as_ptr(object)) {
            return self.recall(number);
        }
        let class = split(&object.class);
        if matches!(object.state, Value::None) {
            self.global(class)?;
            self.value(&Value::Tuple(Arc::clone(&object.args)))?;
            self.put(&[op::REDUCE])?;
        } else {
            self.module(class, object)?;
        }
        let number = self.remember()?;
        self.objects.insert(Arc::as_ptr(object), number);
        Ok(())
    }

    fn module(&mut self, class: (&str, &str), object: &Object) -> io::Result<()> {
        self.global(GETITEM)?;
        // partial(class), and its state (function, arguments, keyword arguments, attributes).
        self.global(PARTIAL)?;
        self.global(class)?;
        self.put(&[op::TUPLE1, op::REDUCE, op::MARK])?;
        self.global(class)?;
        self.put(&[op::EMPTY_TUPLE])?;
        self.values(&object.args)?;
        self.put(&[op::NONE, op::TUPLE, op::BUILD])?;
        self.put(&[op::EMPTY_TUPLE, op::REDUCE])?;
        let made = self.remember()?;
        self.global(LOAD)?;
        self.recall(made)?;
        self.value(&object.state)?;
        self.put(&[op::TUPLE2, op::REDUCE, op::TUPLE2])?;
        self.value(&Value::Int(0))?;
        self.put(&[op::TUPLE2, op::REDUCE])
    }
}

/// `module.name` at its last dot.
fn split(name: &str) -> (&str, &str) {
    name.rsplit_once('.').unwrap_or(("builtins", name))
}
