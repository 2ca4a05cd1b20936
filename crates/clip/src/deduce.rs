//! Configurations from a checkpoint's names and shapes, under our names (see
//! [`layout`](crate::layout)).

use std::collections::BTreeMap;

use crate::config::{
    Config, HEAD_WIDTH, ResNetConfig, TextConfig, TransformerConfig, VisionConfig, VitConfig,
};
use crate::{Error, Result};

/// Shapes by name.
pub type Shapes = BTreeMap<String, Vec<usize>>;

impl Config {
    /// Deduces a network from the shapes of its tensors.
    ///
    /// # Errors
    ///
    /// A tensor that every such network has is missing, or the shapes contradict each other.
    pub fn deduce(shapes: &Shapes) -> Result<Self> {
        let look = Look(shapes);
        let [embed_dim, _] = look.shape("text_projection.weight")?;
        let vision = match shapes.contains_key("visual.conv1.weight") {
            true => VisionConfig::ResNet(look.resnet()?),
            false => VisionConfig::Vit(look.vit()?),
        };
        let config = Self {
            embed_dim,
            vision,
            text: look.text()?,
        };
        config.validate()?;
        Ok(config)
    }
}

/// Looks names up.
struct Look<'a>(&'a Shapes);

impl Look<'_> {
    fn shape<const RANK: usize>(&self, name: &str) -> Result<[usize; RANK]> {
        let shape = self
            .0
            .get(name)
            .ok_or_else(|| Error::not_clip(format!("no tensor {name}")))?;
        <[usize; RANK]>::try_from(shape.as_slice()).map_err(|_| {
            Error::not_clip(format!(
                "tensor {name} has shape {shape:?}, expected {RANK} dimensions"
            ))
        })
    }

    /// How many blocks `{prefix}{i}.` there are; none may be left out.
    fn count(&self, prefix: &str) -> Result<usize> {
        let index = |name: &String| {
            name.strip_prefix(prefix)?
                .split('.')
                .next()?
                .parse::<usize>()
                .ok()
        };
        let found: std::collections::BTreeSet<usize> = self.0.keys().filter_map(index).collect();
        match found.last() {
            Some(&last) if last + 1 == found.len() => Ok(found.len()),
            Some(&last) => Err(Error::not_clip(format!(
                "{prefix}{last} is there but not every block before it"
            ))),
            None => Err(Error::not_clip(format!("no tensor {prefix}0.…"))),
        }
    }

    fn transformer(&self, model: &str, width: usize) -> Result<TransformerConfig> {
        let prefix = format!("{model}.encoder.layers.");
        let mut transformer = TransformerConfig::published(width, self.count(&prefix)?);
        [transformer.mlp_width, _] = self.shape(&format!("{prefix}0.mlp.fc1.weight"))?;
        Ok(transformer)
    }

    fn text(&self) -> Result<TextConfig> {
        let [vocab_size, width] = self.shape("text_model.embeddings.token_embedding.weight")?;
        let [context_length, _] = self.shape("text_model.embeddings.position_embedding.weight")?;
        let transformer = self.transformer("text_model", width)?;
        Ok(TextConfig {
            transformer,
            vocab_size,
            context_length,
            end_token: None,
        })
    }

    fn vit(&self) -> Result<VitConfig> {
        let [width, _, patch_size, _] =
            self.shape("vision_model.embeddings.patch_embedding.weight")?;
        let grid = self.grid("vision_model.embeddings.position_embedding.weight")?;
        Ok(VitConfig {
            transformer: self.transformer("vision_model", width)?,
            image_size: grid.saturating_mul(patch_size),
            patch_size,
        })
    }

    fn resnet(&self) -> Result<ResNetConfig> {
        let [width, ..] = self.shape::<4>("visual.conv3.weight")?;
        let mut layers = [0; 4];
        for (stage, blocks) in layers.iter_mut().enumerate() {
            *blocks = self.count(&format!("visual.layer{}.", stage + 1))?;
        }
        let grid = self.grid("visual.attnpool.positional_embedding")?;
        let heads = (width.saturating_mul(32) / HEAD_WIDTH).max(1);
        Ok(ResNetConfig {
            width,
            layers,
            heads,
            image_size: grid.saturating_mul(32),
        })
    }

    /// The side of the square of positions, one of which is not in it.
    fn grid(&self, name: &str) -> Result<usize> {
        let [positions, _] = self.shape(name)?;
        let side = positions.saturating_sub(1).isqrt();
        if side > 0 && side * side + 1 == positions {
            return Ok(side);
        }
        Err(Error::not_clip(format!(
            "tensor {name} has {positions} positions, expected a square and one"
        )))
    }
}
