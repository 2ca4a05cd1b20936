//! A search that nobody waits for any more, on the shipped networks.
#![allow(clippy::unwrap_used)]

use std::ops::ControlFlow;

use candle_core::{DType, Device, Tensor};
use domex_invert::{Config, Error, Projector};
use domex_latent::Generator as _;
use domex_lpips::Lpips;
use domex_random::Streams;
use domex_stylegan2::Model;

const SHIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../assets/portraits/");

#[test]
fn a_search_ends_where_it_is_broken_off() {
    let device = Device::Cpu;
    let model = Model::load_generator(format!("{SHIPPED}generator.safetensors"), &device).unwrap();
    let perceptual = format!("{SHIPPED}perceptual.safetensors");
    let generator = model.generator();
    let projector = Projector {
        generator: generator.into(),
        perceptual: &Lpips::load(perceptual, DType::F32, &device).unwrap(),
        place: None,
        config: Config::near(),
    };
    let side = generator.resolution();
    let grey = Tensor::zeros((1, 3, side, side), generator.dtype(), &device).unwrap();
    let start = generator.mean().unwrap().unsqueeze(0).unwrap();
    let mut steps = 0;
    let stopped = projector.search(&grey, Some(&start), &Streams::new(0), &mut |step, _| {
        steps = step;
        match step {
            2 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    assert!(matches!(stopped, Err(Error::Stopped { step: 2 })));
    assert_eq!(steps, 2);
}
