//! NumPy arrays and scalars.
//!
//! An array is `_reconstruct(ndarray, (0,), b"b")`, then a state `(version, shape, dtype,
//! is_fortran, data)`; a scalar is `scalar(dtype, data)`; with protocol 5 an array may be
//! `_frombuffer(data, dtype, shape, order)`, and [`pickle::write`](crate::pickle::write()) calls `ndarray(shape, code,
//! data)`. Source: `numpy/_core/multiarray.py`,
//! `numpy/_core/src/multiarray/methods.c`.

use super::graph::Graph;
use super::resolve::{Resolver, Result};
use crate::budget::Budget;
use crate::pickle::{Call, Slot};
use crate::view::{View, row_major};
use crate::{Bytes, Dtype, Problem, Value};

/// A NumPy element type that tensors have too.
pub(super) struct ElementType {
    pub dtype: Dtype,
    big_endian: bool,
}

impl ElementType {
    /// The type of a code such as `<f4` or `b1`, with the byte order from a dtype's state where the
    /// code has none.
    ///
    /// `None` for types that no tensor has: text, objects, records, dates, complex numbers.
    pub fn parse(code: &str, order: &str) -> Result<Option<Self>> {
        let plain = code.trim_start_matches(['<', '>', '|', '=']);
        if let Some(dtype) = Dtype::from_numpy_code(plain) {
            let big_endian = order == ">" || code.starts_with('>');
            return Ok(Some(Self { dtype, big_endian }));
        }
        match plain.chars().next() {
            Some('O' | 'U' | 'S' | 'V' | 'M' | 'm' | 'c' | 'T' | 'a') => Ok(None),
            _ => Err(Problem::Dtype {
                what: "NumPy array".to_owned(),
                found: crate::error::clean(code),
                expected: "b1, u1 to u8, i1 to i8, f2 to f8".to_owned(),
            }),
        }
    }

    /// Elements of this type, with their bytes in this machine's order.
    pub fn little_endian(&self, data: Bytes, budget: &mut Budget) -> Result<Bytes> {
        let size = self.dtype.size();
        if !self.big_endian || size == 1 {
            return Ok(data);
        }
        budget.tensor(data.len())?;
        Ok(swapped(&data, size))
    }
}

/// All elements of an array, in row-major or (`fortran`) column-major order.
pub(super) fn view(shape: Vec<usize>, fortran: bool) -> View {
    let strides = if fortran {
        let mut reversed = shape.clone();
        reversed.reverse();
        row_major(&reversed).into_iter().rev().collect()
    } else {
        row_major(&shape)
    };
    View {
        shape,
        strides,
        offset: 0,
    }
}

impl Resolver<'_> {
    /// The value of a call to NumPy, if it is a known one on elements that tensors can hold.
    pub fn numpy_call(&mut self, name: &str, call: &Call) -> Result<Option<Value>> {
        let function = name
            .strip_prefix("numpy.core.")
            .or_else(|| name.strip_prefix("numpy._core."));
        let args = self.graph.args(call);
        if let ("numpy.ndarray", &[shape, code, data]) = (name, args)
            && let Some(code) = self.graph.text(code)
        {
            let Some(element) = ElementType::parse(code, "=")? else {
                return Ok(None);
            };
            return self.array(data, &element, shape, false).map(Some);
        }
        match (function, args) {
            (Some("multiarray._reconstruct"), _) => {
                let state = call.rest.as_ref().and_then(|rest| rest.state);
                let state = state
                    .and_then(|slot| self.graph.items(slot))
                    .unwrap_or_default();
                match *state {
                    [_, shape, dtype, Slot::Bool(fortran), data]
                    | [shape, dtype, Slot::Bool(fortran), data] => {
                        self.typed_array(data, dtype, shape, fortran)
                    }
                    _ => Err(Problem::malformed(
                        "NumPy array",
                        "expected a state (version, shape, dtype, is_fortran, data)",
                    )),
                }
            }
            (Some("multiarray.scalar"), &[dtype, data]) => self.scalar(dtype, data),
            (Some("numeric._frombuffer"), &[data, dtype, shape, order]) => {
                let fortran = self.graph.text(order) == Some("F");
                self.typed_array(data, dtype, shape, fortran)
            }
            _ => Ok(None),
        }
    }

    fn typed_array(
        &mut self,
        data: Slot,
        dtype: Slot,
        shape: Slot,
        fortran: bool,
    ) -> Result<Option<Value>> {
        match element_type(self.graph, dtype)? {
            Some(element) => self.array(data, &element, shape, fortran).map(Some),
            None => Ok(None),
        }
    }

    fn array(
        &mut self,
        data: Slot,
        element: &ElementType,
        shape: Slot,
        fortran: bool,
    ) -> Result<Value> {
        let shape = self.graph.sizes(shape, "shape of a NumPy array")?;
        let data = self.data(data, element)?;
        let view = view(shape, fortran);
        let need = view.byte_len(element.dtype)?;
        if need != data.len() {
            return Err(Problem::malformed(
                "NumPy array",
                format!("holds {} bytes, but its shape needs {need}", data.len()),
            ));
        }
        self.tensor(&view, element.dtype, &data)
    }

    fn scalar(&mut self, dtype: Slot, data: Slot) -> Result<Option<Value>> {
        let Some(element) = element_type(self.graph, dtype)? else {
            return Ok(None);
        };
        let data = self.data(data, &element)?;
        if data.len() != element.dtype.size() {
            return Err(Problem::malformed(
                "NumPy scalar",
                "has the wrong number of bytes",
            ));
        }
        let mut eight = [0; 8];
        eight[..data.len()].copy_from_slice(&data);
        let view = View {
            shape: Vec::new(),
            strides: Vec::new(),
            offset: 0,
        };
        let tensor = view.gather(element.dtype, &data)?;
        Ok(Some(match element.dtype {
            Dtype::Bool => Value::Bool(eight[0] != 0),
            Dtype::U64 => {
                let value = u64::from_le_bytes(eight);
                i64::try_from(value).map_or(Value::BigInt(value.into()), Value::Int)
            }
            float if float.is_float() => Value::Float(tensor.to_f64_vec()[0]),
            _ => Value::Int(
                tensor
                    .to_i64_vec()
                    .ok()
                    .and_then(|v| v.first().copied())
                    .unwrap_or(0),
            ),
        }))
    }

    /// The elements, little-endian.
    fn data(&mut self, slot: Slot, element: &ElementType) -> Result<Bytes> {
        let data = self.owned_bytes(slot)?;
        let data =
            data.ok_or_else(|| Problem::malformed("NumPy array", "expected bytes as data"))?;
        element.little_endian(data, self.budget)
    }
}

/// The elements with their bytes in reverse order.
pub(super) fn swapped(data: &[u8], size: usize) -> Bytes {
    let mut out = data.to_vec();
    for element in out.chunks_exact_mut(size) {
        element.reverse();
    }
    out.into()
}

/// Reads `numpy.dtype(code, align, copy)` with its state `(version, byte order, ...)`.
fn element_type(graph: Graph, slot: Slot) -> Result<Option<ElementType>> {
    let wrong = || Problem::malformed("NumPy array", "expected a numpy.dtype");
    let call = graph.call(slot).ok_or_else(wrong)?;
    if graph.global(call.callable) != Some("numpy.dtype") {
        return Err(wrong());
    }
    let code = graph
        .args(call)
        .first()
        .and_then(|&slot| graph.text(slot))
        .ok_or_else(wrong)?;
    let state = call.rest.as_ref().and_then(|rest| rest.state);
    let state = state.and_then(|slot| graph.items(slot)).unwrap_or_default();
    let order = state
        .get(1)
        .and_then(|&slot| graph.text(slot))
        .unwrap_or("=");
    ElementType::parse(code, order)
}
