//! A TorchScript archive, as OpenAI publishes its networks, reads like the same tensors by name.
//!
//! The archive is written here as `torch.jit.save` does: `data.pkl` is a tree of objects of classes that are made up for
//! the archive, with parameters, flags and inner modules as attributes; beside it lie `constants.pkl`, the code and
//! the storages.

#![allow(
    clippy::unwrap_used,
    reason = "a test; clippy.toml's leave ends at its helper functions"
)]

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use domex_clip::layout::Tensors;
use domex_clip::{Clip, load};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

/// A module: its own tensors, and inner modules.
#[derive(Default)]
struct Module<'a> {
    tensors: BTreeMap<&'a str, &'a Tensor>,
    inner: BTreeMap<&'a str, Module<'a>>,
}

impl<'a> Module<'a> {
    fn insert(&mut self, name: &'a str, tensor: &'a Tensor) {
        match name.split_once('.') {
            None => drop(self.tensors.insert(name, tensor)),
            Some((first, rest)) => self.inner.entry(first).or_default().insert(rest, tensor),
        }
    }
}

/// A pickle in protocol 2 and the storages that it refers to.
struct Pickler {
    program: Vec<u8>,
    storages: Vec<Vec<u8>>,
    classes: usize,
}

impl Pickler {
    fn text(&mut self, text: &str) {
        self.program.push(b'X');
        self.program.extend((text.len() as u32).to_le_bytes());
        self.program.extend(text.as_bytes());
    }

    fn global(&mut self, module: &str, name: &str) {
        self.program.extend(format!("c{module}\n{name}\n").bytes());
    }

    fn int(&mut self, value: usize) {
        self.program.push(b'J');
        self.program.extend((value as i32).to_le_bytes());
    }

    fn ints(&mut self, values: &[usize]) {
        self.program.push(b'(');
        values.iter().for_each(|value| self.int(*value));
        self.program.push(b't');
    }

    /// In half precision, as the archives are; the storages say that they were on a GPU.
    fn tensor(&mut self, tensor: &Tensor) {
        let flat = tensor.flatten_all().unwrap().to_dtype(DType::F16).unwrap();
        let values: Vec<half::f16> = flat.to_vec1().unwrap();
        let key = self.storages.len().to_string();
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.storages.push(bytes.collect());
        self.global("torch._utils", "_rebuild_tensor_v2");
        self.program.extend(b"((");
        self.text("storage");
        self.global("torch", "HalfStorage");
        self.text(&key);
        self.text("cuda:0");
        self.int(values.len());
        self.program.extend(b"tQ");
        self.int(0);
        self.ints(tensor.dims());
        self.ints(tensor.stride());
        self.program.push(0x89); // no gradient
        self.global("collections", "OrderedDict");
        self.program.extend(b")RtR");
    }

    fn module(&mut self, module: &Module<'_>) {
        let class = format!("___torch_mangle_{}", self.classes);
        self.classes += 1;
        self.global(&format!("__torch__.clip.{class}"), "Module");
        self.program.extend(b")\x81}(");
        self.text("training");
        self.program.push(0x88);
        self.text("_is_full_backward_hook");
        self.program.push(b'N');
        for (name, tensor) in &module.tensors {
            self.text(name);
            self.tensor(tensor);
        }
        for (name, inner) in &module.inner {
            self.text(name);
            self.module(inner);
        }
        self.program.extend(b"ub");
    }
}

fn save(path: &Path, tensors: &Tensors) {
    let mut root = Module::default();
    for (name, tensor) in tensors {
        root.insert(name, tensor);
    }
    let mut pickler = Pickler {
        program: b"\x80\x02".to_vec(),
        storages: Vec::new(),
        classes: 0,
    };
    pickler.module(&root);
    pickler.program.push(b'.');
    let mut zip = ZipWriter::new(std::fs::File::create(path).unwrap());
    let stored = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut file = |name: &str, bytes: &[u8]| {
        zip.start_file(format!("ViT-B-32/{name}"), stored).unwrap();
        zip.write_all(bytes).unwrap();
    };
    file("data.pkl", &pickler.program);
    file("code/__torch__/clip.py", b"class Module(Module):\n");
    for (key, bytes) in pickler.storages.iter().enumerate() {
        file(&format!("data/{key}"), bytes);
    }
    file("constants.pkl", b"\x80\x02).");
    file("version", b"3\n");
    zip.finish().unwrap();
}

#[test]
fn an_archive_of_openai_reads_like_its_tensors() {
    for case in ["openai_vit_same_net", "openai_rn"] {
        let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/clip");
        let all =
            candle_core::safetensors::load(format!("{golden}/{case}.safetensors"), &Device::Cpu);
        let half = |tensor: Tensor| tensor.to_dtype(DType::F16).unwrap();
        let mut tensors: Tensors = all
            .unwrap()
            .into_iter()
            .filter_map(|(name, tensor)| {
                Some((name.strip_prefix("param.")?.to_owned(), half(tensor)))
            })
            .collect();
        let resolution = Tensor::new(32u32, &Device::Cpu).unwrap();
        tensors.insert("input_resolution".to_owned(), half(resolution));
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network.pt");
        save(&path, &tensors);

        let (read, config) = load::read(&path).unwrap();
        let wanted = domex_clip::layout::to_hugging_face(tensors.clone()).unwrap();
        assert!(read.keys().eq(wanted.keys()), "{case}");
        for (name, tensor) in &wanted {
            let values =
                |t: &Tensor| -> Vec<half::f16> { t.flatten_all().unwrap().to_vec1().unwrap() };
            assert_eq!(read[name].dims(), tensor.dims(), "{case} {name}");
            assert!(values(&read[name]) == values(tensor), "{case} {name}");
        }
        assert_eq!(
            config,
            domex_clip::Config::deduce(&load::shapes(&wanted)).unwrap()
        );
        Clip::load(&path, DType::F32, &Device::Cpu).unwrap();
    }
}
