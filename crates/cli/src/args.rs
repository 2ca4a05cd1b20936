//! Flags that several verbs share, with their help. A verb's own flags stand in its module.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use clap::{Args, ValueEnum};
use domex_checkpoint::container::Overwrite;
use domex_data::folder::{OutputFolder, prepare_file};
use domex_error::user_error;

/// Flags that every verb takes, before or after it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Where to compute: cpu, cuda or cuda:N
    #[arg(long, global = true, default_value = "cpu", value_name = "DEVICE")]
    pub device: String,
    /// Let a GPU round the factors of float32 products to eleven bits (TF32), which its tensor cores multiply several times as fast
    #[arg(long, global = true)]
    pub allow_tf32: bool,
    /// Convolve on a GPU by this program's own kernels, even where cuDNN is
    #[arg(long, global = true)]
    pub no_cudnn: bool,
    /// Threads to use [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    pub threads: Option<u16>,
    /// Random seed of everything but the latents of --seeds [default: 0]
    #[arg(long, global = true, value_name = "N")]
    pub seed: Option<u64>,
    /// Print nothing but results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Log more on stderr; -vv logs everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// Format of log lines on stderr
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// Print the result as one JSON object on stdout
    #[arg(long, global = true)]
    pub json: bool,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Which model.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// A checkpoint (domex or plain safetensors, stylegan2-ada-pytorch or Domain Expansion .pkl,
    /// rosinality .pt, TensorFlow .pkl, stylegan3 .pkl, Diffusion Autoencoder .ckpt) or a fetched model's name
    /// [default: $DOMEX_MODEL, else portraits, the shipped generator]
    #[arg(short, long, visible_alias = "network", value_name = "FILE|NAME")]
    pub model: Option<String>,
    /// No model, but a small network with random weights, to try the program with
    #[arg(long, conflicts_with = "model")]
    pub random: bool,
}

impl ModelArgs {
    /// What is wanted, with what said so; nothing with `--random`, and for the shipped generator where nothing is said.
    pub fn wanted(&self) -> Option<(&'static str, &str)> {
        match self.random {
            true => None,
            false => wanted_model(self.model.as_deref()),
        }
    }
}

/// The model of a verb that cannot do without one, and what names it: the flag, else the variable `DOMEX_MODEL` where that is not
/// empty. A run that is resumed has its own, so nobody asks.
pub fn wanted_model(flag: Option<&str>) -> Option<(&'static str, &str)> {
    const VARIABLE: &str = "DOMEX_MODEL";
    static VALUE: LazyLock<Option<String>> = LazyLock::new(|| {
        let value = std::env::var_os(VARIABLE).filter(|value| !value.is_empty())?;
        Some(value.to_string_lossy().into_owned())
    });
    let variable = || VALUE.as_deref().map(|value| (VARIABLE, value));
    flag.map(|flag| ("--model", flag)).or_else(variable)
}

/// Which diffusion autoencoder.
#[derive(Debug, Args)]
pub struct AutoencoderArgs {
    /// A diffusion autoencoder: a published .ckpt, domex's own file, or a fetched model's name [default: $DOMEX_MODEL, else
    /// diffae, the shipped one]
    #[arg(short, long, visible_alias = "network", value_name = "FILE|NAME")]
    pub model: Option<String>,
}

/// Where results go.
#[derive(Debug, Args)]
pub struct OutArgs {
    /// Folder for the results, created if absent; verbs that make a grid also take the name of a PNG file, for the grid
    /// alone [default: out; where that is taken, out-2, out-3, ...]
    #[arg(short, long, visible_alias = "outdir", value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Overwrite files that are already there
    #[arg(long)]
    pub force: bool,
}

impl OutArgs {
    /// The folder to write to.
    pub fn folder(&self) -> domex_error::Result<OutputFolder> {
        let Some(out) = &self.out else {
            return free_folder(self.force);
        };
        if ending(out).is_some() {
            return Err(user_error(format!(
                "--out {}: this verb writes several files; give a folder",
                out.display()
            )));
        }
        Ok(OutputFolder::create(out, self.force)?)
    }

    /// The one picture to write to, if `--out` names one, with its folder.
    pub fn picture(&self) -> domex_error::Result<Option<(PathBuf, OutputFolder)>> {
        let Some(out) = &self.out else {
            return Ok(None);
        };
        match ending(out).as_deref() {
            None => Ok(None),
            Some("png") => {
                let folder = prepare_file(out, self.force)?;
                Ok(Some((out.clone(), folder)))
            }
            Some(other) => Err(user_error(format!(
                "--out {}: pictures are written as PNG, not {}; give a name that ends in .png, or a folder",
                out.display(),
                other.to_uppercase()
            ))),
        }
    }
}

/// What `--force` means for a file that is already there.
pub fn overwrite(force: bool) -> Overwrite {
    match force {
        true => Overwrite::Replace,
        false => Overwrite::Refuse,
    }
}

/// The ending of a path that is no folder and ends as pictures do, in small letters.
pub fn ending(path: &Path) -> Option<String> {
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    let is_picture = image::ImageFormat::from_extension(&ending).is_some();
    (is_picture && !path.is_dir()).then_some(ending)
}

/// `out`, or the first of `out-2`, `out-3`, ... that is not taken.
fn free_folder(force: bool) -> domex_error::Result<OutputFolder> {
    const NAME: &str = "out";
    let mut name = PathBuf::from(NAME);
    let mut number = 1;
    while !force && is_taken(&name) {
        number += 1;
        name = PathBuf::from(format!("{NAME}-{number}"));
    }
    Ok(OutputFolder::create(name, force)?)
}

/// Whether something is there that is no empty folder.
fn is_taken(path: &Path) -> bool {
    match path.read_dir() {
        Ok(mut entries) => entries.next().is_some(),
        Err(_) => path.exists(),
    }
}

/// How a latent becomes a picture.
#[derive(Debug, Args)]
pub struct SynthesisArgs {
    /// Truncation psi: 1 leaves latents as they are, 0 gives the mean picture
    #[arg(long, visible_aliases = ["psi", "truncation-psi"], value_name = "PSI", default_value_t = 1.0, allow_negative_numbers = true)]
    pub trunc: f64,
    /// Truncate only the first N rows of the latent [default: all]
    #[arg(
        long,
        visible_alias = "truncation-cutoff",
        value_name = "N",
        requires = "trunc"
    )]
    pub trunc_cutoff: Option<usize>,
    /// Class label of a class-conditional generator
    #[arg(long = "class", value_name = "N")]
    pub class: Option<usize>,
    /// Per-pixel noise: the stored maps, fresh maps, or none
    #[arg(long, value_enum, default_value_t = Noise::Const)]
    pub noise_mode: Noise,
    /// Number type of the resolutions that the model's file marks for float16: auto is float32 on the CPU, where float16
    /// is no faster, and float16 on a GPU, as published
    #[arg(long, value_enum, default_value_t = Precision::Auto)]
    pub precision: Precision,
    /// Sampling steps of a diffusion autoencoder [default: 20]
    #[arg(long, value_name = "N")]
    pub sampling_steps: Option<usize>,
    /// Batch size: pictures computed at once
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
}

/// Per-pixel noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Noise {
    /// The maps stored in the checkpoint.
    Const,
    /// Fresh maps, drawn from --seed.
    Random,
    /// No noise.
    None,
}

/// Number type of the resolutions that a model's file marks for float16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Precision {
    /// Float32 on the CPU, float16 on a GPU.
    Auto,
    /// Float32 everywhere.
    Float32,
    /// Float16 on the CPU too: nearest to what published programs make on a GPU.
    Float16,
}
