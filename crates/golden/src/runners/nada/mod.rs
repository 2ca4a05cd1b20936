//! The losses that CLIP's features are put to, and which of their cases a file is.

pub(super) mod directions;
pub(super) mod domains;
pub(super) mod end_to_end;
pub(super) mod terms;

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use domex_clip::{direction, mean_of_units};

use crate::{
    Case, CaseKind, Result,
    computed::{Computed, var},
};

/// The kind of a case of this family.
pub(crate) fn kind(case: &Case) -> Option<CaseKind> {
    let has = |name: &str| case.get(name).is_some();
    let kind = if has("in.tgt_img") && case.any("in.tokens_") && case.wants("text_directions") {
        CaseKind::DirectionEndToEnd
    } else if case.wants("nada_task") && case.setting("/weights").is_some() {
        CaseKind::DirectionByModels
    } else if case.wants("direction_sum") && case.any("in.text_") {
        CaseKind::DirectionLosses
    } else if has("in.source_features") && case.wants("text.direction") {
        CaseKind::TextDirection
    } else if case.wants("patch_direction") && case.any("in.text_") {
        CaseKind::ClipTerms
    } else if has("in.trg_encoded") && has("in.src_encoded") {
        CaseKind::HyperdomainLosses
    } else if has("in.gen_emb") && has("in.src_emb") {
        CaseKind::DeganLosses
    } else {
        return None;
    };
    Some(kind)
}

/// A case's inputs as variables, so that any of them can be asked for its gradient.
struct Inputs<'a> {
    case: &'a Case,
    vars: BTreeMap<&'a str, Var>,
}

impl<'a> Inputs<'a> {
    fn new(case: &'a Case) -> Result<Self> {
        let numbers = case
            .with_prefix("in.")
            .filter(|(_, x)| x.dtype().is_float());
        let vars = numbers.map(|(name, x)| Ok((name, var(x)?)));
        Ok(Self {
            case,
            vars: vars.collect::<Result<_>>()?,
        })
    }

    fn get(&self, name: &str) -> Result<&Tensor> {
        match self.vars.get(name) {
            Some(var) => Ok(var.as_tensor()),
            None => self.case.input(name),
        }
    }

    /// The answers to `out.{name}` and to each `grad.{name}.{input}`.
    fn answer(&self, computed: &mut Computed, name: &str, loss: &Tensor) -> Result<()> {
        let prefix = format!("grad.{name}.");
        if self.case.any(&prefix) {
            let grads = loss.backward()?;
            for (input, _) in self.case.with_prefix(&prefix) {
                if let Some(var) = self.vars.get(input) {
                    computed.grad(format_args!("{name}.{input}"), &grads, var)?;
                }
            }
        }
        computed.out(name, loss.reshape(1)?);
        Ok(())
    }

    /// The unit direction `[1, d]` between two classes by the CLIP network number `model`, from 0.
    fn between(&self, model: usize, [source, target]: &[String; 2]) -> Result<Tensor> {
        let mean = |class: &str| -> Result<Tensor> {
            Ok(mean_of_units(
                self.get(&format!("text{}_{class}", number(model)))?,
            )?)
        };
        Ok(direction(&mean(source)?, &mean(target)?)?.unsqueeze(0)?)
    }
}

/// What is put behind a name for the second network and those after it.
fn number(model: usize) -> String {
    match model {
        0 => String::new(),
        _ => (model + 1).to_string(),
    }
}
