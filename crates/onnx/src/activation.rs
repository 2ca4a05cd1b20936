//! Activation, gain and limit: `clamp(gain · act(x))`, as `domex_ops::bias_act` has it.

use domex_ops::Activation;

use crate::graph::{Attribute, Graph, Value};

const SELU_ALPHA: f64 = 1.673_263_242_354_377_2;
const SELU_SCALE: f64 = 1.050_700_987_355_480_5;

/// What follows a layer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finish {
    act: Activation,
    gain: f64,
    clamp: Option<f64>,
}

impl Finish {
    /// `gain` multiplies the activation's own gain, and the limit.
    pub fn new(act: Activation, gain: f64, clamp: Option<f64>) -> Self {
        Self {
            act,
            gain: act.default_gain() * gain,
            clamp: clamp.map(|limit| limit * gain),
        }
    }

    /// Takes out what may stand before the activation as well as behind it: of `act(g x) = g act(x)` the g. So a layer
    /// multiplies a few factors instead of a feature map.
    pub fn take_gain(&mut self) -> f64 {
        match self.act {
            Activation::Linear | Activation::Relu | Activation::Lrelu => {
                std::mem::replace(&mut self.gain, 1.0)
            }
            _ => 1.0,
        }
    }

    /// Adds the nodes.
    pub fn apply(self, graph: &mut Graph, x: &Value) -> Value {
        let mut y = activation(graph, self.act, x);
        if self.gain != 1.0 {
            let gain = graph.scalar(self.gain);
            y = graph.mul(&y, &gain);
        }
        match self.clamp {
            Some(limit) => graph.clip(&y, -limit, limit),
            None => y,
        }
    }
}

fn activation(graph: &mut Graph, act: Activation, x: &Value) -> Value {
    let alpha = |value| [("alpha", Attribute::Float(value))];
    match act {
        Activation::Linear => x.clone(),
        Activation::Relu => graph.op("Relu", &[x], &[]),
        Activation::Lrelu => graph.op("LeakyRelu", &[x], &alpha(act.default_alpha())),
        Activation::Tanh => graph.op("Tanh", &[x], &[]),
        Activation::Sigmoid => graph.op("Sigmoid", &[x], &[]),
        Activation::Elu => graph.op("Elu", &[x], &alpha(1.0)),
        Activation::Selu => {
            let y = graph.op("Elu", &[x], &alpha(SELU_ALPHA));
            let scale = graph.scalar(SELU_SCALE);
            graph.mul(&y, &scale)
        }
        Activation::Softplus => graph.op("Softplus", &[x], &[]),
        Activation::Swish => {
            let y = graph.op("Sigmoid", &[x], &[]);
            graph.mul(x, &y)
        }
    }
}
