//! Vectors that move what CLIP models see along given directions.

use candle_core::{Tensor, Var};
use domex_clip::unit_length;
use domex_nada::Augment;
use domex_nada::direction::{Guard, along};
use domex_random::Stream;
use domex_train::Parameters;
use domex_train::adam::{Adam, AdamConfig, Step};

use crate::space::{On, Space};
use crate::vectors::Vectors;
use crate::{Config, Error, Result};

/// Pictures of a step.
const BATCH: usize = 12;

/// A pattern that only one view shows is no domain.
const VIEW: Augment = Augment {
    crop: 1.0,
    shift: 0.1,
    flip: false,
    colour: 0.0,
    noise: 0.2,
    views: 1,
};

/// Fits a domain to each row of `targets`, `[domains, d]` of each CLIP model, by Adam on `1 − cos` of how it moves features and
/// where it should. The length of a domain's vectors stays `length`: a cosine has nothing to say of it.
pub(crate) fn fit(
    space: &Space<'_>,
    config: &Config,
    beginning: &Vectors,
    length: f64,
    targets: &[Tensor],
    stream: &mut Stream,
    mut done: impl FnMut(usize) -> Result<()>,
) -> Result<Vectors> {
    let beginning = beginning.of_length(length)?;
    let mut variables = Vec::new();
    let mut live = beginning.clone();
    for (layer, parts) in &mut live.layers {
        for (part, kind) in parts.iter_mut().zip(["offset", "factor"]) {
            let var = Var::from_tensor(part)?;
            *part = var.as_tensor().clone();
            variables.push((format!("{kind}.{}", layer.name), var));
        }
    }
    let parameters = Parameters::new(variables.iter().cloned().collect());
    // The order of the variables is that of the parts.
    let constrain = || -> Result<()> {
        let now = live.of_length(length)?;
        let parts = now.layers.iter().flat_map(|(_, parts)| parts);
        for (part, (_, var)) in parts.zip(&variables) {
            var.set(&part.detach())?;
        }
        Ok(())
    };
    let domains = config.domains;
    // Each number takes steps of this share of its usual size.
    let lr = config.learning_rate * length / (beginning.numbers() as f64).sqrt();
    let settings = AdamConfig {
        lr,
        beta1: 0.5,
        ..AdamConfig::default()
    };
    let mut adam = Adam::new(&parameters, settings)?;
    let batch = BATCH.min(domains);
    let mut order = Vec::new();
    for step in 0..config.steps {
        for _ in 0..domains.div_ceil(batch) {
            if order.len() < batch {
                order.extend(stream.permutation(domains).into_iter().map(|at| at as u32));
            }
            let chosen: Vec<u32> = order.drain(..batch).collect();
            let loss = loss(space, &live, targets, &chosen, stream)?;
            match adam.step(&loss.backward()?)? {
                Step::Applied => constrain()?,
                Step::Skipped(what) => {
                    return Err(Error::Numbers(format!("{what} is not finite")));
                }
            }
        }
        done(step + 1)?;
    }
    Ok(live)
}

/// Of a picture in each of these domains, all of other latents.
fn loss(
    space: &Space<'_>,
    live: &Vectors,
    targets: &[Tensor],
    domains: &[u32],
    stream: &mut Stream,
) -> Result<Tensor> {
    let count = space.count()?;
    let places = domains.iter().map(|_| Ok(stream.index(count)? as u32));
    let ws = space.base(&places.collect::<Result<Vec<u32>>>()?)?;
    let before = space.pictures(&ws)?.detach();
    let after = space.edited(&ws, live, domains, On::Direction)?;
    let (n, _, h, w) = after.dims4()?;
    let view = VIEW.draw(stream, [n, h, w])?;
    let (before, after) = (view.apply(&before)?, view.apply(&after)?);
    let rows = Tensor::new(domains, ws.device())?;
    let mut total: Option<Tensor> = None;
    for (guide, targets) in space.guides.iter().zip(targets) {
        let before = unit_length(&guide.features(&before)?)?.detach();
        let edit = (unit_length(&guide.features(&after)?)? - before)?;
        let loss = along(&edit, &targets.index_select(&rows, 0)?, Guard::default())?;
        let loss = (loss.mean_all()? * guide.weight)?;
        total = Some(match total {
            Some(total) => (total + loss)?,
            None => loss,
        });
    }
    total.ok_or_else(|| Error::config("number of CLIP models", 0, "at least 1"))
}
