//! Adaptive layers: each step trains only the layers that matter most to its tasks, as StyleGAN-NADA does (Gal et al. 2021,
//! arXiv 2108.00946, section 4.2).
//!
//! Before a step some latents are drawn and moved into the domains of the step's tasks, one after the other. Every row of
//! them is a latent of its own: gradient descent on the global CLIP loss moves the rows, and the layers that read the
//! rows that moved furthest are trained: of StyleGAN2 its convolutions, as published, and neither ToRGB nor the constant. For an
//! expansion this holds for its own phase alone, new domains with replay alignment; the adversarial phases on the base
//! subspace go on training all layers.
//!
//! Which layer reads which row, the [trainee](crate::Trainee::row_of) knows; rows that no such layer reads are not chosen. The
//! published program has its first ToRGB in the list of layers too, so from the third row on it trains the convolution of
//! the row before the one that moved; here it is the row's own. A domain's mapping, which stands before all layers, is trained
//! in each step. Of a domain in pictures the descent goes to their mean, as it has no text.

use std::collections::BTreeSet;

use candle_core::{Tensor, Var};
use domex_latent::Generator;
use domex_nada::{LayerChoice, choose_layers};
use domex_random::{Stream, Streams};
use domex_train::{Losses, State};
use serde::{Deserialize, Serialize};

use crate::parametrisation::Parametrisation;
use crate::step::latents;
use crate::trainee::{Trainee, Weights};
use crate::{Error, Objective, Result};

/// How the layers of a step are chosen. The default numbers are the published ones.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveLayers {
    /// Rows of the latent whose layers are trained.
    pub layers: usize,
    /// Steps of gradient descent on the latents.
    pub steps: usize,
    /// Its learning rate.
    pub learning_rate: f64,
    /// How many latents.
    pub batch: usize,
}

impl Default for AdaptiveLayers {
    fn default() -> Self {
        let LayerChoice {
            keep,
            steps,
            learning_rate,
        } = LayerChoice::default();
        Self {
            layers: keep,
            steps,
            learning_rate,
            batch: 8,
        }
    }
}

impl AdaptiveLayers {
    /// # Errors
    ///
    /// The first number out of range.
    pub fn validate(&self) -> Result<()> {
        let counts = [
            ("layers", self.layers),
            ("steps", self.steps),
            ("batch", self.batch),
        ];
        for (key, value) in counts {
            if value == 0 {
                return Err(Error::setting(key_of(key), 0, "1 or more"));
            }
        }
        match self.learning_rate.is_finite() && self.learning_rate > 0.0 {
            true => Ok(()),
            false => {
                let what = key_of("learning_rate");
                Err(Error::setting(what, self.learning_rate, "a number above 0"))
            }
        }
    }
}

fn key_of(key: &str) -> String {
    format!("adaptive_layers.{key}")
}

/// Key of a snapshot.
const STREAM: &str = "layers";

/// What a run chooses its layers with.
pub(crate) struct Layers {
    config: AdaptiveLayers,
    stream: Stream,
}

impl Layers {
    pub fn new(
        config: AdaptiveLayers,
        objective: &Objective,
        trainee: &dyn Trainee,
        streams: &Streams,
    ) -> Result<Self> {
        let source = trainee.generator(Weights::Source);
        let rows = source.layers();
        if config.layers > rows {
            let expected = format!("1 to {rows}, the rows of the generator's latents");
            return Err(Error::setting(key_of("layers"), config.layers, expected));
        }
        // A method that cannot say which layers matter is refused before the first step.
        let picture = source.synthesize(&source.mean()?.unsqueeze(0)?)?;
        for task in 0..objective.tasks().len() {
            objective.distance_to_domains(&[task], &picture)?;
        }
        Ok(Self {
            config,
            stream: streams.stream("adaptive layers"),
        })
    }

    /// Those of the parameters that a step of these tasks leaves as they are, chosen on latents of a class or of all. How
    /// often each row was chosen goes into the losses.
    pub fn frozen(
        &mut self,
        tasks: &[usize],
        objective: &Objective,
        (trainee, class): (&dyn Trainee, Option<usize>),
        trained: &dyn Parametrisation,
        losses: &mut Losses,
    ) -> Result<Vec<Var>> {
        let n = self.config.batch;
        let tasks: Vec<usize> = tasks.iter().copied().cycle().take(n).collect();
        let g = trainee.generator(Weights::Frozen);
        let w = latents(g, class, n, &mut self.stream)?;
        let edited = objective
            .latents(&w, &trainee.mean()?, &tasks)?
            .edited
            .detach();
        let ws = in_every_row(&edited, g)?;
        let choice = LayerChoice {
            keep: g.layers(),
            steps: self.config.steps,
            learning_rate: self.config.learning_rate,
        };
        let synthesize = |ws: &Tensor| -> Result<Tensor> { Ok(g.synthesize(ws)?) };
        let loss = |pictures: &Tensor| objective.distance_to_domains(&tasks, pictures);
        let mut chosen = choose_layers(&ws, &choice, synthesize, loss)?.chosen;
        let row_of = |name: &str| trained.row_of(name, trainee);
        let rows: BTreeSet<usize> = trained
            .parameters()
            .iter()
            .filter_map(|(name, _)| row_of(name))
            .collect();
        chosen.retain(|row| rows.contains(row));
        chosen.truncate(self.config.layers);
        for row in 0..g.layers() {
            let value = f64::from(u8::from(chosen.contains(&row)));
            losses.put(&format!("layers/{row:02}"), value);
        }
        let moves = |name: &str| {
            let is_chosen = row_of(name).is_some_and(|row| chosen.contains(&row));
            is_chosen || trained.is_before_layers(name)
        };
        let still = trained.parameters().iter().filter(|(name, _)| !moves(name));
        Ok(still.map(|(_, var)| var.clone()).collect())
    }

    pub fn save(&self, state: &mut State) -> Result<()> {
        Ok(state.put(STREAM, &self.stream)?)
    }

    pub fn restore(&mut self, state: &State) -> Result<()> {
        self.stream = state.get(STREAM)?;
        Ok(())
    }
}

/// `w: [n, D]` in every row: `[n, num_ws, D]`.
fn in_every_row(w: &Tensor, generator: &dyn Generator) -> Result<Tensor> {
    let (n, width) = w.dims2()?;
    let rows = w
        .unsqueeze(1)?
        .broadcast_as((n, generator.layers(), width))?;
    Ok(rows.contiguous()?)
}
