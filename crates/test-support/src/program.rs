//! The program as its users meet it: in a folder, with small networks in place of those that ship.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use domex_checkpoint::container::Container;
use domex_train::snapshots::latest;
use serde_json::Value as Json;
use tempfile::TempDir;

use crate::networks;

/// The folder that the program runs in.
pub struct World {
    root: PathBuf,
    program: PathBuf,
    /// Removes the folder, unless it is one that outlives the test.
    _temporary: Option<TempDir>,
}

impl World {
    /// An empty folder: no networks are shipped.
    pub fn empty(program: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            root: folder.path().to_owned(),
            program: program.into(),
            _temporary: Some(folder),
        }
    }

    /// With small networks in `shipped`.
    pub fn new(program: &str) -> Self {
        let world = Self::empty(program);
        networks::world(&world.path("shipped"));
        world
    }

    /// One for all tests of a file, as what `prepare` makes in it is expensive. It is the folder `name` in `folder`, made
    /// anew by each run of the tests; each test writes under names of its own.
    pub fn shared<'a>(
        cell: &'a OnceLock<Self>,
        program: &str,
        folder: &str,
        name: &str,
        prepare: impl FnOnce(&Self),
    ) -> &'a Self {
        cell.get_or_init(|| {
            let root = Path::new(folder).join(name);
            if root.exists() {
                std::fs::remove_dir_all(&root).unwrap();
            }
            std::fs::create_dir_all(&root).unwrap();
            let world = Self {
                root,
                program: program.into(),
                _temporary: None,
            };
            networks::world(&world.path("shipped"));
            prepare(&world);
            world
        })
    }

    /// A file or folder in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    /// Reads a file.
    #[track_caller]
    pub fn read(&self, name: &str) -> Vec<u8> {
        let path = self.path(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Reads a text.
    #[track_caller]
    pub fn text(&self, name: &str) -> String {
        String::from_utf8(self.read(name)).unwrap()
    }

    /// Reads a JSON document.
    #[track_caller]
    pub fn document(&self, name: &str) -> Json {
        serde_json::from_slice(&self.read(name)).unwrap()
    }

    /// Copies a folder with all that is in it.
    pub fn copy(&self, from: &str, to: &str) {
        copy_folder(&self.path(from), &self.path(to)).unwrap();
    }

    /// Whether there is something of this name.
    pub fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// The program with these arguments, not yet started. What stands in quotes is one argument.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(words(line)).current_dir(&self.root);
        command
            .env_remove("DOMEX_MODEL")
            .env("DOMEX_ASSETS", self.path("shipped"))
            .env("DOMEX_CACHE", self.path("cache"));
        command
    }

    /// Runs it.
    pub fn run(&self, line: &str) -> Output {
        self.command(line).output().expect("the program starts")
    }

    /// Runs it; it must succeed. What it printed.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        ok(&self.run(line))
    }

    /// The same as JSON.
    #[track_caller]
    pub fn json(&self, line: &str) -> Json {
        serde_json::from_str(&self.ok(line)).unwrap()
    }

    /// Runs it; it must end with exit code 2 and one line on stderr that holds every text.
    #[track_caller]
    pub fn refused(&self, line: &str, texts: &[&str]) {
        refused(&self.run(line), texts);
    }

    /// The names and bytes of all tensors of a run's last snapshot.
    #[track_caller]
    pub fn tensors(&self, run: &str) -> Vec<(String, Vec<u8>)> {
        let file = Container::open(latest(&self.path(run)).unwrap().0).unwrap();
        let tensors = file.tensors().iter();
        tensors
            .map(|(name, data)| (name.clone(), data.bytes().to_vec()))
            .collect()
    }

    /// Whether a run has a snapshot.
    pub fn has_snapshot(&self, run: &str) -> bool {
        latest(&self.path(run)).is_ok()
    }
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_folder(&entry.path(), &to)?,
            false => drop(std::fs::copy(entry.path(), to)?),
        }
    }
    Ok(())
}

/// The words of a line. What stands in quotes is one word.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split('"')
        .enumerate()
        .flat_map(|(i, part)| match i % 2 {
            1 => vec![part],
            _ => part.split_whitespace().collect(),
        })
}

/// The program succeeded; what it printed.
#[track_caller]
pub fn ok(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "failed: {stderr}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The program ended with exit code 2 and one line on stderr that holds every text.
#[track_caller]
pub fn refused(output: &Output, texts: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    for text in texts {
        assert!(stderr.contains(text), "{text:?} is not in: {stderr}");
    }
    // What clap refuses comes with hints on further lines.
    if !stderr.contains("--help") {
        assert_eq!(stderr.trim_end().lines().count(), 1, "{stderr}");
    }
}
