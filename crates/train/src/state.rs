//! What a snapshot holds: named tensors and one JSON document.
//!
//! The file is a domex container of kind `run`: tensors as they are, the document under `config`. It is written beside
//! its place, synced and renamed, so a snapshot is whole or absent. Numbers in the document that must be exact (random
//! streams, counters) are integers or text; weights and moments are tensors, to the bit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use domex_checkpoint::TensorData;
use domex_checkpoint::container::{Container, Overwrite, Writer};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value as Json};

use crate::params::Parameters;
use crate::{Error, Result};

/// `kind` of the container.
pub const KIND: &str = "run";

/// See the [module docs](self).
#[derive(Debug, Clone, Default)]
pub struct State {
    path: PathBuf,
    tensors: BTreeMap<String, TensorData>,
    document: Map<String, Json>,
}

impl State {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// Copies a tensor in.
    ///
    /// # Errors
    ///
    /// A name that is taken, or candle's own errors.
    pub fn put_tensor(&mut self, name: &str, tensor: &Tensor) -> Result<()> {
        let data = TensorData::from_tensor(&tensor.detach())?;
        if self.tensors.insert(name.to_string(), data).is_some() {
            return Err(self.wrong(format!("tensor {name}"), "two of them", "one"));
        }
        Ok(())
    }

    /// A tensor, on `device`.
    ///
    /// # Errors
    ///
    /// [`Error::State`] when there is none of that name.
    pub fn tensor(&self, name: &str, device: &Device) -> Result<Tensor> {
        let data = self.tensors.get(name).ok_or_else(|| {
            self.wrong(
                format!("tensor {name}"),
                "nothing",
                "a tensor: the snapshot is of another kind of run",
            )
        })?;
        Ok(data.to_tensor(device)?)
    }

    /// Whether there is a tensor of this name.
    pub fn has_tensor(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    /// Copies all parameters in, each name behind `prefix`.
    ///
    /// # Errors
    ///
    /// As [`put_tensor`](Self::put_tensor).
    pub fn put_parameters(&mut self, prefix: &str, parameters: &Parameters) -> Result<()> {
        for (name, var) in parameters.iter() {
            self.put_tensor(&format!("{prefix}{name}"), var)?;
        }
        Ok(())
    }

    /// Overwrites all parameters with the tensors behind `prefix`.
    ///
    /// # Errors
    ///
    /// A tensor that is missing or has another shape; then nothing was written.
    pub fn load_parameters(&self, prefix: &str, parameters: &Parameters) -> Result<()> {
        let mut tensors = BTreeMap::new();
        for (name, var) in parameters.iter() {
            let full = format!("{prefix}{name}");
            let tensor = self.tensor(&full, var.device())?;
            if tensor.dims() != var.dims() {
                let found = format!("shape {:?}", tensor.dims());
                let expected = format!("{:?}: was the run made with other settings?", var.dims());
                return Err(self.wrong(format!("tensor {full}"), found, expected));
            }
            tensors.insert(name.to_string(), tensor);
        }
        parameters.load(&tensors)
    }

    /// Stores a value in the document, in place of an older one.
    ///
    /// # Errors
    ///
    /// A value that JSON cannot hold.
    pub fn put(&mut self, key: &str, value: &impl Serialize) -> Result<()> {
        let json = serde_json::to_value(value)
            .map_err(|error| self.wrong(format!("key {key}"), error, "a value that JSON holds"))?;
        self.document.insert(key.to_string(), json);
        Ok(())
    }

    /// A value of the document.
    ///
    /// # Errors
    ///
    /// [`Error::State`] when it is missing or of another type.
    pub fn get<T: DeserializeOwned>(&self, key: &str) -> Result<T> {
        let json = self.document.get(key).cloned().ok_or_else(|| {
            self.wrong(
                format!("key {key}"),
                "nothing",
                "a value: the snapshot is of another kind of run",
            )
        })?;
        serde_json::from_value(json)
            .map_err(|error| self.wrong(format!("key {key}"), error, std::any::type_name::<T>()))
    }

    /// The whole document.
    pub fn document(&self) -> &Map<String, Json> {
        &self.document
    }

    /// Names and checksums (CRC-32) of all tensors, in the order of names.
    pub fn checksums(&self) -> impl Iterator<Item = (&str, u32)> {
        let tensors = self.tensors.iter();
        tensors.map(|(name, data)| (name.as_str(), crc32fast::hash(data.bytes())))
    }

    /// Writes the snapshot, whole or not at all.
    ///
    /// # Errors
    ///
    /// The folder cannot be written, or the disk is full; a file that stood there is then as it was.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut writer = Writer::new(KIND, &Json::Object(self.document.clone()));
        for (name, tensor) in &self.tensors {
            writer.data(name, tensor.clone())?;
        }
        Ok(writer.write(path, Overwrite::Replace)?)
    }

    /// Reads a snapshot.
    ///
    /// # Errors
    ///
    /// A file that cannot be read, or is no snapshot.
    pub fn read(path: &Path) -> Result<Self> {
        let file = Container::open(path)?;
        let mut state = Self {
            path: path.to_path_buf(),
            ..Self::default()
        };
        if file.kind() != KIND {
            let expected = format!("{KIND:?}, a snapshot of a run");
            return Err(state.wrong("kind".into(), format!("{:?}", file.kind()), expected));
        }
        file.check_whole()?;
        match file.config() {
            Json::Object(document) => state.document = document.clone(),
            _ => {
                return Err(state.wrong("document".into(), "no JSON object", "a JSON object"));
            }
        }
        state.tensors = file.tensors().clone();
        Ok(state)
    }

    /// An [`Error::State`] about this snapshot.
    pub(crate) fn wrong(
        &self,
        what: String,
        found: impl std::fmt::Display,
        expected: impl Into<String>,
    ) -> Error {
        Error::State {
            path: self.path.clone(),
            what,
            found: found.to_string(),
            expected: expected.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_keeps_every_bit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.safetensors");
        let odd = [f32::MIN_POSITIVE / 3.0, -0.0, 1.0 / 3.0, f32::INFINITY];
        let mut state = State::new();
        state
            .put_tensor("x", &Tensor::new(&odd, &Device::Cpu).unwrap())
            .unwrap();
        state.put("counter", &u64::MAX).unwrap();
        state.write(&path).unwrap();
        state.write(&path).unwrap();

        let back = State::read(&path).unwrap();
        assert_eq!(back.get::<u64>("counter").unwrap(), u64::MAX);
        let x: Vec<f32> = back.tensor("x", &Device::Cpu).unwrap().to_vec1().unwrap();
        let bits = |v: &[f32]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&x), bits(&odd));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

        let error = back.get::<String>("counter").unwrap_err().to_string();
        assert!(error.contains("s.safetensors") && error.contains("counter"));
        let error = back.tensor("y", &Device::Cpu).unwrap_err().to_string();
        assert!(error.contains("tensor y"), "{error}");
    }

    #[test]
    fn a_name_is_used_once_and_models_are_no_snapshots() {
        let mut state = State::new();
        let x = Tensor::new(&[1f32], &Device::Cpu).unwrap();
        state.put_tensor("x", &x).unwrap();
        assert!(state.put_tensor("x", &x).is_err());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.safetensors");
        let writer = Writer::new("stylegan2", &Json::Null);
        writer.write(&path, Overwrite::Refuse).unwrap();
        let error = State::read(&path).unwrap_err().to_string();
        assert!(error.contains("stylegan2"), "{error}");
    }
}
