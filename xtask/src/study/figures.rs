//! What `domex eval` said of a row's models.

use std::fs;
use std::path::Path;

use candle_core::{Device, safetensors};
use domex_error::{Context, Result};
use serde::Serialize;
use serde_json::Value as Json;

use super::part::{EVAL, Part, RUN};
use super::rows::Row;
use crate::portraits::last_event;

/// Kernel distance at which a base is no longer one of photographs.
const FAR: f64 = 0.01;

/// The measures of a row: means over its domains, and each of them.
#[derive(Debug, Serialize)]
pub struct Figures {
    pub domains: Vec<Domain>,
    /// Kernel distance of the base to renderings.
    pub base: Option<f64>,
    /// How far the base moved, in perceptual distance.
    pub moved: Option<f64>,
    /// Characters in techniques, seen as both.
    pub composed: Vec<Composed>,
    /// Of a step.
    pub seconds: Option<f64>,
    /// Numbers and bytes of a domain's file.
    pub file: Option<[u64; 2]>,
}

/// One domain.
#[derive(Debug, Serialize)]
pub struct Domain {
    pub name: String,
    /// Of those that no setting was chosen on.
    pub held_out: bool,
    pub truth: f64,
    pub taken: f64,
    pub none: f64,
    pub kept: f64,
    pub diversity: f64,
    /// Edge energy over that of renderings.
    pub edges: f64,
    /// High frequencies over those of renderings.
    pub high: f64,
    /// The largest share that is taken for another domain of the model.
    pub leak: f64,
}

/// Two domains in one picture.
#[derive(Debug, Serialize)]
pub struct Composed {
    pub both: [String; 2],
    pub seen: f64,
    pub rendered: f64,
}

impl Figures {
    /// What was found of a row, if all of it was run.
    ///
    /// # Errors
    ///
    /// A file that cannot be read.
    pub fn read(row: &Row, out: &Path) -> Result<Option<Self>> {
        let mut found: Option<Self> = None;
        for part in &row.parts {
            if !part.is_done(out)? {
                return Ok(None);
            }
            let own = Self::of_part(row, part, out)?;
            match &mut found {
                Some(found) => found.domains.extend(own.domains),
                None => found = Some(own),
            }
        }
        Ok(found)
    }

    fn of_part(row: &Row, part: &Part, out: &Path) -> Result<Self> {
        let folder = out.join(&part.folder);
        let path = folder.join(EVAL).join("eval.json");
        let text = fs::read(&path).with_context(|| path.display().to_string())?;
        let json: Json =
            serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        let last = last_event(&folder.join(RUN).join("events.jsonl")).ok();
        let seconds =
            last.and_then(|last| Some(last["seconds"].as_f64()? / last["step"].as_f64()?));
        let base = json["truth"]["base_kernel"].as_f64();
        Ok(Self {
            domains: domains(&json),
            base: base.filter(|_| row.has_base),
            moved: json["distance_to_source"].as_f64(),
            composed: composed(&json),
            seconds,
            file: row
                .domain_file
                .map(|file| size(&folder.join(file)))
                .transpose()?,
        })
    }

    /// Whether truth can be told: its scale is how near the base is to renderings of photographs.
    pub fn has_truth(&self) -> bool {
        self.base.is_none_or(|distance| distance < FAR)
    }

    /// The mean over the domains that a setting may have been chosen on; over those held out where there are no others.
    pub fn mean(&self, of: impl Fn(&Domain) -> f64) -> f64 {
        let apart = self.domains.iter().any(|domain| !domain.held_out);
        let counted = self
            .domains
            .iter()
            .filter(|domain| !(apart && domain.held_out));
        let values: Vec<f64> = counted.map(of).collect();
        values.iter().sum::<f64>() / values.len().max(1) as f64
    }
}

/// Those that are compared with renderings, but for texts of two.
fn domains(json: &Json) -> Vec<Domain> {
    let known = json["truth"]["domains"].as_array();
    let known = known.into_iter().flatten();
    let single = known.filter(|domain| domain["name"] == domain["domain"]);
    single.filter_map(|truth| domain(json, truth)).collect()
}

fn domain(json: &Json, truth: &Json) -> Option<Domain> {
    let name = truth["name"].as_str()?;
    let judged = json["domains"].as_array()?;
    let judged = judged.iter().find(|own| own["name"] == name)?;
    let kept: Vec<f64> = judged["kept"]
        .as_object()?
        .values()
        .filter_map(Json::as_f64)
        .collect();
    let ratio = |of: &Json| Some(of[0].as_f64()? / of[1].as_f64()?);
    let others = json["leakage"]["domains"].as_array()?;
    let seen = |other: &Json| judged["seen"][other.as_str()?].as_f64();
    let leaks = others
        .iter()
        .filter(|other| *other != name)
        .filter_map(seen);
    Some(Domain {
        name: name.to_owned(),
        held_out: truth["held_out"].as_bool()?,
        truth: truth["paired"].as_f64()?,
        taken: truth["reached"].as_f64()?,
        none: truth["none"].as_f64()?,
        kept: kept.iter().sum::<f64>() / kept.len().max(1) as f64,
        diversity: judged["diversity"].as_f64()?,
        edges: ratio(&truth["edges"])?,
        high: ratio(&truth["high_frequency"])?,
        leak: leaks.fold(0.0, f64::max),
    })
}

fn composed(json: &Json) -> Vec<Composed> {
    let pair = |pair: &Json| {
        Some(Composed {
            both: [
                pair["character"].as_str()?.to_owned(),
                pair["rendering"].as_str()?.to_owned(),
            ],
            seen: pair["composed"].as_f64()?,
            rendered: pair["rendered"].as_f64()?,
        })
    };
    let pairs = json["composed"].as_array().into_iter().flatten();
    pairs.filter_map(pair).collect()
}

/// Numbers and bytes of a domain's file.
fn size(path: &Path) -> Result<[u64; 2]> {
    let tensors =
        safetensors::load(path, &Device::Cpu).with_context(|| path.display().to_string())?;
    let numbers: usize = tensors.values().map(candle_core::Tensor::elem_count).sum();
    let bytes = fs::metadata(path)
        .with_context(|| path.display().to_string())?
        .len();
    Ok([numbers as u64, bytes])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn figures_are_those_of_eval() {
        let json = json!({
            "domains": [
                { "name": "elf", "kept": { "age": 0.5, "hat": 1.0 }, "diversity": 0.7, "seen": { "elf": 0.6, "oil": 0.4 } },
                { "name": "oil", "kept": { "age": 1.0 }, "diversity": 0.9, "seen": { "oil": 1.0 } },
            ],
            "leakage": { "domains": ["elf", "oil"] },
            "truth": { "domains": [
                { "name": "elf", "domain": "elf", "held_out": true, "paired": 0.25, "reached": 0.5, "none": 0.125, "edges": [2.0, 4.0],
                  "high_frequency": [1.0, 4.0] },
                { "name": "oil of an elf", "domain": "oil", "held_out": false, "paired": 0.0, "reached": 0.0, "none": 0.0,
                  "edges": [1.0, 1.0], "high_frequency": [1.0, 1.0] },
            ] },
            "composed": [{ "character": "elf", "rendering": "oil", "composed": 0.5, "rendered": 1.0 }],
        });
        let found = domains(&json);
        assert_eq!(found.len(), 1, "a text of two is left out");
        let elf = &found[0];
        assert!(elf.held_out);
        assert_eq!([elf.truth, elf.taken, elf.none], [0.25, 0.5, 0.125]);
        assert_eq!(
            [elf.kept, elf.diversity, elf.edges, elf.high, elf.leak],
            [0.75, 0.7, 0.5, 0.25, 0.4]
        );
        let pairs = composed(&json);
        assert_eq!((pairs[0].seen, pairs[0].rendered), (0.5, 1.0));
    }
}
