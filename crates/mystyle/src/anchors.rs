//! A person's anchors: the latents of their pictures.

mod files;

use std::path::Path;

use candle_core::Tensor;
use domex_latent::subspace::to_w;

use crate::{Error, Result};

/// Rows of a W+ code that differ by less are one W code, written after rounding.
const ROUNDING: f64 = 1e-5;

/// Latents `[n, D]` in W, at least one: where the pictures of a person lie in a generator's latent space (Nitzan et al. 2022,
/// section 3.1).
#[derive(Debug, Clone)]
pub struct Anchors {
    latents: Tensor, // [n, D]
    names: Option<Vec<String>>,
}

impl Anchors {
    /// Anchors from latents `[n, D]`, or W+ codes `[n, num_ws, D]` or `[n, 1, num_ws, D]` whose rows are equal.
    ///
    /// # Errors
    ///
    /// W+ codes whose rows differ, another shape, no latent at all, or a number that is not finite.
    pub fn new(latents: &Tensor) -> Result<Self> {
        let latents = match *latents.dims() {
            [_, 1, _, _] => latents.squeeze(1)?,
            _ => latents.clone(),
        };
        if !matches!(latents.rank(), 2 | 3) || latents.elem_count() == 0 {
            let expected = "[n, D] or [n, num_ws, D] with at least one latent";
            return Err(Error::shape("anchors", latents.dims(), expected));
        }
        let finite = latents.detach().to_dtype(candle_core::DType::F64)?;
        let finite: Vec<f64> = finite.flatten_all()?.to_vec1()?;
        if let Some(index) = finite.iter().position(|x| !x.is_finite()) {
            return Err(domex_latent::Error::NotFinite {
                what: "anchors".into(),
                index,
                value: finite[index],
            }
            .into());
        }
        Ok(Self {
            latents: to_w(&latents, ROUNDING)?.contiguous()?,
            names: None,
        })
    }

    /// Reads anchors of `dim` entries, in single precision and on the CPU, from one file or a folder with one file each.
    ///
    /// A file is a safetensors file, a torch file (`.pt`), NumPy's (`.npz` as the projector of stylegan2-ada-pytorch writes it,
    /// `.npy`) or a pickle. It holds one tensor (alone, or under the name `w` or `latent`), or a dict or list with one latent in
    /// each entry; a dict's entry may be a dict with `latent`, as the projector of stylegan2-pytorch writes it. One tensor is
    /// `[n, dim]`, `[n, num_ws, dim]` or `[n, 1, num_ws, dim]`; the file of a folder and an entry of several hold one latent, so
    /// that `[num_ws, dim]` is one W+ code there. Rows of a W+ code have to be equal.
    ///
    /// The files of a folder are taken in the order of their names, hidden ones and those that end otherwise left out.
    ///
    /// # Errors
    ///
    /// A file that cannot be read or holds something else, latents of another size than `dim`, W+ codes that are no W codes,
    /// NaN or infinity, no latent at all; the message names the file.
    pub fn read(path: &Path, dim: usize) -> Result<Self> {
        let (latents, names) = if path.is_dir() {
            files::folder(path, dim)?
        } else {
            files::file(path, dim)?
        };
        Ok(Self { latents, names })
    }

    /// The latents `[n, D]`.
    pub fn latents(&self) -> &Tensor {
        &self.latents
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.latents.dims()[0]
    }

    /// Size `D` of a latent.
    pub fn dim(&self) -> usize {
        self.latents.dims()[1]
    }

    /// What each was called where it was read, without extension, if each had a name of its own.
    pub fn names(&self) -> Option<&[String]> {
        self.names.as_deref()
    }

    /// The anchors in the order of `pictures`, by name without extension: the `i`-th of the result is the latent of the `i`-th
    /// picture. Anchors without names are taken to be in that order already.
    ///
    /// # Errors
    ///
    /// A picture without an anchor, an anchor without a picture, or a name there twice.
    pub fn for_pictures<S: AsRef<str>>(&self, pictures: &[S]) -> Result<Self> {
        let Some(names) = &self.names else {
            if pictures.len() == self.count() {
                return Ok(self.clone());
            }
            let found = format!("{} for {} pictures", self.count(), pictures.len());
            let expected = "one for each picture, in the order of the pictures' names";
            return Err(Error::setting("anchors", found, expected));
        };
        let mut left: Vec<Option<&str>> = names.iter().map(|name| Some(name.as_str())).collect();
        let mut order = Vec::with_capacity(pictures.len());
        for picture in pictures.iter().map(AsRef::as_ref) {
            let Some(at) = left.iter().position(|name| *name == Some(picture)) else {
                let found = format!("none for the picture {picture:?}");
                let expected = "one for each picture, under the picture's name";
                return Err(Error::setting("anchors", found, expected));
            };
            left[at] = None;
            order.push(at as u32);
        }
        if let Some(name) = left.into_iter().flatten().next() {
            let found = format!(
                "{} for {} pictures, such as {name:?} without one",
                self.count(),
                pictures.len()
            );
            let expected = "as many pictures: add the missing ones, or remove the anchor";
            return Err(Error::setting("anchors", found, expected));
        }
        let index = Tensor::new(order.as_slice(), self.latents.device())?;
        Ok(Self {
            latents: self.latents.index_select(&index, 0)?,
            names: Some(pictures.iter().map(|p| p.as_ref().to_owned()).collect()),
        })
    }
}
