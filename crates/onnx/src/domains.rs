//! The domains of an expanded model: onto the base subspace, and along the directions.
//!
//! ```text
//! base(w) = w P + c,    placed = base(w) + strengths S
//! ```
//!
//! P projects onto the base subspace, c are the repurposed coordinates of the mean latent, and row i of S is the direction of
//! domain i times its distance. All three are what `domex_latent::Subspaces` makes of unit latents, so the graph does what the
//! program does, whatever the layout says of the base.
//!
//! Where domains are vectors or changes of affine maps beside the weights, a layer gets as much of them as their gates let through
//! (`domex_latent::domain_vectors`, `domex_latent::matrices`). As the directions are orthonormal and the base keeps the mean's coordinates, how far a
//! placed latent has gone into a domain is the strength itself.

use candle_core::{DType, Device, Tensor};
use domex_latent::Expansion;
use domex_latent::domain_vectors::Gate;
use domex_latent::matrices::AffineChange;

use crate::Result;
use crate::graph::{Graph, Value};

/// What gates close, as they are opened by `domex_latent`: t up to here is low.
const LOW: f64 = 1.0;

/// Puts latents `[n, D]`, or `[n, L, D]` where there are `rows`, where `strengths: [n, domains]` say.
pub(crate) fn place(
    graph: &mut Graph,
    expansion: &Expansion,
    latents: &Value,
    strengths: &Value,
    rows: bool,
) -> Result<Value> {
    graph.enter("expansion");
    let maps = Maps::new(expansion)?;
    let projection = graph.constant("expansion.projection", &maps.projection)?;
    let repurposed = graph.constant("expansion.repurposed_mean", &maps.repurposed_mean)?;
    let directions = graph.constant("expansion.directions", &maps.directions)?;
    let base = graph.matmul(latents, &projection);
    let base = graph.add(&base, &repurposed);
    let mut moved = graph.matmul(strengths, &directions);
    if rows {
        let axis = graph.ints(&[1]);
        moved = graph.op("Unsqueeze", &[&moved, &axis], &[]);
    }
    Ok(graph.add(&base, &moved))
}

struct Maps {
    projection: Tensor,      // [D, D]
    repurposed_mean: Tensor, // [D]
    directions: Tensor,      // [domains, D]
}

impl Maps {
    fn new(expansion: &Expansion) -> Result<Self> {
        let (basis, layout) = (&expansion.basis, &expansion.layout);
        let exact = |tensor: &Tensor| tensor.to_device(&Device::Cpu)?.to_dtype(DType::F64);
        let subspaces = layout.subspaces(basis, &Device::Cpu, DType::F64)?;
        let unit = Tensor::eye(basis.latent_dim(), DType::F64, &Device::Cpu)?;
        let none = unit.narrow(0, 0, 1)?.zeros_like()?;
        let mean = exact(&expansion.mean)?;

        let domains = layout.domains();
        let distances: Vec<f64> = domains.iter().map(|domain| domain.distance).collect();
        let distances = Tensor::new(distances, &Device::Cpu)?.unsqueeze(1)?;
        let steps = Tensor::eye(domains.len(), DType::F64, &Device::Cpu)?;
        let steps = steps.broadcast_mul(&distances)?;
        let start = none.repeat((domains.len(), 1))?;
        Ok(Self {
            projection: subspaces.project(&unit, None)?,
            repurposed_mean: subspaces.project(&none, Some(&mean))?.squeeze(0)?,
            directions: subspaces.shift(&start, &steps)?,
        })
    }
}

/// What domains with vectors do to layers.
pub(crate) struct Vectors<'a> {
    expansion: &'a Expansion,
    /// `[n, domains]`.
    opened: Value,
}

impl<'a> Vectors<'a> {
    /// For these strengths; `None` where the weights say all.
    pub fn new(
        graph: &mut Graph,
        expansion: &'a Expansion,
        strengths: &Value,
    ) -> Result<Option<Self>> {
        if !expansion.has_vectors() {
            return Ok(None);
        }
        graph.enter("expansion.gates");
        let opened = open(graph, &expansion.gates, strengths)?;
        Ok(Some(Self { expansion, opened }))
    }

    /// What is added to the style of a layer that reads `latents: [n, D]`, `[n, channels]`.
    pub fn offset(&self, graph: &mut Graph, layer: &str, latents: &Value) -> Result<Option<Value>> {
        let mut sum = None;
        if let Some(rows) = self.expansion.offsets.get(layer) {
            let rows = graph.constant(&format!("expansion.offsets.{layer}"), rows)?;
            sum = Some(graph.matmul(&self.opened, &rows));
        }
        for (at, own) in self.expansion.matrices.iter().enumerate() {
            let Some(change) = own.affine.get(layer) else {
                continue;
            };
            let step = self.affine(graph, (at, layer), change, latents)?;
            sum = Some(match sum {
                Some(sum) => graph.add(&sum, &step),
                None => step,
            });
        }
        Ok(sum)
    }

    /// What a domain's change of an affine map adds to a style, behind its gate.
    fn affine(
        &self,
        graph: &mut Graph,
        (domain, layer): (usize, &str),
        change: &AffineChange,
        latents: &Value,
    ) -> Result<Value> {
        let at = |part: &str| format!("expansion.matrices.{domain}.{part}.{layer}");
        let gain = 1.0 / (self.expansion.basis.latent_dim() as f64).sqrt();
        let step = match change {
            AffineChange::Full(map) => {
                let map = graph.weight(&at("affine"), &(map.t()? * gain)?)?;
                graph.matmul(latents, &map)
            }
            AffineChange::LowRank { out, inner } => {
                let inner = graph.weight(&at("affine_in"), &(inner.t()? * gain)?)?;
                let out = graph.weight(&at("affine_out"), &out.t()?.contiguous()?)?;
                let inside = graph.matmul(latents, &inner);
                graph.matmul(&inside, &out)
            }
        };
        let column = Tensor::eye(self.expansion.matrices.len(), DType::F32, &Device::Cpu)?;
        let column = column.narrow(1, domain, 1)?.contiguous()?;
        let column = graph.constant(&format!("{} gate", at("affine")), &column)?;
        let gate = graph.matmul(&self.opened, &column);
        Ok(graph.mul(&step, &gate))
    }

    /// What the input channels of a layer are multiplied with, `[n, channels]`.
    pub fn factor(&self, graph: &mut Graph, layer: &str) -> Result<Option<Value>> {
        let Some(rows) = self.expansion.factors.get(layer) else {
            return Ok(None);
        };
        let rows = graph.constant(&format!("expansion.factors.{layer}"), rows)?;
        let factor = graph.matmul(&self.opened, &rows);
        let one = graph.scalar(1.0);
        Ok(Some(graph.add(&factor, &one)))
    }
}

/// [`Gate::open`] of each domain's strength.
fn open(graph: &mut Graph, gates: &[Gate], alpha: &Value) -> Result<Value> {
    if gates.iter().all(|gate| *gate == Gate::Linear) {
        return Ok(alpha.clone());
    }
    let smooth = smooth(graph, alpha);
    if gates.iter().all(|gate| *gate == Gate::Smooth) {
        return Ok(smooth);
    }
    let mask = |gate| -> Result<Tensor> {
        let mask = gates.iter().map(|own| f32::from(*own == gate));
        Ok(Tensor::new(mask.collect::<Vec<_>>(), &Device::Cpu)?)
    };
    let is_smooth = graph.constant("expansion.gates.smooth", &mask(Gate::Smooth)?)?;
    let is_linear = graph.constant("expansion.gates.linear", &mask(Gate::Linear)?)?;
    let smooth = graph.mul(&smooth, &is_smooth);
    let linear = graph.mul(alpha, &is_linear);
    Ok(graph.add(&smooth, &linear))
}

fn smooth(graph: &mut Graph, alpha: &Value) -> Value {
    let size = graph.op("Abs", &[alpha], &[]);
    let closed = graph.scalar(Gate::CLOSED);
    let t = graph.sub(&size, &closed);
    let width = graph.scalar(1.0 - Gate::CLOSED);
    let t = graph.op("Div", &[&t, &width], &[]);
    let t = graph.clip(&t, 0.0, Gate::LARGEST);
    let low = graph.clip(&t, 0.0, LOW);
    let high = graph.sub(&t, &low);
    let two = graph.scalar(2.0);
    let rest = graph.sub(&two, &low);
    let square = graph.mul(&low, &low);
    let rising = graph.mul(&square, &rest);
    let opened = graph.add(&rising, &high);
    let sign = graph.op("Sign", &[alpha], &[]);
    graph.mul(&opened, &sign)
}
