//! What the tests share.

// Each test file uses its own part of it.
#![allow(dead_code)]

use candle_core::{DType, Device, Tensor};
use domex_diffae::{Config, Model, Tensors, init};
use domex_diffusion::standard_normal;
use domex_random::Streams;

/// A small network of two levels with steps enough for its schedules.
pub fn config() -> Config {
    let mut config = Config::tiny();
    config.unet.num_input_res_blocks = 1;
    config.unet.num_res_blocks = 1;
    config.encoder.num_res_blocks = 1;
    config.encoder.channels = vec![8, 16];
    config.latent.as_mut().unwrap().layers = 3;
    config.latent.as_mut().unwrap().skip_layers = vec![1, 2];
    config.diffusion.train_steps = 100;
    config
}

pub fn tensors(dtype: DType) -> Tensors {
    init::nowhere_zero(&config(), 1, dtype, &Device::Cpu).unwrap()
}

pub fn model() -> Model {
    Model::random(&config(), 1, &Device::Cpu).unwrap()
}

/// Standard normal numbers, other ones for another name.
pub fn normal(name: &str, dims: &[usize]) -> Tensor {
    let mut stream = Streams::new(7).stream(name);
    standard_normal(&mut stream, dims, DType::F32, &Device::Cpu).unwrap()
}

/// Pictures of 16² in `[-1, 1]`.
pub fn pictures(n: usize) -> Tensor {
    normal("pictures", &[n, 3, 16, 16]).tanh().unwrap()
}

pub fn apart(a: &Tensor, b: &Tensor) -> f64 {
    let d = (a - b).unwrap().abs().unwrap().max_all().unwrap();
    d.to_dtype(DType::F64).unwrap().to_scalar().unwrap()
}
