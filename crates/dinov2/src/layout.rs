//! Published files, brought to this crate's names: `layout::facebook` of facebookresearch/dinov2 (`dinov2_vits14_pretrain.pth`), `layout::transformers`
//! of huggingface/transformers (`facebook/dinov2-small`). What a file has beside the network, such as the token of masked patches or a
//! classifier, is left out.

mod facebook;
mod transformers;

use candle_core::Tensor;

use crate::{Error, Result, Tensors};

/// What a layout calls the tensors.
struct Names {
    /// This crate's names and the file's, of what stands outside of blocks.
    whole: [(&'static str, &'static str); 6],
    /// Before a block's number.
    blocks: &'static str,
    /// This crate's names and the file's, of layers in a block: each has a weight and a bias.
    layers: [(&'static str, &'static str); 8],
    /// The same of the layer scales.
    scales: [(&'static str, &'static str); 2],
    /// The layer in which queries, keys and values are packed, if they are.
    packed: Option<&'static str>,
    /// The gated layer of ViT-g/14.
    gated: &'static str,
    /// The tokens that later networks have beside the class.
    registers: &'static str,
}

/// The network's tensors under the names of [`Config::shapes`](crate::Config::shapes).
///
/// # Errors
///
/// A file of no layout that is known, ViT-g/14, a network with register tokens; a tensor that is missing.
pub fn renamed(tensors: &Tensors) -> Result<Tensors> {
    let has = |names: &Names, prefix: &str| {
        tensors.contains_key(&format!("{prefix}{}", names.whole[0].1))
    };
    // A classifier on top has the network below a node of its own.
    let known = [
        (&facebook::NAMES, ""),
        (&transformers::NAMES, ""),
        (&transformers::NAMES, "dinov2."),
    ];
    let found = known.into_iter().find(|(names, prefix)| has(names, prefix));
    let Some((names, prefix)) = found else {
        let found: Vec<&str> = tensors.keys().take(3).map(String::as_str).collect();
        return Err(Error::weights(
            "layout",
            format!("unknown ({}, ..)", found.join(", ")),
            "DINOv2 of facebookresearch or of transformers",
        ));
    };
    names.rename(tensors, prefix)
}

impl Names {
    fn rename(&self, tensors: &Tensors, prefix: &str) -> Result<Tensors> {
        self.refuse_others(tensors, prefix)?;
        let get = |name: &str| {
            let name = format!("{prefix}{name}");
            let tensor = tensors.get(&name);
            tensor.ok_or_else(|| Error::weights(name, "missing", "a tensor of that name"))
        };
        let mut ours = Tensors::new();
        for (own, theirs) in self.whole {
            ours.insert(own.to_owned(), get(theirs)?.clone());
        }
        for i in 0..self.count(tensors, prefix)? {
            let (own_block, block) = (format!("encoder.layers.{i}"), format!("{}{i}", self.blocks));
            for ((own, theirs), end) in self
                .layers
                .iter()
                .flat_map(|pair| ["weight", "bias"].map(|end| (pair, end)))
            {
                let tensor = get(&format!("{block}.{theirs}.{end}"))?;
                let tensor = match self.packed == Some(*theirs) {
                    true => third(tensor, own, theirs)?,
                    false => tensor.clone(),
                };
                ours.insert(format!("{own_block}.{own}.{end}"), tensor);
            }
            for (own, theirs) in self.scales {
                let tensor = get(&format!("{block}.{theirs}"))?.clone();
                ours.insert(format!("{own_block}.{own}"), tensor);
            }
        }
        Ok(ours)
    }

    /// Refuses networks that share the names and are not this one.
    fn refuse_others(&self, tensors: &Tensors, prefix: &str) -> Result<()> {
        let published = "ViT-S/14, ViT-B/14 or ViT-L/14 of DINOv2";
        let gated = format!("{prefix}{}0.{}.weight", self.blocks, self.gated);
        if tensors.contains_key(&gated) {
            let found = format!("ViT-g/14, whose layers are gated ({gated})");
            return Err(Error::weights("network", found, published));
        }
        if tensors.contains_key(&format!("{prefix}{}", self.registers)) {
            let found = "one with register tokens";
            return Err(Error::weights(
                "network",
                found,
                format!("{published} without them"),
            ));
        }
        Ok(())
    }

    /// How many blocks there are: one more than the highest number, so that a block that is missing is named.
    fn count(&self, tensors: &Tensors, prefix: &str) -> Result<usize> {
        let start = format!("{prefix}{}", self.blocks);
        let number = |name: &String| name.strip_prefix(&start)?.split('.').next()?.parse().ok();
        let last: Option<usize> = tensors.keys().filter_map(number).max();
        match last {
            // Each block has tensors, so more is a number that somebody made up.
            Some(last) if last < tensors.len() => Ok(last + 1),
            _ => Err(Error::weights(
                "blocks",
                format!("none at {start}0"),
                "at least one",
            )),
        }
    }
}

/// Queries, keys or values of a layer that has them one below the other.
fn third(packed: &Tensor, own: &str, theirs: &str) -> Result<Tensor> {
    let rows = packed.dims().first().copied().unwrap_or(0);
    if rows == 0 || !rows.is_multiple_of(3) {
        let found = format!("{:?}", packed.dims());
        return Err(Error::weights(
            theirs,
            found,
            "three times the width in rows",
        ));
    }
    let at = ["q_proj", "k_proj", "v_proj"]
        .iter()
        .position(|part| own.ends_with(part));
    Ok(packed.narrow(0, at.unwrap_or(0) * (rows / 3), rows / 3)?)
}

#[cfg(test)]
mod tests;
