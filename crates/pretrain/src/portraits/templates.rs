//! Sentences around the words for a domain.
//!
//! Whoever asks for a domain writes a sentence of his own, and the directional loss averages over many.
//! The text encoder is to hear the words in the middle, so training puts them into all kinds of
//! sentences, also into those that speak of photographs and drawings.

/// `{}` stands for the words.
pub(super) const TEMPLATES: &[&str] = &[
    "{}",
    "a {}",
    "the {}",
    "a {} of a person",
    "a face, {}",
    "a portrait, {}",
    "portrait of a {}",
    "a photo of a {}",
    "a photo of the {}",
    "a picture of a {}",
    "an image of a {}",
    "a good photo of a {}",
    "a bad photo of a {}",
    "a close-up photo of a {}",
    "a bright photo of a {}",
    "a dark photo of the {}",
    "a blurry photo of a {}",
    "a cropped photo of the {}",
    "a low resolution photo of a {}",
    "a jpeg corrupted photo of a {}",
    "a photo of one {}",
    "a photo of my {}",
    "a photo of a nice {}",
    "a photo of a small {}",
    "a photo of a large {}",
    "a photo of a weird {}",
    "a photo of a cool {}",
    "a rendering of a {}",
    "a rendition of the {}",
    "a depiction of a {}",
    "an example of a {}",
    "itap of a {}",
    "there are many {}",
    "this is a {}",
    "{} in the style of a portrait",
    "the face of a {}",
    "head and shoulders of a {}",
];
