//! Names of the published files and ours.
//!
//! The heads of richzhang/PerceptualSimilarity are files of their own (`lin0.model.1.weight`, ...,
//! already in our form); the backbones are torchvision's classifiers, whose features are
//! `features.{position}.…`.

use crate::{Backbone, Error, Result};

/// The name in our key tree of a torchvision tensor, `None` for the classifier's own.
///
/// ```
/// use domex_lpips::{Backbone, layout::from_torchvision};
/// assert_eq!(from_torchvision(Backbone::Vgg, "features.10.weight")?.as_deref(), Some("net.slice3.10.weight"));
/// assert_eq!(from_torchvision(Backbone::Vgg, "classifier.6.bias")?, None);
/// # Ok::<(), domex_lpips::Error>(())
/// ```
///
/// # Errors
///
/// A name that the backbone does not have.
pub fn from_torchvision(backbone: Backbone, name: &str) -> Result<Option<String>> {
    if name.starts_with("classifier.") {
        return Ok(None);
    }
    let unknown = || Error::Key {
        name: name.to_owned(),
        expected: "features.{position}.… or classifier.…",
    };
    let rest = name.strip_prefix("features.").ok_or_else(unknown)?;
    let (position, _) = rest.split_once('.').ok_or_else(unknown)?;
    let slice = position
        .parse()
        .ok()
        .and_then(|position| backbone.slice_of(position))
        .ok_or_else(unknown)?;
    Ok(Some(format!("net.slice{slice}.{rest}")))
}
