//! The two published naming schemes, and ours.
//!
//! Ours is Hugging Face's (`vision_model.encoder.layers.0.self_attn.q_proj.weight`). It has no form of
//! the ResNet encoders: these keep OpenAI's names (`visual.layer1.0.conv1.weight`).
//!
//! | | OpenAI | Hugging Face |
//! | --- | --- | --- |
//! | query, key and value | one tensor `attn.in_proj_weight: [3w, w]` | three `[w, w]` |
//! | last projections | `text_projection: [w, d]`, `visual.proj: [w, d]` | `text_projection.weight: [d, w]`, ... |
//!
//! The way from one to the other only renames, cuts and transposes, so weights come through bit by bit.

use std::collections::BTreeMap;

use candle_core::Tensor;

use crate::{Error, Result};

/// Tensors by name.
pub type Tensors = BTreeMap<String, Tensor>;

/// A naming scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// huggingface/transformers, and ours.
    HuggingFace,
    /// openai/CLIP, and open_clip's files of the same networks.
    OpenAi,
}

impl Layout {
    /// The layout of a network, by a name that only it has.
    pub fn of(tensors: &Tensors) -> Option<Self> {
        if tensors.contains_key("text_model.embeddings.token_embedding.weight") {
            Some(Self::HuggingFace)
        } else if tensors.contains_key("token_embedding.weight") {
            Some(Self::OpenAi)
        } else {
            None
        }
    }
}

/// Tensors with another name only, OpenAI's first. A name that ends with a dot stands for all that
/// start so.
const RENAMED: &[(&str, &str)] = &[
    ("logit_scale", "logit_scale"),
    (
        "token_embedding.weight",
        "text_model.embeddings.token_embedding.weight",
    ),
    (
        "positional_embedding",
        "text_model.embeddings.position_embedding.weight",
    ),
    ("ln_final.", "text_model.final_layer_norm."),
    (
        "visual.class_embedding",
        "vision_model.embeddings.class_embedding",
    ),
    (
        "visual.positional_embedding",
        "vision_model.embeddings.position_embedding.weight",
    ),
    ("visual.ln_pre.", "vision_model.pre_layrnorm."), // Hugging Face's own spelling
    ("visual.ln_post.", "vision_model.post_layernorm."),
];

/// The patch embedding, whose OpenAI name in a ResNet is the stem's.
const PATCHES: (&str, &str) = (
    "visual.conv1.weight",
    "vision_model.embeddings.patch_embedding.weight",
);

/// Matrices that lie the other way round.
const TRANSPOSED: &[(&str, &str)] = &[
    ("text_projection", "text_projection.weight"),
    ("visual.proj", "visual_projection.weight"),
];

/// The blocks of the two encoders.
const BLOCKS: &[(&str, &str)] = &[
    ("transformer.resblocks.", "text_model.encoder.layers."),
    (
        "visual.transformer.resblocks.",
        "vision_model.encoder.layers.",
    ),
];

/// Inside a block.
const IN_BLOCK: &[(&str, &str)] = &[
    ("attn.out_proj.", "self_attn.out_proj."),
    ("ln_1.", "layer_norm1."),
    ("ln_2.", "layer_norm2."),
    ("mlp.c_fc.", "mlp.fc1."),
    ("mlp.c_proj.", "mlp.fc2."),
];

/// What OpenAI joins in `attn.in_proj_`.
const JOINED: [&str; 3] = ["q", "k", "v"];

/// Entries beside the weights, which say what the shapes say too, or count training steps.
fn is_bookkeeping(name: &str) -> bool {
    const WHOLE: &[&str] = &["input_resolution", "context_length", "vocab_size"];
    const LAST: &[&str] = &["position_ids", "num_batches_tracked", "attn_mask"];
    WHOLE.contains(&name) || LAST.contains(&name.rsplit('.').next().unwrap_or(name))
}

/// A network in either layout, under our names. Names that neither has are kept: the network that
/// is built will refuse them.
///
/// # Errors
///
/// Neither layout, or a joined tensor that cannot be cut in three.
pub fn to_hugging_face(mut tensors: Tensors) -> Result<Tensors> {
    tensors.retain(|name, _| !is_bookkeeping(name));
    let layout = Layout::of(&tensors).ok_or_else(|| {
        Error::not_clip("neither text_model.embeddings.token_embedding.weight nor token_embedding.weight is there")
    })?;
    if layout == Layout::HuggingFace {
        return Ok(tensors);
    }
    let vit = tensors.contains_key("visual.class_embedding");
    let mut ours = Tensors::new();
    for (name, tensor) in tensors {
        if vit && name == PATCHES.0 {
            ours.insert(PATCHES.1.to_owned(), tensor);
        } else if let Some((_, to)) = TRANSPOSED.iter().find(|(from, _)| *from == name) {
            ours.insert((*to).to_owned(), transpose(&name, &tensor)?);
        } else if let Some((block, kind)) = joined_in_proj(&name) {
            for (part, letter) in cut(&name, &tensor)?.into_iter().zip(JOINED) {
                ours.insert(format!("{block}self_attn.{letter}_proj.{kind}"), part);
            }
        } else {
            ours.insert(renamed(&name), tensor);
        }
    }
    Ok(ours)
}

/// `name` with its beginning replaced, where the table has it.
fn replaced(table: &[(&str, &str)], name: &str) -> Option<String> {
    table.iter().find_map(|&(openai, hugging_face)| {
        let rest = name.strip_prefix(openai)?;
        (rest.is_empty() || openai.ends_with('.')).then(|| format!("{hugging_face}{rest}"))
    })
}

/// Our name; the same where OpenAI's is kept.
fn renamed(name: &str) -> String {
    if let Some(name) = replaced(RENAMED, name) {
        return name;
    }
    let Some(name) = replaced(BLOCKS, name) else {
        return name.to_owned();
    };
    // `{blocks}{index}.{rest}`: the rest has a table of its own.
    let digits = name
        .find(|c: char| c.is_ascii_digit())
        .unwrap_or(name.len());
    let start = name[digits..]
        .find('.')
        .map_or(name.len(), |dot| digits + dot + 1);
    let (block, rest) = name.split_at(start);
    match replaced(IN_BLOCK, rest) {
        Some(rest) => format!("{block}{rest}"),
        None => name,
    }
}

/// `(our name of the block with its dot, weight or bias)` of a joined tensor.
fn joined_in_proj(name: &str) -> Option<(String, &str)> {
    let (block, kind) = name.split_once("attn.in_proj_")?;
    Some((replaced(BLOCKS, block)?, kind))
}

fn cut(name: &str, tensor: &Tensor) -> Result<Vec<Tensor>> {
    match tensor.dims().first() {
        Some(&rows) if rows > 0 && rows % 3 == 0 => Ok(tensor.chunk(3, 0)?),
        _ => Err(Error::not_clip(format!(
            "tensor {name} has shape {:?}, expected a first size of three parts",
            tensor.dims()
        ))),
    }
}

fn transpose(name: &str, tensor: &Tensor) -> Result<Tensor> {
    if tensor.rank() != 2 {
        return Err(Error::not_clip(format!(
            "tensor {name} has shape {:?}, expected a matrix",
            tensor.dims()
        )));
    }
    Ok(tensor.t()?.contiguous()?)
}
