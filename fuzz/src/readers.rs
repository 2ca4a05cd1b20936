//! What each target does with its bytes: it reads them as one of the program's readers would, and must not panic, hang or
//! take memory without end. Refusing them is right.
//!
//! The tests of the workspace run the same functions on samples (`tests/readers.rs`), so they compile wherever it does.

use std::path::Path;
use std::sync::LazyLock;

use candle_core::Device;
use domex_checkpoint::container::Container;
use domex_checkpoint::{Bytes, foreign};
use domex_clip::Tokenizer;
use domex_data::source::{self, LabelsFrom};
use domex_expand::{Recipe, TaskFile};
use domex_expand_stylegan2::SETTINGS;
use domex_mystyle::Anchors;
use domex_stable_diffusion::Folder;
use domex_studio::film::Film;
use domex_studio::sheet::Sheet;
use domex_studio::stamp::Stamp;
use domex_studio::{Info, Settings, Wanted};
use domex_test_support::stable_diffusion;
use domex_train::State;

/// Runs a reader on a file of this name.
fn file(name: &str, bytes: &[u8], read: impl FnOnce(&Path)) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("a file in it");
    read(&path);
}

/// Every foreign format: pickles, both kinds of torch files, TensorFlow's pickles, NumPy's files, safetensors.
pub fn checkpoint(bytes: &[u8]) {
    let bytes = Bytes::from(bytes.to_vec());
    if let Ok(file) = foreign::read_bytes("fuzz".as_ref(), &bytes) {
        drop(file.value.to_json());
        drop(file.weights(&file.value));
    }
}

/// The program's own container.
pub fn container(bytes: &[u8]) {
    let bytes = Bytes::from(bytes.to_vec());
    if let Ok(file) = Container::from_bytes("fuzz".as_ref(), &bytes) {
        drop(file.check_whole());
        drop(file.check_finite());
    }
}

/// A StyleGAN2 of any of its layouts.
pub fn stylegan2(bytes: &[u8]) {
    file("model", bytes, |path| {
        drop(domex_stylegan2::Model::load(path, &Device::Cpu));
    });
}

/// A StyleGAN3: a network pickle, a state dict or a container.
pub fn stylegan3(bytes: &[u8]) {
    file("model", bytes, |path| {
        drop(domex_stylegan3::model::recognizes(path));
        drop(domex_stylegan3::Model::load(path, &Device::Cpu));
    });
}

/// A diffusion autoencoder.
pub fn diffae(bytes: &[u8]) {
    file("model", bytes, |path| {
        drop(domex_diffae::Model::load(path, &Device::Cpu));
    });
}

/// A CLIP model of any of its layouts.
pub fn clip(bytes: &[u8]) {
    file("model", bytes, |path| drop(domex_clip::load::read(path)));
}

/// The published parts of a perceptual network.
pub fn lpips(bytes: &[u8]) {
    file("heads.pth", bytes, |path| {
        drop(domex_lpips::published::join(path, path));
    });
}

/// A picture of any format, and texts in it.
pub fn picture(bytes: &[u8]) {
    drop(domex_data::picture::decode(bytes, "fuzz".as_ref()));
    drop(domex_data::png_text::read(bytes));
}

/// A data set in a zip file, with its labels.
pub fn dataset(bytes: &[u8]) {
    let options = source::Options {
        skip_bad: true,
        labels: LabelsFrom::Json,
        ..source::Options::default()
    };
    file("set.zip", bytes, |path| drop(source::open(path, options)));
}

/// A file of tasks: TOML, or after a `{` the official JSON.
pub fn tasks(bytes: &[u8]) {
    static RECIPE: LazyLock<Recipe> =
        LazyLock::new(|| Recipe::plain(SETTINGS).expect("the defaults"));
    let name = match bytes.first() {
        Some(b'{') => "tasks.json",
        _ => "tasks.toml",
    };
    file(name, bytes, |path| drop(TaskFile::read(path, &RECIPE)));
}

/// A text for CLIP.
pub fn tokenizer(bytes: &[u8]) {
    static TOKENIZER: LazyLock<Tokenizer> =
        LazyLock::new(|| Tokenizer::new().expect("the published vocabulary"));
    let text = String::from_utf8_lossy(bytes);
    if let Ok(ids) = TOKENIZER.encode(&text) {
        TOKENIZER.decode(&ids).expect("its own ids");
    }
}

/// A vocabulary of one's own.
pub fn vocabulary(bytes: &[u8]) {
    if let Ok(tokenizer) = Tokenizer::with_merges(&String::from_utf8_lossy(bytes)) {
        drop(tokenizer.encode("a photo of a zombie"));
    }
}

/// A snapshot of a run.
pub fn snapshot(bytes: &[u8]) {
    file("step.safetensors", bytes, |path| drop(State::read(path)));
}

/// A person's anchors.
pub fn anchors(bytes: &[u8]) {
    file("anchors", bytes, |path| drop(Anchors::read(path, 8)));
}

/// A list of models to fetch.
pub fn manifest(bytes: &[u8]) {
    file("models.toml", bytes, |path| {
        drop(domex_hub::Manifest::read(path));
    });
}

/// A folder of Stable Diffusion with one file of this content; the first byte says which.
pub fn diffusers(bytes: &[u8]) {
    static WHOLE: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(whole_folder);
    let Some((which, content)) = bytes.split_first() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (at, (name, whole)) in WHOLE.iter().enumerate() {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder in it");
        let replaced = at == usize::from(*which) % WHOLE.len();
        std::fs::write(path, if replaced { content } else { whole }).expect("a file in it");
    }
    if let Ok(folder) = Folder::open(folder.path()) {
        drop(folder.bytes());
    }
}

/// The files of a folder that is read, with their names in it.
fn whole_folder() -> Vec<(String, Vec<u8>)> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    stable_diffusion::folder(folder.path(), &stable_diffusion::files());
    let known = Folder::open(folder.path()).expect("a whole folder");
    let files = known.files().expect("its files").into_iter().map(|path| {
        let name = path.strip_prefix(folder.path()).expect("a file in it");
        let name = name.to_string_lossy().into_owned();
        (name, std::fs::read(path).expect("a file that is there"))
    });
    files.collect()
}

/// What the page of the studio sends, and a picture that is dropped on it.
pub fn studio(bytes: &[u8]) {
    let info = Info {
        model: "fuzz".into(),
        kind: "StyleGAN2".into(),
        resolution: 64,
        domains: vec!["zombie".into(), "statue".into()],
        directions: Vec::new(),
        styles: 10,
        regions: true,
        drafts: true,
        photos: None,
    };
    if let Ok(settings) = serde_json::from_slice::<Settings>(bytes) {
        let (fitting, _) = settings.fit(&info);
        drop(fitting.check(&info));
    }
    if let Ok(film) = serde_json::from_slice::<Film>(bytes)
        && film.check(&info).is_ok()
    {
        drop(film.frames());
    }
    if let Ok(sheet) = serde_json::from_slice::<Sheet>(bytes)
        && sheet.check(&info).is_ok()
    {
        drop(sheet.frames());
    }
    if let Ok(wanted) = serde_json::from_slice::<Wanted>(bytes) {
        drop(wanted.check());
    }
    drop(Stamp::read(bytes));
}
