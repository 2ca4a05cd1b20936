//! A StyleGAN2 generator, expanded or not, as an ONNX graph.
//!
//! The graph holds all that lies between a user's numbers and a picture: mapping, truncation, the base subspace, the directions
//! of the domains, synthesis. It is made of standard operators (opset 17), so any runtime draws with it, without this program.
//!
//! | input | shape | where |
//! | --- | --- | --- |
//! | `z` | `[n, z_dim]` | with [`Input::Z`] |
//! | `c` | `[n, c_dim]`, the label | with [`Input::Z`], of a network with classes |
//! | `w` | `[n, w_dim]`, or `[n, num_ws, w_dim]` | with [`Input::W`], [`Input::WPlus`] |
//! | `truncation` | `[]`: 1 leaves latents as they are, 0 makes them the mean | always |
//! | `strengths` | `[n, domains]`: 0 is the base subspace, 1 the domain | of an expanded model |
//! | `noise.b4.conv1`, ... | `[m, 1, h, w]` with m = n or 1, standard normal | with [`Noise::Input`] |
//!
//! The output is `image: [n, c, h, w]`, limited to -1 to 1. Latents are truncated, then projected onto the base subspace, then moved:
//! what `domex compose` does. n is the reader's to choose.
//!
//! Constants have the names of the checkpoint's tensors, and what the network multiplies them with in every pass in them: weights their
//! gain, `resample_filter` the 4 of doubling the size, turned where the operator correlates. The weight of a `conv0` has its inputs
//! first, as the transposed convolution wants it.
//!
//! ```
//! use domex_onnx::{Options, export};
//! use domex_stylegan2::{GeneratorConfig, Model};
//! # use candle_core::Device;
//! let config = GeneratorConfig::with_defaults(8, 16, 8, 32, 4)?;
//! let model = Model::random(&config, 1, &Device::Cpu)?;
//! let exported = export(&model, &Options::default())?;
//! let names: Vec<_> = exported.description.inputs.iter().map(|port| port.name.as_str()).collect();
//! assert_eq!(names, ["z", "truncation"]);
//! assert!(exported.bytes.len() > 4 * 1000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Deliberately not here: other kinds of generator, running a graph, writing files.

mod activation;
mod card;
mod description;
mod domains;
mod error;
mod graph;
mod mapping;
mod modulated;
mod proto;
mod synthesis;
mod upfirdn;
mod weights;

use std::collections::BTreeMap;

use candle_core::Tensor;
use domex_latent::Expansion;
use domex_stylegan2::{Generator, GeneratorConfig, Model};
use prost::Message;

pub use card::card;
pub use description::{Description, Dim, Domain, Port};
pub use error::{Error, Result};

use crate::domains::Vectors;
use crate::graph::{Graph, Value};
use crate::proto::{ModelProto, OperatorSetIdProto, StringStringEntryProto};
use crate::synthesis::{NoiseMaps, Synthesis};
use crate::weights::Weights;

/// Version of the standard operators.
const OPSET: i64 = 17;

/// Version of the file format that came with it.
const IR_VERSION: i64 = 8;

/// No protocol buffer is larger.
const LARGEST: usize = i32::MAX as usize;

/// What the graph begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Input {
    /// Noise, through the mapping network.
    #[default]
    Z,
    /// A latent.
    W,
    /// A latent for each layer.
    WPlus,
}

/// Which per-pixel noise the layers add.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Noise {
    /// The checkpoint's own maps, as constants.
    #[default]
    Const,
    /// None.
    None,
    /// An input for each layer.
    Input,
}

/// What the weights of the synthesis network are stored as. All is computed in single precision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision.
    #[default]
    Float32,
    /// Half precision: half the size, three digits.
    Float16,
}

/// How a model is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// What the graph begins with.
    pub input: Input,
    /// Which noise the layers add.
    pub noise: Noise,
    /// What the synthesis network's weights are stored as.
    pub precision: Precision,
}

/// A graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Exported {
    /// The content of the `.onnx` file.
    pub bytes: Vec<u8>,
    /// What it takes and knows.
    pub description: Description,
}

/// Makes the graph of a model's averaged generator. See the [crate docs](self).
///
/// # Errors
///
/// [`Error::Unsupported`] for what the graph cannot say or a file cannot hold.
pub fn export(model: &Model, options: &Options) -> Result<Exported> {
    let generator = model.generator();
    let expansion = model
        .expansion()
        .filter(|expansion| !expansion.layout.domains().is_empty());
    check(generator, expansion, options)?;
    let ports = Ports::new(generator.config(), expansion, options);
    let mut graph = Graph::new("stylegan2", options.precision);
    build(&mut graph, generator, expansion, options, &ports)?;

    let description = Description {
        program: format!("domex {}", env!("CARGO_PKG_VERSION")),
        opset: OPSET,
        inputs: ports.inputs(),
        output: ports.image,
        domains: domains_of(expansion),
        provenance: model.provenance.clone(),
    };
    let file = ModelProto {
        ir_version: Some(IR_VERSION),
        producer_name: "domex".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(graph.finish()),
        opset_import: vec![OperatorSetIdProto {
            domain: Some(String::new()),
            version: Some(OPSET),
        }],
        metadata_props: metadata(&description),
    };
    let size = file.encoded_len();
    if size > LARGEST {
        return Err(Error::unsupported(
            format!("the graph has {size} bytes, and a file at most {LARGEST}"),
            "store its weights as float16",
        ));
    }
    Ok(Exported {
        bytes: file.encode_to_vec(),
        description,
    })
}

fn check(generator: &Generator, expansion: Option<&Expansion>, options: &Options) -> Result<()> {
    let cfg = generator.config();
    let own = usize::from(expansion.is_some_and(Expansion::has_vectors));
    if generator.synthesis().modulators().len() > own {
        return Err(Error::unsupported(
            "the layers are changed by something that the model's file does not hold",
            "save the model with it, or take it off",
        ));
    }
    if let Some(expansion) = expansion {
        for (domain, own) in expansion.layout.domains().iter().zip(&expansion.matrices) {
            let name = &domain.name;
            if own.change_weights() {
                return Err(Error::unsupported(
                    format!(
                        "{name} adds to weights of layers, which makes a weight for each sample"
                    ),
                    "bake it in with `domex domains fuse`, or take it away with `domex domains remove`",
                ));
            }
            if own.mapping.is_some() {
                return Err(Error::unsupported(
                    format!("{name} has a mapping of its own, which graphs are not made of"),
                    "take it away with `domex domains remove`",
                ));
            }
        }
    }
    if options.input == Input::Z && cfg.z_dim() == 0 {
        return Err(Error::unsupported(
            "the network takes no z",
            "begin with w instead",
        ));
    }
    if options.noise == Noise::Input && !cfg.synthesis.use_noise {
        return Err(Error::unsupported(
            "the network adds no noise, so there is none to take as input",
            "export it without noise",
        ));
    }
    Ok(())
}

/// Inputs and output.
struct Ports {
    latent: Port,
    label: Option<Port>,
    truncation: Port,
    strengths: Option<Port>,
    /// By layer.
    noise: Vec<(String, Port)>,
    image: Port,
}

/// Any number of samples.
const N: Dim = Dim::Named("n");

impl Ports {
    fn new(cfg: &GeneratorConfig, expansion: Option<&Expansion>, options: &Options) -> Self {
        let size = Dim::Size;
        let w_dim = size(cfg.w_dim());
        let latent = match options.input {
            Input::Z => Port::new("z", vec![N, size(cfg.z_dim())], "standard normal numbers"),
            Input::W => Port::new("w", vec![N, w_dim], "latents"),
            Input::WPlus => Port::new(
                "w",
                vec![N, size(cfg.num_ws()), w_dim],
                "latents, one for each layer",
            ),
        };
        let has_label = options.input == Input::Z && cfg.c_dim() > 0;
        let label = has_label.then(|| {
            let meaning = "the class: a one in its place, zeros elsewhere";
            Port::new("c", vec![N, size(cfg.c_dim())], meaning)
        });
        let strengths = expansion.map(|expansion| {
            let domains = size(expansion.layout.domains().len());
            let meaning = "how far into each domain: 0 is the base, 1 the domain";
            Port::new("strengths", vec![N, domains], meaning)
        });
        let noise = match options.noise {
            Noise::Input => noise_ports(cfg),
            Noise::Const | Noise::None => Vec::new(),
        };
        let side = size(cfg.synthesis.img_resolution);
        let shape = vec![N, size(cfg.synthesis.img_channels), side, side];
        Self {
            latent,
            label,
            truncation: Port::new(
                "truncation",
                Vec::new(),
                "1 leaves latents as they are, 0 makes them the mean",
            ),
            strengths,
            noise,
            image: Port::new("image", shape, "pictures, -1 to 1"),
        }
    }

    fn inputs(&self) -> Vec<Port> {
        let first = std::iter::once(&self.latent).chain(&self.label);
        let first = first.chain([&self.truncation]).chain(&self.strengths);
        first
            .chain(self.noise.iter().map(|(_, port)| port))
            .cloned()
            .collect()
    }
}

fn noise_ports(cfg: &GeneratorConfig) -> Vec<(String, Port)> {
    let mut ports = Vec::new();
    for side in cfg.synthesis.resolutions() {
        let names: &[&str] = if side > 4 {
            &["conv0", "conv1"]
        } else {
            &["conv1"]
        };
        for name in names {
            let layer = format!("b{side}.{name}");
            let shape = vec![
                Dim::Named("m"),
                Dim::Size(1),
                Dim::Size(side),
                Dim::Size(side),
            ];
            let meaning = "standard normal numbers, for each sample or for all";
            let port = Port::new(format!("noise.{layer}"), shape, meaning);
            ports.push((layer, port));
        }
    }
    ports
}

fn build(
    graph: &mut Graph,
    generator: &Generator,
    expansion: Option<&Expansion>,
    options: &Options,
    ports: &Ports,
) -> Result<()> {
    let cfg = generator.config();
    let weights = Weights(generator.tensors());
    let first = graph.input(&ports.latent);
    let label = ports.label.as_ref().map(|port| graph.input(port));
    let truncation = graph.input(&ports.truncation);
    let strengths = ports.strengths.as_ref().map(|port| graph.input(port));
    let noise = match options.noise {
        Noise::None => NoiseMaps::None,
        Noise::Const => NoiseMaps::Stored,
        Noise::Input => {
            let input = |(layer, port): &(String, Port)| (layer.clone(), graph.input(port));
            NoiseMaps::Given(ports.noise.iter().map(input).collect::<BTreeMap<_, _>>())
        }
    };

    let latents = match options.input {
        Input::Z => mapping::mapping(graph, &weights, &cfg.mapping, &first, label.as_ref())?,
        Input::W | Input::WPlus => first,
    };
    let mut latents = truncated(graph, &latents, &generator.mean_w()?, &truncation)?;
    let in_rows = options.input == Input::WPlus;
    let mut vectors = None;
    if let (Some(expansion), Some(strengths)) = (expansion, &strengths) {
        latents = domains::place(graph, expansion, &latents, strengths, in_rows)?;
        vectors = Vectors::new(graph, expansion, strengths)?;
    }
    let latents = match in_rows {
        true => synthesis::rows(graph, &latents, cfg.num_ws()),
        false => vec![latents],
    };
    let picture = Synthesis {
        graph,
        weights: &weights,
        cfg: &cfg.synthesis,
        layers: generator.synthesis().modulated_layers(),
        latents,
        vectors,
        noise,
    }
    .picture()?;
    graph.enter("image");
    let picture = graph.clip(&picture, -1.0, 1.0);
    graph.output(&ports.image, &picture);
    Ok(())
}

/// `mean + truncation (w - mean)` of latents `[.., D]`.
fn truncated(graph: &mut Graph, latents: &Value, mean: &Tensor, psi: &Value) -> Result<Value> {
    graph.enter("truncation");
    let mean = graph.constant("mapping.w_avg", mean)?;
    let away = graph.sub(latents, &mean);
    let away = graph.mul(&away, psi);
    Ok(graph.add(&away, &mean))
}

fn domains_of(expansion: Option<&Expansion>) -> Vec<Domain> {
    let domains = expansion.map(|expansion| expansion.layout.domains());
    let domains = domains.unwrap_or_default().iter();
    domains
        .map(|domain| Domain {
            name: domain.name.clone(),
            distance: domain.distance,
            task: domain.task.clone(),
        })
        .collect()
}

fn metadata(description: &Description) -> Vec<StringStringEntryProto> {
    let names: Vec<_> = description.domains.iter().map(|d| &d.name).collect();
    let distances: Vec<_> = description.domains.iter().map(|d| d.distance).collect();
    let entries = [
        ("program", description.program.clone()),
        ("domains", serde_json::json!(names).to_string()),
        ("distances", serde_json::json!(distances).to_string()),
        ("provenance", description.provenance.to_string()),
    ];
    let entry = |(key, value): (&str, String)| StringStringEntryProto {
        key: Some(key.to_owned()),
        value: Some(value),
    };
    entries.map(entry).to_vec()
}
