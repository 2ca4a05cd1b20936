//! Losses by networks that are held in float16: nearly those of float32, and so are the gradients of pictures.

#![allow(clippy::unwrap_used)]

use candle_core::{DType, Device, Tensor, Var};
use domex_nada::Guide;
use domex_replay::Perceptual;
use domex_test_support::networks;

/// The loss of pictures, and its gradient, by networks of this type.
fn loss(by: impl Fn(&Tensor) -> Tensor, pictures: &Tensor) -> (f32, Tensor) {
    let pictures = Var::from_tensor(pictures).unwrap();
    let loss = by(&pictures);
    assert_eq!(loss.dtype(), DType::F32);
    let mut grads = loss.backward().unwrap();
    let gradient = grads
        .remove(&pictures)
        .expect("a gradient reaches the pictures");
    (loss.to_scalar().unwrap(), gradient)
}

/// Four pictures, and others.
fn pictures() -> [Tensor; 2] {
    [0.7f64, 0.3].map(|step| {
        let values = (0..4 * 3 * 32 * 32).map(|i| (f64::from(i) * step).sin() as f32);
        Tensor::from_iter(values, &Device::Cpu)
            .unwrap()
            .reshape((4, 3, 32, 32))
            .unwrap()
    })
}

/// By networks of float32 and of float16: different, but little so. `weight`: a small one leaves gradients that float16 does not hold.
fn nearly_alike(by: impl Fn(DType, &Tensor) -> Tensor) {
    let [pictures, _] = pictures();
    for weight in [1.0, 1e-3] {
        let weighted = |dtype| loss(|x| (by(dtype, x) * weight).unwrap(), &pictures);
        let ((full, whole), (half, rounded)) = (weighted(DType::F32), weighted(DType::F16));
        assert!((half / full - 1.0).abs() < 2e-2, "{half} instead of {full}");
        let size = |t: &Tensor| {
            let t = t.to_dtype(DType::F64).unwrap().sqr().unwrap();
            t.sum_all().unwrap().to_scalar::<f64>().unwrap().sqrt()
        };
        let off = size(&(rounded - &whole).unwrap()) / size(&whole);
        assert!(
            off > 0.0 && off < 0.15,
            "times {weight} the gradient is off by {off}"
        );
    }
}

#[test]
fn a_clip_model_in_float16_sees_nearly_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("clip.safetensors");
    networks::clip(&file, 1);
    nearly_alike(|dtype, pictures| {
        let guide = Guide::load_as(&file, 1.0, dtype, &Device::Cpu).unwrap();
        let features = guide.features(pictures).unwrap();
        features.sqr().unwrap().mean_all().unwrap()
    });
}

#[test]
fn a_perceptual_network_in_float16_sees_nearly_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("perceptual.safetensors");
    networks::perceptual(&file);
    let [_, others] = pictures();
    nearly_alike(|dtype, pictures| {
        let network = Perceptual::load_as(&file, dtype, &Device::Cpu).unwrap();
        network
            .0
            .distance(pictures, &others)
            .unwrap()
            .mean_all()
            .unwrap()
    });
}
