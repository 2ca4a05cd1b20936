//! The file of one domain: a container of kind `domain` that knows which generator learnt it.

use std::path::Path;

use candle_core::Device;
use domex_checkpoint::TensorData;
use domex_checkpoint::container::{Container, Overwrite, Writer};
use domex_error::user_error;
use domex_latent::Generator as _;
use domex_latent::basis::{Basis, BasisKind};
use domex_latent::domain_file::DomainFile;
use domex_latent::expansion::Expansion;
use domex_latent::subspace::Layout;
use domex_stylegan2::Model;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::kinds;

/// SHA-256 over names and numbers of a generator, without what its domains add to it.
pub fn fingerprint(model: &Model) -> domex_error::Result<String> {
    let mut hash = Sha256::new();
    for (name, tensor) in model.g_ema.tensors() {
        hash.update(name.as_bytes());
        hash.update(TensorData::from_tensor(&tensor)?.bytes());
    }
    let hash = hash.finalize();
    Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes a domain that this model learnt.
pub fn write(
    domain: &DomainFile,
    model: &Model,
    path: &Path,
    overwrite: Overwrite,
) -> domex_error::Result<()> {
    let mut config = domain.to_json()?;
    config["generator"] = json!(fingerprint(model)?);
    let mut writer = Writer::new(kinds::DOMAIN.name(), &config).provenance(&model.provenance);
    for (name, tensor) in domain.tensors()? {
        writer.tensor(&name, &tensor)?;
    }
    Ok(writer.write(path, overwrite)?)
}

/// A domain, and the fingerprint of the generator that learnt it.
pub fn read(path: &Path, device: &Device) -> domex_error::Result<(DomainFile, String)> {
    kinds::expect(path, &kinds::DOMAIN)?;
    let file = Container::open(path)?;
    file.check_finite()?;
    let config = file.config();
    let tensor = |name: &str| -> domex_error::Result<_> { Ok(file.tensor(name, device)?) };
    let in_file = |error: domex_error::AnyError| user_error(format!("{}: {error}", path.display()));
    let domain = DomainFile::from_json::<domex_error::AnyError>(config, tensor).map_err(in_file)?;
    let generator = config["generator"].as_str().unwrap_or_default().to_owned();
    Ok((domain, generator))
}

/// A place for the domains of a model that has none: its basis and its mean latent.
pub fn unexpanded(model: &Model) -> domex_error::Result<Expansion> {
    let generator = model.generator();
    let basis = Basis::of(generator, &BasisKind::DomainExpansion)?;
    let layout = Layout::new(basis.count());
    let mean = generator.mean()?.to_device(&Device::Cpu)?;
    Ok(Expansion::new(layout, basis, mean)?)
}
