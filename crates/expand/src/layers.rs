//! Adaptive layers: each step trains only the layers that matter most to its tasks, as StyleGAN-NADA does (Gal et al. 2021,
//! arXiv 2108.00946, section 4.2).
//!
//! Before a step some latents are drawn and moved into the domains of the step's tasks, one after the other. Every row of
//! them is a latent of its own: gradient descent on the global CLIP loss moves the rows, and the layers that read the
//! rows that moved furthest are trained. For an expansion this holds for its own phase alone, new domains with replay
//! alignment; the adversarial phases on the base subspace go on training all layers.
//!
//! In StyleGAN2 a row is read by one convolution, or by a `torgb` and the next block's first convolution.

use candle_core::{Tensor, Var};
use domex_nada::{LayerChoice, choose_layers};
use domex_random::{Stream, Streams};
use domex_replay::{frozen, latents};
use domex_stylegan2::{Generator, Noise};
use domex_train::{Losses, Parameters, State};
use serde::{Deserialize, Serialize};

use crate::phases::normal;
use crate::{Error, NadaMethod, Result};

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
    method: NadaMethod,
    /// The generator that is trained, on the same memory, without variables.
    g: Generator,
    stream: Stream,
}

impl Layers {
    pub fn new(
        config: AdaptiveLayers,
        method: &NadaMethod,
        g: &Generator,
        streams: &Streams,
    ) -> Result<Self> {
        let rows = g.config().num_ws();
        if config.layers > rows {
            let expected = format!("1 to {rows}, the rows of the generator's latents");
            return Err(Error::setting(key_of("layers"), config.layers, expected));
        }
        Ok(Self {
            config,
            method: method.clone(),
            g: frozen::generator(g)?,
            stream: streams.stream("adaptive layers"),
        })
    }

    /// Those of `parameters` that a step of these tasks leaves as they are. `edit` moves latents `[n, D]` into the domains
    /// of as many tasks. How often each row was chosen goes into the losses.
    pub fn frozen(
        &mut self,
        tasks: &[usize],
        edit: impl FnOnce(Tensor, &[usize]) -> Result<Tensor>,
        parameters: &Parameters,
        losses: &mut Losses,
    ) -> Result<Vec<Var>> {
        let n = self.config.batch;
        let tasks: Vec<usize> = tasks.iter().copied().cycle().take(n).collect();
        let device = self.g.synthesis().device().clone();
        let z = normal(&mut self.stream, &[n, self.g.config().z_dim()], &device)?;
        let w = self.g.mapping().forward(Some(&z), None)?.detach();
        let ws = latents::plain(&self.g, &edit(w, &tasks)?.detach())?;
        let choice = LayerChoice {
            keep: self.config.layers,
            steps: self.config.steps,
            learning_rate: self.config.learning_rate,
        };
        let synthesise =
            |ws: &Tensor| -> Result<Tensor> { Ok(self.g.synthesis().forward(ws, Noise::Const)?) };
        let NadaMethod {
            nada,
            tasks: prepared,
        } = &self.method;
        let loss =
            |pictures: &Tensor| -> Result<Tensor> { Ok(nada.global(prepared, pictures, &tasks)?) };
        let chosen = choose_layers(&ws, &choice, synthesise, loss)?.chosen;
        for row in 0..self.g.config().num_ws() {
            let value = f64::from(u8::from(chosen.contains(&row)));
            losses.put(&format!("layers/{row:02}"), value);
        }
        let still = parameters.iter().filter(|(name, _)| {
            let row = row(name);
            row.is_some_and(|row| !chosen.contains(&row))
        });
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

/// The row of the latent that the layer of this parameter reads; `None` for what is no layer of the synthesis. The constant
/// goes with the first row.
fn row(name: &str) -> Option<usize> {
    let (side, rest) = name.strip_prefix("synthesis.b")?.split_once('.')?;
    let block = (side.parse::<usize>().ok()?.checked_ilog2()? as usize).checked_sub(2)?;
    match rest.split('.').next()? {
        "const" => Some(0),
        "conv0" | "skip" => (2 * block).checked_sub(1),
        "conv1" => Some(2 * block),
        "torgb" => Some(2 * block + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::Device;
    use domex_stylegan2::{GeneratorConfig, Model};

    #[test]
    fn every_parameter_of_the_synthesis_belongs_to_a_row() {
        let config = GeneratorConfig::with_defaults(8, 12, 16, 128, 8).unwrap();
        let model = Model::random(&config, 0, &Device::Cpu).unwrap();
        let spec = Generator::spec(&config).unwrap();
        let (vars, _) = spec.trainable(&model.g_ema.tensors()).unwrap();
        let mut rows = std::collections::BTreeMap::<usize, Vec<&str>>::new();
        for name in vars.keys().filter(|name| name.starts_with("synthesis.")) {
            rows.entry(row(name).expect(name)).or_default().push(name);
        }
        assert!(rows.keys().copied().eq(0..config.num_ws()));
        let holds = |row: usize, layer: &str| rows[&row].iter().any(|name| name.contains(layer));
        assert!(holds(0, "b4.const") && holds(0, "b4.conv1.affine"));
        assert!(holds(1, "b4.torgb") && holds(1, "b8.conv0") && !holds(1, "b8.conv1"));
        assert!(holds(5, "b16.torgb"));
        assert_eq!(row("mapping.fc0.weight"), None);
    }
}
