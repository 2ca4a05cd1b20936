//! Mapping network: `z` and label to `w`, as `domex_stylegan2::mapping` has it.
//!
//! Its weights are stored in single precision always: what is lost here moves the whole picture, ten times as far as what is lost
//! in the synthesis network.

use domex_stylegan2::MappingConfig;

use crate::Result;
use crate::activation::Finish;
use crate::graph::{Attribute, Graph, Value};
use crate::weights::Weights;

/// Added to a mean square.
const EPSILON: f64 = 1e-8;

/// `z: [n, z_dim]` and `label: [n, c_dim]` to `[n, w_dim]`.
pub(crate) fn mapping(
    graph: &mut Graph,
    weights: &Weights,
    cfg: &MappingConfig,
    z: &Value,
    label: Option<&Value>,
) -> Result<Value> {
    graph.enter("mapping");
    let mut x = normalised(graph, z);
    if let Some(label) = label {
        graph.enter("mapping.embed");
        let y = weights.dense(graph, "mapping.embed", label, 1.0, Graph::constant)?;
        let y = normalised(graph, &y);
        x = graph.op("Concat", &[&x, &y], &[("axis", Attribute::Int(1))]);
    }
    for index in 0..cfg.num_layers {
        let path = format!("mapping.fc{index}");
        graph.enter(&path);
        let y = weights.dense(graph, &path, &x, cfg.lr_multiplier, Graph::constant)?;
        x = Finish::new(cfg.activation, 1.0, None).apply(graph, &y);
    }
    Ok(x)
}

/// `x rsqrt(mean(x²) + 1e-8)` along axis 1.
fn normalised(graph: &mut Graph, x: &Value) -> Value {
    let squares = graph.mul(x, x);
    let along = [
        ("axes", Attribute::Ints(&[1])),
        ("keepdims", Attribute::Int(1)),
    ];
    let mean = graph.op("ReduceMean", &[&squares], &along);
    let epsilon = graph.scalar(EPSILON);
    let mean = graph.add(&mean, &epsilon);
    let length = graph.op("Sqrt", &[&mean], &[]);
    graph.op("Div", &[x, &length], &[])
}
