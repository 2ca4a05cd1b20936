//! The pairs of a batch that one network looks at: those whose tasks ask for it.

use candle_core::Tensor;

use crate::Result;
use crate::task::Rows;

/// See the [module docs](self).
pub(crate) struct Part {
    /// Their tasks, in the network's numbering.
    pub tasks: Vec<usize>,
    /// The same, `[m]`.
    pub numbers: Tensor,
    /// Where they stand in the batch of so many; `None` for all of it.
    places: Option<Places>,
}

struct Places {
    of: usize,
    at: Vec<usize>,
    index: Tensor, // [m], the same again
}

impl Part {
    /// Of a batch whose pairs are of `tasks`; `None` where none of them is the network's. `like` says which device.
    pub fn of(rows: &Rows, tasks: &[usize], like: &Tensor) -> Result<Option<Self>> {
        let own = tasks.iter().enumerate();
        let own = own.filter_map(|(place, &task)| Some((place, rows.number(task)?)));
        let (at, own): (Vec<usize>, Vec<usize>) = own.unzip();
        if own.is_empty() {
            return Ok(None);
        }
        let places = match at.len() == tasks.len() {
            true => None,
            false => Some(Places {
                of: tasks.len(),
                index: numbers(&at, like)?,
                at,
            }),
        };
        Ok(Some(Self {
            numbers: numbers(&own, like)?,
            tasks: own,
            places,
        }))
    }

    /// Their rows of `x: [n, ..]`.
    pub fn pick(&self, x: &Tensor) -> Result<Tensor> {
        Ok(match &self.places {
            None => x.clone(),
            Some(places) => x.contiguous()?.index_select(&places.index, 0)?,
        })
    }

    /// Their items of a list that holds `count` for each pair of the batch.
    pub fn items<T: Copy>(&self, list: &[T], count: usize) -> Vec<T> {
        match &self.places {
            None => list.to_vec(),
            Some(places) => {
                let of = |at: &usize| list[at * count..(at + 1) * count].iter().copied();
                places.at.iter().flat_map(of).collect()
            }
        }
    }

    /// A term of each of them, `[m]`, as one of the whole batch, `[n]`: 0 for the other pairs.
    pub fn spread(&self, term: Tensor) -> Result<Tensor> {
        let Some(places) = &self.places else {
            return Ok(term);
        };
        let zeros = Tensor::zeros(places.of, term.dtype(), term.device())?;
        Ok(zeros.index_add(&places.index, &term, 0)?)
    }
}

pub(crate) fn numbers(of: &[usize], like: &Tensor) -> Result<Tensor> {
    let numbers: Vec<u32> = of.iter().map(|number| *number as u32).collect();
    Ok(Tensor::new(numbers, like.device())?)
}
