//! Every verb and flag, with the help that people read.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::seeds::List;

/// Teaches a trained image generator new domains without forgetting anything.
#[derive(Debug, Parser)]
#[command(
    name = "domex",
    version,
    max_term_width = 100,
    after_help = "Examples:\n  domex info --model ffhq.pkl\n  domex generate --model ffhq.pkl --seeds 0-15 --trunc 0.7 --out pictures\n  domex expand --domain \"pencil sketch\" --domain zombie --out run\n  domex compose --model run/model.safetensors --set zombie=1,\"pencil sketch\"=0.5\n  domex dormant --model ffhq.pkl --out dormant\n\nExit codes: 0 done, 1 our fault, 2 yours to mend, 130 or 143 interrupted (a training has saved its state)."
)]
pub struct Cli {
    /// Flags that every verb takes.
    #[command(flatten)]
    pub common: Common,
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Flags that every verb takes, before or after it.
#[derive(Debug, Args)]
#[command(next_help_heading = "Common options")]
pub struct Common {
    /// Where to compute: cpu, cuda or cuda:N
    #[arg(long, global = true, default_value = "cpu", value_name = "DEVICE")]
    pub device: String,
    /// Threads to use [default: all cores]
    #[arg(long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub threads: Option<u16>,
    /// Seed of everything random that is not a latent's own seed [default: 0]
    #[arg(long, global = true, value_name = "N")]
    pub seed: Option<u64>,
    /// Print nothing but results and errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// Say more on stderr; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// How log lines look on stderr
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

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show what a checkpoint holds
    Info(Info),
    /// Make pictures from seeds
    Generate(Generate),
    /// Walk along a latent direction: a grid and an animation
    Traverse(Traverse),
    /// Mix the styles of two sets of seeds in a grid
    Mix(Mix),
    /// Show which latent directions the generator leaves unused
    Dormant(Dormant),
    /// Make a data set, such as portraits with known factors
    Data(crate::verbs::data::Data),
    /// Train a StyleGAN2 from pictures
    Train(Box<crate::verbs::train::Train>),
    /// Teach a generator new domains, in words
    Expand(Box<crate::verbs::expand::Expand>),
    /// Put several domains of an expanded model into one picture
    Compose(crate::verbs::compose::Compose),
    /// Measure what an expanded model learnt and what it kept
    Eval(crate::verbs::eval::Eval),
    /// Print a completion script for a shell
    Completions(Completions),
}

/// Which model.
#[derive(Debug, Args)]
pub struct ModelArgs {
    /// A checkpoint (domex or plain safetensors, stylegan2-ada-pytorch or Domain Expansion .pkl,
    /// rosinality .pt, TensorFlow .pkl) or a fetched model's name
    /// [default: portraits, the shipped generator; where it is missing tiny-random, random weights]
    #[arg(short, long, value_name = "FILE|NAME", env = "DOMEX_MODEL")]
    pub model: Option<String>,
}

/// Where results go.
#[derive(Debug, Args)]
pub struct OutArgs {
    /// Folder for the results, made if absent
    #[arg(
        short,
        long,
        visible_alias = "outdir",
        value_name = "DIR",
        default_value = "out"
    )]
    pub out: PathBuf,
    /// Overwrite files that are already there
    #[arg(long)]
    pub force: bool,
}

/// How a latent becomes a picture.
#[derive(Debug, Args)]
pub struct SynthesisArgs {
    /// Truncation psi: 1 leaves latents as they are, 0 gives the mean picture
    #[arg(long, visible_aliases = ["psi", "truncation-psi"], value_name = "PSI", default_value_t = 1.0, allow_negative_numbers = true)]
    pub trunc: f64,
    /// Truncate only the first N rows of the latent [default: all]
    #[arg(long, visible_alias = "truncation-cutoff", value_name = "N")]
    pub trunc_cutoff: Option<usize>,
    /// Class label of a class-conditional generator
    #[arg(long = "class", value_name = "N")]
    pub class: Option<usize>,
    /// Per-pixel noise: the stored maps, fresh maps, or none
    #[arg(long, value_enum, default_value_t = Noise::Const)]
    pub noise_mode: Noise,
    /// Pictures computed at once
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
    /// None at all.
    None,
}

/// `domex info`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex info --model ffhq.pkl\n  domex info --model expanded.safetensors --json\n  domex info --model ffhq.pkl --tensors"
)]
pub struct Info {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// List every tensor with its shape
    #[arg(long)]
    pub tensors: bool,
}

/// `domex generate`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex generate --seeds 0-15\n  domex generate --model ffhq.pkl --seeds 85,265,297 --trunc 0.7 --out pictures\n  domex generate --model expanded.safetensors --domains all --seeds 0-7\n\nA seed means the same latent as in NVlabs' generate.py, so it gives the same picture."
)]
pub struct Generate {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// How a latent becomes a picture.
    #[command(flatten)]
    pub synthesis: SynthesisArgs,
    /// Seeds, such as 0,3,10-19
    #[arg(long, value_name = "LIST", default_value = "0-15")]
    pub seeds: List,
    /// Domains of an expanded model, by name, or "all": the same seeds on the base subspace and in each
    #[arg(long, value_name = "NAMES|all")]
    pub domains: Option<String>,
    /// Write the single pictures only, no grid.png
    #[arg(long)]
    pub no_grid: bool,
}

/// `domex traverse`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex traverse --model ffhq.pkl --dim 0 --distance 5\n  domex traverse --model ffhq.pkl --dim 511 --seeds 0-3\n  domex traverse --model expanded.safetensors --domain sketch\n  domex traverse --model ffhq.pkl --direction smile.safetensors --distance 3\n\nWithout a direction the most dormant free dimension is shown."
)]
pub struct Traverse {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// How a latent becomes a picture.
    #[command(flatten)]
    pub synthesis: SynthesisArgs,
    /// Seeds, one a row
    #[arg(long, value_name = "LIST", default_value = "0-3")]
    pub seeds: List,
    /// A direction of the latent basis, 0 the strongest
    #[arg(long, value_name = "K", conflicts_with_all = ["domain", "direction"])]
    pub dim: Option<usize>,
    /// A domain of an expanded model: from the base subspace (0) to the domain (1 × its distance)
    #[arg(long, value_name = "NAME", conflicts_with = "direction")]
    pub domain: Option<String>,
    /// A safetensors file with one vector of the latent's size
    #[arg(long, value_name = "FILE")]
    pub direction: Option<PathBuf>,
    /// How far to go [default: 20, or the domain's own distance]
    #[arg(long, value_name = "S")]
    pub distance: Option<f64>,
    /// Pictures along the way
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u16).range(2..))]
    pub steps: u16,
    /// Frames of the animation
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(2..=600))]
    pub frames: u16,
}

/// `domex mix`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex mix --rows 85,100,75 --cols 55,821,1789 --styles 0-3\n\nThe picture in a row and a column takes the column's styles in the layers of --styles and the\nrow's elsewhere."
)]
pub struct Mix {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// How a latent becomes a picture.
    #[command(flatten)]
    pub synthesis: SynthesisArgs,
    /// Seeds of the rows
    #[arg(long, value_name = "LIST", default_value = "0-3")]
    pub rows: List,
    /// Seeds of the columns
    #[arg(long, value_name = "LIST", default_value = "4-7")]
    pub cols: List,
    /// Layers that take the column's style [default: 0-6, as far as the network has them]
    #[arg(long, value_name = "LIST")]
    pub styles: Option<List>,
}

/// `domex dormant`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex dormant --model ffhq.pkl --out dormant\n  domex dormant --model ffhq.pkl --probe all --samples 16\n  domex dormant --model ffhq.pkl --random 256\n\nWrites dormant.json, spectrum.png and spectrum.svg."
)]
pub struct Dormant {
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
    /// Where results go.
    #[command(flatten)]
    pub out: OutArgs,
    /// Which factorisation gives the basis
    #[arg(long, value_enum, default_value_t = BasisChoice::DomainExpansion)]
    pub basis: BasisChoice,
    /// Directions to probe: all, none, or a number spread evenly over the spectrum
    #[arg(long, value_name = "all|none|N", default_value = "64")]
    pub probe: ProbeCount,
    /// How far to move along each direction, both ways
    #[arg(long, value_name = "S", default_value_t = 20.0)]
    pub distance: f64,
    /// Samples that are moved
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u16).range(1..))]
    pub samples: u16,
    /// Pixel effect up to which a direction is called dormant: root mean square change of
    /// pictures in [-1, 1]
    #[arg(long, value_name = "E", default_value_t = 0.02)]
    pub threshold: f64,
    /// Instead of a basis, draw N random unit directions and keep the dormant ones
    #[arg(long, value_name = "N")]
    pub random: Option<usize>,
    /// With --random: keep a direction whose pictures stay at least this similar (cosine)
    #[arg(long, value_name = "C", default_value_t = 0.95, requires = "random")]
    pub cosine: f64,
    /// Pictures computed at once
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..))]
    pub batch: u16,
}

/// Which factorisation gives the basis.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BasisChoice {
    /// The checkpoint's own basis if it has one, else as the Domain Expansion code computes it.
    DomainExpansion,
    /// As genforce's SeFA code computes it: rows of unit length.
    Genforce,
}

/// How many directions to probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeCount {
    /// Every direction.
    All,
    /// None: the spectrum alone.
    None,
    /// So many, spread evenly.
    Some(usize),
}

impl std::str::FromStr for ProbeCount {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "all" => Ok(Self::All),
            "none" | "0" => Ok(Self::None),
            _ => text
                .parse()
                .map(Self::Some)
                .map_err(|_| format!("'{text}' is not all, none or a number")),
        }
    }
}

/// `domex completions`
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  domex completions bash > ~/.local/share/bash-completion/completions/domex"
)]
pub struct Completions {
    /// The shell
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_table_of_flags_is_consistent() {
        Cli::command().debug_assert();
    }
}
