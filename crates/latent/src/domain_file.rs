//! Domains that leave a model and come to another one: their vectors and matrices, apart from any network.
//!
//! Only these can be carried ([`domain_vectors`](crate::domain_vectors), [`matrices`](crate::matrices)): what full training taught a domain is in the
//! weights, together with everything else. A vector means something to the generator that it was trained on, and to no
//! other: who carries it compares the generators.

use candle_core::Tensor;
use serde_json::{Value as Json, json};

use crate::domain_vectors::Gate;
use crate::expansion::{Expansion, FACTORS, MATRICES, OFFSETS, Rows};
use crate::matrices::{Matrices, is_zero};
use crate::sparse::Sparse;
use crate::subspace::Domain;
use crate::{Error, Result};

/// A domain by itself.
#[derive(Debug, Clone)]
pub struct DomainFile {
    /// Its name, its task, the direction that it had, and its distance.
    pub domain: Domain,
    /// How its vectors come in.
    pub gate: Gate,
    /// Offsets to the styles of layers, `[channels]` each.
    pub offsets: Rows,
    /// Factors of their input channels, less one, `[channels]` each.
    pub factors: Rows,
    /// What it adds to their weights.
    pub matrices: Matrices,
}

impl DomainFile {
    /// What a file says of the domain.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn to_json(&self) -> Result<Json> {
        let layers = |rows: &Rows| rows.keys().cloned().collect::<Vec<_>>();
        let mut json = json!({
            "domain": self.domain, "gate": self.gate, "factors": layers(&self.factors),
        });
        match Sparse::of(&self.offsets)? {
            Some(sparse) => json["sparse"] = sparse.to_json(),
            None => json["offsets"] = json!(layers(&self.offsets)),
        }
        if !self.matrices.is_empty() {
            json["matrices"] = self.matrices.to_json();
        }
        Ok(json)
    }

    /// The tensors of a file, by name.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        let named = |prefix: &str, rows: &Rows| {
            let rows = rows.iter();
            rows.map(|(layer, row)| (format!("{prefix}{layer}"), row.clone()))
                .collect::<Vec<_>>()
        };
        let mut tensors = match Sparse::of(&self.offsets)? {
            Some(sparse) => sparse.tensors()?,
            None => named(OFFSETS, &self.offsets),
        };
        tensors.extend(named(FACTORS, &self.factors));
        tensors.extend(self.matrices.tensors(MATRICES));
        Ok(tensors)
    }

    /// Reads what [`to_json`](Self::to_json) wrote. `tensor` looks a tensor of the file up.
    ///
    /// # Errors
    ///
    /// A document that does not fit, or an error of `tensor`.
    pub fn from_json<E: From<Error>>(
        json: &Json,
        tensor: impl Fn(&str) -> std::result::Result<Tensor, E>,
    ) -> std::result::Result<Self, E> {
        let wrong =
            |error: serde_json::Error| Error::setting("domain of the file", error, "a domain");
        let rows = |key: &str, prefix: &str| -> std::result::Result<Rows, E> {
            let layers: Vec<String> = serde_json::from_value(json[key].clone()).map_err(wrong)?;
            let row = |layer: String| Ok((layer.clone(), tensor(&format!("{prefix}{layer}"))?));
            layers.into_iter().map(row).collect()
        };
        Ok(Self {
            domain: serde_json::from_value(json["domain"].clone()).map_err(wrong)?,
            gate: serde_json::from_value(json["gate"].clone()).map_err(wrong)?,
            offsets: match &json["sparse"] {
                Json::Null => rows("offsets", OFFSETS)?,
                sparse => Sparse::read(sparse, &tensor)?,
            },
            factors: rows("factors", FACTORS)?,
            matrices: Matrices::from_json(&json["matrices"], MATRICES, &tensor)?,
        })
    }

    /// How many numbers it is; where most offsets are zero, without these.
    ///
    /// # Errors
    ///
    /// candle's own.
    pub fn numbers(&self) -> Result<usize> {
        let count = |rows: &Rows| rows.values().map(Tensor::elem_count).sum::<usize>();
        let offsets = match Sparse::of(&self.offsets)? {
            Some(sparse) => sparse.count(),
            None => count(&self.offsets),
        };
        Ok(offsets + count(&self.factors) + self.matrices.numbers())
    }
}

impl Expansion {
    /// A domain's vectors; `None` where they say nothing, because weights were trained for it.
    ///
    /// # Errors
    ///
    /// A domain that is not there.
    pub fn take_out(&self, name: &str) -> Result<Option<DomainFile>> {
        let domain = self.layout.domain(name)?.clone();
        let at = self.place(name)?;
        // Of layers that others have vectors for there are zeros.
        let row = |rows: &Rows| -> Result<Rows> {
            let mut own = Rows::new();
            for (layer, rows) in rows {
                let row = rows.narrow(0, at, 1)?.squeeze(0)?.contiguous()?;
                if !is_zero(&row)? {
                    own.insert(layer.clone(), row);
                }
            }
            Ok(own)
        };
        let (offsets, factors) = (row(&self.offsets)?, row(&self.factors)?);
        let matrices = match self.matrices.get(at) {
            Some(matrices) => matrices.without_zeros()?,
            None => Matrices::default(),
        };
        let is_there = !(offsets.is_empty() && factors.is_empty() && matrices.is_empty());
        Ok(is_there.then(|| DomainFile {
            domain,
            gate: self.gates.get(at).copied().unwrap_or_default(),
            offsets,
            factors,
            matrices,
        }))
    }

    /// Adds a domain: on the direction that it had, or where another has it on the most dormant free one. The direction.
    ///
    /// # Errors
    ///
    /// A name that is taken, no free direction, or vectors of another size.
    pub fn put_in(&mut self, file: &DomainFile) -> Result<usize> {
        let before = self.layout.domains().len();
        let wish = file.domain.dimension;
        let is_free = wish < self.layout.dimensions() && !self.layout.repurposed().contains(&wish);
        let Domain {
            name,
            task,
            distance,
            ..
        } = &file.domain;
        let mut layout = self.layout.clone();
        let wish = is_free.then_some(wish);
        let dimension = layout.add(name, task.clone(), wish, *distance)?.dimension;
        let offsets = longer(&self.offsets, &file.offsets, before)?;
        let factors = longer(&self.factors, &file.factors, before)?;
        let mut gates = self.gates.clone();
        gates.push(file.gate);
        let mut matrices = self.matrices.clone();
        matrices.push(file.matrices.clone());
        let mut grown = self.clone();
        grown.layout = layout;
        let grown = grown.with_vectors(offsets, factors, gates)?;
        *self = grown.with_matrices(matrices)?;
        Ok(dimension)
    }

    /// Removes a domain with its vectors; its direction is free again. Weights stay as they are.
    ///
    /// # Errors
    ///
    /// A domain that is not there.
    pub fn remove(&mut self, name: &str) -> Result<Domain> {
        let at = self.place(name)?;
        let count = self.layout.domains().len();
        let others: Vec<u32> = (0..count).filter(|i| *i != at).map(|i| i as u32).collect();
        let without = |rows: &Rows| -> Result<Rows> {
            if others.is_empty() {
                return Ok(Rows::new());
            }
            let rows = rows.iter().map(|(layer, rows)| {
                let kept = Tensor::new(others.as_slice(), rows.device())?;
                Ok((layer.clone(), rows.contiguous()?.index_select(&kept, 0)?))
            });
            rows.collect()
        };
        let (offsets, factors) = (without(&self.offsets)?, without(&self.factors)?);
        let mut gates = self.gates.clone();
        gates.remove(at);
        let mut matrices = self.matrices.clone();
        matrices.remove(at);
        let mut shrunk = self.clone();
        let domain = shrunk.layout.remove(name)?;
        let shrunk = shrunk.with_vectors(offsets, factors, gates)?;
        *self = shrunk.with_matrices(matrices)?;
        Ok(domain)
    }

    fn place(&self, name: &str) -> Result<usize> {
        self.layout.domain(name)?;
        let place = self.layout.domains().iter().position(|d| d.name == name);
        Ok(place.unwrap_or_default())
    }
}

/// Rows of all domains with one more; zeros where one side has no such layer.
fn longer(rows: &Rows, new: &Rows, before: usize) -> Result<Rows> {
    let mut all = Rows::new();
    for (layer, rows) in rows {
        let row = match new.get(layer) {
            Some(row) => row.unsqueeze(0)?.to_dtype(rows.dtype())?,
            None => rows.narrow(0, 0, 1)?.zeros_like()?,
        };
        if row.dims()[1..] != rows.dims()[1..] {
            let what = format!("vectors of layer {layer}");
            return Err(Error::shape(
                what,
                format!("{:?}", &rows.dims()[1..]),
                &row.dims()[1..],
            ));
        }
        all.insert(layer.clone(), Tensor::cat(&[rows, &row], 0)?);
    }
    for (layer, row) in new {
        if !rows.contains_key(layer) {
            all.insert(
                layer.clone(),
                row.unsqueeze(0)?.pad_with_zeros(0, before, 0)?,
            );
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};
    use domex_random::{Stream, Streams};

    use super::*;
    use crate::basis::Basis;
    use crate::matrices::AffineChange;
    use crate::modulation::{Layer, Modulator as _};
    use crate::subspace::Layout;

    const WIDTH: usize = 128;
    const LAYER: &str = "b4.conv1";

    fn empty() -> Expansion {
        let basis = Basis::given(Tensor::eye(WIDTH, DType::F32, &Device::Cpu).unwrap());
        let mean = Tensor::zeros(WIDTH, DType::F32, &Device::Cpu).unwrap();
        Expansion::new(Layout::new(WIDTH), basis.unwrap(), mean).unwrap()
    }

    fn row(stream: &mut Stream) -> Rows {
        let mut values = [0f32; 3];
        stream.fill_normal(&mut values);
        let row = Tensor::new(&values, &Device::Cpu).unwrap();
        Rows::from([(LAYER.to_owned(), row)])
    }

    fn domain(at: usize, stream: &mut Stream) -> DomainFile {
        DomainFile {
            domain: Domain {
                name: format!("domain {at}"),
                task: Json::Null,
                dimension: WIDTH - 1 - at,
                distance: 20.0,
            },
            gate: Gate::Smooth,
            offsets: row(stream),
            factors: row(stream),
            matrices: Matrices {
                affine: [(LAYER.to_owned(), change(stream))].into(),
                ..Matrices::default()
            },
        }
    }

    fn change(stream: &mut Stream) -> AffineChange {
        let mut normal = |rows: usize, columns: usize| {
            let mut values = vec![0f32; rows * columns];
            stream.fill_normal(&mut values);
            Tensor::from_vec(values, (rows, columns), &Device::Cpu).unwrap()
        };
        AffineChange::LowRank {
            out: normal(3, 1),
            inner: normal(1, WIDTH),
        }
    }

    fn matrices(file: &DomainFile) -> Vec<f32> {
        let tensors = file.matrices.tensors("").into_iter();
        tensors
            .flat_map(|(_, tensor)| tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap())
            .collect()
    }

    fn values(rows: &Rows) -> Vec<f32> {
        rows[LAYER].flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn a_domain_that_was_put_in_comes_out_as_it_was() {
        let mut stream = Streams::new(1).stream("domains");
        let (one, two) = (domain(0, &mut stream), domain(1, &mut stream));
        let mut expansion = empty();
        expansion.put_in(&one).unwrap();
        expansion.put_in(&two).unwrap();
        let out = expansion.take_out("domain 0").unwrap().unwrap();
        assert_eq!(values(&out.offsets), values(&one.offsets));
        assert_eq!(values(&out.factors), values(&one.factors));
        assert_eq!(matrices(&out), matrices(&one));
        assert_eq!(out.to_json().unwrap(), one.to_json().unwrap());
    }

    #[test]
    fn a_domain_comes_back_from_its_file() {
        let mut stored = domain(0, &mut Streams::new(1).stream("domains"));
        for sparse in [false, true] {
            if sparse {
                let row = Tensor::new(&[0_f32, 0.0, 1.5], &Device::Cpu).unwrap();
                stored.offsets.insert(LAYER.to_owned(), row);
            }
            let tensors = stored.tensors().unwrap();
            let found = DomainFile::from_json::<Error>(&stored.to_json().unwrap(), |name| {
                let mut tensors = tensors.iter();
                Ok(tensors.find(|(known, _)| known == name).unwrap().1.clone())
            });
            let found = found.unwrap();
            assert_eq!(values(&found.offsets), values(&stored.offsets));
            assert_eq!(matrices(&found), matrices(&stored));
            assert_eq!(
                found.numbers().unwrap(),
                if sparse { 1 } else { 3 } + 3 + 3 + WIDTH
            );
        }
    }

    #[test]
    fn a_domain_has_nothing_of_the_layers_that_others_have_vectors_for() {
        let mut stream = Streams::new(1).stream("domains");
        let (one, mut two) = (domain(0, &mut stream), domain(1, &mut stream));
        two.factors = Rows::new();
        two.matrices = Matrices::default();
        let mut expansion = empty();
        expansion.put_in(&one).unwrap();
        expansion.put_in(&two).unwrap();
        let out = expansion.take_out("domain 1").unwrap().unwrap();
        assert!(out.factors.is_empty() && out.matrices.is_empty());
    }

    #[test]
    fn a_domain_whose_direction_is_taken_gets_a_free_one() {
        let mut stream = Streams::new(1).stream("domains");
        let one = domain(0, &mut stream);
        let mut other = domain(0, &mut stream);
        other.domain.name = "other".to_owned();
        let mut expansion = empty();
        assert_eq!(expansion.put_in(&one).unwrap(), WIDTH - 1);
        assert_eq!(expansion.put_in(&other).unwrap(), WIDTH - 2);
    }

    #[test]
    fn a_domain_in_the_weights_has_nothing_to_take_out() {
        let mut expansion = empty();
        expansion.layout.add("elf", Json::Null, None, 20.0).unwrap();
        expansion.gates.push(Gate::Linear);
        assert!(expansion.take_out("elf").unwrap().is_none());
    }

    #[test]
    fn what_is_put_in_twice_or_not_there_is_refused() {
        let mut stream = Streams::new(1).stream("domains");
        let one = domain(0, &mut stream);
        let mut expansion = empty();
        expansion.put_in(&one).unwrap();
        let twice = expansion.put_in(&one).unwrap_err().to_string();
        assert!(twice.contains("exists already"), "{twice}");
        let absent = expansion.remove("domain 7").unwrap_err().to_string();
        assert!(
            absent.contains("domain 7") && absent.contains("domain 0"),
            "{absent}"
        );
    }

    /// In a thousand random orders of putting in and taking out: on the base no layer is touched, and who is there has its
    /// own numbers.
    #[test]
    fn no_order_of_changes_touches_the_base_or_other_domains() {
        let mut stream = Streams::new(7).stream("orders");
        let files: Vec<DomainFile> = (0..100).map(|at| domain(at, &mut stream)).collect();
        let layers = [Layer {
            name: LAYER.to_owned(),
            channels: 3,
            outputs: 3,
            kernel: 3,
            resolution: 4,
            row: 0,
        }];
        let mut expansion = empty();
        for _ in 0..1000 {
            let file = &files[stream.index(files.len()).unwrap()];
            let name = &file.domain.name;
            let is_there = expansion.layout.domain(name).is_ok();
            match is_there {
                true => drop(expansion.remove(name).unwrap()),
                false => drop(expansion.put_in(file).unwrap()),
            }
            let Some(vectors) = expansion
                .modulator(&layers, &Device::Cpu, DType::F32)
                .unwrap()
            else {
                continue;
            };
            let mut base = vec![0f32; WIDTH];
            stream.fill_normal(&mut base);
            expansion
                .layout
                .repurposed()
                .into_iter()
                .for_each(|i| base[i] = 0.0);
            let base = Tensor::from_vec(base, (1, 1, WIDTH), &Device::Cpu).unwrap();
            assert!(vectors.modulate(&base).unwrap().is_empty());
            let names = expansion.layout.domains();
            let any = &names[stream.index(names.len()).unwrap()].name;
            let found = expansion.take_out(any).unwrap().unwrap();
            let own = files.iter().find(|file| file.domain.name == *any).unwrap();
            assert_eq!(values(&found.offsets), values(&own.offsets));
            assert_eq!(values(&found.factors), values(&own.factors));
            assert_eq!(matrices(&found), matrices(own));
        }
    }
}
