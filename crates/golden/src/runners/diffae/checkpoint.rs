//! A checkpoint of the published training code: its contents, and what its networks make.
//!
//! The case holds no weights: it lies beside the checkpoint, whose name it has with `_expected` behind.

use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use domex_checkpoint::foreign;
use domex_diffae::Model;

use super::timesteps;
use crate::{Case, Result, computed::Computed, runners::vectors};

pub(crate) fn run(case: &Case, file: Option<&Path>) -> Result<Computed> {
    let mut computed = Computed::default();
    let path = match file {
        Some(path) => path.to_owned(),
        None => beside(case)?,
    };
    contents(case, &path, &mut computed)?;
    let model = Model::load(&path, case.device())?;
    let t = timesteps(case, "t")?;
    let z = case.input("z")?;
    let networks = &model.networks;
    let cond = networks.encoder.forward(case.input("img")?)?;
    computed.out(
        "ema.pred",
        networks.unet.forward(case.input("x")?, &t, &cond)?,
    );
    computed.out("ema.cond", cond);
    computed.out("ema.latent_pred", networks.latent_net()?.forward(z, &t)?);
    Ok(computed)
}

fn beside(case: &Case) -> Result<PathBuf> {
    let stem = case.stem.trim_end_matches("_expected");
    let candidates = ["ckpt", "pt", "pth"].map(|e| case.path.with_file_name(format!("{stem}.{e}")));
    let found = candidates.into_iter().find(|path| path.is_file());
    found.ok_or_else(|| case.malformed(format!("there is no checkpoint {stem}.ckpt beside it")))
}

/// Sums, largest magnitudes and sizes of all tensors in the order of the config, and some tensors whole.
fn contents(case: &Case, path: &Path, computed: &mut Computed) -> Result<()> {
    let file = foreign::read(path)?;
    let tensors = foreign::state_dict(file.get("state_dict")?)?;
    let keys = case
        .setting("/state_dict_keys")
        .and_then(|keys| keys.as_array());
    let (mut sums, mut largest, mut sizes) = (Vec::new(), Vec::new(), Vec::new());
    for key in keys.into_iter().flatten() {
        let data = key.as_str().and_then(|key| tensors.get(key));
        let data = data.ok_or_else(|| case.malformed(format!("the checkpoint has no {key}")))?;
        let values = data.to_f64_vec();
        sums.push(values.iter().sum());
        largest.push(values.iter().fold(0f64, |most, v| most.max(v.abs())));
        sizes.push(values.len() as f64);
    }
    for (name, values) in [("sum", sums), ("absmax", largest), ("numel", sizes)] {
        computed.out(name, vectors::row(&values, DType::F64, &Device::Cpu)?);
    }
    let wanted = case.with_prefix("out.tensor.");
    let names: Vec<String> = wanted.map(|(name, _)| name.to_owned()).collect();
    for name in names {
        if let Some(data) = tensors.get(&name) {
            let tensor: Tensor = data.to_tensor(&Device::Cpu)?;
            computed.out(format_args!("tensor.{name}"), tensor);
        }
    }
    Ok(())
}
