//! The toy network of `domex_latent` as a generator that can be expanded: a second kind beside the real ones, which shows
//! what an expansion asks of a kind and nothing more.

#![allow(dead_code)]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor, Var};
use domex_checkpoint::container::{Container, Overwrite, Writer};
use domex_error::AnyError;
use domex_expand::trainee::PictureGroups;
use domex_expand::{
    Config, Error, Expand, LossPart, Method, Networks, Noise, Parts, Result, Samples, Sets,
    TaskSpec, Trainee, Weights,
};
use domex_latent::modulation::{Layer, Modulator};
use domex_latent::toy::{DIM, Toy};
use domex_latent::{Expansion, Generator, PixelRms};
use domex_random::Stream;
use domex_train::{Parameters, State};
use serde_json::{Map, Value as Json};

/// The weights that a training may change.
const LATER: &str = "later";

/// See the [module docs](self).
pub struct ToyTrainee {
    live: Toy,
    frozen: Toy,
    averaged: Toy,
    source: Toy,
    has_layers: bool,
}

impl ToyTrainee {
    pub fn new() -> Self {
        let mut values = [0.0; DIM];
        for (at, value) in values.iter_mut().enumerate() {
            // The last directions are dormant.
            *value = 1.0 / (1.0 + at as f64);
        }
        let toy = Toy::new(values, [0.3; DIM]).unwrap();
        let toy = toy.to_dtype(DType::F32).unwrap();
        Self {
            live: toy.clone(),
            frozen: toy.clone(),
            averaged: toy.clone(),
            source: toy,
            has_layers: true,
        }
    }

    /// One of a kind without styles.
    pub fn without_layers() -> Self {
        Self {
            has_layers: false,
            ..Self::new()
        }
    }

    fn network(&self, weights: Weights) -> &Toy {
        match weights {
            Weights::Live => &self.live,
            Weights::Frozen => &self.frozen,
            Weights::Averaged => &self.averaged,
            Weights::Source => &self.source,
        }
    }
}

impl Trainee for ToyTrainee {
    fn kind(&self) -> &'static str {
        "toy"
    }

    fn generator(&self, weights: Weights) -> &dyn Generator {
        self.network(weights)
    }

    fn expansion(&self) -> Option<&Expansion> {
        None
    }

    fn distance(&self) -> Result<f64> {
        Ok(20.0)
    }

    fn train_weights(&mut self) -> Result<Parameters> {
        let var = Var::from_tensor(&self.source.later.copy()?)?;
        self.live.later = var.as_tensor().clone();
        self.frozen.later = var.as_detached_tensor();
        Ok(Parameters::new([(LATER.to_owned(), var)].into()))
    }

    fn average_weights(&mut self, averages: &BTreeMap<String, Tensor>) -> Result<()> {
        self.averaged.later = averages[LATER].clone();
        Ok(())
    }

    fn row_of(&self, _: &str) -> Option<usize> {
        Some(0)
    }

    fn layers(&self) -> Vec<Layer> {
        match self.has_layers {
            true => Toy::modulated_layers(),
            false => Vec::new(),
        }
    }

    fn modulate(&mut self, live: Arc<dyn Modulator>, averaged: Arc<dyn Modulator>) {
        self.live.modulators.push(live.clone());
        self.frozen.modulators.push(live);
        self.averaged.modulators.push(averaged);
    }

    fn mean(&self) -> Result<Tensor> {
        Ok(self.live.mean()?)
    }

    fn draw_latents(
        &mut self,
        n: usize,
        _: Option<&Tensor>,
        stream: &mut Stream,
    ) -> Result<Tensor> {
        let mut values = vec![0f32; n * DIM];
        stream.fill_normal(&mut values);
        Ok(Tensor::from_vec(values, (n, DIM), &Device::Cpu)?)
    }

    fn pictures(
        &self,
        weights: Weights,
        latents: &[&Tensor],
        source: &[&Tensor],
        _: Noise<'_>,
    ) -> Result<(PictureGroups, PictureGroups)> {
        let make = |network: &Toy, groups: &[&Tensor]| -> Result<PictureGroups> {
            groups.iter().map(|w| Ok(network.synthesize(w)?)).collect()
        };
        Ok((
            make(self.network(weights), latents)?,
            make(&self.source, source)?,
        ))
    }

    fn save(&self, _: &mut State) -> Result<()> {
        Ok(())
    }

    fn restore(&mut self, _: &State) -> Result<()> {
        Ok(())
    }

    fn export(
        &self,
        expansion: Option<Expansion>,
        made: Map<String, Json>,
        path: &Path,
    ) -> Result<()> {
        let write = || -> std::result::Result<(), domex_checkpoint::Error> {
            let mut writer = Writer::new("toy", &Json::Null).provenance(&Json::Object(made));
            writer.tensor(LATER, &self.averaged.later)?;
            if let Some(expansion) = &expansion {
                writer = writer.expansion(&expansion.to_json());
                for (name, tensor) in expansion.tensors() {
                    writer.tensor(&name, &tensor)?;
                }
            }
            writer.write(path, Overwrite::Replace)
        };
        write().map_err(|error| Error::trainee(AnyError::from(error)))
    }
}

/// The toy's model in a file, with its domains.
pub fn open(path: &Path) -> (Toy, Expansion) {
    let file = Container::open(path).unwrap();
    let tensor = |name: &str| file.tensor(name, &Device::Cpu);
    let mut toy = ToyTrainee::new().source;
    toy.later = tensor(LATER).unwrap();
    let json = file.expansion().unwrap();
    let read = |name: &str| Ok(tensor(name).unwrap());
    let expansion = Expansion::from_json::<domex_latent::Error>(json, DIM, read).unwrap();
    let layers = Toy::modulated_layers();
    if let Some(offsets) = expansion
        .modulator(&layers, &Device::Cpu, DType::F32)
        .unwrap()
    {
        toy.modulators.push(Arc::new(offsets));
    }
    (toy, expansion)
}

/// Anchors and their pictures in a folder, and a task that learns them.
pub fn person(folder: &Path, count: usize) -> TaskSpec {
    std::fs::create_dir_all(folder).unwrap();
    let mut stream = domex_random::Streams::new(9).stream("person");
    let mut latents = vec![0f32; count * DIM];
    stream.fill_normal(&mut latents);
    let latents = Tensor::from_vec(latents, (count, DIM), &Device::Cpu).unwrap();
    let anchors = folder.join("anchors.safetensors");
    candle_core::safetensors::save(&[("w".to_owned(), latents)].into(), &anchors).unwrap();
    let pictures: Vec<_> = (0..count)
        .map(|at| {
            let path = folder.join(format!("{at}.png"));
            let shade = 40 + 50 * at as u8;
            let picture = image::RgbImage::from_pixel(8, 8, image::Rgb([shade, 255 - shade, 128]));
            domex_data::picture::write_png(&path, &picture).unwrap();
            path
        })
        .collect();
    domex_expand::methods::mystyle::person("Ann", &pictures, &anchors)
}

/// A run of these tasks on the toy.
pub fn job(trainee: ToyTrainee, config: Config, tasks: &[TaskSpec]) -> Result<Expand> {
    job_with(trainee, config, tasks, Sets::new())
}

/// The same, with sets of pictures.
pub fn job_with(
    trainee: ToyTrainee,
    config: Config,
    tasks: &[TaskSpec],
    sets: Sets,
) -> Result<Expand> {
    let networks = Networks {
        distance: Some(Arc::new(PixelRms)),
        ..Networks::default()
    };
    Expand::new(
        config,
        Parts {
            trainee: Box::new(trainee),
            tasks,
            networks,
            sets,
            cache: None,
            seed: 7,
        },
    )
}

/// The mean of the edited picture plus 100 times that of the base picture, times the task's number
/// plus one. Wants the base without a graph.
pub struct Means;

impl Method for Means {
    fn name(&self) -> &str {
        "means"
    }

    fn loss(&self, samples: &Samples<'_>, _: &mut Stream) -> Result<LossPart> {
        assert!(!samples.base.track_op() && samples.edited.track_op());
        let of = |x: &Tensor| x.mean((1, 2, 3));
        let factors: Vec<f64> = samples.tasks.iter().map(|&t| t as f64 + 1.0).collect();
        let factors = Tensor::from_vec(factors, samples.tasks.len(), &Device::Cpu)?;
        let each = ((of(samples.edited)? + (of(samples.base)? * 100.0)?)? * factors)?;
        Ok(LossPart {
            total: each.sum_all()?,
            per_sample: each,
        })
    }
}
