//! A graph in the making: values by name, nodes in the order in which they are asked for.

use std::collections::BTreeSet;

use candle_core::{DType, Device, Tensor};

use crate::description::{Dim, Port};
use crate::proto::{
    AttributeProto, Dimension, DimensionValue, GraphProto, NodeProto, TensorProto,
    TensorShapeProto, TensorType, TypeProto, ValueInfoProto, attribute, data_type,
};
use crate::{Precision, Result};

/// The name of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Value(String);

/// A setting of an operator.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Attribute<'a> {
    Float(f64),
    Int(i64),
    Ints(&'a [i64]),
}

/// How a convolution works, alike on both axes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Conv {
    /// Its size.
    pub kernel: i64,
    /// Rows of zeros before and after; of a transposed one, rows that are cut off.
    pub padding: [i64; 2],
    /// Of channels.
    pub groups: i64,
    /// Whether it is a transposed one of stride 2.
    pub doubles: bool,
}

impl Conv {
    /// One that keeps the size.
    pub fn same(kernel: i64) -> Self {
        Self {
            kernel,
            padding: [kernel / 2; 2],
            groups: 1,
            doubles: false,
        }
    }
}

/// See the [module docs](self).
#[derive(Debug)]
pub(crate) struct Graph {
    proto: GraphProto,
    /// What is being built, for the names of nodes.
    path: String,
    /// Names of constants that several nodes share.
    shared: BTreeSet<String>,
    precision: Precision,
}

impl Graph {
    pub fn new(name: &str, precision: Precision) -> Self {
        Self {
            proto: GraphProto {
                name: name.to_owned(),
                ..GraphProto::default()
            },
            path: String::new(),
            shared: BTreeSet::new(),
            precision,
        }
    }

    pub fn finish(self) -> GraphProto {
        self.proto
    }

    /// Names the nodes that follow after the part that they belong to.
    pub fn enter(&mut self, path: &str) {
        path.clone_into(&mut self.path);
    }

    /// An input of single precision.
    pub fn input(&mut self, port: &Port) -> Value {
        self.proto.input.push(info(port));
        Value(port.name.clone())
    }

    /// Has the graph give this value under the port's name.
    pub fn output(&mut self, port: &Port, value: &Value) {
        self.push("Identity", &[value], &[], port.name.clone());
        self.proto.output.push(info(port));
    }

    /// A node with one output.
    pub fn op(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        attributes: &[(&str, Attribute<'_>)],
    ) -> Value {
        let name = format!("{}/{operator}_{}", self.path, self.proto.node.len());
        self.push(operator, inputs, attributes, name)
    }

    fn push(
        &mut self,
        operator: &str,
        inputs: &[&Value],
        attributes: &[(&str, Attribute<'_>)],
        name: String,
    ) -> Value {
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(|value| value.0.clone()).collect(),
            output: vec![name.clone()],
            name: name.clone(),
            op_type: operator.to_owned(),
            attribute: attributes.iter().map(written).collect(),
        });
        Value(name)
    }

    /// A constant of single precision.
    pub fn constant(&mut self, name: &str, tensor: &Tensor) -> Result<Value> {
        let bytes = floats(tensor)?.into_iter().flat_map(f32::to_le_bytes);
        self.initializer(name, tensor.dims(), data_type::FLOAT, bytes.collect());
        Ok(Value(name.to_owned()))
    }

    /// A constant of the synthesis network. Those of two axes and more are stored in the precision that was asked for; all
    /// are computed with in single precision.
    pub fn weight(&mut self, name: &str, tensor: &Tensor) -> Result<Value> {
        if self.precision == Precision::Float32 || tensor.rank() < 2 {
            return self.constant(name, tensor);
        }
        let halves = floats(tensor)?.into_iter().map(half::f16::from_f32);
        let bytes = halves.flat_map(half::f16::to_le_bytes).collect();
        self.initializer(name, tensor.dims(), data_type::FLOAT16, bytes);
        let to = [("to", Attribute::Int(data_type::FLOAT.into()))];
        Ok(self.op("Cast", &[&Value(name.to_owned())], &to))
    }

    /// A number.
    pub fn scalar(&mut self, value: f64) -> Value {
        let name = format!("number {value}");
        let bytes = (value as f32).to_le_bytes().to_vec();
        self.shared(name, &[], data_type::FLOAT, bytes)
    }

    /// A list of whole numbers: axes or a shape.
    pub fn ints(&mut self, values: &[i64]) -> Value {
        let name = format!("numbers {values:?}");
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.shared(name, &[values.len()], data_type::INT64, bytes.collect())
    }

    /// A whole number: an index.
    pub fn index(&mut self, value: i64) -> Value {
        let name = format!("index {value}");
        self.shared(name, &[], data_type::INT64, value.to_le_bytes().to_vec())
    }

    fn shared(&mut self, name: String, dims: &[usize], data_type: i32, bytes: Vec<u8>) -> Value {
        if self.shared.insert(name.clone()) {
            self.initializer(&name, dims, data_type, bytes);
        }
        Value(name)
    }

    fn initializer(&mut self, name: &str, dims: &[usize], data_type: i32, raw_data: Vec<u8>) {
        self.proto.initializer.push(TensorProto {
            dims: dims.iter().map(|&size| size as i64).collect(),
            data_type,
            name: name.to_owned(),
            raw_data,
        });
    }

    pub fn add(&mut self, a: &Value, b: &Value) -> Value {
        self.op("Add", &[a, b], &[])
    }

    pub fn sub(&mut self, a: &Value, b: &Value) -> Value {
        self.op("Sub", &[a, b], &[])
    }

    pub fn mul(&mut self, a: &Value, b: &Value) -> Value {
        self.op("Mul", &[a, b], &[])
    }

    pub fn matmul(&mut self, a: &Value, b: &Value) -> Value {
        self.op("MatMul", &[a, b], &[])
    }

    /// `x weightᵀ + bias` of `x: [n, i]` and `weight: [o, i]`.
    pub fn linear(&mut self, x: &Value, weight: &Value, bias: &Value) -> Value {
        let turned = [("transB", Attribute::Int(1))];
        self.op("Gemm", &[x, weight, bias], &turned)
    }

    /// `x`, no smaller than `low` and no larger than `high`.
    pub fn clip(&mut self, x: &Value, low: f64, high: f64) -> Value {
        let (low, high) = (self.scalar(low), self.scalar(high));
        self.op("Clip", &[x, &low, &high], &[])
    }

    /// A convolution. All its settings are written, also those that follow from the kernel: some readers want them.
    pub fn conv(&mut self, how: &Conv, inputs: &[&Value]) -> Value {
        let Conv {
            kernel,
            padding: [before, after],
            groups,
            doubles,
        } = *how;
        let (operator, stride) = match doubles {
            true => ("ConvTranspose", 2),
            false => ("Conv", 1),
        };
        let attributes = [
            ("kernel_shape", Attribute::Ints(&[kernel, kernel])),
            ("strides", Attribute::Ints(&[stride, stride])),
            ("pads", Attribute::Ints(&[before, before, after, after])),
            ("group", Attribute::Int(groups)),
        ];
        self.op(operator, inputs, &attributes)
    }

    /// `[n, c]` to `[n, c, 1, 1]`.
    pub fn as_channels(&mut self, x: &Value) -> Value {
        let axes = self.ints(&[2, 3]);
        self.op("Unsqueeze", &[x, &axes], &[])
    }
}

/// The values, row by row.
pub(crate) fn floats(tensor: &Tensor) -> Result<Vec<f32>> {
    let tensor = tensor.to_device(&Device::Cpu)?.to_dtype(DType::F32)?;
    Ok(tensor.flatten_all()?.to_vec1()?)
}

fn written((name, value): &(&str, Attribute<'_>)) -> AttributeProto {
    let mut attribute = AttributeProto {
        name: (*name).to_owned(),
        ..AttributeProto::default()
    };
    match *value {
        Attribute::Float(value) => {
            attribute.kind = attribute::FLOAT;
            attribute.f = Some(value as f32);
        }
        Attribute::Int(value) => {
            attribute.kind = attribute::INT;
            attribute.i = Some(value);
        }
        Attribute::Ints(values) => {
            attribute.kind = attribute::INTS;
            attribute.ints = values.to_vec();
        }
    }
    attribute
}

fn info(port: &Port) -> ValueInfoProto {
    let dim = |dim: &Dim| Dimension {
        value: Some(match dim {
            Dim::Size(size) => DimensionValue::Size(*size as i64),
            Dim::Named(name) => DimensionValue::Named((*name).to_owned()),
        }),
    };
    let shape = TensorShapeProto {
        dim: port.shape.iter().map(dim).collect(),
    };
    ValueInfoProto {
        name: port.name.clone(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorType {
                elem_type: data_type::FLOAT,
                shape: Some(shape),
            }),
        }),
        doc_string: port.meaning.clone(),
    }
}
