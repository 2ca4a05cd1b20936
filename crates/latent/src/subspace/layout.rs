//! Who has which dimension.

use candle_core::{DType, Device};

use super::Subspaces;
use crate::basis::Basis;
use crate::{Error, Result};

/// No latent is that wide; a file that says so is damaged.
const MAX_DIMENSIONS: usize = 1 << 16;

/// A domain of an expanded model.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Domain {
    /// What people call it; unique in a layout.
    pub name: String,
    /// The task that made it, in the form of the crate that runs it. This crate does not read it.
    #[serde(default)]
    pub task: serde_json::Value,
    /// Column of the basis that the domain repurposes.
    pub dimension: usize,
    /// Subspace distance s: how far along the column the domain lies. The published models use 20.
    pub distance: f64,
}

/// The domains of a model and their dimensions.
///
/// It serialises as `{"dimensions": 512, "domains": [..]}`, with `"base": [..]` when the base
/// subspace was listed. A file is checked like any other input.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "LayoutFile")]
pub struct Layout {
    dimensions: usize,
    domains: Vec<Domain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base: Option<Vec<usize>>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct LayoutFile {
    dimensions: usize,
    domains: Vec<Domain>,
    #[serde(default)]
    base: Option<Vec<usize>>,
}

impl TryFrom<LayoutFile> for Layout {
    type Error = Error;

    fn try_from(file: LayoutFile) -> Result<Self> {
        if file.dimensions > MAX_DIMENSIONS {
            let expected = format!("at most {MAX_DIMENSIONS}");
            return Err(Error::setting(
                "dimensions of the layout",
                file.dimensions,
                expected,
            ));
        }
        let mut layout = Self::new(file.dimensions);
        for domain in file.domains {
            layout.insert(domain)?;
        }
        match file.base {
            Some(base) => layout.with_base(base),
            None => Ok(layout),
        }
    }
}

impl Layout {
    /// A layout without domains over a basis of `dimensions` directions.
    #[must_use]
    pub fn new(dimensions: usize) -> Self {
        Self {
            dimensions,
            domains: Vec::new(),
            base: None,
        }
    }

    /// Lists the base dimensions, instead of "all the others".
    ///
    /// # Errors
    ///
    /// When one is out of range, listed twice, or held by a domain.
    pub fn with_base(mut self, base: Vec<usize>) -> Result<Self> {
        crate::basis::check_dims("base dimensions", &base, self.dimensions)?;
        let mut seen = std::collections::BTreeSet::new();
        for &index in &base {
            if let Some(domain) = self.holder(index) {
                let holder = format!("domain {:?}", domain.name);
                return Err(Error::DimensionTaken { index, holder });
            }
            if !seen.insert(index) {
                let holder = "the base subspace, listed twice".to_owned();
                return Err(Error::DimensionTaken { index, holder });
            }
        }
        self.base = Some(base);
        Ok(self)
    }

    /// Number of directions of the basis.
    #[must_use]
    pub fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The domains, in the order in which they were added.
    #[must_use]
    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// The domain of that name.
    ///
    /// # Errors
    ///
    /// [`Error::DomainName`] with the names there are.
    pub fn domain(&self, name: &str) -> Result<&Domain> {
        let found = self.domains.iter().find(|d| d.name == name);
        found.ok_or_else(|| self.name_error(name, "is unknown"))
    }

    /// The repurposed dimensions, in the order of the domains.
    #[must_use]
    pub fn repurposed(&self) -> Vec<usize> {
        self.domains.iter().map(|d| d.dimension).collect()
    }

    /// The base dimensions: those listed, or all that no domain holds, rising.
    #[must_use]
    pub fn base(&self) -> Vec<usize> {
        match &self.base {
            Some(base) => base.clone(),
            None => (0..self.dimensions)
                .filter(|&i| self.holder(i).is_none())
                .collect(),
        }
    }

    /// Adds a domain on `dimension`, or on the most dormant one that is free, see [`choose_dimension`].
    /// A dimension that was listed as base leaves that list.
    ///
    /// # Errors
    ///
    /// When the name is empty or taken, the dimension out of range or taken, none is free, or the
    /// distance is zero or not finite.
    pub fn add(
        &mut self,
        name: &str,
        task: serde_json::Value,
        dimension: Option<usize>,
        distance: f64,
    ) -> Result<&Domain> {
        let dimension = match dimension {
            Some(dimension) => dimension,
            None => choose_dimension(None, &self.repurposed(), self.dimensions)?,
        };
        if let Some(base) = &mut self.base {
            base.retain(|&i| i != dimension);
        }
        self.insert(Domain {
            name: name.to_owned(),
            task,
            dimension,
            distance,
        })
    }

    /// Removes a domain; its dimension is free again.
    ///
    /// # Errors
    ///
    /// [`Error::DomainName`] when there is no such domain.
    pub fn remove(&mut self, name: &str) -> Result<Domain> {
        match self.domains.iter().position(|d| d.name == name) {
            Some(i) => Ok(self.domains.remove(i)),
            None => Err(self.name_error(name, "is unknown")),
        }
    }

    /// Gives a domain another name, without space at its ends: who names it has none there.
    ///
    /// # Errors
    ///
    /// [`Error::DomainName`] when there is no such domain, or the new name is empty or taken.
    pub fn rename(&mut self, name: &str, new: &str) -> Result<()> {
        let at = self.domains.iter().position(|d| d.name == name);
        let at = at.ok_or_else(|| self.name_error(name, "is unknown"))?;
        let new = new.trim();
        if new.is_empty() {
            return Err(self.name_error(new, "has no name"));
        }
        if self.domains.iter().any(|d| d.name == new) {
            return Err(self.name_error(new, "exists already"));
        }
        new.clone_into(&mut self.domains[at].name);
        Ok(())
    }

    /// Strengths for [`Subspaces::compose`]: α times the domain's distance for the domains that are
    /// named (the sum, when one is named twice), 0 for the others.
    ///
    /// # Errors
    ///
    /// [`Error::DomainName`]; [`Error::Setting`] when an α is not finite.
    pub fn strengths(&self, parts: &[(&str, f64)]) -> Result<Vec<f64>> {
        let mut strengths = vec![0.0; self.domains.len()];
        for &(name, alpha) in parts {
            if !alpha.is_finite() {
                return Err(Error::setting("alpha", alpha, "a finite number"));
            }
            let found = self.domains.iter().position(|d| d.name == name);
            let i = found.ok_or_else(|| self.name_error(name, "is unknown"))?;
            strengths[i] += alpha * self.domains[i].distance;
        }
        Ok(strengths)
    }

    /// The subspaces of this layout in `basis`.
    ///
    /// # Errors
    ///
    /// When the basis has another number of directions.
    pub fn subspaces(&self, basis: &Basis, device: &Device, dtype: DType) -> Result<Subspaces> {
        if basis.count() != self.dimensions {
            let expected = format!(
                "[{}, {}] as the layout says",
                basis.latent_dim(),
                self.dimensions
            );
            return Err(Error::shape("basis", expected, basis.vectors().dims()));
        }
        Subspaces::new(
            basis,
            &self.repurposed(),
            self.base.as_deref(),
            device,
            dtype,
        )
    }

    fn holder(&self, index: usize) -> Option<&Domain> {
        self.domains.iter().find(|d| d.dimension == index)
    }

    fn insert(&mut self, domain: Domain) -> Result<&Domain> {
        if domain.name.trim().is_empty() {
            return Err(self.name_error(&domain.name, "has no name"));
        }
        if self.domains.iter().any(|d| d.name == domain.name) {
            return Err(self.name_error(&domain.name, "exists already"));
        }
        let what = format!("domain {:?}", domain.name);
        crate::basis::check_dims(&what, &[domain.dimension], self.dimensions)?;
        if let Some(other) = self.holder(domain.dimension) {
            let holder = format!("domain {:?}", other.name);
            return Err(Error::DimensionTaken {
                index: domain.dimension,
                holder,
            });
        }
        if !domain.distance.is_finite() || domain.distance == 0.0 {
            return Err(Error::setting(
                "subspace distance",
                domain.distance,
                "finite and not 0",
            ));
        }
        self.domains.push(domain);
        Ok(&self.domains[self.domains.len() - 1])
    }

    fn name_error(&self, name: &str, problem: &'static str) -> Error {
        let known: Vec<_> = self.domains.iter().map(|d| d.name.as_str()).collect();
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        Error::DomainName {
            name: name.to_owned(),
            problem,
            known,
        }
    }
}

/// The dimension for one new domain: `explicit`, or the most dormant one that is free, which is the
/// highest index not in `taken`. Dimension 0 is never chosen by itself: it is what the network uses
/// most, and nothing would be left for the base.
///
/// # Errors
///
/// [`Error::DimensionRange`], [`Error::DimensionTaken`] or [`Error::NoFreeDimension`].
pub fn choose_dimension(explicit: Option<usize>, taken: &[usize], count: usize) -> Result<usize> {
    match explicit {
        Some(index) => {
            crate::basis::check_dims("domain", &[index], count)?;
            match taken.contains(&index) {
                true => Err(Error::DimensionTaken {
                    index,
                    holder: "another domain".to_owned(),
                }),
                false => Ok(index),
            }
        }
        None => {
            let free = (1..count).rev().find(|i| !taken.contains(i));
            free.ok_or(Error::NoFreeDimension { count })
        }
    }
}
