//! The gradient of a gradient, as the R1 penalty needs it: `cargo run -p domex-ops --example second_order`.

use candle_core::{Device, Tensor, Var};
use domex_ops::{Activation, BiasAct, autograd, bias_act, conv2d};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let values = |n: usize| (0..n).map(|i| (i as f32 * 0.7).sin()).collect::<Vec<_>>();
    let picture = Var::from_vec(values(3 * 64), (1, 3, 8, 8), &Device::Cpu)?;
    let weight = Var::from_vec(values(4 * 27), (4, 3, 3, 3), &Device::Cpu)?;
    let bias = Tensor::zeros(4, candle_core::DType::F32, &Device::Cpu)?;

    // A discriminator of one layer, and how its answer changes with the picture.
    let features = conv2d(&picture, &weight, None, 1, 1)?;
    let answer = bias_act(&features, Some(&bias), &BiasAct::new(Activation::Lrelu))?.sum_all()?;
    let gradients = autograd::backward_with_graph(&answer)?;
    let slope = gradients.get(&picture).ok_or("no gradient")?;
    let penalty = slope.sqr()?.sum_all()?;

    // That is a function of the weight, and has a gradient of its own.
    let second = penalty.backward()?;
    let step = second.get(&weight).ok_or("no second gradient")?;
    println!("penalty {:.4}", penalty.to_scalar::<f32>()?);
    println!(
        "length of its gradient {:.4}",
        step.sqr()?.sum_all()?.to_scalar::<f32>()?.sqrt()
    );
    Ok(())
}
