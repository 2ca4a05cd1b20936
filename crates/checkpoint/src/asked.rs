//! Which tensors a network asks for, told without a file: what is in one is compared with them before any of it is read.

use std::sync::{Arc, Mutex, PoisonError};

use candle_core::{DType, Device, Shape, Tensor};
use candle_nn::var_builder::SimpleBackend;
use candle_nn::{Init, VarBuilder};

/// Names and shapes, in the order in which they are asked for.
pub type Asked = Vec<(String, Vec<usize>)>;

/// Takes notes of what `build` asks for. Nothing is allocated.
///
/// # Errors
///
/// Those of `build`.
pub fn asked<T, E>(build: impl FnOnce(VarBuilder<'static>) -> Result<T, E>) -> Result<Asked, E> {
    let notes = Arc::new(Mutex::new(Asked::new()));
    let backend = Box::new(Notes(Arc::clone(&notes)));
    build(VarBuilder::from_backend(backend, DType::F32, Device::Cpu))?;
    let asked = std::mem::take(&mut *notes.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(asked)
}

/// The backend that takes notes. Its tensors have the right shape and no memory: one zero, seen through strides of 0.
struct Notes(Arc<Mutex<Asked>>);

impl SimpleBackend for Notes {
    fn get(
        &self,
        shape: Shape,
        name: &str,
        _: Init,
        dtype: DType,
        device: &Device,
    ) -> candle_core::Result<Tensor> {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        notes.push((name.to_owned(), shape.dims().to_vec()));
        Tensor::zeros((), dtype, device)?.broadcast_as(shape)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("{name}: a network asks for every tensor by its shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_shapes_are_noted_in_their_order_and_take_no_memory() -> candle_core::Result<()> {
        let noted = asked(|vb| {
            let large = vb.pp("b").get((1 << 30, 1 << 30), "weight")?;
            assert_eq!(large.stride(), [0, 0]);
            vb.get(3, "a")
        })?;
        let expected = [("b.weight", vec![1 << 30, 1 << 30]), ("a", vec![3])];
        assert_eq!(
            noted,
            expected.map(|(name, shape)| (name.to_owned(), shape))
        );
        let refused = asked(|vb| vb.get_unchecked("c")).unwrap_err();
        assert!(refused.to_string().contains("c: a network asks"));
        Ok(())
    }
}
