//! The latent prior: forward, training loss, and sampling of codes.

use candle_core::Tensor;
use domex_diffae::{Error as DiffaeError, LatentConfig, LatentNet, Statistics};
use domex_diffusion::{Clip, Spacing};

use super::{Live, Trace, process, steps, timesteps};
use crate::{
    Case, Result,
    computed::{Computed, dot, var},
};

pub(crate) fn run(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let live = Live::new(case, "")?;
    let network = LatentNet::new(&live.builder, &LatentConfig::from_published(&case.config)?)?;
    let x = var(case.input("x")?)?;
    let pred = network.forward(&x, &timesteps(case, "t")?)?;
    let grads = dot(&pred, case.input("R")?)?.backward()?;
    computed.grad("x", &grads, &x)?;
    live.answer(case, "", &grads, &mut computed)?;
    computed.out("pred", pred);

    let statistics = Statistics {
        mean: case.input("conds_mean")?.clone(),
        std: case.input("conds_std")?.clone(),
    };
    train(case, &live, &network, &statistics, &mut computed)?;
    sample(case, &network, &statistics, &mut computed)?;
    Ok(computed)
}

fn train(
    case: &Case,
    live: &Live,
    network: &LatentNet,
    statistics: &Statistics,
    computed: &mut Computed,
) -> Result<()> {
    let betas = case.setting("/diffusion/beta_schedule");
    let betas = betas.and_then(|name| name.as_str());
    let count = case.count("/diffusion/T");
    let diffusion = process(case, betas, count, None, Spacing::Ddim)?;
    let codes = statistics.normalize(case.input("train.cond")?)?;
    let noise = case.input("train.noise")?;
    let loss = network.training_loss(&diffusion, &codes, &steps(case, "train.t")?, noise)?;
    live.answer(case, "train.", &loss.loss.backward()?, computed)?;
    computed.out("train.x_start_normalised", codes);
    computed.out("train.x_t", loss.x_t);
    computed.out("train.per_sample", loss.per_sample);
    computed.out("train.loss", loss.loss);
    Ok(())
}

fn sample(
    case: &Case,
    network: &LatentNet,
    statistics: &Statistics,
    computed: &mut Computed,
) -> Result<()> {
    let betas = case.setting("/diffusion/beta_schedule");
    let betas = betas.and_then(|name| name.as_str());
    let (count, steps) = (case.count("/diffusion/T"), case.count("/diffusion/T_eval"));
    let process = process(case, betas, count, steps, Spacing::Ddim)?;
    let denoise = |x: &Tensor, t: &[f64]| network.forward(x, t);
    let mut trace = Trace::default();
    let noise = case.input("z_T")?;
    let z = process.ddim_sample::<DiffaeError>(noise, Clip::None, denoise, |step| {
        trace.note(step);
    })?;
    computed.out("sample.cond", statistics.denormalize(&z)?);
    computed.out("sample.z_normalised", z);
    computed.out("sample.steps", Tensor::stack(&trace.x, 0)?);
    computed.out("sample.pred_xstart_steps", Tensor::stack(&trace.x0, 0)?);
    Ok(())
}
