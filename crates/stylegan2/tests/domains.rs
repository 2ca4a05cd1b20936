//! Gated domains that come and go leave the pictures of the base as they were, to the bit.

#![allow(clippy::unwrap_used)] // Also in the helpers.

use candle_core::{DType, Device, Tensor};
use domex_latent::basis::Basis;
use domex_latent::domain_file::DomainFile;
use domex_latent::domain_vectors::Gate;
use domex_latent::expansion::Rows;
use domex_latent::mapping::Mapping;
use domex_latent::matrices::{AffineChange, Matrices};
use domex_latent::subspace::{Domain, Layout};
use domex_latent::{Expansion, Generator as _};
use domex_random::{Stream, Streams};
use domex_stylegan2::{Generator, GeneratorConfig, Noise, init};

const CPU: Device = Device::Cpu;
const WIDTH: usize = 112;
const DOMAINS: usize = 100;

fn generator() -> Generator {
    let config = GeneratorConfig::with_defaults(4, WIDTH, 8, 32, 4).unwrap();
    let tensors = init::generator(&config, 3, DType::F32, &CPU).unwrap();
    Generator::from_tensors(&tensors, &config).unwrap()
}

fn random(stream: &mut Stream, n: usize) -> Tensor {
    let mut values = vec![0f32; n];
    stream.fill_normal(&mut values);
    Tensor::new(values, &CPU).unwrap()
}

fn domain(at: usize, generator: &Generator, stream: &mut Stream) -> DomainFile {
    let layers = generator.synthesis().modulated_layers();
    let mut rows = || -> Rows {
        let row = |layer: &domex_latent::modulation::Layer| {
            (layer.name.clone(), random(stream, layer.channels))
        };
        layers.iter().map(row).collect()
    };
    let (offsets, factors) = (rows(), rows());
    let mut matrices = Matrices::default();
    let mut matrix = |rows: usize, columns: usize| {
        random(stream, rows * columns)
            .reshape((rows, columns))
            .unwrap()
    };
    if at % 4 == 3 {
        matrices.mapping = Some(Mapping {
            hidden: matrix(WIDTH, WIDTH),
            hidden_bias: matrix(1, WIDTH).squeeze(0).unwrap(),
            out: matrix(WIDTH, WIDTH),
            out_bias: matrix(1, WIDTH).squeeze(0).unwrap(),
        });
    }
    for layer in layers {
        if at % 4 == 2 && layer.kernel > 1 {
            let deviation = matrix(layer.outputs, layer.channels);
            matrices.deviations.insert(layer.name.clone(), deviation);
            let bias = matrix(1, layer.outputs).squeeze(0).unwrap();
            matrices.biases.insert(layer.name.clone(), bias);
        }
        let change = match at % 3 {
            0 => continue,
            1 => AffineChange::Full(matrix(layer.channels, WIDTH)),
            _ => AffineChange::LowRank {
                out: matrix(layer.channels, 2),
                inner: matrix(2, WIDTH),
            },
        };
        if layer.resolution == 8 {
            let offset = matrix(layer.outputs, layer.channels);
            matrices.weights.insert(layer.name.clone(), offset);
        }
        matrices.affine.insert(layer.name, change);
    }
    DomainFile {
        offsets,
        factors,
        matrices,
        domain: Domain {
            name: format!("domain {at}"),
            task: serde_json::Value::Null,
            dimension: WIDTH - 1 - at,
            distance: 20.0,
        },
        gate: Gate::Smooth,
    }
}

fn bits(generator: &Generator, ws: &Tensor) -> Vec<u32> {
    let picture = generator.synthesis().forward(ws, Noise::Const).unwrap();
    let values = picture.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    values.into_iter().map(f32::to_bits).collect()
}

/// The base with a domain's own spread: what a latent of the source has along a dormant direction.
fn base(stream: &mut Stream, mean: &Tensor) -> Tensor {
    let spread = (random(stream, WIDTH) * 0.3).unwrap();
    let w = (mean + spread).unwrap();
    w.reshape((1, 1, WIDTH)).unwrap().repeat((1, 4, 1)).unwrap()
}

/// Every step adds a domain that is not there, removes one that is, or merges the domains into a model that has some of them.
#[test]
fn no_order_of_a_thousand_changes_touches_a_base_picture() {
    let source = generator();
    let mean = source.mean().unwrap();
    let mut stream = Streams::new(11).stream("orders");
    let files: Vec<DomainFile> = (0..DOMAINS)
        .map(|at| domain(at, &source, &mut stream))
        .collect();
    let basis = Basis::given(Tensor::eye(WIDTH, DType::F32, &CPU).unwrap()).unwrap();
    let empty = Expansion::new(Layout::new(WIDTH), basis, mean.clone()).unwrap();
    let (ws, mut model) = (base(&mut stream, &mean), empty.clone());
    let before = bits(&source, &ws);
    for _ in 0..1000 {
        let file = &files[stream.index(DOMAINS).unwrap()];
        let name = &file.domain.name;
        match (model.layout.domain(name).is_ok(), stream.index(10).unwrap()) {
            (true, 0) => {
                let mut merged = empty.clone();
                merged.put_in(file).unwrap();
                for other in model
                    .layout
                    .domains()
                    .iter()
                    .filter(|other| other.name != *name)
                {
                    merged
                        .put_in(&model.take_out(&other.name).unwrap().unwrap())
                        .unwrap();
                }
                model = merged;
            }
            (true, _) => drop(model.remove(name).unwrap()),
            (false, _) => drop(model.put_in(file).unwrap()),
        }
        let mut generator = source.clone();
        generator.follow_domains(&model).unwrap();
        assert_eq!(bits(&generator, &ws), before);
    }
    // The last state has domains, and they do something.
    let some = model.layout.domains().first().unwrap().clone();
    let mut moved = vec![0f32; WIDTH];
    moved[some.dimension] = some.distance as f32;
    let moved = ws
        .broadcast_add(&Tensor::new(moved, &CPU).unwrap())
        .unwrap();
    let mut generator = source.clone();
    generator.follow_domains(&model).unwrap();
    assert_ne!(bits(&generator, &moved), bits(&source, &moved));
}
