//! DDIM in both directions step by step, and the whole way from noise to a picture.

use candle_core::Tensor;
use domex_diffae::{Error as DiffaeError, Model, Statistics, UNet};
use domex_diffusion::{Clip, Diffusion, Spacing};

use super::{Live, Trace, config, padded, process};
use crate::{Case, Result, computed::Computed};

pub(crate) fn chains(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let live = Live::new(case, "")?;
    let unet = UNet::new(&live.builder, &config(case)?.unet)?;
    let betas = case.setting("/diffusion/beta_schedule");
    let betas = betas.and_then(|name| name.as_str());
    let (count, steps) = (case.count("/diffusion/T"), case.count("/diffusion/T_eval"));
    let rescaled = case.setting("/diffusion/rescale_timesteps");
    let rescaled = rescaled
        .and_then(serde_json::Value::as_bool)
        .unwrap_or(false);
    let process = process(case, betas, count, steps, Spacing::Ddim)?;
    let process = process.with_rescaled_timesteps(rescaled);
    for (name, clip) in [("clip", Clip::Unit), ("noclip", Clip::None)] {
        chain(case, &unet, &process, name, clip, &mut computed)?;
    }
    Ok(computed)
}

fn chain(
    case: &Case,
    unet: &UNet,
    process: &Diffusion,
    name: &str,
    clip: Clip,
    computed: &mut Computed,
) -> Result<()> {
    let cond = case.input("cond")?;
    let denoise = |x: &Tensor, t: &[f64]| unet.forward(x, t, cond);
    let mut trace = Trace::default();
    let x_t = case.input("x_T")?.detach();
    let x0 = process.ddim_sample::<DiffaeError>(&x_t, clip, denoise, |step| trace.note(step))?;
    computed.out(format_args!("{name}.x0"), x0);
    let steps = |trace: &[Tensor]| Tensor::stack(trace, 0);
    computed.out(format_args!("{name}.sample_steps"), steps(&trace.x)?);
    computed.out(format_args!("{name}.pred_xstart_steps"), steps(&trace.x0)?);

    let mut trace = Trace::default();
    let x_0 = case.input("x_0")?.detach();
    let x_t = process.ddim_reverse::<DiffaeError>(&x_0, clip, denoise, |step| trace.note(step))?;
    computed.out(format_args!("reverse_{name}.xT"), x_t);
    computed.out(
        format_args!("reverse_{name}.sample_steps"),
        steps(&trace.x)?,
    );
    computed.out(
        format_args!("reverse_{name}.pred_xstart_steps"),
        steps(&trace.x0)?,
    );
    Ok(())
}

pub(crate) fn render(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let mut config = config(case)?;
    let name = |key: &str| {
        let name = case.setting(&format!("/diffusion/{key}"));
        name.and_then(|name| name.as_str())
            .ok_or_else(|| case.malformed(format!("no `diffusion.{key}`")))
    };
    let count = |key: &str| {
        case.count(&format!("/diffusion/{key}"))
            .ok_or_else(|| case.malformed(format!("no `diffusion.{key}`")))
    };
    config.diffusion.train_steps = count("T")?;
    config.diffusion.betas = name("beta_schedule_image")?.parse()?;
    config.diffusion.latent_betas = name("beta_schedule_latent")?.parse()?;
    let mut model = Model::from_tensors(padded(case, &config)?, &config)?;
    model.set_statistics(Some(Statistics {
        mean: case.input("conds_mean")?.clone(),
        std: case.input("conds_std")?.clone(),
    }))?;
    let codes = model.sample_codes(case.input("latent_noise")?, count("T_eval_latent")?)?;
    let pictures = model.decode(&codes, case.input("x_T")?, count("T_eval_image")?)?;
    computed.out("image01", ((&pictures + 1.0)? / 2.0)?);
    computed.out("x_0", pictures);
    Ok(computed)
}
