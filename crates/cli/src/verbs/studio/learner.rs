//! Expansions that the page begins: `domex expand`, and in one pass `domex adapt`, in processes of their own.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use domex_data::picture;
use domex_error::{Context as _, user_error};
use domex_studio::learn::State;
use domex_studio::{Given, Learner, Progress, Wanted};
use domex_train::{STOP, events, is_taken, snapshots};
use serde_json::Value as Json;

use super::Studio;
use crate::context::Context;
use crate::paths::text;

/// The model of a run.
const MODEL: &str = "model.safetensors";

/// The most of a log or of events that is read, from the end.
const TAIL: usize = 64 << 10;

/// See the [module docs](self).
pub struct Expansions {
    /// Where to compute.
    compute: Vec<String>,
    /// What of the studio's flags decides what a new domain becomes.
    new: Vec<String>,
    /// The networks of the losses of an expansion.
    networks: Vec<String>,
    /// What expansions begin with: a file or a name. `None`: random weights, which learn nothing.
    model: Mutex<Option<String>>,
    /// Processes that this studio began, by their folders.
    children: Mutex<BTreeMap<PathBuf, Child>>,
}

impl Expansions {
    /// With what these flags say; of no model yet.
    pub fn new(context: &Context, args: &Studio) -> Self {
        let clip = args.clip.iter().map(|clip| format!("--clip={clip}"));
        let perceptual = args.perceptual.iter();
        let perceptual = perceptual.map(|file| format!("--perceptual={}", file.display()));
        let seed = context.given_seed.map(|seed| format!("--seed={seed}"));
        let class = args.class.map(|class| format!("--class={class}"));
        Self {
            compute: context.compute.clone(),
            new: seed.into_iter().chain(class).collect(),
            networks: clip.chain(perceptual).collect(),
            model: Mutex::default(),
            children: Mutex::default(),
        }
    }

    /// From now on expansions begin with this model.
    pub fn expand(&self, model: Option<String>) {
        *self.model.lock().unwrap_or_else(PoisonError::into_inner) = model;
    }

    fn model(&self) -> domex_error::Result<String> {
        let model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        let random = "random weights learn nothing; give the studio a model, or choose one";
        model.clone().ok_or_else(|| user_error(random))
    }

    /// Starts `domex expand` with these flags; what it says goes beside the run's folder.
    fn start(&self, flags: &[String], folder: &Path) -> domex_error::Result<()> {
        let path = log(folder);
        let file = File::create(&path).with_context(|| text(&path))?;
        let mut command = program()?;
        command.arg("expand").args(&self.compute).args(flags);
        command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file);
        // Ctrl-C in the studio's terminal ends the studio alone.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let child = command.spawn().context("domex expand")?;
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        children.insert(folder.to_owned(), child);
        Ok(())
    }

    /// Domains by `domex adapt`, a file each, and the model that has them.
    fn in_one_pass(&self, given: &Given, model: &str, folder: &Path) -> domex_error::Result<()> {
        let model = format!("--model={model}");
        let asked = match given {
            Given::Words(words) => {
                let words = words.iter().map(|words| words.trim());
                words.map(|words| vec![format!("--text={words}")]).collect()
            }
            Given::Picture(picture, name) => {
                let path = folder.join("style.png");
                picture::write_png(&path, picture)?;
                vec![vec![
                    format!("--image={}", path.display()),
                    format!("--name={name}"),
                ]]
            }
        };
        let mut files = Vec::new();
        for (number, flags) in asked.iter().enumerate() {
            let file = folder.join(format!("domain{number}.safetensors"));
            let out = format!("--out={}", file.display());
            let mut command = program()?;
            command.arg("adapt").args(&self.compute).args(&self.new);
            called(command.args(flags).args([&model, &out]))?;
            files.push(file);
        }
        let out = format!("--out={}", folder.join(MODEL).display());
        let mut command = program()?;
        command.args(["domains", "add"]).args(&self.compute);
        called(command.args(&files).args([&model, &out]))
    }

    fn is_running(&self, folder: &Path) -> bool {
        let mut children = self.children.lock().unwrap_or_else(PoisonError::into_inner);
        match children.get_mut(folder) {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            // Begun by another studio, or in a terminal.
            None => is_taken(folder),
        }
    }
}

impl Learner for Expansions {
    fn begin(&self, wanted: &Wanted, folder: &Path) -> domex_error::Result<()> {
        let model = self.model()?;
        fs::create_dir_all(folder).with_context(|| text(folder))?;
        let domains = wanted
            .domains
            .iter()
            .map(|words| format!("--domain={}", words.trim()));
        let own = self.networks.iter().chain(&self.new).cloned();
        let mut flags: Vec<String> = own.chain(domains).collect();
        flags.push(format!("--model={model}"));
        flags.push(format!("--steps={}", wanted.steps));
        flags.push(format!("--out={}", folder.display()));
        self.start(&flags, folder)
    }

    fn resume(&self, folder: &Path) -> domex_error::Result<()> {
        if self.is_running(folder) {
            return Err(user_error("it is learning already"));
        }
        self.start(&[format!("--resume={}", folder.display())], folder)
    }

    fn stop(&self, folder: &Path) -> domex_error::Result<()> {
        match self.is_running(folder) {
            true => fs::write(folder.join(STOP), "").with_context(|| text(folder)),
            false => Ok(()),
        }
    }

    fn adapt(&self, given: &Given, folder: &Path) -> domex_error::Result<()> {
        let model = self.model()?;
        fs::create_dir_all(folder).with_context(|| text(folder))?;
        let made = self.in_one_pass(given, &model, folder);
        if made.is_err() {
            // What failed is told, and nothing of it is worth keeping.
            let _ = fs::remove_dir_all(folder);
        }
        made
    }

    fn progress(&self, folder: &Path) -> Progress {
        let settings = read(&folder.join("run.json"));
        let number = |name: &str| settings[name].as_u64().unwrap_or(0);
        let steps = number("images") / number("batch").max(1);
        let last = tail(&folder.join(events::JSONL));
        let last: Json =
            serde_json::from_str(last.lines().last().unwrap_or_default()).unwrap_or_default();
        let saved = snapshots::newest_step(folder);
        let told = last["step"].as_u64();
        let is_running = self.is_running(folder);
        let model = folder.join(MODEL);
        let state = match saved {
            _ if is_running => State::Running,
            Some(saved) if saved >= steps && model.is_file() => State::Done,
            Some(_) => State::Stopped,
            // In one pass, without a run.
            None if settings.is_null() && model.is_file() => State::Done,
            None => State::Failed,
        };
        let step = match state {
            State::Running => told.max(saved),
            _ => saved,
        };
        let speed = last["images_per_second"]
            .as_f64()
            .filter(|speed| *speed > 0.0);
        let images = last["images"].as_u64().unwrap_or(0);
        let left = number("images").saturating_sub(images) as f64;
        let losses = last
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| {
                Some((name.strip_prefix("domain/")?.to_owned(), value.as_f64()?))
            });
        Progress {
            state,
            step: step.unwrap_or(0),
            steps,
            seconds_left: speed.filter(|_| is_running).map(|speed| left / speed),
            losses: losses.collect(),
            picture: newest_picture(folder).map(|(step, _)| step),
            told: match state {
                State::Failed => tail(&log(folder)).lines().last().map(str::to_owned),
                // Where nobody stopped it: what ended it, such as a disk that is full.
                State::Stopped => {
                    let text = tail(&log(folder));
                    let last = text
                        .lines()
                        .last()
                        .filter(|line| line.starts_with("domex: "));
                    last.map(str::to_owned)
                }
                State::Done | State::Running => None,
            },
        }
    }

    fn model(&self, folder: &Path) -> Option<PathBuf> {
        let is_done = self.progress(folder).state == State::Done;
        is_done.then(|| folder.join(MODEL))
    }

    fn picture(&self, folder: &Path) -> Option<Vec<u8>> {
        let (_, newest) = newest_picture(folder)?;
        fs::read(newest).ok()
    }
}

/// This program, to be called again.
fn program() -> domex_error::Result<Command> {
    let program = std::env::current_exe().context("this program's own file")?;
    Ok(Command::new(program))
}

/// Waits for a call; what it says when it fails is the error.
fn called(command: &mut Command) -> domex_error::Result<()> {
    let output = command.stdin(Stdio::null()).output().context("domex")?;
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    let last = told.trim_end().lines().last().unwrap_or("it was ended");
    Err(user_error(last.trim_start_matches("domex: ").to_owned()))
}

/// The newest grid of a run and its step; that before the first step is of step 0.
fn newest_picture(folder: &Path) -> Option<(u64, PathBuf)> {
    let entries = fs::read_dir(folder).ok()?.flatten();
    let grid = |entry: fs::DirEntry| {
        let name = entry.file_name().into_string().ok()?;
        let step = match name.strip_prefix("aligned")?.strip_suffix(".png")? {
            "_init" => 0,
            step => step.parse().ok()?,
        };
        Some((step, entry.path()))
    };
    entries.filter_map(grid).max()
}

/// Beside the folder, which must be empty when a run begins.
fn log(folder: &Path) -> PathBuf {
    folder.with_extension("log")
}

fn read(path: &Path) -> Json {
    let text = fs::read_to_string(path).unwrap_or_default();
    serde_json::from_str(&text).unwrap_or_default()
}

/// The end of a file that grows.
fn tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let start = bytes.len().saturating_sub(TAIL);
    String::from_utf8_lossy(&bytes[start..])
        .trim_end()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_that_ended_by_itself_says_why_and_one_that_was_stopped_nothing() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("elf");
        fs::create_dir_all(folder.join("snapshots")).unwrap();
        fs::write(folder.join("run.json"), r#"{"images":8,"batch":2}"#).unwrap();
        let snapshot = folder.join("snapshots/step-000000002.safetensors");
        fs::write(snapshot, "").unwrap();
        let expansions = Expansions {
            compute: Vec::new(),
            new: Vec::new(),
            networks: Vec::new(),
            model: Mutex::default(),
            children: Mutex::default(),
        };
        for (text, told) in [
            ("tick 1\nstopped after 2 steps\n", None),
            (
                "tick 1\ndomex: No space left\n",
                Some("domex: No space left"),
            ),
        ] {
            fs::write(log(&folder), text).unwrap();
            let progress = expansions.progress(&folder);
            assert_eq!(progress.state, State::Stopped);
            assert_eq!(progress.told.as_deref(), told);
        }
    }
}
