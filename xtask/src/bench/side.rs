//! The two processes that are measured in turns, and how to reach the peer's.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use domex_error::{Context, Result, bail};

use super::{
    rows::Work,
    worker::{Answer, Order},
};
use domex_error::user_error;

/// How to get the peer, said whenever it is missing.
const HOW: &str = "make an environment with `python3 -m venv DIR` and `DIR/bin/pip install torch`, then pass `--python DIR/bin/python` or set DOMEX_PEER_PYTHON";

/// A program that can be started for a row.
#[derive(Debug, Clone)]
pub struct Program {
    path: PathBuf,
    args: Vec<String>,
    threads: usize,
}

impl Program {
    /// This program.
    pub fn ours(threads: usize) -> Result<Self> {
        Ok(Self {
            path: std::env::current_exe().context("finding this program")?,
            args: vec!["bench".into(), "--worker".into()],
            threads,
        })
    }

    /// The peer, with its version.
    pub fn peer(python: &Path, threads: usize) -> Result<(Self, String)> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../bench/peer/serve.py");
        let version = Command::new(python)
            .args(["-c", "import torch; print(torch.__version__)"])
            .output()
            .map_err(|e| {
                user_error(format!(
                    "--python {}: cannot be started ({e}); {HOW}",
                    python.display()
                ))
            })?;
        if !version.status.success() {
            return Err(user_error(format!(
                "--python {}: it has no PyTorch; {HOW}",
                python.display()
            )));
        }
        let version = String::from_utf8_lossy(&version.stdout).trim().to_owned();
        let program = Self {
            path: python.to_owned(),
            args: vec!["-u".into(), script.to_string_lossy().into_owned()],
            threads,
        };
        Ok((program, version))
    }

    /// Starts it on a row.
    pub fn start(&self, work: &Work) -> Result<Side> {
        let threads = self.threads.to_string();
        let mut child = Command::new(&self.path)
            .args(&self.args)
            .env("RAYON_NUM_THREADS", &threads)
            .env("OMP_NUM_THREADS", &threads)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}", self.path.display()))?;
        let (Some(to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("{} was started without pipes", self.path.display());
        };
        let mut side = Side {
            name: self.path.display().to_string(),
            child,
            to: Some(to),
            from: BufReader::new(from),
        };
        side.tell(&serde_json::to_string(work)?)?;
        Ok(side)
    }
}

/// A process at work on a row.
#[derive(Debug)]
pub struct Side {
    name: String,
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Side {
    /// Has the work done `runs` times.
    pub fn run(&mut self, runs: usize) -> Result<Answer> {
        self.tell(&serde_json::to_string(&Order { runs })?)?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        if line.is_empty() {
            bail!("{} ended before it answered", self.name);
        }
        serde_json::from_str(&line)
            .with_context(|| format!("{} answered {:?}", self.name, line.trim()))
    }

    fn tell(&mut self, line: &str) -> Result<()> {
        let Some(to) = &mut self.to else {
            bail!("{} has been told to end", self.name);
        };
        writeln!(to, "{line}").with_context(|| format!("{} no longer listens", self.name))?;
        Ok(to.flush()?)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        // The end of its input ends it; waiting keeps its last work out of the next row's time.
        self.to = None;
        let _ = self.child.wait();
    }
}
