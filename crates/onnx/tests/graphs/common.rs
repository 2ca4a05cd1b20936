//! Small random generators, and their pictures by candle and by a runtime of graphs.

use candle_core::{DType, Device, Tensor};
use domex_latent::basis::Basis;
use domex_latent::domain_vectors::Gate;
use domex_latent::expansion::Rows;
use domex_latent::matrices::{AffineChange, Matrices};
use domex_latent::subspace::Layout;
use domex_latent::{Expansion, Generator as _};
use domex_onnx::{Dim, Options, export};
use domex_random::{Stream, Streams};
use domex_stylegan2::{Generator, GeneratorConfig, Model, Noise, Truncation};
use rten::{Value, ValueOrView};
use serde_json::json;

pub const CPU: Device = Device::Cpu;

/// Numbers of z and of w; odd on purpose.
pub const Z_DIM: usize = 7;
pub const W_DIM: usize = 11;

/// How far along their directions the domains lie: each elsewhere.
const DISTANCES: [f64; 3] = [3.0, 5.0, 2.0];

pub fn stream(name: &str) -> Stream {
    Streams::new(5).stream(name)
}

pub fn normal(stream: &mut Stream, shape: &[usize]) -> Tensor {
    let mut values = vec![0f32; shape.iter().product()];
    stream.fill_normal(&mut values);
    Tensor::from_vec(values, shape, &CPU).unwrap()
}

pub fn config(resolution: usize) -> GeneratorConfig {
    let mut config = GeneratorConfig::with_defaults(Z_DIM, W_DIM, resolution, 48, 6).unwrap();
    config.mapping.num_layers = 2;
    config.mapping.layer_features = 9;
    config
}

/// A generator none of whose numbers is what it is at the start: biases and strengths of noise are not zero. Colours are
/// turned down, so that few of them are limited.
pub fn model(config: &GeneratorConfig) -> Model {
    let random = Model::random(config, 1, &CPU).unwrap();
    let mut stream = stream("weights");
    let mut tensors = random.g_ema.tensors();
    for (name, tensor) in &mut tensors {
        if !name.ends_with("resample_filter") {
            let moved = normal(&mut stream, tensor.dims()) * 0.1;
            *tensor = (&*tensor + moved.unwrap()).unwrap();
        }
        if name.contains("torgb") && !name.contains("affine") {
            *tensor = (&*tensor * 0.2).unwrap();
        }
    }
    Model::new(Generator::from_tensors(&tensors, config).unwrap())
}

/// The model with so many domains on random directions.
pub fn expanded(mut model: Model, domains: usize) -> Model {
    let random = normal(&mut stream("basis"), &[W_DIM, W_DIM]);
    let basis = Basis::given(orthonormal(&random)).unwrap();
    let mut layout = Layout::new(W_DIM);
    for (at, distance) in DISTANCES.into_iter().enumerate().take(domains) {
        let task = json!({ "target": at });
        layout
            .add(&format!("domain {at}"), task, None, distance)
            .unwrap();
    }
    let mean = model.g_ema.mean().unwrap();
    model.expansion = Some(Expansion::new(layout, basis, mean).unwrap());
    model
}

/// The same with vectors beside the weights, come in through these gates.
pub fn with_vectors(mut model: Model, gates: &[Gate]) -> Model {
    let model_with = expanded(model.clone(), gates.len());
    let mut stream = stream("vectors");
    let mut rows = || -> Rows {
        let layers = model.g_ema.synthesis().modulated_layers().into_iter();
        layers
            .map(|layer| {
                (
                    layer.name,
                    normal(&mut stream, &[gates.len(), layer.channels]),
                )
            })
            .collect()
    };
    let (offsets, mut factors) = (rows(), rows());
    factors.remove("b8.conv0");
    let expansion = model_with.expansion.unwrap();
    let expansion = expansion
        .with_vectors(offsets, factors, gates.to_vec())
        .unwrap();
    model.g_ema.follow_domains(&expansion).unwrap();
    model.expansion = Some(expansion);
    model
}

/// The same where the first domain changes affine maps whole and the last one by a low rank.
pub fn with_affine_changes(model: Model, gates: &[Gate]) -> Model {
    let source = model.g_ema.clone();
    let mut model = with_vectors(model, gates);
    let mut stream = stream("matrices");
    let expansion = model.expansion.take().unwrap();
    let mut matrices = vec![Matrices::default(); gates.len()];
    for layer in source.synthesis().modulated_layers() {
        // Small, so that pictures stay between their limits.
        let mut matrix = |rows, columns| (normal(&mut stream, &[rows, columns]) * 0.2).unwrap();
        let full = AffineChange::Full(matrix(layer.channels, W_DIM));
        let low = AffineChange::LowRank {
            out: matrix(layer.channels, 2),
            inner: matrix(2, W_DIM),
        };
        matrices[gates.len() - 1]
            .affine
            .insert(layer.name.clone(), low);
        if layer.name != "b8.conv1" {
            matrices[0].affine.insert(layer.name, full);
        }
    }
    let expansion = expansion.with_matrices(matrices).unwrap();
    model.g_ema = source;
    model.g_ema.follow_domains(&expansion).unwrap();
    model.expansion = Some(expansion);
    model
}

/// Columns that are orthonormal, by Gram and Schmidt.
fn orthonormal(random: &Tensor) -> Tensor {
    let rows: Vec<Vec<f64>> = random.to_dtype(DType::F64).unwrap().to_vec2().unwrap();
    let mut done: Vec<Vec<f64>> = Vec::new();
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    for mut row in rows {
        for other in &done {
            let along = dot(&row, other);
            row.iter_mut().zip(other).for_each(|(a, b)| *a -= along * b);
        }
        let length = dot(&row, &row).sqrt();
        row.iter_mut().for_each(|a| *a /= length);
        done.push(row);
    }
    let rows = Tensor::new(done, &CPU).unwrap().t().unwrap();
    rows.to_dtype(DType::F32).unwrap().contiguous().unwrap()
}

/// What goes into both.
pub struct Given {
    pub latents: Tensor,
    pub label: Option<Tensor>,
    pub truncation: f64,
    pub strengths: Option<Tensor>,
    pub noise: Vec<Tensor>,
}

/// Random inputs for a graph, by its own list of them.
pub fn given(model: &Model, options: &Options, n: usize) -> Given {
    let mut stream = stream("inputs");
    let mut of = |prefix: &str| -> Vec<Tensor> {
        let ports = export(model, options).unwrap().description.inputs;
        let ports = ports.into_iter();
        let ports = ports.filter(|port| port.name == prefix || port.name.starts_with("noise."));
        ports
            .filter(|port| port.name.starts_with(prefix))
            .map(|port| {
                let dims = port.shape.iter().map(|dim| match dim {
                    Dim::Size(size) => *size,
                    Dim::Named(_) => n,
                });
                normal(&mut stream, &dims.collect::<Vec<_>>())
            })
            .collect()
    };
    let (mut z, mut w) = (of("z"), of("w"));
    Given {
        latents: z.pop().or_else(|| w.pop()).unwrap(),
        label: of("c").pop(),
        truncation: 0.7,
        strengths: of("strengths").pop(),
        noise: of("noise."),
    }
}

/// As `domex generate` and `domex compose` draw.
pub fn by_candle(model: &Model, given: &Given, noise: Noise<'_>) -> Vec<f32> {
    let generator = model.generator();
    let truncation = Truncation::psi(given.truncation);
    let rows = generator.config().num_ws();
    let z_dim = generator.config().z_dim();
    let ws = match *given.latents.dims() {
        [_, width] if width == z_dim => generator
            .latents(&given.latents, given.label.as_ref(), truncation)
            .unwrap(),
        _ => {
            let ws = domex_latent::subspace::to_w_plus(&given.latents, rows).unwrap();
            let mean = generator.mean_w().unwrap();
            domex_stylegan2::mapping::truncate(&ws, &mean, truncation).unwrap()
        }
    };
    let ws = match (&model.expansion, &given.strengths) {
        (Some(expansion), Some(strengths)) => {
            let layout = &expansion.layout;
            let subspaces = layout
                .subspaces(&expansion.basis, &CPU, DType::F32)
                .unwrap();
            let base = subspaces.project(&ws, Some(&expansion.mean)).unwrap();
            let strengths: Vec<Vec<f32>> = strengths.to_vec2().unwrap();
            let moved = strengths.iter().enumerate().map(|(sample, strengths)| {
                let names = layout.domains().iter().map(|domain| domain.name.as_str());
                let parts: Vec<_> = names.zip(strengths.iter().map(|&a| f64::from(a))).collect();
                let base = base.narrow(0, sample, 1).unwrap();
                let strengths = layout.strengths(&parts).unwrap();
                subspaces.compose(&base, &strengths).unwrap()
            });
            Tensor::cat(&moved.collect::<Vec<_>>(), 0).unwrap()
        }
        _ => ws,
    };
    let pictures = generator.synthesis().forward(&ws, noise).unwrap();
    let values: Vec<f32> = pictures.flatten_all().unwrap().to_vec1().unwrap();
    values.into_iter().map(|x| x.clamp(-1.0, 1.0)).collect()
}

/// As a runtime draws with the graph, and the shape of the pictures.
pub fn by_graph(model: &Model, given: &Given, options: &Options) -> (Vec<f32>, Vec<usize>) {
    let exported = export(model, options).unwrap();
    let graph = rten::Model::load(exported.bytes).unwrap();
    let mut noise = given.noise.iter();
    let inputs = exported.description.inputs.iter().map(|port| {
        let psi = || Tensor::new(given.truncation as f32, &CPU).unwrap();
        let tensor = match port.name.as_str() {
            "z" | "w" => given.latents.clone(),
            "c" => given.label.clone().unwrap(),
            "truncation" => psi(),
            "strengths" => given.strengths.clone().unwrap(),
            _ => noise.next().unwrap().clone(),
        };
        let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
        let value = Value::from_shape(tensor.dims(), values).unwrap();
        (graph.node_id(&port.name).unwrap(), ValueOrView::from(value))
    });
    let inputs: Vec<_> = inputs.collect();
    let image = graph.node_id("image").unwrap();
    let image = graph.run(inputs, &[image], None).unwrap().remove(0);
    let (shape, values) = image.into_shape_vec::<f32, 4>().unwrap();
    (values, shape.to_vec())
}

/// The largest difference; most of the values must lie between the limits.
#[track_caller]
pub fn difference(found: &[f32], expected: &[f32]) -> f32 {
    assert_eq!(found.len(), expected.len());
    let limited = expected.iter().filter(|x| x.abs() == 1.0).count();
    assert!(
        limited * 2 < expected.len(),
        "{limited} of {} are at a limit",
        expected.len()
    );
    let differences = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, |largest: f32, x| {
        if x > largest || x.is_nan() {
            x
        } else {
            largest
        }
    })
}
