//! What every verb needs before it starts: device, logging.

use std::io::IsTerminal as _;

use candle_core::Device;
use domex_error::user_error;
use domex_train::Team;
use domex_train::progress::Show;
use tracing_subscriber::EnvFilter;

use crate::args::{Common, LogFormat};
use crate::progress::Progress;
use crate::stdout;

/// Prepared once from the common flags.
pub struct Context {
    /// Where to compute.
    pub device: Device,
    /// Seed of everything random that is not a latent's own seed.
    pub seed: u64,
    /// The same, if it was given.
    pub given_seed: Option<u64>,
    /// Result as JSON on stdout.
    pub json: bool,
    /// The processes that share this one's work.
    pub team: Team,
    /// The flags that say where to compute, for processes that this one begins.
    pub compute: Vec<String>,
    show: Show,
}

impl Context {
    /// Checks the flags, starts logging, and opens the device.
    pub fn new(common: &Common, team: Team) -> domex_error::Result<Self> {
        start_logging(common);
        let device = open_device(&common.device)?;
        if common.allow_tf32 && device.is_cpu() {
            return Err(user_error(
                "--allow-tf32 is for GPUs: the CPU has no such numbers; leave it out, or add --device cuda",
            ));
        }
        if common.no_cudnn && device.is_cpu() {
            return Err(user_error(
                "--no-cudnn is for GPUs: the CPU has no cuDNN; leave it out, or add --device cuda",
            ));
        }
        domex_ops::allow_tf32(common.allow_tf32);
        domex_ops::allow_cudnn(!common.no_cudnn);
        Ok(Self {
            device,
            seed: common.seed.unwrap_or(0),
            given_seed: common.seed,
            json: common.json,
            team,
            compute: std::iter::once(format!("--device={}", common.device))
                .chain(common.allow_tf32.then(|| "--allow-tf32".to_owned()))
                .chain(common.no_cudnn.then(|| "--no-cudnn".to_owned()))
                .chain(common.threads.map(|threads| format!("--threads={threads}")))
                .collect(),
            show: match (common.quiet, common.log_format) {
                (true, _) => Show::Nothing,
                (false, LogFormat::Json) => Show::Json,
                (false, LogFormat::Text) => Show::Text,
            },
        })
    }

    /// How a run reports its progress on stderr.
    pub fn show(&self) -> Show {
        self.show
    }

    /// A progress bar over `total` steps.
    pub fn progress(&self, what: &'static str, total: usize) -> Progress {
        Progress::new(what, total, self.has_bars())
    }

    /// Whether progress bars may be drawn on stderr: lines for programs stand there alone.
    pub fn has_bars(&self) -> bool {
        self.show == Show::Text
    }

    /// Prints where a result is, unless the result itself goes to stdout or --quiet was given.
    pub fn say(&self, line: &str) {
        if !self.json && self.show != Show::Nothing {
            stdout::line(line);
        }
    }

    /// Prints a verb's result as JSON when --json was given.
    pub fn result(&self, value: &serde_json::Value) {
        if self.json {
            stdout::line(&value.to_string());
        }
    }
}

fn start_logging(common: &Common) {
    let level = match (common.quiet, common.verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "info",
        (false, _) => "debug",
    };
    let filter = EnvFilter::try_from_env("DOMEX_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(|| domex_train::stderr::Stderr);
    // A second initialisation can only come from a test harness: the first one stands.
    let _ = match common.log_format {
        LogFormat::Text => builder.with_target(false).try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}

fn open_device(name: &str) -> domex_error::Result<Device> {
    let allowed = "allowed: cpu, cuda, cuda:N";
    let index = match name {
        "cpu" => return Ok(Device::Cpu),
        "cuda" => 0,
        other => other
            .strip_prefix("cuda:")
            .and_then(|index| index.parse().ok())
            .ok_or_else(|| user_error(format!("--device {other}: no such device; {allowed}")))?,
    };
    open_cuda(index).map_err(|why| user_error(format!("--device {name}: {why}")))
}

/// Checks what a device needs before candle opens it: candle's loader panics where a library is missing.
#[cfg(feature = "cuda")]
fn open_cuda(index: usize) -> Result<Device, String> {
    let card = domex_cuda::compile::open(index).map_err(|error| error.to_string())?;
    tracing::info!(?card, "found a CUDA device");
    domex_ops::device::cuda(index).map_err(|error| error.to_string())
}

/// What is wrong with every GPU.
#[cfg(not(feature = "cuda"))]
const NO_CUDA: &str = "this build has no CUDA support; `cargo xtask cuda build` makes one that has";

#[cfg(not(feature = "cuda"))]
fn open_cuda(_: usize) -> Result<Device, String> {
    Err(format!("{NO_CUDA}; or use --device cpu"))
}

/// A GPU, for people.
pub struct Gpu {
    /// What it is.
    pub name: String,
    /// The version of cuDNN, or why there is none.
    pub cudnn: Result<String, String>,
}

/// The first GPU, or why none can be used. Nothing is opened on it.
#[cfg(feature = "cuda")]
pub fn gpu() -> Result<Gpu, String> {
    let card = domex_cuda::device::find(0).map_err(|error| error.to_string())?;
    let (major, minor) = card.capability;
    let name = format!(
        "{}, {:.0} GiB, compute capability {major}.{minor}, driver for CUDA {}",
        card.name,
        card.memory as f64 / f64::from(1 << 30),
        card.driver_version()
    );
    let cudnn = domex_cuda::cudnn::Cudnn::shared();
    Ok(Gpu {
        name,
        cudnn: cudnn
            .map(domex_cuda::cudnn::Cudnn::version)
            .map_err(|error| error.to_string()),
    })
}

/// The first GPU, or why none can be used.
#[cfg(not(feature = "cuda"))]
pub fn gpu() -> Result<Gpu, String> {
    Err(NO_CUDA.to_owned())
}
