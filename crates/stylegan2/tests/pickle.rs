//! Network pickles for the programs of NVlabs: what they name, and the way back.

#![allow(clippy::unwrap_used)] // Also in the helpers.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use candle_core::{DType, Device, Tensor};
use common::{Outcome, golden, same_bits};
use domex_latent::expansion::Rows;
use domex_latent::subspace::Layout;
use domex_stylegan2::{Discriminator, GeneratorConfig, Model, Overwrite, Program, Tensors};
use serde_json::json;

const PROGRAMS: [Program; 2] = [Program::Stylegan2AdaPytorch, Program::Stylegan3];

fn assert_same(found: &Tensors, expected: &Tensors) {
    assert!(found.keys().eq(expected.keys()));
    for (name, tensor) in expected {
        assert!(same_bits(&found[name], tensor), "{name}");
    }
}

/// A model through a pickle, and the pickle.
fn through(
    model: &Model,
    program: Program,
) -> Result<(Model, Vec<u8>), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("network.pkl");
    model.save_pickle(&path, program, Overwrite::Refuse)?;
    Ok((Model::load(&path, &Device::Cpu)?, std::fs::read(&path)?))
}

#[test]
fn all_networks_and_domains_come_back() -> Outcome {
    for file in [
        "stylegan2/nvlabs_tiny",
        "expansion/domain_expansion_snapshot_tiny",
    ] {
        let model = Model::load(golden(&format!("{file}.pkl")), &Device::Cpu)?;
        for program in PROGRAMS {
            let (again, _) = through(&model, program)?;
            assert_eq!(again.config(), model.config());
            assert_same(&again.g_ema.tensors(), &model.g_ema.tensors());
            let (g, other) = (again.g.unwrap(), model.g.as_ref().unwrap());
            assert_eq!(g.config(), other.config());
            assert_same(&g.tensors(), &other.tensors());
            let d = |model: &Option<Discriminator>| model.clone().unwrap();
            assert_eq!(
                d(&again.discriminator).config(),
                d(&model.discriminator).config()
            );
            assert_same(
                &d(&again.discriminator).tensors(),
                &d(&model.discriminator).tensors(),
            );
            let (Some(found), Some(want)) = (&again.expansion, &model.expansion) else {
                assert!(again.expansion.is_none() && model.expansion.is_none());
                continue;
            };
            assert_eq!(found.layout, want.layout);
            assert!(same_bits(found.basis.vectors(), want.basis.vectors()));
            assert!(same_bits(&found.mean, &want.mean));
        }
    }
    Ok(())
}

#[test]
fn one_generator_stays_one() -> Outcome {
    let mut config = GeneratorConfig::tiny();
    config.mapping.lr_multiplier = 0.1;
    config.mapping.c_dim = 2;
    config.mapping.embed_features = 8;
    config.synthesis.num_fp16_res = 1;
    let model = Model::random(&config, 3, &Device::Cpu)?;
    for program in PROGRAMS {
        let (again, bytes) = through(&model, program)?;
        assert_eq!(again.config(), &config);
        assert_same(&again.g_ema.tensors(), &model.g_ema.tensors());
        assert!(again.g.is_none() && again.discriminator.is_none());
        let weights: usize = model
            .g_ema
            .tensors()
            .values()
            .map(|x| 4 * x.elem_count())
            .sum();
        assert!(bytes.len() < weights + 20_000, "{} {weights}", bytes.len());
    }
    Ok(())
}

/// Names of domains that their tasks do not say.
#[test]
fn domains_keep_their_names() -> Outcome {
    let mut model = Model::load(
        golden("expansion/domain_expansion_snapshot_tiny.pkl"),
        &Device::Cpu,
    )?;
    let expansion = model.expansion.as_mut().unwrap();
    let mut layout = Layout::new(expansion.layout.dimensions());
    layout.add(
        "one",
        json!({ "method": "nada", "texts": ["a", "b"] }),
        Some(9),
        7.5,
    )?;
    layout.add(
        "two",
        json!({ "args": { "target_text": "elf" } }),
        Some(4),
        7.5,
    )?;
    expansion.layout = layout;
    let (again, _) = through(&model, Program::Stylegan2AdaPytorch)?;
    assert_eq!(
        again.expansion.unwrap().layout,
        model.expansion.unwrap().layout
    );
    Ok(())
}

#[test]
fn what_plain_weights_cannot_say_is_refused_with_what_to_do() -> Outcome {
    let file = golden("expansion/domain_expansion_snapshot_tiny.pkl");
    let refused = |model: &Model, parts: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("network.pkl");
        let error = model.save_pickle(&path, Program::Stylegan3, Overwrite::Refuse);
        let error = error.unwrap_err().to_string();
        for part in parts {
            assert!(error.contains(part), "`{part}` is not in: {error}");
        }
        assert!(!path.exists());
    };
    let mut model = Model::load(&file, &Device::Cpu)?;
    let expansion = model.expansion.take().unwrap();
    let row = Tensor::zeros((3, 4), DType::F32, &Device::Cpu)?;
    let gates = expansion.gates.clone();
    let rows = Rows::from([("b4.conv1".to_owned(), row)]);
    model.expansion = Some(expansion.clone().with_vectors(Rows::new(), rows, gates)?);
    refused(&model, &["elf", "domains fuse"]);

    let mut far = expansion;
    let mut layout = Layout::new(far.layout.dimensions());
    layout.add("near", json!(null), None, 7.5)?;
    layout.add("far", json!(null), None, 8.0)?;
    far.layout = layout;
    model.expansion = Some(far);
    refused(&model, &["near at 7.5, far at 8", "domains remove"]);
    Ok(())
}

/// Nothing is named but the classes of the networks and what makes tensors and fills modules.
#[test]
fn exactly_these_names_are_called() -> Outcome {
    let plain = Model::random(&GeneratorConfig::tiny(), 1, &Device::Cpu)?;
    let whole = Model::load(
        golden("expansion/domain_expansion_snapshot_tiny.pkl"),
        &Device::Cpu,
    )?;
    for (program, module) in PROGRAMS
        .into_iter()
        .zip(["training.networks", "training.networks_stylegan2"])
    {
        for (model, d) in [
            (&plain, "torch.nn Identity".to_owned()),
            (&whole, format!("{module} Discriminator")),
        ] {
            let (_, bytes) = through(model, program)?;
            let generator = format!("{module} Generator");
            let known = [
                "functools partial",
                "numpy ndarray",
                "operator getitem",
                "torch tensor",
                "torch.nn Module.load_state_dict",
                &generator,
                &d,
            ];
            let known: BTreeSet<String> = known.map(str::to_owned).into();
            assert_eq!(Walk::of(&bytes).names, known);
        }
    }
    Ok(())
}

/// Follows the opcodes of protocol 4 as far as their names and the height of the stack go; any other opcode fails.
#[derive(Default)]
struct Walk {
    names: BTreeSet<String>,
    stack: Vec<Item>,
    memo: BTreeMap<u32, Item>,
}

#[derive(Clone, Debug, PartialEq)]
enum Item {
    Mark,
    Text(String),
    Name(String),
    Other,
}

impl Walk {
    fn of(bytes: &[u8]) -> Self {
        assert_eq!(bytes[..2], [0x80, 4]);
        let mut walk = Self::default();
        let mut rest = &bytes[2..];
        while rest != b"." {
            let opcode = rest[0];
            rest = walk.step(opcode, &rest[1..]);
        }
        assert_eq!(walk.stack, [Item::Other]);
        walk
    }

    fn pop(&mut self, count: usize) {
        for _ in 0..count {
            assert_ne!(self.stack.pop(), Some(Item::Mark));
        }
    }

    fn pop_to_mark(&mut self) {
        while self.stack.pop().unwrap() != Item::Mark {}
    }

    /// Takes one instruction, and gives what follows it.
    fn step<'a>(&mut self, opcode: u8, rest: &'a [u8]) -> &'a [u8] {
        let number = |len: usize| {
            let mut eight = [0; 8];
            eight[..len].copy_from_slice(&rest[..len]);
            u64::from_le_bytes(eight)
        };
        let counted = |len: usize| len + usize::try_from(number(len)).unwrap();
        let (pops, push, used) = match opcode {
            b'N' | 0x88 | 0x89 | b']' | b'}' | b')' => (0, Item::Other, 0),
            b'J' => (0, Item::Other, 4),
            b'G' => (0, Item::Other, 8),
            0x8a => (0, Item::Other, counted(1)),
            0x8c => (
                0,
                Item::Text(String::from_utf8(rest[1..counted(1)].to_vec()).unwrap()),
                counted(1),
            ),
            b'X' => (0, Item::Other, counted(4)),
            b'C' => (0, Item::Other, counted(1)),
            b'B' => (0, Item::Other, counted(4)),
            b'(' => (0, Item::Mark, 0),
            b't' => {
                self.pop_to_mark();
                (0, Item::Other, 0)
            }
            b'e' | b'u' => {
                self.pop_to_mark();
                (1, Item::Other, 0)
            }
            0x85 => (1, Item::Other, 0),
            0x86 | b'R' | b'b' => (2, Item::Other, 0),
            0x87 => (3, Item::Other, 0),
            0x93 => (2, self.name(), 0),
            0x94 => {
                let top = self.stack.last().unwrap().clone();
                self.memo.insert(self.memo.len() as u32, top.clone());
                (1, top, 0)
            }
            b'h' => (0, self.memo[&(number(1) as u32)].clone(), 1),
            b'j' => (0, self.memo[&(number(4) as u32)].clone(), 4),
            other => panic!("opcode {other:#x}"),
        };
        if opcode == b'R' {
            let function = &self.stack[self.stack.len() - 2];
            let made = matches!(function, Item::Name(_) | Item::Other); // Other: the partial.
            assert!(made, "{function:?} is called");
        }
        self.pop(pops);
        self.stack.push(push);
        &rest[used..]
    }

    fn name(&mut self) -> Item {
        let [Item::Text(module), Item::Text(name)] = &self.stack[self.stack.len() - 2..] else {
            panic!("a name that is no text");
        };
        let name = format!("{module} {name}");
        self.names.insert(name.clone());
        Item::Name(name)
    }
}
