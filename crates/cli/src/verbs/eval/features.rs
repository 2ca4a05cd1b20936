//! `--features`: on which network's features sets of pictures are compared, and where they are kept.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use candle_core::DType;
use domex_clip::Bundle;
use domex_dinov2::Dinov2;
use domex_error::user_error;
use domex_eval::{FeatureCache, Features};
use domex_inception::Inception;

use crate::context::Context;
use crate::models;
use crate::verbs::expand::inputs;

/// The published Inception network, as `domex fetch` calls it.
const FETCHED_INCEPTION: &str = "inception-fid";

/// The DINOv2 that FD-DINOv2 is published with, as `domex fetch` calls it.
const FETCHED_DINOV2: &str = "dinov2-vitl14";

/// The CLIP model that CMMD is published with.
const PUBLISHED_CLIP: &str = "ViT-L/14@336px";

/// What is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// The perceptual network.
    Perceptual,
    /// An Inception network, by file or name.
    Inception(String),
    /// A DINOv2, by file or name.
    Dinov2(String),
    /// A CLIP model, by file or name.
    Clip(String),
}

impl FromStr for Choice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once('=') {
            Some((kind, name)) if !name.is_empty() => (kind, Some(name.to_owned())),
            Some(_) => return Err("nothing after `=`; a file or a fetched network's name".into()),
            None => (text, None),
        };
        let or = |default: &str| name.clone().unwrap_or_else(|| default.to_owned());
        match (kind, &name) {
            ("perceptual", None) => Ok(Self::Perceptual),
            ("perceptual", Some(_)) => Err("the perceptual network is --perceptual's".into()),
            ("inception", _) => Ok(Self::Inception(or(FETCHED_INCEPTION))),
            ("dinov2", _) => Ok(Self::Dinov2(or(FETCHED_DINOV2))),
            ("clip", _) => Ok(Self::Clip(or(PUBLISHED_CLIP))),
            _ => Err("expected perceptual, inception[=FILE|NAME], dinov2[=FILE|NAME] or clip[=FILE|NAME]".into()),
        }
    }
}

impl Choice {
    /// Loads the network, and opens the folder where its features of data sets are kept.
    pub fn load(&self, context: &Context) -> domex_error::Result<(Features, Option<FeatureCache>)> {
        match self {
            Self::Perceptual => Ok((Features::Perceptual, None)),
            Self::Inception(name) => {
                let path = file("inception", name, FETCHED_INCEPTION)?;
                let network = Inception::load(&path, DType::F32, &context.device)?;
                let cache = cache("inception, pytorch-fid", &path)?;
                Ok((Features::Inception(Box::new(network)), cache))
            }
            Self::Dinov2(name) => {
                let path = file("dinov2", name, FETCHED_DINOV2)?;
                let network = Dinov2::load(&path, DType::F32, &context.device)?;
                let cache = cache("dinov2, 8 bits", &path)?;
                Ok((Features::Dinov2(Box::new(network)), cache))
            }
            Self::Clip(name) => {
                let path = inputs::named(name, 1.0)?.path;
                let clip = Bundle::load(&path, DType::F32, &context.device)?.clip;
                let cache = cache("clip, 8 bits", &path)?;
                Ok((Features::Clip(Box::new(clip)), cache))
            }
        }
    }
}

/// A file as given, or a fetched network's.
fn file(kind: &str, wanted: &str, published: &str) -> domex_error::Result<PathBuf> {
    let path = Path::new(wanted);
    if path.is_file() {
        return Ok(path.to_owned());
    }
    models::fetched(&format!("--features {kind}"), wanted)?.ok_or_else(|| {
        user_error(format!(
            "--features {kind}={wanted}: no such file, nor the name of a network; `domex fetch {published}` fetches the \
             published one"
        ))
    })
}

/// Features by the network in this file. Without a folder that can be written they are computed each time.
fn cache(prepared: &str, network: &Path) -> domex_error::Result<Option<FeatureCache>> {
    let Ok(folder) = models::cache_folder() else {
        return Ok(None);
    };
    let network = format!("{prepared}, {}", domex_checkpoint::sha256_file(network)?);
    match FeatureCache::open(&folder.join("features"), network) {
        Ok(cache) => Ok(Some(cache)),
        Err(error) => {
            tracing::warn!("features are computed anew each time: {error}");
            Ok(None)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_typed_with_and_without_a_file() {
        let parse = |text: &str| text.parse::<Choice>();
        assert_eq!(parse("perceptual"), Ok(Choice::Perceptual));
        assert_eq!(
            parse("inception"),
            Ok(Choice::Inception("inception-fid".into()))
        );
        assert_eq!(
            parse("inception=a=b.pth"),
            Ok(Choice::Inception("a=b.pth".into()))
        );
        assert_eq!(parse("dinov2"), Ok(Choice::Dinov2("dinov2-vitl14".into())));
        assert_eq!(parse("clip=one"), Ok(Choice::Clip("one".into())));
        for wrong in ["fid", "inception=", "perceptual=x"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
