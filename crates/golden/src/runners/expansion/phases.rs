//! The four adversarial phases: on the base subspace, but for path length, which is plain with
//! style mixing. The noise is that of the buffers.

use candle_core::Tensor;
use domex_gan::{
    PathLengthConfig, fake_loss, frozen, generator_loss, latents, path_length, r1, real_loss,
};
use domex_stylegan2::{Generator, Noise};

use super::{answer, discriminator, gained, generator, number, subspaces};
use crate::{Case, Result, compare::values, computed::Computed};

/// `phase_G_adv`: how little the discriminator takes samples of the base subspace for real.
pub(crate) fn generator_adversarial(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let mut trained = generator(case)?;
    let d_frozen = frozen::discriminator(&discriminator(case)?.network)?;
    let ws = base_latents(case, &mut trained.network)?;
    let phase = generator_loss(&trained.network, &d_frozen, &ws, None, Noise::Const, None)?;
    let grads = gained(case, &phase.loss)?.backward()?;
    answer(case, "G.", &trained.vars, &grads, &mut computed)?;
    mean_after(&trained.network, &mut computed)?;
    computed.out("gen_ws", ws);
    computed.out("gen_img", phase.pictures);
    computed.out("fake_logits", phase.logits);
    computed.out("loss_per_sample", phase.per_sample);
    computed.out("loss", phase.loss);
    Ok(computed)
}

/// `phase_D_adv`: fakes from the base subspace, and real pictures, each propagated by itself.
pub(crate) fn discriminator_adversarial(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let trained = discriminator(case)?;
    let mut source = frozen::generator(&generator(case)?.network)?;
    let ws = base_latents(case, &mut source)?;
    let pictures = source.synthesis().forward(&ws, Noise::Const)?;
    let fake = fake_loss(&trained.network, &pictures, None, None)?;
    let real = real_loss(&trained.network, case.input("real_img")?, None, None)?;
    let loss = (&fake.loss + &real.loss)?;
    let grads = gained(case, &loss)?.backward()?;
    answer(case, "D.", &trained.vars, &grads, &mut computed)?;
    mean_after(&source, &mut computed)?;
    computed.out("gen_ws", ws);
    computed.out("gen_img", pictures);
    computed.out("fake_logits", fake.logits);
    computed.out("real_logits", real.logits);
    computed.out("loss_per_sample", (fake.per_sample + real.per_sample)?);
    computed.out("loss", loss);
    Ok(computed)
}

/// `phase_D_reg`: R1.
pub(crate) fn discriminator_regularizer(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let trained = discriminator(case)?;
    let gamma = number(case, "r1_gamma")?;
    let phase = r1(&trained.network, case.input("real_img")?, None, gamma, None)?;
    let grads = gained(case, &phase.loss)?.backward()?;
    answer(case, "D.", &trained.vars, &grads, &mut computed)?;
    computed.out("real_logits", phase.logits);
    computed.out("r1_penalty", phase.penalty);
    computed.out("loss", phase.loss);
    Ok(computed)
}

/// `phase_G_reg`: path length, not projected.
pub(crate) fn generator_regularizer(case: &Case) -> Result<Computed> {
    let mut computed = Computed::default();
    let mut trained = generator(case)?;
    let config = PathLengthConfig {
        weight: number(case, "pl_weight")?,
        decay: number(case, "pl_decay")?,
        batch_shrink: number(case, "pl_batch_shrink")? as usize,
    };
    let z = case.input("z")?;
    let z = z.narrow(0, 0, config.samples(z.dim(0)?))?.contiguous()?;
    let w = latents::map(&mut trained.network, &z, None)?;
    let mut ws = latents::plain(&trained.network, &w)?;
    if let (Some(cutoff), Some(fine)) = (case.get("in.mixing_cutoff"), case.get("in.z_mix")) {
        let cutoff = values(cutoff)?.first().copied().unwrap_or_default();
        ws = latents::mix(&trained.network, &ws, fine, None, cutoff as usize)?;
    }
    let phase = path_length(
        &trained.network,
        &ws,
        Noise::Const,
        case.input("pl_noise")?,
        case.input("pl_mean")?,
        &config,
    )?;
    let grads = gained(case, &phase.loss)?.backward()?;
    answer(case, "G.", &trained.vars, &grads, &mut computed)?;
    mean_after(&trained.network, &mut computed)?;
    computed.out("gen_ws", ws);
    computed.out("gen_img", phase.pictures);
    computed.out("pl_mean_after", phase.mean);
    computed.out("pl_penalty", phase.penalty);
    computed.out("loss", phase.loss);
    Ok(computed)
}

/// The mapping network moves the mean, then the base subspace takes it.
fn base_latents(case: &Case, generator: &mut Generator) -> Result<Tensor> {
    let w = latents::map(generator, case.input("z")?, None)?;
    let base = subspaces(case)?.project(&w, Some(&generator.mean_w()?))?;
    Ok(latents::plain(generator, &base)?)
}

fn mean_after(generator: &Generator, computed: &mut Computed) -> Result<()> {
    computed.out("w_avg_after", generator.mean_w()?);
    Ok(())
}
